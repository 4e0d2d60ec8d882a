"""The machine's clock was set: what waits for a time of the old clock is moved along with it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update

from storage.engines import Connection
from storage.tables import lanes, leases, limits, outbox, stamp

BRIEF: Final = timedelta(seconds=30)
"""What waits no longer is left to wait: an answer that may be called back, a pause that a platform asked for."""
_TIMES = (lanes.c.lease_until, lanes.c.ready_at, leases.c.until, limits.c.not_before, outbox.c.not_before)
"""Every moment of real time that something waits for."""


async def move(conn: Connection, by: timedelta, now: datetime) -> int:
    """Move what lies ahead of the clock by as much as it was set; returns how many moments.

    `now` is by the old clock. Set back, what had just passed by the old one lies ahead again by the new one, and goes
    along: a channel that was posted in a moment ago is open. Only for a database that one machine writes: what others
    wrote is by their clocks.
    """
    moved = 0
    for column in _TIMES:
        ahead = column > stamp(min(now, now + by))
        values = {column.name: column + by.total_seconds()}
        moved += int((await conn.execute(update(column.table).where(ahead).values(values))).rowcount)
    return moved


async def bring_nearer(conn: Connection, by: timedelta, now: datetime) -> int:
    """After `move` for a clock that was set back (`by` is below zero): the same for what was stamped by the old clock
    and written later. `now` is by the new one; returns how many moments.

    What waits for so long for a reason of its own is looked at, or sent, early by as much at most.
    """
    far = by / -2
    late = (lanes.c.owner.is_(None), lanes.c.ready_at > stamp(now + far))
    moved = int((await conn.execute(update(lanes).where(*late).values(ready_at=stamp(now)))).rowcount)
    for column in (limits.c.not_before, outbox.c.not_before):
        ahead = column > stamp(now + max(far, BRIEF))
        values = {column.name: column + by.total_seconds()}
        moved += int((await conn.execute(update(column.table).where(ahead).values(values))).rowcount)
    return moved
