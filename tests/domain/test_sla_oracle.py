"""Clocks against a second, slow opinion that walks minute by minute and remembers instead of recomputing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import sla
from domain.calendar import ALWAYS, Calendar, Duration, parse_duration
from domain.model import Priority, Status
from domain.sla import ClockState, EventKind, Metric, Policy, SlaEvent
from tests.domain.slow_desk import SlowDesk, Wall, live_through

MINUTE = timedelta(minutes=1)
LIVES, AT_ONCE = 3_000, 100
LOOKED_AHEAD = 4  # of so many lives one waits for its next deadline
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


HOURS = {"mon-sun": ["00:00-03:30", "09:00-12:00", "13:00-22:00"]}
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Shanghai")
WALLS = [Wall(ALWAYS), *(Wall(Calendar.build(name=tz, tz=tz, hours=HOURS)) for tz in ZONES)]
PROMISES = {
    Metric.FIRST_RESPONSE: "2h",
    Metric.NEXT_RESPONSE: "3h",
    Metric.PERIODIC_UPDATE: "4h",
    Metric.RESOLUTION: "1bd",
    Metric.TOTAL_RESOLUTION: "14h",
    Metric.REQUESTER_WAIT: "9h",
    Metric.AGENT_WORK: "5h",
}
GOLD = replace(
    POLICY,
    targets={
        Priority.LOW: {metric: parse_duration(promised) for metric, promised in PROMISES.items()},
        Priority.URGENT: {metric: parse_duration("40m") for metric in PROMISES},
    },
    pauses=dict(POLICY.pauses)
    | {
        Metric.PERIODIC_UPDATE: frozenset({Status.WAITING_CUSTOMER}),
        Metric.TOTAL_RESOLUTION: frozenset({Status.ON_HOLD}),
    },
    return_after=parse_duration("1h"),
)
IRON = replace(
    GOLD,
    version=2,
    targets={
        Priority.LOW: {metric: parse_duration("80m") for metric in PROMISES}
        | {Metric.RESOLUTION: parse_duration("2bd")}
    },
)
POLICIES = {"gold@1": GOLD, "gold@2": IRON}
LIFE: list[list[tuple[EventKind, str | None]]] = [
    *([kind] for kind in KINDS),
    [(EventKind.CUSTOMER_MESSAGE, None), (EventKind.REOPENED, None), (EventKind.STATUS, "open")],
    [(EventKind.AGENT_REPLY, None), (EventKind.STATUS, "waiting_customer")],
    [(EventKind.AGENT_REPLY, None), (EventKind.STATUS, "done")],
    [(EventKind.STATUS, "on_hold"), (EventKind.STATUS, "open")],
    [(EventKind.STATUS, "done")],
    [(EventKind.REOPENED, None)],
    [(EventKind.SPAM, None)],
    [(EventKind.SPAM, "done")],
    [(EventKind.ASSIGNED, "maya")],
    [(EventKind.ASSIGNED, "lina")],
    [(EventKind.TAKEN, "lina")],
    [(EventKind.TOUCHED, "maya")],
    [(EventKind.POLICY, "gold@1")],
    [(EventKind.POLICY, "gold@2")],
]
"""What may happen in one minute, beside a merge, after which nothing does."""
MEETING = [40, 60, 80, 120, 180, 240, 300, 540]  # minutes at which deadlines of these policies fall


def life(random: Random) -> tuple[list[SlaEvent], Wall, datetime]:
    """A conversation around a change of clocks: a first message, then anything at all."""
    start = random.choice(EVENINGS) + random.randrange(600) * MINUTE
    minutes = {
        random.choice(MEETING) if random.random() < 0.3 else random.randrange(1, 1200)
        for _ in range(random.randrange(14))
    }
    told: list[tuple[int, EventKind, str | None]] = [
        (0, EventKind.CUSTOMER_MESSAGE, None),
        (0, EventKind.POLICY, "gold@1"),
    ]
    for minute in sorted(minutes):
        told += [(minute, kind, value) for kind, value in random.choice(LIFE)]
    if random.random() < 0.1:
        told.append((max(minutes, default=0) + 10, EventKind.MERGED, None))
    events = [
        SlaEvent(id=f"{number:03}", at=start + minute * MINUTE, kind=kind, value=value)
        for number, (minute, kind, value) in enumerate(told)
    ]
    return events, random.choice(WALLS), events[-1].at + random.randrange(500) * MINUTE


def _falls_due_as_it_says(desk: SlowDesk, computed: dict[tuple[Metric, int], sla.Clock], now: datetime) -> None:
    """Waiting for the deadline of a running clock, minute by minute, it comes when it was said to."""
    running = [slow for slow in desk.clocks if desk.state(slow) is ClockState.RUNNING]
    for slow in running[:1]:
        due = computed[slow.metric, slow.instance].due_at
        before, until = desk.due(slow, now)
        assert due is not None
        assert before < due <= until, (slow, due, before, until)


@pytest.mark.parametrize("seed", range(LIVES // AT_ONCE))
def test_the_computed_clocks_are_what_living_through_it_gives(seed: int) -> None:
    """State and remaining business time of every clock equal those of a desk that counted every minute."""
    random = Random(seed)  # made up lives, the same ones each time
    for number in range(AT_ONCE):
        events, wall, now = life(random)
        desk = live_through(SlowDesk(wall=wall, policies=POLICIES, policy=GOLD), events, now)
        policy = POLICIES[sla.policy_named(events)]
        known = {reference: (one, wall.calendar) for reference, one in POLICIES.items()}
        computed = {(c.metric, c.instance): c for c in sla.evaluate(events, policy, wall.calendar, now, known.get)}
        said = "\n".join(f"{e.at} {e.kind} {e.value or ''}" for e in events)
        assert set(computed) == {(c.metric, c.instance) for c in desk.clocks}, f"{seed}/{number}\n{said}"
        for slow in desk.clocks:
            clock = computed[slow.metric, slow.instance]
            where = f"{seed}/{number} {wall.calendar.name} {slow}\n{said}\nnow {now}"
            assert clock.state is desk.state(slow), where
            if clock.stopped_at is None and not clock.target.business_days:
                assert clock.remaining == int(slow.left) * MINUTE, where
        if number % LOOKED_AHEAD == 0:
            _falls_due_as_it_says(desk, computed, now)


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


def _of(
    events: list[SlaEvent], wall: Wall, now: datetime, policies: dict[str, Policy] = POLICIES
) -> tuple[sla.Clock, ...]:
    known = {reference: (one, wall.calendar) for reference, one in policies.items()}
    return sla.evaluate(events, policies[sla.policy_named(events)], wall.calendar, now, known.get)


@pytest.mark.parametrize("seed", range(1000, 1006))
def test_a_whole_life_is_the_same_however_it_is_told(seed: int) -> None:
    """With every clock and every event: order, repetition and the moment of looking change nothing."""
    random = Random(seed)
    for _ in range(AT_ONCE):
        events, wall, now = life(random)
        clocks = _of(events, wall, now)
        shuffled = events * 2
        random.shuffle(shuffled)
        assert _of(shuffled, wall, now) == clocks
        later = _of(events, wall, now + random.randrange(3000) * MINUTE)
        for before, after in zip(clocks, later, strict=True):
            assert (before.started_at, before.stopped_at) == (after.started_at, after.stopped_at)
            assert before.due_at is None or before.due_at == after.due_at
            assert before.breached_at in (None, after.breached_at)


@pytest.mark.parametrize("seed", range(2000, 2006))
def test_a_whole_life_under_a_longer_promise_is_never_due_earlier(seed: int) -> None:
    """Monotone in every target, business days included; and every deadline ends open time."""
    random = Random(seed)
    generous = {reference: _longer(policy) for reference, policy in POLICIES.items()}
    for _ in range(AT_ONCE):
        events, wall, now = life(random)
        for tight, wide in zip(_of(events, wall, now), _of(events, wall, now, generous), strict=True):
            if tight.due_at is not None and wide.due_at is not None:
                assert tight.due_at < wide.due_at
                assert wall.calendar.is_open(wide.due_at - timedelta(microseconds=1))


def _longer(policy: Policy) -> Policy:
    targets = {
        priority: {
            metric: Duration(business_days=one.business_days + 1)
            if one.business_days
            else Duration(minutes=one.minutes + 45)
            for metric, one in promised.items()
        }
        for priority, promised in policy.targets.items()
    }
    return replace(policy, targets=targets, return_after=parse_duration("2h"))
