"""What an erasure did, as its receipt says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Step(StrEnum):
    """How far an erasure is. Each step is done again after a crash; doing it twice is the same as once."""

    BEGUN = "begun"  # nobody finds the customer any more; their data key is still there
    KEYLESS = "keyless"  # the key is destroyed: nothing of them can be read, here and in every copy
    WIPED = "wiped"  # the sealed bytes and the hashes are gone from the record
    FORGOTTEN = "forgotten"  # the search index knows nothing of them; our posts in Slack are being taken away
    DONE = "done"


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A post at the desk that is not ours to take away, or that would not go: `why` is the platform's word."""

    place: str
    ts: str
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What was erased, when, at whose word, and what is left where we cannot reach. Holds no personal text.

    `counts` are rows by what they were. `waiting` posts of ours are still to be taken away. `mac` proves that
    the receipt is as it was issued, once `finished_at` is set.
    """

    id: str
    customer_id: str
    actor: str
    reason: str
    step: Step
    requested_at: datetime
    finished_at: datetime | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    deleted: int = 0
    waiting: int = 0
    refused: tuple[Post, ...] = ()
    theirs: tuple[Post, ...] = ()
    mac: str | None = None
