"""How long what is kept: rules that the company writes, and what each would take away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class What(StrEnum):
    """What a rule is about."""

    ATTACHMENTS = "attachments"  # the bytes of files in closed conversations
    FILES = "files"  # bytes, names and numbers of files in closed conversations
    MESSAGES = "messages"  # words in closed conversations
    CONVERSATIONS = "conversations"  # everything personal of a closed conversation
    CUSTOMERS = "customers"  # people who have not written for so long: erased whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One line of the retention table. `segments`: only customers who are in one of them; empty means everybody."""

    what: What
    age: timedelta
    segments: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What a rule takes, or took: how many, and since when the oldest of them is there (None: nothing)."""

    rule: Rule
    count: int
    oldest: datetime | None = None


class Stage(StrEnum):
    """Where a customer's data is in its life."""

    COLLECTED = "collected"  # known, without a conversation
    ACTIVE = "active"  # a conversation is open, or they wrote within the last quarter
    DORMANT = "dormant"  # quiet for longer
    ARCHIVED = "archived"  # no words of theirs are left
    DESTROYED = "destroyed"  # erased


QUIET = timedelta(days=91)
"""Who has not written for so long is dormant."""
