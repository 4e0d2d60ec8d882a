"""One person behind several customers: links that people make and take back, and what suggests one.

A person is all customers that links connect. A link is all that a merge writes, so that taking it away restores exactly
what was before, in whatever order links are made and taken back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from domain.contacts import ContactKind

Pair = tuple[str, str]


class LinkAct(StrEnum):
    """What somebody decides about two customers."""

    MERGE = "merge"  # they are one person
    UNMERGE = "unmerge"  # they are not, after all
    REFUSE = "refuse"  # they are not: do not ask again


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkChange:
    """A person's decision about two customers; `actor` as the audit trail names people. `ids` are fresh ones."""

    act: LinkAct
    one: str
    other: str
    actor: str
    reason: str
    at: datetime
    ids: tuple[str, str, str]

    @property
    def pair(self) -> Pair:
        """Both, the smaller id first."""
        return pair(self.one, self.other)


class Sign(StrEnum):
    """What suggests that two customers are one person."""

    VERIFIED_PHONE = "verified_phone"  # the same number, made sure of on both sides
    VERIFIED_EMAIL = "verified_email"
    PHONE = "phone"  # the same number, as somebody says
    EMAIL = "email"
    NAME = "name"
    USERNAME = "username"
    BIRTHDAY = "birthday"
    ADDRESS = "address"
    COMPANY = "company"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One sign and how strong it is: 0 to 100, where 100 is equal."""

    sign: Sign
    score: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """What of a customer can be held against another one; personal text."""

    customer_id: str
    names: tuple[str, ...] = ()
    usernames: frozenset[str] = frozenset()
    points: frozenset[tuple[ContactKind, str]] = frozenset()
    verified: frozenset[tuple[ContactKind, str]] = frozenset()
    birthday: date | None = None
    address: str = ""
    company: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """Two customers who may be one person, found by the machine; a person decides."""

    one: str
    other: str
    evidence: tuple[Evidence, ...]
    found_at: datetime


def pair(one: str, other: str) -> Pair:
    """Both, the smaller id first. Raises ValueError for one and the same."""
    if one == other:
        raise ValueError("a customer is one person with themselves already; give two")
    return (one, other) if one < other else (other, one)


def person(of: str, links: Collection[Pair]) -> frozenset[str]:
    """All customers that links connect with this one, itself included."""
    found, frontier = {of}, {of}
    while frontier:
        frontier = set(_neighbours(frontier, links)) - found
        found |= frontier
    return frozenset(found)


def _neighbours(of: Collection[str], links: Iterable[Pair]) -> Iterable[str]:
    for one, other in links:
        if one in of:
            yield other
        if other in of:
            yield one


LONGEST_REASON: Final = 200
