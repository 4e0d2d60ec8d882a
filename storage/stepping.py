"""The machine's clock was set: what waits for a time of the old clock is moved along with it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import update

from storage.engines import Connection
from storage.tables import lanes, leases, limits, outbox, stamp

_TIMES = (lanes.c.lease_until, lanes.c.ready_at, leases.c.until, limits.c.not_before, outbox.c.not_before)
"""Every moment of real time that something waits for."""


async def move(conn: Connection, by: timedelta, now: datetime) -> int:
    """Move what lies ahead of `now` by as much as the clock was set; returns how many moments.

    Only for a database that one machine writes: what others wrote is by their clocks.
    """
    moved = 0
    for column in _TIMES:
        ahead = column > stamp(now)
        values = {column.name: column + by.total_seconds()}
        moved += int((await conn.execute(update(column.table).where(ahead).values(values))).rowcount)
    return moved


async def bring_nearer(conn: Connection, far: timedelta, now: datetime) -> int:
    """Make ready what waits for longer than `far` and nobody works on: stamped by the old clock, written after `move`.

    What waits so long for a reason of its own is only looked at early.
    """
    late = (lanes.c.owner.is_(None), lanes.c.ready_at > stamp(now + far))
    return int((await conn.execute(update(lanes).where(*late).values(ready_at=stamp(now)))).rowcount)
