"""Which policy and calendar count for a conversation, and that a running one keeps them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain import deadlines
from domain.calendar import ALWAYS, Calendar, parse_duration
from domain.model import Priority
from domain.routing import Condition, Queue
from domain.rulebook import PolicyRule, Rulebook
from domain.sla import ClockState, EventKind, Metric, Policy, SlaEvent

NINE = datetime(2026, 6, 12, 9, tzinfo=UTC)
OWN, TEAM, SHARED = (
    Calendar.build(name=name, tz="UTC", hours={"mon-sun": [hours]})
    for name, hours in (("own", "09:00-17:00"), ("team", "10:00-17:00"), ("shared", "12:00-17:00"))
)


def policy(hours: str = "4h", version: int = 1, calendar: str | None = None) -> Policy:
    targets = {Priority.LOW: {Metric.FIRST_RESPONSE: parse_duration(hours)}}
    return Policy(name="standard", version=version, calendar=calendar, targets=targets)


def rules(newest: Policy, *versions: Policy, default: str | None = "shared") -> Rulebook:
    """Two queues, one with hours of its own."""
    return Rulebook(
        queues={
            "night": Queue(name="night", title="Night", slack_channel="C1", calendar="team"),
            "day": Queue(name="day", title="Day", slack_channel="C2"),
        },
        default_queue="day",
        triage_queue="day",
        rules=(),
        policies={"standard": newest},
        policy_rules=(PolicyRule(when=Condition(), policy="standard"),),
        calendars={"own": OWN, "team": TEAM, "shared": SHARED},
        intents={},
        channel_limits={},
        default_calendar=default,
        policy_versions={one.reference: one for one in (*versions, newest)},
    )


def history(*named: tuple[int, str]) -> tuple[SlaEvent, ...]:
    """A first message at nine, and the references that the history names, in minutes after it."""
    said = SlaEvent(id="0", at=NINE, kind=EventKind.CUSTOMER_MESSAGE)
    return (
        said,
        *(
            SlaEvent(id=str(number), at=NINE + timedelta(minutes=minute), kind=EventKind.POLICY, value=reference)
            for number, (minute, reference) in enumerate(named, start=1)
        ),
    )


def due(book: Rulebook, *named: tuple[int, str], name: str = "standard", hours: float = 0) -> str:
    found = deadlines.standing(book, name, history(*named), NINE + timedelta(hours=hours))
    assert found is not None
    at = found.clocks[0].due_at
    return f"{at:%H:%M}" if at else ""


def test_the_calendar_is_the_policys_then_the_queues_then_the_default() -> None:
    """Four hours from nine end at one o'clock, at two, or at four; without any calendar at one again."""
    own = rules(policy(calendar="own"))
    assert own.reference(own.policies["standard"], "night") == "standard@1"
    assert due(own, (0, "standard@1")) == "13:00"
    free = rules(policy())
    assert free.reference(free.policies["standard"], "night") == "standard@1/team"
    assert due(free, (0, "standard@1/team")) == "14:00"
    assert free.reference(free.policies["standard"], "day") == "standard@1/shared"
    assert due(free, (0, "standard@1/shared")) == "16:00"
    bare = rules(policy(), default=None)
    assert bare.reference(bare.policies["standard"], "day") == f"standard@1/{ALWAYS.name}"
    assert due(bare, (0, f"standard@1/{ALWAYS.name}")) == "13:00"


def test_another_queue_is_another_calendar_from_the_same_start() -> None:
    """Moved to the team that opens later it is due later; what was missed before the move stays missed."""
    book = rules(policy())
    assert due(book, (0, "standard@1/team"), (30, "standard@1/shared")) == "16:00"
    strict = rules(policy("30m"))
    found = deadlines.standing(
        strict, "standard", history((0, "standard@1/team"), (100, "standard@1/shared")), NINE + timedelta(hours=2)
    )
    assert found is not None
    assert found.clocks[0].state is ClockState.BREACHED
    assert found.clocks[0].breached_at == NINE + timedelta(minutes=90)


def test_a_running_conversation_keeps_its_version() -> None:
    """Whatever is configured now, the version that the history names counts, while the record knows it."""
    book = rules(policy("1h", version=2, calendar="own"), policy("4h", calendar="own"))
    assert due(book, (0, "standard@1")) == "13:00"
    assert due(book, (0, "standard@2")) == "10:00"
    assert due(book, (0, "standard@1"), (30, "standard@2")) == "10:00", "reapplied"
    assert due(book, (0, "standard@9")) == "10:00", "one that nobody knows any more is the newest"


def test_a_conversation_from_before_versions_has_the_first() -> None:
    """Its history names the policy alone, or nothing at all."""
    book = rules(policy("1h", version=2, calendar="own"), policy("4h", calendar="own"))
    assert due(book, (0, "standard")) == "13:00"
    assert due(book) == "13:00"


def test_a_policy_that_is_configured_no_more_counts_for_nothing() -> None:
    """Its clocks are put away, though its versions are known."""
    book = replace(rules(policy(calendar="own")), policies={})
    assert deadlines.standing(book, "standard", history((0, "standard@1")), NINE) is None
    assert deadlines.standing(book, None, history(), NINE) is None


def test_a_calendar_that_is_gone_falls_back_to_the_default() -> None:
    """A reference to a queue's calendar that nobody knows any more counts by the default one."""
    assert due(rules(policy()), (0, "standard@1/gone")) == "16:00"
