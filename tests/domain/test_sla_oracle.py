"""Clocks against a second, slow opinion that walks minute by minute and remembers instead of recomputing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from domain import sla
from domain.calendar import ALWAYS, Calendar, Duration, parse_duration
from domain.model import Priority, Status
from domain.sla import ClockState, EventKind, Metric, Policy, SlaEvent

MINUTE = timedelta(minutes=1)
CALENDARS = [
    ALWAYS,
    *(
        Calendar.build(name=tz, tz=tz, hours={"mon-sun": ["00:00-03:30", "09:00-12:00", "13:00-22:00"]})
        for tz in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
    ),
]
# The evening before each change of clocks in 2026: New York, Berlin, Lord Howe, in spring and autumn.
EVENINGS = [datetime(2026, *day, 12, tzinfo=UTC) for day in [(3, 7), (3, 28), (4, 4), (10, 3), (10, 24), (10, 31)]]
POLICY = Policy(
    name="gold",
    calendar="any",
    targets={
        Priority.NORMAL: {
            Metric.FIRST_RESPONSE: parse_duration("2h"),
            Metric.NEXT_RESPONSE: parse_duration("3h"),
            Metric.RESOLUTION: parse_duration("9h"),
        },
        Priority.URGENT: {
            Metric.FIRST_RESPONSE: parse_duration("40m"),
            Metric.NEXT_RESPONSE: parse_duration("40m"),
            Metric.RESOLUTION: parse_duration("4h"),
        },
    },
    warnings=("25% left", "15m"),
    pauses={
        Metric.NEXT_RESPONSE: frozenset({Status.ON_HOLD}),
        Metric.RESOLUTION: frozenset({Status.WAITING_CUSTOMER, Status.ON_HOLD}),
    },
)


@dataclass(kw_only=True)
class SlowClock:
    """One clock of the oracle: an accumulator, which is what the product must not need."""

    metric: Metric
    instance: int
    priority: Priority
    elapsed: int = 0
    ticked: bool = False
    watched: bool = True
    breached: bool = False
    moved_into_the_past: bool = False
    ended: ClockState | None = None


@dataclass(kw_only=True)
class SlowDesk:
    """Lives through a conversation minute by minute."""

    calendar: Calendar
    status: Status = Status.NEW
    priority: Priority = Priority.NORMAL
    clocks: list[SlowClock] = field(default_factory=list)
    waiting: SlowClock | None = None
    closed: SlowClock | None = None

    def target(self, clock: SlowClock) -> int:
        duration = POLICY.target(clock.metric, clock.priority)
        assert duration is not None
        return duration.minutes

    def over(self, clock: SlowClock) -> bool:
        """Whether the deadline had passed before this minute."""
        left = self.target(clock) - clock.elapsed
        return left < 0 or (left == 0 and not clock.ticked)

    def start(self, metric: Metric) -> SlowClock:
        clock = SlowClock(
            metric=metric, instance=1 + sum(c.metric is metric for c in self.clocks), priority=self.priority
        )
        self.clocks.append(clock)
        return clock

    def watch_again(self, clock: SlowClock) -> None:
        clock.watched, clock.moved_into_the_past = True, False
        clock.breached |= clock.elapsed >= self.target(clock)

    def stop(self, clock: SlowClock) -> None:
        late = clock.breached or self.over(clock)
        clock.ended = ClockState.MET_LATE if late else ClockState.MET

    def happen(self, event: SlaEvent) -> None:
        match event.kind:
            case EventKind.CUSTOMER_MESSAGE:
                self.customer_message()
            case EventKind.AGENT_REPLY:
                clock = self.waiting or self.closed
                if clock is not None:
                    self.stop(clock)
                self.waiting = self.closed = None
            case EventKind.REPLY_FAILED if self.waiting is not None:
                self.waiting.watched = False
            case EventKind.STATUS:
                self.enter(Status(event.value or ""))
            case EventKind.PRIORITY if self.priority is not Priority(event.value or ""):
                self.priority = Priority(event.value or "")
                for clock in self.clocks:
                    if clock.ended is None:
                        clock.priority = self.priority
                        clock.moved_into_the_past = clock.watched and self.over(clock)

    def customer_message(self) -> None:
        if self.status is Status.DONE:
            self.closed = None
        if self.status in (Status.DONE, Status.WAITING_CUSTOMER):
            self.status = Status.OPEN
        if not self.clocks:
            self.start(Metric.RESOLUTION)
            self.waiting = self.start(Metric.FIRST_RESPONSE)
        elif self.waiting is None:
            self.waiting = self.start(Metric.NEXT_RESPONSE)
        elif not self.waiting.watched:
            self.watch_again(self.waiting)

    def enter(self, status: Status) -> None:
        if status is Status.DONE and self.status is not Status.DONE:
            resolution = next((c for c in self.clocks if c.metric is Metric.RESOLUTION), None)
            if resolution is not None and resolution.ended is None:
                self.stop(resolution)
            if (clock := self.waiting) is not None:
                missed = clock.breached or clock.moved_into_the_past or (clock.watched and self.over(clock))
                failed = ClockState.CANCELLED if clock.watched else ClockState.UNDELIVERABLE
                clock.ended = ClockState.BREACHED if missed else failed
                self.closed, self.waiting = clock, None
        elif status is not Status.DONE and self.status is Status.DONE and (clock := self.closed) is not None:
            clock.ended, clock.priority = None, self.priority
            self.waiting, self.closed = clock, None
            if clock.watched:
                self.watch_again(clock)
        self.status = status

    def paused(self, clock: SlowClock) -> bool:
        return self.status in POLICY.pauses.get(clock.metric, ())

    def settle(self) -> None:
        """After what happened in a minute: a deadline that the last minute used up has passed."""
        for clock in self.clocks:
            if clock.ended is None and clock.watched and clock.ticked and clock.elapsed == self.target(clock):
                clock.breached = True

    def tick(self, at: datetime) -> None:
        is_open = self.calendar.is_open(at)
        for clock in self.clocks:
            clock.ticked = clock.ended is None and is_open and not self.paused(clock)
            clock.elapsed += clock.ticked

    def state(self, clock: SlowClock) -> ClockState:
        if clock.ended is not None:
            return clock.ended
        if clock.breached or clock.moved_into_the_past:
            return ClockState.BREACHED
        if not clock.watched:
            return ClockState.UNDELIVERABLE
        if clock.elapsed >= self.target(clock):
            return ClockState.BREACHED
        return ClockState.PAUSED if self.paused(clock) else ClockState.RUNNING


def live_through(events: list[SlaEvent], calendar: Calendar, now: datetime) -> SlowDesk:
    desk = SlowDesk(calendar=calendar)
    at = events[0].at
    while True:
        for event in events:
            if event.at == at:
                desk.happen(event)
        desk.settle()
        if at == now:
            return desk
        desk.tick(at)
        at += MINUTE


KINDS: list[tuple[EventKind, str | None]] = [
    (EventKind.CUSTOMER_MESSAGE, None),
    (EventKind.CUSTOMER_MESSAGE, None),
    (EventKind.AGENT_REPLY, None),
    (EventKind.REPLY_FAILED, None),
    (EventKind.STATUS, "open"),
    (EventKind.STATUS, "waiting_customer"),
    (EventKind.STATUS, "on_hold"),
    (EventKind.STATUS, "done"),
    (EventKind.PRIORITY, "urgent"),
    (EventKind.PRIORITY, "normal"),
    (EventKind.CLOSURE_MESSAGE, None),
]


TELLING = [40, 80, 120, 180, 240, 540]  # minutes at which deadlines of POLICY fall, so that events meet them


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[SlaEvent], Calendar, datetime]:
    """A conversation around a change of clocks: a first message, then anything at all, at distinct minutes."""
    start = draw(st.sampled_from(EVENINGS)) + draw(st.integers(0, 600)) * MINUTE
    minutes = sorted(draw(st.sets(st.integers(1, 900) | st.sampled_from(TELLING), max_size=9)))
    what = draw(st.lists(st.sampled_from(KINDS), min_size=len(minutes), max_size=len(minutes)))
    events = [SlaEvent(id="00", at=start, kind=EventKind.CUSTOMER_MESSAGE)]
    events += [
        SlaEvent(id=f"{number:02}", at=start + minute * MINUTE, kind=kind, value=value)
        for number, (minute, (kind, value)) in enumerate(zip(minutes, what, strict=True), start=1)
    ]
    now = events[-1].at + draw(st.integers(0, 400)) * MINUTE
    return events, draw(st.sampled_from(CALENDARS)), now


@settings(max_examples=400, deadline=None)
@given(histories())
def test_the_computed_clocks_are_what_living_through_it_gives(
    history: tuple[list[SlaEvent], Calendar, datetime],
) -> None:
    """State and remaining business time of every clock equal those of a desk that counted every minute."""
    events, calendar, now = history
    desk = live_through(events, calendar, now)
    computed = {(c.metric, c.instance): c for c in sla.evaluate(events, POLICY, calendar, now)}
    assert set(computed) == {(c.metric, c.instance) for c in desk.clocks}
    for slow in desk.clocks:
        clock = computed[slow.metric, slow.instance]
        assert clock.state is desk.state(slow), slow
        if clock.stopped_at is None:
            assert clock.remaining == (desk.target(slow) - slow.elapsed) * MINUTE, slow


@settings(max_examples=200, deadline=None)
@given(histories(), st.randoms(use_true_random=False), st.integers(0, 5000))
def test_order_repetition_and_the_moment_of_looking_change_nothing(
    history: tuple[list[SlaEvent], Calendar, datetime], random: st.DataObject, later: int
) -> None:
    """Events may arrive shuffled and repeated; a deadline does not depend on when it is computed."""
    events, calendar, now = history
    clocks = sla.evaluate(events, POLICY, calendar, now)
    shuffled = events * 2
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sla.evaluate(shuffled, POLICY, calendar, now) == clocks
    for before, after in zip(clocks, sla.evaluate(events, POLICY, calendar, now + later * MINUTE), strict=True):
        assert (before.started_at, before.due_at) == (after.started_at, after.due_at) or before.due_at is None
        assert before.stopped_at == after.stopped_at
        assert before.breached_at in (None, after.breached_at)


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 900))
def test_a_pause_that_ends_at_once_changes_no_deadline(
    history: tuple[list[SlaEvent], Calendar, datetime], minute: int
) -> None:
    """Pausing and resuming in the same moment is as if nothing had happened."""
    events, calendar, now = history
    at = events[0].at + minute * MINUTE
    status = Status.NEW
    for event in events:
        if event.at <= at:
            if event.kind is EventKind.STATUS:
                status = Status(event.value or "")
            elif event.kind is EventKind.CUSTOMER_MESSAGE and status in (Status.DONE, Status.WAITING_CUSTOMER):
                status = Status.OPEN
    if status in (Status.DONE, Status.ON_HOLD, Status.WAITING_CUSTOMER):
        return
    blink = [
        SlaEvent(id="zz1", at=at, kind=EventKind.STATUS, value="on_hold"),
        SlaEvent(id="zz2", at=at, kind=EventKind.STATUS, value=status.value),
    ]
    now = max(now, at)
    assert sla.evaluate([*events, *blink], POLICY, calendar, now) == sla.evaluate(events, POLICY, calendar, now)


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 900), st.integers(0, 120))
def test_priority_up_and_down_returns_the_same_deadline(
    history: tuple[list[SlaEvent], Calendar, datetime], minute: int, length: int
) -> None:
    """Raising and lowering again leaves the deadline where it was, also while paused."""
    events, calendar, now = history
    events = [event for event in events if event.kind is not EventKind.PRIORITY]
    up, down = events[0].at + minute * MINUTE, events[0].at + (minute + length) * MINUTE
    now = max(now, down)
    changes = [
        SlaEvent(id="zz1", at=up, kind=EventKind.PRIORITY, value="urgent"),
        SlaEvent(id="zz2", at=down, kind=EventKind.PRIORITY, value="normal"),
    ]
    plain = sla.evaluate(events, POLICY, calendar, now)
    for before, after in zip(plain, sla.evaluate([*events, *changes], POLICY, calendar, now), strict=True):
        if before.stopped_at is not None and after.priority is Priority.URGENT:
            continue  # it ended under the raised priority
        assert after.target == before.target
        if before.due_at is not None and after.due_at is not None:
            assert after.due_at == before.due_at


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(1, 600))
def test_a_longer_promise_is_never_due_earlier(history: tuple[list[SlaEvent], Calendar, datetime], more: int) -> None:
    """Deadlines are monotone in their target."""
    events, calendar, now = history
    longer = {
        priority: {m: Duration(minutes=d.minutes + more) for m, d in targets.items()}
        for priority, targets in POLICY.targets.items()
    }
    generous = replace(POLICY, targets=longer)
    pairs = zip(sla.evaluate(events, POLICY, calendar, now), sla.evaluate(events, generous, calendar, now), strict=True)
    for tight, wide in pairs:
        if tight.due_at is not None and wide.due_at is not None:
            assert tight.due_at < wide.due_at


@settings(max_examples=200, deadline=None)
@given(histories())
def test_a_deadline_is_explained_by_exactly_its_target(
    history: tuple[list[SlaEvent], Calendar, datetime],
) -> None:
    """Slices follow each other without a gap and count the promise: due in open time or at its end."""
    events, calendar, now = history
    for clock in sla.evaluate(events, POLICY, calendar, now):
        slices = sla.explain(clock, calendar)
        assert all(a.end == b.start for a, b in pairwise(slices))
        assert all(s.start < s.end for s in slices)
        if slices:
            assert slices[0].start == clock.started_at
        if clock.stopped_at is None and clock.due_at is not None:
            assert slices[-1].used == timedelta(minutes=clock.target.minutes)
            assert slices[-1].kind == "counted"
            assert calendar.is_open(clock.due_at - timedelta(microseconds=1))


@settings(max_examples=200, deadline=None)
@given(histories(), st.lists(st.integers(1, 240), max_size=20))
def test_each_alert_is_given_once_and_none_is_forgotten(
    history: tuple[list[SlaEvent], Calendar, datetime], naps: list[int]
) -> None:
    """However irregularly somebody looks: no key twice, and in the end every active breach was told."""
    events, calendar, now = history
    told: dict[str, sla.Alert] = {}
    for nap in [*naps, 100_000]:
        now += nap * MINUTE
        for clock in sla.evaluate(events, POLICY, calendar, now):
            alert = sla.next_alert(clock, POLICY, calendar, frozenset(told), now)
            if alert is not None and alert.at <= now:
                assert alert.key not in told
                assert alert.kind == "breach" or clock.state is ClockState.RUNNING or clock.breached_at is not None
                told[alert.key] = alert
    for clock in sla.evaluate(events, POLICY, calendar, now):
        paused_early = clock.paused_from is not None and clock.due_at is not None and clock.due_at > clock.paused_from
        if clock.is_active and clock.due_at is not None and not paused_early:
            assert sla.alert_key(clock, "breach", clock.due_at) in told
