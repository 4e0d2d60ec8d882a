"""Fills the gaps: what agents wrote while we were not listening. Slack stops repeating it after minutes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from domain.errors import DeliveryError, NotYet, RetryLater
from domain.ports import Accept, Desk, ThreadCursor
from storage import paces
from storage.database import Database
from storage.inbox import Inbox
from storage.outbox import Outbox
from storage.record import Record

log = structlog.get_logger()

LEASE = "reconciler"
THREADS = 300  # Slack allows some fifty look-ups a minute
LOOK_BACK = timedelta(minutes=2)  # clocks differ, and a stored post is deduplicated anyway
HOUSEKEEPING_EVERY = timedelta(hours=1)
PATIENCE_S = 30.0  # an answer waits no longer than this for a platform that cannot tell what came before it
DOUBT_S = 300.0  # so long a platform may take a dead connection for a living one, and so long it repeats what got lost
LOOKS_A_MINUTE = 40  # of the fifty look-ups that Slack allows, so many for looking behind answers while in doubt
LOOKS = "desk_looks"  # the name under which all processes share them: Slack counts them together
SPENT_S = 1.0  # so long nobody asks for another one in vain
LOOK_WITHIN_S = 3.0
LOOK_AGAIN = timedelta(seconds=2)
THREADS_REMEMBERED = 20_000
UNREAD_FOR_S = 3600.0  # what Slack refuses for now is told after so long; what only a person can mend, at once


def looks(database: Database) -> Callable[[], Awaitable[bool]]:
    """Takes one of the looks that all processes share: False where none is left for this minute."""
    turns = paces.Turns(database, LOOKS, most=LOOKS_A_MINUTE, within=timedelta(minutes=1))
    return lambda: turns.take(times.real())


@dataclass(frozen=True, slots=True)
class _Proof:
    """All that was said in a thread up to `said_at` (seconds, the platform's) is stored since `since` (monotonic)."""

    said_at: float
    since: float


class Reconciler:
    """Looks again on start, after every reconnect and every few minutes; keeps house now and then.

    `reconnected` is set when a connection came up anew, `doubted` at every sign that the platform may have told
    something that did not reach us: for the next minutes each answer is then looked behind before it is decided.
    `may_look` takes one of the looks that all processes share, and is False where none is left. `tell` is for the
    operator: "gap_unread" while what was missed cannot be read back, and "gap_read" once it is, after that was told.
    """

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
        doubted: asyncio.Event,
        now: Callable[[], datetime],
        may_look: Callable[[], Awaitable[bool]],
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._record = record
        self._inbox = inbox
        self._outbox = outbox
        self._accept = accept
        self._every = every
        self._reconnected = reconnected
        self._doubted = doubted
        self._now = now
        self._is_running = False
        # Threads that were read since the last connection came up, and when that was done (monotonic seconds).
        self._whole: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._since = now()
        self._asking: dict[tuple[str, str], float] = {}
        self._proved: OrderedDict[tuple[str, str], _Proof] = OrderedDict()
        self._in_doubt_until = 0.0  # monotonic, as are the next two
        self._rests_until = 0.0
        self._spent_until = 0.0
        self._may_look = may_look
        self._tell = tell
        self._unread_since: float | None = None  # monotonic
        self._is_told = False

    async def run(self) -> None:
        """Reconcile until cancelled."""
        kept = times.steady() - HOUSEKEEPING_EVERY
        self._is_running = True
        while True:
            self._notice()
            self._reconnected.clear()
            await self.fill()
            if times.steady() - kept >= HOUSEKEEPING_EVERY:
                kept = times.steady()
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
                for place, ts, _ in threads:
                    self._whole.setdefault((place, ts), done)
                _keep_newest(self._whole)
            await self._read()
        except (DeliveryError, SQLAlchemyError, OSError) as error:
            log.warning("reconciler.failed", error=type(error).__name__)
            if isinstance(error, DeliveryError):
                await self._unread(is_lasting=not isinstance(error, RetryLater))
            return 0
        if found:
            self._found(found)
        return found

    async def _unread(self, *, is_lasting: bool) -> None:
        """Somebody has to know that answers may lie unread in their threads; once, until they are read."""
        now = time.monotonic()
        self._unread_since = now if self._unread_since is None else self._unread_since
        if not self._is_told and (is_lasting or now - self._unread_since >= UNREAD_FOR_S):
            self._is_told = True
            await self._tell("gap_unread")

    async def _read(self) -> None:
        self._unread_since = None
        if self._is_told:
            self._is_told = False
            await self._tell("gap_read")

    async def is_whole(
        self, place: str, thread_ts: str, conversation_id: str, *, said_at: float, newest: float, by: float
    ) -> bool:
        """True when nothing said in a thread before `said_at` was missing at `by` (monotonic seconds).

        Otherwise what is missing is fetched, and the answer is False: look into the inbox again. `newest` is when the
        newest line was said that is known to be stored (seconds, the platform's clock, as `said_at` is).

        What could not be delivered while nobody listened is repeated by the platform in no particular order, so the
        first thing heard in a thread after that may not be the first that was said: each thread is read once after a
        connection came up. In doubt it is read after every answer was stored and before it is decided: then all that
        was said before is in what is read. Raises RetryLater or NotYet when the platform cannot be asked now.
        """
        self._notice()
        thread = (place, thread_ts)
        if self._is_in_doubt():
            proof = self._proved.get(thread)
            if proof is not None and said_at <= proof.said_at:
                return proof.since < by
            if self._is_resting(thread) or await self._takes_turn(thread):
                await self._look_behind(thread, conversation_id, newest)
                return False
        if self._is_younger(thread_ts):
            self._asking.pop(thread, None)
            return True
        if thread in self._whole:
            self._asking.pop(thread, None)
            return self._whole[thread] < by
        await self._look_behind(thread, conversation_id, newest)
        return False

    async def _look_behind(self, thread: tuple[str, str], conversation_id: str, newest: float) -> None:
        """Read a thread and store what is missing; when this returns nothing said up to `newest` is missing."""
        is_resting = self._is_resting(thread)
        said = await self._record.newest_said(conversation_id)
        since = "" if said is None else f"{(said - LOOK_BACK).timestamp():.6f}"
        cursor = ThreadCursor(place=thread[0], thread_ts=thread[1], newest_ts=since)
        began = self._asking.setdefault(thread, time.monotonic())
        found = 0
        try:
            if is_resting:
                raise TimeoutError
            async with asyncio.timeout(LOOK_WITHIN_S):
                found = await self._desk.missed([cursor], self._accept)
        except (DeliveryError, TimeoutError) as error:
            is_patient = time.monotonic() - began < PATIENCE_S
            if isinstance(error, TimeoutError) and not is_resting:
                self._rests_until = time.monotonic() + LOOK_AGAIN.total_seconds()  # others need not find out as well
                if is_patient:
                    msg = "what was said before could not be read in time"
                    raise NotYet(msg, LOOK_AGAIN) from None
            elif is_patient and isinstance(error, RetryLater):
                raise
            log.warning("reconciler.order_unproved", error=getattr(error, "code", "timeout"))
        self._asking.pop(thread, None)
        done = time.monotonic()
        self._whole[thread] = done
        self._proved[thread] = _Proof(newest, done)
        for remembered in (self._whole, self._proved):
            remembered.move_to_end(thread)
            _keep_newest(remembered)
        if found:
            self._found(found)

    def _found(self, events: int) -> None:
        """Where something was missing, more may be."""
        log.info("reconciler.found", events=events)
        self._in_doubt_until = time.monotonic() + DOUBT_S

    def _is_in_doubt(self) -> bool:
        return time.monotonic() < self._in_doubt_until

    def _is_resting(self, thread: tuple[str, str]) -> bool:
        """Whether the platform did not answer a moment ago and is not asked; it is no look, and counts as none.

        Raises NotYet while the answer is held back for that, which is no longer than for a look of its own.
        """
        now = time.monotonic()
        if now >= self._rests_until:
            return False
        if now - self._asking.setdefault(thread, now) < PATIENCE_S:
            msg = "the desk could not be asked a moment ago"
            raise NotYet(msg, LOOK_AGAIN)
        return True

    async def _takes_turn(self, thread: tuple[str, str]) -> bool:
        """Whether the platform lets us look once more within this minute; NotYet where a look is only to be repeated.

        An answer is held back for as long as its thread could not be read, whatever others ask meanwhile.
        """
        if time.monotonic() >= self._spent_until:
            if await self._may_look():
                return True
            self._spent_until = time.monotonic() + SPENT_S
        began = self._asking.get(thread)
        if began is not None and time.monotonic() - began < PATIENCE_S:
            msg = "what was said before could not be read yet, and nothing more may be asked now"
            raise NotYet(msg, LOOK_AGAIN)
        self._asking.pop(thread, None)
        log.info("reconciler.order_trusted")
        return False

    def _is_younger(self, thread_ts: str) -> bool:
        """True for a thread that began while we listened."""
        try:
            return datetime.fromtimestamp(float(thread_ts), UTC) > self._since
        except (ValueError, OverflowError):
            return True

    def _notice(self) -> None:
        """Hear what the connections have told since."""
        if self._doubted.is_set():
            self._doubted.clear()
            if not self._is_in_doubt():
                log.info("reconciler.in_doubt", for_s=DOUBT_S)
            self._in_doubt_until = time.monotonic() + DOUBT_S
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


def _keep_newest(remembered: OrderedDict[tuple[str, str], Any]) -> None:
    """A thread that is forgotten is read once more. Over HTTP no connection ever ends, so all would be remembered."""
    while len(remembered) > THREADS_REMEMBERED:
        remembered.popitem(last=False)
