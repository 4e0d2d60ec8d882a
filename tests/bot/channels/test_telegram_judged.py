"""The channel before an independent judge: what the sandbox's log says really happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs

from bot.channels import telegram_poll
from bot.channels.telegram import TelegramChannel
from domain import errors
from domain.changes import DeliveryKind
from domain.events import CustomerMessage, CustomerMoved, CustomerReach
from domain.ports import ChatDelivery
from tests.bot.channels.conftest import Inbox, opened, running, until
from tests.bot.channels.malformed import SHAPES
from tests.contracts import channel_stages
from tests.sandbox import telegram_kit


@pytest.fixture(scope="module")
def sandbox() -> Iterator[telegram_kit.Desk]:
    """A local Telegram."""
    with telegram_kit.running() as desk:
        yield desk


@pytest.fixture
def desk(sandbox: telegram_kit.Desk) -> telegram_kit.Desk:
    """An empty local Telegram without faults."""
    sandbox.post("reset")
    return sandbox


@pytest.fixture
async def channel(desk: telegram_kit.Desk) -> AsyncIterator[TelegramChannel]:
    """A polling channel there."""
    async with opened(channel_stages.account(desk)) as made:
        yield made


def answer_to(chat_id: int, text: str = "On its way.") -> ChatDelivery:
    return ChatDelivery(id="01", kind=DeliveryKind.CHAT_TEXT, address=str(chat_id), text=text)


@pytest.mark.parametrize(
    ("fault", "outcome", "stored"),
    [
        ("drop_before", errors.Unclear, 0),
        ("drop_after", errors.Unclear, 1),
        ("500", errors.Unclear, 0),
        ("500_after", errors.Unclear, 1),
        ("html", errors.Unclear, 0),
        ("html_after", errors.Unclear, 1),
        ("truncated", None, 1),
        ("429", errors.RetryLater, 0),
        ("429_no_header", errors.RetryLater, 0),
        ("401", errors.AccessRevoked, 0),
        ("403", errors.NeverPossible, 0),
        ("404", errors.AccessRevoked, 0),
    ],
)
async def test_what_is_said_of_a_send_is_never_false(
    desk: telegram_kit.Desk, channel: TelegramChannel, fault: str, outcome: type[Exception] | None, stored: int
) -> None:
    """Success means stored once, "retry" and "never" mean not stored, and only what may be either is unclear."""
    chat_id = desk.join()
    desk.fault("sendMessage", fault)
    if outcome is None:
        await channel.send(answer_to(chat_id))
    else:
        with pytest.raises(outcome):
            await channel.send(answer_to(chat_id))
    assert len(desk.log("bot_message")) == stored


async def test_sending_goes_on_while_the_long_poll_waits(
    desk: telegram_kit.Desk, channel: TelegramChannel, inbox: Inbox
) -> None:
    """Forty answers at once do not wait for a poll, and each is stored once."""
    chat_id = desk.join()
    async with running(channel, inbox.accept):
        receipts = await asyncio.gather(*(channel.send(answer_to(chat_id, f"{n}")) for n in range(40)))
    assert len({receipt.platform_id for receipt in receipts}) == 40
    assert len(desk.log("bot_message")) == 40


async def test_every_malformed_shape_is_confirmed_and_passed(
    desk: telegram_kit.Desk, channel: TelegramChannel, inbox: Inbox
) -> None:
    """As Telegram would deliver them, answers that are not even JSON included; then the next customer is heard."""
    shapes = [shape for shape in SHAPES.values() if isinstance(shape, dict) and isinstance(shape.get("update_id"), int)]
    usable = [shape for shape in shapes if shape["update_id"] < 2**31]
    for shape in usable:
        desk.post("telegram/raw", update=shape)
    desk.post("telegram/raw", raw='{"update_id": 1, "mess', times=2)
    async with running(channel, inbox.accept):
        await until(lambda: len(inbox.rows) == len(usable))
        desk.say(desk.join(), "Still there?")
        await until(lambda: len(inbox.rows) == len(usable) + 1)
        await until(lambda: not desk.get("telegram/updates")["updates"])
    event = channel.parse(list(inbox.rows.values())[-1].payload)
    assert isinstance(event, CustomerMessage)
    assert event.text == "Still there?"


async def test_two_pollers_lose_nothing_between_them(
    desk: telegram_kit.Desk, channel: TelegramChannel, inbox: Inbox
) -> None:
    """Started twice by mistake: both say so, and each message arrives at one of them."""
    chat_id = desk.join()
    async with opened(channel_stages.account(desk)) as other:
        with capture_logs() as logs:
            async with running(channel, inbox.accept), running(other, inbox.accept):
                for number in range(10):
                    desk.say(chat_id, f"{number}")
                    await asyncio.sleep(0.02)
                await until(lambda: len(inbox.rows) == 10)
    assert telegram_poll.SECOND_POLLER in [line.get("meaning") for line in logs]


async def test_deliveries_in_doubt_are_known_by_their_key(
    desk: telegram_kit.Desk, channel: TelegramChannel, inbox: Inbox
) -> None:
    """Twice, or out of order: each is one row, in the order in which they were written."""
    chat_id = desk.join()
    desk.fault("getUpdates", "duplicate")
    desk.fault("getUpdates", "reorder")
    for number in range(5):
        desk.say(chat_id, f"{number}")
    async with running(channel, inbox.accept):
        await until(lambda: len(inbox.rows) == 5)
        await until(lambda: not desk.get("telegram/updates")["updates"])
    events = [channel.parse(row.payload) for row in inbox.rows.values()]
    assert [event.text for event in events if isinstance(event, CustomerMessage)] == list("01234")


async def test_a_blocked_bot_and_a_moved_group_are_events(
    desk: telegram_kit.Desk, channel: TelegramChannel, inbox: Inbox
) -> None:
    """As Telegram tells them; a send to the old address says where the new one is."""
    ann = desk.join()
    desk.say(ann, "hi")
    group = desk.post("telegram/groups", title="Team", members=[ann])["chat_id"]
    async with running(channel, inbox.accept):
        await until(lambda: inbox.rows)
        desk.post("telegram/block", chat_id=ann)
        moved_to = desk.post("telegram/migrate", chat_id=group, user_id=ann)["chat_id"]
        await until(lambda: len(inbox.rows) >= 4)
    events = [channel.parse(row.payload) for row in inbox.rows.values()]
    (reach,) = [event for event in events if isinstance(event, CustomerReach)]
    moved, again = [event for event in events if isinstance(event, CustomerMoved)]
    assert moved == again, "told in both chats"
    assert (reach.reachable, reach.reason) == (False, "blocked")
    assert (moved.old_address, moved.new_address) == (str(group), str(moved_to))
    with pytest.raises(errors.Moved) as raised:
        await channel.send(answer_to(group))
    assert raised.value.new_address == str(moved_to)
