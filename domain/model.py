"""The nouns of the product: customers, identities, conversations, timeline entries, agents.

Values are frozen; a change makes a new value. Times are aware and in UTC. Ids are ULIDs made by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.consent import Purpose


class Priority(StrEnum):
    """How urgent a conversation is, lowest first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        """0 (low) to 3 (urgent)."""
        return _RANK[self]


_RANK = {priority: place for place, priority in enumerate(Priority)}


class Status(StrEnum):
    """Whose turn it is."""

    NEW = "new"
    OPEN = "open"
    WAITING_CUSTOMER = "waiting_customer"
    ON_HOLD = "on_hold"
    DONE = "done"
    SPAM = "spam"


CLOSED = (Status.DONE, Status.SPAM)
OUTCOMES = ("solved", "answered", "cannot_help", "withdrawn", "duplicate")
"""How a conversation may be resolved, as the agent picks it; `merged` and `not_a_request` come about by themselves."""
NOT_A_REQUEST, MERGED = "not_a_request", "merged"


class ActorKind(StrEnum):
    """Who did something."""

    CUSTOMER = "customer"
    AGENT = "agent"
    MACHINE = "machine"
    OPERATOR = "operator"


class EntryKind(StrEnum):
    """What a timeline entry records."""

    INCOMING = "incoming"  # a message of the customer
    INCOMING_EDIT = "incoming_edit"  # the customer changed an earlier message
    REACTION = "reaction"  # the customer put an emoji on a message, or took it away
    OUTGOING = "outgoing"  # an agent's answer, meant for the customer
    AUTOMATIC = "automatic"  # a fixed text sent to the customer by the machine
    NOTE = "note"  # internal, never leaves
    DELIVERED = "delivered"  # the platform took an outgoing message (its time, its id)
    NOT_DELIVERED = "not_delivered"  # it did not, and why
    STATUS = "status"
    PRIORITY = "priority"
    QUEUE = "queue"
    ASSIGNEE = "assignee"
    LABEL = "label"
    ASSESSMENT = "assessment"
    CHECK = "check"  # a spot check: is the machine's topic right?
    REACHABLE = "reachable"  # the customer blocked or unblocked us
    CLOCK = "clock"  # a warning or a breach
    ACKNOWLEDGED = "acknowledged"  # somebody has seen the alerts and is looking
    EXCUSED = "excused"  # a breach that is not the desk's fault; it stays one
    PROMISE = "promise"  # a time that an agent gave the customer
    OPENED = "opened"
    REOPENED = "reopened"
    CONSENT = "consent"  # the customer agreed to a purpose or refused it
    PROFILE = "profile"  # somebody said, or corrected, what a customer's profile holds
    CONTACT = "contact"  # a phone number or e-mail address was noted, made sure of, or taken back
    RENAMED = "renamed"  # the customer's chat had another name before
    FACT = "fact"  # something that happened elsewhere: a purchase, a call, a visit
    LINK = "link"  # found to be one person with another customer, or not after all
    MUTED = "muted"  # what the customer writes is not shown for a while, or is again
    JOINED = "joined"  # another conversation of the customer goes on in this one
    RATED = "rated"  # the customer said how an answer was
    CASE = "case"  # the customer asked something about their data, or was answered
    TRANSCRIPT = "transcript"  # somebody was given the whole conversation as a file
    HELD = "held"  # an answer that reached us late is asked about before it leaves


class Reach(StrEnum):
    """What became of one delivery, in the words a card shows."""

    WAITING = "waiting"
    SENT = "sent"
    UNCLEAR = "unclear"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acted: a kind and, for people, the platform's user id or our id; never a name."""

    kind: ActorKind
    id: str | None = None

    def __str__(self) -> str:
        return self.kind.value if self.id is None else f"{self.kind.value}:{self.id}"


MACHINE = Actor(kind=ActorKind.MACHINE)
MOST_DIGITS = 9
"""Of a conversation's number where somebody types one: more would not fit its column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """A file that came with a message: what the platform calls it and what it said about it.

    `size` is in bytes, None where the platform did not say. `problem` says why the bytes cannot be had.
    """

    id: str
    kind: str  # "photo", "document", ...
    platform_id: str
    name: str
    mime: str
    size: int | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """A person we know. `name` is personal text.

    `consents` holds what they said last to each purpose they were asked about (see `domain.consent`); how it came to
    that stands in the timeline. `notice` is the version of the privacy notice they were sent last.
    """

    id: str
    name: str
    language: str | None
    segments: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # words that people noted by hand
    region: str | None = None  # the country they are in, as ISO 3166, as far as it is known
    consents: Mapping[str, bool] = field(default_factory=dict)
    notice: str | None = None
    created_at: datetime

    @property
    def training(self) -> bool | None:
        """May their words teach the classifier? None: they were not asked."""
        return self.consents.get(Purpose.TRAINING.value)


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """A person on one channel: `address` is where answers go (a Telegram chat id); personal text."""

    id: str
    customer_id: str
    channel: str
    address: str
    name: str
    username: str | None = None
    language: str | None = None
    reachable: bool = True
    unreachable_reason: str | None = None
    muted_until: datetime | None = None  # so long what they write is recorded and not shown at the desk
    muted_count: int = 0  # how many messages that were
    topic: str | None = None  # the part of the chat where they wrote last, and where answers go


@dataclass(frozen=True, kw_only=True, slots=True)
class Thread:
    """Where a conversation stands at the desk: a channel and the root post's id once it is posted.

    `before` is where it stood until it was moved or begun anew, as "channel:thread".
    """

    channel: str
    ts: str | None = None
    before: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """What becomes one thread at the desk. Changed only by compare-and-set on `version`.

    `lane` is the inbox lane of everything that concerns it. `label_by_human` and `priority_by_human` protect a
    person's decision; `queue_moves` counts machine moves (at most one). `unanswered_since` is the oldest customer
    message that nobody has answered. `customer_version` is the version that the newest customer message wrote: a card
    older than that has not shown it.
    """

    id: str
    number: int
    customer_id: str
    identity_id: str
    channel: str
    lane: str
    thread: Thread
    status: Status = Status.NEW
    priority: Priority = Priority.NORMAL
    queue: str
    assignee: str | None = None
    intent: str | None = None
    language: str | None = None
    assessment: dict[str, Any] | None = None
    label_by_human: bool = False
    priority_by_human: bool = False
    queue_moves: int = 0
    touched_by_human: bool = False
    customer_version: int = -1
    policy: str | None = None
    opened_at: datetime
    resolved_at: datetime | None = None
    last_customer_at: datetime | None = None
    last_agent_at: datetime | None = None
    unanswered_since: datetime | None = None
    delivery_state: Reach | None = None
    delivery_reason: str | None = None
    previous: str | None = None  # the earlier conversation this one follows, if any
    acknowledged_at: datetime | None = None  # when this customer was last sent an automatic acknowledgement
    snoozed_until: datetime | None = None  # on hold until then
    outcome: str | None = None  # how it ended, one of `OUTCOMES`
    merged_into: str | None = None  # the conversation that it is a part of now
    version: int = 0

    @property
    def is_open(self) -> bool:
        """True until it is resolved or set aside as spam."""
        return self.status not in CLOSED


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One appended line of the timeline.

    `at` is the platform's time of the event. `body` is personal text and stored encrypted, and so are `details`, which
    say what came with it (`quoted`: the line it answers, `forwarded_from`: whose words they are). `data` carries ids,
    states and reasons only and is stored in the clear. `platform_id` is the message's id at its source (chat, thread).
    """

    id: str
    conversation_id: str
    customer_id: str
    kind: EntryKind
    actor: Actor
    at: datetime
    body: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    platform_id: str | None = None
    reply_to: str | None = None
    attachments: tuple[Attachment, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """Somebody at the desk, by the desk's user id."""

    id: str
    roles: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    on_duty: bool = True
    last_assigned_at: datetime | None = None
    open_count: int = 0
