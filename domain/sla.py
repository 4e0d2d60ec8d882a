"""Service levels: clocks computed from a conversation's history, their next alert, and why a deadline is what
it is.

Nothing accumulates: a stored deadline is a cache of `evaluate`, which reads the events, turns pauses into
breaks of the business calendar and walks to the deadline. The words are in `sla_terms`, the reading of the
history in `sla_history`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple

from domain.calendar import Calendar, CalendarError, Duration, Span
from domain.openings import MINUTE_US, UsSpan, from_us, merged, to_us
from domain.sla_history import Outcome, Run, Stretch, in_order, open_question, trace
from domain.sla_terms import (
    PAUSABLE,
    TARGETED,
    Alert,
    Clock,
    ClockState,
    EventKind,
    Metric,
    Offset,
    Policy,
    SlaEvent,
    Slice,
    parse_offset,
)

__all__ = [
    "LATE_AFTER",
    "PAUSABLE",
    "TARGETED",
    "Alert",
    "Clock",
    "ClockState",
    "EventKind",
    "Metric",
    "Offset",
    "Policy",
    "SlaEvent",
    "Slice",
    "Terms",
    "alert_key",
    "evaluate",
    "explain",
    "measure",
    "next_alert",
    "open_question",
    "parse_offset",
    "policy_named",
    "problems",
]

LATE_AFTER = timedelta(minutes=1)
"""An alert this much behind its moment says that it is late."""
_SUMS = frozenset({Metric.REQUESTER_WAIT, Metric.AGENT_WORK})
_REFERENCE = datetime(2024, 1, 1, tzinfo=UTC)  # any fixed moment will do to see whether a target is reachable
_LONGEST_TARGET = timedelta(days=400)


Terms = Callable[[str], "tuple[Policy, Calendar] | None"]
"""Finds the policy that a reference (`standard@2`) names and its calendar; None when nobody knows it any more."""


def evaluate(
    events: Iterable[SlaEvent], policy: Policy, calendar: Calendar, now: datetime, terms: Terms | None = None
) -> tuple[Clock, ...]:
    """Compute every clock of a conversation as it stands at `now`, in the order in which they started.

    `policy` is the one in force now. Where the history names others before it, `terms` finds them, so that what
    was missed under one of them stays missed; without it all of the history is judged by `policy`.
    Events may come in any order and more than once. One dated after `now` (the platforms' clocks run a little
    ahead) counts as just happened. Raises CalendarError for a target that the calendar cannot reach within
    ten years, which `problems` finds when the configuration is read.
    """
    ordered = in_order(events)
    if not ordered:
        return ()
    now = max(now, ordered[-1].at).astimezone(UTC)
    named = [event.value for event in ordered if event.kind is EventKind.POLICY and event.value]
    if terms is None or len(set(named)) < 2:
        clocks = [_clock(run, policy, calendar, now, terms) for run in trace(ordered, policy, policy.metrics)]
        return tuple(clock for clock in clocks if clock is not None)
    known = {reference: terms(reference) or (policy, calendar) for reference in set(named)}
    known[named[-1]] = (policy, calendar)
    metrics = frozenset(metric for its_policy, _ in known.values() for metric in its_policy.metrics)
    # What had ended before the policy changed is judged by the one it ended under.
    clocks = [
        _clock(run, *known.get(run.policy, (policy, calendar)), now, terms) for run in trace(ordered, policy, metrics)
    ]
    return tuple(clock for clock in clocks if clock is not None)


def policy_named(events: Iterable[SlaEvent]) -> str:
    """The reference of the policy that the history named last; empty if it named none."""
    named = [event for event in events if event.kind is EventKind.POLICY and event.value]
    return (named[0] if len(named) == 1 else in_order(named)[-1]).value or "" if named else ""


def measure(
    events: Iterable[SlaEvent], policy: Policy, calendar: Calendar, now: datetime
) -> Mapping[Metric, timedelta]:
    """Agent work and requester wait so far, in business time, whether or not the policy promises them.

    Empty for a conversation without a customer message.
    """
    ordered = in_order(events)
    sums: dict[Metric, timedelta] = {}
    for run in trace(ordered, policy, _SUMS):
        if run.metric in _SUMS:
            pauses = merged([(to_us(a), to_us(b)) for a, b in run.breaks])
            end = run.ended_at or run.paused_from or max(now, run.started_at)
            sums[run.metric] = timedelta(microseconds=calendar.open_us(to_us(run.started_at), to_us(end), pauses))
    return sums


class _Promise(NamedTuple):
    """What was promised during a stretch of a run, and when that was due."""

    policy: Policy
    target: Duration
    due: datetime


def _clock(run: Run, policy: Policy, calendar: Calendar, now: datetime, terms: Terms | None) -> Clock | None:
    started_us = to_us(run.started_at)
    pauses = merged([(to_us(a), to_us(b)) for a, b in run.breaks]) if run.breaks else []

    def promise_in(stretch: Stretch) -> _Promise | None:
        """What was in force then, None if nothing was."""
        known = terms(stretch.policy) if terms is not None and stretch.policy != run.policy else None
        its_policy, its_calendar = known or (policy, calendar)
        promised = its_policy.target(run.metric, stretch.priority)
        if promised is None:
            return None
        return _Promise(its_policy, promised, from_us(its_calendar.due_us(started_us, promised, pauses)))

    target = policy.target(run.metric, run.priority)
    if target is None:
        return _missed_before(run, pauses, promise_in)
    due_us = calendar.due_us(started_us, target, pauses)
    due = from_us(due_us)
    breached_at = _breached_at(run, due, now, promise_in)
    state = _state(run, due, breached_at)
    remaining: timedelta | None = None
    if state is not ClockState.CANCELLED:
        at = to_us(run.ended_at or run.paused_from or now)
        ahead = calendar.open_us(at, due_us, pauses) if at <= due_us else -calendar.open_us(due_us, at, pauses)
        remaining = timedelta(microseconds=ahead)
    armed_at = run.current.start if run.current else run.past[-1].start if run.past else run.started_at
    if run.resumed_at is not None and run.resumed_at > armed_at:
        armed_at = run.resumed_at
    return Clock(
        metric=run.metric,
        instance=run.instance,
        state=state,
        started_at=run.started_at,
        due_at=None if state in (ClockState.PAUSED, ClockState.CANCELLED) else due,
        target=target,
        stopped_at=run.ended_at,
        breached_at=breached_at,
        remaining=remaining,
        priority=run.priority,
        basis=run.basis,
        breaks=tuple(run.breaks) if len(pauses) == len(run.breaks) else _spans(pauses),
        paused_from=run.paused_from,
        resumed_at=run.resumed_at,
        armed_at=armed_at,
        policy=policy.name,
        version=policy.version,
    )


def _missed_before(
    run: Run, pauses: Sequence[UsSpan], promise_in: Callable[[Stretch], _Promise | None]
) -> Clock | None:
    """The clock of what is promised no longer: what was missed while it was stays on record, and is over."""
    for stretch in run.past:
        promise = promise_in(stretch)
        if promise is None or stretch.end is None or (promise.due < stretch.start and stretch.by_change):
            continue
        missed = max(promise.due, stretch.start)
        if missed < stretch.end:
            return Clock(
                metric=run.metric,
                instance=run.instance,
                state=ClockState.BREACHED,
                started_at=run.started_at,
                due_at=promise.due,
                target=promise.target,
                stopped_at=stretch.end,
                breached_at=missed,
                priority=stretch.priority,
                basis=run.basis,
                breaks=_spans(pauses),
                armed_at=stretch.start,
                policy=promise.policy.name,
                version=promise.policy.version,
            )
    return None


def _spans(pauses: Sequence[UsSpan]) -> tuple[Span, ...]:
    return tuple((from_us(a), from_us(b)) for a, b in pauses)


def _breached_at(
    run: Run, final_due: datetime, now: datetime, promise_in: Callable[[Stretch], _Promise | None]
) -> datetime | None:
    """The first moment at which a deadline in force had passed; a later change of the target does not undo it."""
    stretches = run.stretches()
    for stretch in stretches:
        is_final = stretch.priority is run.priority and stretch.policy == run.policy
        promise = None if is_final else promise_in(stretch)
        if promise is None and not is_final:
            continue
        due = final_due if promise is None else promise.due
        if run.paused_from is not None and due > run.paused_from:
            continue  # the pause that lasts keeps this deadline ahead of us
        missed = due
        if due < stretch.start:
            if stretch.by_change and not (is_final and stretch is stretches[-1]):
                continue
            missed = stretch.start
        if missed <= now if stretch.end is None else missed < stretch.end:
            return missed
    return None


def _state(run: Run, due: datetime, breached_at: datetime | None) -> ClockState:
    if run.outcome is Outcome.CANCELLED:  # what was missed before that stays missed; it can be excused
        return ClockState.CANCELLED if breached_at is None else ClockState.BREACHED
    if run.outcome is Outcome.STOPPED and run.ended_at is not None:
        in_time = breached_at is None and run.ended_at <= due
        return ClockState.MET if in_time else ClockState.MET_LATE
    if breached_at is not None:
        return ClockState.BREACHED
    if run.undeliverable:
        return ClockState.UNDELIVERABLE
    if run.outcome is Outcome.ABANDONED:
        return ClockState.CANCELLED
    return ClockState.RUNNING if run.paused_from is None else ClockState.PAUSED


def alert_key(clock: Clock, level: str, due_at: datetime) -> str:
    """What makes an alert happen once: another deadline is another key and arms it again."""
    return f"{clock.metric}:{clock.instance}:{level}:{due_at.isoformat()}"


def next_alert(
    clock: Clock,
    policy: Policy,
    calendar: Calendar,
    alerts_done: frozenset[str],
    now: datetime,
) -> Alert | None:
    """Return the one alert to give next, or None when there is nothing to say.

    An alert whose `at` is not after `now` is to be given at once: of several moments that have passed only
    the most severe speaks. None while paused, undeliverable or ended, and once the breach was announced (its
    key is in `alerts_done`).
    """
    due = clock.due_at
    if due is None or not clock.is_active or (clock.paused_from is not None and due > clock.paused_from):
        return None
    moments = _moments(clock, due, policy, calendar)
    now_us = to_us(now)
    passed = sum(at <= now_us for _, at in moments)
    if passed:
        level, at = moments[passed - 1]
        key = alert_key(clock, level, due)
        if key not in alerts_done:
            return _alert(level, at, due, key, late=timedelta(microseconds=now_us - at) > LATE_AFTER)
    coming = moments[passed:]
    if alerts_done:
        coming = [(level, at) for level, at in coming if alert_key(clock, level, due) not in alerts_done]
    if not coming:
        return None
    level, at = [moment for moment in coming if moment[1] == coming[0][1]][-1]
    return _alert(level, at, due, alert_key(clock, level, due), late=False)


def _moments(clock: Clock, due: datetime, policy: Policy, calendar: Calendar) -> list[tuple[str, int]]:
    """Every level with the moment it may speak, mildest first; never before the deadline was in force."""
    started_us, due_us = to_us(clock.started_at), to_us(due)
    pauses = [(to_us(a), to_us(b)) for a, b in clock.breaks]
    minutes = clock.target.minutes  # business days are as long as their days
    total = minutes * MINUTE_US if minutes else calendar.open_us(started_us, due_us, pauses)
    leads = sorted(((offset.lead_us(total), offset.level) for offset in policy.offsets), reverse=True)
    moments = [(level, calendar.due_us(started_us, total - lead, pauses)) for lead, level in leads if lead < total]
    moments.append(("breach", due_us))
    earliest = to_us(clock.armed_at or clock.started_at)
    if clock.resumed_at is not None:
        earliest = max(earliest, calendar.due_us(to_us(clock.resumed_at), policy.min_after_resume))
    return [(level, max(at, earliest)) for level, at in moments]


def _alert(level: str, at: int, due: datetime, key: str, *, late: bool) -> Alert:
    kind: Literal["warning", "breach"] = "breach" if level == "breach" else "warning"
    return Alert(kind=kind, level=level, at=from_us(at), due_at=due, key=key, late=late)


def explain(clock: Clock, calendar: Calendar) -> tuple[Slice, ...]:
    """Lay open how a deadline came about: every slice from the start to the deadline, or to the stop if there was one.

    Slices follow each other without a gap. For a paused clock they end where the pause began.
    """
    until = clock.stopped_at or clock.due_at or clock.paused_from or clock.started_at
    edges: list[tuple[datetime, datetime, bool]] = []
    for start, end in calendar.open_intervals(clock.started_at, until):
        counted = set(calendar.open_intervals(start, end, clock.breaks))
        points = sorted({start, end, *(moment for span in counted for moment in span)})
        edges += [(a, b, (a, b) in counted) for a, b in pairwise(points)]
    slices: list[Slice] = []
    used, at = timedelta(), clock.started_at
    for start, end, is_counted in edges:
        if start > at:
            slices.append(Slice(start=at, end=start, kind="closed", used=used))
        used += end - start if is_counted else timedelta()
        kind: Literal["counted", "paused"] = "counted" if is_counted else "paused"
        if slices and slices[-1].kind == kind and slices[-1].end == start:
            start = slices.pop().start
        slices.append(Slice(start=start, end=end, kind=kind, used=used))
        at = end
    if until > at:
        slices.append(Slice(start=at, end=until, kind="closed", used=used))
    return tuple(slices)


def problems(policy: Policy, calendar: Calendar) -> list[str]:
    """List what is wrong with a policy under its calendar, one line each with the fix; empty when it is sound."""
    promised = [
        (f"{metric} for {priority}", target)
        for priority, targets in policy.targets.items()
        for metric, target in targets.items()
    ]
    promised += [(word, target) for word, target in (("return", policy.return_after),) if target is not None]
    return [
        f"policy '{policy.name}': {what}, {target} of '{calendar.name}' time, takes more than a year: "
        "shorten it or open the calendar longer"
        for what, target in promised
        if _is_out_of_reach(target, calendar)
    ]


def _is_out_of_reach(target: Duration, calendar: Calendar) -> bool:
    try:
        return calendar.add(_REFERENCE, target) - _REFERENCE > _LONGEST_TARGET
    except CalendarError:
        return True
