"""What every chat channel promises the house. A new channel adds a stage and passes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.channels.telegram import TelegramChannel
from domain import errors
from domain.changes import DeliveryKind
from domain.events import CustomerEdit, CustomerMessage
from domain.ports import Arrival, ChatDelivery, File
from tests import patience
from tests.contracts import channel_stages
from tests.contracts.channel_stages import Stage
from tests.sandbox import telegram_kit

WITHIN_S = patience.LONG_S


@pytest.fixture(scope="module")
def sandbox() -> Iterator[telegram_kit.Desk]:
    """A local Telegram."""
    with telegram_kit.running() as desk:
        yield desk


@pytest.fixture(params=["memory", "telegram polling", "telegram webhook"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """Each implementation in turn, with an empty platform."""
    if request.param == "memory":
        yield channel_stages.MemoryStage()
        return
    desk: telegram_kit.Desk = request.getfixturevalue("sandbox")
    desk.post("reset")
    config = channel_stages.account(desk)
    async with contextlib.AsyncExitStack() as stack:
        if request.param == "telegram webhook":
            listener = socket.create_server(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/telegram/telegram"
            secret = channel_stages.SECRET
            config = replace(config, mode="webhook", webhook_url=url, webhook_secret=secret, watch_every_s=0.2)
        channel = TelegramChannel(config)
        if request.param == "telegram webhook":
            await stack.enter_async_context(channel_stages.mounted(channel, listener))
        stack.push_async_callback(channel.close)
        yield channel_stages.TelegramStage(desk, channel)


class Inbox:
    """An inbox in memory. `fail` raises for so many calls, as a locked database does."""

    def __init__(self) -> None:
        self.rows: dict[str, Arrival] = {}
        self.calls = 0
        self.fail = 0

    async def accept(self, arrivals: Sequence[Arrival]) -> int:
        """An `Accept`."""
        self.calls += 1
        if self.fail:
            self.fail -= 1
            raise RuntimeError("database is locked")
        before = len(self.rows)
        for arrival in arrivals:
            self.rows.setdefault(arrival.event_key, arrival)
        return len(self.rows) - before


@pytest.fixture
def inbox() -> Inbox:
    """An empty inbox."""
    return Inbox()


@contextlib.asynccontextmanager
async def running(stage: Stage, inbox: Inbox) -> AsyncIterator[None]:
    """The channel takes in; it is ended by cancellation, at once, and hides no failure."""
    task = asyncio.create_task(stage.channel.run(inbox.accept))
    try:
        await patience.eventually(lambda: stage.channel.last_success_age() < WITHIN_S)
        yield
        assert not task.done()
    finally:
        task.cancel()
        with patience.Own() as took:
            (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)
    assert took.seconds < 2


def texts_in(stage: Stage, inbox: Inbox, who: str) -> list[str]:
    events = [stage.channel.parse(row.payload) for row in inbox.rows.values()]
    return [e.text for e in events if isinstance(e, CustomerMessage) and e.customer.address == who]


async def test_what_a_customer_writes_arrives_as_an_event(stage: Stage, inbox: Inbox) -> None:
    """Who, when (aware), which message, and the words."""
    async with running(stage, inbox):
        number = await stage.says(stage.ann, "Where is my parcel? 我的包裹呢")
        await patience.eventually(lambda: inbox.rows)
    (row,) = inbox.rows.values()
    event = stage.channel.parse(row.payload)
    assert isinstance(event, CustomerMessage)
    assert (event.customer.channel, event.customer.address) == (stage.channel.name, stage.ann)
    assert (event.message_id, event.kind, event.text) == (number, "text", "Where is my parcel? 我的包裹呢")
    assert event.at.utcoffset() == timedelta(0)
    assert event.customer.name


async def test_nothing_is_acknowledged_before_it_is_accepted(stage: Stage, inbox: Inbox) -> None:
    """While accepting fails the platform hands everything over again; all arrives, in order, under the same keys."""
    inbox.fail = 3
    async with running(stage, inbox):
        for words in ("one", "two", "three"):
            await stage.says(stage.ann, words)
        await patience.eventually(lambda: len(inbox.rows) == 3)
    assert inbox.calls > 3
    assert texts_in(stage, inbox, stage.ann) == ["one", "two", "three"]


async def test_what_is_written_while_nobody_listens_arrives_later(stage: Stage, inbox: Inbox) -> None:
    """A stop in the middle, and a start, lose nothing and double nothing."""
    async with running(stage, inbox):
        await stage.says(stage.ann, "one")
        await patience.eventually(lambda: len(inbox.rows) == 1)
    await stage.says(stage.ann, "two")
    await stage.says(stage.ann, "three")
    async with running(stage, inbox):
        await patience.eventually(lambda: len(inbox.rows) == 3)
    assert texts_in(stage, inbox, stage.ann) == ["one", "two", "three"]


async def test_a_customer_is_one_lane_and_two_are_two(stage: Stage, inbox: Inbox) -> None:
    """Order is kept within a customer; customers do not wait for each other."""
    async with running(stage, inbox):
        for who, words in ((stage.ann, "1"), (stage.bo, "2"), (stage.ann, "3")):
            await stage.says(who, words)
        await patience.eventually(lambda: len(inbox.rows) == 3)
    first, second, third = inbox.rows.values()
    assert first.lane_key == third.lane_key != second.lane_key
    assert {row.source for row in inbox.rows.values()} == {stage.channel.name}
    assert all(json.loads(row.payload) and row.payload.isascii() for row in inbox.rows.values())


async def test_an_edit_names_the_message_it_changes(stage: Stage, inbox: Inbox) -> None:
    """Under a key of its own, in the same lane."""
    async with running(stage, inbox):
        number = await stage.says(stage.ann, "to Bohn")
        await stage.edits(stage.ann, number, "to Bonn")
        await patience.eventually(lambda: len(inbox.rows) == 2)
    said, changed = inbox.rows.values()
    event = stage.channel.parse(changed.payload)
    assert isinstance(event, CustomerEdit)
    assert (event.message_id, event.text) == (number, "to Bonn")
    assert said.lane_key == changed.lane_key


@pytest.mark.parametrize("payload", ["", "null", "[]", "{}", '"text"', "[" * 50_000, '{"update_id": 1, "message": 7}'])
async def test_a_payload_that_is_no_event_is_refused_with_a_reason(stage: Stage, payload: str) -> None:
    """It is set aside, and never ends a worker."""
    with pytest.raises(errors.MalformedEvent) as raised:
        stage.channel.parse(payload)
    assert str(raised.value)


def text_to(address: str, text: str) -> ChatDelivery:
    return ChatDelivery(id="01", kind=DeliveryKind.CHAT_TEXT, address=address, text=text)


async def test_an_answer_is_seen_as_typed(stage: Stage) -> None:
    """No character of it is taken for markup; the receipt has the platform's id and time."""
    await stage.says(stage.ann, "hi")
    words = "2 < 3 & _so_ *on* `code` [a](b) 您好 🎁\n- second line"
    receipt = await stage.channel.send(text_to(stage.ann, words))
    assert await stage.sees(stage.ann) == [words]
    assert await stage.sees(stage.bo) == []
    assert receipt.platform_id
    assert receipt.at.utcoffset() == timedelta(0)


async def test_an_answer_can_be_changed_and_taken_back(stage: Stage) -> None:
    """By the id of its receipt; doing it twice is no failure."""
    receipt = await stage.channel.send(text_to(stage.ann, "on Monday"))
    number = receipt.platform_id
    edit = ChatDelivery(id="02", kind=DeliveryKind.CHAT_EDIT, address=stage.ann, text="on Tuesday", message_id=number)
    for _ in range(2):
        assert (await stage.channel.send(edit)).platform_id == number
    assert await stage.sees(stage.ann) == ["on Tuesday"]
    delete = ChatDelivery(id="03", kind=DeliveryKind.CHAT_DELETE, address=stage.ann, message_id=number)
    assert (await stage.channel.send(delete)).platform_id == number
    assert await stage.sees(stage.ann) == []


async def test_a_text_fits_up_to_the_limit_and_not_beyond(stage: Stage) -> None:
    """The limit that the channel names is the one that holds, in UTF-16 units."""
    limit = stage.channel.capabilities.text_limit
    await stage.channel.send(text_to(stage.ann, "🎁" * (limit // 2)))
    with pytest.raises(errors.NeverPossible) as raised:
        await stage.channel.send(text_to(stage.ann, "🎁" * (limit // 2) + "x"))
    assert raised.value.code == "too_long"


async def test_a_customer_who_blocked_us_is_told_from_one_who_did_not(stage: Stage) -> None:
    """Never possible, with the reason for the card; others are not held up."""
    await stage.blocks(stage.ann)
    with pytest.raises(errors.NeverPossible) as raised:
        await stage.channel.send(text_to(stage.ann, "hello"))
    assert raised.value.code == "blocked"
    await stage.channel.send(text_to(stage.bo, "hello"))


CONTENT = b"%PDF-1.7 " + bytes(range(256)) * 400


async def test_a_customers_file_can_be_read(stage: Stage, inbox: Inbox) -> None:
    """The message names it; its bytes come as a stream, whole, as often as asked."""
    async with running(stage, inbox):
        await stage.attaches(stage.ann, "bill.pdf", CONTENT)
        await patience.eventually(lambda: inbox.rows)
    (row,) = inbox.rows.values()
    event = stage.channel.parse(row.payload)
    assert isinstance(event, CustomerMessage)
    (attachment,) = event.attachments
    file = await stage.channel.open_file(attachment)
    assert (event.kind, file.name, file.size) == ("document", "bill.pdf", len(CONTENT))
    for _ in range(2):
        assert b"".join([piece async for piece in file.open()]) == CONTENT


async def test_a_file_that_is_not_there_is_never_possible(stage: Stage, inbox: Inbox) -> None:
    """So that the message is shown without it, with the reason."""
    async with running(stage, inbox):
        await stage.attaches(stage.ann, "bill.pdf", CONTENT)
        await patience.eventually(lambda: inbox.rows)
    event = stage.channel.parse(next(iter(inbox.rows.values())).payload)
    assert isinstance(event, CustomerMessage)
    with pytest.raises(errors.NeverPossible):
        await stage.channel.open_file(replace(event.attachments[0], platform_id="nonsense"))


async def test_an_agents_file_reaches_the_customer(stage: Stage) -> None:
    """With its words beside it."""

    async def download() -> AsyncIterator[bytes]:
        for start in range(0, len(CONTENT), 10_000):
            yield CONTENT[start : start + 10_000]

    file = File(name="bill.pdf", mime="application/pdf", size=len(CONTENT), open=download)
    delivery = ChatDelivery(id="04", kind=DeliveryKind.CHAT_FILE, address=stage.ann, text="Your bill", file=file)
    assert (await stage.channel.send(delivery)).platform_id
    assert await stage.sees(stage.ann) == ["Your bill"]


async def test_health_can_be_asked_at_any_time(stage: Stage, inbox: Inbox) -> None:
    """Infinity before the first answer, small after it; probes name what is wrong and how to mend it."""
    assert stage.channel.last_success_age() == float("inf")
    async with running(stage, inbox):
        assert stage.channel.last_success_age() < WITHIN_S
        probes = await stage.channel.probe()
    assert probes
    assert all(probe.name.startswith(stage.channel.name) and (probe.ok or probe.fix) for probe in probes)


async def test_closing_twice_is_closing_once(stage: Stage) -> None:
    """Whatever stops it may stop it again."""
    await stage.channel.close()
    await stage.channel.close()
