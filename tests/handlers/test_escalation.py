"""Clocks run out: who is told, once, and when silence is right."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import routing
from domain.calendar import parse_duration
from domain.changes import Changes, DeliveryKind, Situation
from domain.events import ClockDue
from domain.model import Agent, EntryKind
from domain.sla import ClockState, Metric
from handlers import escalation
from tests.handlers.kit import MAYA, NINE, OFFICE, Desk, kinds, noted, rulebook


def opened() -> Desk:
    desk = Desk()
    desk.writes()
    return desk


def alerts(decided: Changes) -> list[tuple[str, str]]:
    return [(str(e.data["metric"]), str(e.data["alert"])) for e in noted(decided, EntryKind.CLOCK)]


def named(decided: Changes) -> list[list[str]]:
    """Who is named in each message of an alert."""
    return [item.data["mention"] for item in decided.outbox if item.kind is DeliveryKind.DESK_ALERT]


def test_a_warning_and_a_breach_come_once_each() -> None:
    """With a quarter of the time left the team is warned, at the deadline the lead is named; never twice."""
    desk = opened()
    assert desk.later(hours=2.9).sweep().reason == "nothing_due"
    warned = desk.later(hours=0.2).sweep()
    assert alerts(warned) == [("first_response", "warning")]
    assert named(warned) == [["S0AGENTS"]]
    assert kinds(warned) == [DeliveryKind.DESK_ALERT, DeliveryKind.DESK_UPDATE]
    assert desk.later(minutes=5).sweep().entries == ()
    breached = desk.later(hours=1).sweep()
    assert alerts(breached) == [("first_response", "breach")]
    assert named(breached) == [["S0LEADS", "S0AGENTS"]]
    assert kinds(breached) == [DeliveryKind.DESK_ALERT, DeliveryKind.DESK_STATUS, DeliveryKind.DESK_UPDATE]
    for _ in range(3):
        assert desk.later(minutes=30).sweep().entries == ()


def test_the_next_look_is_at_the_next_alert() -> None:
    """What is stored as the next alert is when there is something to say, and nothing after the last one."""
    desk = opened()
    clock = next(c for c in desk.situation.clocks if c.metric is Metric.FIRST_RESPONSE)
    assert clock.next_alert_at is not None
    assert (clock.next_alert_at - NINE).total_seconds() == 3 * 3600
    desk.later(hours=5).sweep()
    clock = next(c for c in desk.situation.clocks if c.metric is Metric.FIRST_RESPONSE)
    assert clock.next_alert_at is None


def test_after_a_long_silence_only_the_worst_speaks() -> None:
    """When we were away over both moments, one alert is given, and it says that it is late."""
    desk = opened()
    decided = desk.later(hours=7).sweep()
    assert alerts(decided) == [("first_response", "breach")]
    assert decided.entries[0].data["late"] is True


def test_an_answer_silences_the_alert() -> None:
    """The clocks are computed again before anything is said: who was answered is not overdue."""
    desk = opened()
    desk.later(hours=3).delivered()
    assert desk.later(minutes=30).sweep().entries == ()
    assert desk.later(hours=30).sweep().entries == (), "waiting for the customer, nothing is ours to do"


def test_a_new_deadline_arms_it_again() -> None:
    """A higher priority is a new deadline: it is warned about, although the old one was."""
    desk = opened()
    assert alerts(desk.later(hours=3).sweep()) == [("first_response", "warning")]
    desk.presses("priority", "high")
    assert alerts(desk.later(minutes=1).sweep()) == [("first_response", "breach")]


def test_nobody_is_woken_outside_business_hours() -> None:
    """Friday evening to Monday morning does not count: the deadline lies on Monday."""
    standard = replace(rulebook().policies["standard"], calendar="office")
    rules = rulebook(policies={"standard": standard}, calendars={"office": OFFICE})
    desk = Desk(rules=replace(rules, policy_rules=rules.policy_rules[1:]))
    desk.later(hours=6).writes()  # Friday 15:00: two hours are left of four
    for _ in range(20):
        assert desk.later(hours=3).sweep().entries == ()
    assert alerts(desk.later(hours=9).sweep()) == [("first_response", "breach")]  # Monday at noon


@pytest.mark.parametrize("end", ["done", "spam"])
def test_what_is_closed_is_silent(end: str) -> None:
    """A resolved or set-aside conversation has no alerts."""
    desk = opened()
    desk.presses("resolve") if end == "done" else desk.presses("relabel", "spam")
    assert desk.later(hours=100).sweep().entries == ()


def test_a_rules_mention_goes_before_the_queues() -> None:
    """Whom a routing rule names is warned instead of the queue's group; whoever has it goes before both."""
    rule = routing.Rule(name="vip", queue="support", mention="U0JONAS")
    for press, who in ((False, "U0JONAS"), (True, MAYA)):
        desk = Desk(rules=rulebook(rules=(rule,)))
        desk.writes()
        if press:
            desk.presses("assign_me")
        assert named(desk.later(hours=3).sweep()) == [[who]]


def test_a_clock_of_nothing() -> None:
    """A clock whose conversation or policy is gone says nothing and is put away."""
    desk = opened()
    event = ClockDue(conversation_id="gone", at=desk.now)
    assert escalation.decide(event, Situation(), desk.context).reason == "clock_of_unknown"
    desk.situation = replace(desk.situation, conversation=replace(desk.conversation, policy="retired"))
    rows = desk.sweep().clocks or ()
    assert {row.state for row in rows} == {ClockState.CANCELLED}
    assert all(row.next_alert_at is None and row.stopped_at == desk.now for row in rows)


def returning() -> Desk:
    """A desk where whoever is given a conversation has an hour to do something about it."""
    rules = rulebook()
    policies = {name: replace(policy, return_after=parse_duration("1h")) for name, policy in rules.policies.items()}
    route = routing.Rule(name="given out", queue="support", assign="round_robin")
    desk = Desk(rules=replace(rules, policies=policies, rules=(route,)), team=(Agent(id=MAYA, roles=("agent",)),))
    desk.writes()
    return desk


def test_an_untouched_assignment_goes_back_to_the_queue() -> None:
    """Who was given a conversation and does nothing about it loses it, once, and the thread says why."""
    desk = returning()
    held = [desk.conversation.assignee]
    desk.later(minutes=59).sweep()
    held.append(desk.conversation.assignee)
    decided = desk.later(minutes=2).sweep()
    assert [*held, desk.conversation.assignee] == [MAYA, MAYA, None]
    line = decided.entries[-1]
    assert (line.kind, line.data["from"], line.data["reason"]) == (EntryKind.ASSIGNEE, MAYA, "untouched")
    missed = desk.clock(Metric.RETURN)
    assert (missed.state, missed.is_active) == (ClockState.BREACHED, False), "missed, and over"
    assert all(entry.kind is not EntryKind.ASSIGNEE for entry in desk.later(hours=5).sweep().entries)


@pytest.mark.parametrize("touch", ["note", "priority", "taken"])
def test_who_does_something_keeps_it(touch: str) -> None:
    """A note, a press of a button or taking it by hand is enough."""
    desk = returning()
    desk.later(minutes=10)
    if touch == "note":
        desk.answers("// I am on it", MAYA)
    elif touch == "priority":
        desk.presses("priority", "high", user=MAYA)
    else:
        desk.presses("unassign", user=MAYA)
        desk.presses("assign_me", user=MAYA)
    desk.later(hours=2).sweep()
    assert desk.conversation.assignee == MAYA
    assert desk.clock(Metric.RETURN).state is (ClockState.CANCELLED if touch == "taken" else ClockState.MET)
