"""Answered and resolved at once: done stays done if the answer arrives, and is open again if it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.changes import Changes, DeliveryKind
from domain.model import EntryKind, Reach, Status
from domain.sla import ClockState, Metric
from handlers import satisfaction
from tests.handlers.kit import Desk, noted, rulebook, to_customer
from tests.handlers.test_leaving import edits, refs


def resolved(*, asks: bool = False) -> tuple[Desk, Changes]:
    """A customer was answered, and the conversation resolved while the answer could still be called back."""
    desk = Desk(rules=rulebook(ask_satisfaction=asks))
    desk.writes("Where is my parcel?")
    decided = desk.later(minutes=5).answers("It comes tomorrow")
    desk.later(seconds=2)
    assert desk.presses("resolve", "solved").reason == "resolved"
    assert desk.conversation.status is Status.DONE
    return desk, decided


def opened_again(desk: Desk, decided: Changes) -> str:
    """Why it is open again, as its one line that is shown says."""
    assert (desk.conversation.status, desk.conversation.outcome, desk.conversation.resolved_at) == (
        Status.OPEN,
        None,
        None,
    )
    (reopened,), (status,) = noted(decided, EntryKind.REOPENED), noted(decided, EntryKind.STATUS)
    shown = {item.entry_id for item in decided.outbox if item.kind is DeliveryKind.DESK_ENTRY}
    assert (reopened.id in shown, status.id in shown) == (True, False)
    return str(reopened.data["reason"])


def test_it_stays_done_when_the_answer_arrives() -> None:
    """The customer is asked how it was when they have the answer, not before it."""
    desk, decided = resolved(asks=True)
    taken = desk.later(seconds=3).settles(decided.entries[0])
    assert (desk.conversation.status, desk.conversation.delivery_state) == (Status.DONE, Reach.SENT)
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET
    assert [item.data["text"] for item in to_customer(taken)] == [satisfaction.ASK]
    assert [line.data["text"] for line in noted(taken, EntryKind.AUTOMATIC)] == [satisfaction.ASK]


def test_who_asked_nothing_is_not_asked_how_it_was() -> None:
    """It was closed as no request, with a word on its way."""
    desk = Desk(rules=rulebook(ask_satisfaction=True))
    desk.writes("Nice weather")
    decided = desk.later(minutes=5).answers("Indeed")
    desk.presses("not_a_request")
    assert desk.conversation.status is Status.DONE
    assert to_customer(desk.settles(decided.entries[0])) == []


def test_nobody_is_asked_how_it_was_before_the_last_answer() -> None:
    desk, decided = resolved(asks=True)
    more = desk.answers("And the invoice is on its way")
    assert to_customer(desk.settles(decided.entries[0], more_waits=True)) == []
    assert len(to_customer(desk.settles(more.entries[0]))) == 1


@pytest.mark.parametrize(("state", "why"), [("dead", "not_delivered"), ("unclear", "unclear")])
def test_an_answer_that_does_not_arrive_opens_it_again(state: str, why: str) -> None:
    """Done would hide what somebody has to settle."""
    desk, decided = resolved(asks=True)
    failed = desk.later(seconds=3).settles(decided.entries[0], state, "blocked")
    assert opened_again(desk, failed) == why
    assert to_customer(failed) == []
    wanted = ClockState.UNDELIVERABLE if state == "dead" else ClockState.RUNNING
    assert desk.clock(Metric.FIRST_RESPONSE).state is wanted


@pytest.mark.parametrize("how", ["undo", "keep_note", "delete", "note"])
def test_an_answer_that_was_called_back_opens_it_again(how: str) -> None:
    """By Undo, as a note, deleted or made a note while it waits: nobody has answered."""
    desk, decided = resolved()
    answer = decided.entries[0]
    if how in ("undo", "keep_note"):
        back = desk.presses(how, str(answer.platform_id), refs=refs(decided))
    else:
        back = edits(desk, answer, None if how == "delete" else "// for us alone", refs(decided))
    assert opened_again(desk, back) == "undone"
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING
    assert desk.clock(Metric.FIRST_RESPONSE).started_at == desk.conversation.opened_at


def test_a_word_after_done_that_is_called_back_opens_nothing() -> None:
    """The customer has an answer already."""
    desk, decided = resolved()
    desk.settles(decided.entries[0])
    more = desk.answers("Have a nice day")
    back = desk.presses("undo", str(more.entries[0].platform_id), refs=refs(more))
    assert (back.reason, desk.conversation.status) == ("undone", Status.DONE)


def test_another_answer_that_waits_keeps_it_done() -> None:
    desk, decided = resolved()
    more = desk.answers("Or today")
    parts = refs(decided) + refs(more)
    assert desk.presses("undo", str(more.entries[0].platform_id), refs=parts).reason == "undone"
    assert desk.conversation.status is Status.DONE
    back = desk.presses("undo", str(decided.entries[0].platform_id), refs=parts)
    assert opened_again(desk, back) == "undone"


def test_a_change_that_fails_opens_nothing() -> None:
    """The customer has the answer, in its first words."""
    desk, decided = resolved()
    answer = decided.entries[0]
    desk.settles(answer)
    desk.later(minutes=1).settles(answer, "dead", "too_old", kind=DeliveryKind.CHAT_EDIT)
    assert desk.conversation.status is Status.DONE


@pytest.mark.parametrize("way", ["by hand", "no spam", "failed"])
def test_what_was_owed_when_it_was_closed_is_owed_again(way: str) -> None:
    """The question is shown where it moves to, goes on with it where it is joined, and is no first one to the next."""
    desk = Desk()
    desk.writes("Where is my parcel?")
    asked = desk.now
    if way == "failed":
        decided = desk.later(minutes=5).answers("It comes tomorrow")
        desk.presses("resolve")
        desk.settles(decided.entries[0], "dead", "blocked")
    elif way == "by hand":
        desk.later(minutes=5).presses("resolve")
        desk.later(minutes=5).presses("reopen")
    else:
        desk.later(minutes=5).presses("status", "spam")
        desk.later(minutes=5).presses("relabel", "access")
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.OPEN, asked)


def test_a_question_that_was_closed_for_good_is_not_owed_again() -> None:
    """The customer wrote once more, and that is what waits."""
    desk = Desk()
    desk.writes("Where is my parcel?")
    desk.later(minutes=5).presses("resolve")
    desk.later(minutes=5).writes("And my bill?")
    asked = desk.now
    desk.later(minutes=5).presses("resolve")
    desk.later(minutes=5).presses("reopen")
    assert desk.conversation.unanswered_since == asked


@pytest.mark.parametrize("how", ["not_a_request", "resolve"])
def test_what_the_customer_writes_after_it_was_closed_has_a_deadline(how: str) -> None:
    """It had none where it was answered once, and then closed as no request."""
    desk = Desk()
    desk.writes("Where is my parcel?")
    desk.later(minutes=5).delivered()
    desk.later(minutes=5).presses(how)
    desk.later(minutes=5).writes("It is not here yet")
    clock = desk.clock(Metric.NEXT_RESPONSE)
    assert (clock.state, clock.started_at) == (ClockState.RUNNING, desk.now)
    resolution = ClockState.RUNNING if how == "not_a_request" else ClockState.MET
    assert desk.clock(Metric.RESOLUTION).state is resolution


@pytest.mark.parametrize("closed", ["resolve", "spam"])
def test_what_was_written_while_it_was_closed_counts_from_when_that_was_taken_back(closed: str) -> None:
    """It comes to us late, and would be timed in a stretch in which nothing was watched."""
    desk = Desk()
    desk.writes("Where is my parcel?")
    desk.later(minutes=5).delivered()
    desk.later(minutes=5).presses(*(("resolve",) if closed == "resolve" else ("status", "spam")))
    written = desk.later(minutes=5).now
    desk.later(minutes=5).presses(*(("reopen",) if closed == "resolve" else ("relabel", "access")))
    opened = desk.now
    desk.later(minutes=5).writes("It is not here yet", at=written)
    clock = desk.clock(Metric.NEXT_RESPONSE)
    assert (clock.state, clock.started_at) == (ClockState.RUNNING, opened)
    rows = {(row.metric, row.due_at) for row in desk.situation.clocks if row.stopped_at is None}
    assert (Metric.NEXT_RESPONSE, clock.due_at) in rows


def test_an_answer_that_was_changed_too_late_is_still_on_its_way() -> None:
    """Called back is another one: this one leaves as it is, and a colleague's press in the same moment knows it."""
    desk = Desk()
    desk.writes("Where is my parcel?")
    decided = desk.answers("It comes tomorrow")
    sending = tuple(replace(one, state="sending") for one in refs(decided))
    assert edits(desk, decided.entries[0], "It comes today", sending).reason == "edit_refused"
    more = desk.answers("Or today")
    desk.presses("undo", str(more.entries[0].platform_id), refs=(*sending, *refs(more)))
    assert desk.conversation.delivery_state is Reach.WAITING


def test_an_answer_of_the_conversation_before_is_none_of_the_new_one() -> None:
    """It waits there, for a customer who cannot be reached."""
    desk = Desk()
    desk.writes("Where is my parcel?")
    desk.answers("It comes tomorrow")
    desk.presses("resolve")
    desk.later(days=5).writes("And my bill?")
    more = desk.answers("Here it is")
    desk.presses("undo", str(more.entries[0].platform_id), refs=refs(more))
    assert desk.conversation.delivery_state is Reach.CANCELLED
