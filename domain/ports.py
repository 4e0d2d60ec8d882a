"""The protocols between the rooms: what a chat channel, a desk and an intake promise."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from domain.cases import Case
from domain.changes import ClockRow, DeliveryKind
from domain.contacts import ContactPoint
from domain.events import Event, Ignored
from domain.facts import Fact
from domain.formatting import Span
from domain.links import Suspect
from domain.model import Attachment, Conversation, Entry, Identity
from domain.profile import Value


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """What an adapter hands over before it acknowledges: the raw payload and its keys.

    `source` names the configured account ("telegram", "slack"); `event_key` is the platform's own key of the event,
    unique within the source; `lane_key` is what must stay in order. `thread` (channel, ts) lets intake put a desk
    event into the lane of its conversation. `position` orders events of one source within their lane where the
    platform promises no order of delivery (a Slack ts), and `settle_s` is how long to wait for an earlier one. Keys
    are stored as keyed hashes, `payload` (JSON text) encrypted.
    """

    source: str
    event_key: str
    lane_key: str
    payload: str
    kind: str = ""
    thread: tuple[str, str] | None = None
    position: float | None = None
    settle_s: float = 0.0


Accept = Callable[[Sequence[Arrival]], Awaitable[int]]
"""Stores arrivals durably and returns how many were new. Once it returns, the platform may be told; never before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The platform's answer to a delivery: its id and its time (aware, UTC).

    Several messages that are one delivery (an album) have one id: the first one's number, then what the channel needs
    to find the others, behind a dot.
    """

    platform_id: str
    at: datetime
    place: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What a chat platform can carry. Lengths in UTF-16 units, sizes in bytes, None where there is no limit."""

    text_limit: int
    caption_limit: int
    edits: bool
    deletes: bool
    buttons: bool
    files: bool
    download_limit: int | None
    upload_limit: int | None


Download = Callable[[], AsyncIterator[bytes]]
"""Opens a stream of a file's bytes; raises a DeliveryError when it cannot be had."""


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file on its way through us: never on disk in the clear, never held longer than its sending.

    `kind` is what it is to be shown as ("voice", say), where that is not to be told from its type.
    """

    name: str
    mime: str
    size: int | None
    open: Download
    kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A button under a message: what it says, and what it carries back (at most 64 bytes)."""

    text: str
    choice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatDelivery:
    """One thing to send to a customer, rendered. `message_id` is set for an edit or a deletion.

    `spans` say how the text is dressed; a channel that cannot dress it sends the text as it is, which says the same.
    `topic` is the part of the chat where it goes. `ask_contact` is what a button says with which the customer
    shares their own phone number, where the platform has such a thing. `buttons` are rows of buttons under it; a
    channel without buttons leaves them out. `query_id` is the tap that an answer is for. `file` and `files`
    (several, sent as one) come with the text as their caption. `more` says that another part of the same answer
    follows.
    """

    id: str
    kind: DeliveryKind
    address: str
    text: str = ""
    reply_to: str | None = None
    message_id: str | None = None
    file: File | None = None
    buttons: tuple[tuple[Button, ...], ...] = ()
    query_id: str | None = None
    spans: tuple[Span, ...] = ()
    ask_contact: str | None = None
    files: tuple[File, ...] = ()
    more: bool = False
    topic: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One check of `doctor`: what was found, and what to do about it when it is not well."""

    name: str
    ok: bool
    found: str
    fix: str = ""


class Channel(Protocol):
    """A configured account on a chat platform. One file in bot/channels implements it."""

    @property
    def name(self) -> str:
        """The configured account's name; also `Arrival.source`."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What this platform can carry."""
        ...

    async def run(self, accept: Accept) -> None:
        """Take messages in until cancelled: each batch is acknowledged only after `accept` has returned."""
        ...

    def parse(self, payload: str) -> Event | Ignored:
        """Read a stored payload. Raises MalformedEvent with a reason."""
        ...

    async def send(self, delivery: ChatDelivery) -> Receipt:
        """Send one delivery. Raises a DeliveryError that says what must happen next."""
        ...

    def show_typing(self, address: str) -> None:
        """Show the customer that an answer is on its way, where the platform can. Never waits, never fails."""
        ...

    async def open_file(self, attachment: Attachment) -> File:
        """A customer's file, to be streamed on. Raises NeverPossible when it is too large or gone."""
        ...

    async def probe(self) -> list[Probe]:
        """What `doctor` wants to know."""
        ...

    def last_success_age(self) -> float:
        """Seconds (monotonic) since the platform last answered us; infinity before the first time."""
        ...

    async def close(self) -> None:
        """Release sockets. Idempotent."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class CardView:
    """All a card shows. Texts in it are personal; the desk escapes them for its own markup.

    `guesses` are (intent id, name, confidence) best first; `clock` is the running clock whose deadline comes next;
    `names` translates intent and queue ids into what a person reads.
    """

    conversation: Conversation
    customer_name: str
    channel_title: str
    excerpt: str
    guesses: tuple[tuple[str, str, float], ...] = ()
    intent_name: str | None = None
    confidence: float | None = None
    abstained: bool = False
    doubt: str = ""  # why it abstained, as an assessment says it
    like: tuple[str, str] | None = None  # the nearest example that is nobody's words, and its topic's name
    queue_title: str = ""
    clock: ClockRow | None = None
    clock_overdue: bool = False
    mention: str | None = None
    intents: tuple[tuple[str, str], ...] = ()
    queues: tuple[tuple[str, str], ...] = ()
    backlink: str | None = None
    segments: tuple[str, ...] = ()
    came_about: tuple[str, ...] = ()  # what a link said, as "order 123"
    carried: tuple[Entry, ...] = ()  # messages that stand in the card itself, since it was posted with them
    muted_until: datetime | None = None  # so long nothing that the customer writes is shown
    earlier_thread: str | None = None  # the address of the thread it stood in before, once the desk knows it


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonView:
    """A customer for a colleague's eyes. Texts in it are personal; the desk masks them unless it was told not to.

    `entries` are of all conversations, oldest first; `topics` translates intent ids.
    """

    customer_id: str = ""
    name: str
    language: str | None
    since: datetime
    identities: tuple[Identity, ...] = ()
    segments: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    consents: Mapping[str, bool] = field(default_factory=dict)
    conversations: tuple[Conversation, ...] = ()
    entries: tuple[Entry, ...] = ()
    topics: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)  # what chat channels are called
    profile: Mapping[str, str] = field(default_factory=dict)
    corrected: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)  # what was said before and is so no more
    fields: tuple[str, ...] = ()  # what a profile can hold
    contacts: tuple[ContactPoint, ...] = ()
    due: frozenset[str] = frozenset()  # the ids of those that nobody made sure of for too long
    links: tuple[tuple[str, str, str], ...] = ()  # customers who are this person: both ids, and the other's name
    suspects: tuple[tuple[Suspect, str], ...] = ()  # who may be, with the other's name
    facts: tuple[Fact, ...] = ()  # what happened elsewhere
    former: tuple[str, ...] = ()  # names their chats had before
    ratings: Mapping[str, str] = field(default_factory=dict)  # how they said it was, by conversation
    members: tuple[str, ...] = ()  # the customers who stand on it as one, whose it is first


@dataclass(frozen=True, kw_only=True, slots=True)
class DeskDelivery:
    """One thing to show at the desk, with the newest state at the moment of sending.

    `place` is the desk channel; `thread_ts` the root post when it exists; `message_ts` the post to change. `text_key`
    and `data` name a fixed text and its values for whispers and notices. `language` is that of whoever reads it.
    """

    id: str
    kind: DeliveryKind
    place: str
    thread_ts: str | None = None
    message_ts: str | None = None
    card: CardView | None = None
    entry: Entry | None = None
    earlier: Entry | None = None
    file: File | None = None
    part: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    case: Case | None = None
    person: PersonView | None = None
    company: tuple[Entry, ...] = ()  # what stands in the same post, behind `entry`
    joined: tuple[str, ...] = ()  # the ids of their deliveries
    told: tuple[Entry, ...] = ()  # for the line about a thread's alerts: what was said of its clocks,
    clocks: tuple[ClockRow, ...] = ()  # and how they stand
    history: tuple[Entry, ...] = ()  # what was said before, where a thread begins in the middle of it
    line_ts: str | None = None  # the line about it, where it stands already and is changed
    language: str = "en"


@dataclass(frozen=True, kw_only=True, slots=True)
class HookDelivery:
    """One signed call to a service of the company. `body` holds ids, words and times, no personal text."""

    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ThreadCursor:
    """An open thread and the newest agent post of it that we have stored, for gap filling."""

    place: str
    thread_ts: str
    newest_ts: str


class Desk(Protocol):
    """Where agents work. One folder in bot/ implements it."""

    async def run(self, accept: Accept) -> None:
        """Take events in until cancelled: each is acknowledged only after `accept` has returned."""
        ...

    async def parse(self, payload: str) -> Event | Ignored:
        """Read a stored payload. Raises MalformedEvent with a reason."""
        ...

    async def deliver(self, delivery: DeskDelivery) -> Receipt:
        """Show one delivery. Raises a DeliveryError that says what must happen next."""
        ...

    async def find(self, delivery: DeskDelivery, since: datetime) -> Receipt | None:
        """Look a delivery up by its id after an unclear outcome; None means it certainly is not there.

        Raises RetryLater when the platform cannot be asked now.
        """
        ...

    async def missed(self, threads: Sequence[ThreadCursor], accept: Accept) -> int:
        """Fetch what was written in open threads while we were not listening; returns how many were new."""
        ...

    async def roles_of(self, agent_id: str) -> frozenset[str]:
        """The roles of a desk user, from config.yaml's users and user groups (cached)."""
        ...

    async def language_of(self, agent_id: str) -> str | None:
        """The language in which somebody reads the desk; None where nobody can say now."""
        ...

    async def name_of(self, agent_id: str) -> str | None:
        """The name somebody has at the desk; None where nobody can say now."""
        ...

    async def open_file(self, attachment: Attachment) -> File:
        """An agent's file, to be streamed on."""
        ...

    async def probe(self) -> list[Probe]:
        """What `doctor` wants to know."""
        ...

    def last_success_age(self) -> float:
        """Seconds (monotonic) since the platform last answered us; infinity before the first time."""
        ...

    async def close(self) -> None:
        """Release sockets. Idempotent."""
        ...
