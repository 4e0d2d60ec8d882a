"""Deadlines in the database: the next alerts, by index, and the heartbeat of whoever sweeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select

from storage import lanes
from storage.database import Database, insert
from storage.engines import Connection
from storage.tables import clocks, heartbeats, stamp, unstamp


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A clock whose next alert has fallen due."""

    clock_id: str
    conversation_id: str
    alert_at: datetime


class Clocks:
    """Looking for what is due. The sweep re-reads each conversation before it acts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def due(self, now: datetime, *, limit: int) -> list[Due]:
        """Clocks whose next alert is not after `now` (product time), most overdue first."""
        query = (
            select(clocks.c.id, clocks.c.conversation_id, clocks.c.next_alert_at)
            .where(clocks.c.next_alert_at <= stamp(now))
            .order_by(clocks.c.next_alert_at)
            .limit(limit)
        )
        async with self._db.read() as conn:
            rows = (await conn.execute(query)).all()
        return [Due(clock_id=r.id, conversation_id=r.conversation_id, alert_at=unstamp(r.next_alert_at)) for r in rows]

    async def nearest(self) -> datetime | None:
        """When the next alert falls due (product time); None when no clock runs."""
        async with self._db.read() as conn:
            value = (await conn.execute(select(func.min(clocks.c.next_alert_at)))).scalar()
        return None if value is None else unstamp(value)

    async def beat(self, name: str, now: datetime) -> None:
        """Write that `name` is alive at `now` (real time)."""

        async def work(conn: Connection) -> None:
            statement = insert(conn, heartbeats).values(name=name, at=stamp(now))
            await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"at": stamp(now)}))

        await self._db.write(work)

    async def last_beat(self, name: str) -> datetime | None:
        """When `name` was last alive (real time)."""
        async with self._db.read() as conn:
            value = (await conn.execute(select(heartbeats.c.at).where(heartbeats.c.name == name))).scalar()
        return None if value is None else unstamp(value)

    async def lead(self, name: str, owner: str, now: datetime, term: timedelta) -> bool:
        """Take or keep the lease of a singleton; False while another process has it."""
        return await self._db.write(lambda conn: lanes.lead(conn, name, owner, now, term))
