"""A lane is worked on by one process at a time, in order, and comes back when that process dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import update

from domain.changes import Changes, Settle
from domain.errors import LeaseLost
from storage import lanes, outbox, tables
from storage.engines import Connection
from tests import patience
from tests.contracts import storage_kit
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import NOW, Process, arrival, at, outgoing, sending

AFTER_LEASE = NOW + lanes.LEASE


async def test_two_processes_share_the_lanes(start: Start) -> None:
    """Every lane goes to one of them; neither sees the other's."""
    one, two = await start("one"), await start("two")
    await one.inbox.put([arrival(str(number), f"lane {number}") for number in range(20)], NOW)
    first = await one.claim(limit=8)
    second = await two.claim()
    assert (len(first), len(second)) == (8, 12)
    assert not {claim.lane for claim in first} & {claim.lane for claim in second}
    assert await one.claim() == []


async def test_processes_that_claim_at_once_never_claim_the_same(start: Start) -> None:
    """Four processes, many lanes, all at the same moment: no lane is given twice."""
    processes = [await start(f"p{number}") for number in range(4)]
    await processes[0].inbox.put([arrival(str(number), f"lane {number}") for number in range(40)], NOW)
    rounds = [await asyncio.gather(*(process.claim(limit=5) for process in processes)) for _ in range(4)]
    claimed = [claim.lane for found in rounds for claims in found for claim in claims]
    assert len(claimed) == len(set(claimed)) == 40


async def test_a_leased_lane_waits_however_much_arrives(start: Start) -> None:
    """New messages of a busy lane wait for its holder: order before speed."""
    one, two = await start("one"), await start("two")
    await one.inbox.put([arrival("1")], NOW)
    held = await one.claim()
    await two.inbox.put([arrival("2")], at(1))
    assert await two.claim(at(2)) == []
    assert await two.claim(AFTER_LEASE - timedelta(seconds=1)) == []
    await one.finish(held, at(3))
    (claim,) = await two.claim(at(3))
    assert [row.payload for row in claim.rows] == ['{"n": "2"}']


async def test_a_leased_lane_wakes_nobody(one: Process) -> None:
    """What arrives in a busy lane is not looked for until its holder gives it back: nobody asks a hundred times a
    second meanwhile."""
    await one.inbox.put([arrival("1")], NOW)
    held = await one.claim()
    await one.inbox.put([arrival("2")], at(1))
    async with one.db.read() as conn:
        assert await lanes.next_ready(conn, "in") == AFTER_LEASE.timestamp()
    await one.finish(held, at(3))
    async with one.db.read() as conn:
        assert await lanes.next_ready(conn, "in") == at(3).timestamp()


async def test_a_process_that_stops_leaves_its_lanes_to_others(start: Start) -> None:
    """What it was deciding is taken up at once; what it was sending only when the lease ends."""
    one, two = await start("one"), await start("two")
    await one.inbox.put([arrival("1")], NOW)
    await one.decide(storage_kit.sending(storage_kit.outgoing("chat:1")))
    assert len(await one.claim()) == 1
    assert len(await one.outbox.claim("one", NOW, limit=9)) == 1
    await one.db.write(lambda conn: lanes.leave(conn, "one", at(1)))
    assert len(await two.claim(at(1))) == 1
    assert await two.outbox.claim("two", at(1), limit=9) == []
    (sending,) = await two.outbox.claim("two", AFTER_LEASE, limit=9)
    assert sending.row.unclear


async def test_a_finished_lane_is_given_back_empty(one: Process) -> None:
    """Nothing waits, nothing is ready, until something arrives."""
    await one.inbox.put([arrival("1")], NOW)
    await one.finish(await one.claim())
    async with one.db.read() as conn:
        assert await lanes.next_ready(conn, "in") is None
    assert await one.claim(at(3600)) == []
    await one.inbox.put([arrival("2")], at(4000))
    assert len(await one.claim(at(4000))) == 1


async def test_the_lane_of_a_dead_process_comes_back_when_its_lease_ends(start: Start) -> None:
    """Not before, and with a higher fence."""
    one, two = await start("one"), await start("two")
    await one.inbox.put([arrival("1")], NOW)
    (lost,) = await one.claim()
    async with one.db.read() as conn:
        assert await lanes.next_ready(conn, "in") == tables.stamp(AFTER_LEASE)
    assert await two.claim(AFTER_LEASE - timedelta(seconds=1)) == []
    (taken,) = await two.claim(AFTER_LEASE)
    assert taken.rows == lost.rows
    assert taken.fence > lost.fence


async def test_a_process_that_lost_its_lease_writes_nothing(start: Start) -> None:
    """It was only asleep: its late write is refused as a whole, and the new holder is not disturbed."""
    one, two = await start("one"), await start("two")
    await one.inbox.put([arrival("1"), arrival("2", "other")], NOW)
    late = await one.claim()
    taken = await two.claim(AFTER_LEASE, limit=1)
    with pytest.raises(LeaseLost):
        await one.finish(late, AFTER_LEASE)
    assert {row["state"] for row in await one.rows(tables.inbox)} == {"new"}
    await two.finish(taken, AFTER_LEASE)
    with pytest.raises(LeaseLost):
        await two.finish(taken, AFTER_LEASE)


async def test_a_lease_that_the_same_process_took_again_counts_as_lost(one: Process) -> None:
    """The fence, not the name, says who holds a lane."""
    await one.inbox.put([arrival("1")], NOW)
    late = await one.claim()
    again = await one.claim(AFTER_LEASE)
    with pytest.raises(LeaseLost):
        await one.finish(late, AFTER_LEASE)
    await one.finish(again, AFTER_LEASE)


async def test_renewing_keeps_every_lease_of_a_process(start: Start) -> None:
    """Slow work is not taken away from a process that lives."""
    one, two = await start("one"), await start("two")
    await one.inbox.put([arrival("1"), arrival("2", "other")], NOW)
    held = await one.claim()
    await one.db.write(lambda conn: lanes.renew(conn, "in", "one", at(20)))
    assert await two.claim(AFTER_LEASE) == []
    await one.finish(held, AFTER_LEASE)


async def test_a_lane_can_be_given_back_for_later(one: Process) -> None:
    """Something it needs is still under way: it is ready again at that time, and not before."""
    await one.inbox.put([arrival("1")], NOW)
    (claim,) = await one.claim()
    await one.db.write(lambda conn: lanes.release(conn, "in", "one", [claim.lane], NOW, at={claim.lane: at(300)}))
    assert await one.claim(at(299)) == []
    assert len(await one.claim(at(300))) == 1


async def test_restarting_gives_every_lease_back_at_once(one: Process) -> None:
    """Where no other process can be alive, a crash costs no waiting."""
    await one.inbox.put([arrival("1")], NOW)
    await one.claim()
    await one.db.write(lambda conn: lanes.release_everything(conn, at(1)))
    assert len(await one.claim(at(1))) == 1


async def test_the_lane_that_waited_longest_comes_first(one: Process) -> None:
    """No customer is starved by others who write more."""
    for number in range(6):
        await one.inbox.put([arrival(str(number), f"lane {number}")], at(number))
    order = [(await one.claim(at(10), limit=1))[0].rows[0].payload for _ in range(6)]
    assert order == [f'{{"n": "{number}"}}' for number in range(6)]


async def test_storing_while_a_lane_is_given_back_never_strands_a_message(start: Start) -> None:
    """However intake and release interleave, what was stored is ready afterwards: there is no lost wake-up."""
    intake, worker = await start("intake"), await start("worker")
    handled: list[str | None] = []

    async def store() -> None:
        for number in range(120):
            await intake.inbox.put([arrival(str(number), f"lane {number % 3}")], NOW)

    async def work(until: asyncio.Task[None]) -> None:
        idle = False
        while not (until.done() and idle):
            idle = until.done()
            claims = await worker.claim()
            handled.extend(row.payload for claim in claims for row in claim.rows)
            if claims:
                idle = False
                await worker.finish(claims)

    storing = asyncio.create_task(store())
    await work(storing)
    await storing
    assert sorted(handled, key=str) == sorted((f'{{"n": "{number}"}}' for number in range(120)), key=str)


@pytest.mark.postgres
@pytest.mark.usefixtures("unhurried")
async def test_a_message_stored_during_a_release_wakes_its_lane(postgres_database: Callable[[], str]) -> None:
    """The release waits for the storing that began before it, and then sees what was stored.

    (On SQLite the two cannot overlap: one writer, one transaction at a time.)
    """
    database_url, keys_url = postgres_database(), postgres_database()
    async with (
        storage_kit.process(database_url, keys_url, "intake") as intake,
        storage_kit.process(database_url, keys_url, "worker") as worker,
    ):
        await intake.inbox.put([arrival("1")], NOW)
        held = await worker.claim()
        has_stored, may_commit = asyncio.Event(), asyncio.Event()
        row = {"source": "telegram", "event_mac": "2" * 64, "lane": held[0].lane, "kind": "text", "received_at": 0.0}

        async def store(conn: Connection) -> None:
            await conn.execute(tables.inbox.insert(), [row])
            await lanes.make_ready(conn, "in", {held[0].lane: (tables.stamp(NOW), 0)})
            has_stored.set()
            await asyncio.wait_for(may_commit.wait(), patience.LONG_S)

        storing = asyncio.create_task(intake.db.write(store))
        await has_stored.wait()
        finishing = asyncio.create_task(worker.finish(held))
        await asyncio.sleep(0.1)
        may_commit.set()
        await asyncio.gather(storing, finishing)
        assert len(await worker.claim()) == 1


async def test_busy_processes_do_not_block_one_another(start: Start) -> None:
    """Intake, claims, renewals and releases over the same lanes in any order: no deadlock, nothing lost."""
    processes = [await start(f"p{number}") for number in range(3)]
    handled: list[int] = []

    async def store(process: Process, offset: int) -> None:
        for batch in range(12):
            names = [f"lane {(offset * 5 + batch + step * 7) % 20}" for step in range(10)]
            await process.inbox.put([arrival(f"{offset}.{batch}.{step}", name) for step, name in enumerate(names)], NOW)

    async def work(process: Process) -> None:
        for _ in range(12):
            claims = await process.claim(limit=8)
            await process.db.write(lambda conn: lanes.renew(conn, "in", process.owner, NOW))
            await process.finish(claims)
            handled.extend(row.id for claim in claims for row in claim.rows)

    await asyncio.gather(
        *(store(process, offset) for offset, process in enumerate(processes)),
        *(work(process) for process in processes),
    )
    while claims := await processes[0].claim():
        await processes[0].finish(claims)
        handled.extend(row.id for claim in claims for row in claim.rows)
    assert len(handled) == len(set(handled)) == 360


# Parked lanes


async def test_a_parked_lane_waits_for_its_reason_to_go(one: Process) -> None:
    """It is skipped while parked, counted by its reason, and goes on in its own order."""
    await one.inbox.put([arrival("1", "a"), arrival("2", "b"), arrival("3", "a")], NOW)
    lane = one.inbox.lane("telegram", "a")
    await one.db.write(lambda conn: lanes.park(conn, "in", lane, "revoked"))
    assert [claim.rows[0].payload for claim in await one.claim()] == ['{"n": "2"}']
    async with one.db.read() as conn:
        assert await lanes.parked_reasons(conn, "in") == {"revoked": 1}
    assert await one.db.write(lambda conn: lanes.unpark_all(conn, "in", "other", at(1))) == 0
    assert await one.db.write(lambda conn: lanes.unpark_all(conn, "in", "revoked", at(1))) == 1
    (claim,) = await one.claim(at(1))
    assert [row.payload for row in claim.rows] == ['{"n": "1"}', '{"n": "3"}']


# Singletons


async def test_a_singleton_has_one_leader_at_a_time(start: Start) -> None:
    """The first who asks leads while it keeps asking; when it falls silent another takes over."""
    one, two = await start("one"), await start("two")
    term = timedelta(seconds=15)
    assert await one.clocks.lead("poller", "one", NOW, term)
    assert not await two.clocks.lead("poller", "two", at(14), term)
    assert await one.clocks.lead("poller", "one", at(14), term)
    assert not await two.clocks.lead("poller", "two", at(28), term)
    assert await two.clocks.lead("poller", "two", at(29), term)
    assert not await one.clocks.lead("poller", "one", at(30), term)


async def test_candidates_that_ask_at_once_agree_on_one(start: Start) -> None:
    """Four processes started together poll once, not four times."""
    processes = [await start(f"p{number}") for number in range(4)]
    for name in ("poller", "sweep", "reconciler"):
        leads = await asyncio.gather(
            *(process.clocks.lead(name, process.owner, NOW, timedelta(seconds=15)) for process in processes)
        )
        assert sum(leads) == 1


async def test_a_leader_that_stops_hands_over_at_once(start: Start) -> None:
    """A graceful stop costs the others no waiting, and takes nothing from another leader."""
    one, two = await start("one"), await start("two")
    term = timedelta(seconds=15)
    await one.clocks.lead("poller", "one", NOW, term)
    await two.clocks.lead("sweep", "two", NOW, term)

    async def held(name: str) -> bool:
        return await two.db.query(lambda conn: lanes.is_held(conn, name))

    assert [await held(name) for name in ("poller", "sweep", "nobody")] == [True, True, False]
    await one.db.write(lambda conn: lanes.step_down(conn, "one"))
    assert [await held(name) for name in ("poller", "sweep")] == [False, True]
    assert await two.clocks.lead("poller", "two", at(1), term)
    assert not await one.clocks.lead("sweep", "one", at(1), term)


async def test_a_heartbeat_is_the_newest_one(one: Process) -> None:
    """Whoever asks learns when the sweep was last alive; never, if it never was."""
    assert await one.clocks.last_beat("sweep") is None
    await one.clocks.beat("sweep", NOW)
    await one.clocks.beat("sweep", at(5))
    assert await one.clocks.last_beat("sweep") == at(5)


async def test_work_on_one_side_leaves_the_other_alone(one: Process) -> None:
    """Inbox and outbox have lanes of their own, also under the same name."""

    async def ready(conn: Connection) -> None:
        await lanes.make_ready(conn, "in", {"x": (tables.stamp(NOW), 0)})
        await lanes.make_ready(conn, "out", {"x": (tables.stamp(NOW), 0)})

    await one.db.write(ready)
    assert await one.db.write(lambda conn: lanes.claim(conn, "out", "one", NOW, limit=9)) == {"x": 1}
    assert await one.db.write(lambda conn: lanes.claim(conn, "in", "one", NOW, limit=9)) == {"x": 1}
    with pytest.raises(LeaseLost):
        await one.db.write(lambda conn: lanes.check(conn, "in", "two", {"x": 1}))


@pytest.mark.parametrize("does", ["cancel", "settle"])
async def test_who_calls_back_waits_for_the_lane_before_its_rows(start: Start, does: str) -> None:
    """Two processes, one of which holds the lane and then moves the row: one waits for the other, never mutually."""
    one, other = await start("one"), await start("other")
    if one.db.is_sqlite:
        pytest.skip("one writer at a time: nothing is locked beside it")
    item = outgoing("a", "a1")
    await one.decide(sending(item))
    if does == "settle":
        (found,) = await one.outbox.claim(one.owner, NOW, limit=1)
        broken = outbox.Outcome(claim=found, state="unclear", reason="broke off", park="unclear")
        await one.db.write(lambda conn: outbox.settle(conn, one.owner, [broken], NOW))
    settled = Settle(outbox_id=item.id, again=True)
    change = Changes(reason="undo", **({"cancel": (item.id,)} if does == "cancel" else {"settle": (settled,)}))
    waiting: list[asyncio.Task[None]] = []

    async def holds(conn: Connection) -> None:
        await lanes.make_ready(conn, "out", {"a": (1.0, 0)})
        waiting.append(asyncio.create_task(other.decide(change)))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting[0]), 0.3)  # as far as it comes
        await conn.execute(update(tables.outbox).where(tables.outbox.c.id == item.id).values(seq=-tables.outbox.c.seq))

    await one.db.write(holds)
    await waiting[0]
    assert [row["state"] for row in await one.rows(tables.outbox)] == ["cancelled" if does == "cancel" else "todo"]
