"""The customer record: load what a batch of decisions needs with one query per table, and look things up."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, or_, select, tuple_, update

from domain import sla
from domain.changes import ClockRow, Delivered, OutboxRef, Situation
from domain.model import Agent, Conversation, Customer, Entry, EntryKind, Identity
from storage import flush, outbox, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import (
    agents,
    clocks,
    conversations,
    customers,
    deliveries,
    identities,
    maybe_unstamp,
    stamp,
    timeline,
    unstamp,
)
from storage.tables import outbox as outbox_table

WINDOW_LIMIT = 5  # newest customer messages kept in the assessment window
# What the desk's own post is the source of: its time is the desk's, not that of its delivery to the customer.
SAID_AT_THE_DESK = and_(
    timeline.c.kind.in_((EntryKind.OUTGOING.value, EntryKind.NOTE.value)), timeline.c.platform_id.is_not(None)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What one event needs loaded: whoever wrote (`address`), or a thread at the desk, or a conversation.

    `messages` are platform ids whose entries the event names; `outbox_id` a delivery it names.
    """

    key: str
    channel: str | None = None
    address: str | None = None
    thread: tuple[str, str] | None = None
    conversation_id: str | None = None
    messages: tuple[str, ...] = ()
    outbox_id: str | None = None
    agent_id: str | None = None
    team: bool = False


@dataclass(kw_only=True, slots=True)
class _Found:
    identities: dict[str, Row[Any]] = field(default_factory=dict)
    by_address: dict[str, str] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    by_thread: dict[tuple[str, str], str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """What one snapshot gave, still sealed."""

    chosen: Mapping[str, Conversation | None]
    people: Mapping[str, Row[Any]]
    owners: Sequence[Row[Any]]
    history: Mapping[str, tuple[sla.SlaEvent, ...]]
    running: Mapping[str, tuple[ClockRow, ...]]
    window: Mapping[str, list[Row[Any]]]
    named: Mapping[str, list[Row[Any]]]
    refs: Mapping[str, OutboxRef]
    team: tuple[Agent, ...]
    acting: Mapping[str | None, Agent]
    sent: Mapping[str, list[Delivered]]


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
        return await flush.prepare(decisions, self._keys, now)

    async def load(self, wanted: Sequence[Wanted]) -> dict[str, Situation]:
        """Load the situation of each wanted key in one snapshot, one query per table."""
        got = await self._db.query(lambda conn: self._read(conn, wanted))
        keys = await self._keys.data_keys({row.customer_id for row in got.people.values()}, create=False)
        owners = {row.id: sealing.customer_of(keys.get(row.id), row) for row in got.owners}
        situations: dict[str, Situation] = {}
        for w in wanted:
            conversation = got.chosen[w.key]
            row = got.people.get(w.key)
            key = None if row is None else keys.get(row.customer_id)
            identity = None if row is None else sealing.identity_of(key, row)
            entries = [sealing.entry_of(key, r) for r in got.named.get(w.key, ())]
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
                deliveries=tuple(d for r in got.named.get(w.key, ()) for d in got.sent.get(r.id, ())),
                outbox=(got.refs[w.outbox_id],) if w.outbox_id and w.outbox_id in got.refs else (),
            )
        return situations

    async def _read(self, conn: Connection, wanted: Sequence[Wanted]) -> _Read:
        found = await self._find(conn, wanted)
        chosen = {w.key: self._choose(w, found) for w in wanted}
        ids = sorted({c.id for c in chosen.values() if c is not None})
        people = await self._people(conn, wanted, chosen, found)
        owners = sorted({row.customer_id for row in people.values()})
        named = await self._named(conn, wanted, chosen)
        return _Read(
            chosen=chosen,
            people=people,
            owners=list(await conn.execute(select(customers).where(customers.c.id.in_(owners)))) if owners else [],
            history=await self._history(conn, ids),
            running=await self._clocks(conn, ids),
            window=await self._window(conn, [c for c in chosen.values() if c is not None]),
            named=named,
            refs=await self._refs(conn, wanted),
            team=await self._team(conn) if any(w.team for w in wanted) else (),
            acting=await self._agents(conn, {w.agent_id for w in wanted if w.agent_id}),
            sent=await self._sent(conn, {row.id for rows in named.values() for row in rows}),
        )

    async def _find(self, conn: Connection, wanted: Sequence[Wanted]) -> _Found:
        found = _Found()
        index = self._keys.purpose("index")
        macs = {
            w.key: sealing.address_mac(index, w.channel, w.address)
            for w in wanted
            if w.channel and w.address is not None
        }
        if macs:
            rows = await conn.execute(
                select(identities).where(identities.c.address_mac.in_(sorted(set(macs.values()))))
            )
            for row in rows:
                found.identities[row.id] = row
                found.by_address[row.address_mac] = row.id
            found.by_address = {key: found.by_address[mac] for key, mac in macs.items() if mac in found.by_address}
        conditions: list[ColumnElement[bool]] = []
        if found.by_address:
            later = conversations.alias("later")
            newest = (
                ~select(later.c.id)
                .where(
                    later.c.identity_id == conversations.c.identity_id, later.c.opened_at > conversations.c.opened_at
                )
                .exists()
            )
            conditions.append(and_(conversations.c.identity_id.in_(sorted(set(found.by_address.values()))), newest))
        threads = sorted({w.thread for w in wanted if w.thread})
        if threads:
            columns = tuple_(conversations.c.desk_channel, conversations.c.desk_thread)
            conditions.append(columns.in_(threads))
        ids = sorted({w.conversation_id for w in wanted if w.conversation_id})
        if ids:
            conditions.append(conversations.c.id.in_(ids))
        if conditions:
            for row in await conn.execute(select(conversations).where(or_(*conditions))):
                conversation = sealing.conversation_of(row)
                found.conversations[conversation.id] = conversation
                known = found.newest.get(conversation.identity_id)
                if known is None or found.conversations[known].opened_at <= conversation.opened_at:
                    found.newest[conversation.identity_id] = conversation.id
                if conversation.thread.ts is not None:
                    found.by_thread[conversation.thread.channel, conversation.thread.ts] = conversation.id
        return found

    @staticmethod
    def _choose(wanted: Wanted, found: _Found) -> Conversation | None:
        if wanted.conversation_id is not None:
            return found.conversations.get(wanted.conversation_id)
        if wanted.thread is not None:
            return found.conversations.get(found.by_thread.get(wanted.thread, ""))
        identity = found.by_address.get(wanted.key)
        return None if identity is None else found.conversations.get(found.newest.get(identity, ""))

    async def _people(
        self, conn: Connection, wanted: Sequence[Wanted], chosen: Mapping[str, Conversation | None], found: _Found
    ) -> dict[str, Row[Any]]:
        of: dict[str, str] = {}
        for w in wanted:
            conversation = chosen[w.key]
            identity = found.by_address.get(w.key) or (conversation.identity_id if conversation else None)
            if identity is not None:
                of[w.key] = identity
        missing = sorted(set(of.values()) - found.identities.keys())
        rows = dict(found.identities)
        if missing:
            rows |= {row.id: row for row in await conn.execute(select(identities).where(identities.c.id.in_(missing)))}
        return {key: rows[identity] for key, identity in of.items() if identity in rows}

    async def _customers(self, ids: Collection[str], keys: Mapping[str, bytes]) -> dict[str, Customer]:
        if not ids:
            return {}
        async with self._db.read() as conn:
            rows = await conn.execute(select(customers).where(customers.c.id.in_(sorted(ids))))
            return {row.id: sealing.customer_of(keys.get(row.id), row) for row in rows}

    @staticmethod
    async def _history(conn: Connection, ids: Sequence[str]) -> dict[str, tuple[sla.SlaEvent, ...]]:
        if not ids:
            return {}
        query = (
            select(timeline.c.conversation_id, timeline.c.id, timeline.c.at, timeline.c.sla, timeline.c.data)
            .where(timeline.c.conversation_id.in_(ids), timeline.c.sla.is_not(None))
            .order_by(timeline.c.conversation_id, timeline.c.at, timeline.c.seq)
        )
        found: dict[str, list[sla.SlaEvent]] = {}
        for conversation, entry, at, kind, data in await conn.execute(query):
            event = sla.SlaEvent(id=entry, at=unstamp(at), kind=sla.EventKind(kind), value=json.loads(data).get("to"))
            found.setdefault(conversation, []).append(event)
        return {conversation: tuple(events) for conversation, events in found.items()}

    @staticmethod
    async def _clocks(conn: Connection, ids: Sequence[str]) -> dict[str, tuple[ClockRow, ...]]:
        if not ids:
            return {}
        query = select(clocks).where(clocks.c.conversation_id.in_(ids)).order_by(clocks.c.metric, clocks.c.instance)
        found: dict[str, list[ClockRow]] = {}
        for row in await conn.execute(query):
            found.setdefault(row.conversation_id, []).append(sealing.clock_of(row))
        return {conversation: tuple(rows) for conversation, rows in found.items()}

    @staticmethod
    async def _window(conn: Connection, open_ones: Iterable[Conversation]) -> dict[str, list[Row[Any]]]:
        since = {c.id: stamp(c.unanswered_since) for c in open_ones if c.unanswered_since is not None}
        if not since:
            return {}
        query = (
            select(timeline)
            .where(
                timeline.c.conversation_id.in_(sorted(since)),
                timeline.c.kind == EntryKind.INCOMING.value,
                timeline.c.at >= min(since.values()),
            )
            .order_by(timeline.c.seq)
        )
        found: dict[str, list[Row[Any]]] = {}
        for row in await conn.execute(query):
            if row.at >= since[row.conversation_id]:
                found.setdefault(row.conversation_id, []).append(row)
        return {conversation: rows[-WINDOW_LIMIT:] for conversation, rows in found.items()}

    @staticmethod
    async def _named(
        conn: Connection, wanted: Sequence[Wanted], chosen: Mapping[str, Conversation | None]
    ) -> dict[str, list[Row[Any]]]:
        pairs: dict[tuple[str, str], list[str]] = {}
        for w in wanted:
            conversation = chosen[w.key]
            for message in w.messages if conversation is not None else ():
                assert conversation is not None  # noqa: S101  # the line above looked
                pairs.setdefault((conversation.id, message), []).append(w.key)
        if not pairs:
            return {}
        columns = tuple_(timeline.c.conversation_id, timeline.c.platform_id)
        kinds = (EntryKind.INCOMING.value, EntryKind.OUTGOING.value, EntryKind.NOTE.value)
        rows = await conn.execute(
            select(timeline).where(columns.in_(sorted(pairs)), timeline.c.kind.in_(kinds)).order_by(timeline.c.seq)
        )
        found: dict[str, list[Row[Any]]] = {}
        for row in rows:
            for key in pairs[row.conversation_id, row.platform_id]:
                found.setdefault(key, []).append(row)
        return found

    @staticmethod
    async def _refs(conn: Connection, wanted: Sequence[Wanted]) -> dict[str, OutboxRef]:
        ids = sorted({w.outbox_id for w in wanted if w.outbox_id})
        if not ids:
            return {}
        rows = await conn.execute(select(outbox_table).where(outbox_table.c.id.in_(ids)))
        return {row.id: outbox.ref(row) for row in rows}

    @staticmethod
    async def _sent(conn: Connection, entries: Collection[str]) -> dict[str, list[Delivered]]:
        if not entries:
            return {}
        query = select(deliveries).where(deliveries.c.entry_id.in_(sorted(entries)))
        found: dict[str, list[Delivered]] = {}
        for row in await conn.execute(query.order_by(deliveries.c.part)):
            found.setdefault(row.entry_id, []).append(_delivered(row))
        return found

    @staticmethod
    async def _agents(conn: Connection, ids: Collection[str]) -> dict[str | None, Agent]:
        if not ids:
            return {}
        rows = await conn.execute(select(agents).where(agents.c.id.in_(sorted(ids))))
        return {row.id: _agent(row) for row in rows}

    @staticmethod
    async def _team(conn: Connection) -> tuple[Agent, ...]:
        load_query = (
            select(conversations.c.assignee, func.count())
            .where(conversations.c.assignee.is_not(None), conversations.c.status.not_in(("done", "spam")))
            .group_by(conversations.c.assignee)
        )
        load = {agent: count for agent, count in await conn.execute(load_query)}
        rows = await conn.execute(select(agents).order_by(agents.c.id))
        return tuple(replace(_agent(row), open_count=load.get(row.id, 0)) for row in rows)

    # ---- what the dispatcher shows --------------------------------------------------------------------------

    async def entries(self, ids: Collection[str]) -> dict[str, Entry]:
        """Timeline entries by id, opened."""
        if not ids:
            return {}
        async with self._db.read() as conn:
            rows = (await conn.execute(select(timeline).where(timeline.c.id.in_(sorted(ids))))).all()
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        return {row.id: sealing.entry_of(keys.get(row.customer_id), row) for row in rows}

    async def delivered(self, entry_ids: Collection[str]) -> dict[str, list[Delivered]]:
        """Where these entries ended up, per entry, in order of their parts."""
        async with self._db.read() as conn:
            return await self._sent(conn, entry_ids)

    async def card_versions(self, ids: Collection[str]) -> dict[str, int]:
        """The version each conversation's card shows; -1 before it is posted."""
        async with self._db.read() as conn:
            rows = await conn.execute(
                select(conversations.c.id, conversations.c.card_version).where(conversations.c.id.in_(sorted(ids)))
            )
            return {conversation: version for conversation, version in rows}

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

    async def find_people(self, text: str) -> list[tuple[Customer, list[Identity], int]]:
        """Customers whose whole name, user name or address is `text`, with identities and number of conversations."""
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
            rows = (await conn.execute(select(identities).where(identities.c.customer_id.in_(sorted(ids))))).all()
            counted = await conn.execute(
                select(conversations.c.customer_id, func.count())
                .where(conversations.c.customer_id.in_(sorted(ids)))
                .group_by(conversations.c.customer_id)
            )
            counts = {customer: count for customer, count in counted}
        keys = await self._keys.data_keys(ids, create=False)
        people = await self._customers(ids, keys)
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
            .where(conversations.c.desk_thread.is_not(None), conversations.c.status.not_in(("done", "spam")))
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
            outbox_table.c.state.in_(("todo", "sending", "unclear")),
            outbox_table.c.bucket == f"slack:{place}",
        )
        async with self._db.read() as conn:
            return (await conn.execute(query.limit(1))).first() is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class CardShown:
    """Where a card stands now and which version of its conversation it shows."""

    conversation_id: str
    place: str
    thread: str
    version: int


_PLACED = (
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"), conversations.c.desk_thread.is_(None))
    .values(desk_channel=bindparam("b_place"), desk_thread=bindparam("b_thread"))
)
_UP_TO_DATE = (
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"), conversations.c.card_version < bindparam("b_version"))
    .values(card_version=bindparam("b_version"))
)


async def cards_shown(conn: Connection, cards: Sequence[CardShown]) -> None:
    """Write where cards stand and what they show; a later version is never overwritten by an earlier one."""
    if cards:
        await conn.execute(
            _PLACED, [{"b_id": c.conversation_id, "b_place": c.place, "b_thread": c.thread} for c in cards]
        )
        await conn.execute(_UP_TO_DATE, [{"b_id": c.conversation_id, "b_version": c.version} for c in cards])


def _agent(row: Row[Any]) -> Agent:
    return Agent(
        id=row.id,
        languages=tuple(json.loads(row.languages)),
        on_duty=bool(row.on_duty),
        last_assigned_at=maybe_unstamp(row.last_assigned_at),
    )


def _delivered(row: Row[Any]) -> Delivered:
    return Delivered(
        entry_id=row.entry_id,
        side=row.side,
        part=row.part,
        place=row.place,
        platform_id=row.platform_id,
        outbox_id=row.outbox_id,
        at=unstamp(row.at),
    )
