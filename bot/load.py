"""How far behind this process's work is, and what is done about it: read simply, so that nothing waits for long.

Urgent lanes are taken first at any time. When the lane that waits longest has waited for `hurry_after`, messages are
read by the n-gram experts alone, several times as fast, until half of that is caught up. Nothing is left out: each
assessment names who read, doubts go to the triage queue as ever, and later messages of a conversation are read in full.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import metrics, times
from storage import lanes
from storage.database import Database
from storage.engines import Connection

log = structlog.get_logger()

LOOK_EVERY_S = 2.0


class Hurries(Protocol):
    """Whoever can read more simply for a while."""

    hurried: bool


class Load:
    """Watches how long work waits, in whatever process it came in."""

    def __init__(self, database: Database, reader: Hurries, hurry_after: timedelta | None) -> None:
        self._db = database
        self._reader = reader
        self._limit_s = None if hurry_after is None else hurry_after.total_seconds()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                try:
                    self.judge(await self.behind_s("in"))
                except (SQLAlchemyError, OSError) as error:
                    log.warning("load.not_measured", error=type(error).__name__)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            self._reader.hurried = False

    async def behind_s(self, side: str) -> float:
        """Seconds that the lane has waited which waits longest to be taken; 0 when none does."""

        async def read(conn: Connection) -> float | None:
            return await lanes.next_ready(conn, side)

        due = await self._db.query(read)
        return 0.0 if due is None else max(0.0, times.real().timestamp() - due)

    def judge(self, behind_s: float) -> None:
        """Hurry from the limit on, and stop when half of it is caught up."""
        if self._limit_s is None:
            return
        was = self._reader.hurried
        self._reader.hurried = behind_s >= self._limit_s if not was else behind_s > self._limit_s / 2
        metrics.degraded.labels(what="reading").set(self._reader.hurried)
        if self._reader.hurried != was:
            log.warning("load.hurried" if not was else "load.caught_up", behind_s=round(behind_s))
