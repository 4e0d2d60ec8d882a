"""Fills the gaps: what agents wrote while we were not listening. Slack stops repeating it after minutes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from domain.errors import DeliveryError, RetryLater
from domain.ports import Accept, Desk, ThreadCursor
from storage.inbox import Inbox
from storage.outbox import Outbox
from storage.record import Record

log = structlog.get_logger()

THREADS = 300  # Slack allows some fifty look-ups a minute
LOOK_BACK = timedelta(minutes=2)  # clocks differ, and a stored post is deduplicated anyway
HOUSEKEEPING_EVERY = timedelta(hours=1)
PATIENCE_S = 30.0  # an answer waits no longer than this for a platform that cannot tell what came before it


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
        now: Callable[[], datetime],
    ) -> None:
        self._desk = desk
        self._record = record
        self._inbox = inbox
        self._outbox = outbox
        self._accept = accept
        self._every = every
        self._reconnected = reconnected
        self._now = now
        self._is_running = False
        # Threads that were read since the last connection came up, and when that was done (monotonic seconds).
        self._whole: dict[tuple[str, str], float] = {}
        self._since = now()
        self._asking: dict[tuple[str, str], float] = {}

    async def run(self) -> None:
        """Reconcile until cancelled."""
        kept = times.real() - HOUSEKEEPING_EVERY
        self._is_running = True
        while True:
            self._forget_if_reconnected()
            self._reconnected.clear()
            await self.fill()
            if times.real() - kept >= HOUSEKEEPING_EVERY:
                kept = times.real()
                await self._keep_house()
            await times.until(self._reconnected, self._every.total_seconds())

    async def fill(self) -> int:
        """Ask the desk for what we missed; returns how many events were new."""
        try:
            threads = await self._record.open_threads(THREADS)
            cursors = [
                ThreadCursor(place=place, thread_ts=ts, newest_ts=f"{(newest - LOOK_BACK).timestamp():.6f}")
                for place, ts, newest in threads
            ]
            found = await self._desk.missed(cursors, self._accept) if cursors else 0
            if not self._reconnected.is_set():
                done = time.monotonic()
                self._whole = {(place, ts): done for place, ts, _ in threads} | self._whole
        except (DeliveryError, SQLAlchemyError, OSError) as error:
            log.warning("reconciler.failed", error=type(error).__name__)
            return 0
        if found:
            log.info("reconciler.found", events=found)
        return found

    async def is_whole(self, place: str, thread_ts: str, conversation_id: str, *, by: float) -> bool:
        """True when nothing said earlier in a thread was missing at `by` (monotonic seconds).

        Otherwise what is missing is fetched, and the answer is False: look into the inbox again.

        What could not be delivered while nobody listened is repeated by the platform in no particular order, so the
        first thing heard in a thread after that may not be the first that was said. Raises RetryLater when the
        platform cannot be asked now.
        """
        self._forget_if_reconnected()
        thread = (place, thread_ts)
        if self._is_younger(thread_ts):
            return True
        if thread in self._whole:
            return self._whole[thread] < by
        newest = await self._record.newest_said(conversation_id)
        since = "" if newest is None else f"{(newest - LOOK_BACK).timestamp():.6f}"
        cursor = ThreadCursor(place=place, thread_ts=thread_ts, newest_ts=since)
        began = self._asking.setdefault(thread, time.monotonic())
        try:
            found = await self._desk.missed([cursor], self._accept)
        except DeliveryError as error:
            if isinstance(error, RetryLater) and time.monotonic() - began < PATIENCE_S:
                raise
            log.warning("reconciler.order_unproved", error=error.code)
            found = 0
        self._asking.pop(thread, None)
        self._whole[thread] = time.monotonic()
        if found:
            log.info("reconciler.found", events=found)
        return False

    def _is_younger(self, thread_ts: str) -> bool:
        """True for a thread that began while we listened."""
        try:
            return datetime.fromtimestamp(float(thread_ts), UTC) > self._since
        except (ValueError, OverflowError):
            return True

    def _forget_if_reconnected(self) -> None:
        if not self._reconnected.is_set():
            return
        self._whole.clear()
        self._asking.clear()
        self._since = self._now()
        if not self._is_running:  # another process fills the gaps; this one still has its own connections
            self._reconnected.clear()

    async def _keep_house(self) -> None:
        try:
            destroyed = await self._inbox.expire_keys(times.real())
            await self._outbox.forget_limits(times.real())
        except (SQLAlchemyError, OSError) as error:
            log.warning("housekeeping.failed", error=type(error).__name__)
            return
        if destroyed:
            log.info("housekeeping.keys_destroyed", days=destroyed)
