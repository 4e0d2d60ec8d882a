"""While a channel is busy what waits in one thread goes out as one post: in order, each row with its own end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.changes import DeliveryKind, Outgoing
from storage import lanes, outbox, tables
from storage.joining import ALONE, CARD_UNITS, MOST_UNITS
from storage.outbox import Claim, Outcome
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import Process, at, new_id, outgoing, sending

PACE = {"slack": 0.001}


def message(key: str, lane: str = "thread", units: int | None = 10, **fields: Any) -> Outgoing:
    """A customer's message that is to be shown; `units` None: never joined."""
    data = {} if units is None else {"joins": units}
    entry = new_id()
    return outgoing(lane, key, kind=DeliveryKind.DESK_ENTRY, bucket="slack:C1", entry_id=entry, data=data, **fields)


def card(key: str = "card", lane: str = "thread") -> Outgoing:
    return outgoing(lane, key, kind=DeliveryKind.DESK_CARD, bucket="slack:C1")


async def claim(process: Process, seconds: float, *, paced: bool = True) -> list[Claim]:
    work = process.outbox.claiming(process.owner, lambda: at(seconds), limit=100, pace=PACE if paced else {})
    return (await process.db.write(work)).claims


async def settle(process: Process, claimed: Claim, state: str, seconds: float, **fields: Any) -> list[Claim]:
    outcome = Outcome(claim=claimed, state=state, **fields)
    return await process.db.write(lambda conn: outbox.settle(conn, process.owner, [outcome], at(seconds), pace=PACE))


async def first(process: Process, items: Sequence[Outgoing], seconds: float = 2, *, paced: bool = True) -> Claim:
    """What goes out in the first post once these rows wait."""
    await process.decide(sending(*items))
    (found,) = await claim(process, seconds, paced=paced)
    return found


def keys(found: Claim, items: Sequence[Outgoing]) -> list[str]:
    key_of = {item.id: item.idem_key for item in items}
    return [key_of[row.id] for row in found.rows]


async def states(process: Process) -> dict[str, str]:
    return {row["idem_key"]: row["state"] for row in await process.rows(tables.outbox)}


async def test_messages_that_wait_go_out_together_and_each_gets_its_receipt(one: Process) -> None:
    """One post, its place in the record of every message in it, and the lane goes on behind them."""
    items = [message("a"), message("b"), message("c"), message("file", units=None), message("d")]
    found = await first(one, items)
    assert keys(found, items) == ["a", "b", "c"]
    assert await states(one) == {"a": "sending", "b": "sending", "c": "sending", "file": "todo", "d": "todo"}
    following = await settle(one, found, "sent", 2, platform_id="1.5", place="C1")
    assert following == [], "the next of this channel has its time"
    kept = {row["entry_id"]: row["platform_id"] for row in await one.rows(tables.deliveries)}
    assert kept == {item.entry_id: "1.5" for item in items[:3]}
    assert [row.id for claimed in await claim(one, 3) for row in claimed.rows] == [items[3].id]


async def test_only_a_busy_channel_joins(start: Start) -> None:
    """What has not waited a second goes by itself, and so does everything where no pace is kept."""
    assert not (await first(await start("one"), [message("a"), message("b")], 0.5)).company
    other = [message("c", "other"), message("d", "other")]
    assert not (await first(await start("two"), other, 2, paced=False)).company


async def test_a_post_never_gets_too_long(one: Process) -> None:
    """What would be more than anybody reads, or than Slack takes, comes in the next post."""
    assert not (await first(one, [message("a", units=MOST_UNITS - 5), message("b", units=6)])).company


async def test_a_card_that_had_to_wait_carries_the_first_words(one: Process) -> None:
    """Short ones, and few: thirty cards are read at a glance. The others come in the thread."""
    items = [card(), message("a", units=100), message("b", units=CARD_UNITS - 100), message("c", units=1)]
    assert keys(await first(one, items), items) == ["card", "a", "b"]


async def test_what_was_being_sent_together_is_looked_up_together(start: Start) -> None:
    """After a crash the group is what it was, whatever came meanwhile; found or not, no message stands twice."""
    one, two = await start("one"), await start("two")
    items = [message("a"), message("b")]
    assert keys(await first(one, items), items) == ["a", "b"]
    await one.decide(sending(message("c")))
    late = lanes.LEASE.total_seconds() + 2
    (found,) = await claim(two, late)
    assert [row.id for row in found.rows] == [item.id for item in items]
    assert all(row.unclear for row in found.rows)
    assert [row.attempts for row in found.rows] == [1, 1]
    await settle(two, found, "sent", late, platform_id="1.5", place="C1")
    assert await states(two) == {"a": "sent", "b": "sent", "c": "todo"}


async def test_rows_that_failed_together_go_apart(one: Process) -> None:
    """One of them cannot be shown: each is tried by itself, so that only that one is set aside."""
    found = await first(one, [message("a"), message("b")])
    assert len(found.rows) == 2
    await settle(one, found, "todo", 2, reason=ALONE, not_before=at(2), free=True)
    (head,) = await claim(one, 3)
    assert [row.attempts for row in head.rows] == [0], "it has not counted, and nobody goes with it"
    await settle(one, head, "dead", 3, reason="invalid_blocks")
    (second,) = await claim(one, 4)
    await settle(one, second, "sent", 4, platform_id="1.7", place="C1")
    assert await states(one) == {"a": "dead", "b": "sent"}


async def test_a_lane_is_as_urgent_as_what_waits_in_it(one: Process) -> None:
    """An urgent message behind a calm card takes its whole lane before the others."""
    await one.decide(sending(card("calm", "calm"), card("first", "urgent"), message("now", "urgent", urgency=3)))
    (found,) = await claim(one, 0.1)
    assert found.lane == "urgent"
