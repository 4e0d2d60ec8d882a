"""Segments: the company's names for groups of customers, as conditions over who they are and what has happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain import consent
from domain.model import Customer


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """One conversation of a customer, as far as segments care."""

    channel: str
    opened_at: datetime
    last_customer_at: datetime
    intent: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """Something that happened with a customer elsewhere, as far as segments care: see `domain.facts`."""

    kind: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """A named condition; all that is given must hold, of a set one is enough. Days are product time.

    `intents` counts conversations about one of them in the last `within_days`, at least `times`; `facts` counts what
    happened elsewhere in the last `facts_within_days`, all kinds where none is named.
    """

    name: str
    languages: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    min_conversations: int | None = None
    max_conversations: int | None = None
    known_min_days: int | None = None
    known_max_days: int | None = None
    quiet_min_days: int | None = None
    quiet_max_days: int | None = None
    intents: frozenset[str] = frozenset()
    within_days: int | None = None
    times: int = 1
    facts: frozenset[str] = frozenset()
    min_facts: int | None = None
    max_facts: int | None = None
    facts_within_days: int | None = None

    def holds(
        self, customer: Customer, episodes: tuple[Episode, ...], now: datetime, deeds: tuple[Deed, ...] = ()
    ) -> bool:
        """Whether the customer is in it now."""
        if self.languages and (customer.language or "") not in self.languages:
            return False
        if self.regions and (customer.region or "") not in self.regions:
            return False
        if self.channels and not self.channels & {one.channel for one in episodes}:
            return False
        if self.tags and not self.tags & set(customer.tags):
            return False
        if not _within(self._done(deeds, now), self.min_facts, self.max_facts):
            return False
        if not _within(len(episodes), self.min_conversations, self.max_conversations):
            return False
        if not _within((now - customer.created_at).days, self.known_min_days, self.known_max_days):
            return False
        last = max((one.last_customer_at for one in episodes), default=customer.created_at)
        if not _within((now - last).days, self.quiet_min_days, self.quiet_max_days):
            return False
        return not self.intents or self._asked(episodes, now) >= self.times

    def _done(self, deeds: tuple[Deed, ...], now: datetime) -> int:
        since = None if self.facts_within_days is None else now - timedelta(days=self.facts_within_days)
        return sum(
            1 for one in deeds if (not self.facts or one.kind in self.facts) and (since is None or one.at >= since)
        )

    def _asked(self, episodes: tuple[Episode, ...], now: datetime) -> int:
        since = None if self.within_days is None else now - timedelta(days=self.within_days)
        return sum(1 for one in episodes if one.intent in self.intents and (since is None or one.opened_at >= since))


def of(
    segments: Iterable[Segment],
    customer: Customer,
    episodes: tuple[Episode, ...],
    now: datetime,
    deeds: tuple[Deed, ...] = (),
) -> tuple[str, ...]:
    """The segments a customer is in, in the order of the configuration; none for who objects to being sorted."""
    if not consent.allowed(customer.consents, consent.Purpose.ANALYTICS):
        return ()
    return tuple(one.name for one in segments if one.holds(customer, episodes, now, deeds))


def _within(value: int, least: int | None, most: int | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)
