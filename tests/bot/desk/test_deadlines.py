"""Deadlines at the desk: slices in the team's own time, lists that fit, and a page that Slack takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot import explain
from bot.desk import deadlines, words
from domain.calendar import Calendar, parse_duration
from domain.changes import Situation
from domain.model import Conversation, Priority, Thread
from domain.routing import Condition, Queue
from domain.rulebook import PolicyRule, Rulebook
from domain.sla import EventKind, Metric, Policy, SlaEvent
from storage.board import Board, Deadline

FRIDAY = datetime(2026, 6, 12, 14, 10, tzinfo=UTC)  # 16:10 in Berlin
OFFICE = Calendar.build(name="office", tz="Europe/Berlin", hours={"mon-fri": ["09:00-12:00", "13:00-18:00"]})
POLICY = Policy(
    name="standard",
    version=3,
    targets={Priority.LOW: {Metric.FIRST_RESPONSE: parse_duration("4h"), Metric.RESOLUTION: parse_duration("20bd")}},
)
RULES = Rulebook(
    queues={"support": Queue(name="support", title="Support", slack_channel="C0SUPPORT", calendar="office")},
    default_queue="support",
    triage_queue="support",
    rules=(),
    policies={"standard": POLICY},
    policy_rules=(PolicyRule(when=Condition(), policy="standard"),),
    calendars={"office": OFFICE},
    intents={},
    channel_limits={},
)


def situation(*more: SlaEvent) -> Situation:
    """A customer wrote on Friday afternoon."""
    events = (
        SlaEvent(id="1", at=FRIDAY, kind=EventKind.CUSTOMER_MESSAGE),
        SlaEvent(id="2", at=FRIDAY, kind=EventKind.POLICY, value="standard@3/office"),
        *more,
    )
    conversation = Conversation(
        id="C",
        number=1042,
        customer_id="X",
        identity_id="I",
        channel="telegram",
        lane="l",
        thread=Thread(channel="C0SUPPORT"),
        queue="support",
        policy="standard",
        opened_at=FRIDAY,
    )
    return Situation(conversation=conversation, history=events)


def explained(*more: SlaEvent) -> str:
    return deadlines.explained(1042, explain.accounts(RULES, situation(*more), FRIDAY + timedelta(hours=1)))


def test_every_slice_is_told_in_the_teams_own_time() -> None:
    """What counted, what did not and why, up to the deadline, with terms and starting point."""
    lines = explained().splitlines()
    assert lines[0].startswith("*Why then?* #1042 · *first answer due <!date^")
    assert "4h of open time · policy `standard`, version 3 · calendar `office` (Europe/Berlin)" in lines[1]
    assert f"counted from the customer's message of <!date^{int(FRIDAY.timestamp())}^" in lines[1]
    assert lines[2:5] == [
        "• Fri 12 Jun 16:10 – 18:00: 1h 50m counted, 1h 50m in all",
        "• Fri 12 Jun 18:00 – Mon 15 Jun 09:00: outside business hours",
        "• Mon 15 Jun 09:00 – 11:10: 2h 10m counted, 4h 00m in all",
    ]
    assert lines[5] == "Also:"
    assert lines[6].startswith("• *resolution due <!date^")


def test_a_long_wait_is_told_by_its_beginning_and_its_end() -> None:
    """Twenty business days fit into one message."""
    reply = SlaEvent(id="3", at=FRIDAY + timedelta(minutes=5), kind=EventKind.AGENT_REPLY)
    said = explained(reply)
    assert "more …" in said
    assert len(said) <= 3000
    assert "first answer: met <!date^" in said


def test_no_deadline_is_said_plainly() -> None:
    """Where no policy counts, or nothing has happened."""
    assert deadlines.explained(1, ()) == words.say("deadline.none")


def test_a_full_board_fits_a_page() -> None:
    """Counts beyond a thousand are not counted; a strange channel or name is escaped; Slack's limits hold."""
    one = Deadline(
        conversation_id="C",
        number=7,
        queue="support",
        priority="urgent",
        assignee="<!channel>",
        channel="<evil>",
        thread_ts=None,
        metric=Metric.FIRST_RESPONSE,
        due_at=FRIDAY,
    )
    many = Board(overdue=(one,) * 10, overdue_count=1000, soon=(one,), soon_count=1, mine=())
    said = deadlines.whisper(deadlines.BOARD, {"board": many})
    assert "*Overdue* (1000 or more)" in said
    assert "#7 · *Urgent* · first answer" in said
    assert "<!channel>" not in said
    assert "<evil>" not in said
    assert deadlines.places({"board": many}) == [], "what is not posted yet leads nowhere"
    stands = Board(
        overdue=(replace(one, channel="C1", thread_ts="1.2"),), overdue_count=1, soon=(), soon_count=0, mine=()
    )
    assert deadlines.places({"board": stands}) == [("C1", "1.2")]
    said = deadlines.whisper(deadlines.BOARD, {"board": stands}, {("C1", "1.2"): "https://slack.example/p1?a&b"})
    assert "<https://slack.example/p1?a&amp;b|#7>" in said
    empty = Board(overdue=(), overdue_count=0, soon=(), soon_count=0, mine=())
    assert deadlines.board(empty) == words.say("deadline.clear")
