"""What is posted together: while a channel is busy, the waiting messages of one thread go out as one post.

A row that may be joined says so in its data: `joins` is how long its words are, in UTF-16 units. Rows are joined only
as they stand in their lane, one right behind the other, so that order never changes and nothing is passed over: a
file, a question or a change of an earlier message between two messages keeps them apart. What was marked `sending`
together is looked up together after a crash, under the id of its head, which stands in the post's metadata with the
ids of the others.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, select

from domain.changes import DeliveryKind
from domain.model import EntryKind
from storage.engines import Connection
from storage.tables import conversations, deliveries, one_of, outbox, stamp, timeline

JOIN_AFTER = timedelta(seconds=1)
"""Only a head that has waited this long takes others along: in quiet times every message is a post of its own."""
MOST_ROWS, MOST_UNITS = 12, 6000
"""Of one post: what is longer is not read, and Slack takes some 13,000 characters."""
CARD_ROWS, CARD_UNITS = 3, 360
"""Carried by a card that is only now posted: it must stay short enough to read thirty of them."""
ALONE = "alone"
"""The reason of a row that was in a group which could not be sent: it goes by itself, and is judged by itself."""

_BEHIND = (
    select(
        outbox.c.seq,
        func.row_number().over(partition_by=outbox.c.lane, order_by=outbox.c.seq).label("place"),
    )
    .where(
        outbox.c.lane.in_(bindparam("b_lanes", expanding=True)), one_of(outbox.c.state, ("todo", "sending", "unclear"))
    )
    .subquery()
)
FIRST_ROWS = (
    select(outbox)
    .where(outbox.c.seq.in_(select(_BEHIND.c.seq).where(_BEHIND.c.place <= MOST_ROWS)))
    .order_by(outbox.c.lane, outbox.c.seq)
)
_STANDS = and_(
    one_of(deliveries.c.side, ("desk",)),
    timeline.c.id == deliveries.c.entry_id,
    timeline.c.kind == EntryKind.INCOMING.value,
)
STANDING = (
    select(timeline)
    .where(
        deliveries.c.platform_id == bindparam("b_ts"),
        deliveries.c.place == bindparam("b_place"),
        _STANDS,
    )
    .order_by(timeline.c.seq)
)
CARRIED = select(timeline).where(
    conversations.c.id.in_(bindparam("b_ids", expanding=True)),
    deliveries.c.platform_id == conversations.c.desk_thread,
    deliveries.c.place == conversations.c.desk_channel,
    _STANDS,
)
"""The messages that stand in the cards of these conversations themselves."""
EDITS = (
    select(timeline)
    .where(
        timeline.c.conversation_id.in_(bindparam("b_ids", expanding=True)),
        timeline.c.kind == EntryKind.INCOMING_EDIT.value,
        timeline.c.reply_to.in_(bindparam("b_messages", expanding=True)),
    )
    .order_by(timeline.c.seq)
)
"""What was changed of these messages of the customers of these conversations."""


async def groups(
    conn: Connection, heads: Iterable[Row[Any]], now: datetime, *, paced: bool
) -> dict[str, list[Row[Any]]]:
    """What goes with these heads of lanes, by lane; lanes whose head goes alone are left out.

    A head that was being sent when something broke off keeps the company it had.
    """
    wanted = {head.lane: head for head in heads if head.state != "todo" or (paced and _may_lead(head, now))}
    if not wanted:
        return {}
    found: dict[str, list[Row[Any]]] = {}
    for row in await conn.execute(FIRST_ROWS, {"b_lanes": sorted(wanted)}):
        found.setdefault(row.lane, []).append(row)
    made = {lane: _behind(wanted[lane], rows, now) for lane, rows in found.items()}
    return {lane: rows for lane, rows in made.items() if rows}


def _may_lead(head: Row[Any], now: datetime) -> bool:
    if head.kind not in (DeliveryKind.DESK_CARD.value, DeliveryKind.DESK_ENTRY.value) or head.reason == ALONE:
        return False
    waited = stamp(now) - head.created_at >= JOIN_AFTER.total_seconds()
    return waited and (head.kind == DeliveryKind.DESK_CARD.value or _units(head) is not None)


def _behind(head: Row[Any], rows: Sequence[Row[Any]], now: datetime) -> list[Row[Any]]:
    behind = [row for row in rows if row.seq > head.seq]
    if head.state != "todo":
        return list(itertools.takewhile(lambda row: row.state != "todo", behind))
    is_card = head.kind == DeliveryKind.DESK_CARD.value
    most, room = (CARD_ROWS, CARD_UNITS) if is_card else (MOST_ROWS - 1, MOST_UNITS - (_units(head) or 0))
    found: list[Row[Any]] = []
    for row in behind[:most]:
        units = _units(row) if row.state == "todo" and row.reason != ALONE and row.not_before <= stamp(now) else None
        if units is None or units > room or (is_card and not units):
            break
        room -= units
        found.append(row)
    return found


def _units(row: Row[Any]) -> int | None:
    """How long a message's words are, None for a row that is never joined."""
    if row.kind != DeliveryKind.DESK_ENTRY.value:
        return None
    units = json.loads(row.data).get("joins")
    return units if isinstance(units, int) else None
