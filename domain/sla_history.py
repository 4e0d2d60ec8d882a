"""From what happened in a conversation to the waits that its clocks time.

The history is read once, in order, into runs: when each clock started, stood still and ended, and under which
priority. No business time is computed here and nothing is stored: the same events always give the same runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from operator import attrgetter
from typing import NamedTuple

from domain.calendar import Span
from domain.model import CLOSED, Priority, Status
from domain.sla_terms import EventKind, Metric, Policy, SlaEvent


class Outcome(Enum):
    """How a run ended, if it did."""

    RUNNING = auto()
    STOPPED = auto()  # answered or resolved
    ABANDONED = auto()  # resolved without an answer
    CANCELLED = auto()  # spam, merged, or clocks switched off


class Stretch(NamedTuple):
    """A time in which one deadline was in force and could be missed; `end` is None while it lasts.

    `policy` is the reference of the policy it came from, empty for the one in force before any was named.
    `by_change` tells a stretch that a change of priority or policy began: a deadline which that change moved into
    the past was never one that anybody could keep, so it is a breach only for as long as the change lasts.
    """

    start: datetime
    end: datetime | None
    priority: Priority
    policy: str
    by_change: bool


@dataclass(kw_only=True, eq=False, slots=True)
class Run:
    """One clock's life: built up while reading, only read afterwards."""

    metric: Metric
    instance: int
    basis: str
    started_at: datetime
    priority: Priority
    policy: str = ""
    outcome: Outcome = Outcome.RUNNING
    ended_at: datetime | None = None
    undeliverable: bool = False
    paused_from: datetime | None = None
    resumed_at: datetime | None = None
    breaks: list[Span] = field(default_factory=list)
    past: list[Stretch] = field(default_factory=list)
    current: Stretch | None = None

    def __post_init__(self) -> None:
        self.current = Stretch(self.started_at, None, self.priority, self.policy, by_change=False)

    def stretches(self) -> list[Stretch]:
        """All stretches in order; the last one is open while the clock can still be missed."""
        return [*self.past, self.current] if self.current else self.past

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

    def change(self, at: datetime, priority: Priority, policy: str) -> None:
        """Another target, the same start."""
        if priority is self.priority and policy == self.policy:
            return
        watched = self.current is not None
        self._unwatch(at)
        self.priority, self.policy = priority, policy
        if watched:
            self._watch(at, by_change=True)

    def _watch(self, at: datetime, *, by_change: bool = False) -> None:
        self.current = Stretch(at, None, self.priority, self.policy, by_change)

    def _unwatch(self, at: datetime) -> None:
        if self.current is not None and at > self.current.start:
            self.past.append(self.current._replace(end=at))
        self.current = None


# An enum's member costs a tenth of a microsecond to look up, several times for each event of a history.
_NEW, _OPEN, _DONE, _SPAM = Status.NEW, Status.OPEN, Status.DONE, Status.SPAM
_CUSTOMERS_TURN = (Status.DONE, Status.WAITING_CUSTOMER)
_NORMAL = Priority.NORMAL
_RUNNING, _STOPPED, _ABANDONED, _CANCELLED = Outcome.RUNNING, Outcome.STOPPED, Outcome.ABANDONED, Outcome.CANCELLED
_FIRST_RESPONSE, _NEXT_RESPONSE, _RESOLUTION = Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE, Metric.RESOLUTION
_PERIODIC_UPDATE, _RETURN = Metric.PERIODIC_UPDATE, Metric.RETURN
_WAITS = (Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE)
_WHOLE = (Metric.RESOLUTION, Metric.TOTAL_RESOLUTION, Metric.REQUESTER_WAIT, Metric.AGENT_WORK)
_PLACE = attrgetter("at", "seq", "id")
_STATUSES = {status.value: status for status in Status}
_PRIORITIES = {priority.value: priority for priority in Priority}


def in_order(events: Iterable[SlaEvent]) -> list[SlaEvent]:
    """Sort by (at, seq, id) and drop repetitions of an id."""
    ordered = sorted(events, key=_PLACE)
    if len({event.id for event in ordered}) == len(ordered):
        return ordered
    first: dict[str, SlaEvent] = {}
    for event in ordered:
        first.setdefault(event.id, event)
    return list(first.values())


def trace(ordered: Sequence[SlaEvent], policy: Policy, metrics: frozenset[Metric]) -> list[Run]:
    """Read a conversation's events, as `in_order` gives them, into the runs of these metrics' clocks."""
    reader = _Reader(policy.stands_still, metrics, ordered)
    for event in ordered:
        reader.read(event)
    return reader.finish()


def open_question(events: Iterable[SlaEvent]) -> SlaEvent | None:
    """The oldest question that is still to be answered after these events, as every policy's clocks read them."""
    ordered = in_order(events)
    reader = _Reader({}, frozenset(), ordered)
    for event in ordered:
        reader.read(event)
    waiting = reader.waiting
    return None if waiting is None else next((event for event in ordered if event.id == waiting.basis), None)


class _Reader:
    """Walks through the history once, holding whose turn it is."""

    def __init__(
        self, pauses: Mapping[Metric, frozenset[Status]], metrics: frozenset[Metric], ordered: Sequence[SlaEvent]
    ) -> None:
        self._pauses = pauses
        self._metrics = metrics
        self._ordered = ordered
        self._status = _NEW
        self._priority = _NORMAL
        self._policy = next((e.value for e in ordered if e.kind is EventKind.POLICY and e.value), "")
        self._runs: list[Run] = []
        self._live: list[Run] = []  # those that have not ended, and some that have
        self._instances: dict[Metric, int] = {}
        self.waiting: Run | None = None  # the customer's open question, if there is one
        self._update: Run | None = None  # since the last answer
        self._assignment: Run | None = None  # that its assignee has not touched yet
        self._assignee = ""
        self._begun = False
        self._whole: list[Run] = []  # those that end with done
        self._shelved: list[Run] = []  # ended by done or spam, revived if that is taken back
        self._resolved: list[Run] = []  # of those that end with done what the last one ended
        self._merged = False
        self._off_since: datetime | None = None

    def read(self, event: SlaEvent) -> None:
        """Take the next event; what nobody listens to changes nothing."""
        if not self._merged and (handle := _HANDLERS.get(event.kind)) is not None:
            at = event.at
            handle(self, event, at if at.tzinfo is UTC else at.astimezone(UTC))

    def finish(self) -> list[Run]:
        """The runs, in the order in which they began."""
        if self._off_since is None:
            return self._runs
        off = self._off_since
        for run in self._runs:
            if run.ended_at is None or run.ended_at > off:
                run.end(max(off, run.started_at), _CANCELLED)
        return [run for run in self._runs if run.started_at < off]

    def _start(self, metric: Metric, at: datetime, basis: str) -> Run:
        instance = self._instances[metric] = self._instances.get(metric, 0) + 1
        run = Run(
            metric=metric, instance=instance, basis=basis, started_at=at, priority=self._priority, policy=self._policy
        )
        if self._status in self._pauses.get(metric, ()):
            run.pause(at)
        self._runs.append(run)
        self._live = [other for other in self._live if other.outcome is _RUNNING]
        self._live.append(run)
        return run

    def _revive(self, run: Run, at: datetime) -> None:
        run.change(at, self._priority, self._policy)
        run.revive(at)
        if run not in self._live:
            self._live.append(run)

    def on_customer_message(self, event: SlaEvent, at: datetime) -> None:
        if self._status is _SPAM:
            return
        if self._status is _DONE:
            self._go_on(at)
        if self._status in _CUSTOMERS_TURN:
            self._set_status(_OPEN, at)  # nobody waits for a customer who has just written
        if not self._begun:
            self._begun = True
            self._whole = [self._start(metric, at, event.id) for metric in _WHOLE if metric in self._metrics]
            self.waiting = self._start(_FIRST_RESPONSE, at, event.id)
        elif self.waiting is None:
            self.waiting = self._start(_NEXT_RESPONSE, at, event.id)
        for run in (self.waiting, self._update):
            if run is not None and run.undeliverable:
                run.reach(at)

    def on_agent_reply(self, event: SlaEvent, at: datetime) -> None:
        self._deal(at)
        run = self.waiting
        if run is None:  # an answer that left just before done and arrived just after still counts
            run = next((run for run in self._shelved if run.metric in _WAITS), None)
            if run is not None:
                self._shelved.remove(run)
                run.revive(at)
        if run is not None:
            run.end(at, _STOPPED)
            self.waiting = None
        if event.value:
            run = self._start(_NEXT_RESPONSE, at, event.value)
            if self._status in CLOSED:  # told of only now, when it may be open again
                run.end(at, _ABANDONED if self._status is _DONE else _CANCELLED)
                self._shelved.append(run)
            else:
                self.waiting = run
        if self._update is not None:
            self._update.end(at, _STOPPED)
            self._update = None
        if _PERIODIC_UPDATE in self._metrics and self._begun and self._status not in CLOSED:
            self._update = self._start(_PERIODIC_UPDATE, at, event.id)

    def on_reply_failed(self, event: SlaEvent, at: datetime) -> None:  # noqa: ARG002  # one shape for all
        for run in (self.waiting, self._update):
            if run is not None:
                run.fail(at)

    def on_status(self, event: SlaEvent, at: datetime) -> None:
        self._enter(_STATUSES[event.value or ""], at)

    def on_reopened(self, event: SlaEvent, at: datetime) -> None:
        if self._status not in CLOSED:
            return
        if event.value:  # it was closed over an answer that the customer never got
            for run in self._resolved:
                if run.metric is _RESOLUTION:
                    self._revive(run, at)
        self._enter(_OPEN, at)

    def on_spam(self, event: SlaEvent, at: datetime) -> None:
        self._enter(_SPAM, at)
        if event.value == _DONE.value:  # closed as no request: what the customer writes next may be one
            self._status = _DONE

    def on_merged(self, event: SlaEvent, at: datetime) -> None:  # noqa: ARG002  # one shape for all
        self._merged = True
        for run in self._live:
            if run.outcome is _RUNNING:
                run.end(at, _CANCELLED)

    def on_priority(self, event: SlaEvent, at: datetime) -> None:
        self._priority = _PRIORITIES[event.value or ""]
        for run in self._live:
            if run.outcome is _RUNNING:
                run.change(at, self._priority, self._policy)

    def on_policy(self, event: SlaEvent, at: datetime) -> None:
        if not event.value:
            self._off_since = self._off_since or at
            return
        self._off_since, self._policy = None, event.value
        for run in self._live:
            if run.outcome is _RUNNING:
                run.change(at, self._priority, self._policy)

    def on_assigned(self, event: SlaEvent, at: datetime) -> None:
        self._unassign(at)
        self._assignee = event.value or ""
        if self._assignee and _RETURN in self._metrics and self._status not in CLOSED:
            self._assignment = self._start(_RETURN, at, event.id)

    def on_taken(self, event: SlaEvent, at: datetime) -> None:
        self._unassign(at)
        self._assignee = event.value or ""

    def on_touched(self, event: SlaEvent, at: datetime) -> None:
        if event.value == self._assignee:
            self._deal(at)

    def _deal(self, at: datetime) -> None:
        """Whoever was given it has done something, or somebody answered in their place."""
        if self._assignment is not None:
            self._assignment.end(at, _STOPPED)
            self._assignment = None

    def _unassign(self, at: datetime) -> None:
        if self._assignment is not None:
            self._assignment.end(at, _CANCELLED)
            self._assignment = None

    def _enter(self, status: Status, at: datetime) -> None:
        if status in CLOSED and self._status not in CLOSED:
            self._close(status, at)
        elif status not in CLOSED and self._status in CLOSED:
            self._reopen(at)
        self._set_status(status, at)

    def _close(self, status: Status, at: datetime) -> None:
        is_done = status is _DONE
        for run in (self.waiting, self._update, self._assignment):
            if run is not None:
                run.end(at, _ABANDONED if is_done else _CANCELLED)
                self._shelved.append(run)
        self.waiting = self._update = self._assignment = None
        self._resolved = [run for run in self._whole if run.outcome is _RUNNING and is_done]
        for run in self._whole:
            if run.outcome is _RUNNING:
                run.end(at, _STOPPED if is_done else _CANCELLED)
                if not is_done:
                    self._shelved.append(run)

    def _reopen(self, at: datetime) -> None:
        by_customer = self._status is _DONE and any(
            event.kind is EventKind.CUSTOMER_MESSAGE and event.at == at and not event.late for event in self._ordered
        )
        if not by_customer:
            for run in self._shelved:
                if run.metric not in _WHOLE:
                    self._take_back(run, at)
        self._go_on(at)

    def _go_on(self, at: datetime) -> None:
        """It is open again; a wait that was closed unanswered, and was not taken back, stays closed."""
        for run in self._shelved:
            if run.metric in _WHOLE:
                self._revive(run, at)
        self._shelved.clear()
        self._resume_sums(at)

    def _take_back(self, run: Run, at: datetime) -> None:
        self._revive(run, at)
        if run.metric in _WAITS:
            self.waiting = run
        elif run.metric is _PERIODIC_UPDATE:
            self._update = run
        else:
            self._assignment = run

    def _resume_sums(self, at: datetime) -> None:
        """What counts all the time until the last done goes on; the first resolution was the first."""
        for run in self._whole:
            if run.metric is not _RESOLUTION and run.outcome is _STOPPED:
                self._revive(run, at)

    def _set_status(self, status: Status, at: datetime) -> None:
        self._status = status
        for run in self._live:
            if run.outcome is not _RUNNING:
                continue
            if status in self._pauses.get(run.metric, ()):
                run.pause(at)
            else:
                run.unpause(at)


_HANDLERS: Mapping[EventKind, Callable[[_Reader, SlaEvent, datetime], None]] = {
    EventKind.CUSTOMER_MESSAGE: _Reader.on_customer_message,
    EventKind.AGENT_REPLY: _Reader.on_agent_reply,
    EventKind.REPLY_FAILED: _Reader.on_reply_failed,
    EventKind.STATUS: _Reader.on_status,
    EventKind.REOPENED: _Reader.on_reopened,
    EventKind.SPAM: _Reader.on_spam,
    EventKind.MERGED: _Reader.on_merged,
    EventKind.PRIORITY: _Reader.on_priority,
    EventKind.POLICY: _Reader.on_policy,
    EventKind.ASSIGNED: _Reader.on_assigned,
    EventKind.TAKEN: _Reader.on_taken,
    EventKind.TOUCHED: _Reader.on_touched,
}
"""Missing are a thank-you, which asks for nothing, and a promise, which is timed apart."""
