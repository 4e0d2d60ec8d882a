"""Who is told of a deadline, when, and how often: warnings, the breach, and the levels after it.

An alert is given once per clock, level and deadline. When several moments have passed unnoticed only the most severe
speaks. Whoever is to act is named if they are at work; else their group; else the fallback channel is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from domain import sla
from domain.calendar import Calendar, Duration
from domain.sla import Alert, Clock, Policy

MOST_LEADS = 5
"""People who get a direct message of one alert."""
BREACH = "breach"


class Goal(StrEnum):
    """Where a level goes, beside ids of the desk: a channel (C, G), a user group (S) or a person (U, W)."""

    THREAD = "thread"  # the thread, naming whoever has it
    QUEUE = "queue"  # the queue's channel
    LEADS = "leads"  # each lead who is at work, by direct message
    WEBHOOK = "webhook"  # the company's on-call service


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One step of the escalation: business time after the deadline, and who is told then."""

    after: Duration
    to: str

    @property
    def name(self) -> str:
        """What makes it one level and not another, whatever its place in the list."""
        return f"+{self.after} {self.to}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a company does about deadlines. `fallback` is a desk channel that exists: it was looked at on the start."""

    levels: tuple[Level, ...] = ()
    fallback: str | None = None
    hours: Mapping[str, str] = field(default_factory=dict)  # a person's own calendar, by desk user id


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Whether somebody at the desk can act now; `why` not, as a stable word."""

    id: str
    why: str | None = None

    @property
    def is_at_work(self) -> bool:
        """True unless something says otherwise."""
        return self.why is None


class Way(StrEnum):
    """How an alert reaches somebody."""

    THREAD = "thread"
    CHANNEL = "channel"
    PERSON = "person"
    WEBHOOK = "webhook"


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One message of an alert: where it goes and who is named in it (ids of the desk)."""

    way: Way
    place: str = ""
    mention: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """Who is around a conversation: its channel, who has it, their group, the lead's group, and the leads at work."""

    channel: str
    assignee: Person | None = None
    group: str | None = None
    lead: str | None = None
    leads: tuple[Person, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)


def coming(
    clock: Clock,
    policy: Policy,
    calendar: Calendar,
    levels: Sequence[Level],
    done: frozenset[str],
    now: datetime,
) -> Alert | None:
    """The one alert to give next, or None when there is nothing left to say.

    An alert whose `at` is not after `now` is to be given at once. None while paused, undeliverable or ended.
    """
    alert = sla.next_alert(clock, policy, calendar, done, now)
    due = clock.due_at
    if not levels or due is None or not _is_watched(clock):
        return alert
    if alert is not None and alert.at > now:
        return alert  # the deadline itself lies ahead: so does everything after it
    after = _after_breach(clock, due, policy, calendar, levels)
    passed = [moment for moment in after if moment[1] <= now]
    if passed:
        level, at = passed[-1]
        if sla.alert_key(clock, level, due) not in done:
            return _escalation(clock, level, at, due, late=now - at > sla.LATE_AFTER)
    elif alert is not None:
        return alert
    ahead = (moment for moment in after[len(passed) :] if sla.alert_key(clock, moment[0], due) not in done)
    following = next(ahead, None)
    return None if following is None else _escalation(clock, *following, due, late=False)


def silenced(
    clock: Clock, policy: Policy, calendar: Calendar, levels: Sequence[Level], now: datetime
) -> frozenset[str]:
    """The keys of alerts that an acknowledgement at `now` takes as given: everything before the next level."""
    due = clock.due_at
    if due is None or not _is_watched(clock):
        return frozenset()
    names = [offset.level for offset in policy.offsets]
    if _breach_at(clock, due, policy, calendar) <= now:
        names.append(BREACH)
        names += [name for name, at in _after_breach(clock, due, policy, calendar, levels) if at <= now]
    return frozenset(sla.alert_key(clock, name, due) for name in names)


def _is_watched(clock: Clock) -> bool:
    due = clock.due_at
    return clock.is_active and due is not None and (clock.paused_from is None or due <= clock.paused_from)


def _breach_at(clock: Clock, due: datetime, policy: Policy, calendar: Calendar) -> datetime:
    """When the breach may be said: a deadline is not announced before it was in force."""
    earliest = clock.armed_at or clock.started_at
    if clock.resumed_at is not None:
        earliest = max(earliest, calendar.add(clock.resumed_at, policy.min_after_resume))
    return max(due, earliest)


def _after_breach(
    clock: Clock, due: datetime, policy: Policy, calendar: Calendar, levels: Sequence[Level]
) -> list[tuple[str, datetime]]:
    breach = _breach_at(clock, due, policy, calendar)
    return [(level.name, calendar.add(breach, level.after)) for level in levels]


def _escalation(clock: Clock, level: str, at: datetime, due: datetime, *, late: bool) -> Alert:
    key = sla.alert_key(clock, level, due)
    return Alert(kind="escalation", level=level, at=at, due_at=due, key=key, late=late)


def addressed(goal: str, team: Team, plan: Plan, *, is_breach: bool = False) -> tuple[Address, ...]:
    """Where an alert goes and who is named. Never empty: nobody assigned never means nobody told."""
    if goal == Goal.THREAD:
        return _to_thread(team, plan, is_breach=is_breach)
    if goal == Goal.WEBHOOK:
        return (Address(way=Way.WEBHOOK),)
    if goal == Goal.LEADS:
        leads = [person.id for person in team.leads if person.is_at_work][:MOST_LEADS]
        if leads:
            return tuple(Address(way=Way.PERSON, place=lead) for lead in leads)
        return (_fallback(team, plan, team.lead),)
    if goal == Goal.QUEUE:
        return (Address(way=Way.CHANNEL, place=team.channel, mention=_named(team.group)),)
    if goal[:1] == "S":
        return (Address(way=Way.CHANNEL, place=team.channel, mention=(goal,)),)
    if goal[:1] in ("U", "W"):
        there = team.people.get(goal, Person(id=goal)).is_at_work
        return (Address(way=Way.PERSON, place=goal),) if there else (_fallback(team, plan, goal),)
    return (Address(way=Way.CHANNEL, place=goal, mention=_named(team.group)),)


def _to_thread(team: Team, plan: Plan, *, is_breach: bool) -> tuple[Address, ...]:
    there = team.assignee.id if team.assignee and team.assignee.is_at_work else team.group
    named = _named(team.lead if is_breach else None, there)
    thread = Address(way=Way.THREAD, mention=named)
    if named or plan.fallback is None:
        return (thread,)
    return (thread, Address(way=Way.CHANNEL, place=plan.fallback))


def _fallback(team: Team, plan: Plan, who: str | None) -> Address:
    return Address(way=Way.CHANNEL, place=plan.fallback or team.channel, mention=_named(who or team.group))


def _named(*people: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in people if one))
