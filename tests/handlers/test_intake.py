"""A customer acts: what is opened, woken, reopened, shown, and what is left alone."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from domain import events
from domain.changes import DeliveryKind
from domain.deeplinks import DeepLink
from domain.model import EntryKind, Priority, Status
from domain.profile import Field, FieldType
from domain.sla import ClockState, Metric
from handlers import intake
from tests.handlers.kit import ANN, MAYA, PHOTO, THANKS, Desk, kinds, noted, reading, rulebook, to_customer


def test_a_first_message_opens_a_conversation() -> None:
    """A stranger's first words make a customer, an identity, a card, the message under it and two running clocks."""
    desk = Desk()
    decided = desk.writes()
    assert decided.reason == "opened"
    assert decided.customer is not None
    assert decided.identity is not None
    assert decided.conversation is not None
    assert decided.conversation.version == -1, "storage gives a new conversation its number and version 0"
    assert kinds(decided) == [DeliveryKind.DESK_CARD, DeliveryKind.DESK_ENTRY]
    assert decided.clocks is not None
    assert {clock.metric for clock in decided.clocks} == {Metric.FIRST_RESPONSE, Metric.RESOLUTION}
    assert desk.conversation.unanswered_since == desk.now


def test_a_second_message_joins_the_open_conversation() -> None:
    """There is one open conversation for a customer: more words go into its thread and bring its card up to date."""
    desk = Desk()
    first = desk.writes()
    second = desk.later(seconds=20).writes("Order 123")
    assert second.reason == "message"
    assert second.customer is None
    assert desk.conversation.id == (first.conversation and first.conversation.id)
    assert kinds(second) == [DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE]
    assert desk.conversation.unanswered_since == desk.now - timedelta(seconds=20), "the oldest one counts"


def test_the_same_message_twice_changes_nothing() -> None:
    """A platform that delivers a message again gets no second line."""
    desk = Desk()
    desk.writes(message_id="7")
    again = desk.writes(message_id="7")
    assert again.reason == "already_recorded"
    assert (again.conversation, again.entries, again.outbox) == (None, (), ())


def test_every_file_is_shown_by_itself() -> None:
    """Each attachment is a delivery of its own, so that one that fails does not hide the others."""
    decided = Desk().writes("look", attachments=(PHOTO, replace(PHOTO, id="A2")))
    assert [item.part for item in decided.outbox if item.kind is DeliveryKind.DESK_FILE] == [0, 1]


@pytest.mark.parametrize("status", ["waiting", "on_hold"])
def test_a_message_wakes_what_waits(status: str) -> None:
    """A conversation that waits for the customer, or is on hold, is open again as soon as the customer writes."""
    desk = Desk()
    desk.writes()
    if status == "waiting":
        desk.later(minutes=1).delivered()
    else:
        desk.later(minutes=1).presses("status", "on_hold")
    before = desk.conversation
    assert before.status in (Status.WAITING_CUSTOMER, Status.ON_HOLD)
    desk.later(minutes=5).writes("and now?")
    assert desk.conversation.status is Status.OPEN
    assert desk.conversation.unanswered_since == (desk.now if status == "waiting" else desk.situation.window[0].at)


@pytest.mark.parametrize(
    ("hours", "same"),
    [(1, True), (71.9, True), (72.1, False), (500, False)],
)
def test_a_message_after_done_reopens_or_begins_anew(hours: float, same: bool) -> None:
    """Within 72 h of resolving the thread is reopened; later there is a new conversation that knows the earlier one."""
    desk = Desk()
    desk.writes()
    before = desk.conversation.id
    desk.later(minutes=1).presses("resolve")
    desk.later(hours=hours)
    decided = desk.writes("It still has not come")
    if same:
        assert desk.conversation.id == before
        assert [entry.kind for entry in decided.entries][:3] == [
            EntryKind.INCOMING,
            EntryKind.REOPENED,
            EntryKind.STATUS,
        ]
        assert desk.conversation.status is Status.OPEN
        assert desk.conversation.resolved_at is None
        assert DeliveryKind.DESK_CARD not in kinds(decided)
    else:
        assert desk.conversation.id != before
        assert desk.conversation.previous == before
        assert kinds(decided)[0] is DeliveryKind.DESK_CARD


def test_the_window_counts_from_when_the_customer_wrote() -> None:
    """A message that was written in time reopens, even if we were away and read it days later."""
    desk = Desk()
    desk.writes()
    desk.presses("resolve")
    before = desk.conversation.id
    written = desk.later(hours=71).now
    desk.later(hours=20).writes("It still has not come", at=written)
    assert desk.conversation.id == before


def test_what_was_written_before_the_closing_reopens_with_its_deadlines() -> None:
    """Chats count whole seconds and what is late comes later: it reopens at the closing, not before what ended it."""
    desk = Desk()
    desk.writes()
    desk.later(minutes=1).delivered()
    written = desk.later(minutes=1).now
    closed = desk.later(seconds=0.5).now
    desk.presses("resolve")
    decided = desk.later(seconds=0.3).writes("It still has not come", at=written)
    assert desk.conversation.status is Status.OPEN
    assert {entry.kind: entry.at for entry in decided.entries if entry.kind is not EntryKind.INCOMING} == {
        EntryKind.REOPENED: closed,
        EntryKind.STATUS: closed,
    }
    assert Metric.NEXT_RESPONSE in {c.metric for c in decided.clocks or () if c.state is ClockState.RUNNING}
    assert desk.conversation.unanswered_since == written


def test_what_an_answer_overtook_is_still_owed() -> None:
    """Written before an answer left and come after it: the answer was not to it, its wait counts from the answer."""
    desk = Desk()
    desk.writes()
    written = desk.later(minutes=5).now
    answered = desk.later(minutes=5).now
    desk.delivered()
    asleep = {c.metric: c.state for c in desk.situation.clocks}[Metric.RESOLUTION]
    decided = desk.later(minutes=10).writes("And the invoice?", at=written)
    running = {clock.metric: clock for clock in decided.clocks or () if clock.state is ClockState.RUNNING}
    assert asleep is ClockState.PAUSED
    assert running.keys() >= {Metric.NEXT_RESPONSE, Metric.RESOLUTION}
    assert running[Metric.NEXT_RESPONSE].started_at == answered
    assert desk.conversation.unanswered_since == written, "shown as it was written"
    assert [entry.at for entry in decided.entries if entry.kind is EntryKind.STATUS] == [answered]
    again = desk.later(minutes=1).writes("Hello?", at=written)
    assert again.clocks is None, "it waits already"


def test_what_an_answer_overtook_before_the_closing_reopens_with_its_deadlines() -> None:
    """Written, answered what was before it, closed, and only then come."""
    desk = Desk()
    desk.writes()
    written = desk.later(minutes=5).now
    desk.later(minutes=5).delivered()
    desk.later(minutes=5).presses("resolve")
    decided = desk.later(minutes=10).writes("And the invoice?", at=written)
    assert Metric.NEXT_RESPONSE in {c.metric for c in decided.clocks or () if c.state is ClockState.RUNNING}


def test_what_was_written_before_a_snooze_wakes_it_with_its_deadlines() -> None:
    """A message that comes late ends the snooze from when it began; its deadlines stood still for ever."""
    desk = Desk()
    desk.writes()
    desk.later(minutes=1).delivered()
    written = desk.later(minutes=1).now
    desk.later(seconds=0.5).presses("snooze", "customer")
    decided = desk.later(seconds=0.3).writes("It still has not come", at=written)
    assert desk.conversation.status is Status.OPEN
    assert ClockState.PAUSED not in {clock.state for clock in decided.clocks or ()}


def test_an_answer_of_the_same_second_ends_what_was_woken_in_it() -> None:
    """Chats count whole seconds, the desk does not: an answer is later than what it answers, whatever its chat says."""
    desk = Desk()
    desk.writes()
    desk.later(minutes=1).delivered()
    second = desk.later(minutes=1).now
    desk.later(seconds=0.5).presses("snooze", "customer")
    desk.later(seconds=0.2).writes("It still has not come", at=second)
    answered = desk.later(seconds=0.2).answers("Tomorrow").entries[0]
    desk.settles(answered, at=second)
    assert {clock.metric: clock.state for clock in desk.clocks()} == {
        Metric.FIRST_RESPONSE: ClockState.MET,
        Metric.NEXT_RESPONSE: ClockState.MET,
        Metric.RESOLUTION: ClockState.PAUSED,
    }


def test_an_older_message_that_comes_late_is_not_the_newest() -> None:
    """When the customer wrote last is the newest of what they wrote, in whatever order it comes."""
    desk = Desk()
    written = desk.now
    newest = desk.later(minutes=5).now
    desk.writes()
    desk.later(minutes=1).writes("earlier", at=written)
    assert (desk.conversation.last_customer_at, desk.conversation.unanswered_since) == (newest, written)


@pytest.mark.parametrize(
    ("status", "text", "woken"),
    [
        ("snooze", "order 1002, sorry", True),
        ("snooze", "Where is my order?", False),
        ("delivered", "order 1002, sorry", False),
    ],
)
def test_other_words_wake_what_waits_for_the_customer(status: str, text: str, woken: bool) -> None:
    """Who snoozed until they write reads a correction, too; who answered is shown it, and owes nothing anew."""
    desk = Desk()
    desk.writes(message_id="m1")
    if status == "snooze":
        desk.later(minutes=1).presses("snooze", "customer")
    else:
        desk.later(minutes=1).delivered()
    before = desk.conversation
    edited = desk.later(minutes=5).customer(events.CustomerEdit(customer=ANN, at=desk.now, message_id="m1", text=text))
    assert (desk.conversation.status is Status.OPEN) is woken
    assert [entry.kind for entry in edited.entries][1:] == ([EntryKind.STATUS] if woken else [])
    assert desk.conversation.unanswered_since == before.unanswered_since
    assert ClockState.PAUSED not in {clock.state for clock in edited.clocks or ()}
    assert (edited.clocks is not None) is woken


def test_thanks_after_done_is_kept_and_offered() -> None:
    """A closing word reopens nothing and starts no clock; it is shown with a button to reopen."""
    desk = Desk()
    desk.writes()
    desk.later(minutes=1).delivered()
    desk.later(minutes=1).presses("resolve")
    decided = desk.later(hours=1).writes("Thank you!", THANKS)
    assert decided.reason == "closure"
    assert desk.conversation.status is Status.DONE
    assert decided.entries[0].data["offer_reopen"] is True
    assert kinds(decided) == [DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE]
    assert desk.conversation.unanswered_since is None
    assert all(clock.state is not ClockState.RUNNING for clock in decided.clocks or ())


def test_a_sticker_of_thanks_is_thanks() -> None:
    """A picture says more than its words, a sticker does not: what is resolved stays so."""
    desk = Desk()
    desk.writes()
    desk.delivered()
    desk.presses("resolve")
    sticker = replace(PHOTO, kind="sticker", name="sticker.webp", mime="image/webp")
    decided = desk.later(hours=1).writes("👍", THANKS, kind="sticker", attachments=(sticker,))
    assert decided.reason == "closure"
    decided = desk.later(hours=1).writes("👍", THANKS, kind="photo", attachments=(PHOTO,))
    assert decided.reason != "closure"


@pytest.mark.parametrize("change", ["below the threshold", "with a file", "while open"])
def test_what_looks_like_thanks_but_is_not(change: str) -> None:
    """An unsure closing word, one that brings a file, or one in an open conversation, is a message like any other."""
    desk = Desk()
    desk.writes()
    if change != "while open":
        desk.presses("resolve")
    assessed = reading(closure=0.79) if change == "below the threshold" else THANKS
    fields = {"attachments": (PHOTO,)} if change == "with a file" else {}
    desk.later(minutes=5).writes("thanks", assessed, **fields)
    assert desk.conversation.is_open
    assert desk.conversation.unanswered_since is not None


def test_spam_stays_aside() -> None:
    """What a person set aside as spam is recorded and offered, and bothers nobody."""
    desk = Desk()
    desk.writes("cheap watches")
    desk.presses("status", "spam")
    decided = desk.later(hours=100).writes("very cheap watches")
    assert desk.conversation.status is Status.SPAM
    assert decided.entries[0].data["offer_reopen"] is True


def test_an_edit_is_another_line() -> None:
    """An edit keeps what was said before, shows before and after, and makes a card that was drawn earlier stale."""
    desk = Desk()
    decided = desk.writes(message_id="7")
    version = desk.conversation.version
    edit = desk.customer(events.CustomerEdit(customer=ANN, at=desk.now, message_id="7", text="Order 124"))
    assert edit.entries[0].kind is EntryKind.INCOMING_EDIT
    assert edit.entries[0].data["of"] == decided.entries[1].id
    assert kinds(edit) == [DeliveryKind.DESK_EDIT, DeliveryKind.DESK_UPDATE]
    assert desk.conversation.customer_version > version


def test_an_edit_of_something_older_is_shown_all_the_same() -> None:
    """A customer may change a message of an earlier conversation: nothing that they say is lost."""
    desk = Desk()
    desk.writes()
    edit = desk.customer(events.CustomerEdit(customer=ANN, at=desk.now, message_id="99", text="Order 124"))
    assert edit.entries[0].body == "Order 124"
    assert "of" not in edit.entries[0].data
    assert kinds(edit) == [DeliveryKind.DESK_EDIT, DeliveryKind.DESK_UPDATE]


def test_an_edit_without_a_conversation_changes_nothing() -> None:
    """An edited command has no thread to be shown in."""
    event = events.CustomerEdit(customer=ANN, at=Desk().now, message_id="99", text="/start")
    assert Desk().customer(event).reason == "edit_of_unknown"


@pytest.mark.parametrize(("command", "text"), [("start", "start"), ("help", "help"), ("privacy", "privacy")])
def test_a_command_is_answered_and_opens_nothing(command: str, text: str) -> None:
    """A command gets its fixed text in the customer's language, once, and no agent is bothered."""
    desk = Desk()
    event = events.CustomerCommand(customer=ANN, at=desk.now, message_id="3", command=command)
    decided = desk.customer(event)
    assert decided.conversation is None
    assert kinds(decided) == [DeliveryKind.CHAT_AUTOMATIC]
    assert decided.outbox[0].data == {"text": text, "language": "en"}
    again = desk.customer(event)
    assert again.outbox[0].idem_key == decided.outbox[0].idem_key, "the outbox takes it once"


def test_blocked_and_unblocked() -> None:
    """That a customer blocked us stands in the record and in the thread, once; so does that they came back."""
    desk = Desk()
    desk.writes()
    gone = events.CustomerReach(customer=ANN, at=desk.now, reachable=False, reason="blocked")
    decided = desk.customer(gone)
    assert decided.identity is not None
    assert (decided.identity.reachable, decided.identity.unreachable_reason) == (False, "blocked")
    assert kinds(decided) == [DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE]
    assert desk.customer(gone).reason == "reach_unchanged"
    back = desk.customer(events.CustomerReach(customer=ANN, at=desk.now, reachable=True))
    assert back.identity is not None
    assert back.identity.reachable


def test_who_writes_can_be_reached() -> None:
    """A message is proof that the customer has not blocked us any more."""
    desk = Desk()
    desk.writes()
    desk.customer(events.CustomerReach(customer=ANN, at=desk.now, reachable=False, reason="blocked"))
    decided = desk.writes("hello again")
    assert decided.identity is not None
    assert decided.identity.reachable


def test_a_new_name_and_address_are_remembered() -> None:
    """People rename themselves, and platforms move chats: the identity follows, the conversation stays."""
    desk = Desk()
    desk.writes()
    renamed = desk.writes("me again", customer=replace(ANN, name="Ann Lee"))
    assert renamed.identity is not None
    assert renamed.identity.name == "Ann Lee"
    moved = desk.customer(events.CustomerMoved(channel="telegram", at=desk.now, old_address="1", new_address="-1001"))
    assert moved.identity is not None
    assert moved.identity.address == "-1001"


def test_everybody_in_a_chat_goes_with_it_when_it_moves() -> None:
    """A group that became a supergroup takes each person and each topic in it along, and nobody of another chat."""
    desk = Desk()
    desk.writes()
    known = desk.situation.identity
    assert known is not None
    addresses = ("-5", "-5@1", "-5@2", "-5/7", "-55@1", "5")
    everyone = tuple(replace(known, id=f"I{place}", address=one) for place, one in enumerate(addresses))
    desk.situation = replace(desk.situation, identity=everyone[0], everyone=everyone)
    gone = desk.customer(events.CustomerMoved(channel="telegram", at=desk.now, old_address="-5", new_address="-1001"))
    assert gone.identity is not None
    moved = {one.id: one.address for one in (gone.identity, *gone.moved)}
    assert moved == {"I0": "-1001", "I1": "-1001@1", "I2": "-1001@2", "I3": "-1001/7"}


def test_events_about_nobody_change_nothing() -> None:
    """A block, a move or an edit by somebody we do not know is no mistake and no change."""
    desk = Desk()
    for event in (
        events.CustomerReach(customer=ANN, at=desk.now, reachable=False),
        events.CustomerMoved(channel="telegram", at=desk.now, old_address="1", new_address="2"),
    ):
        decided = desk.customer(event)
        assert (decided.identity, decided.entries, decided.outbox) == (None, (), ())


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [
        ([0, 30, 60], ["m0", "m1", "m2", "now"]),
        ([0, 300, 330], ["m1", "m2", "now"]),
        ([0, 10, 20, 30, 40, 50, 60], ["m3", "m4", "m5", "m6", "now"]),
    ],
)
def test_the_window_that_is_read(seconds: list[int], texts: list[str]) -> None:
    """Unanswered messages not more than 120 s apart are read together, the newest five, oldest first."""
    desk = Desk()
    for place, second in enumerate(seconds):
        desk.minute = second / 60
        desk.writes(f"m{place}")
    event = events.CustomerMessage(
        customer=ANN, at=desk.now + timedelta(seconds=30), message_id="x", kind="text", text="now"
    )
    assert intake.text_to_assess(desk.situation, event, desk.context) == "\n".join(texts)


def test_the_window_is_capped_and_begins_after_an_answer() -> None:
    """At most 1,000 characters are read, the newest; and what was answered is not read again."""
    desk = Desk()
    desk.writes("a" * 900)
    event = events.CustomerMessage(customer=ANN, at=desk.now, message_id="x", kind="text", text="b" * 500)
    read = intake.text_to_assess(desk.situation, event, desk.context)
    assert read is not None
    assert len(read) == 1000
    assert read.endswith("b" * 500)
    desk.later(seconds=10).delivered()
    assert intake.text_to_assess(desk.situation, event, desk.context) == "b" * 500


def test_there_is_nothing_to_read_in_a_photo() -> None:
    """A picture without words is not classified; it still opens a conversation, for the triage team."""
    desk = Desk()
    event = events.CustomerMessage(customer=ANN, at=desk.now, message_id="1", kind="photo", attachments=(PHOTO,))
    assert intake.text_to_assess(desk.situation, event, desk.context) is None
    desk.keep(intake.decide(event, desk.situation, None, desk.context))
    assert desk.conversation.queue == "triage"
    assert desk.conversation.priority is Priority.NORMAL


def test_an_answered_clock_is_met_and_the_next_one_starts() -> None:
    """The first answer meets the first clock; a further question starts the clock of the next answer."""
    desk = Desk()
    desk.writes()
    desk.later(minutes=30).delivered()
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET
    decided = desk.later(minutes=30).writes("And the invoice?")
    assert desk.clock(Metric.NEXT_RESPONSE).state is ClockState.RUNNING
    assert noted(decided, EntryKind.STATUS)[0].data["to"] == "open"
    assert to_customer(decided) == []
    assert desk.conversation.assignee == MAYA


ORDERS = DeepLink(field=Field(name="order"), prefix="order-", pattern=re.compile("[0-9]{3,8}"))
BORN = DeepLink(field=Field(name="birthday", type=FieldType.DATE), prefix="b-", pattern=re.compile("[0-9-]+"))


@pytest.mark.parametrize(
    ("command", "argument", "said"),
    [
        ("start", "order-12345", ("order", "12345")),
        ("start", "b-1990-05-17", ("birthday", "1990-05-17")),
        ("start", "b-1990-99-17", None),  # fits the pattern, and is no date
        ("start", "order-12", None),
        ("start", "order-12345x", None),
        ("start", "12345", None),
        ("start", "", None),
        ("help", "order-12345", None),
    ],
)
def test_a_deep_link_fills_a_field(command: str, argument: str, said: tuple[str, str] | None) -> None:
    """What the link says is the customer's word, checked like any value; what does not fit is not kept at all."""
    desk = Desk(rules=rulebook(deep_links=(ORDERS, BORN)))
    event = events.CustomerCommand(customer=ANN, at=desk.now, message_id="1", command=command, argument=argument)
    decided = desk.customer(event)
    assert [(one.name, one.value.value) for one in decided.said] == ([said] if said else [])
    assert {one.customer_id for one in decided.said} <= {entry.customer_id for entry in decided.entries}


def test_a_deep_link_brings_the_open_card_up_to_date() -> None:
    """A customer who comes by a link in the middle of a conversation: whoever answers sees it."""
    desk = Desk(rules=rulebook(deep_links=(ORDERS,)))
    desk.writes()
    event = events.CustomerCommand(customer=ANN, at=desk.now, message_id="2", command="start", argument="order-777")
    decided = desk.customer(event)
    assert DeliveryKind.DESK_UPDATE in [one.kind for one in decided.outbox]
    assert decided.conversation is not None
