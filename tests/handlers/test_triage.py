"""What a reading does to a conversation: label, priority, queue, assignee; and what it must leave to people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain import routing
from domain.changes import DeliveryKind
from domain.model import Agent, EntryKind, Priority
from tests.handlers.kit import LINA, MAYA, NINE, Desk, noted, reading, rulebook

URGENT = reading(priority=Priority.URGENT, priority_reasons=("wording",))


@pytest.mark.parametrize(
    ("intent", "queue", "channel"),
    [
        ("order", "support", "C0SUPPORT"),
        ("billing", "billing", "C0BILLING"),
        ("access", "tech", "C0TECH"),
        (None, "triage", "C0TRIAGE"),
    ],
)
def test_a_new_conversation_goes_where_the_rules_say(intent: str | None, queue: str, channel: str) -> None:
    """The first rule that holds decides; what the classifier is not sure about goes to the triage team."""
    desk = Desk()
    desk.writes("...", reading(intent))
    assert (desk.conversation.queue, desk.conversation.thread.channel) == (queue, channel)
    assert desk.conversation.intent == intent


def test_a_second_reading_moves_the_queue_once_and_never_again() -> None:
    """A machine moves a conversation between teams at most once: after that its owner is the last team."""
    desk = Desk()
    desk.writes("hello", reading(None))
    moved = desk.later(seconds=20).writes("I was charged twice", reading("billing"))
    assert desk.conversation.queue == "billing"
    line = noted(moved, EntryKind.QUEUE)[0].data
    assert (line["from"], line["to"]) == ("triage", "billing")
    assert "billing" in line["reason"]
    assert desk.conversation.thread.channel == "C0TRIAGE", "the thread stays where it is"
    desk.later(seconds=20).writes("and I cannot log in", reading("access"))
    assert (desk.conversation.queue, desk.conversation.intent) == ("billing", "access")


def test_nothing_is_moved_after_the_window_has_closed() -> None:
    """More than 120 s later neither label nor queue changes; only the priority may still rise."""
    desk = Desk()
    desk.writes("hello", reading(None))
    desk.later(seconds=121).writes("I was charged twice", reading("billing", priority=Priority.HIGH))
    assert (desk.conversation.queue, desk.conversation.intent) == ("triage", None)
    assert desk.conversation.priority is Priority.HIGH


def test_doubt_takes_nothing_back() -> None:
    """A later reading that abstains leaves the surer one, and the team, as they are."""
    desk = Desk()
    desk.writes("I was charged twice", reading("billing"))
    desk.later(seconds=20).writes("???", reading(None))
    assert (desk.conversation.queue, desk.conversation.intent) == ("billing", "billing")


def test_a_machine_only_raises_the_priority() -> None:
    """An urgent word raises it, a calm one afterwards does not lower it, and the reason is in the timeline."""
    desk = Desk()
    desk.writes()
    raised = desk.later(seconds=10).writes("URGENT", URGENT)
    assert noted(raised, EntryKind.PRIORITY)[0].data["reason"] == "wording"
    desk.later(seconds=10).writes("sorry", reading(priority=Priority.LOW))
    assert desk.conversation.priority is Priority.URGENT


def test_a_persons_priority_stands() -> None:
    """Once a person has chosen a priority, no reading and no rule changes it."""
    desk = Desk()
    desk.writes()
    desk.presses("priority", "low")
    desk.later(seconds=10).writes("URGENT", URGENT)
    assert desk.conversation.priority is Priority.LOW


def test_a_persons_label_stands() -> None:
    """Once a person has labelled a conversation, no reading changes the label or the queue."""
    desk = Desk()
    desk.writes()
    desk.presses("relabel", "access")
    desk.later(seconds=10).writes("I was charged twice", reading("billing"))
    assert (desk.conversation.intent, desk.conversation.queue) == ("access", "tech")


@pytest.mark.parametrize("act", ["note", "assign", "answer"])
def test_a_touch_of_a_person_ends_the_reading(act: str) -> None:
    """After a note, an assignment or an answer it is a person's conversation: labels and queue are theirs."""
    desk = Desk()
    desk.writes("hello", reading(None))
    if act == "note":
        desk.answers("// looking")
    elif act == "assign":
        desk.presses("assign_me")
    else:
        desk.delivered()
    desk.later(seconds=10).writes("I was charged twice", reading("billing"))
    assert (desk.conversation.intent, desk.conversation.queue) == (None, "triage")


def test_an_urgent_conversation_gets_the_urgent_policy() -> None:
    """The policy is chosen with the priority that the first message got."""
    desk = Desk()
    desk.writes("URGENT", URGENT)
    assert desk.conversation.policy == "urgent"


def test_a_rule_may_raise_the_priority() -> None:
    """A rule's priority counts like a reading's: upwards."""
    high = routing.Rule(name="vip", queue="support", priority=Priority.HIGH)
    desk = Desk(rules=rulebook(rules=(high,)))
    desk.writes()
    assert desk.conversation.priority is Priority.HIGH


def give(method: routing.Assign) -> Desk:
    queues = {name: replace(queue, assign=method) for name, queue in rulebook().queues.items()}
    team = (
        Agent(id=MAYA, languages=("en",), open_count=3, last_assigned_at=NINE - timedelta(minutes=5)),
        Agent(id=LINA, languages=("zh",), open_count=1, last_assigned_at=NINE - timedelta(minutes=9)),
    )
    return Desk(rules=rulebook(queues=queues), team=team)


@pytest.mark.parametrize(
    ("method", "language", "chosen"),
    [
        ("none", "en", None),
        ("round_robin", "en", LINA),
        ("least_loaded", "en", LINA),
        ("by_language", "en", MAYA),
        ("by_language", "zh", LINA),
        ("by_language", "fr", None),
    ],
)
def test_a_new_conversation_is_given_out(method: routing.Assign, language: str, chosen: str | None) -> None:
    """The queue's way of giving out work picks somebody, says how in the thread, and remembers whose turn it was."""
    desk = give(method)
    decided = desk.writes("...", reading("order", language=language))
    assert desk.conversation.assignee == chosen
    if chosen is not None:
        assert decided.agent is not None
        assert (decided.agent.id, decided.agent.last_assigned_at) == (chosen, desk.now)
        assert noted(decided, EntryKind.ASSIGNEE)[0].data["reason"] == method.replace("_", " ")
    assert not desk.conversation.touched_by_human


def test_nobody_is_given_work_off_duty() -> None:
    """Only agents on duty are picked; when nobody is, the conversation waits for whoever takes it."""
    desk = give("round_robin")
    desk.team = tuple(replace(agent, on_duty=agent.id == MAYA) for agent in desk.team)
    desk.writes()
    assert desk.conversation.assignee == MAYA
    desk = give("round_robin")
    desk.team = tuple(replace(agent, on_duty=False) for agent in desk.team)
    desk.writes()
    assert desk.conversation.assignee is None


def test_somebody_who_writes_again_and_again_is_raised() -> None:
    """Three times without an answer, apart from each other: high, and the reason is named. Together they are one."""
    desk = Desk()
    desk.writes()
    desk.later(seconds=20).writes("hello?", reading())
    desk.later(minutes=30).writes("anybody?", reading())
    before = desk.conversation.priority
    raised = desk.later(minutes=30).writes("still nothing", reading())
    assert (before, desk.conversation.priority) == (Priority.NORMAL, Priority.HIGH)
    assert "repeated_contact" in str(noted(raised, EntryKind.PRIORITY)[0].data)


@pytest.mark.parametrize("fields", [{"spam": 0.9}, {"closure": 0.95}])
def test_adverts_and_goodbyes_are_not_raised_for_coming_often(fields: dict[str, Any]) -> None:
    """An advert that is sent five times stays an advert, and thanks are no complaint."""
    desk = Desk()
    for _ in range(4):
        desk.later(minutes=30).writes("...", reading(**fields))
    assert desk.conversation.priority is Priority.NORMAL


def test_an_answer_begins_the_count_anew() -> None:
    """Who is answered has not written in vain."""
    desk = Desk()
    for _ in range(3):
        desk.later(minutes=30).writes("hello", reading())
        desk.later(minutes=1).delivered()
    assert desk.conversation.priority is Priority.NORMAL


def test_a_tier_has_a_least_priority() -> None:
    """A segment's messages are raised to what the company promised them, and never lowered."""
    desk = Desk(rules=rulebook(tiers={"vip": Priority.HIGH, "trial": Priority.LOW}))
    desk.writes()
    assert desk.conversation.priority is Priority.NORMAL
    assert desk.situation.customer is not None
    for segments, assessed, wanted in (
        (("vip",), reading(), Priority.HIGH),
        (("vip",), URGENT, Priority.URGENT),
        (("trial",), reading(), Priority.NORMAL),
    ):
        person = Desk(rules=desk.rules)
        person.writes("hello", reading(spam=0.9))
        person.situation = replace(
            person.situation,
            customer=replace(person.situation.customer, segments=segments),  # type: ignore[type-var]
        )
        person.later(minutes=30).writes("hello again", assessed)
        assert person.conversation.priority is wanted


@pytest.mark.parametrize(("priority", "urgency"), [(Priority.NORMAL, 1), (Priority.HIGH, 2), (Priority.URGENT, 3)])
def test_what_is_urgent_is_posted_before_the_rest(priority: Priority, urgency: int) -> None:
    """Where more waits than Slack takes in a second, by this the next post is chosen."""
    decided = Desk().writes("Help", reading("order", priority=priority))
    posts = [item for item in decided.outbox if item.kind in (DeliveryKind.DESK_CARD, DeliveryKind.DESK_ENTRY)]
    assert [item.urgency for item in posts] == [urgency] * len(posts)
    assert posts
