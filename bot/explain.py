"""Why a deadline is when it is: the clocks of a conversation, each with its terms and the time it has used.

Times are written in the calendar's own time zone, so that they can be held against its hours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from domain import deadlines, promises, sla
from domain.calendar import Calendar
from domain.changes import Situation
from domain.rulebook import Rulebook
from domain.sla import Clock, EventKind

FIRST, LAST = 8, 5
"""Slices that are told of a long wait: how it began and how it ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A stretch of a clock's life, in the calendar's zone: `counted`, `closed` or `paused`, and used so far.

    `skipped` stands for so many stretches that are left out before this one.
    """

    start: datetime
    end: datetime
    kind: str
    spent: timedelta
    skipped: int = 0

    @property
    def when(self) -> str:
        """When it was, for a terminal."""
        return span(self.start, self.end)

    @property
    def length(self) -> str:
        """How long it was, for a terminal."""
        return length(self.end - self.start)

    @property
    def used(self) -> str:
        """What was used by its end, for a terminal."""
        return length(self.spent)


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """One clock, accounted for. `since` is what it counts from, as the history words it."""

    clock: Clock
    calendar: str
    zone: str
    since: EventKind | None
    steps: tuple[Step, ...]


def accounts(rules: Rulebook, situation: Situation, now: datetime) -> tuple[Account, ...]:
    """Every clock of a conversation, the one that somebody owes next first, then the others as they began."""
    conversation = situation.conversation
    found = conversation and deadlines.standing(rules, conversation.policy, situation.history, now)
    if not found:
        return ()
    kinds = {event.id: event.kind for event in situation.history}
    told = []
    for clock in found.clocks:
        _, calendar = promises.terms(clock, found.policy, found.calendar)
        account = Account(
            clock=clock,
            calendar=calendar.name,
            zone=calendar.tz,
            since=kinds.get(clock.basis),
            steps=steps(clock, calendar),
        )
        told.append(account)
    return tuple(sorted(told, key=_rank))


def _rank(account: Account) -> tuple[bool, float]:
    clock = account.clock
    due = clock.due_at.timestamp() if clock.is_active and clock.due_at else 0.0
    return (not due, due)


def steps(clock: Clock, calendar: Calendar) -> tuple[Step, ...]:
    """A clock's life stretch by stretch; of a long one its beginning and its end."""
    zone = ZoneInfo(calendar.tz)
    slices = sla.explain(clock, calendar)
    all_of_them = [
        Step(start=one.start.astimezone(zone), end=one.end.astimezone(zone), kind=one.kind, spent=one.used)
        for one in slices
    ]
    if len(all_of_them) <= FIRST + LAST + 1:
        return tuple(all_of_them)
    skipped, then = len(all_of_them) - FIRST - LAST, all_of_them[-LAST]
    return (*all_of_them[:FIRST], replace(then, skipped=skipped), *all_of_them[-LAST + 1 :])


def span(first: datetime, last: datetime) -> str:
    """`Fri 12 Jun 09:00 - 12:30`, with the second day where it is another."""
    same = first.date() == last.date()
    return f"{first:%a %d %b %H:%M} – {last:%H:%M}" if same else f"{first:%a %d %b %H:%M} – {last:%a %d %b %H:%M}"


def length(amount: timedelta) -> str:
    """`3h 17m`; `overdue by` is said elsewhere, so the sign is left out. Under a minute in seconds."""
    seconds = round(abs(amount.total_seconds()))
    if seconds < 60:
        return f"{seconds}s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}h {minutes:02}m" if hours else f"{minutes}m"
