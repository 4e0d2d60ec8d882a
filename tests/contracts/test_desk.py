"""What every desk promises, whatever it is made of. A new desk adds its bench to BENCHES and must pass all of it.

A bench is what the suite needs to know of an implementation: how to start it, how people write at it, how its answers
get lost. It holds no expectations.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest
import uvicorn
from starlette.applications import Starlette

from bot.desk.ingress import HTTP_PATH
from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.errors import DeliveryError, MalformedEvent, NeverPossible, RetryLater, Unclear
from domain.events import AgentAction, AgentEdit, AgentMessage, DeskCommand, Ignored
from domain.model import Attachment, EntryKind
from domain.ports import Desk, DeskDelivery, File, Receipt, ThreadCursor
from tests import patience
from tests.bot.desk import kit
from tests.bot.desk.kit import CONVERSATION, SUPPORT, Slack, Store, card_view, delivery, entry, until

THREAD_KINDS = [DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_EDIT, DeliveryKind.DESK_FILE]


class Bench(Protocol):
    """What the suite needs of an implementation. Users are known to it by what they are."""

    agent: str
    stranger: str
    outsider: str

    def listening(self, store: Store) -> AbstractAsyncContextManager[Desk]:
        """A desk that takes events in and stores them."""
        ...

    async def write(self, user: str, text: str, root: str, **files: object) -> str:
        """Somebody writes in a thread; the message's id."""
        ...

    async def edit(self, user: str, message: str, text: str) -> None:
        """Somebody changes a message of theirs."""
        ...

    async def press(self, user: str, root: str, action: str) -> None:
        """Somebody presses a button on a card."""
        ...

    async def command(self, user: str, text: str) -> None:
        """Somebody gives a command outside any thread."""
        ...

    async def lose_answer(self) -> None:
        """The next post is stored and its answer lost."""
        ...

    async def refuse_post(self) -> None:
        """The next post is refused for the moment."""
        ...

    async def posts(self) -> int:
        """How many posts the desk's channel and its threads hold."""
        ...


class SlackBench:
    """Slack, as the sandbox plays it, over Socket Mode or over HTTP."""

    agent, stranger, outsider = kit.MAYA, kit.STRANGER, kit.GUEST

    def __init__(self, slack: Slack, mode: str) -> None:
        self._slack = slack
        self._mode = mode

    @asynccontextmanager
    async def listening(self, store: Store) -> AsyncIterator[Desk]:
        desk = SlackDesk(kit.config(self._slack.url, mode=self._mode), ping_every=1.0)
        running = asyncio.create_task(desk.run(store.accept))
        await until(desk.reconnected.is_set)
        try:
            if self._mode == "socket":
                yield desk
            else:
                async with self._served(desk):
                    yield desk
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await desk.close()

    @asynccontextmanager
    async def _served(self, desk: SlackDesk) -> AsyncIterator[None]:
        app = Starlette(routes=desk.routes())
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
        serving = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}{HTTP_PATH}"
        await self._slack.post("slack/settings", transport="http", events_url=url)
        yield
        server.should_exit = True
        await serving

    async def write(self, user: str, text: str, root: str, **files: object) -> str:
        return await self._slack.write(user, text, root, **files)

    async def edit(self, user: str, message: str, text: str) -> None:
        await self._slack.post("slack/edit", user=user, channel=SUPPORT, ts=message, text=text)

    async def press(self, user: str, root: str, action: str) -> None:
        await self._slack.post("slack/press", user=user, channel=SUPPORT, ts=root, action_id=action)

    async def command(self, user: str, text: str) -> None:
        await self._slack.post("slack/command", user=user, channel=SUPPORT, command="/relaydesk", text=text)

    async def lose_answer(self) -> None:
        await self._slack.fault("chat.postMessage", "drop_after")

    async def refuse_post(self) -> None:
        await self._slack.fault("chat.postMessage", "429", seconds=2)

    async def posts(self) -> int:
        roots = await self._slack.messages()
        return sum(1 + len(root.get("replies", [])) for root in roots)


BENCHES: dict[str, Callable[[Slack], Bench]] = {
    "slack-socket": lambda slack: SlackBench(slack, "socket"),
    "slack-http": lambda slack: SlackBench(slack, "http"),
}


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    """A sandbox for this module."""
    with kit.sandbox_process() as url:
        yield url


@pytest.fixture(params=BENCHES)
async def bench(request: pytest.FixtureRequest, sandbox_url: str) -> AsyncIterator[Bench]:
    """Each implementation in turn, with nothing at its desk."""
    slack = Slack(sandbox_url)
    await slack.post("reset")
    await slack.post("slack/settings", ack_timeout_s=1.5, retry_delays_s=[0.0, *[0.3] * 100])
    yield BENCHES[request.param](slack)
    await slack.close()


@pytest.fixture
def store() -> Store:
    """An empty inbox."""
    return Store()


@pytest.fixture
async def desk(bench: Bench, store: Store) -> AsyncIterator[Desk]:
    """A desk that listens."""
    async with bench.listening(store) as made:
        yield made


async def rooted(desk: Desk) -> str:
    """A posted card."""
    return (await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))).platform_id


def thread_delivery(kind: DeliveryKind, root: str, number: int = 2) -> DeskDelivery:
    """A delivery of each kind that stands in a thread."""

    async def content() -> AsyncIterator[bytes]:
        yield b"bytes"

    picture = Attachment(id="A", kind="photo", platform_id="p", name="photo.jpg", mime="image/jpeg", size=5)
    made = delivery(kind, number, thread_ts=root, entry=entry(body="words", attachments=(picture,)))
    if kind is DeliveryKind.DESK_EDIT:
        return replace(made, earlier=entry(body="other words"))
    if kind is DeliveryKind.DESK_FILE:
        return replace(made, file=File(name="photo.jpg", mime="image/jpeg", size=5, open=content))
    return made


async def test_a_delivery_has_a_receipt_with_id_place_and_time(desk: Desk) -> None:
    """What was shown can be found again by its receipt."""
    receipt = await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))
    assert receipt.platform_id
    assert receipt.place == SUPPORT
    assert abs(receipt.at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_every_kind_can_be_delivered(desk: Desk, bench: Bench) -> None:
    """Card, update, entry, edit, file, whisper, reaction, notice: each answers with a receipt."""
    root = await rooted(desk)
    written = await bench.write(bench.agent, "an answer", root)
    made = [thread_delivery(kind, root, number) for number, kind in enumerate(THREAD_KINDS, start=2)]
    made += [
        delivery(DeliveryKind.DESK_UPDATE, 6, card=card_view(), message_ts=root, thread_ts=root),
        delivery(DeliveryKind.DESK_WHISPER, 7, thread_ts=root, data={"user": bench.agent, "text": "help"}),
        delivery(DeliveryKind.DESK_REACTION, 8, data={"ts": written, "name": "eyes"}),
        delivery(DeliveryKind.DESK_NOTICE, 9, data={"text": "dead_letter"}),
    ]
    for one in made:
        assert isinstance(await desk.deliver(one), Receipt), one.kind


async def test_a_customers_kind_is_refused(desk: Desk) -> None:
    """A desk shows nothing that was meant for a chat."""
    with pytest.raises(NeverPossible):
        await desk.deliver(delivery(DeliveryKind.CHAT_TEXT))


@pytest.mark.parametrize("kind", [DeliveryKind.DESK_CARD, *THREAD_KINDS], ids=lambda kind: str(kind.value))
async def test_what_was_delivered_is_found_and_nothing_else(desk: Desk, kind: DeliveryKind) -> None:
    """The look-up finds exactly the delivery that was asked for."""
    began = datetime.now(UTC)
    root = await rooted(desk)
    made = delivery(kind, 2, card=card_view()) if kind is DeliveryKind.DESK_CARD else thread_delivery(kind, root)
    receipt = await desk.deliver(made)
    found = await desk.find(made, began)
    assert found is not None
    assert found.platform_id == receipt.platform_id
    assert await desk.find(kit.renumbered(made, 3), began) is None


async def test_a_lost_answer_ends_in_one_post(desk: Desk, bench: Bench) -> None:
    """Unclear, looked up, found: it stands there once."""
    began = datetime.now(UTC)
    root = await rooted(desk)
    made = thread_delivery(DeliveryKind.DESK_ENTRY, root)
    await bench.lose_answer()
    with pytest.raises(Unclear):
        await desk.deliver(made)
    assert await desk.find(made, began) is not None
    assert await bench.posts() == 2


async def test_a_refusal_for_the_moment_says_for_how_long(desk: Desk, bench: Bench) -> None:
    """A rate limit is a certain no with a time, and names what was limited."""
    await bench.refuse_post()
    with pytest.raises(RetryLater) as caught:
        await rooted(desk)
    assert caught.value.after == timedelta(seconds=2)
    assert caught.value.bucket
    assert await bench.posts() == 0


async def test_what_people_do_is_stored_and_can_be_read(desk: Desk, bench: Bench, store: Store) -> None:
    """An answer, its edit, a button and a command arrive as the events they are, each with its author."""
    root = await rooted(desk)
    written = await bench.write(bench.agent, "an answer", root)
    await until(lambda: len(store.all) == 1)
    await bench.edit(bench.agent, written, "a better answer")
    await bench.press(bench.agent, root, "assign_me")
    await bench.command(bench.agent, "on")
    await until(lambda: len(store.all) == 4)
    read = [await desk.parse(one.payload) for one in store.all]
    message, edit, action, command = sorted(
        read,
        key=lambda one: [AgentMessage, AgentEdit, AgentAction, DeskCommand].index(type(one)),
    )
    assert isinstance(message, AgentMessage)
    assert (message.agent_id, message.text, message.channel, message.thread_ts) == (
        bench.agent,
        "an answer",
        SUPPORT,
        root,
    )
    assert isinstance(edit, AgentEdit)
    assert (edit.ts, edit.text) == (written, "a better answer")
    assert isinstance(action, AgentAction)
    assert (action.action, action.conversation_id, action.version) == ("assign_me", CONVERSATION, 3)
    assert isinstance(command, DeskCommand)
    assert command.text == "on"
    for one in store.all:
        assert one.event_key
        assert one.lane_key
    assert {one.thread for one in store.all} == {(SUPPORT, root), None}


async def test_nothing_is_acknowledged_that_could_not_be_stored(desk: Desk, bench: Bench, store: Store) -> None:
    """The platform keeps what we could not keep, and brings it again."""
    root = await rooted(desk)
    store.failures = 1
    await bench.write(bench.agent, "do not lose this", root)
    await until(lambda: len(store.all) == 1)
    assert store.offered >= 2


async def test_our_own_posts_do_not_come_back(desk: Desk, bench: Bench, store: Store) -> None:
    """What we show is no event."""
    root = await rooted(desk)
    await desk.deliver(thread_delivery(DeliveryKind.DESK_ENTRY, root))
    await desk.deliver(delivery(DeliveryKind.DESK_UPDATE, 3, card=card_view(customer_name="A"), message_ts=root))
    await bench.write(bench.agent, "the only event", root)
    await until(lambda: len(store.all) == 1)


async def test_what_was_missed_is_stored_once(desk: Desk, bench: Bench, store: Store) -> None:
    """Filling the gap stores what did not come by itself, and nothing that did."""
    root = await rooted(desk)
    await bench.write(bench.agent, "came by itself", root)
    await until(lambda: len(store.all) == 1)
    gap = ThreadCursor(place=SUPPORT, thread_ts=root, newest_ts=root)
    assert await desk.missed([gap], store.accept) == 0
    later = Store()
    assert await desk.missed([gap], later.accept) == 1
    assert list(later.arrivals) == list(store.arrivals)


async def test_outsiders_are_marked_and_strangers_have_no_role(desk: Desk, bench: Bench, store: Store) -> None:
    """Whether somebody may answer is known from the event and from the roles, never from being able to write."""
    root = await rooted(desk)
    await bench.write(bench.outsider, "let me in", root)
    await until(lambda: len(store.all) == 1)
    read = await desk.parse(store.all[0].payload)
    assert isinstance(read, AgentMessage)
    assert read.is_stranger
    assert await desk.roles_of(bench.agent) == {"agent"}
    assert await desk.roles_of(bench.stranger) == frozenset()


async def test_an_agents_file_can_be_streamed(desk: Desk, bench: Bench, store: Store) -> None:
    """A file comes with its bytes, more than once if need be."""
    root = await rooted(desk)
    upload = {"base64": base64.b64encode(b"content").decode(), "name": "a.txt", "mime": "text/plain"}
    await bench.write(bench.agent, "here", root, files=[upload])
    await until(lambda: len(store.all) == 1)
    read = await desk.parse(store.all[0].payload)
    assert isinstance(read, AgentMessage)
    file = await desk.open_file(read.attachments[0])
    for _ in range(2):
        assert b"".join([chunk async for chunk in file.open()]) == b"content"


@pytest.mark.parametrize("payload", ["", "[]", "{}", '{"type": "no such thing"}'])
async def test_an_odd_payload_is_malformed_or_nothing(desk: Desk, payload: str) -> None:
    """Reading what was stored ends in an event, in nothing, or in a reason to set it aside."""
    result: Any = None
    try:
        result = await desk.parse(payload)
    except MalformedEvent as error:
        result = error
    assert isinstance(result, Ignored | MalformedEvent)
    assert str(result)


async def test_doctor_gets_an_answer_with_a_fix_where_it_is_not_well(desk: Desk) -> None:
    """Each check says what was found; a bad one says what to do."""
    checks = await desk.probe()
    assert checks
    assert all(check.found and (check.ok or check.fix) for check in checks)


async def test_life_is_known_and_the_end_comes_twice(desk: Desk) -> None:
    """A listening desk knows that it lives; closing it again changes nothing."""
    assert desk.last_success_age() < patience.LONG_S
    await desk.close()
    await desk.close()


async def test_errors_carry_no_personal_text(desk: Desk, bench: Bench) -> None:
    """An error can be logged as it is."""
    secret = "my bank account is 12345"
    root = await rooted(desk)
    made = delivery(DeliveryKind.DESK_ENTRY, 2, thread_ts=root, entry=entry(EntryKind.INCOMING, secret))
    await bench.refuse_post()
    for one in (made, replace(made, place="C0NOWHERE"), replace(made, entry=None)):
        with pytest.raises(DeliveryError) as caught:
            await desk.deliver(one)
        assert "bank" not in f"{caught.value} {caught.value.detail}"
