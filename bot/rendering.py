"""From an outbox row to what is sent: looked up and rendered at the moment of sending, from the newest state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot import masking, times
from bot.batcher import Batcher
from bot.cards import Cards, Like
from bot.chats import Chats
from bot.deadlines import Deadlines
from bot.desk import words
from bot.fixed import FixedTexts
from bot.ids import new_id
from bot.lines import Lines
from bot.notices import Notices
from bot.pace import Pace
from bot.persons import Persons
from bot.shown import is_inside, posted_at, to_a_person
from bot.signing import Signing
from bot.unsent import NothingToSend, NotReady, still_asked, still_due
from domain.cases import Case
from domain.changes import Changes, Delivered, DeliveryKind
from domain.errors import NeverPossible, UnknownPerson
from domain.events import WRITTEN
from domain.model import Conversation, Customer, Entry, EntryKind, Identity, Thread
from domain.ports import CardView, Channel, ChatDelivery, Desk, DeskDelivery, HookDelivery
from domain.rulebook import Rulebook
from storage import flush
from storage.attachments import Attachments
from storage.cases import Cases
from storage.clocks import Clocks
from storage.contacts import Contacts
from storage.database import Database
from storage.dossier import Dossiers
from storage.links import Links
from storage.outbox import Waiting
from storage.record import Record
from storage.signing import Signatures
from storage.stretches import Stretches
from storage.views import View, Views

PERSONAL = frozenset(
    {DeliveryKind.DESK_WHISPER, DeliveryKind.DESK_PERSON, DeliveryKind.DESK_HOME, DeliveryKind.DESK_TRANSCRIPT}
)
"""Kinds that one person alone sees."""
MEND = "`relaydesk doctor` says what to do. What waits is kept, and goes out in order once it is mended."
FILE_IDS = "A"
"""Ids of posts are times; those of files begin with a letter."""
ABOUT = (EntryKind.NOT_DELIVERED, EntryKind.REACTION, EntryKind.HELD)
"""What is said about a message, and shows it."""
VIEWED = frozenset(
    {
        DeliveryKind.DESK_CARD,
        DeliveryKind.DESK_UPDATE,
        DeliveryKind.DESK_ENTRY,
        DeliveryKind.DESK_EDIT,
        DeliveryKind.DESK_FILE,
        DeliveryKind.DESK_REACTION,
        DeliveryKind.DESK_ALERT,
        DeliveryKind.DESK_STATUS,
        DeliveryKind.DESK_MOVED,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a card will show once it is posted: its place and its version."""

    place: str
    thread_ts: str | None
    version: int


class Renderer:
    """Looks up what a row names and makes the delivery of it."""

    def __init__(
        self,
        *,
        database: Database,
        record: Record,
        views: Views,
        channels: Mapping[str, Channel],
        desk: Desk,
        rules: Rulebook,
        clock: times.Timekeeper,
        languages: Sequence[str],
        notices: Notices | None = None,
        dossiers: Dossiers,
        attachments: Attachments,
        cases: Cases,
        contacts: Contacts | None = None,
        links: Links | None = None,
        why: Callable[[str], Awaitable[Mapping[str, str]]] | None = None,
        like: Like | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._db = database
        self._record = record
        self._channels = channels
        self._desk = desk
        self._rules = rules
        self._clock = clock
        self._deadlines = deadlines  # answers what is asked about deadlines
        self._why = why  # says why a conversation was sorted as it was, in the words of the text "why"
        self._cards = Cards(rules, clock.now, like)
        self._views: Batcher[View] = Batcher(views.load)
        self._standing = views.standing
        self._entries: Batcher[Entry] = Batcher(record.entries)
        self._edge = masking.Edge(rules=rules, views=self._views, entries=self._entries)
        self._identities: Batcher[Identity] = Batcher(views.identities)
        self._attachments = attachments
        self._cases: Batcher[Case] = Batcher(cases.by_id)
        self._persons = Persons(
            database=database,
            dossiers=dossiers,
            record=record,
            rules=rules,
            now=clock.now,
            topic=self._cards.topic,
            links=links,
        )
        self._customers: Batcher[Customer] = Batcher(views.customers)
        self._delivered: Batcher[list[Delivered]] = Batcher(record.delivered)
        self._signing = Signing(
            rules=rules,
            languages=tuple(languages),
            name_of=desk.name_of,
            shown=Signatures(database),
            now=clock.now,
        )
        self._chats = Chats(
            identities=self._identities,
            entries=self._entries,
            channels=channels,
            desk=desk,
            attachments=attachments,
            dossiers=dossiers,
            fixed=FixedTexts(
                notices=notices or Notices(languages=tuple(languages)),
                languages=tuple(languages),
                customer=self._customers.get,
                now=clock.now,
                contacts=contacts,
            ),
            signing=self._signing,
            delivered=self._delivered,
            now=clock.now,
        )
        self._alerts: Batcher[list[Entry]] = Batcher(Clocks(database).alerts)
        self._shown: dict[str, Shown] = {}
        self._pace = Pace()
        self._lines = Lines(Stretches(database), self._entries, self._delivered, views.said_lately, views.worded)

    async def render(self, row: Waiting, company: Sequence[Waiting] = ()) -> DeskDelivery | ChatDelivery | HookDelivery:
        """The delivery of a row, with those that go out in the same post. Raises NotReady or NothingToSend."""
        if row.kind.to_customer:
            return await self._chats.delivery(row)
        if row.kind is DeliveryKind.HOOK_ALERT:
            return await self._hook(row)
        if row.kind in VIEWED:
            made = await self._thread(row, company)
            self._pace.gather(row, made.card, times.steady())
            with words.reading(await self._language_in(row, made.card, made.entry), self._rules.desk_language):
                return replace(self._edge.delivery(made), language=words.language_now())
        with words.reading(await self._language_of(row), self._rules.desk_language):
            return replace(await self._told(row), language=words.language_now())

    async def _language_of(self, row: Waiting) -> str | None:
        """The language of the one person who sees it; None for what stands in a channel."""
        if row.kind not in PERSONAL:
            return None
        return await self._desk.language_of(str(row.data.get("user") or row.data["place"]))

    async def _language_in(self, row: Waiting, of: CardView | View | None, entry: Entry | None) -> str | None:
        """That of a queue's channels, of the one a conversation has left there; an alert to somebody in their own."""
        if row.kind is DeliveryKind.DESK_ALERT and to_a_person(row):
            return await self._desk.language_of(str(row.data["place"]))
        if row.kind is DeliveryKind.DESK_MOVED and entry is not None:
            return self._rules.language_of(str(entry.data.get("from")))
        return None if of is None else self._rules.language_of(of.conversation.queue)

    async def _told(self, row: Waiting) -> DeskDelivery:
        if row.kind is DeliveryKind.DESK_PERSON:
            return await self._person(row)
        if row.kind is DeliveryKind.DESK_CASE:
            return await self._case(row)
        data = row.data
        if data.get("text") == "copy":
            told = await self._entries.get(str(data.get("entry")))
            data = {**data, "body": told.body if told else ""}
        said: tuple[Entry, ...] = ()
        done: Entry | None = None
        if row.kind is DeliveryKind.DESK_TRANSCRIPT:
            whole = await self._record.timeline(str(row.conversation_id))
            said = await self._edge.transcript(str(row.conversation_id), whole)
            data = {**data, "titles": self._cards.titles()}
        if data.get("text") == "command_done" and "entry" in data:
            done = await self._entries.get(str(data["entry"]))
            data = {**data, "titles": self._cards.titles()}
        if data.get("text") == "why" and self._why is not None:
            data = await self._edge.because(data, self._why)
        if data.get("text") == "undo_signed":
            data = await self._signing.announced(data)
        if data.get("text") == "revealed":
            data = await self._edge.revealed(data)
        if data.get("text") in ("why_then", "deadlines") and self._deadlines is not None:
            data = {**data, **await self._deadlines.answer(data)}
        return DeskDelivery(
            id=row.id,
            kind=row.kind,
            place=str(row.data["place"]),
            thread_ts=row.data.get("thread"),
            data=data,
            history=said,
            entry=done,
        )

    def shown(self, row: Waiting) -> Shown | None:
        """What the card showed when it was rendered, for the receipt; once. The row is settled then."""
        self._chats.settled(row)
        return self._shown.pop(row.id, None)

    def channel_of(self, row: Waiting) -> str:
        """The chat channel a rendered row goes through."""
        return self._chats.channel_of(row)

    def signed(self, row: Waiting) -> str | None:
        """Under which name a rendered row stands in the customer's copy, by its key; None where it shows none."""
        return self._chats.signed(row)

    async def rekey(self, row: Waiting, address: str) -> None:
        """The platform gave the chat a new address: remember it before anything is sent there."""
        identity = await self._identities.get(str(row.identity_id))
        if identity is not None:
            changes = Changes(reason="moved", identity=replace(identity, address=address))
            now = times.real()
            prepared = await self._record.prepare([flush.Decision(id=new_id(), changes=changes)], now)
            await self._db.write(lambda conn: flush.write(conn, prepared, self._record.audit_key))

    # ---- the desk -------------------------------------------------------------------------------------------

    async def _thread(self, row: Waiting, company: Sequence[Waiting]) -> DeskDelivery:
        view, entry = await self._looked_up(row)
        others = await self._entries_of(company) if company else ()
        if view is None:
            raise NothingToSend("conversation_gone")
        conversation = view.conversation
        thread = conversation.thread
        with words.reading(await self._language_in(row, view, entry), self._rules.desk_language):
            card = await self._cards.of(view)
        if row.kind is DeliveryKind.DESK_CARD:
            self._shown[row.id] = Shown(place=thread.channel, thread_ts=None, version=conversation.version)
            joined = tuple(one.id for one in company)
            shown = replace(card, carried=others, mention=None if row.data.get("history") else card.mention)
            return DeskDelivery(id=row.id, kind=row.kind, place=thread.channel, card=shown, joined=joined)
        if thread.ts is None:
            raise NotReady
        if row.kind is DeliveryKind.DESK_UPDATE:
            if view.card_version >= conversation.version:
                raise NothingToSend("already_shown")
            self._shown[row.id] = Shown(place=thread.channel, thread_ts=thread.ts, version=conversation.version)
            return DeskDelivery(
                id=row.id, kind=row.kind, place=thread.channel, thread_ts=thread.ts, message_ts=thread.ts, card=card
            )
        delivery = DeskDelivery(
            id=row.id, kind=row.kind, place=thread.channel, thread_ts=thread.ts, card=card, part=row.part, data=row.data
        )
        if row.kind is DeliveryKind.DESK_REACTION:
            ts = await self._post_of(str(row.data["ts"]))
            data = {**row.data, "ts": ts}
            place = str(row.data.get("place") or await self._said_in(conversation, ts))
            return replace(delivery, message_ts=ts, place=place, data=data)
        if row.kind is DeliveryKind.DESK_STATUS:
            return await self._status(delivery, view)
        if entry is None:
            raise NothingToSend("entry_gone")
        still_asked(entry, view)
        delivery = replace(delivery, entry=entry, company=others, joined=tuple(one.id for one in company))
        if row.kind is DeliveryKind.DESK_ALERT:
            still_due(entry, view)
            data = {**row.data, "language": self._rules.language_of(conversation.queue)}  # of the fallback channel
            place = thread.channel if is_inside(row) else str(row.data["place"])  # the thread's as it is now
            return replace(delivery, place=place, data=data)
        if entry.kind in ABOUT:
            return await self._about(delivery, entry, row)
        if row.data.get("anew") and await self._stands_in(thread, entry):
            raise NothingToSend("already_shown")
        if row.kind is DeliveryKind.DESK_EDIT:
            return await self._edit(delivery, entry, row)
        if row.kind is DeliveryKind.DESK_FILE:
            return await self._with_file(delivery, entry, conversation.channel)
        return await self._moved(delivery, entry, view)

    async def _about(self, delivery: DeskDelivery, entry: Entry, row: Waiting) -> DeskDelivery:
        """What is about a message, with that message; a question about a line where it stands, with the line as it
        is now.
        """
        if entry.kind is EntryKind.REACTION:
            return await self._lines.reactions(delivery, entry, is_sought=row.unclear)
        about = await self._entries.get(str(delivery.data.get("line") or entry.data.get("of", "")))
        if delivery.kind is not DeliveryKind.DESK_EDIT:
            return replace(delivery, earlier=about)
        if "stood" in delivery.data:
            place, ts = delivery.data["stood"]
            return replace(delivery, earlier=about, place=str(place), message_ts=str(ts))
        posts = [one for one in await self._delivered.get(entry.id) or [] if one.side == "desk"]
        # Asked anew where the conversation goes on, it stands there, too; what stood before leads there and no more.
        here = [one for one in posts if one.place == delivery.place and one.platform_id >= str(delivery.thread_ts)]
        post = max(here or posts, key=posted_at, default=None)
        if post is None:
            raise NothingToSend("was_not_asked")
        return replace(delivery, earlier=about, place=post.place, message_ts=post.platform_id)

    async def _stands_in(self, thread: Thread, entry: Entry) -> bool:
        """Whether a message stands in this thread: its post was on its way when the thread was begun anew."""
        posts = await self._delivered.get(entry.id) or []
        return any(
            post.side == "desk" and post.place == thread.channel and str(thread.ts) <= post.platform_id < FILE_IDS
            for post in posts
        )

    async def _moved(self, delivery: DeskDelivery, entry: Entry, view: View) -> DeskDelivery:
        """What is said where a conversation was, and what begins the thread it goes on in; anything else as it is."""
        if delivery.kind is DeliveryKind.DESK_MOVED:
            old = str(delivery.data["thread"])
            return replace(delivery, place=str(delivery.data["place"]), thread_ts=old, message_ts=old)
        if entry.kind is EntryKind.JOINED:
            joined = await self._record.said_before(str(entry.data["of"]), self._clock.now())
            return replace(delivery, history=await self._edge.before(str(entry.data["of"]), joined))
        if not entry.data.get("moved_from"):
            return delivery
        said = await self._record.said_before(view.conversation.id, view.conversation.unanswered_since or entry.at)
        return replace(delivery, history=tuple(said))

    async def _with_file(self, delivery: DeskDelivery, entry: Entry, channel: str) -> DeskDelivery:
        """An attachment with its bytes; with the reason where they cannot be had."""
        try:
            file = await self._attachments.through(entry, delivery.part, self._channels[channel].open_file)
        except NeverPossible as error:
            return replace(delivery, data={**delivery.data, "reason": error.code})
        return replace(delivery, file=file)

    async def _post_of(self, ts: str) -> str:
        """Where an echo goes: on the agent's own post, or on ours that shows what was written in a window."""
        if not ts.startswith(WRITTEN):
            return ts
        posts = await self._delivered.get(ts.removeprefix(WRITTEN)) or []
        post = next((one for one in posts if one.side == "desk"), None)
        if post is None:
            raise NotReady
        return post.platform_id

    async def _said_in(self, conversation: Conversation, ts: str) -> str:
        """The channel of an agent's message: what is older than the root was written in a thread before."""
        thread = conversation.thread
        if thread.ts is None or ts >= thread.ts:
            return thread.channel
        return await self._record.stood_in(conversation.id, ts) or thread.channel

    async def _looked_up(self, row: Waiting) -> tuple[View | None, Entry | None]:
        """The conversation, and the timeline entry where the row names one: both at once."""
        view = self._views.get(str(row.conversation_id))
        if row.entry_id is None:
            return await view, None
        return await asyncio.gather(view, self._entries.get(row.entry_id))

    async def _entries_of(self, company: Sequence[Waiting]) -> tuple[Entry, ...]:
        found = await asyncio.gather(*(self._entries.get(str(one.entry_id)) for one in company))
        if any(entry is None for entry in found):  # each by itself, then
            raise NothingToSend("entry_gone")
        return tuple(entry for entry in found if entry is not None)

    async def _edit(self, delivery: DeskDelivery, entry: Entry, row: Waiting) -> DeskDelivery:
        """A change of a message, with all that stands in the post that is to be changed."""
        if "settled" in row.data:
            return await self._settled(delivery, entry)
        original = str(entry.data.get("of", ""))
        delivery = await self._lines.edit(delivery, entry, is_sought=row.unclear)
        posts = await self._delivered.get(original) or []
        post = next((d for d in posts if d.side == "desk" and d.part == 0), None)
        if post is None:
            return delivery
        standing = await self._standing(post.place, post.platform_id)
        return replace(delivery, message_ts=post.platform_id, company=tuple(standing))

    async def _settled(self, delivery: DeskDelivery, entry: Entry) -> DeskDelivery:
        """The line about a delivery that did not arrive, with what somebody said is to become of it."""
        failure = await self._record.failure(entry, str(delivery.data["settled"]))
        posts = [one for one in await self._delivered.get(failure.id) or [] if one.side == "desk"] if failure else []
        post = max(posts, key=posted_at, default=None)
        if failure is None or post is None:
            raise NothingToSend("was_not_shown")
        return replace(delivery, entry=failure, told=(entry,), place=post.place, message_ts=post.platform_id)

    async def _status(self, delivery: DeskDelivery, view: View) -> DeskDelivery:
        """The one line of a thread about its alerts: changed where it stands, posted where it is not there yet."""
        of = view.conversation.id
        told = (await self._alerts.get(of)) or []
        posts = await self._delivered.get(of) or []
        # The newest: a line that somebody deleted was posted anew.
        line = max((post for post in posts if post.side == "desk" and post.at), key=posted_at, default=None)
        return replace(delivery, told=tuple(told), clocks=view.clocks, message_ts=line.platform_id if line else None)

    async def _person(self, row: Waiting) -> DeskDelivery:
        """A customer's card from what is kept now; who asked was checked and audited when it was decided."""
        base = DeskDelivery(
            id=row.id, kind=row.kind, place=str(row.data["place"]), thread_ts=row.data.get("thread"), data=row.data
        )
        try:
            return replace(base, person=await self._persons.asked_for(row.id, row.data))
        except UnknownPerson:
            told = {**row.data, "text": "customer_unknown"}
            return replace(base, kind=DeliveryKind.DESK_WHISPER, data=told)

    async def _case(self, row: Waiting) -> DeskDelivery:
        case = await self._cases.get(str(row.entry_id))
        if case is None:  # one of the same kind was open already
            raise NothingToSend("case_gone")
        posts = await self._delivered.get(case.id) or []
        post = next((one for one in posts if one.side == "desk"), None)
        place = str(row.data["place"])
        if not place:
            raise NothingToSend("no_channel")
        return DeskDelivery(
            id=row.id,
            kind=row.kind,
            place=post.place if post else place,
            message_ts=post.platform_id if post else None,
            case=case,
        )

    async def _hook(self, row: Waiting) -> HookDelivery:
        if row.conversation_id is None:  # about the desk itself
            fix = {"fix": MEND} if row.data["event"] == "access_revoked" else {}
            return HookDelivery(id=row.id, body={**row.data, "at": row.created_at.isoformat(), **fix})
        view = await self._views.get(str(row.conversation_id))
        entry = await self._entries.get(str(row.entry_id))
        if view is None or entry is None:
            raise NothingToSend("conversation_gone")
        still_due(entry, view)
        conversation = view.conversation
        names = ("alert", "level", "metric", "due_at", "late")
        return HookDelivery(
            id=row.id,
            body={
                "event": "deadline_alert",
                "conversation": conversation.number,
                "priority": conversation.priority.value,
                "queue": conversation.queue,
                "status": conversation.status.value,
                "assignee": conversation.assignee,
                "at": entry.at.isoformat(),
                **{name: entry.data.get(name) for name in names},
            },
        )
