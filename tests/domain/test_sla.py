"""Service levels by example: each rule of a clock's life, and what is said about it when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain import sla
from domain.calendar import ALWAYS, Calendar, CalendarError, parse_duration
from domain.model import Priority, Status
from domain.sla import Clock, ClockState, EventKind, Metric, Policy, SlaEvent

NINE = datetime(2026, 6, 12, 9, tzinfo=UTC)  # a Friday
OFFICE = Calendar.build(name="office", tz="UTC", hours={"mon-fri": ["09:00-12:00", "13:00-18:00"]})
POLICY = Policy(
    name="standard",
    calendar="office",
    targets={
        Priority.NORMAL: {
            Metric.FIRST_RESPONSE: parse_duration("2h"),
            Metric.NEXT_RESPONSE: parse_duration("4h"),
            Metric.RESOLUTION: parse_duration("2bd"),
        },
        Priority.URGENT: {Metric.FIRST_RESPONSE: parse_duration("30m")},
    },
    warnings=("25% left", "15m"),
)


def at(minutes: int) -> datetime:
    return NINE + timedelta(minutes=minutes)


class Story:
    """Writes a history in minutes after nine."""

    def __init__(self) -> None:
        self.events: list[SlaEvent] = []

    def add(self, minute: int, kind: EventKind, value: str | None = None) -> Story:
        self.events.append(SlaEvent(id=f"{len(self.events):03}", at=at(minute), kind=kind, value=value))
        return self

    def customer(self, minute: int) -> Story:
        return self.add(minute, EventKind.CUSTOMER_MESSAGE)

    def reply(self, minute: int) -> Story:
        return self.add(minute, EventKind.AGENT_REPLY)

    def failed(self, minute: int) -> Story:
        return self.add(minute, EventKind.REPLY_FAILED)

    def status(self, minute: int, value: str) -> Story:
        return self.add(minute, EventKind.STATUS, value)

    def priority(self, minute: int, value: str) -> Story:
        return self.add(minute, EventKind.PRIORITY, value)

    def clocks(self, now: int, policy: Policy = POLICY, calendar: Calendar = ALWAYS) -> dict[tuple[str, int], Clock]:
        found = sla.evaluate(self.events, policy, calendar, at(now))
        return {(clock.metric.value, clock.instance): clock for clock in found}

    def first(self, now: int) -> Clock:
        return self.clocks(now)["first_response", 1]

    def next(self, now: int, instance: int = 1) -> Clock:
        return self.clocks(now)["next_response", instance]

    def resolution(self, now: int) -> Clock:
        return self.clocks(now)["resolution", 1]


class TestFirstResponse:
    def test_it_runs_from_the_first_message_to_the_delivered_answer(self) -> None:
        """Running with what is left, met when the answer reached the customer, late when it came after the deadline."""
        story = Story().customer(0)
        running = story.first(30)
        assert (running.state, running.due_at, running.remaining) == (
            ClockState.RUNNING,
            at(120),
            timedelta(minutes=90),
        )
        assert running.basis == "000"
        met = story.reply(60).first(500)
        assert (met.state, met.stopped_at, met.remaining) == (ClockState.MET, at(60), timedelta(hours=1))
        late = Story().customer(0).reply(121).first(500)
        assert (late.state, late.breached_at, late.remaining) == (ClockState.MET_LATE, at(120), timedelta(minutes=-1))

    def test_an_answer_at_the_very_deadline_is_in_time(self) -> None:
        """The deadline itself still counts; unanswered at that moment it is a breach."""
        story = Story().customer(0)
        assert story.first(119).state is ClockState.RUNNING
        assert story.first(120).state is ClockState.BREACHED
        assert story.reply(120).first(120).state is ClockState.MET

    @pytest.mark.parametrize("status", ["waiting_customer", "on_hold", "open"])
    def test_no_change_of_status_parks_it(self, status: str) -> None:
        """Whoever flips the status without writing gains nothing."""
        clock = Story().customer(0).status(1, status).first(60)
        assert (clock.state, clock.due_at) == (ClockState.RUNNING, at(120))

    def test_outside_hours_it_starts_at_the_next_opening(self) -> None:
        """A message on Friday evening is due on Monday morning, and the slices say why."""
        clock = Story().customer(600).clocks(601, calendar=OFFICE)["first_response", 1]
        assert clock.due_at == datetime(2026, 6, 15, 11, tzinfo=UTC)
        assert [(s.kind, s.used) for s in sla.explain(clock, OFFICE)] == [
            ("closed", timedelta()),
            ("counted", timedelta(hours=2)),
        ]

    def test_done_without_an_answer_cancels_it_unless_it_was_overdue(self) -> None:
        """Resolving unanswered ends the clock without credit; a breach that happened stays a breach."""
        early = Story().customer(0).status(10, "done").first(500)
        assert (early.state, early.due_at, early.stopped_at) == (ClockState.CANCELLED, None, at(10))
        assert early.remaining is None
        late = Story().customer(0).status(130, "done").first(500)
        assert (late.state, late.breached_at) == (ClockState.BREACHED, at(120))
        assert not late.is_active

    def test_done_taken_back_by_an_agent_goes_on_where_it_was(self) -> None:
        """A resolve by mistake costs the customer nothing: the wait goes on, without the time in between."""
        for undo in (EventKind.REOPENED, EventKind.STATUS):
            story = Story().customer(0).status(10, "done").add(40, undo, "open")
            clock = story.first(50)
            assert (clock.state, clock.due_at) == (ClockState.RUNNING, at(150))

    def test_an_answer_that_arrives_just_after_done_counts(self) -> None:
        """Whoever answers and resolves in one go has answered, though the platform's receipt came later."""
        clock = Story().customer(0).status(10, "done").reply(11).first(500)
        assert (clock.state, clock.stopped_at) == (ClockState.MET, at(11))

    def test_an_undelivered_answer_is_neither_met_nor_breached(self) -> None:
        """It stays undeliverable past its deadline, until an answer arrives or the customer writes again."""
        story = Story().customer(0).failed(60)
        assert story.first(500).state is ClockState.UNDELIVERABLE
        assert sla.next_alert(story.first(500), POLICY, ALWAYS, frozenset(), at(500)) is None
        assert Story().customer(0).failed(60).reply(100).first(500).state is ClockState.MET
        assert Story().customer(0).failed(60).reply(300).first(500).state is ClockState.MET_LATE
        again = Story().customer(0).failed(60).customer(70).first(80)
        assert (again.state, again.due_at) == (ClockState.RUNNING, at(120))
        assert Story().customer(0).failed(60).customer(200).first(200).breached_at == at(200)
        assert Story().customer(0).failed(130).first(500).state is ClockState.BREACHED
        assert Story().customer(0).failed(60).status(90, "done").first(500).state is ClockState.UNDELIVERABLE

    def test_it_is_measured_once(self) -> None:
        """Reopening never times the first response again."""
        story = Story().customer(0).reply(10).status(20, "done").customer(600)
        assert story.first(900).stopped_at == at(10)
        assert [key for key in story.clocks(900) if key[0] == "first_response"] == [("first_response", 1)]


class TestNextResponse:
    def test_it_starts_at_the_oldest_unanswered_message(self) -> None:
        """A customer who writes again never lengthens the deadline."""
        story = Story().customer(0).reply(10).customer(20).customer(200)
        clock = story.next(210)
        assert (clock.started_at, clock.due_at) == (at(20), at(260))
        assert ("next_response", 2) not in story.clocks(210)

    def test_every_wait_is_an_instance_of_its_own(self) -> None:
        """Answered, asked again: another clock; the earlier one keeps its result."""
        story = Story().customer(0).reply(10).customer(20).reply(30).reply(31).customer(40).reply(400)
        assert story.next(500, 1).state is ClockState.MET
        assert story.next(500, 2).state is ClockState.MET_LATE
        assert len(story.clocks(500)) == 4

    def test_a_reopening_customer_starts_a_new_wait(self) -> None:
        """Also when the first answer never came: nobody who writes goes unnoticed."""
        story = Story().customer(0).status(10, "done").customer(100).add(100, EventKind.REOPENED).status(100, "open")
        assert story.first(110).state is ClockState.CANCELLED
        assert (story.next(110).state, story.next(110).started_at) == (ClockState.RUNNING, at(100))

    def test_the_reopening_may_be_recorded_before_its_message(self) -> None:
        """Two events of the same moment mean the same in either order."""
        story = Story().customer(0).status(10, "done").add(100, EventKind.REOPENED).customer(100)
        assert story.first(110).state is ClockState.CANCELLED
        assert story.next(110).started_at == at(100)

    def test_a_thank_you_starts_nothing(self) -> None:
        """A closure after done arms no clock."""
        story = Story().customer(0).reply(5).status(10, "done").add(20, EventKind.CLOSURE_MESSAGE)
        assert set(story.clocks(30)) == {("first_response", 1), ("resolution", 1)}

    def test_done_cancels_it(self) -> None:
        """A question closed without an answer is neither met nor missed."""
        assert Story().customer(0).reply(5).customer(10).status(20, "done").next(900).state is ClockState.CANCELLED

    def test_it_pauses_only_where_the_policy_says(self) -> None:
        """On hold runs by default and stands still where a policy wants it."""
        story = Story().customer(0).reply(5).customer(10).status(20, "on_hold")
        assert story.next(60).state is ClockState.RUNNING
        lenient = replace(POLICY, pauses={Metric.NEXT_RESPONSE: frozenset({Status.ON_HOLD})})
        paused = story.clocks(60, lenient)["next_response", 1]
        assert (paused.state, paused.due_at, paused.paused_from) == (ClockState.PAUSED, None, at(20))
        assert paused.remaining == timedelta(hours=3, minutes=50)


class TestResolution:
    def test_it_stands_still_while_waiting_for_the_customer(self) -> None:
        """Paused time is taken out in business time, and paused shows no deadline."""
        story = Story().customer(0).reply(10).status(60, "waiting_customer")
        paused = story.clocks(100, calendar=OFFICE)["resolution", 1]
        assert (paused.state, paused.due_at, paused.remaining) == (ClockState.PAUSED, None, timedelta(hours=15))
        # Two hours pass on the wall, one of them is lunch: only one is added.
        resumed = story.status(240, "open").clocks(241, calendar=OFFICE)["resolution", 1]
        assert resumed.state is ClockState.RUNNING
        assert OFFICE.measure(NINE, resumed.due_at or NINE) == timedelta(hours=18)
        kinds = [s.kind for s in sla.explain(resumed, OFFICE)]
        assert kinds[:4] == ["counted", "paused", "closed", "counted"]

    def test_a_customer_who_writes_ends_the_waiting(self) -> None:
        """Nobody waits for a customer who has just written, whatever the status says."""
        story = Story().customer(0).reply(10).status(60, "waiting_customer").customer(100)
        assert story.resolution(110).state is ClockState.RUNNING

    def test_paused_then_resolved_keeps_the_paused_time(self) -> None:
        """Going from waiting straight to done does not count the wait."""
        clock = Story().customer(0).reply(5).status(10, "waiting_customer").status(5000, "done").resolution(6000)
        assert (clock.state, clock.stopped_at) == (ClockState.MET, at(5000))
        assert clock.remaining == timedelta(days=2, minutes=-10)

    def test_a_priority_changed_while_paused_keeps_the_paused_time(self) -> None:
        """The new target has the same start and the same breaks."""
        policy = replace(POLICY, targets={**POLICY.targets, Priority.HIGH: {Metric.RESOLUTION: parse_duration("1bd")}})
        story = Story().customer(0).status(60, "on_hold").priority(90, "high").status(120, "open")
        assert story.clocks(130, policy)["resolution", 1].due_at == at(24 * 60 + 60)

    def test_the_first_resolution_stays(self) -> None:
        """A reopening does not restart it."""
        story = Story().customer(0).reply(5).status(60, "done").customer(500).reply(510).status(9000, "done")
        assert (story.resolution(9999).state, story.resolution(9999).stopped_at) == (ClockState.MET, at(60))

    def test_it_breaches_at_its_deadline_and_stays_breached_on_hold(self) -> None:
        """A pause after the deadline does not hide it."""
        clock = Story().customer(0).status(3000, "on_hold").resolution(4000)
        assert (clock.state, clock.breached_at) == (ClockState.BREACHED, at(2880))
        assert clock.remaining == -timedelta(minutes=120)


class TestPriority:
    def test_another_target_has_the_same_start(self) -> None:
        """Raising shortens from the first message on, lowering gives the same deadline back."""
        assert Story().customer(0).priority(10, "urgent").first(20).due_at == at(30)
        assert Story().customer(0).priority(10, "urgent").priority(15, "normal").first(20).due_at == at(120)

    def test_a_breach_that_happened_stays(self) -> None:
        """Lowering the priority after the deadline passed does not undo it."""
        clock = Story().customer(0).priority(1, "urgent").priority(40, "normal").first(60)
        assert (clock.state, clock.breached_at, clock.due_at) == (ClockState.BREACHED, at(30), at(120))
        assert (
            Story().customer(0).priority(1, "urgent").priority(40, "normal").reply(60).first(90).state
            is ClockState.MET_LATE
        )

    def test_a_deadline_moved_into_the_past_counts_only_while_that_priority_lasts(self) -> None:
        """A slip of the mouse is no breach; a priority that stays raised is overdue from that moment."""
        story = Story().customer(0).priority(60, "urgent")
        assert (story.first(70).state, story.first(70).breached_at) == (ClockState.BREACHED, at(60))
        back = story.priority(61, "normal").first(70)
        assert (back.state, back.breached_at, back.due_at) == (ClockState.RUNNING, None, at(120))

    def test_a_priority_without_a_target_has_the_next_lower_one(self) -> None:
        """An urgent conversation is never without the promise that a normal one has; a low one may have none."""
        assert POLICY.target(Metric.NEXT_RESPONSE, Priority.URGENT) == parse_duration("4h")
        assert POLICY.target(Metric.FIRST_RESPONSE, Priority.HIGH) == parse_duration("2h")
        assert POLICY.target(Metric.FIRST_RESPONSE, Priority.LOW) is None
        assert Story().priority(0, "low").customer(1).clocks(10) == {}


class TestCancelling:
    @pytest.mark.parametrize("kind", [EventKind.SPAM, EventKind.MERGED])
    def test_spam_and_merging_end_every_running_clock(self, kind: EventKind) -> None:
        """No clock of a conversation that is gone can alarm anybody."""
        story = Story().customer(0).add(10, kind).customer(20)
        clocks = story.clocks(9999)
        assert [clock.state for clock in clocks.values()] == [ClockState.CANCELLED] * 2
        assert all(sla.next_alert(c, POLICY, ALWAYS, frozenset(), at(9999)) is None for c in clocks.values())

    def test_spam_by_mistake_goes_on(self) -> None:
        """Taken back, all clocks run again without the time in between."""
        story = Story().customer(0).status(10, "spam").status(40, "open")
        assert (story.first(50).state, story.first(50).due_at) == (ClockState.RUNNING, at(150))
        assert story.resolution(50).due_at == at(2880 + 30)

    def test_merged_is_final(self) -> None:
        """Nothing after a merge revives a clock."""
        story = Story().customer(0).add(10, EventKind.MERGED).status(20, "open").reply(30)
        assert story.first(40).stopped_at == at(10)

    def test_switching_the_policy_off_and_on(self) -> None:
        """Off cancels what runs and starts nothing new; on again, everything is as if it had never been off."""
        story = Story().customer(0).reply(5).customer(10).add(20, EventKind.POLICY).reply(30).customer(40)
        off = story.clocks(50)
        assert off["first_response", 1].state is ClockState.MET
        assert off["next_response", 1].state is ClockState.CANCELLED
        assert ("next_response", 2) not in off
        assert off["resolution", 1].stopped_at == at(20)
        on = story.add(60, EventKind.POLICY, "standard").clocks(70)
        assert on["next_response", 2].state is ClockState.RUNNING

    def test_nothing_happened_nothing_runs(self) -> None:
        """No events, no clocks; an agent who writes first starts none either."""
        assert sla.evaluate([], POLICY, ALWAYS, NINE) == ()
        story = Story().reply(0)
        assert story.clocks(10) == {}
        assert story.customer(20).first(30).started_at == at(20)

    def test_out_of_order_events_are_taken_by_their_time(self) -> None:
        """An answer recorded before its question, and an event from a platform whose clock runs ahead."""
        story = Story().reply(30).customer(0)
        assert story.first(60).state is ClockState.MET
        assert Story().customer(0).reply(30).first(29).state is ClockState.MET


class TestAlerts:
    STORY = Story().customer(0)

    def ask(self, now: int, *done: str, story: Story = STORY, metric: str = "first_response") -> sla.Alert | None:
        clock = story.clocks(now)[metric, 1]
        keys = frozenset(sla.alert_key(clock, level, clock.due_at or NINE) for level in done)
        return sla.next_alert(clock, POLICY, ALWAYS, keys, at(now))

    def test_warnings_come_in_turn_and_then_the_breach(self) -> None:
        """Each level at its moment, each once, and after the breach silence."""
        alert = self.ask(0)
        assert alert is not None
        assert (alert.kind, alert.level, alert.at, alert.late) == ("warning", "25%", at(90), False)
        assert alert.key == "first_response:1:25%:2026-06-12T11:00:00+00:00"
        second, third = self.ask(91, "25%"), self.ask(106, "25%", "15m")
        assert second is not None
        assert (second.level, second.at) == ("15m", at(105))
        assert third is not None
        assert (third.kind, third.level, third.at) == ("breach", "breach", at(120))
        assert self.ask(121, "25%", "15m", "breach") is None

    def test_an_alert_given_at_its_moment_is_not_late(self) -> None:
        """Waking at the moment itself, or seconds after it, is in time."""
        assert self.ask(90) == self.ask(0)

    def test_after_downtime_only_the_most_severe_speaks_and_says_that_it_is_late(self) -> None:
        """Three moments have passed: one alert, the breach, marked late; the milder ones never follow."""
        alert = self.ask(300)
        assert alert is not None
        assert (alert.level, alert.at, alert.late) == ("breach", at(120), True)
        assert self.ask(300, "breach") is None
        warned = self.ask(110)
        assert warned is not None
        assert (warned.level, warned.late) == ("15m", True)

    def test_another_deadline_arms_the_alerts_again(self) -> None:
        """A key belongs to its deadline: a raised priority warns anew, and not as if it were late."""
        story = Story().customer(0).priority(60, "urgent")
        clock = story.first(60)
        old = frozenset(sla.alert_key(clock, level, at(120)) for level in ("25%", "15m", "breach"))
        alert = sla.next_alert(clock, POLICY, ALWAYS, old, at(60))
        assert alert is not None
        assert (alert.kind, alert.at, alert.due_at, alert.late) == ("breach", at(60), at(30), False)

    def test_a_warning_longer_than_the_target_is_left_out(self) -> None:
        """A quarter of an hour before a ten-minute deadline never comes."""
        policy = replace(
            POLICY, targets={Priority.NORMAL: {Metric.FIRST_RESPONSE: parse_duration("10m")}}, warnings=("15m",)
        )
        clock = self.STORY.clocks(1, policy)["first_response", 1]
        alert = sla.next_alert(clock, policy, ALWAYS, frozenset(), at(1))
        assert alert is not None
        assert alert.kind == "breach"

    def test_after_a_pause_there_is_time_before_anybody_is_alarmed(self) -> None:
        """Who gets it back has a quarter of an hour before the alarm; the measure stays honest."""
        story = Story().customer(0).reply(1).status(2875, "waiting_customer").status(9000, "open")
        clock = story.resolution(9001)
        assert clock.due_at == at(9005)
        alert = sla.next_alert(clock, POLICY, ALWAYS, frozenset(), at(9001))
        assert alert is not None
        assert (alert.level, alert.at) == ("breach", at(9015))
        assert story.resolution(9006).breached_at == at(9005)
        due = sla.next_alert(story.resolution(9015), POLICY, ALWAYS, frozenset(), at(9015))
        assert due is not None
        assert not due.late

    def test_nothing_is_said_while_paused(self) -> None:
        """A paused clock has no next moment, also when a breach of another priority is on record."""
        assert self.ask(100, story=Story().customer(0).status(60, "on_hold"), metric="resolution") is None
        policy = replace(POLICY, targets={**POLICY.targets, Priority.HIGH: {Metric.RESOLUTION: parse_duration("1h")}})
        story = Story().priority(0, "high").customer(0).priority(90, "normal").status(100, "on_hold")
        clock = story.clocks(120, policy)["resolution", 1]
        assert clock.state is ClockState.BREACHED
        assert sla.next_alert(clock, policy, ALWAYS, frozenset(), at(120)) is None

    def test_warnings_are_placed_in_business_time(self) -> None:
        """Fifteen minutes before a deadline of Monday 09:10 is Friday 17:55."""
        story = Story().customer(430)  # 16:10
        clock = story.clocks(431, calendar=OFFICE)["first_response", 1]
        assert clock.due_at == datetime(2026, 6, 15, 9, 10, tzinfo=UTC)
        key = sla.alert_key(clock, "25%", clock.due_at)
        alert = sla.next_alert(clock, POLICY, OFFICE, frozenset({key}), at(431))
        assert alert is not None
        assert alert.at == datetime(2026, 6, 12, 17, 55, tzinfo=UTC)


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"targets": {}}, "promises nothing"),
            ({"targets": {Priority.LOW: {}}}, "promises nothing"),
            ({"pauses": {Metric.FIRST_RESPONSE: frozenset({Status.ON_HOLD})}}, "first response cannot be paused"),
            ({"pauses": {Metric.RESOLUTION: frozenset({Status.OPEN})}}, "new or open"),
            ({"warnings": ("0%",)}, "always announced"),
            ({"warnings": ("1d",)}, "ambiguous"),
            ({"warnings": ("1bd",)}, "too coarse"),
            ({"warnings": ("soon",)}, "not a duration"),
        ],
    )
    def test_a_policy_that_cannot_work_is_refused(self, words: dict[str, object], message: str) -> None:
        """Each mistake is found when the policy is made and names the policy."""
        with pytest.raises(CalendarError, match=message) as caught:
            replace(POLICY, **words)  # type: ignore[arg-type]
        assert "policy 'standard'" in str(caught.value)

    def test_a_target_that_its_calendar_cannot_reach_is_found(self) -> None:
        """Before anything runs: the line names policy, metric, target and calendar."""
        rare = Calendar.build(name="rare", tz="UTC", hours={"sun": ["10:00-10:01"]})
        assert sla.problems(POLICY, OFFICE) == []
        found = sla.problems(POLICY, rare)
        assert len(found) == 2, "two business days are two Sundays, however short"
        assert "first_response for normal, 2h of 'rare' time" in found[0]
        never = replace(POLICY, targets={Priority.LOW: {Metric.RESOLUTION: parse_duration("999h")}})
        assert len(sla.problems(never, rare)) == 1

    def test_an_event_must_make_sense(self) -> None:
        """A time without a zone, an unknown status or priority never gets into a history."""
        with pytest.raises(ValueError, match="aware"):
            SlaEvent(id="1", at=NINE.replace(tzinfo=None), kind=EventKind.SPAM)
        with pytest.raises(ValueError, match="sleeping"):
            SlaEvent(id="1", at=NINE, kind=EventKind.STATUS, value="sleeping")
        with pytest.raises(ValueError, match="not a valid Priority"):
            SlaEvent(id="1", at=NINE, kind=EventKind.PRIORITY)
