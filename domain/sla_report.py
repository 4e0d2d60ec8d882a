"""What was promised and how it came out: met, late, missed, and which breaches were excused, side by side.

Pure: judged conversations in, a report out. A breach stays a breach; an excuse is a remark beside it. Every share is
given with and without the excused, every length in open time and on the wall.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.calendar import Calendar
from domain.sla import Clock, ClockState, Metric

BREACHES = frozenset({ClockState.BREACHED, ClockState.MET_LATE})
GROUPS = ("policy", "queue", "priority", "channel", "assignee")
"""What a report can be laid out by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Excuse:
    """Who said, when and why, that a breach was not the desk's fault. `reason` is one of the fixed ones."""

    by: str
    reason: str
    at: datetime


Excuses = Mapping[tuple[Metric, int], Excuse]
"""By metric and instance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A conversation's clocks as they stand, its excuses, and what it can be grouped by."""

    number: int
    clocks: tuple[Clock, ...]
    calendar: Calendar
    excuses: Excuses
    queue: str
    channel: str
    assignee: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """One deadline that was missed. `stopped_at` is None while nothing has come."""

    number: int
    metric: Metric
    instance: int
    due_at: datetime
    stopped_at: datetime | None
    excuse: Excuse | None


@dataclass(kw_only=True, slots=True)
class Line:
    """How one metric came out in one group. `open_time` and `wall_time` are lengths of what has ended, ascending."""

    met: int = 0
    late: int = 0
    missed: int = 0
    excused: int = 0
    open_time: list[timedelta] = field(default_factory=list)
    wall_time: list[timedelta] = field(default_factory=list)

    @property
    def decided(self) -> int:
        """Clocks of which it is known how they came out."""
        return self.met + self.late + self.missed

    @property
    def share(self) -> float | None:
        """Which part was met, excused or not; None where nothing is decided."""
        return self.met / self.decided if self.decided else None

    @property
    def share_unexcused(self) -> float | None:
        """The same with the excused breaches left out."""
        counted = self.decided - self.excused
        return self.met / counted if counted else None


@dataclass(kw_only=True, slots=True)
class Report:
    """All of it: a line for each group and metric, one for each group's promises, and the breaches, newest first.

    `undeliverable` clocks, whose answer was written and reached nobody, are in no line.
    """

    conversations: int = 0
    lines: dict[tuple[str, Metric], Line] = field(default_factory=dict)
    promises: dict[str, Line] = field(default_factory=dict)
    undeliverable: int = 0
    breaches: list[Breach] = field(default_factory=list)


def report(found: Iterable[Judged], since: datetime, group: str) -> Report:
    """Count the clocks that began at or after `since`, by `group`, one of `GROUPS`.

    A clock that was cancelled, undeliverable or still runs in time counts as neither met nor missed. What agents
    promised by themselves is counted apart from what the policies promise.
    """
    made = Report()
    for one in found:
        made.conversations += 1
        for clock in one.clocks:
            if clock.metric is not Metric.RETURN and clock.started_at >= since:
                _count(made, one, clock, group)
    made.breaches.sort(key=lambda breach: (breach.due_at, breach.number), reverse=True)
    for line in (*made.lines.values(), *made.promises.values()):
        line.open_time.sort()
        line.wall_time.sort()
    return made


def percentile(ascending: Sequence[timedelta], share: float) -> timedelta | None:
    """The shortest length within which at least `share` of them lie; None of nothing."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)] if ascending else None


def _count(made: Report, one: Judged, clock: Clock, group: str) -> None:
    made.undeliverable += clock.state is ClockState.UNDELIVERABLE
    if clock.state is not ClockState.MET and clock.state not in BREACHES:
        return
    named = _group(one, clock, group)
    if clock.metric is Metric.PROMISE:
        line = made.promises.setdefault(named, Line())
    else:
        line = made.lines.setdefault((named, clock.metric), Line())
    line.met += clock.state is ClockState.MET
    line.late += clock.state is ClockState.MET_LATE
    line.missed += clock.state is ClockState.BREACHED
    if clock.stopped_at is not None and clock.state is not ClockState.BREACHED:  # which may end without an answer
        line.open_time.append(one.calendar.measure(clock.started_at, clock.stopped_at, clock.breaks))
        line.wall_time.append(clock.stopped_at - clock.started_at)
    missed_at = clock.due_at or clock.breached_at
    if clock.state in BREACHES and missed_at is not None:
        excuse = one.excuses.get((clock.metric, clock.instance))
        line.excused += excuse is not None
        made.breaches.append(
            Breach(
                number=one.number,
                metric=clock.metric,
                instance=clock.instance,
                due_at=missed_at,
                stopped_at=clock.stopped_at,
                excuse=excuse,
            )
        )


def _group(one: Judged, clock: Clock, group: str) -> str:
    if group in ("policy", "priority") and clock.metric is Metric.PROMISE:
        return "all"  # a promise is an agent's own: no policy and no priority made it
    if group == "policy":
        return clock.policy
    if group == "priority":
        return clock.priority.value
    return {"queue": one.queue, "channel": one.channel, "assignee": one.assignee}[group] or "-"
