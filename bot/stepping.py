"""Notices when the machine's clock is set, and sees to it that nothing waits for a time that is far off now.

Leases, back-off and rate limits are moments of real time in the database. When the clock is set back by an hour they
lie an hour ahead: without this a channel that had just been posted in would be silent for an hour.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from storage import inbox, outbox, stepping
from storage.database import Database

log = structlog.get_logger()

EVERY_S = 1.0
NOTICED_S = 2.0  # less is what clocks are corrected by all the time


class Stepping:
    """Compares the machine's clock with one that is never set."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._apart = _apart()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.look()
            except (SQLAlchemyError, OSError) as error:
                log.warning("clock.step_not_followed", error=type(error).__name__)  # looked at again

    async def look(self) -> float:
        """Follow a step since the last look; returns it in seconds, 0 where there was none."""
        apart = _apart()
        by = apart - self._apart
        if abs(by) < NOTICED_S:
            self._apart = apart
            return 0.0
        moved = 0
        if by < 0 and self._db.is_sqlite:  # elsewhere other machines wait by their own clocks
            back, now = timedelta(seconds=-by), times.real()
            moved = await self._db.write(
                lambda conn: stepping.set_back(conn, back, now), wake=(inbox.SIGNAL, outbox.SIGNAL)
            )
        self._apart = apart
        log.warning("clock.stepped", seconds=round(by, 1), moved=moved)
        return by


def _apart() -> float:
    return times.real().timestamp() - time.monotonic()
