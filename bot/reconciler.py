"""Fills the gaps: what agents wrote in open threads while we were not listening, which Slack stops repeating after minutes."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from domain.errors import DeliveryError
from domain.ports import Accept, Desk, ThreadCursor
from storage.inbox import Inbox
from storage.outbox import Outbox
from storage.record import Record

log = structlog.get_logger()

THREADS = 300  # Slack allows some fifty look-ups a minute
LOOK_BACK = timedelta(minutes=2)  # clocks differ, and a stored post is deduplicated anyway
HOUSEKEEPING_EVERY = timedelta(hours=1)


class Reconciler:
    """Looks again on start, after every reconnect and every few minutes; keeps house now and then."""

    def __init__(
        self,
        *,
        desk: Desk,
        record: Record,
        inbox: Inbox,
        outbox: Outbox,
        accept: Accept,
        every: timedelta,
        reconnected: asyncio.Event,
    ) -> None:
        self._desk = desk
        self._record = record
        self._inbox = inbox
        self._outbox = outbox
        self._accept = accept
        self._every = every
        self._reconnected = reconnected

    async def run(self) -> None:
        """Reconcile until cancelled."""
        kept = times.real() - HOUSEKEEPING_EVERY
        while True:
            self._reconnected.clear()
            await self.fill()
            if times.real() - kept >= HOUSEKEEPING_EVERY:
                kept = times.real()
                await self._keep_house()
            try:
                await asyncio.wait_for(self._reconnected.wait(), timeout=self._every.total_seconds())
            except TimeoutError:
                continue

    async def fill(self) -> int:
        """Ask the desk for what we missed; returns how many events were new."""
        try:
            threads = await self._record.open_threads(THREADS)
            cursors = [
                ThreadCursor(place=place, thread_ts=ts, newest_ts=f"{(newest - LOOK_BACK).timestamp():.6f}")
                for place, ts, newest in threads
            ]
            found = await self._desk.missed(cursors, self._accept) if cursors else 0
        except (DeliveryError, SQLAlchemyError, OSError) as error:
            log.warning("reconciler.failed", error=type(error).__name__)
            return 0
        if found:
            log.info("reconciler.found", events=found)
        return found

    async def _keep_house(self) -> None:
        try:
            destroyed = await self._inbox.expire_keys(times.real())
            await self._outbox.forget_limits(times.real())
        except (SQLAlchemyError, OSError) as error:
            log.warning("housekeeping.failed", error=type(error).__name__)
            return
        if destroyed:
            log.info("housekeeping.keys_destroyed", days=destroyed)
