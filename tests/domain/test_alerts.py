"""Levels of the escalation: which alert comes next, who is told, and what an acknowledgement silences."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import alerts, sla
from domain.alerts import Address, Level, Person, Plan, Team, Way
from domain.calendar import ALWAYS, Calendar, Duration, parse_duration
from domain.model import Priority
from domain.sla import Clock, ClockState, EventKind, Metric, Policy, SlaEvent

NINE = datetime(2026, 6, 12, 9, tzinfo=UTC)  # a Friday
DUE = NINE + timedelta(hours=4)
POLICY = Policy(
    name="standard",
    calendar="always",
    targets={Priority.LOW: {Metric.FIRST_RESPONSE: parse_duration("4h")}},
    warnings=("50%", "25%", "15m"),
)
LEVELS = (Level(after=Duration(minutes=15), to="queue"), Level(after=Duration(minutes=30), to="leads"))
NAMES = ("50%", "25%", "15m", "breach", "+15m queue", "+30m leads")
HOURS = (2.0, 3.0, 3.75, 4.0, 4.25, 4.5)
MAYA, JONAS, LINA = (Person(id=one) for one in ("U0MAYA", "U0JONAS", "U0LINA"))
AWAY = Person(id="U0MAYA", why="dnd")
PLAN = Plan(fallback="C0LEADS")
TEAM = Team(channel="C0SUPPORT", assignee=MAYA, group="S0AGENTS", lead="S0LEADS", leads=(JONAS, LINA))


def clock(hours: float, calendar: Calendar = ALWAYS) -> Clock:
    asked = SlaEvent(id="1", at=NINE, kind=EventKind.CUSTOMER_MESSAGE)
    (found,) = sla.evaluate([asked], POLICY, calendar, NINE + timedelta(hours=hours))
    return found


def coming(hours: float, done: frozenset[str] = frozenset(), calendar: Calendar = ALWAYS) -> sla.Alert | None:
    now = NINE + timedelta(hours=hours)
    return alerts.coming(clock(hours, calendar), POLICY, calendar, LEVELS, done, now)


def keys(*names: str) -> frozenset[str]:
    return frozenset(sla.alert_key(clock(0), name, DUE) for name in names)


def test_every_step_comes_once_and_in_its_order() -> None:
    """Warnings, the breach, the levels, each at its moment; after the last there is nothing more to say."""
    done: frozenset[str] = frozenset()
    given_: list[tuple[str, float]] = []
    hours = 0.0
    while (alert := coming(hours, done)) is not None:
        hours = (alert.at - NINE) / timedelta(hours=1)
        assert not alert.late
        done |= {alert.key}
        given_.append((alert.level, hours))
    assert given_ == list(zip(NAMES, HOURS, strict=True))


@pytest.mark.parametrize(
    ("hours", "level", "late"),
    [
        (2.5, "50%", True),
        (3.9, "15m", True),
        (4.1, "breach", True),
        (4.26, "+15m queue", False),
        (9, "+30m leads", True),
    ],
)
def test_after_a_silence_only_the_last_moment_speaks(hours: float, level: str, late: bool) -> None:
    """Whatever passed while nobody was running, one alert is given, and it says whether it is late."""
    alert = coming(hours)
    assert alert is not None
    assert (alert.level, alert.late) == (level, late)
    following = coming(hours, frozenset({alert.key}))
    assert following is None or following.at > NINE + timedelta(hours=hours)


def test_levels_count_in_business_time() -> None:
    """What is missed a quarter of an hour before closing on Friday is escalated on Monday."""
    office = Calendar.build(name="office", tz="UTC", hours={"mon-fri": ["09:00-13:05"]})
    alert = coming(4, keys("50%", "25%", "15m", "breach"), office)
    assert alert is not None
    assert (alert.level, alert.at) == ("+15m queue", NINE + timedelta(days=3, minutes=10))


def test_an_ended_or_paused_clock_says_nothing() -> None:
    """Nobody is told of what nobody owes any more."""
    for state in (ClockState.MET, ClockState.MET_LATE, ClockState.CANCELLED):
        over = replace(clock(5), state=state, stopped_at=DUE)
        assert alerts.coming(over, POLICY, ALWAYS, LEVELS, frozenset(), DUE) is None
        assert alerts.silenced(over, POLICY, ALWAYS, LEVELS, DUE) == frozenset()


def test_an_acknowledgement_silences_what_comes_before_the_next_level() -> None:
    """Before the deadline all warnings, after it what has passed; the next level speaks."""
    assert alerts.silenced(clock(2), POLICY, ALWAYS, LEVELS, NINE + timedelta(hours=2)) == keys("50%", "25%", "15m")
    now = NINE + timedelta(hours=4.3)
    assert alerts.silenced(clock(4.3), POLICY, ALWAYS, LEVELS, now) == keys(*NAMES[:5])
    alert = coming(2, keys("50%", "25%", "15m"))
    assert alert is not None
    assert alert.level == "breach"


@given(st.lists(st.floats(0, 12), min_size=1, max_size=12).map(sorted))
def test_no_sweep_says_anything_twice_or_goes_back(looks: list[float]) -> None:
    """Whenever the sweep looks: no key twice, and never something milder after something more severe."""
    done: frozenset[str] = frozenset()
    order: list[int] = []
    for hours in looks:
        while (alert := coming(hours, done)) is not None and alert.at <= NINE + timedelta(hours=hours):
            assert alert.key not in done
            done |= {alert.key}
            order.append(NAMES.index(alert.level))
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("goal", "team", "told"),
    [
        ("thread", TEAM, [("thread", "", ("U0MAYA",))]),
        ("thread", replace(TEAM, assignee=AWAY), [("thread", "", ("S0AGENTS",))]),
        ("thread", replace(TEAM, assignee=None), [("thread", "", ("S0AGENTS",))]),
        ("thread", replace(TEAM, assignee=AWAY, group=None), [("thread", "", ()), ("channel", "C0LEADS", ())]),
        ("thread", replace(TEAM, assignee=None, group=None), [("thread", "", ()), ("channel", "C0LEADS", ())]),
        ("queue", TEAM, [("channel", "C0SUPPORT", ("S0AGENTS",))]),
        ("S0SECOND", TEAM, [("channel", "C0SUPPORT", ("S0SECOND",))]),
        ("C0OTHER", TEAM, [("channel", "C0OTHER", ("S0AGENTS",))]),
        ("leads", TEAM, [("person", "U0JONAS", ()), ("person", "U0LINA", ())]),
        ("leads", replace(TEAM, leads=(replace(JONAS, why="away"), LINA)), [("person", "U0LINA", ())]),
        ("leads", replace(TEAM, leads=(replace(JONAS, why="away"),)), [("channel", "C0LEADS", ("S0LEADS",))]),
        ("leads", replace(TEAM, leads=()), [("channel", "C0LEADS", ("S0LEADS",))]),
        ("U0BOSS", TEAM, [("person", "U0BOSS", ())]),
        ("U0MAYA", replace(TEAM, people={"U0MAYA": AWAY}), [("channel", "C0LEADS", ("U0MAYA",))]),
        ("webhook", TEAM, [("webhook", "", ())]),
    ],
)
def test_somebody_who_is_there_is_told(goal: str, team: Team, told: list[tuple[str, str, tuple[str, ...]]]) -> None:
    """The assignee at work, else the group, else the fallback channel; a level's own place otherwise."""
    assert list(alerts.addressed(goal, team, PLAN)) == [
        Address(way=Way(way), place=place, mention=mention) for way, place, mention in told
    ]


def test_a_breach_names_the_lead_too() -> None:
    """Whoever leads hears of what was missed, beside whoever has it."""
    (address,) = alerts.addressed("thread", TEAM, PLAN, is_breach=True)
    assert address.mention == ("S0LEADS", "U0MAYA")


@given(
    st.sampled_from(["thread", "queue", "leads", "webhook", "C0OTHER", "S0SECOND", "U0BOSS"]),
    st.sampled_from([None, MAYA, AWAY]),
    st.sampled_from([None, "S0AGENTS"]),
    st.sampled_from([None, "S0LEADS"]),
    st.lists(st.sampled_from([JONAS, replace(LINA, why="away")]), max_size=8),
    st.sampled_from([None, "C0LEADS"]),
)
def test_nobody_assigned_never_means_nobody_told(
    goal: str, has_it: Person | None, group: str | None, lead: str | None, leads: list[Person], fallback: str | None
) -> None:
    """Whatever is missing, an alert goes somewhere, and with a fallback channel somebody hears it."""
    team = Team(channel="C0SUPPORT", assignee=has_it, group=group, lead=lead, leads=tuple(leads))
    found = alerts.addressed(goal, team, Plan(fallback=fallback))
    assert found
    if fallback is not None:
        assert any(one.mention or one.way is not Way.THREAD for one in found)
    assert sum(one.way is Way.PERSON for one in found) <= alerts.MOST_LEADS
