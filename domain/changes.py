"""What a decision changes: one value, written in one transaction, and how it looks when applied to what was loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from domain import sla
from domain.cases import Case, Ruling
from domain.contacts import Checked, ContactKind, ContactPoint
from domain.labels import Labelled
from domain.links import LinkChange
from domain.model import Agent, Conversation, Customer, Entry, EntryKind, Identity, Reach
from domain.profile import Said


class DeliveryKind(StrEnum):
    """What the dispatcher is to render and send. The prefix names the side that gets it."""

    DESK_CARD = "desk.card"  # post the card: the root of the thread
    DESK_UPDATE = "desk.update"  # bring the card up to date
    DESK_ENTRY = "desk.entry"  # show a timeline entry in the thread
    DESK_EDIT = "desk.edit"  # show that an entry was changed
    DESK_FILE = "desk.file"  # put an attachment into the thread
    DESK_WHISPER = "desk.whisper"  # tell one person, visible to nobody else
    DESK_REACTION = "desk.reaction"  # echo a delivery state on an agent's message
    DESK_NOTICE = "desk.notice"  # tell the operator's channel
    DESK_HOME = "desk.home"  # bring one person's own page at the desk up to date
    DESK_PERSON = "desk.person"  # a customer's card, visible to one colleague
    DESK_MOVED = "desk.moved"  # say in the thread it has left where a conversation goes on, and close its card
    DESK_TRANSCRIPT = "desk.transcript"  # a conversation as a file, for one colleague
    DESK_CASE = "desk.case"  # a customer's request about their data, for whoever decides on it
    DESK_DELETE = "desk.delete"  # take a post or file of ours away: its customer was erased
    DESK_ALERT = "desk.alert"  # tell whoever must act that a deadline is near or missed
    DESK_STATUS = "desk.status"  # the one line of a thread that says how its alerts stand
    HOOK_ALERT = "hook.alert"  # tell the company's on-call service
    CHAT_TEXT = "chat.text"  # one part of an agent's answer
    CHAT_FILE = "chat.file"  # one file of an agent's answer
    CHAT_AUTOMATIC = "chat.automatic"  # a fixed text; never sent again when unclear
    CHAT_EDIT = "chat.edit"  # the agent changed an answer
    CHAT_DELETE = "chat.delete"  # the agent deleted an answer
    CHAT_EXPORT = "chat.export"  # a copy of their data, made when it is sent
    CHAT_REACTION = "chat.reaction"  # the emoji an agent put on a customer's message, or none any more
    CHAT_ANSWER = "chat.answer"  # the word that shows up where a customer tapped a button

    @property
    def to_customer(self) -> bool:
        """True when a customer will see it."""
        return self.value.startswith("chat.")


ANSWER_KINDS = (DeliveryKind.CHAT_TEXT, DeliveryKind.CHAT_FILE)
"""What an agent's answer is sent as."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One row for the outbox: names what to send, never holds its text.

    `lane` keeps order per destination; `bucket` is the rate limit it counts against ("slack:C1",
    "telegram:<identity>"). `urgency` (0 to 3) chooses between lanes only. `collapse` means that one waiting row of
    this kind in the lane is enough. `idem_key` is unique for all time: the same decision run twice sends once. `data`
    holds ids and words, no personal text. `hold` is how long it waits from its writing on, in real time: so long it can
    be cancelled.
    """

    id: str
    lane: str
    bucket: str
    kind: DeliveryKind
    idem_key: str
    conversation_id: str | None = None
    identity_id: str | None = None
    entry_id: str | None = None
    part: int = 0
    urgency: int = 0
    collapse: bool = False
    not_before: datetime | None = None
    hold: timedelta = timedelta(0)
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settle:
    """A person settles a stopped delivery: send it again (`again`; `plain`: undressed) or take it as arrived.

    `failure` is the entry under which it was asked. That asks no more, whatever becomes of the delivery then.
    """

    outbox_id: str
    again: bool
    plain: bool = False
    failure: str = ""


def settling(outbox_id: str, failure: str) -> str:
    """What the buttons under a failure carry: the delivery, and the entry that says what became of it."""
    return f"{outbox_id}:{failure}"


def settled_by(value: str) -> tuple[str, str]:
    """Read what `settling` wrote; the entry is empty where a button was drawn without it."""
    outbox_id, _, failure = value.partition(":")
    return outbox_id, failure


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """A conversation leaves its thread at the desk for a channel, where a new card begins another.

    `thread` is the root it is to leave, None while its card is not posted yet: then the card goes to `channel`. `ids`
    are for the posts that show again what nobody has answered, and for the questions that are asked anew.
    """

    conversation_id: str
    channel: str
    thread: str | None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ClockRow:
    """A clock as the database keeps it: a cache of `sla.evaluate`, indexed by its next alert.

    `alerts_done` holds the keys of the alerts that were given, so that each is given once per (clock, level, due).
    """

    id: str
    conversation_id: str
    metric: sla.Metric
    instance: int
    state: sla.ClockState
    started_at: datetime
    due_at: datetime | None
    stopped_at: datetime | None
    next_alert_at: datetime | None
    alerts_done: frozenset[str] = frozenset()
    excused_by: str | None = None  # who excused its breach, which stays one all the same


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxRef:
    """An outbox row as a handler may see it. `sending_at` is when it was last handed to its platform (real time)."""

    id: str
    kind: DeliveryKind
    lane: str
    state: str
    entry_id: str | None
    part: int
    attempts: int = 0
    sending_at: datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """Where a timeline entry ended up on a platform: `platform_id` is the message's id there.

    `side` is "desk" or "chat"; `place` the channel or chat address (desk only, empty for chats: it is personal).
    """

    entry_id: str
    side: str
    part: int
    place: str
    platform_id: str
    outbox_id: str = ""
    at: datetime | None = None
    signed: str | None = None  # the name above it, where it shows one


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """All a decision may look at, loaded before it: nothing is looked up while deciding.

    `lane` is the inbox lane of the event. `conversation` is the newest one of this identity (open or not). `window`
    holds the newest customer entries nobody has answered, oldest first. `history` are the SLA events so far. `known`
    maps platform ids named by the event to entries. `read` are the messages that the newest assessment read, where the
    event needs their words. `posted` says, where the event needs it, in which post at the desk each message of the
    window stands: empty words for one that waits to be posted, none for one that is being posted now.
    """

    lane: str = ""
    customer: Customer | None = None
    identity: Identity | None = None
    conversation: Conversation | None = None
    window: tuple[Entry, ...] = ()
    history: tuple[sla.SlaEvent, ...] = ()
    clocks: tuple[ClockRow, ...] = ()
    agent: Agent | None = None
    team: tuple[Agent, ...] = ()
    known: Mapping[str, Entry] = field(default_factory=dict)
    other: Situation | None = None  # of a second conversation: an action names it, or this one was joined into it
    elsewhere: bool = False  # the event came from a thread that the conversation has left
    deliveries: tuple[Delivered, ...] = ()
    outbox: tuple[OutboxRef, ...] = ()
    read: tuple[Entry, ...] = ()
    reactions: tuple[Entry, ...] = ()  # agents' emoji so far, where the event is one
    everyone: tuple[Identity, ...] = ()  # in the chat that has a new address
    posted: Mapping[str, str] | None = None
    said: tuple[Entry, ...] = ()  # all that the person wrote in any chat and how they changed it, where it is needed
    held: tuple[Entry, ...] = ()  # lines that are kept inside and asked about, where the event needs them
    reached: tuple[str, ...] = ()  # a customer of each person who is known by a phone number or e-mail that was named
    unheard: tuple[tuple[ContactKind, str], ...] = ()  # of these numbers and e-mails what nobody is known by
    automatic: frozenset[str] = frozenset()  # the fixed texts sent in it so far, where the event needs them
    leaving: frozenset[str] = frozenset()  # answers of it that are on their way, where the event needs them
    unclear: frozenset[str] = frozenset()  # of these what nobody knows of whether it arrived
    settled: frozenset[str] = frozenset()  # answers of which this very batch has said that they end, or leave again
    answer: Entry | None = None  # the line of the delivery that the event names
    begun: str | None = None  # the words with which a colleague began the conversation in this very batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What a decision changes. Empty is a valid decision: nothing to do.

    `conversation` carries the version it was loaded with (-1 for a new one); storage writes version + 1 if and only if
    that version still stands. `cancel` are outbox rows that are not to be sent: if one of them has begun to be sent,
    the whole decision is undone and made again on the newest state. `clocks` replaces all clocks of the conversation.
    `audit` are (action, object, detail) of reads, refusals and administrative acts. `labels` teach the classifier.
    `reason` is a stable word for logs and metrics.
    """

    reason: str
    customer: Customer | None = None
    identity: Identity | None = None
    conversation: Conversation | None = None
    entries: tuple[Entry, ...] = ()
    outbox: tuple[Outgoing, ...] = ()
    cancel: tuple[str, ...] = ()
    settle: tuple[Settle, ...] = ()
    clocks: tuple[ClockRow, ...] | None = None
    move: Move | None = None
    also: tuple[Changes, ...] = ()  # of other conversations, written with it or not at all
    agent: Agent | None = None
    audit: tuple[tuple[str, str, str], ...] = ()
    labels: tuple[Labelled, ...] = ()
    cases: tuple[Case, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    moved: tuple[Identity, ...] = ()  # those in one chat, at its new address
    said: tuple[Said, ...] = ()  # what a customer's profile holds from now on
    contacts: tuple[ContactPoint, ...] = ()  # noted, or noted again; one of a value each
    enters: bool = False  # the customer is entered with these, which nobody has: not at all where somebody now does
    checked: tuple[Checked, ...] = ()
    links: tuple[LinkChange, ...] = ()  # who is one person with whom


_CUSTOMERS = (EntryKind.INCOMING, EntryKind.INCOMING_EDIT)


def ended(entries: Iterable[Entry]) -> set[str]:
    """The answers that are not on their way any more, as these lines say: called back or changed before they left,
    arrived as a whole, or failed.
    """
    found = set[str]()
    for one in entries:
        found |= {str(one.data[name]) for name in ("undone", "called_back") if name in one.data}
        if one.kind is EntryKind.OUTGOING and "edit_of" in one.data:  # it leaves in its place; a later one follows it
            found.add(str(one.data["edit_of"]))
        has_arrived = one.kind is EntryKind.DELIVERED and one.data.get("sla") == sla.EventKind.AGENT_REPLY.value
        has_failed = one.kind is EntryKind.NOT_DELIVERED and one.data.get("state") == Reach.FAILED.value
        if has_arrived or has_failed:
            found.add(str(one.data.get("of")))
    return found


RETRY: Final = "retry"
"""What the line says of where an answer goes that is sent again by hand."""


def sent_again(entries: Iterable[Entry]) -> set[str]:
    """The answers that are on their way again, as these lines say."""
    return {str(one.data.get("of")) for one in entries if one.kind is EntryKind.STATUS and one.data.get("to") == RETRY}


def apply(situation: Situation, changes: Changes, history: tuple[sla.SlaEvent, ...] | None = None) -> Situation:
    """The situation the next decision of the same lane sees, before anything is written; so with a second conversation.

    The conversation's version moves on by one, exactly as storage will write it.
    """
    conversation = changes.conversation
    if conversation is not None:
        conversation = replace(conversation, version=conversation.version + 1)
    current = conversation or situation.conversation
    window = situation.window + tuple(e for e in changes.entries if e.kind is EntryKind.INCOMING)
    if current is None or current.unanswered_since is None:
        window = ()
    elif situation.conversation is None or current.id != situation.conversation.id:
        window = tuple(e for e in window if e.conversation_id == current.id)
    fresh = situation.conversation is None or (current is not None and current.id != situation.conversation.id)
    kept = () if fresh else situation.history
    known = {**situation.known, **{e.platform_id: e for e in changes.entries if e.platform_id}}
    automatic = frozenset(str(e.data.get("text")) for e in changes.entries if e.kind is EntryKind.AUTOMATIC)
    first = next((e.body for e in changes.entries if e.kind is EntryKind.OUTGOING), None)
    over, resent = ended(changes.entries), sent_again(changes.entries)
    other = situation.other
    for more in changes.also:
        if other is not None and _is_about(more, other):
            other = apply(other, more)
    return replace(
        situation,
        other=other,
        customer=changes.customer or situation.customer,
        identity=changes.identity or situation.identity,
        conversation=current,
        window=window,
        history=history if history is not None else kept + events_of(changes.entries),
        clocks=changes.clocks if changes.clocks is not None else (() if fresh else situation.clocks),
        agent=changes.agent or situation.agent,
        known=known,
        said=situation.said + tuple(e for e in changes.entries if e.kind in _CUSTOMERS),
        automatic=automatic if fresh else situation.automatic | automatic,
        leaving=(
            (frozenset() if fresh else situation.leaving)
            | {str(one.entry_id) for one in changes.outbox if one.kind in ANSWER_KINDS}
            | resent
        )
        - over,
        unclear=(frozenset() if fresh else situation.unclear) - over - resent,
        settled=(frozenset() if fresh else situation.settled) | over | resent,
        begun=first if fresh else situation.begun,
        reactions=situation.reactions
        + tuple(e for e in changes.entries if e.kind is EntryKind.REACTION and e.actor.id),
    )


def _is_about(changes: Changes, situation: Situation) -> bool:
    of = situation.conversation
    return of is not None and changes.conversation is not None and changes.conversation.id == of.id


def events_of(entries: tuple[Entry, ...]) -> tuple[sla.SlaEvent, ...]:
    """The SLA events that these timeline entries are, in their order."""
    found = (event_of(entry) for entry in entries)
    return tuple(event for event in found if event is not None)


def event_of(entry: Entry) -> sla.SlaEvent | None:
    """One timeline entry as an SLA event, or None when no clock cares for it."""
    return event_told(entry.id, entry.at, entry.data)


def event_told(identity: str, at: datetime, data: Mapping[str, Any]) -> sla.SlaEvent | None:
    """The same, of an entry of which nothing but its id, its time and its data was read."""
    kind = data.get("sla")
    if not isinstance(kind, str):
        return None
    of = str(data.get("first") or data.get("of", "")) if kind == sla.EventKind.AGENT_REPLY else ""
    value = data.get("reason") if kind == sla.EventKind.REOPENED else data.get("to")
    counted, late = counts_at(at, data), "counts_from" in data
    return sla.SlaEvent(id=identity, at=counted, kind=sla.EventKind(kind), value=value, of=of, late=late)


def counts_at(at: datetime, data: Mapping[str, Any]) -> datetime:
    """The moment at which a timeline entry of `at` counts for clocks: its own, or the later one that it names."""
    later = data.get("counts_from")
    return at if later is None else datetime.fromisoformat(later)
