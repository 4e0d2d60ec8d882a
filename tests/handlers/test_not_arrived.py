"""What was decided over an answer that waited, and what was asked meanwhile: nothing is left without a deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.changes import Delivered, DeliveryKind, OutboxRef
from domain.model import Entry, EntryKind, Reach, Status
from domain.sla import Clock, ClockState, Metric
from tests.handlers.kit import Desk, noted, to_customer
from tests.handlers.test_leaving import edits, refs

HOURS_2 = "You will hear from me in 2 hours."


def asked(text: str = "Where is my parcel?") -> Desk:
    desk = Desk()
    desk.writes(text)
    desk.later(minutes=5)
    return desk


def waits(desk: Desk) -> list[Clock]:
    """The clocks of an answer that somebody is still to give."""
    kinds = (Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE)
    return [clock for clock in desk.clocks() if clock.metric in kinds and clock.stopped_at is None]


def unclear(answer: Entry) -> OutboxRef:
    """The delivery of an answer of which nobody knows whether it arrived."""
    data = {"parts": 1, "texts": 1, "ts": str(answer.platform_id)}
    return OutboxRef(
        id="O1", kind=DeliveryKind.CHAT_TEXT, lane="chat:1", state="unclear", entry_id=answer.id, part=0, data=data
    )


@pytest.mark.parametrize("how", ["dead", "unclear", "deleted"])
def test_slacks_clock_may_be_ahead_of_ours(how: str) -> None:
    """Resolved by Slack's clock, not arrived by ours: read by their times, the conversation was closed for ever."""
    desk = asked()
    decided = desk.answers("Tomorrow")
    desk.later(seconds=1).presses("resolve", "solved", at=desk.now + timedelta(seconds=2))
    if how == "deleted":
        edits(desk, decided.entries[0], None, refs(decided))
    else:
        desk.settles(decided.entries[0], how, "timeout")
    assert desk.conversation.status is Status.OPEN
    assert [clock.started_at for clock in waits(desk)] == [desk.conversation.opened_at]
    said = [line.data for _ in range(3) for line in desk.later(hours=10).sweep().entries]
    given = [line.get("alert") for line in said if line.get("metric") == Metric.FIRST_RESPONSE]
    assert ("breach" in given) is (how != "dead"), "what cannot be delivered alarms nobody: its thread asks"


def test_an_answer_that_crossed_a_question_is_no_answer_to_it() -> None:
    """Its own answer is called back, and that question is all that is left."""
    desk = asked()
    first = desk.answers("Tomorrow").entries[0]
    desk.later(seconds=2).writes("And the invoice?")
    desk.later(seconds=2).settles(first)
    second = desk.later(minutes=1).answers("Invoice attached")
    desk.later(seconds=1).presses("resolve", "solved")
    desk.later(seconds=1).presses("undo", str(second.entries[0].platform_id), refs=refs(second))
    assert desk.conversation.status is Status.OPEN
    assert [clock.state for clock in waits(desk)] == [ClockState.RUNNING]


@pytest.mark.parametrize("how", ["undo", "dead"])
def test_what_was_written_after_a_deliberate_done_opens_nothing(how: str) -> None:
    """Closed as withdrawn, without an answer; then a word that does not arrive."""
    desk = asked()
    desk.presses("resolve", "withdrawn")
    word = desk.later(minutes=1).answers("Bye then")
    if how == "undo":
        desk.later(seconds=1).presses("undo", str(word.entries[0].platform_id), refs=refs(word))
    else:
        desk.later(seconds=1).settles(word.entries[0], "dead", "too_long")
    assert (desk.conversation.status, desk.conversation.outcome) == (Status.DONE, "withdrawn")


@pytest.mark.parametrize("how", ["undo", "dead", "unclear"])
def test_who_waits_for_the_customer_has_said_something(how: str) -> None:
    """Put aside until they write, over an answer that they never got: they have nothing to write about."""
    desk = asked()
    decided = desk.answers("What is your number?")
    assert desk.later(seconds=1).presses("snooze", "customer").reason == "snoozed"
    if how == "undo":
        back = desk.later(seconds=1).presses("undo", str(decided.entries[0].platform_id), refs=refs(decided))
    else:
        back = desk.later(seconds=1).settles(decided.entries[0], how, "timeout")
    assert desk.conversation.status is Status.OPEN
    (line,) = noted(back, EntryKind.STATUS)
    assert line.data["reason"] == {"undo": "undone", "dead": "not_delivered", "unclear": "unclear"}[how]
    assert line.id in {item.entry_id for item in back.outbox if item.kind is DeliveryKind.DESK_ENTRY}


def test_what_is_put_aside_until_a_time_stays_so_whatever_becomes_of_its_answer() -> None:
    desk = asked()
    decided = desk.answers("I will look")
    desk.presses("snooze", f"@{int(desk.now.timestamp()) + 7200}")
    desk.settles(decided.entries[0], "dead", "too_long")
    assert desk.conversation.status is Status.ON_HOLD


def test_a_half_sent_answer_that_is_deleted_answers_nothing() -> None:
    """What had left is taken out of the chat, the rest never goes: the conversation was resolved over nothing."""
    desk = asked()
    decided = desk.answers("\n\n".join(["word " * 700] * 2))
    first, second = refs(decided)
    desk.later(seconds=2).presses("resolve", "solved")
    answer = decided.entries[0]
    desk.settles(answer, others=("todo",))
    copy = Delivered(entry_id=answer.id, side="chat", part=0, place="", platform_id="9")
    gone = desk.later(seconds=1).edits(answer, None, outbox=(replace(first, state="sent"), second), deliveries=(copy,))
    assert (gone.cancel, [item.kind for item in to_customer(gone)]) == ((second.id,), [DeliveryKind.CHAT_DELETE])
    assert (desk.conversation.status, desk.conversation.delivery_state) == (Status.OPEN, Reach.CANCELLED)
    assert [clock.state for clock in waits(desk)] == [ClockState.RUNNING]
    desk.later(seconds=1).settles(gone.entries[0], kind=DeliveryKind.CHAT_DELETE)
    assert desk.conversation.delivery_state is Reach.CANCELLED


def test_a_typo_that_is_mended_before_it_leaves_answers_nothing_newer() -> None:
    """Whoever wrote it had not read what was asked meanwhile, in either wording."""
    desk = asked()
    first = desk.answers("Tomorow")
    desk.later(seconds=2).writes("And the invoice?")
    better = edits(desk, first.entries[0], "Tomorrw", refs(first))
    best = edits(desk, better.entries[0], "Tomorrow", refs(better))
    desk.later(seconds=3).settles(best.entries[0])
    assert desk.conversation.status is Status.OPEN
    assert [clock.state for clock in waits(desk)] == [ClockState.RUNNING]


def test_a_typo_that_is_mended_wakes_nothing() -> None:
    """Answered, put aside until the customer writes, and mended while it could still be."""
    desk = asked()
    first = desk.answers("Tomorow")
    desk.later(seconds=2).presses("snooze", "customer")
    better = edits(desk, first.entries[0], "Tomorrow", refs(first))
    desk.later(seconds=3).settles(better.entries[0])
    assert desk.conversation.status is Status.ON_HOLD


def test_what_came_while_somebody_pressed_that_it_arrived_is_still_asked() -> None:
    """The press was earlier, and is decided later."""
    desk = asked()
    answer = desk.answers("Tomorrow").entries[0]
    desk.settles(answer, "unclear", "timeout")
    pressed = desk.later(minutes=1).now
    desk.later(seconds=1).writes("And the invoice?")
    desk.presses("mark_arrived", "O1", refs=(unclear(answer),), at=pressed)
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.OPEN, desk.now)
    assert [clock.state for clock in waits(desk)] == [ClockState.RUNNING]


def test_a_promise_in_an_answer_that_somebody_takes_as_arrived_is_asked_about() -> None:
    """The customer has it, like any other."""
    desk = asked()
    answer = desk.answers(HOURS_2).entries[0]
    assert noted(desk.settles(answer, "unclear", "timeout"), EntryKind.PROMISE) == []
    done = desk.later(minutes=1).presses("mark_arrived", "O1", refs=(unclear(answer),))
    (line,) = noted(done, EntryKind.PROMISE)
    assert line.id in {item.entry_id for item in done.outbox}


@pytest.mark.parametrize("way", ["failed", "by hand", "by the customer"])
def test_a_promise_goes_on_where_done_is_taken_back(way: str) -> None:
    """The customer still has the agent's word; where they write anew, it was about what is over."""
    desk = asked()
    desk.settles(desk.answers(HOURS_2).entries[0])
    desk.later(minutes=1).presses("promise", str(int((desk.now + timedelta(hours=2)).timestamp())))
    answer = desk.later(minutes=10).answers("It is solved").entries[0]
    desk.later(seconds=1).presses("resolve", "solved")
    assert desk.clock(Metric.PROMISE).state is ClockState.CANCELLED
    if way == "failed":
        desk.later(seconds=1).settles(answer, "dead", "too_long")
    elif way == "by hand":
        desk.later(seconds=1).presses("reopen")
    else:
        desk.later(seconds=1).writes("It is not")
    assert desk.conversation.status is Status.OPEN
    wanted = ClockState.CANCELLED if way == "by the customer" else ClockState.RUNNING
    assert desk.clock(Metric.PROMISE).state is wanted


@pytest.mark.parametrize("way", ["failed", "undone", "by hand"])
def test_what_was_never_resolved_has_not_met_its_resolution(way: str) -> None:
    """Taken back by hand the first one stays, as before: somebody had meant it."""
    desk = asked()
    decided = desk.answers("Tomorrow")
    desk.presses("resolve", "solved")
    if way == "failed":
        desk.later(seconds=1).settles(decided.entries[0], "unclear", "timeout")
    elif way == "undone":
        desk.later(seconds=1).presses("undo", str(decided.entries[0].platform_id), refs=refs(decided))
    else:
        desk.settles(decided.entries[0])
        desk.later(seconds=1).presses("reopen")
    wanted = ClockState.MET if way == "by hand" else ClockState.RUNNING
    assert desk.clock(Metric.RESOLUTION).state is wanted
