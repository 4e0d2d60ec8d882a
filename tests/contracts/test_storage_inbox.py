"""What arrived is stored once, survives, comes out in order, and is nobody's to read without the keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.model import Thread
from storage import inbox as inbox_rows
from storage import lanes, tables
from storage.engines import Connection
from storage.inbox import Claim
from tests import patience
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import NOW, Process, arrival, at, story


def payloads(claims: list[Claim]) -> list[list[str | None]]:
    return sorted(([row.payload for row in claim.rows] for claim in claims), key=str)


async def fail(process: Process, claim: Claim, reason: str, *, dead: bool) -> None:
    """Set the first row of a claim aside as the worker does."""

    async def work(conn: Connection) -> None:
        await lanes.check(conn, "in", process.owner, {claim.lane: claim.fence})
        await inbox_rows.fail(conn, claim.rows[0].id, claim.rows[0].attempts + 1, reason, dead=dead)
        await lanes.release(conn, "in", process.owner, [claim.lane], NOW)

    await process.db.write(work)


async def test_what_was_stored_comes_out_after_a_restart(start: Start) -> None:
    """Another process opens exactly what the first one stored, oldest first in each lane."""
    one = await start("one")
    assert await one.inbox.put([arrival("1", "a"), arrival("2", "b"), arrival("3", "a")], NOW) == 3
    claims = await (await start("two")).claim()
    assert payloads(claims) == [['{"n": "1"}', '{"n": "3"}'], ['{"n": "2"}']]
    row = next(row for claim in claims for row in claim.rows if row.payload == '{"n": "2"}')
    assert (row.source, row.kind, row.attempts, row.received_at) == ("telegram", "text", 0, NOW)


async def test_nothing_to_store_is_no_error(one: Process) -> None:
    """An empty batch stores nothing; an empty inbox gives nothing."""
    assert await one.inbox.put([], NOW) == 0
    assert await one.claim() == []


async def test_a_repeated_event_is_stored_once(one: Process) -> None:
    """Within a batch, in a later batch, after it was handled: the first one counts, and the count says so."""
    assert await one.inbox.put([arrival("1"), arrival("1", payload="again"), arrival("2")], NOW) == 2
    assert await one.inbox.put([arrival("2"), arrival("3")], NOW) == 1
    claims = await one.claim()
    assert payloads(claims) == [['{"n": "1"}', '{"n": "2"}', '{"n": "3"}']]
    await one.finish(claims)
    assert await one.inbox.put([arrival("1"), arrival("2"), arrival("3")], NOW) == 0
    assert await one.claim() == []


async def test_one_key_from_two_sources_is_two_events(one: Process) -> None:
    """Event keys are unique within their source only."""
    assert await one.inbox.put([arrival("1"), arrival("1", source="slack")], NOW) == 2


async def test_processes_that_store_the_same_events_at_once_store_each_once(start: Start) -> None:
    """A webhook that is redelivered to another host at the same moment makes no second row."""
    processes = [await start(name) for name in ("one", "two", "three")]
    batch = [arrival(str(number), f"lane {number % 7}") for number in range(60)]
    await asyncio.gather(
        *(
            process.inbox.put(order, NOW)
            for process, order in zip(processes, (batch, batch, batch[20:] + batch[:20]), strict=True)
        )
    )
    found = [row.payload for claim in await processes[0].claim() for row in claim.rows]
    assert sorted(found, key=str) == sorted((one.payload for one in batch), key=str)


async def test_nothing_of_an_event_is_stored_in_the_clear(one: Process) -> None:
    """Payload, event key and lane key name people: whoever copies the database reads none of them."""
    await one.inbox.put([arrival("key:of:anna", "lane:of:anna", payload='{"text": "Anna Beispiel"}')], NOW)
    await fail(one, (await one.claim())[0], "odd", dead=True)
    stored = await one.dump()
    assert not any(word in stored for word in (b"anna", b"Anna", b"Beispiel"))


async def test_a_payload_cannot_be_moved_to_another_event(one: Process) -> None:
    """A ciphertext copied from one row to another is refused, and says so."""
    await one.inbox.put([arrival("1"), arrival("2")], NOW)
    stolen = (await one.rows(tables.inbox))[0]["payload_sealed"]

    async def work(conn: Connection) -> None:
        await conn.execute(tables.inbox.update().values(payload_sealed=stolen))

    await one.db.write(work)
    rows = (await one.claim())[0].rows
    assert [row.payload for row in rows] == ['{"n": "1"}', None]


async def test_events_of_a_thread_go_into_the_lane_of_their_conversation(one: Process) -> None:
    """An agent's answer keeps its place among the customer's messages, whoever stored the thread."""
    ann = story()
    lane = one.inbox.lane("telegram", "chat:1")
    thread = Thread(channel="C0GENERAL", ts="1732.0001")
    await one.decide(replace(ann, conversation=replace(ann.conversation, lane=lane)).opening())
    slack: dict[str, Any] = {"source": "slack", "thread": ("C0GENERAL", "1732.0001")}
    await one.inbox.put([arrival("early", "x", **slack)], NOW)

    async def posted(conn: Connection) -> None:
        await conn.execute(tables.conversations.update().values(desk_thread=thread.ts))

    await one.db.write(posted)
    await one.inbox.put([arrival("customer", "chat:1"), arrival("agent", "x", **slack)], NOW)
    claims = {claim.lane: [row.payload for row in claim.rows] for claim in await one.claim()}
    assert claims.pop(lane) == ['{"n": "customer"}', '{"n": "agent"}']
    assert list(claims.values()) == [['{"n": "early"}']]


async def test_either_lane_of_a_thread_waits_for_what_was_said_first(one: Process) -> None:
    """Lines from before a thread was known, and lines of that time which were found later, come out in their order."""
    ann = story()
    own, lane = one.inbox.lane("slack", "C0GENERAL:1732.0001"), one.inbox.lane("telegram", "chat:1")
    thread = ("C0GENERAL", "1732.0001")
    await one.decide(replace(ann, conversation=replace(ann.conversation, lane=lane)).opening())

    async def said(name: str, position: float) -> None:
        await one.inbox.put([arrival(name, "x", source="slack", thread=thread, position=position)], NOW)

    async def is_first(where: str, position: float) -> bool:
        return await one.inbox.is_first_said("slack", thread, where, position)

    await said("early", 2.0)
    assert await is_first(own, 2.0), "nobody knows of another lane"

    async def posted(conn: Connection) -> None:
        await conn.execute(tables.conversations.update().values(desk_thread=thread[1]))

    await one.db.write(posted)
    await said("found", 1.0)
    await said("later", 3.0)
    await one.inbox.put([arrival("customer", "chat:1")], NOW)
    assert [await is_first(lane, 1.0), await is_first(own, 2.0), await is_first(lane, 3.0)] == [True, False, False]
    claims = {claim.lane: claim for claim in await one.claim()}
    first = claims[lane].rows[0]
    assert first.payload == '{"n": "found"}'
    await one.db.write(lambda conn: inbox_rows.finish(conn, [first.id], NOW))
    assert [await is_first(own, 2.0), await is_first(lane, 3.0)] == [True, False]
    await one.db.write(lambda conn: inbox_rows.finish(conn, [row.id for row in claims[own].rows], NOW))
    assert await is_first(lane, 3.0)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"payload": '{"text": "\\u0000 \\ud800"}'}, id="escaped"),
        pytest.param({"payload": '{"text": "\x00"}'}, id="NUL"),
        pytest.param({"payload": '{"text": "\ud800"}'}, id="lone surrogate"),
        pytest.param({"payload": ""}, id="empty"),
        pytest.param({"payload": "x" * 3_000_000}, id="huge"),
        pytest.param({"kind": "odd\x00\ud800" * 40}, id="kind"),
        pytest.param({"lane_key": "\ud800\x00" * 1_000}, id="lane"),
        pytest.param({"event_key": "\ud800\x00" * 1_000}, id="key"),
        pytest.param({"thread": ("\ud800\x00", "x" * 500)}, id="thread"),
    ],
)
async def test_an_odd_event_is_stored_and_keeps_nobody_out(one: Process, odd: dict[str, Any]) -> None:
    """Whatever a platform sends is stored as it is: an intake that fails would be sent the same again for ever."""
    strange = replace(arrival("odd", "odd"), **odd)
    assert await one.inbox.put([strange, arrival("good", "good")], NOW) == 2
    found = [row.payload for claim in await one.claim() for row in claim.rows]
    assert set(found) == {strange.payload, '{"n": "good"}'}
    assert await one.inbox.put([strange], NOW) == 0


async def test_a_done_event_keeps_its_key_and_loses_its_payload(one: Process) -> None:
    """What happened stands in the timeline; the inbox remembers only that it was here."""
    await one.inbox.put([arrival("1")], NOW)
    claims = await one.claim()
    await one.finish(claims)
    (row,) = await one.rows(tables.inbox)
    assert row["payload_sealed"] is None
    assert row["state"] == "done"
    assert await one.inbox.payload(row["id"]) is None


async def test_more_events_than_one_claim_takes_come_in_turn(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst is worked off in pieces; no lane loses its order or its rest."""
    monkeypatch.setattr(inbox_rows, "ROWS_PER_CLAIM", 7)
    await one.inbox.put([arrival(f"{number:03}", f"lane {number % 3}") for number in range(50)], NOW)
    seen: dict[str, list[str | None]] = {}
    for _ in range(30):
        claims = await one.claim()
        for claim in claims:
            seen.setdefault(claim.lane, []).extend(row.payload for row in claim.rows)
        await one.finish(claims)
    assert sum(len(found) for found in seen.values()) == 50
    assert all(found == sorted(found, key=str) for found in seen.values())


async def test_what_was_said_first_comes_first_out_of_a_long_backlog(
    one: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier post that arrived behind more than one claim takes still comes out before the later ones."""
    monkeypatch.setattr(inbox_rows, "ROWS_PER_CLAIM", 5)
    late = [arrival(f"{number:03}", "a", source="slack", position=float(number)) for number in range(10, 30)]
    await one.inbox.put(late, NOW)
    await one.inbox.put([arrival("001", "a", source="slack", position=1.0)], NOW)
    seen: list[str | None] = []
    for _ in range(8):
        claims = await one.claim()
        seen += [row.payload for claim in claims for row in claim.rows]
        await one.finish(claims)
    assert len(seen) == 21
    assert seen == sorted(seen, key=str)


async def test_events_with_a_position_come_out_in_its_order(one: Process) -> None:
    """Where a platform delivers out of order, its own order counts within the lane; what has none keeps its place."""
    slack: dict[str, Any] = {"source": "slack"}
    await one.inbox.put(
        [
            arrival("third", "a", position=3.0, **slack),
            arrival("customer", "a", source="slack"),
            arrival("first", "a", position=1.5, **slack),
            arrival("elsewhere", "b", position=0.5, **slack),
        ],
        NOW,
    )
    await one.inbox.put([arrival("second", "a", position=2.0, **slack)], NOW)
    claims = payloads(await one.claim())
    assert claims == [
        ['{"n": "elsewhere"}'],
        ['{"n": "first"}', '{"n": "customer"}', '{"n": "second"}', '{"n": "third"}'],
    ]


async def test_an_event_may_wait_for_an_earlier_one(one: Process) -> None:
    """It is stored at once and handled a moment later; one that waits for nothing brings the lane forward."""
    await one.inbox.put([arrival("2", settle_s=0.5, position=2.0)], NOW)
    assert await one.claim(at(0.4)) == []
    await one.inbox.put([arrival("1", settle_s=0.5, position=1.0)], at(0.4))
    assert payloads(await one.claim(at(0.5))) == [['{"n": "1"}', '{"n": "2"}']]


# Dead letters


async def test_a_failed_event_is_tried_again_and_counted(one: Process) -> None:
    """Its lane waits for it: the next claim starts with the same row."""
    await one.inbox.put([arrival("1"), arrival("2")], NOW)
    await fail(one, (await one.claim())[0], "not now", dead=False)
    rows = (await one.claim())[0].rows
    assert [(row.payload, row.attempts) for row in rows] == [('{"n": "1"}', 1), ('{"n": "2"}', 0)]


async def test_a_dead_letter_lets_its_lane_go_on(one: Process) -> None:
    """It is listed with its reason and without its payload, which a person may still ask for."""
    await one.inbox.put([arrival("1"), arrival("2")], NOW)
    await fail(one, (await one.claim())[0], "unreadable", dead=True)
    assert payloads(await one.claim(at(1))) == [['{"n": "2"}']]
    (letter,) = await one.inbox.dead()
    assert (letter.source, letter.kind, letter.reason, letter.attempts) == ("telegram", "text", "unreadable", 1)
    assert await one.inbox.payload(letter.id) == '{"n": "1"}'


@pytest.mark.parametrize("reason", ["", "x" * 5_000, "NUL \x00", "half a character \ud800", "\U0001f4a5" * 300])
async def test_any_reason_can_be_written(one: Process, reason: str) -> None:
    """Setting an event aside never fails for the words of the failure: it would come back for ever."""
    await one.inbox.put([arrival("1")], NOW)
    await fail(one, (await one.claim())[0], reason, dead=True)
    (letter,) = await one.inbox.dead()
    assert len(letter.reason) <= 200


async def test_a_dead_letter_can_be_tried_again(one: Process) -> None:
    """It is back in its lane with a clean count; only dead letters can be."""
    await one.inbox.put([arrival("1")], NOW)
    await fail(one, (await one.claim())[0], "unreadable", dead=True)
    (letter,) = await one.inbox.dead()
    assert await one.inbox.retry(letter.id, NOW)
    assert not await one.inbox.retry(letter.id, NOW)
    assert await one.inbox.dead() == []
    (claim,) = await one.claim(at(1))
    assert [(row.payload, row.attempts) for row in claim.rows] == [('{"n": "1"}', 0)]


async def test_a_dropped_letter_is_gone_and_stays_known(one: Process) -> None:
    """Its payload is destroyed, and the platform's repetition of it is still a repetition."""
    await one.inbox.put([arrival("1")], NOW)
    await fail(one, (await one.claim())[0], "unreadable", dead=True)
    (letter,) = await one.inbox.dead()
    assert await one.inbox.drop(letter.id, NOW)
    assert not await one.inbox.drop(letter.id, NOW)
    assert await one.inbox.dead() == []
    assert await one.inbox.payload(letter.id) is None
    assert await one.inbox.put([arrival("1")], NOW) == 0


async def test_an_unknown_letter_is_no_error(one: Process) -> None:
    """A mistyped number changes nothing and says so."""
    assert not await one.inbox.retry(99, NOW)
    assert not await one.inbox.drop(99, NOW)
    assert await one.inbox.payload(99) is None


# Keys of days


async def test_a_day_that_is_done_loses_its_key(one: Process) -> None:
    """Three days later what lies in old backups of the inbox is noise."""
    await one.inbox.put([arrival("1")], NOW)
    await one.finish(await one.claim())
    assert await one.inbox.expire_keys(NOW + timedelta(days=3)) == 0
    assert await one.inbox.expire_keys(NOW + timedelta(days=4)) == 1
    assert await one.keys.intake_keys([NOW.date()]) == {}


@pytest.mark.parametrize("dead", [False, True])
async def test_a_day_with_open_entries_keeps_its_key(one: Process, dead: bool) -> None:
    """Waiting entries and dead letters stay readable until somebody has dealt with them, and so do later days."""
    await one.inbox.put([arrival("1")], NOW)
    await one.inbox.put([arrival("2", "later")], NOW + timedelta(days=1))
    claims = {claim.rows[0].payload: claim for claim in await one.claim(NOW + timedelta(days=1))}
    await fail(one, claims['{"n": "1"}'], "odd", dead=dead)
    await one.finish([claims['{"n": "2"}']])
    assert await one.inbox.expire_keys(NOW + timedelta(days=90)) == 0
    if dead:
        (letter,) = await one.inbox.dead()
        assert await one.inbox.payload(letter.id) == '{"n": "1"}'
        await one.inbox.drop(letter.id, NOW)
    else:
        await one.finish(await one.claim(NOW + timedelta(days=2)))
    assert await one.inbox.expire_keys(NOW + timedelta(days=90)) == 2


async def test_an_event_whose_key_is_gone_comes_out_without_its_payload(one: Process) -> None:
    """It can still be set aside with a reason: a lane is never stuck on noise."""
    await one.inbox.put([arrival("1"), arrival("2")], NOW)
    await one.keys.destroy_intake_keys((NOW + timedelta(days=1)).date())
    (claim,) = await one.claim()
    assert [row.payload for row in claim.rows] == [None, None]


# Waking


async def test_storing_wakes_the_worker_of_every_process(start: Start) -> None:
    """In the same process at once, on PostgreSQL in any other as well."""
    here, there = await start("here"), await start("there")
    listening = [here] if here.db.is_sqlite else [here, there]

    async def both_listen() -> bool:
        await here.db.write(_nothing, wake=("told",))
        return all(process.db.signal("told").is_set() for process in listening)

    await patience.eventually(both_listen, what="the listeners are connected")
    for process in listening:
        process.db.signal(inbox_rows.SIGNAL).clear()
    await here.inbox.put([arrival("1")], NOW)
    for process in listening:
        await asyncio.wait_for(process.db.signal(inbox_rows.SIGNAL).wait(), patience.LONG_S)


async def _nothing(_conn: Connection) -> None:
    pass
