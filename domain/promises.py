"""Promises: a time that an agent gave the customer, watched like a deadline and reported apart from the others.

A promise is kept by the next answer that reaches the customer by then, or replaced by a new one. The answer that
carried it keeps nothing, however long it waits to leave. It is plain time, not business time: whoever says "by 5 pm"
means five o'clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from domain import sla
from domain.calendar import ALWAYS, Calendar, Duration
from domain.model import Priority, Status
from domain.sla import Clock, ClockState, EventKind, Metric, Policy, SlaEvent

WARNING = "15m"
SAME_BREATH = timedelta(minutes=2)
"""What is sent this soon after a promise was tracked belongs to the answer that carried it."""
_ENDS = (Status.DONE.value, Status.SPAM.value)

POLICY = Policy(
    name="promise",
    calendar=ALWAYS.name,
    targets={Priority.LOW: {Metric.PROMISE: Duration(minutes=1)}},
    warnings=(WARNING,),
    min_after_resume=Duration(minutes=1),
)
"""Under which the alerts of a promise come: a quarter of an hour before, and when it is broken."""


def terms(clock: Clock, policy: Policy, calendar: Calendar) -> tuple[Policy, Calendar]:
    """Policy and calendar that count for a clock's alerts: a promise has its own."""
    return (POLICY, ALWAYS) if clock.metric is Metric.PROMISE else (policy, calendar)


def all_clocks(
    history: Iterable[SlaEvent], policy: Policy, calendar: Calendar, now: datetime, known: sla.Terms | None = None
) -> tuple[Clock, ...]:
    """Every clock of a conversation: those of its policy, and its promises; `known` finds earlier policies."""
    events = tuple(history)
    clocks = sla.evaluate(events, policy, calendar, now, known)
    if not any(event.kind is EventKind.PROMISE for event in events):
        return clocks
    return (*clocks, *evaluate(events, now))


def evaluate(history: Iterable[SlaEvent], now: datetime) -> tuple[Clock, ...]:
    """The promises of a conversation as they stand at `now`, in the order in which they were given."""
    found: list[Clock] = []
    open_one: tuple[datetime, datetime, str] | None = None  # since, until, the event's id
    shelved: tuple[datetime, datetime, str] | None = None  # what was open when the conversation was closed
    is_closed = False

    def ended(state: ClockState | None, at: datetime) -> None:
        nonlocal open_one
        if open_one is None:
            return
        since, due, basis = open_one
        if state is None:
            state = ClockState.MET if at <= due else ClockState.MET_LATE
        found.append(_clock(len(found) + 1, since, due, basis, state, at))
        open_one = None

    for event in sorted({event.id: event for event in history}.values(), key=lambda one: (one.at, one.seq, one.id)):
        at = event.at.astimezone(UTC)
        if event.kind is EventKind.PROMISE:
            due = datetime.fromisoformat(event.value or "").astimezone(UTC)
            ended(ClockState.CANCELLED if open_one and at <= open_one[1] else None, at)
            open_one = (at, due, event.id)
        elif event.kind is EventKind.AGENT_REPLY and open_one is not None:
            is_older = event.of != "" and event.of < open_one[2]
            if not is_older and at - open_one[0] > SAME_BREATH:
                ended(None, at)
        elif event.kind is EventKind.CUSTOMER_MESSAGE:
            shelved = None if is_closed else shelved  # what they ask now is another matter
        elif event.kind in (EventKind.MERGED, EventKind.SPAM) or (
            event.kind is EventKind.STATUS and event.value in _ENDS
        ):
            is_closed = event.kind is not EventKind.MERGED
            shelved = open_one if open_one and at <= open_one[1] and is_closed else shelved
            ended(None if open_one and at > open_one[1] else ClockState.CANCELLED, at)
        elif is_closed and event.kind in (EventKind.STATUS, EventKind.REOPENED):
            is_closed = False
            if shelved is not None:  # that was taken back
                del found[-1]
                open_one, shelved = shelved, None
    if open_one is not None:
        since, due, basis = open_one
        state = ClockState.RUNNING if now < due else ClockState.BREACHED
        found.append(_clock(len(found) + 1, since, due, basis, state, None, now))
    return tuple(found)


def _clock(
    instance: int,
    since: datetime,
    due: datetime,
    basis: str,
    state: ClockState,
    stopped_at: datetime | None,
    now: datetime | None = None,
) -> Clock:
    end = stopped_at or now or since
    is_over = state in (ClockState.MET_LATE, ClockState.BREACHED)
    return Clock(
        metric=Metric.PROMISE,
        instance=instance,
        state=state,
        started_at=since,
        due_at=None if state is ClockState.CANCELLED else due,
        target=Duration(minutes=max(1, int((due - since) / timedelta(minutes=1)))),
        stopped_at=stopped_at,
        breached_at=due if is_over else None,
        remaining=None if state is ClockState.CANCELLED else due - end,
        basis=basis,
        armed_at=since,
    )
