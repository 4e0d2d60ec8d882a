"""Recorded histories judged again by other terms: what would have been met, and which breaches come and go.

Pure: histories in, a report out. A clock that was cancelled, undeliverable or still runs in time counts as neither met
nor missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from domain import sla
from domain.calendar import Calendar
from domain.sla import Clock, ClockState, Metric, Policy, SlaEvent

Hours = list[list[int]]
"""Counts by weekday (Monday first) and hour."""
KEPT = 200
"""Changes that are listed one by one; more are only counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """A policy with its calendar, and how references in the history are found."""

    policy: Policy
    calendar: Calendar
    known: sla.Terms


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One conversation: its history, the terms it had, and those it is tried under."""

    number: int
    history: tuple[SlaEvent, ...]
    before: Terms
    after: Terms


@dataclass(kw_only=True, slots=True)
class Tally:
    """How one metric under one policy came out, before and after."""

    met_before: int = 0
    missed_before: int = 0
    met_after: int = 0
    missed_after: int = 0
    added: int = 0
    removed: int = 0

    @property
    def share_before(self) -> float | None:
        """Which part was met, None where nothing was decided."""
        return _share(self.met_before, self.missed_before)

    @property
    def share_after(self) -> float | None:
        """The same under the other terms."""
        return _share(self.met_after, self.missed_after)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A breach that comes (`added`) or goes under the other terms."""

    number: int
    metric: Metric
    instance: int
    added: bool
    started_at: datetime
    due_before: datetime | None
    due_after: datetime | None


def _empty() -> Hours:
    return [[0] * 24 for _ in range(7)]


@dataclass(kw_only=True, slots=True)
class Report:
    """The comparison. Hours are those at which the missed clocks began, in their calendar's own time zone."""

    conversations: int = 0
    tallies: dict[tuple[str, Metric], Tally] = field(default_factory=dict)
    missed_before: Hours = field(default_factory=_empty)
    missed_after: Hours = field(default_factory=_empty)
    changes: list[Change] = field(default_factory=list)

    @property
    def total(self) -> Tally:
        """All of it together."""
        whole = Tally()
        for tally in self.tallies.values():
            for name in Tally.__dataclass_fields__:
                setattr(whole, name, getattr(whole, name) + getattr(tally, name))
        return whole


def compare(
    cases: Iterable[Case], since: datetime, now: datetime, seen: Callable[[int], None] = lambda _: None
) -> Report:
    """Judge every case both ways, counting clocks that began at or after `since`; `seen` is told the cases done."""
    report = Report()
    for case in cases:
        report.conversations += 1
        before, after = _judged(case, case.before, now), _judged(case, case.after, now)
        for key in sorted({*before, *after}):
            _count(report, case, before.get(key), after.get(key), since)
        seen(report.conversations)
    return report


def _judged(case: Case, terms: Terms, now: datetime) -> dict[tuple[str, int], Clock]:
    clocks = sla.evaluate(case.history, terms.policy, terms.calendar, now, terms.known)
    return {(clock.metric.value, clock.instance): clock for clock in clocks if clock.metric is not Metric.RETURN}


def _count(report: Report, case: Case, before: Clock | None, after: Clock | None, since: datetime) -> None:
    clock = before or after
    if clock is None or clock.started_at < since:
        return
    was, will = _missed(before), _missed(after)
    policy = case.after.policy.name
    tally = report.tallies.setdefault((policy, clock.metric), Tally())
    tally.met_before += was is False
    tally.missed_before += was is True
    tally.met_after += will is False
    tally.missed_after += will is True
    for missed, terms, hours in (
        (was, case.before, report.missed_before),
        (will, case.after, report.missed_after),
    ):
        if missed:
            local = clock.started_at.astimezone(ZoneInfo(terms.calendar.tz))
            hours[local.weekday()][local.hour] += 1
    if bool(was) == bool(will):
        return
    tally.added += bool(will)
    tally.removed += bool(was)
    if len(report.changes) < KEPT:
        report.changes.append(
            Change(
                number=case.number,
                metric=clock.metric,
                instance=clock.instance,
                added=bool(will),
                started_at=clock.started_at,
                due_before=before.due_at if before else None,
                due_after=after.due_at if after else None,
            )
        )


def _missed(clock: Clock | None) -> bool | None:
    if clock is None:
        return None
    if clock.breached_at is not None and clock.state is not ClockState.CANCELLED:
        return True
    return False if clock.state is ClockState.MET else None


def _share(met: int, missed: int) -> float | None:
    return met / (met + missed) if met + missed else None
