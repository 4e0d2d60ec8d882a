"""Buttons, menus and commands: what each does once, and what a double click, a stale card or a stranger gets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain import events
from domain.changes import DeliveryKind, Situation
from domain.model import Agent, EntryKind, Priority, Reach, Status
from domain.sla import ClockState, Metric
from handlers import actions, acts
from tests.handlers.kit import JONAS, LINA, MAYA, NINE, STRANGER, Desk, kinds, noted, reading, whispers


def opened() -> Desk:
    desk = Desk()
    desk.writes()
    return desk


def test_assign_to_me() -> None:
    """Who presses has it; a new conversation is open then, and the line in the thread says so."""
    desk = opened()
    decided = desk.presses("assign_me")
    assert (desk.conversation.assignee, desk.conversation.status) == (MAYA, Status.OPEN)
    assert kinds(decided) == [DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE]
    assert desk.presses("assign_me", user=LINA).entries[0].data == {"sla": "taken", "to": LINA, "from": MAYA}


def test_put_back() -> None:
    """What nobody has is anybody's again."""
    desk = opened()
    desk.presses("assign_me")
    desk.presses("unassign")
    assert desk.conversation.assignee is None


def test_resolve() -> None:
    """Done ends the clocks; who resolves an unassigned conversation has had it."""
    desk = opened()
    desk.presses("resolve")
    assert (desk.conversation.status, desk.conversation.resolved_at) == (Status.DONE, desk.now)
    assert desk.conversation.assignee == MAYA
    assert desk.clock(Metric.RESOLUTION).state is ClockState.MET


@pytest.mark.parametrize(
    ("action", "value", "done"),
    [
        ("resolve", None, "resolved"),
        ("not_a_request", None, "not_a_request"),
        ("snooze", "customer", "snoozed"),
        ("snooze", "1h", "snoozed"),
        ("status", "on_hold", "status"),
        ("status", "spam", "status"),
    ],
)
def test_nothing_is_put_away_while_a_newer_message_is_unread(action: str, value: str | None, done: str) -> None:
    """Who looks at a card from before the customer's latest words has not read them: nothing is closed over them, and
    nothing waits for a customer who has just written.
    """
    desk = opened()
    seen = desk.conversation.version
    desk.later(seconds=5).writes("wait, one more thing")
    before = desk.conversation
    decided = desk.presses(action, value, version=seen)
    assert whispers(decided) == ["unread_message"]
    assert DeliveryKind.DESK_UPDATE in kinds(decided), "the card is brought up to date"
    assert desk.conversation == before
    assert desk.presses(action, value).reason == done


def test_of_two_who_take_it_at_once_the_first_has_it() -> None:
    """Both saw a card that nobody had: the second is told who was faster. Taking it over is an act of its own."""
    desk = opened()
    assert desk.presses("assign_me", acts.FREE).reason == "assigned"
    second = desk.presses("assign_me", acts.FREE, LINA)
    assert (whispers(second), second.entries) == (["already_taken"], ())
    assert DeliveryKind.DESK_UPDATE in kinds(second)
    assert whispers(desk.presses("assign_me", acts.FREE)) == ["already_yours"]
    assert desk.presses("assign_me", user=LINA).reason == "assigned"
    assert desk.conversation.assignee == LINA


def test_resolve_with_an_older_card_is_fine_when_the_customer_said_nothing() -> None:
    """Other changes of the card, a colleague's for instance, do not stand in the way."""
    desk = opened()
    seen = desk.conversation.version
    desk.presses("priority", "high", user=LINA)
    assert desk.presses("resolve", version=seen).reason == "resolved"


def test_nothing_is_resolved_over_an_answer_of_which_nobody_knows() -> None:
    """Done would hide the question whether it arrived; another answer that is written meanwhile hides it as little."""
    desk = opened()
    answer = desk.answers().entries[0]
    desk.settles(answer, "unclear", "timeout")
    assert whispers(desk.presses("resolve")) == ["answer_unclear"]
    desk.answers("Two")
    desk.situation = replace(desk.situation, unclear=frozenset({answer.id}))
    assert desk.conversation.delivery_state is Reach.WAITING
    assert whispers(desk.presses("resolve")) == ["answer_unclear"]
    desk.settles(answer)
    assert desk.presses("resolve").reason == "resolved"


def test_reopen_by_hand() -> None:
    """What was resolved without an answer is open again, and its clock goes on where it stood."""
    desk = opened()
    desk.presses("resolve")
    decided = desk.later(hours=1).presses("reopen")
    reopened, status = decided.entries
    assert (reopened.kind, status.kind) == (EntryKind.REOPENED, EntryKind.STATUS)
    shown = [item.entry_id for item in decided.outbox if item.kind is DeliveryKind.DESK_ENTRY]
    assert shown == [reopened.id], "one act is one line"
    assert (desk.conversation.status, desk.conversation.resolved_at) == (Status.OPEN, None)
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING


@pytest.mark.parametrize("how", ["snooze", "status"])
def test_to_reopen_what_rests_wakes_it(how: str) -> None:
    """Whoever types that means the same; it is not told that it is open already while its card says that it rests."""
    desk = opened()
    desk.presses(how, "2h" if how == "snooze" else Status.ON_HOLD.value)
    assert desk.conversation.status is Status.ON_HOLD
    decided = desk.presses("reopen")
    assert (decided.reason, [entry.kind for entry in decided.entries]) == ("woken", [EntryKind.STATUS])
    assert (desk.conversation.status, desk.conversation.snoozed_until) == (Status.OPEN, None)


@pytest.mark.parametrize("priority", ["low", "high", "urgent"])
def test_priority(priority: str) -> None:
    """A person's priority goes up or down, and the clocks go by it."""
    desk = opened()
    decided = desk.presses("priority", priority)
    assert desk.conversation.priority is Priority(priority)
    assert desk.conversation.priority_by_human
    assert noted(decided, EntryKind.PRIORITY)[0].data["from"] == "normal"
    line = noted(decided, EntryKind.PRIORITY)[0].data
    minutes = {"low": None, "high": 60, "urgent": 15}[priority]
    if minutes is None:
        assert desk.clocks() == []
        return
    assert desk.clock(Metric.FIRST_RESPONSE).due_at == NINE + timedelta(minutes=minutes)
    assert (line["due_was"], line["due"]) == tuple(
        (NINE + timedelta(minutes=due)).isoformat() for due in (240, minutes)
    ), "the line in the thread says which deadline moved"
    assert desk.conversation.policy == ("urgent" if priority == "urgent" else "standard")


def test_a_policy_switched_by_hand_is_in_the_history_with_its_version() -> None:
    """Raised and lowered again: each policy is named, and what was missed under the strict one stays missed."""
    desk = opened()
    desk.presses("priority", "urgent")
    desk.later(minutes=20).presses("priority", "normal")
    named = [entry.data["to"] for entry in desk.entries if entry.data.get("sla") == "policy"]
    assert named == ["standard@1", "urgent@1", "standard@1"]
    first = desk.clock(Metric.FIRST_RESPONSE)
    assert (first.state, first.breached_at) == (ClockState.BREACHED, NINE + timedelta(minutes=15))


def test_relabel_goes_by_the_companys_rules() -> None:
    """A person's label is kept as theirs, beside what was guessed, and goes where a rule for it leads."""
    desk = opened()
    decided = desk.presses("relabel", "billing")
    assert (desk.conversation.intent, desk.conversation.queue) == ("billing", "billing")
    assert noted(decided, EntryKind.LABEL)[0].data == {"to": "billing", "from": "order", "guessed": "order"}
    assert desk.conversation.label_by_human


def test_relabel_as_spam_sets_it_aside_and_back() -> None:
    """Spam ends the clocks without a word; another label brings it back."""
    desk = opened()
    desk.presses("relabel", "spam")
    assert desk.conversation.status is Status.SPAM
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.CANCELLED
    desk.presses("relabel", "order")
    assert (desk.conversation.status, desk.conversation.resolved_at) == (Status.OPEN, None)
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING


def test_confirming_a_guess_is_a_persons_label() -> None:
    """Choosing what was guessed changes no word but protects it from then on."""
    desk = opened()
    desk.presses("relabel", "order")
    assert desk.conversation.label_by_human


def test_move_to_another_team() -> None:
    """The queue changes, and with it the channel."""
    desk = opened()
    desk.presses("move", "tech")
    assert (desk.conversation.queue, desk.conversation.thread.channel) == ("tech", "C0TECH")


def test_on_hold_and_back() -> None:
    """On hold pauses the clock of the whole, never the first answer's."""
    desk = opened()
    desk.presses("status", "on_hold")
    held = desk.conversation
    assert held.status is Status.ON_HOLD
    assert desk.clock(Metric.RESOLUTION).state is ClockState.PAUSED
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING
    desk.presses("status", "open")
    assert desk.conversation.status is Status.OPEN


@pytest.mark.parametrize(
    ("action", "value", "told"),
    [
        ("assign_me", None, "already_yours"),
        ("resolve", None, "already_resolved"),
        ("priority", "high", "already_that_priority"),
        ("relabel", "billing", "already_that_label"),
        ("move", "tech", "stale_button"),
        ("status", "on_hold", "stale_button"),
    ],
)
def test_a_double_click_is_harmless_and_says_so(action: str, value: str | None, told: str) -> None:
    """The second of two clicks changes nothing, and the person reads why."""
    desk = opened()
    desk.presses(action, value)
    before = desk.conversation
    again = desk.presses(action, value)
    assert whispers(again) == [told]
    assert (again.conversation, again.entries) == (None, ())
    assert desk.conversation == before


def test_reopening_what_is_open_says_so() -> None:
    """A reopen button from before somebody else pressed it does nothing."""
    assert whispers(opened().presses("reopen")) == ["already_open"]


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("priority", "enormous"),
        ("priority", None),
        ("relabel", "retired_intent"),
        ("move", "retired_queue"),
        ("status", "done"),
        ("unassign", None),
    ],
)
def test_a_stale_button_is_refused(action: str, value: str | None) -> None:
    """A value that no longer exists, or a step that no longer applies, changes nothing; the card is drawn anew."""
    desk = opened()
    decided = desk.presses(action, value)
    assert whispers(decided) == ["stale_button"]
    assert kinds(decided) == [DeliveryKind.DESK_WHISPER, DeliveryKind.DESK_UPDATE]
    assert decided.conversation is None


@pytest.mark.parametrize(
    ("action", "value"),
    [("assign_me", None), ("unassign", None), ("priority", "low"), ("move", "tech"), ("status", "open")],
)
def test_a_card_from_before_done_opens_nothing(action: str, value: str | None) -> None:
    """Buttons of an open conversation do nothing to a resolved one: reopening is a step of its own."""
    desk = opened()
    desk.presses("resolve", user=LINA)
    decided = desk.presses(action, value)
    assert whispers(decided) == ["stale_button"]
    assert desk.conversation.status is Status.DONE


@pytest.mark.parametrize("action", sorted(actions.ALLOWED))
@pytest.mark.parametrize(("user", "is_stranger"), [(STRANGER, False), (MAYA, True)])
def test_a_stranger_presses_in_vain(action: str, user: str, is_stranger: bool) -> None:
    """Every button needs the role; who lacks it is told, and it is audited."""
    desk = opened()
    decided = desk.presses(action, "high", user=user, is_stranger=is_stranger)
    assert whispers(decided) == ["refused_action"]
    assert decided.conversation is None
    assert decided.audit[0][0] == "refused"


def test_a_button_of_nothing() -> None:
    """A card of a conversation that is gone, and an action that nobody knows, change nothing."""
    desk = opened()
    assert desk.presses("dance").outbox == ()
    event = events.AgentAction(
        agent_id=MAYA, at=desk.now, channel="C", thread_ts="1.0", conversation_id="gone", action="resolve"
    )
    assert actions.decide(event, Situation(), desk.context).reason == "action_on_unknown"


def command(text: str, roles: tuple[str, ...] = ("agent",)) -> tuple[str, list[str], bool | None]:
    desk = opened()
    event = events.DeskCommand(agent_id=MAYA, at=desk.now, channel="C0SUPPORT", text=text, key="k")
    decided = actions.command(event, replace(desk.situation, agent=Agent(id=MAYA, roles=roles)), desk.context)
    return decided.reason, whispers(decided), decided.agent.on_duty if decided.agent else None


@pytest.mark.parametrize(
    ("text", "told", "on_duty"),
    [
        ("on", "on_duty", True),
        (" OFF ", "off_duty", False),
        ("上班", "on_duty", True),
        ("下班", "off_duty", False),
        ("help", "help", None),
        ("", "help", None),
        ("make me a sandwich", "no_command", None),
    ],
)
def test_commands(text: str, told: str, on_duty: bool | None) -> None:
    """On and off duty, and a help for everything else, told to nobody else."""
    assert command(text) == (told, [told], on_duty)


def test_a_command_of_a_stranger() -> None:
    """Duty is for those who have it."""
    reason, told, on_duty = command("on", roles=())
    assert (reason, told, on_duty) == ("refused", ["refused_action"], None)
    assert command("on", roles=("lead",))[0] == "on_duty"


@pytest.mark.parametrize(
    ("text", "kept"),
    [("on", "on"), ("上班", "on"), ("Wang Ming, 138 0013 8000", "other"), ("王小明", "other"), ("", "other")],
)
def test_a_refused_command_leaves_no_words_in_the_trail(text: str, kept: str) -> None:
    """The trail stands in the clear: it names the command that we know, and nothing else that was typed."""
    desk = opened()
    event = events.DeskCommand(agent_id=STRANGER, at=desk.now, channel="C0SUPPORT", text=text, key="k")
    decided = actions.command(event, replace(desk.situation, agent=Agent(id=STRANGER)), desk.context)
    assert decided.audit == (("refused", "command", kept),)


def test_the_lead_may_do_what_agents_do() -> None:
    """A lead presses the same buttons."""
    assert opened().presses("assign_me", user=JONAS).reason == "assigned"


def test_a_persons_label_is_not_undone_by_a_reading() -> None:
    """The reading after a person's label changes neither it nor the queue."""
    desk = opened()
    desk.presses("relabel", "billing")
    desk.writes("I cannot log in", reading("access"))
    assert (desk.conversation.intent, desk.conversation.queue) == ("billing", "billing")
