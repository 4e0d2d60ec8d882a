"""What can happen: the events that adapters make from stored payloads and the clock makes from deadlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from domain.formatting import Span
from domain.model import Attachment


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerRef:
    """Who wrote, as the chat platform says it. `address` is where an answer goes, `topic` where in that chat.

    Without `is_named` the name is a makeshift, which takes the place of none that is known.
    """

    channel: str
    address: str
    name: str
    username: str | None = None
    language: str | None = None
    topic: str | None = None
    is_named: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerMessage:
    """A customer wrote. `kind` is "text", "photo", "document" or the platform's word for anything else.

    `group` is what the platform calls several files that were sent as one (see `domain.albums`); `details` are those
    of the timeline entry.
    """

    customer: CustomerRef
    at: datetime
    message_id: str
    kind: str
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    reply_to: str | None = None
    thread: str | None = None
    group: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerEdit:
    """A customer changed an earlier message; `text` is the whole new text."""

    customer: CustomerRef
    at: datetime
    message_id: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerCommand:
    """A customer used a command of the bot (`start`, `help`, `privacy`)."""

    customer: CustomerRef
    at: datetime
    message_id: str
    command: str
    argument: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerChoice:
    """A customer tapped a button under a message of ours. `choice` is what the button carries.

    `query_id` is what the platform wants answered; `message_id` the message with the button, None where the platform
    does not say. A tap comes without a time.
    """

    customer: CustomerRef
    query_id: str
    message_id: str | None
    choice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerReaction:
    """A customer put emoji on a message, ours or theirs; `emoji` are those that stand there now."""

    customer: CustomerRef
    at: datetime
    message_id: str
    emoji: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerReach:
    """The customer blocked or unblocked us."""

    customer: CustomerRef
    at: datetime
    reachable: bool
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomerMoved:
    """The platform gave the chat a new address. Addresses of places in it begin with its own, then `@` or `/`."""

    channel: str
    at: datetime
    old_address: str
    new_address: str


WRITTEN = "entry:"
"""Instead of the number of a post: what was written in a window has none of its own, but the id of its entry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentMessage:
    """Somebody at the desk wrote in a thread. Whether it may leave is for the handler to decide."""

    agent_id: str
    at: datetime
    channel: str
    thread_ts: str
    ts: str
    text: str
    attachments: tuple[Attachment, ...] = ()
    is_stranger: bool = False  # guest, other workspace, or a bot
    spans: tuple[Span, ...] = ()
    mentions: bool = False  # somebody at the desk is called in it
    seen: int | None = None  # in a window: the version of the conversation when it was opened
    answers: str | None = None  # the customer's message that it was opened on, by the platform's number

    @property
    def entry_id(self) -> str | None:
        """The id of the entry that an answer written in a window becomes; None for a line of the thread."""
        return self.ts.removeprefix(WRITTEN) if self.ts.startswith(WRITTEN) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentEdit:
    """An earlier message in a thread was changed (`text`) or deleted (`text` is None).

    `lost` are the desk's ids of files that are gone from it, by its author's wish or because the desk keeps none for
    longer; its words `stand` where nothing else of it has changed.
    """

    agent_id: str
    at: datetime
    channel: str
    thread_ts: str
    ts: str
    text: str | None
    spans: tuple[Span, ...] = ()
    mentions: bool = False
    lost: frozenset[str] = frozenset()
    stand: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentReaction:
    """Somebody at the desk put an emoji on a post (`is_on`) or took it back. `name` is the desk's word for it.

    `on_ours` says that the post is, or may be, one of ours.
    """

    agent_id: str
    at: datetime
    channel: str
    ts: str
    name: str
    is_on: bool
    is_stranger: bool = False
    on_ours: bool = False


ActionName = Literal[
    "assign_me",
    "unassign",
    "resolve",
    "reopen",
    "priority",
    "relabel",
    "move",
    "status",
    "retry",
    "retry_plain",
    "copy",
    "mark_arrived",
    "on_duty",
    "acknowledge",
    "excuse",
    "promise",
    "undo",
    "take_back",
    "keep_note",
    "send_reply",
    "customer",
    "note_contact",
    "ask_contact",
    "merge",
    "unmerge",
    "not_same",
    "reveal",
    "reveal_message",
    "correct",
    "case_approve",
    "case_refuse",
    "case_take",
    "confirm",
    "why",
    "why_then",
    "assign",
    "handover",
    "snooze",
    "wake",
    "not_a_request",
    "mute",
    "unmute",
    "start",
    "transcript",
    "act",
    "join",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentAction:
    """A button or menu at the desk. `version` is the card's version the agent was looking at.

    `value` is what was chosen (a priority, an intent, an outbox id); `key` makes a double click one action. `note` is
    what was written with it: internal text, or for `start` what the customer is to read. `number` names another
    conversation, or the one that is meant where nothing else does. `trigger` opens one window for whoever pressed a
    button of a card, within three seconds; empty where they see what is said in the thread. `on_ours` says of an emoji
    that it stands on a post that is, or may be, one of ours.
    """

    agent_id: str
    at: datetime
    channel: str
    thread_ts: str | None
    conversation_id: str | None
    action: str
    value: str | None = None
    version: int | None = None
    key: str = ""
    is_stranger: bool = False
    note: str = ""
    number: int | None = None
    trigger: str = ""
    on_ours: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskCommand:
    """A slash command at the desk, outside any thread."""

    agent_id: str
    at: datetime
    channel: str
    text: str
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class FactEntered:
    """Somebody at the desk noted what happened elsewhere: with `customer_id`, or as `person` (name, phone, email) new.

    `fact` is as it was typed (see `domain.facts.read`); all of it is personal text. `channel` is where to answer.
    """

    agent_id: str
    at: datetime
    channel: str
    customer_id: str | None
    person: Mapping[str, str]
    fact: Mapping[str, str]
    key: str = ""
    is_stranger: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskNotice:
    """Something about the desk itself: archived channel, revoked token, removed bot."""

    at: datetime
    kind: str
    channel: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockDue:
    """An alert of a conversation's clocks fell due; made by the sweep, from the database."""

    conversation_id: str
    at: datetime


CustomerEvent = (
    CustomerMessage | CustomerEdit | CustomerCommand | CustomerChoice | CustomerReaction | CustomerReach | CustomerMoved
)
DeskEvent = AgentMessage | AgentEdit | AgentReaction | AgentAction | DeskCommand | FactEntered | DeskNotice
Event = CustomerEvent | DeskEvent | ClockDue


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A payload that is understood and concerns nobody (a bot's own echo, an unfurl); `reason` is a stable word."""

    reason: str
