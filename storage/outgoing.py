"""What decisions put into the outbox: rows added, cancelled, and settled by a person."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from domain.changes import DeliveryKind, OutboxRef, Outgoing, Settle
from domain.errors import Conflict
from storage import lanes
from storage.database import insert_once
from storage.engines import Connection
from storage.tables import maybe_unstamp, one_of, outbox, stamp

OPEN = ("todo", "sending", "unclear")
"""States of what is not settled yet."""

# Statements are built once: building one costs several times its execution.
_COLLAPSING = select(outbox.c.lane, outbox.c.kind).where(
    outbox.c.lane.in_(bindparam("b_lanes", expanding=True)),
    one_of(outbox.c.state, OPEN),  # by their index
    outbox.c.state == "todo",
)
_CANCEL = (
    update(outbox)
    .where(outbox.c.id.in_(bindparam("b_ids", expanding=True)), outbox.c.state == "todo")
    .values(state="cancelled", settled_at=bindparam("b_now"))
    .returning(outbox.c.id)
)
_LANES_OF = select(outbox.c.lane).where(outbox.c.id.in_(bindparam("b_ids", expanding=True))).distinct()


async def add(conn: Connection, items: Sequence[Outgoing], now: datetime) -> None:
    """Append rows; one that was added before (same idem_key) or that collapses into a waiting one is left out."""
    if not items:
        return
    wanted: dict[str, tuple[float, int]] = {}
    for item in items:
        ready = stamp(now + item.hold)
        at, urgency = wanted.get(item.lane, (ready, 0))
        wanted[item.lane] = min(at, ready), max(urgency, item.urgency)
    # Lanes first, which locks them: whoever takes a waiting row afterwards waits for this commit and shows the new
    # state, and a row that was taken before is seen as taken and does not swallow ours.
    await lanes.make_ready(conn, "out", wanted)
    collapsing = {item.lane for item in items if item.collapse}
    waiting: set[tuple[str, str]] = set()
    if collapsing:
        found = await conn.execute(_COLLAPSING, {"b_lanes": list(collapsing)})
        waiting = {(lane, kind) for lane, kind in found}
    rows: list[dict[str, Any]] = []
    for item in items:
        if item.collapse:
            if (item.lane, item.kind.value) in waiting:
                continue
            waiting.add((item.lane, item.kind.value))
        rows.append(
            {
                "id": item.id,
                "lane": item.lane,
                "bucket": item.bucket,
                "kind": item.kind.value,
                "idem_key": item.idem_key,
                "conversation_id": item.conversation_id,
                "identity_id": item.identity_id,
                "entry_id": item.entry_id,
                "part": item.part,
                "urgency": item.urgency,
                "data": json.dumps(item.data),
                "created_at": stamp(now),
                "not_before": _not_before(item, now),
            }
        )
    if rows:
        await conn.execute(insert_once(conn.dialect.name, outbox), rows)


def _not_before(item: Outgoing, now: datetime) -> float:
    if item.not_before is None:
        return stamp(now + item.hold) if item.hold else 0.0
    return max(stamp(item.not_before), stamp(now + item.hold))


async def cancel(conn: Connection, ids: Collection[str], now: datetime) -> None:
    """Cancel rows that have not begun to be sent. Raises Conflict when one of them has, or is settled already."""
    if not ids:
        return
    # Lanes first, which locks them, as everywhere: whoever deals places anew holds the lane and waits for its rows.
    of = (await conn.execute(_LANES_OF, {"b_ids": list(ids)})).scalars()
    await lanes.make_ready(conn, "out", {lane: (stamp(now), 0) for lane in of})  # what stood behind it goes on
    found = list((await conn.execute(_CANCEL, {"b_ids": list(ids), "b_now": stamp(now)})).scalars())
    if len(found) < len(set(ids)):
        msg = "something that was to be cancelled has begun to be sent"
        raise Conflict(msg)


async def settle_by_person(conn: Connection, decision: Settle, now: datetime) -> None:
    """A person says what to do with a stopped or dead row: send it again, or take it as arrived."""
    query = select(outbox).where(outbox.c.id == decision.outbox_id, outbox.c.state.in_(("unclear", "dead")))
    row = (await conn.execute(query)).first()
    if row is None:
        return
    values = (
        {"state": "todo", "not_before": 0.0, "attempts": 0, "created_at": stamp(now)}  # given up after days from now on
        if decision.again
        else {"state": "sent", "settled_at": stamp(now)}
    )
    said: dict[str, object] = {"plain": True} if decision.plain else {}
    known = json.loads(row.data)
    if decision.again and decision.failure:
        said["over"] = [*known.get("over", ()), decision.failure]
    if said:
        values["data"] = json.dumps({**known, **said})
    await lanes.make_ready(conn, "out", {row.lane: (stamp(now), row.urgency)})  # first, as in `cancel`
    await lanes.park(conn, "out", row.lane, None)
    await conn.execute(update(outbox).where(outbox.c.id == decision.outbox_id).values(reason=None, **values))


def ref(row: Row[Any]) -> OutboxRef:
    """An outbox row as handlers see it."""
    return OutboxRef(
        id=row.id,
        kind=DeliveryKind(row.kind),
        lane=row.lane,
        state=row.state,
        entry_id=row.entry_id,
        part=row.part,
        attempts=row.attempts,
        sending_at=maybe_unstamp(row.sending_at),
        data=json.loads(row.data),
    )
