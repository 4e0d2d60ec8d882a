"""The machine's clock was set back: what waits for a time of the old clock is moved along with it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import update

from storage.engines import Connection
from storage.tables import lanes, leases, limits, outbox, stamp

_TIMES = (lanes.c.lease_until, lanes.c.ready_at, leases.c.until, limits.c.not_before, outbox.c.not_before)
"""Every moment of real time that something waits for."""


async def set_back(conn: Connection, by: timedelta, now: datetime) -> int:
    """Bring what lies ahead of `now` nearer by `by`; returns how many moments that were.

    Only for a database that one machine writes: what others wrote is by their clocks.
    """
    moved = 0
    for column in _TIMES:
        ahead = column > stamp(now)
        result = await conn.execute(
            update(column.table).where(ahead).values({column.name: column - by.total_seconds()})
        )
        moved += int(result.rowcount)
    return moved
