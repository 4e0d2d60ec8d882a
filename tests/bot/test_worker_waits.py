"""What the worker waits for, on a real database: who is not known yet, and what is under way."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot import times
from bot.ids import new_id
from domain.changes import DeliveryKind
from storage import stepping, tables
from storage.engines import Connection
from tests import patience
from tests.bot.bench import THREAD, Bench, Hours, posted, written
from tests.contracts.storage_kit import Process
from tests.handlers.kit import MAYA

HOUR = timedelta(hours=1)


@pytest.fixture
def bench(process: Process) -> Bench:
    """A worker that gives nothing out."""
    return Bench(process)


async def test_a_line_waits_for_an_earlier_one_though_its_lane_is_ready(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer has just written, in the same lane: what was said before the line may still be on its way."""
    hours = Hours(monkeypatch)
    bench = Bench(process, settles=timedelta(minutes=1))
    await bench.opened()
    thread: dict[str, Any] = {"source": "slack", "lane": "thread", "thread": THREAD}
    await bench.arrives(posted("second", "1700000002.000001"), position=1700000002.000001, **thread)
    await bench.arrives(written("Are you there?", number=2))
    await bench.works()
    assert await bench.lines("outgoing") == []
    await bench.arrives(posted("first"), position=1700000001.000001, **thread)
    hours.pass_by(minutes=2)
    await bench.works()
    left = [row["platform_id"] for row in await bench.lines("outgoing")]
    assert left == ["1700000001.000001", "1700000002.000001"]
    assert len(await bench.lines("incoming")) == 2


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
    hours = Hours(monkeypatch)
    for minutes in (0, 1, 9, 40):
        hours.pass_by(minutes=minutes)
        await bench.works()
        assert (await bench.states())[-1][0] == "new"
    await bench.opened_thread()
    await bench.all_sent()
    hours.pass_by(minutes=5)
    await bench.works()
    assert len(await bench.lines("outgoing")) == 1


async def test_a_line_that_was_stamped_by_a_clock_since_set_back_waits_no_hour(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is awaited for longer than from the line's coming: it leaves after as long as any."""
    hours = Hours(monkeypatch)
    bench = Bench(process, settles=timedelta(minutes=1))
    await bench.opened()
    await bench.arrives(posted("hello"), source="slack", lane="thread", thread=THREAD)
    hours.set_clock(hours=-1)
    await bench.process.db.write(lambda conn: stepping.move(conn, -HOUR, times.real() + HOUR))
    await bench.works()
    assert await bench.lines("outgoing") == []
    hours.pass_by(minutes=1)
    await bench.works()
    assert len(await bench.lines("outgoing")) == 1


async def test_patience_ends_though_the_clock_is_set_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for something that never comes waits as long as it says, and not an hour more."""
    hours = Hours(monkeypatch)
    await bench.opened()
    emoji = {"agent_id": MAYA, "channel": THREAD[0], "ts": "1700000000.000002", "name": "+1", "is_on": True}
    await bench.process.outbox.claim("dispatcher", times.real(), limit=10)
    await bench.arrives(json.dumps(emoji | {"on_ours": True}), source="slack", lane="maya")
    await bench.works()
    assert (await bench.states())[-1][0] == "new"
    hours.set_clock(hours=-1)
    await bench.process.db.write(lambda conn: stepping.move(conn, -HOUR, times.real() + HOUR))
    for _ in range(2):
        hours.pass_by(minutes=3)
        await bench.works()
    assert (await bench.states())[-1][0] == "done"


@pytest.mark.parametrize("waited_s", [0.0, 30.0])
async def test_an_answer_is_not_lost_when_its_card_is_settled_between_two_looks(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, waited_s: float
) -> None:
    """Its conversation was looked for in vain, and a moment later no card was on its way any more: it stood by then.

    However long the answer has waited for that card.
    """
    hours = Hours(monkeypatch)
    await bench.arrives(written("Where is my order?"))
    await bench.works()
    await bench.arrives(posted("It left."), source="slack", lane="thread")
    look = bench.process.record.is_posting_cards
    if waited_s:
        await bench.works()
        assert (await bench.states())[-1][0] == "new", "its card is being posted"
        hours.pass_by(seconds=waited_s)

    async def settled_first(place: str) -> bool:
        await bench.opened_thread()
        await bench.all_sent()
        return await look(place)

    monkeypatch.setattr(bench.process.record, "is_posting_cards", settled_first)
    await bench.works()
    assert (await bench.states())[-1][0] == "new"
    hours.pass_by(seconds=1)
    await bench.works()
    assert len(await bench.lines("outgoing")) == 1


@pytest.mark.parametrize("settled", ["between two events", "between two looks"])
async def test_an_emoji_waits_for_a_post_of_ours_that_is_leaving(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, settled: str
) -> None:
    """Slack tells of it before it has answered our call: it counts once that post's id is known, also where that
    happens while it is looked for. One on somebody else's post waits for nothing.
    """
    hours = Hours(monkeypatch)
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
        hours.pass_by(seconds=1)
        await bench.works()
    assert [state for state, _ in await bench.states()] == ["done", "done", "done"]
    assert [json.loads(row["data"])["name"] for row in await bench.lines("reaction")] == ["+1"]


async def test_an_emoji_waits_for_nothing_that_left_after_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot stand on that: a channel where something is always being posted keeps nobody's next act waiting."""
    hours = Hours(monkeypatch)
    await bench.opened()
    look = {"agent_id": MAYA, "channel": THREAD[0], "thread_ts": "1700000000.000002", "conversation_id": None}
    press = look | {"action": "acknowledge", "value": "reaction", "on_ours": True}
    await bench.arrives(json.dumps(press), source="slack", lane="maya")
    hours.pass_by(seconds=3)
    assert await bench.process.outbox.claim("dispatcher", times.real(), limit=10)
    assert await bench.process.record.is_posting([THREAD[0]], times.real() + timedelta(seconds=3))
    for seconds in (0, 1):
        hours.pass_by(seconds=seconds)
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
    hours = Hours(monkeypatch)
    for seconds in (0, 1, 1, 1, 1, 1, 1):
        hours.pass_by(seconds=seconds)
        await bench.works()
    (waiting,) = [row for row in await bench.process.rows(tables.inbox) if row["source"] == "slack"]
    assert (waiting["state"], waiting["attempts"], waiting["reason"]) == ("new", 0, None)
    await bench.all_sent()
    hours.pass_by(seconds=2)
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
    await bench.opened_thread()
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
