"""Muted, joined, begun by the desk, taken away as a file; and who may do what, as the table says."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from domain import events
from domain.changes import DeliveryKind
from domain.guard import Guard
from domain.model import Agent, Entry, EntryKind, Reach, Status
from domain.roles import PERMISSIONS, Limits, Role
from domain.sla import ClockState, Metric
from handlers import actions
from tests.handlers.kit import ANN, LINA, MAYA, STRANGER, Desk, kinds, noted, placed, rulebook, to_customer, whispers

DOCUMENTS = Path(__file__).parents[2] / "docs"


def opened() -> Desk:
    """An open conversation."""
    desk = Desk()
    desk.writes()
    return desk


def test_muted_for_a_while() -> None:
    """What they write is recorded and neither shown nor timed; afterwards it is told how much that was."""
    desk = opened()
    until = desk.now + timedelta(hours=1)
    assert kinds(desk.presses("mute")) == [DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE]
    assert whispers(desk.presses("mute", "1h")) == ["already_muted"]
    clocks = [(clock.metric, clock.due_at) for clock in desk.clocks()]
    for _ in range(3):
        flood = desk.later(minutes=1).writes("answer me!!")
        assert (flood.reason, flood.outbox, flood.conversation) == ("muted", (), None)
        assert [entry.body for entry in flood.entries] == ["answer me!!"]
    assert [(clock.metric, clock.due_at) for clock in desk.clocks()] == clocks
    assert desk.situation.identity is not None
    emoji = desk.customer(events.CustomerReaction(customer=ANN, at=desk.now, message_id="1", emoji="👎"))
    assert ([entry.body for entry in emoji.entries], emoji.outbox) == (["👎"], ())
    assert desk.situation.identity.muted_until == until
    desk.minute = (until - desk.now).total_seconds() / 60 + desk.minute
    heard = desk.writes("sorry. Where is it?")
    assert noted(heard, EntryKind.MUTED)[0].data == {"to": "off", "count": 3}
    assert [item.kind for item in heard.outbox].count(DeliveryKind.DESK_ENTRY) == 2
    assert whispers(desk.presses("unmute")) == ["not_muted"]


def test_heard_again_by_hand() -> None:
    """Whoever may mute may take it back, and reads how much was not shown."""
    desk = opened()
    desk.presses("mute", "24h")
    desk.writes("one")
    assert noted(desk.presses("unmute"), EntryKind.MUTED)[0].data["count"] == 1
    assert desk.writes("two").reason == "message"
    assert whispers(desk.presses("mute", "999d")) == ["snooze_how"]


def agreed(desk: Desk, *, outreach: bool | None) -> Desk:
    """The same desk after the customer said yes, no or nothing to being written to unasked."""
    assert desk.situation.customer is not None
    said = {} if outreach is None else {"outreach": outreach}
    desk.situation = replace(desk.situation, customer=replace(desk.situation.customer, consents=said))
    return desk


def test_the_desk_writes_first() -> None:
    """A new conversation with its own card, its first message the agent's; an answer makes it wait for the customer."""
    desk = agreed(opened(), outreach=True)
    desk.presses("resolve")
    before = desk.conversation
    decided = desk.presses("start", note="Your parcel is back. Shall we send it again?")
    assert (decided.reason, whispers(decided)) == ("started", ["started"])
    assert (desk.conversation.previous, desk.conversation.assignee) == (before.id, MAYA)
    assert {DeliveryKind.DESK_CARD, DeliveryKind.CHAT_TEXT} <= set(kinds(decided))
    said = noted(decided, EntryKind.OUTGOING)[0]
    desk.settles(said)
    assert (desk.conversation.status, desk.conversation.delivery_state) == (Status.WAITING_CUSTOMER, Reach.SENT)
    assert desk.clocks() == [], "nobody waits for an answer of ours"
    desk.later(minutes=3).writes("Yes please")
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING


@pytest.mark.parametrize(("outreach", "told"), [(None, "start_no_consent"), (False, "start_no_consent")])
def test_nobody_is_written_to_unasked_without_a_yes(outreach: bool | None, told: str) -> None:
    """Silence is no consent."""
    desk = agreed(opened(), outreach=outreach)
    desk.presses("resolve")
    decided = desk.presses("start", note="Hello")
    assert (whispers(decided), to_customer(decided)) == ([told], [])
    (kept,) = decided.entries
    assert (kept.kind, kept.body, kept.conversation_id) == (EntryKind.NOTE, "Hello", desk.conversation.id)
    assert kept.id in {one.entry_id for one in decided.outbox if one.kind is DeliveryKind.DESK_ENTRY}
    assert desk.conversation.status is Status.DONE
    assert whispers(desk.types("start # Hello")) == [told], "nor is that called done"


def test_what_else_keeps_the_desk_from_writing_first() -> None:
    """An open conversation, no words, a chat that is blocked or whose window is closed, and the guard."""
    desk = agreed(opened(), outreach=True)
    desk.situation = replace(desk.situation, conversation=replace(desk.conversation, number=7))
    assert whispers(desk.presses("start", note="Hello")) == ["start_open"]
    desk.presses("resolve")
    assert whispers(desk.presses("start", note=" ")) == ["start_how"]
    rules = desk.rules
    others = {name: one for name, one in rules.queues.items() if name != desk.conversation.queue}
    desk.rules = replace(rules, queues=others)
    assert whispers(desk.presses("start", note="Hello")) == ["start_no_queue"]
    desk.rules = replace(rules, reply_windows={"telegram": timedelta(hours=24)})
    assert whispers(desk.later(hours=25).presses("start", note="Hello")) == ["start_unreachable"]
    desk.rules = replace(rules, guard=Guard())
    assert whispers(desk.presses("start", note="Your password: Xk29-qqLm")) == ["start_guard"]
    assert desk.situation.identity is not None
    desk.situation = replace(desk.situation, identity=replace(desk.situation.identity, reachable=False))
    assert whispers(desk.presses("start", note="Hello")) == ["start_unreachable"]


def test_the_desk_opens_nothing_beside_what_is_open() -> None:
    """Whoever wants to write to somebody with an open conversation is led there, unless it is hidden from them."""
    desk = agreed(opened(), outreach=None)  # an answer in what is open needs no consent
    desk.presses("resolve")
    beside = placed(replace(desk.conversation, id="BESIDE", number=7, status=Status.ON_HOLD, queue="billing"))
    other = replace(desk.situation, conversation=beside)
    decided = desk.presses("start", note="Hello", other=other)
    (kept,) = decided.also
    assert (whispers(kept), to_customer(kept), decided.conversation) == (["start_open"], [], None)
    assert (kept.outbox[-1].data["number"], kept.outbox[-1].data["stands"]) == ("7", ["C0SUPPORT", "1.0"])
    just_begun = replace(other, conversation=replace(beside, number=0, last_agent_at=desk.now), begun="Hello")
    same = desk.presses("start", note="Hello", other=just_begun)
    assert (whispers(same), same.also) == (["start_begun"], ()), "nobody is asked whether to say it twice"
    more = desk.presses("start", note="Your parcel is back.", other=just_begun)
    assert [(whispers(one), one.entries[0].body) for one in more.also] == [(["start_begun"], "Your parcel is back.")]
    ended = replace(other, conversation=replace(beside, status=Status.DONE))
    assert whispers(desk.presses("start", note="Hello", other=ended)) == ["start_no_consent"]
    assert whispers(desk.presses("start", note="Hello", user=STRANGER, other=other)) == ["refused_action"]
    hidden = replace(desk.rules.queues["billing"], seen_by=Limits(roles=frozenset({Role.LEAD})))
    desk.rules = replace(desk.rules, queues={**desk.rules.queues, "billing": hidden})
    refused = desk.presses("start", note="Hello", other=other)
    assert (whispers(refused), refused.audit) == (
        ["refused_queue"],
        (("refused", "conversation:BESIDE", "start in billing"),),
    )
    (note,) = refused.entries
    assert (note.kind, note.body, note.conversation_id) == (EntryKind.NOTE, "Hello", desk.conversation.id)


def test_questions_go_along_where_two_conversations_become_one() -> None:
    """What was kept inside is asked about in the one that goes on; here it leads there, and its buttons do nothing."""
    first, second = opened(), Desk(rules=rulebook())
    first.rules = replace(first.rules, guard=Guard())
    first.situation = replace(first.situation, conversation=placed(first.conversation))
    line, question = first.answers("Call Bo at +49 171 7654321").entries
    second.writes("and my invoice?")
    customer = first.situation.customer
    assert customer is not None
    into = replace(placed(second.conversation), id="INTO", number=7, customer_id=customer.id)
    other = replace(second.situation, conversation=into, customer=customer)
    first.situation = replace(first.situation, held=(line,))
    decided = first.presses("join", "7", other=other)
    (edit,) = [one for one in decided.outbox if one.kind is DeliveryKind.DESK_EDIT]
    assert edit.entry_id == question.id
    (left,) = [entry for entry in decided.entries if entry.kind is EntryKind.NOTE]
    assert (left.body, left.data["into"]) == ("", 7), "its words stand where it was written, and where it goes on"
    (also,) = decided.also
    there = next(entry for entry in also.entries if entry.kind is EntryKind.NOTE)
    asked = next(entry for entry in also.entries if entry.kind is EntryKind.HELD)
    assert (there.body, there.conversation_id, there.platform_id) == (line.body, "INTO", line.platform_id)
    assert (there.data["asked"], asked.data["of"], asked.data["line"]) == (asked.id, there.id, line.platform_id)
    assert asked.id in {one.entry_id for one in also.outbox if one.kind is DeliveryKind.DESK_ENTRY}
    for button in ("send_reply", "keep_note"):
        pressed = first.presses(button, str(line.platform_id))
        assert (whispers(pressed), pressed.entries, to_customer(pressed)) == (["asked_joined"], (), [])
    second.situation = replace(other, known={str(line.platform_id): there})
    assert len(to_customer(second.presses("send_reply", str(line.platform_id)))) == 1
    beside = replace(second.situation, known={str(line.platform_id): there}, conversation=into)
    first.situation = replace(first.situation, other=beside)
    changed = first.edits(line, "Call Bo at +49 171 7654322")
    assert [entry.conversation_id for entry in changed.also[0].entries] == ["INTO"], "what it says now is asked there"
    second.situation = replace(beside, held=(there,), leaving=frozenset())
    last = replace(beside, conversation=replace(into, id="END", number=8), known={})
    (also,) = second.presses("join", "8", other=last).also
    asked = next(entry for entry in also.entries if entry.kind is EntryKind.HELD)
    there = next(entry for entry in also.entries if entry.kind is EntryKind.NOTE)
    first.situation = replace(first.situation, other=replace(last, known={str(line.platform_id): there}))
    (changed,) = first.edits(line, "Call Bo at +49 171 7654323").also
    assert [(one.conversation_id, one.body[-3:]) for one in changed.entries] == [("END", "323")]
    assert [one.entry_id for one in changed.outbox if one.kind is DeliveryKind.DESK_EDIT] == [asked.id]


def test_two_conversations_become_one() -> None:
    """The one ends as merged; the other owes what was owed there, since when it was owed."""
    first, second = opened(), Desk(rules=rulebook())
    second.minute = 30
    second.writes("and my invoice?")
    assert first.situation.customer is not None
    customer = first.situation.customer
    into = replace(second.conversation, id="INTO", number=7, customer_id=customer.id, unanswered_since=None)
    into = replace(into, status=Status.WAITING_CUSTOMER)
    other = replace(second.situation, conversation=into, customer=customer)
    since = first.conversation.unanswered_since
    decided = first.presses("join", "7", other=other)
    assert (first.conversation.status, first.conversation.outcome) == (Status.DONE, "merged")
    assert first.conversation.merged_into == "INTO"
    assert {clock.state for clock in first.clocks()} == {ClockState.CANCELLED}
    (also,) = decided.also
    assert also.conversation is not None
    assert (also.conversation.id, also.conversation.status) == ("INTO", Status.OPEN)
    assert also.conversation.unanswered_since == since
    line: Entry = noted(also, EntryKind.JOINED)[0]
    assert (line.conversation_id, line.at, line.data["sla"]) == ("INTO", since, "customer_message")
    assert whispers(first.presses("join", "7", other=other)) == ["already_joined"]
    assert whispers(first.presses("reopen")) == ["already_joined"]
    assert whispers(first.answers("hello?")) == ["thread_joined"]
    assert first.later(minutes=1).writes("one more").reason == "opened", "on this chat a conversation of its own"


def test_what_is_owed_is_watched_where_it_goes_on() -> None:
    """Nobody answered it in the other conversation, though there was an answer there after it was asked."""
    first, second = opened(), Desk(rules=rulebook())
    first.numbers = itertools.count(100)  # what happens there later has later ids
    second.writes("and my invoice?")
    answered = second.later(minutes=30).now
    second.delivered()
    assert first.situation.customer is not None
    into = replace(second.conversation, id="INTO", number=7, customer_id=first.situation.customer.id)
    other = replace(second.situation, conversation=into, customer=first.situation.customer)
    (also,) = first.later(minutes=40).presses("join", "7", other=other).also
    running = {clock.metric: clock for clock in also.clocks or () if clock.state is ClockState.RUNNING}
    assert running[Metric.NEXT_RESPONSE].started_at == answered


def test_what_rests_wakes_where_an_answer_is_owed_to_it() -> None:
    """Its colleague put it away without knowing of that question, which would sleep with it."""
    first, second = opened(), Desk(rules=rulebook())
    second.writes("and my invoice?")
    second.delivered()
    second.presses("snooze", "2h")
    assert (second.conversation.status, first.situation.customer is None) == (Status.ON_HOLD, False)
    assert first.situation.customer is not None
    into = replace(second.conversation, id="INTO", number=7, customer_id=first.situation.customer.id)
    other = replace(second.situation, conversation=into, customer=first.situation.customer)
    (also,) = first.later(minutes=40).presses("join", "7", other=other).also
    assert also.conversation is not None
    assert (also.conversation.status, also.conversation.snoozed_until) == (Status.OPEN, None)
    assert [entry.data["slept"] for entry in noted(also, EntryKind.STATUS)] == [True]


@pytest.mark.parametrize(("there", "carried"), [(None, 5), (3, None), (5, None), (7, 5)])
def test_a_promise_goes_on_where_its_conversation_does(there: int | None, carried: int | None) -> None:
    """One answer keeps both, by the earlier of the two times."""
    first, second = opened(), Desk(rules=rulebook())
    first.numbers = itertools.count(100)  # what happens there later has later ids
    first.delivered("By two o'clock")
    first.presses("promise", _in_hours(first, 5))
    second.writes("and my invoice?")
    second.delivered("Soon")
    if there is not None:
        second.presses("promise", _in_hours(first, there))
    assert first.situation.customer is not None
    into = replace(second.conversation, id="INTO", number=7, customer_id=first.situation.customer.id)
    other = replace(second.situation, conversation=into, customer=first.situation.customer)
    due = first.now + timedelta(hours=carried or there or 0)
    (also,) = first.later(minutes=40).presses("join", "7", other=other).also
    lines = noted(also, EntryKind.PROMISE)
    assert [line.data["to"] for line in lines] == ([due.isoformat()] if carried else [])
    assert {line.id for line in lines} <= {item.entry_id for item in also.outbox}, "its thread says so"
    running = [clock for clock in also.clocks or () if clock.metric is Metric.PROMISE and clock.stopped_at is None]
    assert [clock.due_at for clock in running] == [due]


def test_a_promise_whose_time_has_passed_goes_nowhere() -> None:
    """It is broken, and stays that where it was given."""
    first, second = opened(), Desk(rules=rulebook())
    first.delivered("By ten o'clock")
    first.presses("promise", _in_hours(first, 1))
    second.writes("and my invoice?")
    assert first.situation.customer is not None
    into = replace(second.conversation, id="INTO", number=7, customer_id=first.situation.customer.id)
    other = replace(second.situation, conversation=into, customer=first.situation.customer)
    (also,) = first.later(hours=2).presses("join", "7", other=other).also
    assert noted(also, EntryKind.PROMISE) == []


def _in_hours(desk: Desk, hours: float) -> str:
    """The value of the button that tracks a promise of an answer in so many hours from now."""
    return str(int((desk.now + timedelta(hours=hours)).timestamp()))


def test_what_cannot_become_one() -> None:
    """Nothing named, itself, somebody else's, or an answer still on its way."""
    desk = opened()
    assert whispers(desk.presses("join", "9")) == ["join_which"]
    assert whispers(desk.presses("join", "9", other=desk.situation)) == ["join_which"]
    theirs = replace(desk.conversation, id="X", customer_id="SOMEBODY")
    assert whispers(desk.presses("join", "9", other=replace(desk.situation, conversation=theirs))) == ["join_others"]
    desk.answers()
    own = replace(desk.situation, conversation=replace(desk.conversation, id="X"))
    assert whispers(desk.presses("join", "9", other=own)) == ["answer_on_its_way"]


def test_a_transcript_is_for_the_one_who_asked() -> None:
    """It goes to them alone, and the audit trail says who asked."""
    desk = opened()
    decided = desk.presses("transcript", user=LINA)
    file = next(item for item in decided.outbox if item.kind is DeliveryKind.DESK_TRANSCRIPT)
    assert (file.data["place"], file.conversation_id) == (LINA, desk.conversation.id)
    (line,) = decided.entries
    assert (line.kind, line.actor.id, line.body, line.data) == (EntryKind.TRANSCRIPT, LINA, "", {})
    assert file.entry_id == line.id, "where the file went is kept, so that an erasure can take it away"
    assert decided.conversation is None, "who only reads has not touched it"
    assert decided.audit == (("transcript.download", f"conversation:{desk.conversation.id}", "desk"),)
    refused = desk.presses("transcript", user=STRANGER)
    assert (refused.reason, kinds(refused)) == ("refused", [DeliveryKind.DESK_WHISPER])


def table(name: str) -> dict[str, set[str]]:
    """The table of actions in a document: each action with the roles that may."""
    lines = (DOCUMENTS / name).read_text("utf-8").partition("<!-- actions -->")[2].strip().splitlines()
    roles = [cell.strip().strip("`") for cell in lines[0].strip("|").split("|")][1:]
    found: dict[str, set[str]] = {}
    for line in lines[2:]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        may = {role for role, cell in zip(roles, cells[1:], strict=True) if cell}
        found |= dict.fromkeys(re.findall(r"`(\w+)`", cells[0]), may)
    return found


@pytest.mark.parametrize("document", ["desk.md", "desk.zh.md"])
def test_the_table_of_actions_and_roles_is_what_is_in_force(document: str) -> None:
    """Every action stands in it, with exactly the roles that are let through; the others are refused, and told so."""
    said = table(document)
    assert said == {
        name: {role.value for role in Role if act in PERMISSIONS[role]} for name, act in actions.ALLOWED.items()
    }


@pytest.mark.parametrize("action", sorted(actions.ALLOWED))
@pytest.mark.parametrize("role", [*Role, None])
def test_who_may_not_changes_nothing(action: str, role: Role | None) -> None:
    """Each action by each role: let through, or refused with a word to that person and a line in the audit trail."""
    desk = opened()
    before = desk.situation
    agent = Agent(id=MAYA, roles=() if role is None else (role.value,))
    event = events.AgentAction(
        agent_id=MAYA, at=desk.now, channel="C0", thread_ts="1.0", conversation_id=desk.conversation.id, action=action
    )
    decided = actions.decide(event, replace(before, agent=agent), desk.context)
    allowed = role is not None and actions.ALLOWED[action] in PERMISSIONS[role]
    assert (decided.reason == "refused") is not allowed
    if not allowed:
        assert (decided.entries, decided.conversation, whispers(decided)) == ((), None, ["refused_action"])
        assert decided.audit[0][0] == "refused"
