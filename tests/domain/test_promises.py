"""The clock of a promise: kept by the next answer, replaced by a new one, apart from the policy's clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain import alerts, promises
from domain.calendar import ALWAYS, Duration
from domain.model import Priority
from domain.sla import Clock, ClockState, EventKind, Metric, Policy, SlaEvent

NINE = datetime(2026, 6, 12, 9, tzinfo=UTC)
FIVE = NINE + timedelta(hours=8)
STANDARD = Policy(
    name="standard", calendar="always", targets={Priority.LOW: {Metric.FIRST_RESPONSE: Duration(minutes=240)}}
)


def event(kind: EventKind, hours: float, value: str | None = None, of: str = "") -> SlaEvent:
    return SlaEvent(id=f"{kind}{hours}", at=NINE + timedelta(hours=hours), kind=kind, value=value, of=of)


def promised(hours: float = 0, until: datetime = FIVE) -> SlaEvent:
    return event(EventKind.PROMISE, hours, until.isoformat())


def clocks(*events: SlaEvent, now: float) -> tuple[Clock, ...]:
    return promises.evaluate(events, NINE + timedelta(hours=now))


@pytest.mark.parametrize(
    ("then", "now", "states"),
    [
        ([], 1, [ClockState.RUNNING]),
        ([], 8, [ClockState.BREACHED]),
        ([event(EventKind.AGENT_REPLY, 3)], 9, [ClockState.MET]),
        ([event(EventKind.AGENT_REPLY, 8)], 9, [ClockState.MET]),
        ([event(EventKind.AGENT_REPLY, 8.5)], 9, [ClockState.MET_LATE]),
        ([event(EventKind.AGENT_REPLY, 0.01)], 9, [ClockState.BREACHED]),  # what belongs to the answer that carried it
        ([event(EventKind.AGENT_REPLY, 3, of="outgoing")], 9, [ClockState.BREACHED]),  # that itself, long after
        ([event(EventKind.AGENT_REPLY, 3, of="sent")], 9, [ClockState.MET]),
        ([promised(2, FIVE + timedelta(hours=3))], 9, [ClockState.CANCELLED, ClockState.RUNNING]),
        ([promised(9, FIVE + timedelta(hours=3))], 10, [ClockState.MET_LATE, ClockState.RUNNING]),
        ([event(EventKind.STATUS, 3, "done")], 9, [ClockState.CANCELLED]),
        ([event(EventKind.STATUS, 3, "on_hold")], 9, [ClockState.BREACHED]),
        ([event(EventKind.MERGED, 3)], 9, [ClockState.CANCELLED]),
        ([event(EventKind.SPAM, 3)], 9, [ClockState.CANCELLED]),
        ([event(EventKind.STATUS, 8.5, "done")], 9, [ClockState.MET_LATE]),
        ([event(EventKind.CUSTOMER_MESSAGE, 3)], 9, [ClockState.BREACHED]),
    ],
)
def test_what_becomes_of_a_promise(then: list[SlaEvent], now: float, states: list[ClockState]) -> None:
    """The next answer keeps it, a new promise replaces it, the end of the conversation puts it away."""
    assert [clock.state for clock in clocks(promised(), *then, now=now)] == states


def test_a_broken_promise_says_since_when() -> None:
    """The moment it was for is the moment it was broken; nothing later changes that."""
    (clock,) = clocks(promised(), event(EventKind.AGENT_REPLY, 10), now=11)
    assert clock.breached_at == FIVE
    assert clock.remaining == timedelta(hours=-2)


def test_a_repeated_event_and_another_order_change_nothing() -> None:
    """The same history gives the same clocks, however it is told."""
    events = [promised(), event(EventKind.AGENT_REPLY, 3), promised(4, FIVE + timedelta(hours=1))]
    assert clocks(*events, now=5) == clocks(*reversed([*events, *events]), now=5)


def test_promises_stand_beside_the_policys_clocks() -> None:
    """Neither changes the other."""
    history = [event(EventKind.CUSTOMER_MESSAGE, -1), promised()]
    every = promises.all_clocks(history, STANDARD, ALWAYS, NINE + timedelta(hours=1))
    assert [clock.metric for clock in every] == [Metric.FIRST_RESPONSE, Metric.PROMISE]
    assert [c.instance for c in every] == [1, 1]


def test_a_promise_is_warned_about_a_quarter_of_an_hour_before() -> None:
    """In plain time, at night as at noon; then the breach, then the levels."""
    (clock,) = clocks(promised(), now=1)
    level = alerts.Level(after=Duration(minutes=30), to="leads")
    terms = promises.terms(clock, STANDARD, ALWAYS)
    warning = alerts.coming(clock, *terms, (level,), frozenset(), NINE + timedelta(hours=1))
    assert warning is not None
    assert (warning.kind, warning.at) == ("warning", FIVE - timedelta(minutes=15))
    (broken,) = clocks(promised(), now=8.01)
    breach = alerts.coming(broken, *terms, (level,), frozenset({warning.key}), FIVE + timedelta(seconds=36))
    assert breach is not None
    assert breach.kind == "breach"
    following = alerts.coming(broken, *terms, (level,), frozenset({warning.key, breach.key}), FIVE)
    assert following is not None
    assert (following.kind, following.at) == ("escalation", FIVE + timedelta(minutes=30))
