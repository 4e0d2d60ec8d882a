"""The chat platform answers: delivered, refused for good, or unclear; what the clocks and the card make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.changes import Changes, DeliveryKind, OutboxRef, settling
from domain.files import Terms
from domain.model import MACHINE, Entry, EntryKind, Reach, Status
from domain.sla import ClockState, Metric
from tests.handlers.kit import MAYA, NINE, Desk, kinds, noted, whispers


def answered() -> tuple[Desk, Entry]:
    desk = Desk()
    desk.writes()
    return desk, desk.later(minutes=10).answers().entries[0]


WAITING, UNCLEAR = "hourglass_flowing_sand", "question"


def reactions(decided: Changes) -> list[tuple[str, str | list[str] | None]]:
    found = [item.data for item in decided.outbox if item.kind is DeliveryKind.DESK_REACTION]
    return [(str(data["name"]), data["remove"]) for data in found]


def test_a_delivered_answer_meets_the_clock_at_the_platforms_time() -> None:
    """The clock stops when the platform took the answer, not when the agent pressed Enter or we heard of it."""
    desk, answer = answered()
    at = desk.now + timedelta(seconds=7)
    decided = desk.later(minutes=3).settles(answer, at=at)
    clock = desk.clock(Metric.FIRST_RESPONSE)
    assert (clock.state, clock.stopped_at) == (ClockState.MET, at)
    assert desk.conversation.status is Status.WAITING_CUSTOMER
    assert (desk.conversation.delivery_state, desk.conversation.unanswered_since) == (Reach.SENT, None)
    assert reactions(decided) == [("white_check_mark", "hourglass_flowing_sand")]


def test_a_late_answer_is_met_late() -> None:
    """An answer after the deadline ends the clock honestly."""
    desk, answer = answered()
    desk.later(hours=5).settles(answer)
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET_LATE


def test_a_customer_who_wrote_meanwhile_is_still_waiting() -> None:
    """A message newer than the answer is not answered by it: it stays our turn."""
    desk, answer = answered()
    sent = desk.now
    desk.later(minutes=1).writes("and the colour?")
    desk.settles(answer, at=sent)
    assert desk.conversation.status is Status.OPEN
    assert desk.conversation.unanswered_since is not None


def test_a_word_after_done_opens_nothing() -> None:
    """A postscript in a resolved thread is delivered; the conversation stays done and no clock starts."""
    desk, answer = answered()
    desk.settles(answer)
    resolved = desk.presses("resolve")
    assert resolved.reason == "resolved"
    desk.later(minutes=1).delivered("P.S. have a nice day")
    assert desk.conversation.status is Status.DONE
    assert desk.conversation.resolved_at is not None


@pytest.mark.parametrize("state", ["todo", "sending", "unclear", "dead", "cancelled"])
def test_an_answer_has_arrived_when_all_of_it_has(state: str) -> None:
    """While a part is missing the clock runs on and the card does not say that the answer was delivered."""
    desk, answer = answered()
    decided = desk.settles(answer, others=("sent", state))
    assert decided.reason == "part_sent"
    assert decided.conversation is None
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING
    assert desk.settles(answer, others=("sent", "sent")).reason == "delivered"


def test_of_a_refused_file_its_place_is_kept() -> None:
    """Whoever reads the line is told which of the files it was, and whether the words went with it."""
    desk, answer = answered()
    decided = desk.settles(answer, "dead", "too_large", kind=DeliveryKind.CHAT_FILE, files=(2,), worded=True)
    line = noted(decided, EntryKind.NOT_DELIVERED)[0].data
    assert (line["files"], line["worded"]) == ([2], True)


def test_of_a_file_that_is_too_large_the_limit_is_kept() -> None:
    """As it was then: the line that says so names it."""
    desk, answer = answered()
    assert desk.situation.identity is not None
    terms = {desk.situation.identity.channel: Terms(upload_limit=50_000_000)}
    desk.rules = replace(desk.rules, channel_files=terms)
    decided = desk.settles(answer, "dead", "too_large", kind=DeliveryKind.CHAT_FILE, files=(0,))
    assert noted(decided, EntryKind.NOT_DELIVERED)[0].data["limit"] == 50_000_000
    decided = desk.settles(answer, "dead", "blocked", kind=DeliveryKind.CHAT_FILE, files=(0,))
    assert "limit" not in noted(decided, EntryKind.NOT_DELIVERED)[0].data


def test_a_refused_answer_is_shown_with_its_reason() -> None:
    """A blocked bot is told to the agent with a way to try again; the clock is undeliverable, not breached."""
    desk, answer = answered()
    decided = desk.settles(answer, "dead", "blocked")
    line = noted(decided, EntryKind.NOT_DELIVERED)[0].data
    assert (line["reason"], line["state"], line["outbox_id"], line["agent"]) == ("blocked", "failed", "O1", MAYA)
    assert kinds(decided)[:2] == [DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE]
    assert decided.identity is not None
    assert (decided.identity.reachable, decided.identity.unreachable_reason) == (False, "blocked")
    assert (desk.conversation.delivery_state, desk.conversation.delivery_reason) == (Reach.FAILED, "blocked")
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.UNDELIVERABLE
    assert reactions(decided) == [("x", "hourglass_flowing_sand")]
    assert desk.later(hours=9).sweep().entries == (), "an alert would ask for what nobody can do"


def test_a_refusal_that_is_about_the_message_leaves_the_person_reachable() -> None:
    """A file that is too large says nothing about the customer."""
    desk, answer = answered()
    assert desk.settles(answer, "dead", "too_large").identity is None


def test_an_unclear_answer_is_asked_about() -> None:
    """Nobody knows whether it arrived: the agent is asked, and the clock runs until it is settled."""
    desk, answer = answered()
    decided = desk.settles(answer, "unclear", "timeout")
    assert noted(decided, EntryKind.NOT_DELIVERED)[0].data["state"] == "unclear"
    assert desk.conversation.delivery_state is Reach.UNCLEAR
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING
    assert reactions(decided) == [(UNCLEAR, WAITING)], "it is not said to be on its way for ever"


def ref(state: str, part: int = 0, parts: int = 1, kind: DeliveryKind = DeliveryKind.CHAT_TEXT) -> OutboxRef:
    data = {"parts": parts, "texts": parts, "ts": "5.0"}
    return OutboxRef(id="O1", kind=kind, lane="chat:1", state=state, entry_id="E1", part=part, data=data)


def test_retry_sends_it_again_and_success_heals_everything() -> None:
    """After Retry the answer is under way again; once delivered the clock is met and the card is clean."""
    desk, answer = answered()
    desk.settles(answer, "dead", "blocked")
    decided = desk.later(minutes=5).presses("retry", "O1", refs=(ref("dead"),))
    assert decided.settle[0].again
    assert desk.conversation.delivery_state is Reach.WAITING
    assert reactions(decided) == [(WAITING, ["x"])]
    assert not [item for item in decided.outbox if item.kind is DeliveryKind.DESK_ENTRY], "the failure's line says so"
    desk.settles(answer)
    assert (desk.conversation.delivery_state, desk.conversation.delivery_reason) == (Reach.SENT, None)
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET


@pytest.mark.parametrize("action", ["retry", "retry_plain", "mark_arrived"])
def test_a_late_press_settles_nothing_that_was_asked_since(action: str) -> None:
    """Sent again, it is unclear again: a second press under the first question was about something else."""
    desk, answer = answered()
    first = noted(desk.settles(answer, "unclear", "timeout"), EntryKind.NOT_DELIVERED)[0]
    unclear = ref("unclear")
    (settled,) = desk.later(minutes=1).presses("retry", settling("O1", first.id), refs=(unclear,)).settle
    unclear = replace(unclear, data={**unclear.data, "over": [settled.failure]})
    second = noted(desk.settles(answer, "unclear", "timeout"), EntryKind.NOT_DELIVERED)[0]
    late = desk.presses(action, settling("O1", first.id), refs=(unclear,))
    assert (late.settle, whispers(late)) == ((), ["already_settled"])
    assert desk.conversation.delivery_state is Reach.UNCLEAR
    assert desk.presses(action, settling("O1", second.id), refs=(unclear,)).reason == "settled"


def test_taken_as_arrived_counts_as_answered() -> None:
    """What the agent takes as arrived meets the clock, and it is the customer's turn: for the clocks too."""
    desk, answer = answered()
    desk.settles(answer, "unclear", "timeout")
    decided = desk.presses("mark_arrived", "O1", refs=(ref("unclear"),))
    assert not decided.settle[0].again
    assert desk.conversation.status is Status.WAITING_CUSTOMER
    assert desk.conversation.unanswered_since is None
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET
    assert desk.clock(Metric.RESOLUTION).state is ClockState.PAUSED
    assert reactions(decided) == [("white_check_mark", [UNCLEAR, WAITING])]


def test_one_part_taken_as_arrived_is_not_the_whole_answer() -> None:
    """The parts behind it still have to leave: nothing is met before they have."""
    desk, answer = answered()
    desk.settles(answer, "unclear", "timeout")
    decided = desk.presses("mark_arrived", "O1", refs=(ref("unclear", part=0, parts=2),))
    assert desk.conversation.delivery_state is Reach.WAITING
    assert reactions(decided) == [(WAITING, [UNCLEAR])], "the rest of it is still on its way"
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING
    desk.settles(answer, others=("sent",))
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET


def test_the_last_file_of_an_album_that_was_taken_apart_is_the_end_of_the_answer() -> None:
    """Its number is beyond the parts that the answer had: it says itself that nothing comes behind it."""
    desk, answer = answered()
    desk.settles(answer, "unclear", "timeout")
    piece = ref("unclear", part=6, parts=4, kind=DeliveryKind.CHAT_FILE)
    desk.presses("mark_arrived", "O1", refs=(replace(piece, data={**piece.data, "last": True}),))
    assert desk.conversation.status is Status.WAITING_CUSTOMER
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET


@pytest.mark.parametrize("refs", [(), (ref("sent"),), (ref("todo"),)], ids=["gone", "sent", "under way"])
@pytest.mark.parametrize("action", ["retry", "mark_arrived"])
def test_a_second_click_settles_nothing_twice(action: str, refs: tuple[OutboxRef, ...]) -> None:
    """What is settled stays settled, whoever clicks again, and they are told."""
    desk, _ = answered()
    decided = desk.presses(action, "O1", refs=refs)
    assert whispers(decided) == ["already_settled"]
    assert decided.settle == ()


def edit_of(answer: Entry) -> Entry:
    return Entry(
        id="E9",
        conversation_id=answer.conversation_id,
        customer_id=answer.customer_id,
        kind=EntryKind.NOTE,
        actor=answer.actor,
        at=NINE,
        data={"edit_of": answer.id},
    )


def test_an_edit_that_is_refused_leaves_the_answer_delivered() -> None:
    """The line says that the change did not arrive; the card does not claim that the answer did not."""
    desk, answer = answered()
    desk.settles(answer)
    decided = desk.settles(edit_of(answer), "dead", "too_old", kind=DeliveryKind.CHAT_EDIT)
    assert noted(decided, EntryKind.NOT_DELIVERED)[0].data["what"] == "edit"
    assert desk.conversation.delivery_state is Reach.SENT
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.MET


def test_an_edit_meets_no_clock() -> None:
    """Changing an old answer is no answer to a new question."""
    desk, answer = answered()
    desk.settles(answer)
    desk.later(minutes=5).writes("and now?")
    desk.settles(edit_of(answer), kind=DeliveryKind.CHAT_EDIT)
    assert desk.clock(Metric.NEXT_RESPONSE).state is ClockState.RUNNING
    assert desk.conversation.status is Status.OPEN


def test_a_fixed_text_changes_nothing() -> None:
    """What the machine sends by itself answers nobody."""
    desk, answer = answered()
    automatic = Entry(
        id="E2",
        conversation_id=answer.conversation_id,
        customer_id=answer.customer_id,
        kind=EntryKind.AUTOMATIC,
        actor=MACHINE,
        at=NINE,
    )
    for state in ("sent", "dead", "unclear"):
        decided = desk.settles(automatic, state, "blocked", kind=DeliveryKind.CHAT_AUTOMATIC)
        assert (decided.conversation, decided.entries, decided.outbox) == (None, (), ())


def test_an_answer_arrives_while_another_still_waits() -> None:
    """The conversation is waiting to be delivered until the last of its answers has left: it cannot be resolved yet."""
    desk, answer = answered()
    desk.settles(answer, more_waits=True)
    states = [desk.conversation.delivery_state]
    desk.settles(answer)
    assert [*states, desk.conversation.delivery_state] == [Reach.WAITING, Reach.SENT]


@pytest.mark.parametrize(("action", "value"), [("snooze", "2h"), ("snooze", "customer"), ("status", "on_hold")])
def test_what_was_put_away_after_its_answer_was_written_stays_so(action: str, value: str) -> None:
    """The answer leaves a moment later; whoever answered and put it away meant that."""
    desk = Desk()
    desk.writes()
    answer = desk.answers("I will ask the carrier").entries[0]
    desk.later(seconds=2).presses(action, value)
    until = desk.conversation.snoozed_until
    desk.later(seconds=2).settles(answer)
    assert (desk.conversation.status, desk.conversation.snoozed_until) == (Status.ON_HOLD, until)
    assert (desk.conversation.unanswered_since, desk.conversation.delivery_state) == (None, Reach.SENT)


@pytest.mark.parametrize(
    ("action", "value", "stays"), [("snooze", "2h", True), ("snooze", "customer", False), ("status", "on_hold", False)]
)
def test_an_answer_leaves_a_snooze_its_time(action: str, value: str, stays: bool) -> None:
    """Only a time was asked for; what waits without one waits for the customer once they have an answer."""
    desk = Desk()
    desk.writes()
    desk.presses(action, value)
    desk.later(minutes=5).delivered("We are looking into it")
    assert desk.conversation.status is (Status.ON_HOLD if stays else Status.WAITING_CUSTOMER)
    assert (desk.conversation.snoozed_until is not None) is stays


def test_an_unclear_answer_taken_as_arrived_leaves_a_snooze_its_time() -> None:
    desk = Desk()
    desk.writes()
    answer = desk.later(minutes=5).answers("Tomorrow").entries[0]
    desk.settles(answer, "unclear", "no_answer")
    desk.later(minutes=1).presses("snooze", "2h")
    sent = replace(ref("unclear"), entry_id=answer.id)
    desk.later(minutes=1).presses("mark_arrived", "O1", refs=(sent,))
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.ON_HOLD, None)
    assert desk.conversation.snoozed_until is not None


def test_what_was_asked_while_an_answer_waited_is_still_owed() -> None:
    """Who wrote the answer had not read it: it is no answer to that, and a clock runs from when it arrived."""
    desk = Desk()
    desk.writes()
    answer = desk.later(minutes=5).answers("Tomorrow").entries[0]
    asked = desk.later(seconds=2).now
    desk.writes("And the invoice?")
    desk.later(seconds=1).writes("Number 12")
    decided = desk.later(seconds=2).settles(answer)
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.OPEN, asked)
    assert EntryKind.STATUS not in {entry.kind for entry in decided.entries}
    assert [clock.state for clock in desk.clocks() if clock.metric is Metric.FIRST_RESPONSE] == [ClockState.MET]
    waiting = desk.clock(Metric.NEXT_RESPONSE)
    assert (waiting.state, waiting.started_at) == (ClockState.RUNNING, desk.now)
    desk.later(minutes=1).delivered("It is under way, too")
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.WAITING_CUSTOMER, None)
    assert desk.clock(Metric.NEXT_RESPONSE).state is ClockState.MET


def test_however_much_is_written_after_it_a_question_stays_owed() -> None:
    """Longer than the window that the classifier reads."""
    desk = Desk()
    desk.writes()
    answer = desk.later(minutes=5).answers("Tomorrow").entries[0]
    asked = desk.later(seconds=2).now
    for number in range(8):
        desk.writes(f"And invoice {number}?")
        desk.later(seconds=1)
    desk.settles(answer)
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.OPEN, asked)


def test_an_answer_taken_as_arrived_late_owes_nothing_that_another_answered() -> None:
    desk = Desk()
    desk.writes()
    answer = desk.later(minutes=5).answers("Tomorrow").entries[0]
    desk.settles(answer, "unclear", "no_answer")
    desk.later(minutes=1).writes("And the invoice?")
    desk.later(minutes=1).delivered("It is under way, too")
    asked = desk.later(minutes=1).now
    desk.writes("When?")
    sent = replace(ref("unclear"), entry_id=answer.id)
    desk.later(minutes=1).presses("mark_arrived", "O1", refs=(sent,))
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.OPEN, asked)


def test_an_unclear_answer_taken_as_arrived_answers_nothing_newer() -> None:
    """Somebody saw it on the phone; what was asked after it had been written still waits."""
    desk = Desk()
    desk.writes()
    answer = desk.later(minutes=5).answers("Tomorrow").entries[0]
    desk.settles(answer, "unclear", "no_answer")
    asked = desk.later(minutes=1).now
    desk.writes("And the invoice?")
    sent = replace(ref("unclear"), entry_id=answer.id)
    desk.later(minutes=1).presses("mark_arrived", "O1", refs=(sent,))
    assert (desk.conversation.status, desk.conversation.unanswered_since) == (Status.OPEN, asked)
    assert desk.clock(Metric.NEXT_RESPONSE).state is ClockState.RUNNING
