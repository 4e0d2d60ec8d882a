"""What is to be sent is sent once, in order, and whatever becomes of it is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from domain.changes import Changes, DeliveryKind, Outgoing, Settle
from domain.errors import Conflict, LeaseLost
from storage import lanes, outbox, paces, tables
from storage import outgoing as outgoing_rows
from storage.engines import Connection
from storage.outbox import Claim, Outcome
from tests import patience
from tests.contracts import storage_kit
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import NOW, Process, at, new_id, outgoing, sending, story

UPDATE: dict[str, Any] = {"kind": DeliveryKind.DESK_UPDATE, "collapse": True, "bucket": "slack:C1"}


async def add(process: Process, *items: Outgoing) -> None:
    await process.decide(sending(*items))


async def claim(process: Process, seconds: float = 0, **options: Any) -> list[Claim]:
    return await process.outbox.claim(process.owner, at(seconds), **({"limit": 100} | options))


async def settle(process: Process, claimed: Claim, state: str, seconds: float = 0, **fields: Any) -> list[Claim]:
    outcome = Outcome(claim=claimed, state=state, **fields)
    return await process.db.write(lambda conn: outbox.settle(conn, process.owner, [outcome], at(seconds)))


async def states(process: Process) -> dict[str, str]:
    return {row["idem_key"]: row["state"] for row in await process.rows(tables.outbox)}


# Adding


async def test_the_head_of_each_lane_is_claimed_and_marked(one: Process) -> None:
    """Only the oldest row of a lane is sent; `sending` is committed before anybody sends."""
    await add(one, outgoing("a", "a1"), outgoing("b", "b1"), outgoing("a", "a2"))
    claims = await claim(one)
    assert {found.lane for found in claims} == {"a", "b"}
    assert not any(found.row.unclear for found in claims)
    assert await states(one) == {"a1": "sending", "b1": "sending", "a2": "todo"}


async def test_a_row_comes_out_as_it_was_put_in(one: Process) -> None:
    """Names, part and data are what the decision said."""
    item = outgoing(
        "a",
        "key",
        kind=DeliveryKind.DESK_ENTRY,
        bucket="slack:C1",
        conversation_id=new_id(),
        identity_id=new_id(),
        entry_id=new_id(),
        part=3,
        urgency=2,
        data={"text": "ünïcode \x00 \ud800 退款", "n": 1, "deep": [None, True]},
    )
    await add(one, item)
    (found,) = await claim(one)
    row = found.row
    assert (row.id, row.lane, row.kind, row.bucket) == (item.id, "a", DeliveryKind.DESK_ENTRY, "slack:C1")
    assert (row.conversation_id, row.identity_id, row.entry_id) == (
        item.conversation_id,
        item.identity_id,
        item.entry_id,
    )
    assert (row.part, row.urgency, row.attempts, row.created_at, row.sending_at) == (3, 2, 0, NOW, None)
    assert row.data == item.data


async def test_the_same_decision_run_twice_sends_once(start: Start) -> None:
    """The key of a row is unique for all time: also after it was sent, also from another process."""
    one, two = await start("one"), await start("two")
    await add(one, outgoing("a", "key"), outgoing("a", "key"))
    await add(two, outgoing("a", "key"))
    (found,) = await claim(one)
    assert await settle(one, found, "sent") == []
    await add(two, outgoing("a", "key"))
    assert await claim(two) == []
    assert await states(one) == {"key": "sent"}


async def test_a_row_for_later_waits_and_holds_its_lane(one: Process) -> None:
    """An undo window, or a back-off: nothing overtakes it in its lane."""
    await add(one, outgoing("a", "first", not_before=at(5)), outgoing("a", "second"))
    assert await claim(one, 4) == []
    async with one.db.read() as conn:
        assert await lanes.next_ready(conn, "out") == tables.stamp(at(5))
    (found,) = await claim(one, 5)
    assert (await states(one))["first"] == "sending"
    (following,) = await settle(one, found, "sent", 5)
    assert following.row.id != found.row.id


async def test_urgency_chooses_between_lanes_only(one: Process) -> None:
    """An urgent row brings its whole lane forward, behind its own older rows."""
    await add(one, outgoing("calm", "c1"))
    await add(one, outgoing("busy", "b1"), outgoing("busy", "b2", urgency=3))
    assert [found.lane for found in await claim(one, limit=1)] == ["busy"]
    assert await states(one) == {"c1": "todo", "b1": "sending", "b2": "todo"}


async def test_an_urgent_lane_calms_down_when_it_is_empty(one: Process) -> None:
    """Yesterday's urgency gives no precedence today."""
    await add(one, outgoing("was urgent", "u1", urgency=3))
    (found,) = await claim(one)
    await settle(one, found, "sent")
    await one.decide(sending(outgoing("calm", "c1")), now=at(1))
    await one.decide(sending(outgoing("was urgent", "u2")), now=at(2))
    assert [found.lane for found in await claim(one, 3, limit=1)] == ["calm"]


# Collapsing


async def test_card_updates_collapse_while_one_waits(one: Process) -> None:
    """Ten changes to a card in a row are one update; each lane has its own."""
    await add(one, *(outgoing("card:1", f"u{number}", **UPDATE) for number in range(3)))
    await add(one, outgoing("card:1", "u9", **UPDATE), outgoing("card:2", "other", **UPDATE))
    assert set(await states(one)) == {"u0", "other"}


async def test_an_update_that_is_being_sent_does_not_swallow_the_next(one: Process) -> None:
    """It may have been rendered before the change: the new state needs an update of its own."""
    await add(one, outgoing("card:1", "first", **UPDATE))
    (found,) = await claim(one)
    await add(one, outgoing("card:1", "second", **UPDATE))
    (following,) = await settle(one, found, "sent")
    assert following.row.kind is DeliveryKind.DESK_UPDATE
    assert await states(one) == {"first": "sent", "second": "sending"}


@pytest.mark.postgres
@pytest.mark.usefixtures("unhurried")
async def test_a_change_is_never_swallowed_by_an_update_sent_before_it(postgres_database: Callable[[], str]) -> None:
    """However a decision and the dispatcher interleave: an update is claimed after the decision or waits anew.

    (On SQLite they cannot: one writer, one transaction at a time.)
    """
    database_url, keys_url = postgres_database(), postgres_database()
    async with (
        storage_kit.process(database_url, keys_url, "worker") as worker,
        storage_kit.process(database_url, keys_url, "dispatcher") as dispatcher,
    ):
        for number in range(15):
            await add(worker, outgoing("card:1", f"first{number}", **UPDATE))
            has_decided, may_commit = asyncio.Event(), asyncio.Event()

            async def decide(
                conn: Connection,
                key: str = f"second{number}",
                decided: asyncio.Event = has_decided,
                commit: asyncio.Event = may_commit,
            ) -> None:
                await outgoing_rows.add(conn, [outgoing("card:1", key, **UPDATE)], NOW)
                decided.set()
                await asyncio.wait_for(commit.wait(), patience.LONG_S)

            deciding = asyncio.create_task(worker.db.write(decide))
            await has_decided.wait()
            claiming = asyncio.create_task(claim(dispatcher))
            await asyncio.sleep(0.02)
            sent_before_commit = claiming.done() and bool(await claiming)
            may_commit.set()
            await deciding
            claims = await claiming
            waiting = "todo" in (await states(worker)).values()
            assert waiting or not sent_before_commit
            while claims or (claims := await claim(dispatcher)):
                claims = await settle(dispatcher, claims[0], "sent")


# What becomes of a row


async def test_a_receipt_is_kept_and_the_next_row_taken(one: Process) -> None:
    """The platform's id and time stand with the entry; the lane goes on in the same transaction."""
    ann = story()
    entry = ann.said("hello")
    await one.decide(ann.opening(), Changes(reason="said", entries=(entry,)))
    chat = {"conversation_id": ann.conversation.id, "entry_id": entry.id}
    await add(one, outgoing("a", "a1", **chat), outgoing("a", "a2", part=1, **chat))
    (found,) = await claim(one)
    (following,) = await settle(one, found, "sent", 2, platform_id="77", at=at(1))
    await settle(one, following, "sent", 3, platform_id="78", place="C1")
    delivered = (await one.record.delivered([entry.id]))[entry.id]
    assert [(d.side, d.part, d.place, d.platform_id, d.at) for d in delivered] == [
        ("chat", 0, "", "77", at(1)),
        ("chat", 1, "C1", "78", at(3)),
    ]
    assert await one.outbox.counts() == {}


async def test_a_row_for_later_is_sent_again_and_counted(one: Process) -> None:
    """Its attempts grow, except where the attempt was free; its lane waits."""
    await add(one, outgoing("a", "a1"), outgoing("a", "a2"))
    (found,) = await claim(one)
    assert await settle(one, found, "todo", reason="flood", not_before=at(30)) == []
    assert await claim(one, 29) == []
    (found,) = await claim(one, 30)
    assert (found.row.attempts, found.row.unclear) == (1, False)
    await settle(one, found, "todo", 30, not_before=at(60), free=True)
    (found,) = await claim(one, 60)
    assert found.row.attempts == 1


async def test_an_unclear_row_holds_its_lane_and_says_so(one: Process) -> None:
    """It comes out marked, so that nobody sends it blindly again."""
    await add(one, outgoing("a", "a1"), outgoing("a", "a2"))
    (found,) = await claim(one)
    (again,) = await settle(one, found, "unclear", 1, reason="broke off")
    assert again.row.id == found.row.id
    assert again.row.unclear
    assert again.row.sending_at == NOW


async def test_a_crash_while_sending_leaves_the_row_unclear(start: Start) -> None:
    """When the lease ends another process gets the row marked unclear, not as new."""
    one, two = await start("one"), await start("two")
    await add(one, outgoing("a", "a1"))
    (lost,) = await claim(one)
    assert await claim(two, lanes.LEASE.total_seconds() - 1) == []
    (found,) = await claim(two, lanes.LEASE.total_seconds())
    assert found.row.unclear
    (found,) = await claim(two, 2 * lanes.LEASE.total_seconds())
    assert (found.row.unclear, found.row.attempts, found.row.sending_at) == (True, 2, NOW)
    with pytest.raises(LeaseLost):
        await settle(one, lost, "sent", lanes.LEASE.total_seconds())
    assert await states(one) == {"a1": "sending"}


async def test_a_dead_letter_is_listed_and_its_lane_goes_on(one: Process) -> None:
    """With its reason in words that any engine keeps; the following row is next."""
    await add(one, outgoing("a", "a1", conversation_id="C", data={"n": 1}), outgoing("a", "a2"))
    (found,) = await claim(one)
    (following,) = await settle(one, found, "dead", reason="blocked \x00\ud800" * 50)
    assert following.row.id != found.row.id
    (letter,) = await one.outbox.dead()
    assert (letter.id, letter.kind, letter.attempts, letter.conversation_id) == (found.row.id, "chat.text", 1, "C")
    assert letter.reason.startswith("blocked")
    assert letter.data == {"n": 1}
    assert await one.outbox.counts() == {"dead": 1, "sending": 1}


async def test_a_dead_letter_can_be_sent_again_or_dropped(one: Process) -> None:
    """Once each, and only a dead one; again means with a clean count."""
    await add(one, outgoing("a", "a1"), outgoing("b", "b1"))
    for found in await claim(one):
        await settle(one, found, "dead", reason="blocked")
    again, dropped = [letter.id for letter in await one.outbox.dead()]
    assert await one.outbox.retry(again, at(1))
    assert not await one.outbox.retry(again, at(1))
    assert await one.outbox.drop(dropped, at(1))
    assert not await one.outbox.drop(dropped, at(1))
    assert not await one.outbox.retry("unknown", at(1))
    (found,) = await claim(one, 1)
    assert (found.row.id, found.row.attempts, found.row.unclear) == (again, 0, False)


async def test_only_what_has_not_begun_can_be_cancelled(one: Process) -> None:
    """The undo window ends when sending begins: then the whole decision is undone, and nothing of it is written."""
    first, second, third = outgoing("a", "a1"), outgoing("a", "a2"), outgoing("b", "b1", not_before=at(5))
    await add(one, first, second, third)
    (found,) = await claim(one)
    with pytest.raises(Conflict):
        await one.decide(Changes(reason="undo", cancel=(first.id, second.id, third.id)))
    assert await states(one) == {"a1": "sending", "a2": "todo", "b1": "todo"}
    await one.decide(Changes(reason="undo", cancel=(second.id, third.id)))
    assert await states(one) == {"a1": "sending", "a2": "cancelled", "b1": "cancelled"}
    await settle(one, found, "sent")
    assert await claim(one, 10) == []
    with pytest.raises(Conflict):
        await one.decide(Changes(reason="undo", cancel=(first.id,)))


async def test_what_stands_behind_a_cancelled_row_goes_at_once(one: Process) -> None:
    """A row that is held holds its lane until it is cancelled; then the next one need not wait for its time."""
    held = outgoing("a", "a1", hold=timedelta(seconds=60))
    await add(one, held, outgoing("a", "a2"))
    assert await claim(one, 1) == []
    await one.decide(Changes(reason="undo", cancel=(held.id,)), now=at(2))
    (found,) = await claim(one, 2)
    assert (await states(one))["a2"] == "sending"
    assert found.row.id != held.id


async def test_sending_and_cancelling_race_to_one_end(one: Process) -> None:
    """Whoever writes first wins: each row is either sent or called back, never both and never neither."""
    items = [outgoing(f"r{number}", f"r{number}") for number in range(24)]
    await add(one, *items)

    async def call_back(item: Outgoing) -> bool:
        try:
            await one.decide(Changes(reason="undo", cancel=(item.id,)))
        except Conflict:
            return False
        return True

    claiming = asyncio.create_task(one.outbox.claim("me", at(1), limit=len(items)))
    called = await asyncio.gather(*(call_back(item) for item in items))
    claimed = await claiming
    sending = {claim.row.id for claim in claimed}
    back = {item.id for item, is_back in zip(items, called, strict=True) if is_back}
    assert sending.isdisjoint(back)
    assert sending | back == {item.id for item in items}
    found = await states(one)
    assert {name for name, state in found.items() if state == "sending"} == {
        f"r{number}" for number, item in enumerate(items) if item.id in sending
    }


@pytest.mark.parametrize(("again", "state"), [(True, "sending"), (False, "sent")])
async def test_a_person_settles_a_stopped_row(one: Process, again: bool, state: str) -> None:
    """Send again, or take as arrived: either way the parked lane goes on."""
    await add(one, outgoing("a", "a1"), outgoing("a", "a2"))
    (found,) = await claim(one)
    await settle(one, found, "unclear", 1, reason="broke off", park="unclear")
    assert await claim(one, 2) == []
    decision = Settle(outbox_id=found.row.id, again=again, failure="asked")
    await one.decide(Changes(reason="settled", settle=(decision,)), now=at(3))
    (following,) = await claim(one, 3)
    assert (following.row.id == found.row.id) is again
    assert following.row.data.get("over") == (["asked"] if again else None), "what was asked before is over"
    assert not following.row.unclear
    assert (await states(one))["a1"] == state


async def test_settling_what_is_not_stopped_changes_nothing(one: Process) -> None:
    """A button pressed twice, or too late, sends nothing a second time."""
    await add(one, outgoing("a", "a1"))
    (found,) = await claim(one)
    await settle(one, found, "sent")
    for outbox_id in (found.row.id, "unknown"):
        await one.decide(Changes(reason="settled", settle=(Settle(outbox_id=outbox_id, again=True),)))
    assert await states(one) == {"a1": "sent"}


# Limits and parked lanes


@pytest.mark.parametrize("closed", ["slack:C1", "slack"])
async def test_a_closed_limit_holds_every_lane_of_its_bucket(start: Start, closed: str) -> None:
    """A limit of a channel, or of the whole platform, is kept by all processes; other platforms go on."""
    one, two = await start("one"), await start("two")
    await add(
        one,
        outgoing("card", "k1", bucket="slack:C1", urgency=3),
        outgoing("thread", "t1", bucket="slack:C1"),
        outgoing("chat", "c1", bucket="telegram:4711"),
    )
    (found,) = await claim(one, limit=1)
    await settle(one, found, "todo", not_before=at(9), limit=(closed, at(9)))
    assert [found.lane for found in await claim(two, 8)] == ["chat"]
    assert {found.lane for found in await claim(two, 9)} == {"card", "thread"}


async def test_a_pace_lets_one_of_a_bucket_go_and_gives_the_others_their_times(one: Process) -> None:
    """The most urgent goes first; those behind come up a pace apart, not all at once; other buckets go on."""
    lines = {"calm": ("slack:C1", 0), "urgent": ("slack:C1", 3), "late": ("slack:C1", 0), "other": ("slack:C2", 0)}
    await add(one, *(outgoing(lane=lane, bucket=bucket, urgency=rank) for lane, (bucket, rank) in lines.items()))

    async def taken(seconds: float) -> list[str]:
        work = one.outbox.claiming(one.owner, lambda: at(seconds), limit=100, pace={"slack": 1.0})
        return sorted(found.lane for found in (await one.db.write(work)).claims)

    assert await taken(1) == ["other", "urgent"]
    assert await taken(1.5) == []
    assert await taken(2) == ["calm"]
    assert await taken(2.5) == []
    assert await taken(3) == ["late"]


async def test_what_waits_for_itself_takes_nobodys_turn(one: Process) -> None:
    """A row that is to go later by its own wish, or waits for a card that is not there, holds up no other customer."""
    entry = {"bucket": "slack:C1", "kind": DeliveryKind.DESK_ENTRY, "conversation_id": "nobody"}
    await add(one, outgoing("bare", "b1", urgency=3, **entry))
    (bare,) = await claim(one, limit=1)
    await settle(one, bare, "todo", not_before=at(2), reason=paces.NO_CARD)
    await add(
        one, outgoing("later", bucket="slack:C1", urgency=3, not_before=at(250)), outgoing("now", bucket="slack:C1")
    )
    await one.db.write(lambda conn: lanes.make_ready(conn, "out", {"later": (at(0).timestamp(), 3)}))

    async def taken(seconds: float) -> list[str]:
        work = one.outbox.claiming(one.owner, lambda: at(seconds), limit=100, pace={"slack": 1.0})
        return sorted(found.lane for found in (await one.db.write(work)).claims)

    assert await taken(3) == ["now"]
    assert await taken(9) == [], "its card is still not there"


async def test_a_pace_holds_across_processes(start: Start) -> None:
    """Two processes that look at the same moment do not both send into one bucket."""
    one, two = await start("one"), await start("two")
    await add(one, *(outgoing(f"lane{n}", bucket="slack:C1") for n in range(6)))

    async def taken(process: Process, seconds: float) -> int:
        work = process.outbox.claiming(process.owner, lambda: at(seconds), limit=1, pace={"slack": 1.0})
        return len((await process.db.write(work)).claims)

    for second in range(1, 4):
        both = await asyncio.gather(*(taken(process, second) for process in (one, two) for _ in range(3)))
        assert sum(both) == 1, second


async def test_a_limit_is_never_shortened_and_is_forgotten_when_it_has_passed(one: Process) -> None:
    """The longest wish of the platform counts."""

    async def close(conn: Connection) -> None:
        await paces.close(conn, "slack", at(60))
        await paces.close(conn, "slack", at(5))

    await one.db.write(close)
    await one.outbox.forget_limits(at(59))
    await add(one, outgoing("a", "a1", bucket="slack:C1"))
    assert await claim(one, 59) == []
    await one.outbox.forget_limits(at(60))
    assert await one.rows(tables.limits) == []
    assert len(await claim(one, 60)) == 1


async def test_turns_are_shared_by_all_processes(start: Start) -> None:
    """Of so many turns a minute no process gets one more, also when two ask at the same moment; each comes back."""
    one, two = await start("one"), await start("two")
    turns = [paces.Turns(process.db, "looks", most=5, within=timedelta(minutes=1)) for process in (one, two)]

    async def taken(seconds: float) -> int:
        return sum(await asyncio.gather(*(mine.take(at(seconds)) for mine in turns for _ in range(4))))

    assert await taken(0) == 5
    assert await taken(59) == 0
    await one.outbox.forget_limits(at(60))
    assert await taken(60) == 5


async def test_lanes_parked_for_a_reason_are_tried_one_at_a_time(one: Process) -> None:
    """After the fix one lane is tried; when it works, the rest follow in their order."""
    await add(one, outgoing("a", "a1"), outgoing("b", "b1"))
    for found in await claim(one):
        await settle(one, found, "todo", not_before=NOW, park="revoked", free=True)
    assert await claim(one, 60) == []
    (found,) = await claim(one, 61, limit=1, parked="revoked")
    assert await claim(one, 61, limit=1, parked="other") == []
    await settle(one, found, "sent", 61)
    assert await one.db.write(lambda conn: lanes.unpark_all(conn, "out", "revoked", at(62))) == 1
    (rest,) = await claim(one, 62)
    assert rest.lane != found.lane


# Many at once


async def test_dispatchers_share_the_lanes_and_keep_their_order(start: Start) -> None:
    """Three processes send at once: every row once, each lane in its order."""
    processes = [await start(f"p{number}") for number in range(3)]
    await add(processes[0], *(outgoing(f"lane {n % 10}", f"{n:03}") for n in range(100)))
    sent: list[str] = []

    async def dispatch(process: Process) -> None:
        while claims := await claim(process, limit=2):
            while claims:
                sent.extend(found.row.id for found in claims)
                outcomes = [Outcome(claim=found, state="sent") for found in claims]

                async def work(conn: Connection, done: list[Outcome] = outcomes) -> list[Claim]:
                    return await outbox.settle(conn, process.owner, done, NOW)

                claims = await process.db.write(work)

    await asyncio.gather(*(dispatch(process) for process in processes))
    rows = {row["id"]: row for row in await processes[0].rows(tables.outbox)}
    assert len(sent) == len(set(sent)) == 100
    for number in range(10):
        order = [rows[one]["seq"] for one in sent if rows[one]["lane"] == f"lane {number}"]
        assert order == sorted(order)
    assert {row["state"] for row in rows.values()} == {"sent"}


async def test_pieces_take_the_place_of_what_they_stand_for(one: Process) -> None:
    """An album that is taken apart stands in the chat where it was written: before the answers that already wait."""
    await add(one, outgoing("a", "album"), outgoing("a", "a2"), outgoing("b", "b1"), outgoing("a", "a3"))
    album = next(found for found in await claim(one) if found.lane == "a")
    pieces = tuple(outgoing("a", f"piece {number}") for number in range(3))
    (found,) = await settle(one, album, "cancelled", reason="taken_apart", pieces=pieces)
    await add(one, outgoing("a", "a4"))
    order: list[str] = []
    keys = {row["id"]: row["idem_key"] for row in await one.rows(tables.outbox)}
    while True:
        order.append(keys[found.row.id])
        following = await settle(one, found, "sent")
        if not following:
            break
        (found,) = following
    assert order == ["piece 0", "piece 1", "piece 2", "a2", "a3", "a4"]
