"""A second opinion on clocks: a desk that lives through a conversation minute by minute and remembers.

It knows nothing of intervals, deadlines or recomputation. It looks at the clock on the wall each minute, adds up what
counted, and keeps in each clock what happened to it: everything that the product must not need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from domain.calendar import Calendar
from domain.model import Priority, Status
from domain.sla import ClockState, EventKind, Metric, Policy, SlaEvent

MINUTE = timedelta(minutes=1)
CLOSED = (Status.DONE, Status.SPAM)
SUMS = (Metric.TOTAL_RESOLUTION, Metric.REQUESTER_WAIT, Metric.AGENT_WORK)
WAITS = (Metric.FIRST_RESPONSE, Metric.NEXT_RESPONSE)


class Wall:
    """The clock on the wall of a team: open or closed at each minute, looked at once."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._zone = ZoneInfo(calendar.tz)
        self._open: dict[datetime, bool] = {}
        self._lengths: dict[date, int] = {}
        self._shares: dict[datetime, Fraction] = {}

    def is_open(self, at: datetime) -> bool:
        """Hours open and close at the first pass of a repeated hour; its second pass goes on as the first ended."""
        known = self._open.get(at)
        if known is None:
            known = self._open[at] = self._look(at)
        return known

    def _look(self, at: datetime) -> bool:
        local = at.astimezone(self._zone)
        while local.fold:
            at -= MINUTE
            local = at.astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        hours = self.calendar.weekly[local.weekday()]
        return any(opening <= minute < closing for opening, closing in hours)

    def share(self, at: datetime) -> Fraction:
        """What part of its open local day this minute is."""
        known = self._shares.get(at)
        if known is None:
            known = self._shares[at] = Fraction(1, self._length(at))
        return known

    def _length(self, at: datetime) -> int:
        """How many minutes the local day of this moment is open."""
        day = at.astimezone(self._zone).date()
        if day not in self._lengths:
            first = at - timedelta(hours=26)
            minutes = (first + n * MINUTE for n in range(52 * 60))
            ours = (one for one in minutes if one.astimezone(self._zone).date() == day)
            self._lengths[day] = sum(map(self.is_open, ours))
        return self._lengths[day]


@dataclass(kw_only=True, eq=False)
class SlowClock:
    """One clock: an accumulator."""

    metric: Metric
    instance: int
    priority: Priority
    policy: Policy
    minutes: int = 0
    days: Fraction = Fraction(0)
    ticked: bool = False
    watched: bool = True
    breached: bool = False
    moved_into_the_past: bool = False
    ended: ClockState | None = None

    @property
    def left(self) -> int | Fraction:
        """What is left of the target, in minutes or in business days."""
        target = self.policy.target(self.metric, self.priority)
        assert target is not None
        return target.business_days - self.days if target.business_days else target.minutes - self.minutes

    @property
    def over(self) -> bool:
        """Whether the deadline had passed before this minute."""
        return self.left < 0 or (self.left == 0 and not self.ticked)

    @property
    def missed(self) -> bool:
        """Whether it is overdue, as somebody says who looks now."""
        return self.breached or self.moved_into_the_past or (self.watched and self.over)

    def watch_again(self) -> None:
        """From now on it can be missed again: what is overdue already is missed at once."""
        self.watched, self.moved_into_the_past = True, False
        self.breached |= self.left <= 0

    def stop(self) -> None:
        """Answered or resolved."""
        self.ended = ClockState.MET_LATE if self.breached or self.over else ClockState.MET

    def cancel(self) -> None:
        """Spam, merged, or given to somebody else."""
        self.ended = ClockState.BREACHED if self.missed else ClockState.CANCELLED

    def abandon(self) -> None:
        """Resolved without it."""
        failed = ClockState.CANCELLED if self.watched else ClockState.UNDELIVERABLE
        self.ended = ClockState.BREACHED if self.missed else failed


@dataclass(kw_only=True)
class SlowDesk:
    """Lives through a conversation."""

    wall: Wall
    policies: Mapping[str, Policy]
    policy: Policy
    status: Status = Status.NEW
    priority: Priority = Priority.NORMAL
    assignee: str | None = None
    clocks: list[SlowClock] = field(default_factory=list)
    waiting: SlowClock | None = None
    update: SlowClock | None = None
    assignment: SlowClock | None = None
    whole: list[SlowClock] = field(default_factory=list)
    cut_short: list[SlowClock] = field(default_factory=list)
    is_merged: bool = False
    in_days: frozenset[Metric] = frozenset({Metric.RESOLUTION})  # what any policy promises in business days

    def start(self, metric: Metric) -> SlowClock:
        instance = 1 + sum(clock.metric is metric for clock in self.clocks)
        clock = SlowClock(metric=metric, instance=instance, priority=self.priority, policy=self.policy)
        self.clocks.append(clock)
        return clock

    def happen(self, event: SlaEvent) -> None:
        """One event; after a merge none counts any more."""
        if self.is_merged:
            return
        match event.kind:
            case EventKind.CUSTOMER_MESSAGE:
                self.customer_message()
            case EventKind.AGENT_REPLY:
                self.agent_reply()
            case EventKind.REPLY_FAILED:
                self.reply_failed()
            case EventKind.PRIORITY:
                self.change(Priority(event.value or ""), self.policy)
            case EventKind.POLICY:
                self.change(self.priority, self.policies[event.value or ""])
            case EventKind.MERGED:
                self.merge()
            case EventKind.STATUS | EventKind.SPAM | EventKind.REOPENED:
                self.move(event)
            case _:
                self.give(event)

    def move(self, event: SlaEvent) -> None:
        if event.kind is EventKind.STATUS:
            self.enter(Status(event.value or ""))
        elif event.kind is EventKind.SPAM:
            self.enter(Status.SPAM)
            if event.value == Status.DONE:  # no request: done, but with nothing to its credit
                self.status = Status.DONE
        elif self.status in CLOSED:
            self.enter(Status.OPEN)

    def give(self, event: SlaEvent) -> None:
        if event.kind is EventKind.TOUCHED and event.value == self.assignee:
            self.deal()
        if event.kind not in (EventKind.ASSIGNED, EventKind.TAKEN):
            return
        if self.assignment is not None:
            self.assignment.cancel()
        self.assignment, self.assignee = None, event.value
        if event.kind is EventKind.ASSIGNED and event.value and self.status not in CLOSED:
            self.assignment = self.start(Metric.RETURN)

    def reply_failed(self) -> None:
        for clock in (self.waiting, self.update):
            if clock is not None:
                clock.watched = False

    def merge(self) -> None:
        self.is_merged = True
        for clock in self.running():
            clock.cancel()

    def running(self) -> list[SlowClock]:
        return [clock for clock in self.clocks if clock.ended is None]

    def change(self, priority: Priority, policy: Policy) -> None:
        if (priority, policy) == (self.priority, self.policy):
            return
        self.priority, self.policy = priority, policy
        for clock in self.running():
            clock.priority, clock.policy = priority, policy
            clock.moved_into_the_past = clock.watched and clock.over

    def deal(self) -> None:
        if self.assignment is not None:
            self.assignment.stop()
            self.assignment = None

    def customer_message(self) -> None:
        if self.status is Status.SPAM:
            return
        if self.status is Status.DONE:
            for cut in self.cut_short:
                if cut in self.whole:
                    self.revive(cut)
            self.cut_short = []
            self.go_on()
        if self.status in (Status.DONE, Status.WAITING_CUSTOMER):
            self.status = Status.OPEN
        if not self.whole:
            self.whole = [self.start(metric) for metric in (Metric.RESOLUTION, *SUMS)]
            self.waiting = self.start(Metric.FIRST_RESPONSE)
        elif self.waiting is None:
            self.waiting = self.start(Metric.NEXT_RESPONSE)
        for clock in (self.waiting, self.update):
            if clock is not None and not clock.watched:
                clock.watch_again()

    def agent_reply(self) -> None:
        self.deal()
        late = next((clock for clock in self.cut_short if clock.metric in WAITS), None)
        answered = self.waiting or late
        if answered is not None:
            answered.stop()
        if late is not None and answered is late:
            self.cut_short.remove(late)
        self.waiting = None
        if self.update is not None:
            self.update.stop()
        self.update = self.start(Metric.PERIODIC_UPDATE) if self.whole and self.status not in CLOSED else None

    def enter(self, status: Status) -> None:
        if status in CLOSED and self.status not in CLOSED:
            self.close(is_done=status is Status.DONE)
        elif status not in CLOSED and self.status in CLOSED:
            self.reopen()
        self.status = status

    def close(self, *, is_done: bool) -> None:
        for clock in (self.waiting, self.update, self.assignment):
            if clock is not None:
                clock.abandon() if is_done else clock.cancel()
                self.cut_short.append(clock)
        self.waiting = self.update = self.assignment = None
        for clock in self.whole:
            if clock.ended is None:
                if is_done:
                    clock.stop()
                else:
                    clock.cancel()
                    self.cut_short.append(clock)

    def reopen(self) -> None:
        for clock in self.cut_short:
            self.revive(clock)
            if clock.metric in WAITS:
                self.waiting = clock
            elif clock.metric is Metric.PERIODIC_UPDATE:
                self.update = clock
            elif clock.metric is Metric.RETURN:
                self.assignment = clock
        self.cut_short = []
        self.go_on()

    def revive(self, clock: SlowClock) -> None:
        clock.ended, clock.priority, clock.policy = None, self.priority, self.policy
        if clock.watched:
            clock.watch_again()

    def go_on(self) -> None:
        for clock in self.whole:
            if clock.metric in SUMS and clock.ended in (ClockState.MET, ClockState.MET_LATE):
                clock.watched = True
                self.revive(clock)

    def paused(self, clock: SlowClock) -> bool:
        if clock.metric is Metric.AGENT_WORK:
            return self.status not in (Status.NEW, Status.OPEN)
        if clock.metric is Metric.REQUESTER_WAIT:
            return self.status not in (Status.NEW, Status.OPEN, Status.ON_HOLD)
        return self.status in clock.policy.pauses.get(clock.metric, ())

    def settle(self) -> None:
        """After what happened in a minute: a deadline that the last minute used up has passed."""
        for clock in self.running():
            if clock.watched and clock.ticked and clock.left <= 0 and not clock.moved_into_the_past:
                clock.breached = True

    def tick(self, at: datetime) -> None:
        is_open = self.wall.is_open(at)
        for clock in self.clocks:
            clock.ticked = is_open and clock.ended is None and not self.paused(clock)
            if clock.ticked:
                clock.minutes += 1
                if clock.metric in self.in_days:
                    clock.days += self.wall.share(at)

    def due(self, clock: SlowClock, now: datetime) -> tuple[datetime, datetime]:
        """The minute in which a running clock falls due if nothing more happens: after its beginning, by its end."""
        while clock.left > 0:
            self.tick(now)
            now += MINUTE
        return now - MINUTE, now

    def state(self, clock: SlowClock) -> ClockState:
        """How a clock stands."""
        if clock.ended is not None:
            return clock.ended
        if clock.breached or clock.moved_into_the_past:
            return ClockState.BREACHED
        if not clock.watched:
            return ClockState.UNDELIVERABLE
        if clock.left <= 0:
            return ClockState.BREACHED
        return ClockState.PAUSED if self.paused(clock) else ClockState.RUNNING


def live_through(desk: SlowDesk, events: list[SlaEvent], now: datetime) -> SlowDesk:
    """Minute by minute from the first event until `now`."""
    by_minute: dict[datetime, list[SlaEvent]] = {}
    for event in events:
        by_minute.setdefault(event.at, []).append(event)
    at = events[0].at
    while True:
        for event in by_minute.get(at, ()):
            desk.happen(event)
        desk.settle()
        if at == now:
            return desk
        desk.tick(at)
        at += MINUTE
