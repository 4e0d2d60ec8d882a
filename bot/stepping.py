"""Notices when the machine's clock is set, and moves along what waits for a time.

Leases, back-off and rate limits are moments of real time in the database. When the clock is set back by an hour they
lie an hour ahead, and a channel that had just been posted in would be silent for so long. When it is set forward, what
is being sent would look given up and be sent a second time: so the process stays on the old clock (`times.real`) until
they have been moved.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from storage import inbox, outbox, stepping
from storage.database import Database
from storage.engines import Connection

log = structlog.get_logger()

EVERY_S = 1.0
LATE_S = 0.5  # what was stamped by the old clock is written by then


class Stepping:
    """Compares the machine's clock with one that is never set."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._late = timedelta()  # what was stamped by the old clock is still to be brought nearer by this

    async def run(self) -> None:
        """Look until cancelled."""
        times.hold(times.apart())
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                try:
                    await self.look()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("clock.step_not_followed", error=type(error).__name__)  # looked at again
        finally:
            times.hold(None)

    async def look(self) -> float:
        """Follow a step since the last look; returns it in seconds, 0 where there was none.

        Raises what the database does; what was not done then is done in the next look.
        """
        apart = times.apart()
        by = times.step(apart)
        if by == 0.0:
            times.hold(apart)
        else:
            moved = (
                await self._move(apart, by) if self._db.is_sqlite else 0
            )  # elsewhere others wait by their own clocks
            times.hold(apart)
            log.warning("clock.stepped", seconds=round(by, 1), moved=moved)
        if self._late:
            await asyncio.sleep(LATE_S)
            await self._bring_nearer(self._late)
            self._late = timedelta()
        return by

    async def _move(self, apart: float, by: float) -> int:
        """Move what waits, and go over to the new clock with it; where that fails the old one stays."""
        before, step = times.real(), timedelta(seconds=by)  # the work may run again, on the new clock already

        async def work(conn: Connection) -> int:
            times.hold(apart - by)
            found = await stepping.move(conn, step, before)
            times.hold(apart)  # before anybody else writes by the old clock
            return found

        try:
            moved = await self._db.write(work, wake=(inbox.SIGNAL, outbox.SIGNAL))
        except Exception:
            times.hold(apart - by)
            raise
        if by < -LATE_S:
            self._late = min(self._late, step)
        return moved

    async def _bring_nearer(self, by: timedelta) -> None:
        await self._db.write(
            lambda conn: stepping.bring_nearer(conn, by, times.real()), wake=(inbox.SIGNAL, outbox.SIGNAL)
        )
