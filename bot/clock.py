"""The sweep: looks for alerts that have fallen due. APScheduler wakes it and knows nothing else."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy.exc import SQLAlchemyError

from bot import crashpoints, metrics, times
from bot.ids import new_id
from bot.operator_lines import operator_notice
from bot.presence import Presence
from domain.changes import Changes
from domain.errors import Conflict, KeyDestroyed
from domain.events import ClockDue
from domain.model import EntryKind
from domain.rulebook import Rulebook
from handlers import escalation
from handlers.frame import Context
from storage import clocks as clock_rows
from storage import flush, outbox, outgoing
from storage.clocks import Clocks, Due
from storage.database import Database
from storage.engines import Connection
from storage.record import Record
from storage.wishes import Wanted

log = structlog.get_logger()

JOB = "sweep"
CAP = timedelta(seconds=5)  # of real time: clocks may be stepped, and a wake-up may get lost
AGAIN = timedelta(seconds=1)  # when something that is due could not be given
SOON = timedelta(milliseconds=100)  # when somebody else was writing it at that moment
GATHER_S = 0.05  # a busy desk changes clocks with every message: one look serves them all
BATCH = 24  # what is written in one transaction: a few tens of milliseconds, so that no message waits for alerts
DOWN_LONG = timedelta(hours=20)  # Telegram keeps what it cannot deliver for 24 hours
BEAT_S = 2.0  # the heartbeat row tells other processes; more often tells them nothing more


class Sweep:
    """Gives warnings, breaches and escalations, each once. Holds no truth: what is due stands in the database."""

    def __init__(
        self,
        *,
        database: Database,
        clocks: Clocks,
        record: Record,
        rules: Rulebook,
        clock: times.Timekeeper,
        presence: Presence | None = None,
    ) -> None:
        self._db = database
        self._clocks = clocks
        self._record = record
        self._rules = rules
        self._clock = clock
        self._presence = presence or Presence(rules=rules, clocks=clocks, now=clock.now)
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        self._woken = asyncio.Event()
        self._failed: set[str] = set()  # conversations whose alerts could not be decided in this sweep,
        self._failing: set[str] = set()  # and in the one before
        self._kept = 0  # clocks that are due and could not be given at the last sweep
        self._busy = 0  # conversations that somebody else was writing then
        self._nearest: datetime | None = None  # the first alert that was not due yet
        self._swept = float("-inf")
        self._beat = float("-inf")

    def last_success_age(self) -> float:
        """Seconds (monotonic) since the last completed look; infinity before the first."""
        return time.monotonic() - self._swept

    async def run(self) -> None:
        """Sweep until cancelled."""
        self._scheduler.start()
        changed = self._db.signal(flush.CLOCKS_SIGNAL)
        try:
            while True:
                self._woken.clear()
                changed.clear()
                self._clock.changed.clear()
                pause = timedelta(seconds=1)
                try:
                    pause = await self._look()
                except (SQLAlchemyError, OSError) as error:
                    log.error("sweep.failed", error=type(error).__name__)
                self._scheduler.add_job(
                    self._woken.set, "date", run_date=times.real() + pause, id=JOB, replace_existing=True
                )
                waits = [asyncio.ensure_future(event.wait()) for event in (self._woken, changed, self._clock.changed)]
                try:
                    # The scheduler waits by the machine's clock, and for hours when that is set back meanwhile.
                    await asyncio.wait(waits, timeout=CAP.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for wait in waits:
                        wait.cancel()
                if not self._woken.is_set():
                    await times.until(self._woken, GATHER_S)
        finally:
            self._scheduler.shutdown(wait=False)

    async def _look(self) -> timedelta:
        """Sweep, and return how long (real time) until there may be something to do."""
        await self.sweep()
        if self._kept:
            return SOON if self._busy == self._kept else AGAIN
        return CAP if self._nearest is None else min(CAP, self._clock.real_delay(self._nearest))

    async def _tell_alive(self) -> None:
        if time.monotonic() - self._beat >= BEAT_S:
            if self._beat == float("-inf"):
                await self._tell_down()
            self._beat = time.monotonic()
            await self._clocks.beat(JOB, times.real())

    async def _tell_down(self) -> None:
        """Who was away for most of a day may have lost what customers wrote: the operator is told once."""
        place, now, before = self._rules.operator_channel, times.real(), await self._clocks.last_beat(JOB)
        if before is None or now - before < DOWN_LONG:
            return
        log.warning("sweep.was_down", hours=round((now - before) / timedelta(hours=1), 1))
        if place:
            since, until = int(before.timestamp()), int(now.timestamp())
            data: dict[str, str | None] = {"text": "down_long", "since": str(since), "until": str(until)}
            item = operator_notice(place, f"down:{since}", data)
            await self._db.write(lambda conn: outgoing.add(conn, [item], now), wake=(outbox.SIGNAL,))

    async def sweep(self) -> int:
        """Give every alert that is due now; returns how many conversations were looked at."""
        looked_at: set[str] = set()  # each once: what cannot be given now must not be looked at without an end
        self._kept, self._busy, self._failed = 0, 0, set()
        while True:
            started = time.perf_counter()
            coming = await self._clocks.coming(BATCH + self._kept)
            now = self._clock.now()
            due = [alert for alert in coming if alert.alert_at <= now]
            new = [alert for alert in due if alert.conversation_id not in looked_at]
            self._kept = len(due) - len(new)
            if not new:
                self._nearest = coming[len(due)].alert_at if len(due) < len(coming) else None
                break
            looked_at |= set(await self._give(new))
            now = self._clock.now()
            late = [max(0.0, (now - alert.alert_at).total_seconds()) for alert in new]
            self.measured(late, time.perf_counter() - started)
            self._swept = time.monotonic()
            await self._tell_alive()
        self._failing = self._failed
        self._swept = time.monotonic()
        await self._tell_alive()
        return len(looked_at)

    def measured(self, late_s: Sequence[float], took_s: float) -> None:
        """What came of one batch: how late each of its alerts was, and how long looking, deciding and writing took."""
        for late in late_s:
            metrics.alert_lateness_seconds.observe(late)
        metrics.sweep_seconds.observe(took_s)

    async def _give(self, due: Sequence[Due]) -> list[str]:
        ids = list(dict.fromkeys(alert.conversation_id for alert in due))
        try:
            await self._write(ids)
        except Exception as error:  # noqa: BLE001  # one that cannot be read must not silence the others
            log.info("sweep.one_by_one", error=type(error).__name__, conversations=len(ids))
            for conversation in ids:
                await self._alone(conversation)
        return ids

    async def _alone(self, conversation: str) -> None:
        """One conversation in a transaction of its own; what still fails is due again at the next sweep."""
        try:
            await self._write([conversation])
        except (SQLAlchemyError, OSError):
            raise
        except Conflict:
            self._busy += 1
        except KeyDestroyed:  # the customer was erased: there is nobody left to be late for
            await self._clocks.put_away(conversation)
        except Exception as error:
            if conversation not in self._failing:  # said once, not every second
                log.exception("sweep.conversation_failed", conversation=conversation, error=type(error).__name__)
            self._failed.add(conversation)

    async def _write(self, ids: Sequence[str]) -> None:
        """Decide these conversations, and write those that nobody has changed since they were read."""
        situations = await self._record.load([Wanted(key=c, conversation_id=c) for c in ids])
        people = await self._presence.of(
            {s.conversation.assignee for s in situations.values() if s.conversation and s.conversation.assignee}
        )
        context = Context(rules=self._rules, now=self._clock.now(), new_id=new_id)
        decided: dict[str, Changes] = {}
        for conversation, situation in situations.items():
            event = ClockDue(conversation_id=conversation, at=context.now)
            changes = escalation.decide(event, situation, context, people, self._presence.leads)
            if changes.conversation is not None:
                decided[conversation] = changes
        now = times.real()
        prepared = {
            conversation: await self._record.prepare([flush.Decision(id=new_id(), changes=changes)], now)
            for conversation, changes in decided.items()
        }
        expected = {c: changes.conversation.version for c, changes in decided.items() if changes.conversation}
        crashpoints.reach("in_sweep")

        async def work(conn: Connection) -> set[str]:
            # Nothing was answered meanwhile, and nothing else changed: what was decided still holds.
            still = await clock_rows.untouched(conn, expected)
            await flush.write(conn, flush.joined((prepared[c] for c in sorted(still)), now), self._record.audit_key)
            return still

        written = await self._db.write(work, wake=(outbox.SIGNAL,))
        self._busy += len(expected) - len(written)
        given = Counter(
            str(entry.data.get("alert"))
            for conversation in written
            for entry in decided[conversation].entries
            if entry.kind is EntryKind.CLOCK
        )
        for kind, count in given.items():
            metrics.sla_alerts.labels(kind=kind).inc(count)
