"""The words of service levels: what is promised (policies), what happened (events), what came of it (clocks,
alerts).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Literal

from domain.calendar import CalendarError, Duration, Span, parse_duration
from domain.model import Priority, Status
from domain.openings import MINUTE_US

DEFAULT_MIN_AFTER_RESUME = Duration(minutes=15)


class Metric(StrEnum):
    """What is timed. Each has its own clock; the next deadline is the nearest of them."""

    FIRST_RESPONSE = "first_response"  # first customer message to the first answer that reached the customer
    NEXT_RESPONSE = "next_response"  # oldest unanswered customer message after that to the next answer
    PERIODIC_UPDATE = "periodic_update"  # last answer to the next one, whoever's turn it is
    RESOLUTION = "resolution"  # first customer message to the first time done
    TOTAL_RESOLUTION = "total_resolution"  # first customer message to the last time done, without the time in done
    REQUESTER_WAIT = "requester_wait"  # all time new, open or on hold
    AGENT_WORK = "agent_work"  # all time new or open
    RETURN = "return"  # an assignment to the first thing its assignee does: else it goes back to the queue
    PROMISE = "promise"  # the time that an agent gave the customer; see promises.py


TARGETED = (
    Metric.FIRST_RESPONSE,
    Metric.NEXT_RESPONSE,
    Metric.PERIODIC_UPDATE,
    Metric.RESOLUTION,
    Metric.TOTAL_RESOLUTION,
    Metric.REQUESTER_WAIT,
    Metric.AGENT_WORK,
)
"""What a policy may promise per priority."""
PAUSABLE = (Metric.NEXT_RESPONSE, Metric.PERIODIC_UPDATE, Metric.RESOLUTION, Metric.TOTAL_RESOLUTION)
"""Whose pauses a policy may choose. The first response never pauses, the sums say what they count."""
_COUNTED = {
    Metric.REQUESTER_WAIT: frozenset({Status.WAITING_CUSTOMER}),
    Metric.AGENT_WORK: frozenset({Status.WAITING_CUSTOMER, Status.ON_HOLD}),
}
"""In which statuses a sum stands still, by what it is."""


class ClockState(StrEnum):
    """How a clock stands."""

    RUNNING = "running"
    PAUSED = "paused"
    MET = "met"
    MET_LATE = "met_late"
    BREACHED = "breached"
    CANCELLED = "cancelled"
    UNDELIVERABLE = "undeliverable"  # an answer was written and did not reach the customer: neither met nor breached


class EventKind(StrEnum):
    """What a clock cares for. Reactions and edits are not among them; notes only as TOUCHED."""

    CUSTOMER_MESSAGE = "customer_message"
    AGENT_REPLY = "agent_reply"  # a person's answer, at the platform's time; value: the oldest question it was not to
    REPLY_FAILED = "reply_failed"  # a person's answer that can never arrive as it is
    STATUS = "status"  # value: a Status
    PRIORITY = "priority"  # value: a Priority
    POLICY = "policy"  # value: the policy's name; none or empty switches the clocks off
    REOPENED = "reopened"  # value: why, where it had been closed over an answer that the customer never got
    MERGED = "merged"
    SPAM = "spam"  # value: `done` where it was closed as no request
    CLOSURE_MESSAGE = "closure_message"  # a thank-you after done: starts nothing
    ASSIGNED = "assigned"  # value: to whom it was given, by a machine or somebody else; none: to nobody
    TAKEN = "taken"  # value: who took it for themselves
    TOUCHED = "touched"  # value: who did something with it that no customer sees
    PROMISE = "promise"  # value: until when an agent promised an answer, in ISO format


@dataclass(frozen=True, kw_only=True, slots=True)
class SlaEvent:
    """One thing that happened in a conversation. `at` is when it happened there, not when we heard of it.

    `id` makes a repeated event count once. Events are taken in the order of (`at`, `seq`, `id`). `of` is the id of the
    answer that an AGENT_REPLY says has arrived; ids grow, so what has a larger one was not known to whoever wrote it.
    `late` says that a message counts from later than it was written: it came when what it might have opened was open.
    Raises ValueError for a naive time and for a status or priority that does not exist.
    """

    id: str
    at: datetime
    kind: EventKind
    value: str | None = None
    seq: int = 0
    of: str = ""
    late: bool = False

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"event {self.id} has a time without a zone: use an aware datetime in UTC")
        if self.kind is EventKind.STATUS:
            Status(self.value or "")
        elif self.kind is EventKind.PRIORITY:
            Priority(self.value or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Offset:
    """When a warning comes: with `percent` of the target left, or `minutes` of business time before the deadline."""

    percent: int = 0
    minutes: int = 0

    @property
    def level(self) -> str:
        """A stable name, part of the alert's key: `25%` or `15m`."""
        return _level(self.percent, self.minutes)

    def lead(self, total: timedelta) -> timedelta:
        """How much business time before the deadline, for a target that takes `total`."""
        return total * self.percent / 100 if self.percent else timedelta(minutes=self.minutes)

    def lead_us(self, total: int) -> int:
        """How much business time before the deadline, in microseconds, for a target that takes `total` of them."""
        return total * self.percent // 100 if self.percent else self.minutes * MINUTE_US


@lru_cache(maxsize=256)
def _level(percent: int, minutes: int) -> str:
    return f"{percent}%" if percent else str(Duration(minutes=minutes))


_PERCENT = re.compile(r"(\d{1,2})\s*%(?:\s*left)?")


@lru_cache(maxsize=256)
def parse_offset(text: str) -> Offset:
    """Read `25% left`, `25%` or `15m`. Raises CalendarError with the fix for anything else."""
    compact = text.strip().lower()
    if match := _PERCENT.fullmatch(compact):
        if int(match[1]):
            return Offset(percent=int(match[1]))
        raise CalendarError(f"'{text}' is the breach itself, which is always announced: leave it out")
    duration = parse_duration(compact.removesuffix("left").strip())
    if duration.business_days:
        raise CalendarError(f"'{text}' is too coarse for a warning: write hours, minutes or a share ('4h', '25% left')")
    return Offset(minutes=duration.minutes)


def _default_pauses() -> Mapping[Metric, frozenset[Status]]:
    waiting, held = Status.WAITING_CUSTOMER, Status.ON_HOLD
    return {
        Metric.PERIODIC_UPDATE: frozenset({waiting}),
        Metric.RESOLUTION: frozenset({waiting, held}),
        Metric.TOTAL_RESOLUTION: frozenset({waiting, held}),
    }


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a group of customers is promised. An edited policy is a new `version`; running conversations keep theirs.

    `targets` maps priority to metric to business time; a priority without a target for a metric has that of
    the next lower one, if any. `calendar` None means that of the conversation's queue, else the default one.
    `pauses` says in which statuses a metric's clock stands still: none ever stops the first response, so that
    nobody can park a new conversation by a change of status. `warnings` are offsets such as `25% left` or
    `15m`. After a pause no alert is given before `min_after_resume` of business time has passed; the measure
    stays honest. `return_after` is how long an assignee may leave a conversation untouched.
    """

    name: str
    version: int = 1
    targets: Mapping[Priority, Mapping[Metric, Duration]]
    calendar: str | None = None
    pauses: Mapping[Metric, frozenset[Status]] = field(default_factory=_default_pauses)
    warnings: tuple[str, ...] = ()
    min_after_resume: Duration = DEFAULT_MIN_AFTER_RESUME
    return_after: Duration | None = None

    def __post_init__(self) -> None:
        if not any(self.targets.values()):
            raise CalendarError(f"policy '{self.name}' promises nothing: give at least one target")
        if self.pauses.get(Metric.FIRST_RESPONSE):
            raise CalendarError(f"policy '{self.name}': the first response cannot be paused; remove it from the pauses")
        for metric in _COUNTED.keys() & self.pauses.keys():
            raise CalendarError(f"policy '{self.name}': {metric} says itself what it counts; remove it from the pauses")
        if any({Status.NEW, Status.OPEN} & statuses for statuses in self.pauses.values()):
            raise CalendarError(f"policy '{self.name}': a clock cannot pause while a conversation is new or open")
        try:
            _ = self.offsets
        except CalendarError as error:
            raise CalendarError(f"policy '{self.name}': {error}") from None

    @property
    def reference(self) -> str:
        """Name and version in one word, as a conversation's history keeps it: `standard@2`."""
        return f"{self.name}@{self.version}"

    @cached_property
    def offsets(self) -> tuple[Offset, ...]:
        """The warnings, read."""
        return tuple(parse_offset(text) for text in self.warnings)

    @cached_property
    def _promised(self) -> Mapping[Priority, Mapping[Metric, Duration]]:
        filled: dict[Priority, Mapping[Metric, Duration]] = {}
        below: Mapping[Metric, Duration] = {}
        for priority in Priority:  # lowest first
            below = filled[priority] = {**below, **self.targets.get(priority, {})}
        if self.return_after is None:
            return filled
        return {priority: {**promised, Metric.RETURN: self.return_after} for priority, promised in filled.items()}

    @cached_property
    def metrics(self) -> frozenset[Metric]:
        """What is promised at any priority."""
        return frozenset(metric for promised in self._promised.values() for metric in promised)

    @cached_property
    def stands_still(self) -> Mapping[Metric, frozenset[Status]]:
        """In which statuses each metric's clock pauses."""
        return {**self.pauses, **_COUNTED}

    def target(self, metric: Metric, priority: Priority) -> Duration | None:
        """The business time promised, None when this metric is not promised at this priority or below."""
        return self._promised[priority].get(metric)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """One clock as computed from the history.

    `instance` counts the waits of a metric from 1. `basis` is the id of the event that started it, `priority`
    the one that chose the target. `due_at` is None while paused and once cancelled. `breached_at` is the
    moment the deadline passed unanswered; it stays whatever comes later. `stopped_at` is set when the clock
    has ended. `remaining` is business time from now (or from the stop) to the deadline, negative when
    overdue, None when cancelled. `breaks` are the pauses that are over, `paused_from` begins the one that is
    not. `armed_at` is when this deadline came into force. `policy` and `version` are what promised it.
    """

    metric: Metric
    instance: int = 1
    state: ClockState
    started_at: datetime
    due_at: datetime | None
    target: Duration
    stopped_at: datetime | None = None
    breached_at: datetime | None = None
    remaining: timedelta | None = None
    priority: Priority = Priority.NORMAL
    basis: str = ""
    breaks: tuple[Span, ...] = ()
    paused_from: datetime | None = None
    resumed_at: datetime | None = None
    armed_at: datetime | None = None
    policy: str = ""
    version: int = 0

    @property
    def is_active(self) -> bool:
        """True while somebody at the desk still owes something: running or breached, and not ended."""
        return self.stopped_at is None and self.state in (ClockState.RUNNING, ClockState.BREACHED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """The one thing to say next about a clock, at `at` or, when that has passed, now.

    `level` is `breach` or the warning's offset; `key` makes it once per clock, level and deadline; `late`
    means that the moment had passed unnoticed (we were not running) and the text should say so.
    """

    kind: Literal["warning", "breach", "escalation"]
    level: str
    at: datetime
    due_at: datetime
    key: str
    late: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """A stretch of a clock's life: counted, closed (outside business hours) or paused. `used` is the total so far."""

    start: datetime
    end: datetime
    kind: Literal["counted", "closed", "paused"]
    used: timedelta
