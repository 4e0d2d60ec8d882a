"""The report of service levels: what was met and missed, with the excused beside it and set aside."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.calendar import Calendar
from domain.durations import parse_duration
from domain.model import Priority
from domain.sla import Clock, ClockState, Metric
from domain.sla_report import GROUPS, Excuse, Judged, percentile, report

HOUR = timedelta(hours=1)
FRIDAY = datetime(2026, 6, 12, 16, tzinfo=UTC)
OFFICE = Calendar.build(name="office", tz="UTC", hours={"mon-fri": ["09:00-17:00"]})
EXCUSE = Excuse(by="agent:U0LENA", reason="outage", at=FRIDAY + 30 * HOUR)
FIRST = Metric.FIRST_RESPONSE


def clock(state: ClockState, took: timedelta | None = None, **fields: object) -> Clock:
    made = Clock(
        metric=FIRST,
        state=state,
        started_at=FRIDAY,
        due_at=FRIDAY + 67 * HOUR,  # Monday at eleven
        target=parse_duration("3h"),
        stopped_at=None if took is None else FRIDAY + took,
        policy="standard",
    )
    return replace(made, **fields)  # type: ignore[arg-type]


def judged(number: int, *clocks: Clock, excuses: tuple[tuple[Metric, int], ...] = ()) -> Judged:
    return Judged(
        number=number,
        clocks=clocks,
        calendar=OFFICE,
        excuses=dict.fromkeys(excuses, EXCUSE),
        queue="billing",
        channel="telegram",
        assignee="",
    )


IN_TIME = clock(ClockState.MET, 66 * HOUR)
LATE = clock(ClockState.MET_LATE, 69 * HOUR)
NEVER = clock(ClockState.BREACHED)


def test_an_excused_breach_stands_in_both_figures() -> None:
    """It counts as missed, it counts as excused, and the share without it is given beside the share with it."""
    made = report([judged(1, IN_TIME), judged(2, LATE), judged(3, NEVER, excuses=((FIRST, 1),))], FRIDAY, "policy")
    line = made.lines["standard", FIRST]
    assert (line.met, line.late, line.missed, line.excused, line.decided) == (1, 1, 1, 1, 3)
    assert line.share == pytest.approx(1 / 3)
    assert line.share_unexcused == pytest.approx(1 / 2)
    assert [(one.number, one.excuse) for one in made.breaches] == [(3, EXCUSE), (2, None)]


def test_an_excuse_is_for_one_wait() -> None:
    """The second wait of the same clock is not excused with the first."""
    again = replace(NEVER, metric=Metric.NEXT_RESPONSE, instance=2)
    first = replace(again, instance=1)
    made = report([judged(1, first, again, excuses=((Metric.NEXT_RESPONSE, 1),))], FRIDAY, "policy")
    assert made.lines["standard", Metric.NEXT_RESPONSE].excused == 1
    assert sorted((one.instance, one.excuse is not None) for one in made.breaches) == [(1, True), (2, False)]


def test_an_excuse_without_a_breach_changes_nothing() -> None:
    """What was answered in time in the end, by an answer that we heard of late, has nothing to excuse."""
    line = report([judged(1, IN_TIME, excuses=((FIRST, 1),))], FRIDAY, "policy").lines["standard", FIRST]
    assert (line.excused, line.share, line.share_unexcused) == (0, 1.0, 1.0)


def test_lengths_are_in_open_time_and_on_the_wall() -> None:
    """From Friday at four to Monday at ten: two hours of open time, sixty-six on the wall."""
    line = report([judged(1, IN_TIME), judged(2, LATE), judged(3, NEVER)], FRIDAY, "policy").lines["standard", FIRST]
    assert line.open_time == [2 * HOUR, 5 * HOUR], "what never came has no length"
    assert line.wall_time == [66 * HOUR, 69 * HOUR]


@pytest.mark.parametrize(
    "state", [ClockState.RUNNING, ClockState.PAUSED, ClockState.CANCELLED, ClockState.UNDELIVERABLE]
)
def test_what_has_not_come_out_counts_for_nothing(state: ClockState) -> None:
    """Neither met nor missed, and no line for it."""
    made = report([judged(1, clock(state))], FRIDAY, "policy")
    assert (made.conversations, made.lines, made.breaches) == (1, {}, [])


def test_promises_are_counted_apart() -> None:
    """What an agent gave the customer by themselves is in no policy's share, and a broken one is among the breaches."""
    kept, broken = (replace(one, metric=Metric.PROMISE, policy="") for one in (IN_TIME, NEVER))
    for group, name in (("policy", "all"), ("priority", "all"), ("queue", "billing")):
        made = report([judged(1, IN_TIME, kept), judged(2, broken, excuses=((Metric.PROMISE, 1),))], FRIDAY, group)
        (line,) = made.lines.values()
        assert (line.met, line.share) == (1, 1.0)
        promised = made.promises[name]
        assert (promised.met, promised.missed, promised.excused, promised.share_unexcused) == (1, 1, 1, 1.0)
        assert [(one.number, one.metric) for one in made.breaches] == [(2, Metric.PROMISE)]


def test_what_reached_nobody_is_said_beside_the_shares() -> None:
    """Neither met nor missed, and not passed over in silence."""
    assert report([judged(1, clock(ClockState.UNDELIVERABLE), IN_TIME)], FRIDAY, "policy").undeliverable == 1


def test_clocks_from_before_and_return_timers_are_left_out() -> None:
    """A conversation that was touched in the span may have older clocks."""
    old, inner = replace(NEVER, started_at=FRIDAY - HOUR), replace(NEVER, metric=Metric.RETURN)
    assert report([judged(1, old, inner)], FRIDAY, "policy").lines == {}


@pytest.mark.parametrize(
    ("group", "name"),
    [("policy", "standard"), ("queue", "billing"), ("priority", "high"), ("channel", "telegram"), ("assignee", "-")],
)
def test_it_is_laid_out_as_asked(group: str, name: str) -> None:
    """By what the clock promised or where the conversation stands; nobody is a dash."""
    assert group in GROUPS
    made = report([judged(1, replace(NEVER, priority=Priority.HIGH))], FRIDAY, group)
    assert list(made.lines) == [(name, FIRST)]


def test_nothing_is_decided_of_nothing() -> None:
    """All excused leaves no share, no clocks leave no length."""
    line = report([judged(1, NEVER, excuses=((FIRST, 1),))], FRIDAY, "policy").lines["standard", FIRST]
    assert (line.share, line.share_unexcused) == (0.0, None)
    assert percentile(line.open_time, 0.5) is None


@pytest.mark.parametrize(("share", "hours"), [(0.5, 2), (0.9, 4), (1.0, 4), (0.25, 1), (0.01, 1)])
def test_a_percentile_is_a_length_that_occurred(share: float, hours: int) -> None:
    """The shortest within which at least that share lies."""
    assert percentile([n * HOUR for n in (1, 2, 3, 4)], share) == hours * HOUR
