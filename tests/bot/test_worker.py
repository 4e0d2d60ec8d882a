"""The worker, on a real database: what cannot be read, what still waits, and who is given what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update

from storage import tables
from storage.agents import Roster
from storage.engines import Connection
from tests.bot.bench import THREAD, Bench, posted, written
from tests.contracts.storage_kit import Process
from tests.handlers.kit import LINA, MAYA


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


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one batch"])
async def test_what_was_resolved_over_its_answers_is_open_again_without_them(bench: Bench, at_once: bool) -> None:
    """One was called back: the other, which still answers, is looked up. Without that nobody has answered."""
    await bench.opened()
    thread: dict[str, Any] = {"source": "slack", "lane": "thread", "thread": THREAD}
    await bench.arrives(posted("first"), posted("second", "1700000002.000001"), **thread)
    await bench.works()
    where = {"agent_id": MAYA, "channel": THREAD[0], "thread_ts": THREAD[1], "conversation_id": None}
    (first, second) = [
        json.dumps({**where, "action": "undo", "value": ts, "key": ts})
        for ts in ("1700000001.000001", "1700000002.000001")
    ]
    resolve = json.dumps({**where, "action": "resolve", "key": "resolve"})

    async def pressed(*presses: str) -> tuple[str, str]:
        for together in [presses] if at_once else [(one,) for one in presses]:
            await bench.arrives(*together, **thread)
            await bench.works()
        (conversation,) = await bench.process.rows(tables.conversations)
        return conversation["status"], conversation["delivery_state"]

    assert await pressed(resolve, second) == ("done", "waiting")
    assert await pressed(first) == ("open", "cancelled")


async def test_nothing_is_resolved_over_an_answer_of_which_nobody_knows(bench: Bench) -> None:
    """Another one was written since, for which the conversation waits: what is unclear is looked up."""
    await bench.opened()
    thread: dict[str, Any] = {"source": "slack", "lane": "thread", "thread": THREAD}
    await bench.arrives(posted("first"), posted("second", "1700000002.000001"), **thread)
    await bench.works()
    rows = [row for row in await bench.process.rows(tables.outbox) if row["kind"] == "chat.text"]

    async def unclear(conn: Connection) -> None:
        await conn.execute(update(tables.outbox).where(tables.outbox.c.id == rows[0]["id"]).values(state="unclear"))

    await bench.process.db.write(unclear)
    where = {"agent_id": MAYA, "channel": THREAD[0], "thread_ts": THREAD[1], "conversation_id": None}
    await bench.arrives(json.dumps({**where, "action": "resolve", "key": "resolve"}), **thread)
    await bench.works()
    told = [
        json.loads(row["data"])["text"] for row in await bench.process.rows(tables.outbox) if "whisper" in row["kind"]
    ]
    assert told == ["answer_unclear"]


async def test_what_no_database_takes_ends_no_process(bench: Bench) -> None:
    """An id that cannot even be looked up is counted against its own row; everybody else's messages are handled."""
    await bench.opened()
    await bench.arrives(posted("hello", user="\ud800"), source="slack", thread=THREAD)
    await bench.arrives(written("me too", address="2"), lane="2")
    await bench.works()
    assert [state for state, _ in await bench.states()] == ["done", "new", "done"]
    assert (await bench.states())[1][1] == "could not be written"


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


@pytest.mark.parametrize("action", ["mark_arrived", "retry"])
@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one batch"])
async def test_what_was_settled_in_this_batch_is_not_unclear(bench: Bench, at_once: bool, action: str) -> None:
    """Settled and resolved at once: the second press was told that it was still to be settled."""
    await bench.opened()
    thread: dict[str, Any] = {"source": "slack", "lane": "thread", "thread": THREAD}
    await bench.arrives(posted("first"), **thread)
    await bench.works()
    (row,) = [row for row in await bench.process.rows(tables.outbox) if row["kind"] == "chat.text"]

    async def unclear(conn: Connection) -> None:
        await conn.execute(update(tables.outbox).where(tables.outbox.c.id == row["id"]).values(state="unclear"))
        await conn.execute(update(tables.conversations).values(delivery_state="unclear"))

    await bench.process.db.write(unclear)
    where = {"agent_id": MAYA, "channel": THREAD[0], "thread_ts": THREAD[1], "conversation_id": None}
    presses = [
        json.dumps({**where, "action": action, "value": row["id"], "key": "m"}),
        json.dumps({**where, "action": "resolve", "key": "r"}),
    ]
    for together in [presses] if at_once else [[press] for press in presses]:
        await bench.arrives(*together, **thread)
        await bench.works()
    (conversation,) = await bench.process.rows(tables.conversations)
    told = [
        json.loads(row["data"])["text"] for row in await bench.process.rows(tables.outbox) if "whisper" in row["kind"]
    ]
    assert (conversation["status"], told) == ("done", [])


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "in one batch"])
async def test_a_double_click_sends_one_transcript(bench: Bench, at_once: bool) -> None:
    """The second says that it is coming; a colleague gets their own, and so does whoever asks again later."""
    await bench.opened()
    thread: dict[str, Any] = {"source": "slack", "lane": "thread", "thread": THREAD}
    where = {"channel": THREAD[0], "thread_ts": THREAD[1], "conversation_id": None, "action": "transcript"}
    presses = [
        json.dumps({**where, "agent_id": who, "key": str(key), "at": f"2026-06-12T10:00:{second:02}+00:00"})
        for key, (who, second) in enumerate([(MAYA, 29), (MAYA, 30), (LINA, 31)])
    ]
    presses.append(json.dumps({**where, "agent_id": MAYA, "key": "9", "at": "2026-06-12T10:02:00+00:00"}))
    for together in [presses] if at_once else [[press] for press in presses]:
        await bench.arrives(*together, **thread)
        await bench.works()
    rows = await bench.process.rows(tables.outbox)
    sent = [json.loads(row["data"])["user"] for row in rows if row["kind"] == "desk.transcript"]
    told = [json.loads(row["data"])["text"] for row in rows if "whisper" in row["kind"]]
    assert sent == [MAYA, LINA, MAYA]
    assert told == ["transcript", "transcript_coming", "transcript", "transcript"]
