"""The customer record: load what a batch of decisions needs with one query per table, and look things up."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, Row, String, and_, bindparam, case, func, or_, select, update

from domain.changes import Delivered, Situation
from domain.model import Agent, Conversation, Customer, Entry, EntryKind, Identity
from storage import claims, contacts, digests, flush, inbox, loading, outgoing, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import (
    conversations,
    customers,
    identities,
    maybe_unstamp,
    moved_threads,
    one_of,
    stamp,
    timeline,
    unstamp,
)
from storage.tables import outbox as outbox_table
from storage.wishes import Wanted

# What the desk's own post is the source of: its time is the desk's, not that of its delivery to the customer.
SAID_AT_THE_DESK = and_(
    timeline.c.kind.in_((EntryKind.OUTGOING.value, EntryKind.NOTE.value)), timeline.c.platform_id.is_not(None)
)


SUMMARY = 6
"""So many lines say what a conversation was about, where it goes on in another thread."""
SAID_BEFORE = (
    select(timeline)
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        timeline.c.kind.in_(
            [kind.value for kind in (EntryKind.INCOMING, EntryKind.OUTGOING, EntryKind.NOTE)]  # fixed texts say nothing
        ),
        or_(timeline.c.kind != EntryKind.INCOMING.value, timeline.c.at < bindparam("b_until")),
        loading.NOT_MUTED,
    )
    .order_by(timeline.c.seq.desc())
    .limit(bindparam("b_limit"))
)
_STOOD = (
    select(moved_threads.c.desk_channel)
    .where(moved_threads.c.conversation_id == bindparam("b_id"), moved_threads.c.desk_thread <= bindparam("b_ts"))
    .order_by(moved_threads.c.desk_thread.desc())
    .limit(1)
)
_settled = timeline.alias()
FAILURES = (
    select(timeline)
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        timeline.c.kind == EntryKind.NOT_DELIVERED.value,
        timeline.c.seq < select(_settled.c.seq).where(_settled.c.id == bindparam("b_entry")).scalar_subquery(),
    )
    .order_by(timeline.c.seq.desc())
    .limit(SUMMARY)
)
_ENTRIES = select(timeline).where(timeline.c.id.in_(bindparam("b_ids", expanding=True)))


class Record:
    """Reading and writing the record. Knows keys; hands out values."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    @property
    def audit_key(self) -> bytes:
        """The key that seals audit entries."""
        return self._keys.purpose("audit")

    async def prepare(self, decisions: Sequence[flush.Decision], now: datetime) -> flush.Prepared:
        """Seal what these decisions write (see `flush.prepare`)."""
        prepared = await flush.prepare(decisions, self._keys, now)
        if prepared.checked:
            await flush.add_claims(prepared, await claims.of(self._db, prepared.checked), self._keys)
        if read := prepared.read:  # before the transaction: whoever writes waits for no long look at a customer
            prepared.digests = await self._db.query(lambda conn: digests.of(conn, read))
        return prepared

    async def load(self, wanted: Sequence[Wanted]) -> dict[str, Situation]:
        """Load the situation of each wanted key in one snapshot, one query per table.

        Where a line of a thread is named whose conversation was joined into another, that one is loaded beside it.
        """
        situations = await self._situations(wanted)
        asked = _joined([w for w in wanted if w.thread is not None and w.messages], situations)
        while asked:  # what it was joined into may have been joined in turn, never in a ring: a joined one is over
            others = await self._situations(asked)
            situations |= {key: replace(situations[key], other=other) for key, other in others.items()}
            asked = _joined(asked, others)
        return situations

    async def _situations(self, wanted: Sequence[Wanted]) -> dict[str, Situation]:
        index_key = self._keys.purpose("index")
        named = {w.in_lane: inbox.lane_name(self._keys, *w.in_lane) for w in wanted if w.in_lane is not None}
        got = await self._db.query(lambda conn: loading.read(conn, wanted, index_key, named))
        others = [row for rows in (*got.everyone.values(), *got.words.values()) for row in rows]
        keys = await self._keys.data_keys({row.customer_id for row in (*got.people.values(), *others)}, create=False)
        owners = {row.id: sealing.customer_of(keys.get(row.id), row) for row in got.owners}
        situations: dict[str, Situation] = {}
        for w in wanted:
            conversation = got.chosen[w.key]
            row = got.people.get(w.key)
            key = None if row is None else keys.get(row.customer_id)
            identity = None if row is None else sealing.identity_of(key, row)
            entries = [sealing.entry_of(key, r) for r in got.named.get(w.key, ())]
            answers = got.leaving.get(conversation.id, {}) if conversation and w.leaving else {}
            situations[w.key] = Situation(
                customer=None if row is None else owners.get(row.customer_id),
                identity=identity,
                conversation=conversation,
                window=tuple(sealing.entry_of(key, r) for r in got.window.get(conversation.id, ()))
                if conversation
                else (),
                history=got.history.get(conversation.id, ()) if conversation else (),
                clocks=got.running.get(conversation.id, ()) if conversation else (),
                agent=got.acting.get(w.agent_id, Agent(id=w.agent_id)) if w.agent_id else None,
                team=got.team if w.team else (),
                known={e.platform_id: e for e in entries if e.platform_id},
                elsewhere=_is_elsewhere(w, conversation),
                deliveries=tuple(d for r in got.named.get(w.key, ()) for d in got.sent.get(r.id, ())),
                said=tuple(
                    sealing.entry_of(keys.get(r.customer_id), r) for r in got.words.get(conversation.customer_id, ())
                )
                if conversation and w.said
                else (),
                leaving=frozenset(answers),
                answer=sealing.entry_of(key, got.answers[w.key]) if w.key in got.answers else None,
                unclear=frozenset(answer for answer, is_unclear in answers.items() if is_unclear),
                held=tuple(sealing.entry_of(key, r) for r in got.held.get(conversation.id, ()))
                if conversation and w.held
                else (),
                reached=got.reached[w.key].customers if w.key in got.reached else (),
                unheard=got.reached[w.key].unheard if w.key in got.reached else (),
                posted=_posted(got, conversation) if w.posted and conversation else None,
                outbox=got.refs.get(w.key, ()),
                read=tuple(sealing.entry_of(key, r) for r in got.read.get(conversation.id, ()))
                if conversation and w.read
                else (),
                everyone=tuple(sealing.identity_of(keys.get(r.customer_id), r) for r in got.everyone.get(w.key, ())),
                reactions=tuple(sealing.entry_of(key, r) for r in got.reactions.get(conversation.id, ()))
                if conversation and w.reactions
                else (),
                automatic=got.automatic.get(conversation.id, frozenset()) if conversation else frozenset(),
            )
        return situations

    async def _customers(self, ids: Collection[str], keys: Mapping[str, bytes]) -> dict[str, Customer]:
        if not ids:
            return {}
        async with self._db.read() as conn:
            rows = await conn.execute(select(customers).where(customers.c.id.in_(sorted(ids))))
            return {row.id: sealing.customer_of(keys.get(row.id), row) for row in rows}

    # ---- what the dispatcher shows --------------------------------------------------------------------------

    async def entries(self, ids: Collection[str]) -> dict[str, Entry]:
        """Timeline entries by id, opened."""
        if not ids:
            return {}

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(_ENTRIES, {"b_ids": sorted(ids)})).all()

        rows = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        return {row.id: sealing.entry_of(keys.get(row.customer_id), row) for row in rows}

    async def delivered(self, entry_ids: Collection[str]) -> dict[str, list[Delivered]]:
        """Where these entries ended up, per entry, in order of their parts."""
        return await self._db.query(lambda conn: loading.sent(conn, entry_ids))

    async def stood_in(self, conversation_id: str, ts: str) -> str | None:
        """The channel in which a conversation stood when a message of an earlier thread of it was written."""
        async with self._db.read() as conn:
            return (await conn.execute(_STOOD, {"b_id": conversation_id, "b_ts": ts})).scalar()

    async def failure(self, settled: Entry, outbox_id: str) -> Entry | None:
        """What was settled by an entry: the last line before it about a delivery that did not arrive for certain."""

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(FAILURES, {"b_id": settled.conversation_id, "b_entry": settled.id})).all()

        rows = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        found = (sealing.entry_of(keys.get(row.customer_id), row) for row in rows)
        return next((one for one in found if one.data.get("outbox_id") == outbox_id), None)

    async def by_number(self, number: int) -> Conversation | None:
        """The conversation people call `#number`."""
        async with self._db.read() as conn:
            row = (await conn.execute(select(conversations).where(conversations.c.number == number))).first()
        return None if row is None else sealing.conversation_of(row)

    async def timeline(self, conversation_id: str) -> list[Entry]:
        """The whole timeline of a conversation, in order, opened (a read of a person: the caller audits it)."""
        query = select(timeline).where(timeline.c.conversation_id == conversation_id).order_by(timeline.c.seq)
        async with self._db.read() as conn:
            rows = (await conn.execute(query)).all()
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        return [sealing.entry_of(keys.get(row.customer_id), row) for row in rows]

    async def said_before(self, conversation_id: str, until: datetime, limit: int = SUMMARY) -> list[Entry]:
        """The last things that were said in a conversation, the customer's only before a time; oldest first.

        What they said after it nobody has answered, and stands in a new thread as it is.
        """
        wanted = {"b_id": conversation_id, "b_until": stamp(until), "b_limit": limit}

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(SAID_BEFORE, wanted)).all()

        rows = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        return [sealing.entry_of(keys.get(row.customer_id), row) for row in reversed(rows)]

    async def find_people(self, text: str) -> list[tuple[Customer, list[Identity], int]]:
        """Customers whose whole name, user name, address, phone number or e-mail is `text`.

        Each with identities and number of conversations.
        """
        index = self._keys.purpose("index")
        bare = text.strip().removeprefix("@")
        if not bare:
            return []
        name = sealing.name_mac(index, bare)
        async with self._db.read() as conn:
            channels = (await conn.execute(select(identities.c.channel).distinct())).scalars().all()
            macs = [sealing.address_mac(index, channel, bare) for channel in channels]
            hit = or_(
                identities.c.name_mac == name,
                identities.c.username_mac == name,
                identities.c.address_mac.in_(macs),
                # Our own ids; anything else is looked for by its hash only, whatever characters it holds.
                identities.c.customer_id == (bare if bare.isascii() and bare.isalnum() else ""),
            )
            ids = set((await conn.execute(select(identities.c.customer_id).where(hit))).scalars())
            if points := contacts.macs(index, bare):
                ids |= {row.customer_id for row in await conn.execute(contacts.BY_VALUE, {"b_macs": points})}
        return await self.people(ids)

    async def people(
        self, ids: Collection[str], *, hidden: Collection[str] = ()
    ) -> list[tuple[Customer, list[Identity], int]]:
        """These customers with their identities and how many conversations they had outside `hidden` queues, by id."""
        if not ids:
            return []
        wanted = sorted(ids)

        async def read(conn: Connection) -> tuple[Sequence[Row[Any]], dict[str, int]]:
            rows = (await conn.execute(select(identities).where(identities.c.customer_id.in_(wanted)))).all()
            counted = await conn.execute(
                select(conversations.c.customer_id, func.count())
                .where(conversations.c.customer_id.in_(wanted), conversations.c.queue.not_in(sorted(hidden)))
                .group_by(conversations.c.customer_id)
            )
            return rows, {customer: count for customer, count in counted}

        rows, counts = await self._db.query(read)
        keys = await self._keys.data_keys(wanted, create=False)
        people = await self._customers(wanted, keys)
        return [
            (
                customer,
                [sealing.identity_of(keys.get(identity), row) for row in rows if row.customer_id == identity],
                counts.get(identity, 0),
            )
            for identity, customer in sorted(people.items())
        ]

    async def open_threads(self, limit: int) -> list[tuple[str, str, datetime]]:
        """(desk channel, thread, time of its newest stored post by a person) of open conversations, newest first."""
        newest = (
            select(func.max(timeline.c.at))
            .where(timeline.c.conversation_id == conversations.c.id, SAID_AT_THE_DESK)
            .scalar_subquery()
        )
        query = (
            select(
                conversations.c.desk_channel,
                conversations.c.desk_thread,
                func.coalesce(newest, conversations.c.opened_at).label("newest"),
            )
            .where(conversations.c.desk_thread.is_not(None), loading.IS_OPEN)
            .order_by(conversations.c.opened_at.desc())
            .limit(limit)
        )
        async with self._db.read() as conn:
            return [(r.desk_channel, r.desk_thread, unstamp(r.newest)) for r in await conn.execute(query)]

    async def newest_said(self, conversation_id: str) -> datetime | None:
        """The time of the newest stored post of a person in a conversation's thread, None when nobody has written."""
        query = select(func.max(timeline.c.at)).where(timeline.c.conversation_id == conversation_id, SAID_AT_THE_DESK)
        async with self._db.read() as conn:
            return maybe_unstamp((await conn.execute(query)).scalar())

    async def is_posting_cards(self, place: str) -> bool:
        """True while a card for this desk channel is on its way: its thread may be written in before we know its id."""
        query = select(outbox_table.c.id).where(
            outbox_table.c.kind == "desk.card",
            one_of(outbox_table.c.state, outgoing.OPEN),
            outbox_table.c.bucket == f"slack:{place}",
        )
        async with self._db.read() as conn:
            return (await conn.execute(query.limit(1))).first() is not None

    async def is_posting(self, places: Collection[str], until: datetime) -> bool:
        """True while what was handed over before `until` (real time) may stand in one of these places, a channel or
        somebody's direct messages, without our knowing its id: what people do with it can be heard of first.
        """
        query = select(outbox_table.c.id).where(
            one_of(outbox_table.c.state, outgoing.OPEN),
            outbox_table.c.state != "todo",
            outbox_table.c.sending_at < stamp(until),
            outbox_table.c.bucket.in_([f"slack:{place}" for place in places]),
        )
        async with self._db.read() as conn:
            return (await conn.execute(query.limit(1))).first() is not None

    async def is_thread(self, place: str, thread_ts: str) -> bool:
        """True where a conversation stands in this thread: its card's receipt may have come since it was looked for."""
        query = select(conversations.c.id).where(
            conversations.c.desk_channel == place, conversations.c.desk_thread == thread_ts
        )
        async with self._db.read() as conn:
            return (await conn.execute(query.limit(1))).first() is not None


def _joined(wanted: Sequence[Wanted], found: Mapping[str, Situation]) -> list[Wanted]:
    """Wishes for what the conversations found were joined into, under the same keys."""
    made = []
    for one in wanted:
        conversation = found[one.key].conversation
        if conversation is not None and conversation.merged_into is not None:
            made.append(replace(one, thread=None, conversation_id=conversation.merged_into))
    return made


def _is_elsewhere(wanted: Wanted, conversation: Conversation | None) -> bool:
    """Whether an event in a thread found its conversation by where that stood before."""
    if wanted.thread is None or conversation is None:
        return False
    return (conversation.thread.channel, conversation.thread.ts) != wanted.thread


def _posted(got: loading.Read, conversation: Conversation) -> dict[str, str]:
    """The posts in which the unanswered messages stand; empty words for one that still waits for its turn."""
    found: dict[str, str] = {}
    for row in got.window.get(conversation.id, ()):
        post = next((one for one in got.sent.get(row.id, ()) if one.side == "desk" and one.part == 0), None)
        if post is not None or row.id in got.waiting:
            found[row.id] = post.platform_id if post is not None else ""
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class CardShown:
    """Where a card stands now and which version of its conversation it shows."""

    conversation_id: str
    place: str
    thread: str
    version: int
    posted: bool = True  # False: it was brought up to date where it stood


_NOT_PLACED = conversations.c.desk_thread.is_(None)
_VERSION = bindparam("b_version", type_=Integer)
_SHOWN = (
    update(conversations)
    .where(
        conversations.c.id == bindparam("b_id"),
        # A change of a card that was left for another thread meanwhile says nothing about the card there.
        or_(bindparam("b_posted", type_=Integer) == 1, conversations.c.desk_thread == bindparam("b_thread")),
    )
    .values(
        desk_channel=case((_NOT_PLACED, bindparam("b_place", type_=String)), else_=conversations.c.desk_channel),
        desk_thread=func.coalesce(conversations.c.desk_thread, bindparam("b_thread", type_=String)),
        card_version=case((conversations.c.card_version < _VERSION, _VERSION), else_=conversations.c.card_version),
    )
)


async def cards_shown(conn: Connection, cards: Sequence[CardShown]) -> None:
    """Write where cards stand and what they show; a later version is never overwritten by an earlier one."""
    if cards:
        # Sorted, as decisions are: two processes wait for each other, never mutually.
        rows = [
            {
                "b_id": c.conversation_id,
                "b_place": c.place,
                "b_thread": c.thread,
                "b_version": c.version,
                "b_posted": int(c.posted),
            }
            for c in sorted(cards, key=lambda card: card.conversation_id)
        ]
        await conn.execute(_SHOWN, rows)
