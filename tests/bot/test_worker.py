"""The worker, on a real database: what cannot be read, who is not known yet, and who is given what."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from bot import times
from bot.channels.memory import MemoryChannel, MemoryConfig
from bot.ids import new_id
from bot.worker import Worker
from domain import routing
from domain.assessment import Assessment, Text
from domain.changes import DeliveryKind
from domain.errors import NotYet
from domain.events import AgentAction, AgentMessage, AgentReaction, Event, Ignored
from domain.ports import Arrival, Desk
from storage import tables
from storage.agents import Roster
from storage.engines import Connection
from tests import patience
from tests.contracts import storage_kit
from tests.contracts.storage_kit import Process
from tests.handlers.kit import LINA, MAYA, reading, rulebook

CHAT, THREAD = "memory", ("C0SUPPORT", "1700000000.000001")


class Team:
    """The desk as the worker needs it: reads its own payloads, and says who is an agent once it can."""

    def __init__(self) -> None:
        self.agents = {MAYA: frozenset({"agent"}), LINA: frozenset({"agent"})}
        self.knows_people = True
        self.reads = True
        self.cannot_read: str | None = None

    async def parse(self, payload: str) -> Event | Ignored:
        """A post in a thread, or a press of a button, from its JSON."""
        if not self.reads or (self.cannot_read and self.cannot_read in payload):
            raise NotYet("the desk cannot say who wrote", timedelta(0))
        said = json.loads(payload)
        if "is_on" in said:
            return AgentReaction(at=times.real(), **said)
        if "action" in said:
            return AgentAction(at=times.real(), **said)
        return AgentMessage(at=times.real(), **said)

    async def roles_of(self, agent_id: str) -> frozenset[str]:
        """Nobody's, while the desk cannot say."""
        if not self.knows_people:
            raise NotYet("the desk cannot say who may do this", timedelta(0))
        return self.agents.get(agent_id, frozenset())


class Reader:
    """Reads everything as a question about an order."""

    async def assess(self, texts: Sequence[Text]) -> list[Assessment]:
        """The same for all."""
        return [reading("order") for _ in texts]


async def whole(*_thread: str, said_at: float, newest: float, by: float) -> bool:
    """Nothing was ever missed."""
    return said_at <= newest and by >= 0


class Bench:
    """A worker over one process's stores."""

    def __init__(self, process: Process, assign: routing.Assign = "none", settles: timedelta = timedelta(0)) -> None:
        # Nothing is posted here: after a moment each answer would be asked about, as given without having seen it.
        rules = rulebook(
            operator_channel="C0LEADS", channel_limits={CHAT: 4096}, asks_unread=False, reactions={"+1": "\U0001f44d"}
        )
        queues = {name: replace(queue, assign=assign) for name, queue in rules.queues.items()}
        self.process = process
        self.team = Team()
        self._numbers = itertools.count(1)
        self.worker = Worker(
            database=process.db,
            inbox=process.inbox,
            record=process.record,
            channels={CHAT: MemoryChannel(MemoryConfig(name=CHAT))},
            desk=cast("Desk", self.team),
            assessor=Reader(),
            rules=replace(rules, queues=queues),
            clock=times.Timekeeper(),
            is_whole=whole,
            owner=process.owner,
            settles=settles,
        )

    async def arrives(self, *payloads: str, source: str = CHAT, lane: str = "1", **fields: Any) -> None:
        """Store payloads, one arrival each."""
        arrivals = [
            Arrival(
                source=source, event_key=str(next(self._numbers)), lane_key=lane, payload=payload, kind="x", **fields
            )
            for payload in payloads
        ]
        await self.process.inbox.put(arrivals, times.real())

    async def works(self) -> int:
        """Claim what is ready and work on it; how many lanes that were."""
        claims = await self.process.inbox.claim(self.process.owner, times.real(), limit=64)
        await self.worker.work(claims)
        return len(claims)

    async def opened(self) -> None:
        """A customer has written, and the card stands in the thread."""
        await self.arrives(written("Where is my order?"))
        await self.works()
        await self.opened_thread()

    async def opened_thread(self) -> None:
        """The card of the only conversation stands in its thread."""
        (row,) = await self.process.rows(tables.conversations)
        shown = {"conversation_id": row["id"], "place": THREAD[0], "thread": THREAD[1], "version": 0}
        await self.process.db.write(lambda conn: place_card(conn, shown))

    async def all_sent(self) -> None:
        """Everything that waited to be shown stands there."""

        async def work(conn: Connection) -> None:
            await conn.execute(tables.outbox.update().values(state="sent"))

        await self.process.db.write(work)

    async def states(self) -> list[tuple[str, str | None]]:
        """Every inbox row's state and reason, oldest first."""
        rows = sorted(await self.process.rows(tables.inbox), key=lambda row: int(row["id"]))
        return [(row["state"], row["reason"]) for row in rows]

    async def lines(self, kind: str) -> list[dict[str, Any]]:
        """Timeline lines of a kind."""
        rows = sorted(await self.process.rows(tables.timeline), key=lambda row: int(row["seq"]))
        return [row for row in rows if row["kind"] == kind]


async def place_card(conn: Connection, shown: dict[str, Any]) -> None:
    """Write where the card stands."""
    statement = tables.conversations.update().where(tables.conversations.c.id == shown["conversation_id"])
    await conn.execute(statement.values(desk_channel=shown["place"], desk_thread=shown["thread"]))


def written(text: str, address: str = "1", number: int = 1) -> str:
    """A customer's message as the memory channel stores it."""
    said = {"id": str(number), "at": times.real().isoformat(), "address": address, "text": text, "file": None}
    return json.dumps(said)


def posted(text: str, ts: str = "1700000001.000001", user: str = MAYA) -> str:
    """An agent's message as this desk stores it."""
    return json.dumps({"agent_id": user, "channel": THREAD[0], "thread_ts": THREAD[1], "ts": ts, "text": text})


@pytest.fixture
async def process(make_database: Callable[[str], str]) -> AsyncIterator[Process]:
    """One process's stores, once on each engine."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as made:
        yield made


@pytest.fixture
def bench(process: Process) -> Bench:
    """A worker that gives nothing out."""
    return Bench(process)


async def test_what_cannot_be_read_is_set_aside_and_the_lane_goes_on(bench: Bench) -> None:
    """A malformed payload keeps its reason, the operator is told once, and the next message is handled."""
    await bench.arrives("{nonsense", written("Where is it?", number=2), "[]", written("Hello?", number=3))
    await bench.works()
    assert [state for state, _ in await bench.states()] == ["dead", "done", "dead", "done"]
    assert "malformed" in str((await bench.states())[0][1])
    assert len(await bench.lines("incoming")) == 2
    notices = [row for row in await bench.process.rows(tables.outbox) if row["kind"] == "desk.notice"]
    assert len(notices) == 1


async def test_a_line_waits_for_an_earlier_one_though_its_lane_is_ready(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer has just written, in the same lane: what was said before the line may still be on its way."""
    real, later = times.real, timedelta()
    monkeypatch.setattr(times, "real", lambda: real() + later)
    bench = Bench(process, settles=timedelta(minutes=1))
    await bench.opened()
    thread: dict[str, Any] = {"source": "slack", "lane": "thread", "thread": THREAD}
    await bench.arrives(posted("second", "1700000002.000001"), position=1700000002.000001, **thread)
    await bench.arrives(written("Are you there?", number=2))
    await bench.works()
    assert await bench.lines("outgoing") == []
    await bench.arrives(posted("first"), position=1700000001.000001, **thread)
    later = timedelta(minutes=2)
    await bench.works()
    left = [row["platform_id"] for row in await bench.lines("outgoing")]
    assert left == ["1700000001.000001", "1700000002.000001"]
    assert len(await bench.lines("incoming")) == 2


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one batch"])
async def test_nothing_is_closed_over_an_answer_that_still_waits(bench: Bench, at_once: bool) -> None:
    """The other one was called back, or taken as arrived: what waits is looked up, whatever became of the last one."""
    await bench.opened()
    thread: dict[str, Any] = {"source": "slack", "lane": "thread", "thread": THREAD}
    await bench.arrives(posted("first"), posted("second", "1700000002.000001"), **thread)
    await bench.works()
    where = {"agent_id": MAYA, "channel": THREAD[0], "thread_ts": THREAD[1], "conversation_id": None}
    presses = [
        json.dumps({**where, "action": "undo", "value": "1700000002.000001", "key": "undo"}),
        json.dumps({**where, "action": "resolve", "key": "resolve"}),
    ]
    for together in [presses] if at_once else [[one] for one in presses]:
        await bench.arrives(*together, **thread)
        await bench.works()
    (conversation,) = await bench.process.rows(tables.conversations)
    assert (conversation["status"], conversation["delivery_state"]) == ("open", "waiting")
    told = [
        json.loads(row["data"])["text"] for row in await bench.process.rows(tables.outbox) if "whisper" in row["kind"]
    ]
    assert told == ["undone", "answer_on_its_way"]


async def test_what_no_database_takes_ends_no_process(bench: Bench) -> None:
    """An id that cannot even be looked up is counted against its own row; everybody else's messages are handled."""
    await bench.opened()
    await bench.arrives(posted("hello", user="\ud800"), source="slack", thread=THREAD)
    await bench.arrives(written("me too", address="2"), lane="2")
    await bench.works()
    assert [state for state, _ in await bench.states()] == ["done", "new", "done"]
    assert (await bench.states())[1][1] == "could not be written"


async def test_a_message_waits_until_the_desk_knows_who_wrote_it(bench: Bench) -> None:
    """An agent's words are not given up while Slack cannot say whose they are; nor is what comes behind them."""
    await bench.opened()
    bench.team.reads = False
    await bench.arrives(posted("first"), posted("second", "1700000002.000001"), source="slack", thread=THREAD)
    for _ in range(8):
        assert await bench.works() == 1
    assert [state for state, _ in await bench.states()] == ["done", "new", "new"]
    bench.team.reads = True
    await bench.works()
    assert [state for state, _ in await bench.states()] == ["done", "done", "done"]
    assert len(await bench.lines("outgoing")) == 2


async def test_what_came_before_an_unknown_author_is_not_held_up(bench: Bench) -> None:
    """A lane goes as far as it can be read: the answer before one whose author nobody knows yet leaves at once."""
    await bench.opened()
    bench.team.cannot_read = "second"
    await bench.arrives(posted("first"), posted("second", "1700000002.000001"), source="slack", thread=THREAD)
    await bench.works()
    assert [state for state, _ in await bench.states()] == ["done", "done", "new"]
    assert len(await bench.lines("outgoing")) == 1
    bench.team.cannot_read = None
    await bench.works()
    assert len(await bench.lines("outgoing")) == 2


async def test_a_decision_waits_until_the_desk_knows_the_roles(bench: Bench) -> None:
    """Nobody is refused, and nothing ends, because a user group cannot be read for a while."""
    await bench.opened()
    bench.team.knows_people = False
    await bench.arrives(posted("hello"), source="slack", thread=THREAD)
    for _ in range(3):
        await bench.works()
    assert (await bench.states())[-1][0] == "new"
    bench.team.knows_people = True
    await bench.works()
    assert (await bench.states())[-1][0] == "done"
    assert len(await bench.lines("outgoing")) == 1


async def test_an_answer_waits_as_long_as_its_card_may_still_be_posted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards may wait for minutes behind a backlog or an outage: what is written below one is not set aside, and is
    looked at less and less often."""
    await bench.arrives(written("Where is my order?"))
    await bench.works()
    await bench.arrives(posted("It left."), source="slack", lane="thread")
    real = times.real
    for minutes in (0, 1, 10, 50):
        monkeypatch.setattr(times, "real", lambda minutes=minutes: real() + timedelta(minutes=minutes))
        await bench.works()
        assert (await bench.states())[-1][0] == "new"
    monkeypatch.setattr(times, "real", real)
    await bench.opened_thread()
    await bench.all_sent()
    monkeypatch.setattr(times, "real", lambda: real() + timedelta(minutes=55))
    await bench.works()
    assert len(await bench.lines("outgoing")) == 1


@pytest.mark.parametrize("waited_s", [0.0, 30.0])
async def test_an_answer_is_not_lost_when_its_card_is_settled_between_two_looks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, waited_s: float
) -> None:
    """Its conversation was looked for in vain, and a moment later no card was on its way any more: it stood by then.

    However long the answer has waited for that card.
    """
    real, later = times.real, timedelta()
    monkeypatch.setattr(times, "real", lambda: real() + later)
    await bench.arrives(written("Where is my order?"))
    await bench.works()
    await bench.arrives(posted("It left."), source="slack", lane="thread")
    look = bench.process.record.is_posting_cards
    if waited_s:
        await bench.works()
        assert (await bench.states())[-1][0] == "new", "its card is being posted"
        later += timedelta(seconds=waited_s)

    async def settled_first(place: str) -> bool:
        await bench.opened_thread()
        await bench.all_sent()
        return await look(place)

    monkeypatch.setattr(bench.process.record, "is_posting_cards", settled_first)
    await bench.works()
    assert (await bench.states())[-1][0] == "new"
    later += timedelta(seconds=1)
    await bench.works()
    assert len(await bench.lines("outgoing")) == 1


@pytest.mark.parametrize("settled", ["between two events", "between two looks"])
async def test_an_emoji_waits_for_a_post_of_ours_that_is_leaving(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, settled: str
) -> None:
    """Slack tells of it before it has answered our call: it counts once that post's id is known, also where that
    happens while it is looked for. One on somebody else's post waits for nothing.
    """
    real, later = times.real, timedelta()
    monkeypatch.setattr(times, "real", lambda: real() + later)
    await bench.opened()
    await bench.process.outbox.claim("dispatcher", times.real(), limit=10)
    (said,) = await bench.lines("incoming")
    ts = "1700000000.000002"
    emoji = {"agent_id": MAYA, "channel": THREAD[0], "ts": ts, "name": "+1", "is_on": True}
    await bench.arrives(json.dumps(emoji), json.dumps(emoji | {"on_ours": True}), source="slack", lane="maya")
    look = bench.process.record.is_posting

    async def stands() -> None:
        where = {"conversation_id": said["conversation_id"], "entry_id": said["id"], "place": THREAD[0]}
        row = where | {"outbox_id": new_id(), "platform_id": ts, "side": "desk", "part": 0, "at": 0.0}

        async def work(conn: Connection) -> None:
            await conn.execute(tables.deliveries.insert().values(**row))

        await bench.process.db.write(work)
        await bench.all_sent()

    async def settled_first(places: Collection[str], until: datetime) -> bool:
        if not await bench.process.rows(tables.deliveries):
            await stands()
        return await look(places, until)

    if settled == "between two looks":
        monkeypatch.setattr(bench.process.record, "is_posting", settled_first)
    await bench.works()
    assert [state for state, _ in await bench.states()] == ["done", "done", "new"]
    if settled == "between two events":
        await stands()
    for _ in range(3):
        later += timedelta(seconds=1)
        await bench.works()
    assert [state for state, _ in await bench.states()] == ["done", "done", "done"]
    assert [json.loads(row["data"])["name"] for row in await bench.lines("reaction")] == ["+1"]


async def test_an_emoji_waits_for_nothing_that_left_after_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot stand on that: a channel where something is always being posted keeps nobody's next act waiting."""
    real, later = times.real, timedelta()
    monkeypatch.setattr(times, "real", lambda: real() + later)
    await bench.opened()
    look = {"agent_id": MAYA, "channel": THREAD[0], "thread_ts": "1700000000.000002", "conversation_id": None}
    press = look | {"action": "acknowledge", "value": "reaction", "on_ours": True}
    await bench.arrives(json.dumps(press), source="slack", lane="maya")
    later = timedelta(seconds=3)
    assert await bench.process.outbox.claim("dispatcher", times.real(), limit=10)
    assert await bench.process.record.is_posting([THREAD[0]], times.real() + later)
    for seconds in (3, 4):
        later = timedelta(seconds=seconds)
        await bench.works()
    assert await bench.states() == [("done", None), ("done", None)]


async def test_a_move_waits_for_a_card_that_is_being_posted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is looked at, that is counted as no failure; once the card stands the conversation moves."""
    await bench.arrives(written("Where is my order?"))
    await bench.works()
    (row,) = await bench.process.rows(tables.conversations)
    target = "tech" if row["queue"] != "tech" else "billing"
    claims = await bench.process.outbox.claim("dispatcher", times.real(), limit=10)
    assert any(claim.row.kind is DeliveryKind.DESK_CARD for claim in claims)
    where = {"channel": THREAD[0], "thread_ts": None, "conversation_id": row["id"]}
    press = {"agent_id": MAYA, "action": "move", "value": target, **where}
    await bench.arrives(json.dumps(press), source="slack", lane="1")
    real = times.real
    for seconds in (0, 1, 2, 3, 4, 5, 6):
        monkeypatch.setattr(times, "real", lambda seconds=seconds: real() + timedelta(seconds=seconds))
        await bench.works()
    (waiting,) = [row for row in await bench.process.rows(tables.inbox) if row["source"] == "slack"]
    assert (waiting["state"], waiting["attempts"], waiting["reason"]) == ("new", 0, None)
    await bench.all_sent()
    monkeypatch.setattr(times, "real", lambda: real() + timedelta(seconds=8))
    await bench.works()
    (moved,) = await bench.process.rows(tables.conversations)
    assert moved["queue"] == target


async def test_the_other_lanes_go_on_meanwhile(bench: Bench) -> None:
    """One lane that has to wait holds nobody else up."""
    await bench.opened()
    bench.team.reads = False
    await bench.arrives(posted("hello"), source="slack", thread=THREAD)
    await bench.arrives(written("me too", address="2"), lane="2")
    await bench.works()
    assert len(await bench.lines("incoming")) == 2


async def test_what_was_said_before_the_thread_was_known_comes_first(bench: Bench) -> None:
    """Words that came in before we knew whose thread it was are not overtaken by later ones."""
    await bench.arrives(written("Where is my order?"))
    await bench.arrives(posted("early"), source="slack", thread=THREAD, position=1700000001.000001)
    bench.team.reads = False  # the early one has to wait a little longer
    await bench.works()
    (row,) = await bench.process.rows(tables.conversations)
    shown = {"conversation_id": row["id"], "place": THREAD[0], "thread": THREAD[1], "version": 0}
    await bench.process.db.write(lambda conn: place_card(conn, shown))
    late = posted("late", "1700000002.000001")
    await bench.arrives(late, source="slack", thread=THREAD, position=1700000002.000001)
    bench.team.cannot_read = "early"
    bench.team.reads = True
    await bench.works()
    assert (await bench.states())[-1][0] == "new", "the later one waits"
    bench.team.cannot_read = None

    async def done() -> bool:
        await bench.works()  # whoever waits for another lane looks again after a moment
        return all(state == "done" for state, _ in await bench.states())

    await patience.eventually(done, what="both are done")
    sent = [row["platform_id"] for row in await bench.lines("outgoing")]
    assert sent == ["1700000001.000001", "1700000002.000001"]


async def test_a_batch_is_given_out_in_turn(process: Process) -> None:
    """Customers who write at the same moment go to different agents, as if they had written one by one."""
    bench = Bench(process, assign="round_robin")
    await Roster(process.db).welcome({MAYA: ("en",), LINA: ("zh",)})
    for number in range(4):
        await bench.arrives(written("Where is my order?", address=str(number)), lane=str(number))
    assert await bench.works() == 4
    assigned = [row["assignee"] for row in await process.rows(tables.conversations)]
    assert sorted(assigned) == [LINA, LINA, MAYA, MAYA]


async def test_who_is_no_agent_any_more_is_given_nothing(process: Process) -> None:
    """People who have left the group, and leads who once took something, are passed over."""
    bench = Bench(process, assign="least_loaded")
    await Roster(process.db).welcome({MAYA: (), LINA: (), "U0JONAS": ()})
    bench.team.agents = {LINA: frozenset({"agent"}), "U0JONAS": frozenset({"lead"})}
    for number in range(3):
        await bench.arrives(written("Where is my order?", address=str(number)), lane=str(number))
    await bench.works()
    assert [row["assignee"] for row in await process.rows(tables.conversations)] == [LINA] * 3


async def test_the_roster_overwrites_nobodys_duty(process: Process) -> None:
    """Reading the group again adds people and their languages; who went off duty stays off duty."""
    roster = Roster(process.db)
    await roster.welcome({MAYA: ("en",)})
    off = tables.agents.update().where(tables.agents.c.id == MAYA).values(on_duty=0)
    await process.db.write(lambda conn: conn.execute(off))
    await roster.welcome({MAYA: ("en", "de"), LINA: ("zh",)})
    await roster.welcome({})
    found = {row["id"]: (row["on_duty"], row["languages"]) for row in await process.rows(tables.agents)}
    assert found == {MAYA: (0, '["de", "en"]'), LINA: (1, '["zh"]')}
