"""The dispatcher, on a real database: nothing waits longer than it must, and nothing ends without somebody knowing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from bot import leasing, times, verdicts
from bot.channels.memory import MemoryChannel, MemoryConfig
from bot.dispatcher import Dispatcher
from bot.rendering import Renderer
from domain.changes import Changes, DeliveryKind, Outgoing
from domain.errors import DeliveryError, Moved, NeverPossible, RetryLater, StoppedUnsent, Unclear
from domain.model import Entry, EntryKind, Thread
from domain.ports import ChatDelivery, Desk, DeskDelivery, Receipt
from storage import tables
from storage.attachments import Attachments
from storage.cases import Cases
from storage.dossier import Dossiers
from storage.engines import Work
from storage.outbox import Found
from tests import patience
from tests.contracts import storage_kit
from tests.contracts.storage_kit import AGENT, Process, Story, outgoing, story
from tests.handlers.kit import rulebook

OPERATORS = "C0LEADS"


@pytest.fixture(autouse=True)
def prompt_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is stored after its answer failed to come, so nobody needs to wait for that."""
    monkeypatch.setattr(verdicts, "STILL_GOING", timedelta(0))


class Board:
    """The desk: keeps what it was told to show. `trouble` says what goes wrong with a delivery, if anything does."""

    def __init__(self) -> None:
        self.shown: list[DeskDelivery] = []
        self.asked = 0
        self.trouble: Callable[[DeskDelivery], DeliveryError | None] = lambda _: None
        self.found: Callable[[DeskDelivery], Receipt | None] = lambda _: None

    async def deliver(self, delivery: DeskDelivery) -> Receipt:
        """Show it, or fail as was asked for."""
        self.asked += 1
        error = self.trouble(delivery)
        if error is not None:
            raise error
        self.shown.append(delivery)
        return _receipt(self.asked)

    async def find(self, delivery: DeskDelivery, since: datetime) -> Receipt | None:
        """What the test says is there."""
        assert since.tzinfo is not None
        return self.found(delivery)

    async def language_of(self, agent_id: str) -> str | None:
        """Whoever has an id reads English."""
        return "en" if agent_id else None

    async def name_of(self, agent_id: str) -> str | None:
        """Nobody has a name."""
        return None

    def kinds(self) -> list[str]:
        """What was shown, in order."""
        return [delivery.kind.value for delivery in self.shown]


class Chat(MemoryChannel):
    """A chat app whose chats may have moved, and which may be slow: what was cancelled then `is_unsent` or not."""

    moved: dict[str, str]
    slow: asyncio.Event | None = None
    is_unsent = False

    async def send(self, delivery: ChatDelivery) -> Receipt:
        """Send it, or say where the chat is now."""
        if self.slow is not None:
            self.slow.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.is_unsent:
                    raise StoppedUnsent from None
                raise
        if delivery.address in self.moved:
            raise Moved("chat_moved", self.moved[delivery.address])
        return await super().send(delivery)


class Late:
    """Holds back what a dispatcher claimed: it is committed some time before anybody hears of it."""

    def __init__(self, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
        self.claimed, self.goes_on = asyncio.Event(), asyncio.Event()
        self._write = process.db.write
        monkeypatch.setattr(process.db, "write", self.write)

    async def write(self, work: Work[Any], *, wake: tuple[str, ...] = ()) -> Any:
        """Write, and tell of a claim only when it may go on."""
        result = await self._write(work, wake=wake)
        if isinstance(result, Found) and result.claims:
            self.claimed.set()
            await self.goes_on.wait()
        return result


class Bench:
    """A dispatcher over one process's stores."""

    def __init__(self, process: Process, **pace: float) -> None:
        self.process = process
        self.desk = Board()
        self.chat = Chat(MemoryConfig(name="telegram"))
        self.chat.moved = {}
        rules, clock = rulebook(operator_channel=OPERATORS), times.Timekeeper()
        desk = cast("Desk", self.desk)
        self.dispatcher = Dispatcher(
            database=process.db,
            box=process.outbox,
            store=process.record,
            channels={"telegram": self.chat},
            desk=desk,
            renderer=Renderer(
                database=process.db,
                record=process.record,
                views=process.views,
                channels={"telegram": self.chat},
                desk=desk,
                rules=rules,
                clock=clock,
                languages=("en",),
                dossiers=Dossiers(process.db, process.keys),
                attachments=Attachments(process.db, process.keys, times.real),
                cases=Cases(process.db),
            ),
            rules=rules,
            clock=clock,
            owner=process.owner,
            pace=pace,
        )

    async def opened(self, **fields: Any) -> Story:
        """A customer has written, and stands in the record."""
        made = story(**fields)
        await self.process.decide(made.opening("hello"))
        return made

    async def waits(self, *items: Outgoing) -> None:
        """Something is to be sent."""
        await self.process.decide(storage_kit.sending(*items), now=times.real())

    async def answers(self, to: Story, *texts: str, lane: str = "chat:1") -> None:
        """An agent has answered."""
        for words in texts:
            entry: Entry = to.said(words, kind=EntryKind.OUTGOING, actor=AGENT)
            row = about(to, DeliveryKind.CHAT_TEXT, lane=lane, identity_id=to.identity.id, entry_id=entry.id)
            await self.process.decide(Changes(reason="reply", entries=(entry,), outbox=(row,)), now=times.real())

    async def row(self, kind: str) -> dict[str, Any]:
        """The only row of a kind."""
        (found,) = [row for row in await self.process.rows(tables.outbox) if row["kind"] == kind]
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The dispatcher runs meanwhile."""
        task = asyncio.create_task(self.dispatcher.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def about(of: Story, kind: DeliveryKind, *, lane: str, **fields: Any) -> Outgoing:
    values: dict[str, Any] = {"kind": kind, "bucket": "telegram:1", "conversation_id": of.conversation.id}
    return outgoing(lane, **(values | fields))


def _receipt(number: int) -> Receipt:
    return Receipt(platform_id=f"{number}.0", at=times.real(), place="C0GENERAL")


eventually = partial(patience.eventually, every=0.01)


@pytest.fixture
def never_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks without being woken."""
    monkeypatch.setattr(times, "IDLE_S", 10 * patience.LONG_S)


@pytest.mark.usefixtures("never_by_itself")
async def test_a_pace_delays_the_next_of_a_lane_no_longer_than_it_says(process: Process) -> None:
    """Three posts in one channel at five a second leave soon after one another, not at the next idle look."""
    bench = Bench(process, telegram=0.2)
    customer = await bench.opened()
    cards = [about(customer, DeliveryKind.DESK_CARD, lane="thread:1") for _ in range(3)]
    await bench.waits(*cards)
    async with bench.running():
        await eventually(lambda: len(bench.desk.shown) == 3)


@pytest.mark.usefixtures("never_by_itself")
async def test_a_pace_holds_across_the_lanes_of_a_channel(process: Process) -> None:
    """Threads of one channel share its limit: they leave one after the other, though their lanes are independent."""
    bench = Bench(process, telegram=0.3)
    customer = await bench.opened()
    cards = [about(customer, DeliveryKind.DESK_CARD, lane=f"thread:{number}") for number in range(4)]
    await bench.waits(*cards)
    async with bench.running():
        started = time.monotonic()
        await eventually(lambda: len(bench.desk.shown) == 4)
        assert time.monotonic() - started > 3 * 0.3 - 0.05


async def test_a_card_that_was_found_again_is_brought_up_to_date(process: Process) -> None:
    """A card whose posting was unclear shows the state of then: what changed since is not taken as shown."""
    bench = Bench(process)
    customer = await bench.opened()
    bench.desk.trouble = lambda d: Unclear("time_out") if d.kind is DeliveryKind.DESK_CARD else None
    bench.desk.found = lambda _: _receipt(0)
    await bench.waits(about(customer, DeliveryKind.DESK_CARD, lane="thread:1"))
    changed = customer.changed(0, assignee="U0MAYA")
    update = about(customer, DeliveryKind.DESK_UPDATE, lane="card:1", collapse=True)
    await process.decide(replace(changed, outbox=(update,)), now=times.real())
    async with bench.running():
        await eventually(lambda: "desk.update" in bench.desk.kinds())


async def test_the_operator_is_told_once_of_posts_that_are_set_aside(process: Process) -> None:
    """What Slack refuses for good is a dead letter, its lane goes on, and one line a day says that there are any."""
    bench = Bench(process)
    customer = await bench.opened()
    bench.desk.trouble = lambda d: None if d.kind is DeliveryKind.DESK_NOTICE else NeverPossible("msg_too_long")
    for lane in ("thread:1", "thread:2"):
        await bench.waits(about(customer, DeliveryKind.DESK_CARD, lane=lane))
    async with bench.running():
        await eventually(lambda: bench.desk.asked == 3 and len(bench.desk.shown) == 1)
    (notice,) = bench.desk.shown
    assert (notice.place, notice.data["text"]) == (OPERATORS, "dead_letter")


async def test_one_bad_message_is_set_aside_and_not_its_neighbours(process: Process) -> None:
    """What was to go out as one post, and Slack refuses, goes message by message: only the bad one is a dead letter."""
    bench = Bench(process, slack=0.01)
    customer = await bench.opened(thread=Thread(channel="C0GENERAL", ts="1.0"))
    said = [customer.said(words, seconds=place) for place, words in enumerate(("one", "bad", "three"))]
    shows = [
        about(customer, DeliveryKind.DESK_ENTRY, lane="thread:1", bucket="slack:C1", entry_id=one.id, data={"joins": 9})
        for one in said
    ]
    changed = replace(customer.changed(0), entries=tuple(said), outbox=tuple(shows))
    await process.decide(changed, now=times.real() - timedelta(seconds=5))

    def trouble(wanted: DeskDelivery) -> DeliveryError | None:
        bodies = [one.body for one in (wanted.entry, *wanted.company) if one is not None]
        return NeverPossible("invalid_blocks") if "bad" in bodies else None

    bench.desk.trouble = trouble
    async with bench.running():
        await eventually(lambda: [d.entry.body for d in bench.desk.shown if d.entry is not None] == ["one", "three"])
        await eventually(lambda: OPERATORS in [d.place for d in bench.desk.shown])

        async def settled() -> bool:
            states = {row["entry_id"]: row["state"] for row in await process.rows(tables.outbox) if row["entry_id"]}
            return [states[one.id] for one in said] == ["sent", "dead", "sent"]

        await eventually(settled)


async def test_an_answer_follows_a_chat_that_moved(process: Process) -> None:
    """The new address is remembered, and the answer goes there."""
    bench = Bench(process)
    customer = await bench.opened(address="-100")
    bench.chat.moved = {"-100": "-200"}
    await bench.answers(customer, "hello")
    async with bench.running():
        await eventually(lambda: len(bench.chat.sent) == 1)
    assert [sent.address for sent in bench.chat.sent.values()] == ["-200"]


async def test_a_chat_that_moved_to_where_somebody_is_known_is_said_to_the_agent(process: Process) -> None:
    """The answer is not sent to a person who may be another: it is a dead letter at once, and its lane goes on."""
    bench = Bench(process)
    customer = await bench.opened(address="-100")
    await bench.opened(address="-200")
    bench.chat.moved = {"-100": "-200"}
    await bench.answers(customer, "hello")

    async def is_dead() -> bool:
        return str((await bench.row("chat.text"))["state"]) == "dead"

    async with bench.running():
        await eventually(is_dead)
    assert not bench.chat.sent
    assert (await bench.row("desk.entry"))["lane"] == f"thread:{customer.conversation.id}"


async def test_a_whisper_is_not_repeated_for_ever(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can tell whether it was seen, a whisper is tried a few times; each may have been seen."""
    monkeypatch.setattr(verdicts, "BACKOFF_CAP_S", 0.01)
    bench = Bench(process)
    bench.desk.trouble = lambda _: Unclear("time_out")
    data = {"place": "C1", "user": "U1", "text": "help"}
    await bench.waits(outgoing("whisper:U1", kind=DeliveryKind.DESK_WHISPER, data=data))

    async def is_dead() -> bool:
        return str((await bench.row("desk.whisper"))["state"]) == "dead"

    async with bench.running():
        await eventually(is_dead)
    assert bench.desk.asked == verdicts.MAX_FAILURES


async def test_what_may_still_be_stored_is_looked_for_later(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A post whose answer did not come may be stored after that: it is looked up only once that is over."""
    monkeypatch.setattr(verdicts, "STILL_GOING", timedelta(seconds=1.5))
    bench = Bench(process)
    customer = await bench.opened()
    called: dict[str, float] = {}
    looked: dict[str, float] = {}

    def trouble(delivery: DeskDelivery) -> DeliveryError | None:
        assert delivery.id not in called, "it is posted once"
        called[delivery.id] = time.monotonic()
        return Unclear("connection_lost")

    def found(delivery: DeskDelivery) -> Receipt:
        looked[delivery.id] = time.monotonic()
        return Receipt(platform_id="1.5", at=times.real(), place="C1")

    bench.desk.trouble, bench.desk.found = trouble, found
    await bench.waits(about(customer, DeliveryKind.DESK_CARD, lane="thread:1"))

    async def is_sent() -> bool:
        return bool((await bench.row("desk.card"))["state"] == "sent")

    async with bench.running():
        await eventually(is_sent)
    assert looked
    assert all(at - called[name] > 1.3 for name, at in looked.items())


async def test_a_look_up_that_fails_is_made_less_and_less_often(process: Process) -> None:
    """While Slack cannot say whether a post is there it is asked with growing pauses: every look counts."""
    bench = Bench(process)
    customer = await bench.opened()
    bench.desk.trouble = lambda _: Unclear("time_out")

    def cannot_say(_: DeskDelivery) -> Receipt | None:
        raise RetryLater("unreachable")

    bench.desk.found = cannot_say
    await bench.waits(about(customer, DeliveryKind.DESK_CARD, lane="thread:1"))

    async def counts() -> bool:
        return int((await bench.row("desk.card"))["attempts"]) >= 3

    async with bench.running():
        await eventually(counts)


async def test_what_was_just_claimed_is_sent_before_a_stop(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop waits for a claim under way, so that no answer is left marked as sending that was never called."""
    bench = Bench(process)
    customer = await bench.opened()
    await bench.answers(customer, "hello")
    late = Late(process, monkeypatch)
    async with bench.running():
        await asyncio.wait_for(late.claimed.wait(), timeout=patience.LONG_S)
        stopping = asyncio.create_task(bench.dispatcher.drain())
        await eventually(lambda: not bench.dispatcher._settler.take_next, what="it is stopping")
        assert not stopping.done()
        late.goes_on.set()
        await asyncio.wait_for(stopping, timeout=patience.LONG_S)
    assert (await bench.row("chat.text"))["state"] == "sent"


@pytest.mark.parametrize(("is_unsent", "state"), [(True, "todo"), (False, "sending")])
async def test_a_stop_asks_nobody_about_what_certainly_did_not_leave(
    process: Process, is_unsent: bool, state: str
) -> None:
    """A long upload that is cut off goes again after the stop; what may have arrived stays a question."""
    bench = Bench(process)
    bench.chat.slow, bench.chat.is_unsent = asyncio.Event(), is_unsent
    customer = await bench.opened()
    await bench.answers(customer, "hello", "and again")
    async with bench.running():
        await asyncio.wait_for(bench.chat.slow.wait(), timeout=patience.LONG_S)
    states = [row["state"] for row in await process.rows(tables.outbox) if row["kind"] == "chat.text"]
    assert sorted(states) == sorted([state, "todo"])
    bench.chat.slow = None
    again = Bench(process)
    if is_unsent:
        async with again.running():
            await eventually(lambda: len(again.chat.sent) == 2, what="both, by whoever comes next")


async def test_what_may_be_somebody_elses_by_now_is_not_sent(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was slow or suspended until its lease may have ended calls nobody, and takes the row anew."""
    sure = [False, True]
    bench = Bench(process)
    customer = await bench.opened()
    asked: list[str] = []

    def is_sure(_keeper: leasing.Keeper, lane: str) -> bool:
        asked.append(lane)
        assert not bench.chat.sent, "it is asked before anybody is called"
        return sure.pop(0) if sure else True

    monkeypatch.setattr(leasing.Keeper, "is_sure", is_sure)
    await bench.answers(customer, "hello")

    async def is_sent() -> bool:
        return bool((await bench.row("chat.text"))["state"] == "sent")

    async with bench.running():
        await eventually(is_sent)
    assert len(asked) == 2
    assert len(bench.chat.sent) == 1
    assert (await bench.row("chat.text"))["attempts"] == 1


async def test_a_lane_that_somebody_else_took_is_no_longer_sure(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renewing a lease finds out that it was lost; one that is renewed stays sure."""
    bench = Bench(process)
    customer = await bench.opened()
    await bench.answers(customer, "hello")
    monkeypatch.setattr(leasing, "RENEW_S", 0.05)
    now = times.real()
    [claim] = await process.outbox.claim("one", now, limit=1)
    keeper = leasing.Keeper(process.db, "out", "one")
    with keeper.hold([claim.lane]):
        assert keeper.is_sure(claim.lane)

        async def until() -> float:
            [lease] = [row["lease_until"] for row in await process.rows(tables.lanes) if row["lane"] == claim.lane]
            return float(lease)

        taken_until = await until()
        renewing = asyncio.create_task(keeper.run())

        async def is_renewed() -> bool:
            return await until() > taken_until

        await eventually(is_renewed)
        assert keeper.is_sure(claim.lane)
        later = now + timedelta(hours=1)
        assert [one.lane for one in await process.outbox.claim("two", later, limit=1)] == [claim.lane]

        async def is_lost() -> bool:
            return not keeper.is_sure(claim.lane)

        await eventually(is_lost)
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
    assert not keeper.is_sure(claim.lane), "what is not held is not sure"
