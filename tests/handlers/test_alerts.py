"""What people say to alerts, and what an answer that is on its way holds back."""

from __future__ import annotations

from domain.alerts import Level, Person, Plan
from domain.calendar import Duration
from domain.changes import Changes, DeliveryKind, Outgoing
from domain.model import ActorKind, EntryKind
from domain.sla import ClockState, Metric
from tests.handlers.kit import JONAS, LINA, MAYA, STRANGER, Desk, kinds, noted, rulebook, whispers

LEVELS = (
    Level(after=Duration(minutes=15), to="queue"),
    Level(after=Duration(minutes=30), to="leads"),
    Level(after=Duration(minutes=60), to="webhook"),
)


def opened() -> Desk:
    desk = Desk(rules=rulebook(alerts=Plan(levels=LEVELS, fallback="C0LEADS")))
    desk.writes()
    return desk


def told(decided: Changes) -> list[Outgoing]:
    return [item for item in decided.outbox if item.kind in (DeliveryKind.DESK_ALERT, DeliveryKind.HOOK_ALERT)]


def places(decided: Changes) -> list[tuple[str, str]]:
    return [(str(item.data["way"]), str(item.data["place"])) for item in told(decided)]


def test_each_level_is_told_where_it_belongs_and_once() -> None:
    """The thread, the queue's channel, each lead, the service; nothing is left after the last."""
    desk = opened()
    assert places(desk.later(hours=3).sweep()) == [("thread", "C0SUPPORT")]
    assert places(desk.later(hours=1).sweep()) == [("thread", "C0SUPPORT")]
    assert places(desk.later(minutes=15).sweep()) == [("channel", "C0SUPPORT")]
    leads = desk.later(minutes=15).sweep(leads=(JONAS, LINA))
    assert places(leads) == [("person", JONAS), ("person", LINA)]
    service = desk.later(minutes=30).sweep()
    assert [item.kind for item in told(service)] == [DeliveryKind.HOOK_ALERT]
    row = next(row for row in desk.situation.clocks if row.metric is Metric.FIRST_RESPONSE)
    assert row.next_alert_at is None
    assert len(row.alerts_done) == 5


def test_the_same_alert_has_the_same_key_whoever_decides_it() -> None:
    """Two processes that decide the same alert write one message: the outbox takes a key once."""
    first, second = opened(), opened()
    keys = [[item.idem_key for item in told(desk.later(hours=4).sweep())] for desk in (first, second)]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == len(keys[0])


def test_who_is_away_is_passed_over() -> None:
    """Maya has it and is out of hours: her group is asked, and the alert says why."""
    desk = opened()
    desk.presses("assign_me")
    decided = desk.later(hours=3).sweep(people={MAYA: Person(id=MAYA, why="off_hours")})
    assert told(decided)[0].data["mention"] == ["S0AGENTS"]
    line = noted(decided, EntryKind.CLOCK)[0]
    assert (line.data["away"], line.data["away_why"]) == (MAYA, "off_hours")


def test_a_late_level_is_said_in_the_thread_too() -> None:
    """Nobody was running when the deadline passed: whoever opens the thread finds it there as well."""
    desk = opened()
    decided = desk.later(hours=4, minutes=20).sweep()
    assert places(decided) == [("thread", "C0SUPPORT"), ("channel", "C0SUPPORT")]
    assert noted(decided, EntryKind.CLOCK)[0].data["late"] is True
    assert places(desk.later(minutes=10).sweep(leads=(JONAS,))) == [("person", JONAS)], "and only once"


def test_a_level_on_time_after_a_missed_breach_is_late_in_the_thread() -> None:
    """The level's own moment is now, but the thread hears of the deadline a quarter of an hour after it."""
    desk = opened()
    decided = desk.later(hours=4, minutes=15).sweep()
    assert noted(decided, EntryKind.CLOCK)[0].data["late"] is True


def test_an_answer_on_its_way_holds_the_alert_back_for_a_while() -> None:
    """What was written a moment ago silences the alert; what still has not left after two minutes does not."""
    desk = opened()
    desk.later(hours=3, minutes=59).answers()
    held = desk.later(minutes=1.5).sweep()
    assert noted(held, EntryKind.CLOCK) == []
    row = next(row for row in desk.situation.clocks if row.metric is Metric.FIRST_RESPONSE)
    assert row.next_alert_at is not None
    assert (row.next_alert_at - desk.now).total_seconds() == 30
    spoken = desk.later(minutes=1).sweep()
    assert [entry.data["alert"] for entry in noted(spoken, EntryKind.CLOCK)] == ["breach"]


def test_who_looks_is_noted_and_the_rest_is_silent_until_the_next_level() -> None:
    """After an acknowledged breach nothing is said until the next level's time."""
    desk = opened()
    assert whispers(desk.presses("acknowledge")) == ["nothing_to_acknowledge"]
    desk.later(hours=3).sweep()
    decided = desk.presses("acknowledge")
    assert decided.reason == "acknowledged"
    assert kinds(decided) == [DeliveryKind.DESK_WHISPER, DeliveryKind.DESK_STATUS]
    assert desk.later(minutes=50).sweep().entries == ()
    assert places(desk.later(minutes=10).sweep()) == [("thread", "C0SUPPORT")]
    desk.presses("acknowledge", user=LINA)
    assert desk.later(minutes=14).sweep().entries == ()
    assert places(desk.later(minutes=1).sweep()) == [("channel", "C0SUPPORT")]
    assert len(noted(Changes(reason="", entries=tuple(desk.entries)), EntryKind.ACKNOWLEDGED)) == 2


def test_a_reaction_is_taken_without_a_word() -> None:
    """Eyes are common: who reacts where nothing is due, or may not, is told nothing."""
    desk = opened()
    assert desk.presses("acknowledge", "reaction").outbox == ()
    assert desk.presses("acknowledge", "reaction", user=STRANGER).outbox == ()
    desk.later(hours=3).sweep()
    assert kinds(desk.presses("acknowledge", "reaction")) == [DeliveryKind.DESK_STATUS]


def test_only_a_lead_excuses_and_only_what_was_missed() -> None:
    """The breach stays a breach; who excused it and why stand beside it, audited, once."""
    desk = opened()
    assert whispers(desk.presses("excuse", "first_response:1:outage", user=JONAS)) == ["nothing_to_excuse"]
    desk.later(hours=4).sweep()
    assert whispers(desk.presses("excuse", "first_response:1:outage", user=MAYA)) == ["refused_action"]
    for odd in ("first_response:1:whatever", "nothing:1:outage", "first_response:x:outage", "first_response:2:outage"):
        assert whispers(desk.presses("excuse", odd, user=JONAS)) == ["nothing_to_excuse"]
    decided = desk.presses("excuse", "first_response:1:outage", user=JONAS)
    assert whispers(decided) == ["excused"]
    assert decided.audit[0][0] == "sla.excused"
    entry = noted(decided, EntryKind.EXCUSED)[0]
    assert (entry.actor.kind, entry.actor.id, entry.data["reason"]) == (ActorKind.AGENT, JONAS, "outage")
    row = next(row for row in desk.situation.clocks if row.metric is Metric.FIRST_RESPONSE)
    assert (row.state, row.excused_by) == (ClockState.BREACHED, f"agent:{JONAS}")
    assert whispers(desk.presses("excuse", "first_response:1:outage", user=JONAS)) == ["nothing_to_excuse"]
    desk.later(hours=1).delivered()
    row = next(row for row in desk.situation.clocks if row.metric is Metric.FIRST_RESPONSE)
    assert (row.state, row.excused_by) == (ClockState.MET_LATE, f"agent:{JONAS}")


def test_the_line_is_brought_up_to_date_when_it_is_over() -> None:
    """An answer or a resolution ends what was spoken of; the line says so, and only then."""
    desk = opened()
    desk.later(hours=3).sweep()
    desk.later(hours=1).sweep()
    answered = desk.delivered()
    assert DeliveryKind.DESK_STATUS in kinds(answered)
    assert DeliveryKind.DESK_STATUS not in kinds(desk.delivered())
