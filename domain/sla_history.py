"""From what happened in a conversation to the waits that its clocks time.

The history is read once, in order, into runs: when each clock started, stood still and ended, and under which
priority. No business time is computed here and nothing is stored: the same events always give the same runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto

from domain.calendar import Span
from domain.model import Priority, Status
from domain.sla_terms import EventKind, Metric, Policy, SlaEvent

_CLOSED = (Status.DONE, Status.SPAM)


class Outcome(Enum):
    """How a run ended, if it did."""

    RUNNING = auto()
    STOPPED = auto()  # answered or resolved
    ABANDONED = auto()  # resolved without an answer
    CANCELLED = auto()  # spam, merged, or clocks switched off


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """A time in which the deadline of one priority was in force and could be missed; `end` is None while it lasts.

    `by_priority` tells a stretch that a change of priority began: a deadline which that change moved into the
    past was never one that anybody could keep, so it is a breach only for as long as that priority lasts.
    """

    start: datetime
    end: datetime | None
    priority: Priority
    by_priority: bool


@dataclass(kw_only=True)
class Run:
    """One clock's life: built up while reading, only read afterwards."""

    metric: Metric
    instance: int
    basis: str
    started_at: datetime
    priority: Priority
    outcome: Outcome = Outcome.RUNNING
    ended_at: datetime | None = None
    undeliverable: bool = False
    paused_from: datetime | None = None
    resumed_at: datetime | None = None
    breaks: list[Span] = field(default_factory=list)
    past: list[Stretch] = field(default_factory=list)
    current: Stretch | None = None

    def __post_init__(self) -> None:
        self._watch(self.started_at)

    def stretches(self) -> list[Stretch]:
        """All stretches in order; the last one is open while the clock can still be missed."""
        return [*self.past, self.current] if self.current else list(self.past)

    def pause(self, at: datetime) -> None:
        """Stand still from now on."""
        if self.paused_from is None:
            self.paused_from = at

    def unpause(self, at: datetime) -> None:
        """Count again."""
        if self.paused_from is None:
            return
        if at > self.paused_from:
            self.breaks.append((self.paused_from, at))
            self.resumed_at = at
        self.paused_from = None

    def end(self, at: datetime, outcome: Outcome) -> None:
        """The wait is over, one way or another."""
        resumed_at = self.resumed_at
        self.unpause(at)
        self.resumed_at = resumed_at  # an end is no resumption
        self._unwatch(at)
        self.ended_at, self.outcome = at, outcome
        if outcome is Outcome.STOPPED:
            self.undeliverable = False

    def revive(self, at: datetime) -> None:
        """An end that was taken back: the time since then does not count."""
        if self.ended_at is not None and at > self.ended_at:
            self.breaks.append((self.ended_at, at))
            self.resumed_at = at
        self.ended_at, self.outcome = None, Outcome.RUNNING
        if not self.undeliverable:
            self._watch(at)

    def fail(self, at: datetime) -> None:
        """An answer did not arrive: the desk has done its part for now."""
        self.undeliverable = True
        self._unwatch(at)

    def reach(self, at: datetime) -> None:
        """The customer can be reached again and still waits."""
        self.undeliverable = False
        self._watch(at)

    def reprioritise(self, at: datetime, priority: Priority) -> None:
        """Another target, the same start."""
        if priority is self.priority:
            return
        watched = self.current is not None
        self._unwatch(at)
        self.priority = priority
        if watched:
            self._watch(at, by_priority=True)

    def _watch(self, at: datetime, *, by_priority: bool = False) -> None:
        self.current = Stretch(start=at, end=None, priority=self.priority, by_priority=by_priority)

    def _unwatch(self, at: datetime) -> None:
        if self.current is not None and at > self.current.start:
            last = self.current
            self.past.append(Stretch(start=last.start, end=at, priority=last.priority, by_priority=last.by_priority))
        self.current = None


def in_order(events: Iterable[SlaEvent]) -> list[SlaEvent]:
    """Sort by (at, seq, id) and drop repetitions of an id."""
    ordered: dict[str, SlaEvent] = {}
    for event in sorted(events, key=lambda event: (event.at, event.seq, event.id)):
        ordered.setdefault(event.id, event)
    return list(ordered.values())


def trace(events: Iterable[SlaEvent], policy: Policy) -> list[Run]:
    """Read a conversation's events, in any order and with repetitions, into the runs of its clocks."""
    ordered = in_order(events)
    reader = _Reader(policy, frozenset(e.at for e in ordered if e.kind is EventKind.CUSTOMER_MESSAGE))
    for event in ordered:
        reader.read(event)
    return reader.finish()


class _Reader:
    """Walks through the history once, holding whose turn it is."""

    def __init__(self, policy: Policy, customer_wrote: frozenset[datetime]) -> None:
        self._policy = policy
        self._customer_wrote = customer_wrote
        self._status = Status.NEW
        self._priority = Priority.NORMAL
        self._runs: list[Run] = []
        self._waiting: Run | None = None  # the customer's open question, if there is one
        self._resolution: Run | None = None
        self._shelved: list[Run] = []  # ended by done or spam, revived if that is taken back
        self._merged = False
        self._off_since: datetime | None = None

    def read(self, event: SlaEvent) -> None:
        at = event.at.astimezone(UTC)
        if self._merged:
            return
        match event.kind:
            case EventKind.CUSTOMER_MESSAGE:
                self._customer_message(at, event.id)
            case EventKind.AGENT_REPLY:
                self._agent_reply(at)
            case EventKind.REPLY_FAILED if self._waiting is not None:
                self._waiting.fail(at)
            case EventKind.STATUS:
                self._enter(Status(event.value or ""), at)
            case EventKind.REOPENED if self._status in _CLOSED:
                self._enter(Status.OPEN, at)
            case EventKind.SPAM:
                self._enter(Status.SPAM, at)
            case EventKind.MERGED:
                self._merge(at)
            case EventKind.PRIORITY:
                self._set_priority(Priority(event.value or ""), at)
            case EventKind.POLICY:
                self._off_since = None if event.value else (self._off_since or at)
            case _:
                pass  # a thank-you asks for nothing, and what is open cannot be reopened

    def finish(self) -> list[Run]:
        if self._off_since is None:
            return self._runs
        off = self._off_since
        for run in self._runs:
            if run.ended_at is None or run.ended_at > off:
                run.end(max(off, run.started_at), Outcome.CANCELLED)
        return [run for run in self._runs if run.started_at < off]

    def _live(self) -> list[Run]:
        return [run for run in self._runs if run.outcome is Outcome.RUNNING]

    def _start(self, metric: Metric, at: datetime, basis: str) -> Run:
        instance = 1 + sum(run.metric is metric for run in self._runs)
        run = Run(metric=metric, instance=instance, basis=basis, started_at=at, priority=self._priority)
        if self._status in self._policy.pauses.get(metric, ()):
            run.pause(at)
        self._runs.append(run)
        return run

    def _merge(self, at: datetime) -> None:
        self._merged = True
        for run in self._live():
            run.end(at, Outcome.CANCELLED)

    def _set_priority(self, priority: Priority, at: datetime) -> None:
        self._priority = priority
        for run in self._live():
            run.reprioritise(at, priority)

    def _customer_message(self, at: datetime, basis: str) -> None:
        if self._status is Status.SPAM:
            return
        if self._status is Status.DONE:
            self._shelved.clear()  # a new wait begins; the one that was closed unanswered stays closed
        if self._status in (Status.DONE, Status.WAITING_CUSTOMER):
            self._set_status(Status.OPEN, at)  # nobody waits for a customer who has just written
        if self._resolution is None:
            self._resolution = self._start(Metric.RESOLUTION, at, basis)
            self._waiting = self._start(Metric.FIRST_RESPONSE, at, basis)
        elif self._waiting is None:
            self._waiting = self._start(Metric.NEXT_RESPONSE, at, basis)
        elif self._waiting.undeliverable:
            self._waiting.reach(at)

    def _agent_reply(self, at: datetime) -> None:
        run = self._waiting
        if run is None:  # an answer that left just before done and arrived just after still counts
            run = next((run for run in self._shelved if run.metric is not Metric.RESOLUTION), None)
            if run is None:
                return
            self._shelved.remove(run)
            run.revive(at)
        run.end(at, Outcome.STOPPED)
        self._waiting = None

    def _enter(self, status: Status, at: datetime) -> None:
        if status in _CLOSED and self._status not in _CLOSED:
            self._close(status, at)
        elif status not in _CLOSED and self._status in _CLOSED:
            self._reopen(at)
        self._set_status(status, at)

    def _close(self, status: Status, at: datetime) -> None:
        if self._waiting is not None:
            self._waiting.end(at, Outcome.ABANDONED if status is Status.DONE else Outcome.CANCELLED)
            self._shelved.append(self._waiting)
            self._waiting = None
        if self._resolution is not None and self._resolution.outcome is Outcome.RUNNING:
            if status is Status.DONE:
                self._resolution.end(at, Outcome.STOPPED)
            else:
                self._resolution.end(at, Outcome.CANCELLED)
                self._shelved.append(self._resolution)

    def _reopen(self, at: datetime) -> None:
        by_customer = self._status is Status.DONE and at in self._customer_wrote
        for run in self._shelved:
            if run.metric is not Metric.RESOLUTION:
                if by_customer:
                    continue
                self._waiting = run
            run.reprioritise(at, self._priority)
            run.revive(at)
        self._shelved.clear()

    def _set_status(self, status: Status, at: datetime) -> None:
        self._status = status
        for run in self._live():
            if status in self._policy.pauses.get(run.metric, ()):
                run.pause(at)
            else:
                run.unpause(at)
