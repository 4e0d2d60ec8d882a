"""An agent gives a time: the thread asks, a press tracks it, and it has alerts of its own."""

from __future__ import annotations

from datetime import timedelta

from domain.changes import Changes, DeliveryKind
from domain.model import EntryKind
from domain.sla import ClockState, Metric
from tests.handlers.kit import MAYA, NINE, STRANGER, Desk, noted, whispers

FIVE = NINE + timedelta(hours=8)


def opened() -> Desk:
    desk = Desk()
    desk.writes()
    return desk


def asked(decided: Changes) -> list[str]:
    """Until when the thread asks whether to track."""
    return [str(entry.data["due_at"]) for entry in noted(decided, EntryKind.PROMISE)]


def until(moment_h: float) -> str:
    return str(int((NINE + timedelta(hours=moment_h)).timestamp()))


def test_a_clear_promise_is_asked_about_and_a_vague_one_is_not() -> None:
    """One question under the answer that has arrived; nothing is tracked that nobody asked for."""
    desk = opened()
    decided = desk.delivered("I'll get back to you by 5 pm.")
    assert asked(decided) == [FIVE.isoformat()]
    shown = [item for item in decided.outbox if item.entry_id == noted(decided, EntryKind.PROMISE)[0].id]
    assert [item.kind for item in shown] == [DeliveryKind.DESK_ENTRY]
    assert asked(desk.delivered("I'll get back to you soon.")) == []
    assert asked(desk.answers("// I'll get back to you by 5 pm.")) == [], "a note promises nobody anything"
    assert not [row for row in desk.situation.clocks if row.metric is Metric.PROMISE]


def test_nothing_is_asked_about_what_nobody_was_promised() -> None:
    """Not while the answer can be called back; not where it failed, arrived after its time, or after all was done."""
    desk = opened()
    decided = desk.answers("I'll get back to you by 5 pm.")
    answer = decided.entries[0]
    assert asked(decided) == []
    assert asked(desk.settles(answer, "dead", "blocked")) == []
    late = opened()
    answer = late.answers("I'll get back to you by 5 pm.").entries[0]
    assert asked(late.later(hours=9).settles(answer)) == []
    over = opened()
    answer = over.answers("I'll get back to you by 5 pm.").entries[0]
    over.presses("not_a_request")
    assert not over.conversation.is_open
    assert asked(over.later(seconds=5).settles(answer)) == []


def test_a_press_makes_it_a_clock() -> None:
    """Its deadline is the moment that was named; pressed twice it is one."""
    desk = opened()
    desk.settles(desk.answers("明天上午回复您").entries[0])
    decided = desk.later(minutes=5).presses("promise", until(27))
    assert decided.reason == "promise"
    (row,) = [row for row in desk.situation.clocks if row.metric is Metric.PROMISE]
    assert (row.state, row.due_at) == (ClockState.RUNNING, NINE + timedelta(hours=27))
    assert whispers(desk.presses("promise", until(27))) == ["promise_tracked"]
    assert whispers(desk.presses("promise", until(-1))) == ["promise_over"]
    assert whispers(desk.presses("promise", "soon")) == ["promise_over"]
    assert whispers(desk.presses("promise", until(28), user=STRANGER)) == ["refused_action"]


def test_a_promise_is_kept_by_the_next_answer() -> None:
    """Before its time nobody is told anything, and the clock is met."""
    desk = opened()
    desk.settles(desk.answers("I'll get back to you by 5 pm.").entries[0])
    desk.presses("promise", until(8))
    desk.later(hours=3).delivered("It is on its way.")
    assert desk.later(hours=8).sweep().entries == ()
    assert [row.state for row in desk.situation.clocks if row.metric is Metric.PROMISE] == [ClockState.MET]


def test_the_answer_that_carried_a_promise_does_not_keep_it_however_late_it_arrives() -> None:
    """The line was down for an hour when it was tracked: nobody has given the customer anything yet."""
    desk = opened()
    answer = desk.answers("I'll get back to you by 5 pm.").entries[0]
    desk.later(seconds=20).presses("promise", until(8))
    desk.later(hours=1).settles(answer)
    assert [row.state for row in desk.situation.clocks if row.metric is Metric.PROMISE] == [ClockState.RUNNING]
    desk.later(hours=1).delivered("It is on its way.")
    assert [row.state for row in desk.situation.clocks if row.metric is Metric.PROMISE] == [ClockState.MET]


def test_a_promise_that_is_forgotten_is_said() -> None:
    """A warning a quarter of an hour before, then that it is broken; the customer waits for us although it is their
    turn by the book."""
    desk = opened()
    desk.settles(desk.answers("I'll get back to you by 5 pm.").entries[0])
    desk.presses("promise", until(8))
    warned = desk.later(hours=7.8).sweep()
    assert [(e.data["metric"], e.data["alert"]) for e in noted(warned, EntryKind.CLOCK)] == [("promise", "warning")]
    assert [item.data["mention"] for item in warned.outbox if item.kind is DeliveryKind.DESK_ALERT] == [[MAYA]]
    broken = desk.later(hours=0.5).sweep()
    assert [(e.data["metric"], e.data["alert"]) for e in noted(broken, EntryKind.CLOCK)] == [("promise", "breach")]
