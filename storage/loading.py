"""What a batch of decisions needs, read in one snapshot with one query per table."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, func, not_, select

from domain import changes, sla
from domain.changes import ClockRow, Delivered, DeliveryKind, OutboxRef
from domain.model import Agent, Conversation, EntryKind
from storage import contacts, outgoing, rare, sealing, wishes
from storage.engines import Connection
from storage.tables import (
    agents,
    clocks,
    conversations,
    customers,
    deliveries,
    identities,
    maybe_unstamp,
    one_of,
    stamp,
    timeline,
    unstamp,
)
from storage.tables import outbox as outbox_table
from storage.wishes import Found, Wanted

WINDOW_LIMIT = 5  # newest customer messages kept in the assessment window

# Statements are built once: building one costs several times its execution.
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
IDENTITIES = select(identities).where(identities.c.id.in_(_IDS))
CUSTOMERS = select(customers).where(customers.c.id.in_(_IDS))
ENTRIES = select(timeline).where(timeline.c.id.in_(_IDS))
CLOCKS = select(clocks).where(clocks.c.conversation_id.in_(_IDS)).order_by(clocks.c.metric, clocks.c.instance)
_HISTORY = (
    select(timeline.c.conversation_id, timeline.c.id, timeline.c.at, timeline.c.sla, timeline.c.data)
    .where(timeline.c.conversation_id.in_(_IDS), timeline.c.sla.is_not(None))
    .order_by(timeline.c.conversation_id, timeline.c.at, timeline.c.seq)
)
NOT_MUTED = timeline.c.data.not_like('%"muted": true%')
"""Of customers' messages: not what came while its sender was muted, which waits for nobody."""
_ranked = (
    select(
        timeline.c.seq,
        func.row_number().over(partition_by=timeline.c.conversation_id, order_by=timeline.c.seq.desc()).label("place"),
    )
    .where(
        timeline.c.conversation_id.in_(_IDS),
        timeline.c.kind == EntryKind.INCOMING.value,
        timeline.c.at >= bindparam("b_since"),
        NOT_MUTED,
    )
    .subquery()
)
_WINDOW = (
    select(timeline)
    .where(timeline.c.seq.in_(select(_ranked.c.seq).where(_ranked.c.place <= WINDOW_LIMIT)))
    .order_by(timeline.c.seq)
)
BY_NUMBER = (EntryKind.INCOMING, EntryKind.OUTGOING, EntryKind.NOTE, EntryKind.DELIVERED, EntryKind.TRANSCRIPT)
"""Entries that a message's number in the chat, or at the desk, stands for, or the press that asked for them."""
_NAMED = (
    select(timeline)
    .where(
        # Both columns apart, as above: an index finds a message in a conversation of any length.
        timeline.c.conversation_id.in_(_IDS),
        timeline.c.platform_id.in_(bindparam("b_messages", expanding=True)),
        timeline.c.kind.in_([kind.value for kind in BY_NUMBER]),
    )
    .order_by(timeline.c.seq)
)
_PARTS = select(outbox_table).where(outbox_table.c.entry_id.in_(_IDS)).order_by(outbox_table.c.seq)
_WAITING = select(outbox_table.c.entry_id).where(
    outbox_table.c.entry_id.in_(_IDS),
    outbox_table.c.kind == DeliveryKind.DESK_ENTRY.value,
    outbox_table.c.state == "todo",
)
_OUTBOX = select(outbox_table).where(outbox_table.c.id.in_(_IDS))
_DELIVERIES = select(deliveries).where(deliveries.c.entry_id.in_(_IDS)).order_by(deliveries.c.part)
_AGENTS = select(agents).where(agents.c.id.in_(_IDS))
_TEAM = select(agents).order_by(agents.c.id)
IS_OPEN = not_(one_of(conversations.c.status, ("done", "spam")))
_LOAD = (
    select(conversations.c.assignee, func.count())
    .where(conversations.c.assignee.is_not(None), IS_OPEN)
    .group_by(conversations.c.assignee)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Read:
    """What one snapshot gave, still sealed."""

    chosen: Mapping[str, Conversation | None]
    people: Mapping[str, Row[Any]]
    owners: Sequence[Row[Any]]
    history: Mapping[str, tuple[sla.SlaEvent, ...]]
    running: Mapping[str, tuple[ClockRow, ...]]
    window: Mapping[str, list[Row[Any]]]
    named: Mapping[str, list[Row[Any]]]
    refs: Mapping[str, tuple[OutboxRef, ...]]
    team: tuple[Agent, ...]
    acting: Mapping[str | None, Agent]
    sent: Mapping[str, list[Delivered]]
    read: Mapping[str, list[Row[Any]]] = field(default_factory=dict)
    reactions: Mapping[str, list[Row[Any]]] = field(default_factory=dict)
    everyone: Mapping[str, list[Row[Any]]] = field(default_factory=dict)
    words: Mapping[str, list[Row[Any]]] = field(default_factory=dict)
    reached: Mapping[str, contacts.Reached] = field(default_factory=dict)
    held: Mapping[str, list[Row[Any]]] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()
    automatic: Mapping[str, frozenset[str]] = field(default_factory=dict)
    leaving: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    answers: Mapping[str, Row[Any]] = field(default_factory=dict)


async def read(
    conn: Connection, wanted: Sequence[Wanted], index_key: bytes, lanes: Mapping[tuple[str, str], str]
) -> Read:
    """Read what these wishes need, in one snapshot, one query per table. `lanes` are the stored names of lanes."""
    found = await wishes.find(conn, wanted, index_key)
    chosen = {w.key: wishes.choose(w, found) for w in wanted}
    chosen |= await rare.newest(conn, wishes.NEWEST, {w.key: c for w in wanted if w.newest and (c := chosen[w.key])})
    ids = sorted({c.id for c in chosen.values() if c is not None})
    people = await _people(conn, wanted, chosen, found)
    owners = sorted({row.customer_id for row in people.values()})
    named = await _named(conn, wanted, chosen) | await _shown(conn, wanted, found)
    window = await _window(conn, [c for c in chosen.values() if c is not None])
    asked = {c.id for w in wanted if w.posted and (c := chosen[w.key]) is not None}
    said = {row.id for of in asked for row in window.get(of, ())}
    refs = await _refs(conn, wanted, chosen, named)
    return Read(
        chosen=chosen,
        people=people,
        owners=list(await conn.execute(CUSTOMERS, {"b_ids": owners})) if owners else [],
        history=await histories(conn, ids),
        running=await _clocks(conn, ids),
        window=window,
        named=named,
        refs=refs,
        answers=await _answers(conn, {w.key: refs[w.key][0] for w in wanted if w.outbox_id and refs.get(w.key)}),
        team=await team(conn) if any(w.team for w in wanted) else (),
        acting=await _agents(conn, {w.agent_id for w in wanted if w.agent_id}),
        sent=await sent(conn, {row.id for rows in named.values() for row in rows} | said),
        waiting=frozenset((await conn.execute(_WAITING, {"b_ids": sorted(said)})).scalars()) if said else frozenset(),
        read=await _assessed(conn, [c for w in wanted if w.read and (c := chosen[w.key]) is not None]),
        everyone={w.key: await rare.in_lane(conn, lanes[w.in_lane]) for w in wanted if w.in_lane is not None},
        reactions=await rare.reactions(conn, [c for w in wanted if w.reactions and (c := chosen[w.key]) is not None]),
        words=await rare.said(conn, [c for w in wanted if w.said and (c := chosen[w.key]) is not None]),
        held=await rare.held(conn, [c for w in wanted if w.held and (c := chosen[w.key]) is not None]),
        reached={w.key: await contacts.reached(conn, index_key, w.reached) for w in wanted if w.reached},
        automatic=await rare.automatic(conn, [c for w in wanted if w.automatic and (c := chosen[w.key]) is not None]),
        leaving=await rare.leaving(conn, [c for w in wanted if w.leaving and (c := chosen[w.key]) is not None]),
    )


async def _people(
    conn: Connection, wanted: Sequence[Wanted], chosen: Mapping[str, Conversation | None], found: Found
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
        rows |= {row.id: row for row in await conn.execute(IDENTITIES, {"b_ids": missing})}
    return {key: rows[identity] for key, identity in of.items() if identity in rows}


async def histories(conn: Connection, ids: Sequence[str]) -> dict[str, tuple[sla.SlaEvent, ...]]:
    """The SLA events of these conversations, each in its order."""
    if not ids:
        return {}
    found: dict[str, list[sla.SlaEvent]] = {}
    for conversation, entry, at, kind, data in await conn.execute(_HISTORY, {"b_ids": ids}):
        event = changes.event_told(entry, unstamp(at), {**json.loads(data), "sla": kind})
        if event is not None:
            found.setdefault(conversation, []).append(event)
    return {conversation: tuple(events) for conversation, events in found.items()}


async def _clocks(conn: Connection, ids: Sequence[str]) -> dict[str, tuple[ClockRow, ...]]:
    if not ids:
        return {}
    found: dict[str, list[ClockRow]] = {}
    for row in await conn.execute(CLOCKS, {"b_ids": ids}):
        found.setdefault(row.conversation_id, []).append(sealing.clock_of(row))
    return {conversation: tuple(rows) for conversation, rows in found.items()}


async def _window(conn: Connection, open_ones: Iterable[Conversation]) -> dict[str, list[Row[Any]]]:
    since = {c.id: stamp(c.unanswered_since) for c in open_ones if c.unanswered_since is not None}
    if not since:
        return {}
    named = {"b_ids": sorted(since), "b_since": min(since.values())}
    found: dict[str, list[Row[Any]]] = {}
    for row in await conn.execute(_WINDOW, named):
        if row.at >= since[row.conversation_id]:
            found.setdefault(row.conversation_id, []).append(row)
    return {conversation: rows[-WINDOW_LIMIT:] for conversation, rows in found.items()}


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
    named = {"b_ids": sorted({of for of, _ in pairs}), "b_messages": sorted({message for _, message in pairs})}
    rows = await conn.execute(_NAMED, named)
    found: dict[str, list[Row[Any]]] = {}
    for row in rows:
        for key in pairs.get((row.conversation_id, row.platform_id), ()):
            found.setdefault(key, []).append(row)
    return found


async def _shown(conn: Connection, wanted: Sequence[Wanted], found: Found) -> dict[str, list[Row[Any]]]:
    """By wish: the entries that the post shows on which somebody put an emoji, in their order."""
    of = {w.key: found.shown.get(w.post, []) for w in wanted if w.reactions and w.post is not None}
    ids = sorted({one for entries in of.values() for one in entries})
    rows = sorted(await conn.execute(ENTRIES, {"b_ids": ids}), key=lambda row: row.seq) if ids else []
    return {key: [row for row in rows if row.id in entries] for key, entries in of.items() if entries}


async def _assessed(conn: Connection, found: Sequence[Conversation]) -> dict[str, list[Row[Any]]]:
    """By conversation: the messages that its newest assessment read, in their order."""
    named = {c.id: assessed_entries(c) for c in found}
    ids = sorted({one for read in named.values() for one in read})
    if not ids:
        return {}
    rows = {row.id: row for row in await conn.execute(ENTRIES, {"b_ids": ids})}
    return {conversation: [rows[one] for one in read if one in rows] for conversation, read in named.items()}


def assessed_entries(conversation: Conversation) -> list[str]:
    """The ids of the messages that the newest assessment of a conversation read, in their order."""
    read = (conversation.assessment or {}).get("read")
    return [str(one) for one in read] if isinstance(read, list) else []


async def _refs(
    conn: Connection,
    wanted: Sequence[Wanted],
    chosen: Mapping[str, Conversation | None],
    named: Mapping[str, list[Row[Any]]],
) -> dict[str, tuple[OutboxRef, ...]]:
    """By wish: the delivery it names, where that belongs to its conversation, or the parts of the entries it names.

    Nobody settles somebody else's.
    """
    found: dict[str, tuple[OutboxRef, ...]] = {}
    if entries := sorted({row.id for w in wanted if w.parts for row in named.get(w.key, ())}):
        parts = [outgoing.ref(row) for row in await conn.execute(_PARTS, {"b_ids": entries})]
        for w in wanted:
            own = {row.id for row in named.get(w.key, ())} if w.parts else ()
            found[w.key] = tuple(part for part in parts if part.entry_id in own and part.kind.to_customer)
    ids = sorted({w.outbox_id for w in wanted if w.outbox_id})
    if not ids:
        return found
    rows = {row.id: row for row in await conn.execute(_OUTBOX, {"b_ids": ids})}
    for w in wanted:
        row, conversation = rows.get(w.outbox_id or ""), chosen[w.key]
        if row is not None and conversation is not None and row.conversation_id == conversation.id:
            found[w.key] = (outgoing.ref(row),)
    return found


async def _answers(conn: Connection, named: Mapping[str, OutboxRef]) -> dict[str, Row[Any]]:
    """By wish: the line of the delivery that it names."""
    ids = sorted({ref.entry_id for ref in named.values() if ref.entry_id is not None})
    rows = {row.id: row for row in await conn.execute(ENTRIES, {"b_ids": ids})} if ids else {}
    return {key: rows[ref.entry_id] for key, ref in named.items() if ref.entry_id in rows}


async def sent(conn: Connection, entries: Collection[str]) -> dict[str, list[Delivered]]:
    """Where these entries ended up, in order of their parts."""
    if not entries:
        return {}
    found: dict[str, list[Delivered]] = {}
    for row in await conn.execute(_DELIVERIES, {"b_ids": sorted(entries)}):
        found.setdefault(row.entry_id, []).append(_delivered(row))
    return found


async def _agents(conn: Connection, ids: Collection[str]) -> dict[str | None, Agent]:
    if not ids:
        return {}
    rows = await conn.execute(_AGENTS, {"b_ids": sorted(ids)})
    return {row.id: _agent(row) for row in rows}


async def team(conn: Connection) -> tuple[Agent, ...]:
    """Everybody known at the desk, with how many open conversations each has."""
    load = {agent: count for agent, count in await conn.execute(_LOAD)}
    rows = await conn.execute(_TEAM)
    return tuple(replace(_agent(row), open_count=load.get(row.id, 0)) for row in rows)


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
        signed=row.signed,
    )
