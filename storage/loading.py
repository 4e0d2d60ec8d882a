"""What a batch of decisions needs, read in one snapshot with one query per table."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import BindParameter, Executable, Row, and_, bindparam, case, func, not_, or_, select

from domain import sla
from domain.changes import ClockRow, Delivered, DeliveryKind, OutboxRef
from domain.model import Agent, Conversation, EntryKind, Status
from storage import outbox, rare, sealing
from storage.engines import Connection
from storage.tables import (
    agents,
    clocks,
    conversations,
    customers,
    deliveries,
    identities,
    maybe_unstamp,
    moved_threads,
    one_of,
    stamp,
    timeline,
    unstamp,
)
from storage.tables import outbox as outbox_table

WINDOW_LIMIT = 5  # newest customer messages kept in the assessment window

# Statements are built once: building one costs several times its execution.
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
IDENTITIES = select(identities).where(identities.c.id.in_(_IDS))
CUSTOMERS = select(customers).where(customers.c.id.in_(_IDS))
ENTRIES = select(timeline).where(timeline.c.id.in_(_IDS))
CLOCKS = select(clocks).where(clocks.c.conversation_id.in_(_IDS)).order_by(clocks.c.metric, clocks.c.instance)
_BY_ADDRESS = select(identities).where(
    identities.c.channel.in_(bindparam("b_channels", expanding=True)),
    identities.c.address_mac.in_(bindparam("b_macs", expanding=True)),
)
_later = conversations.alias("later")
_CLOSED = tuple(status.value for status in (Status.DONE, Status.SPAM))
# What somebody writes next belongs to what is open, else to the newest; to one that was joined into another last.
_rank, _later_rank = (
    case((one.c.merged_into.is_not(None), 0), (one.c.status.in_(_CLOSED), 1), else_=2)
    for one in (conversations, _later)
)
_is_newest = ~(
    select(_later.c.id)
    .where(
        _later.c.identity_id == conversations.c.identity_id,
        or_(_later_rank > _rank, and_(_later_rank == _rank, _later.c.opened_at > conversations.c.opened_at)),
    )
    .exists()
)
_NEWEST = select(conversations).where(conversations.c.identity_id.in_(_IDS), _is_newest)
# Both columns apart, since SQLite uses no index for pairs: it may find more than was asked for.
IN_THREADS = and_(
    conversations.c.desk_channel.in_(bindparam("b_places", expanding=True)),
    conversations.c.desk_thread.in_(bindparam("b_threads", expanding=True)),
)
_BY_THREAD = select(conversations).where(IN_THREADS)
BY_POST = select(
    deliveries.c.conversation_id, deliveries.c.place, deliveries.c.platform_id, deliveries.c.entry_id
).where(
    one_of(deliveries.c.side, ("desk",)),
    deliveries.c.platform_id.in_(bindparam("b_posts", expanding=True)),
    deliveries.c.place.in_(bindparam("b_places", expanding=True)),
)
ECHOED = select(outbox_table.c.idem_key, outbox_table.c.conversation_id).where(
    outbox_table.c.idem_key.in_(bindparam("b_keys", expanding=True))
)
CONVERSATIONS = select(conversations).where(conversations.c.id.in_(_IDS))
NUMBERED = select(conversations).where(conversations.c.number.in_(bindparam("b_numbers", expanding=True)))
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
BY_NUMBER = (EntryKind.INCOMING, EntryKind.OUTGOING, EntryKind.NOTE, EntryKind.DELIVERED)
"""Entries that a message's number in the chat, or at the desk, stands for."""
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
MOVED = select(moved_threads.c.desk_channel, moved_threads.c.desk_thread, moved_threads.c.conversation_id).where(
    moved_threads.c.desk_channel.in_(bindparam("b_places", expanding=True)),
    moved_threads.c.desk_thread.in_(bindparam("b_threads", expanding=True)),
)
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
class Wanted:
    """What one event needs loaded: whoever wrote (`address`), or a thread at the desk, or a conversation.

    `messages` are platform ids whose entries the event names; `outbox_id` a delivery it names; `post` any post of ours
    at the desk (channel, ts); `number` a conversation as people call it. `read` asks for the messages that the
    conversation's newest assessment read, `parts` for what was to be sent of the named entries, `posted` for where the
    unanswered messages stand, `reactions` for what the post shows and for agents' emoji so far, `automatic` for the
    names of the fixed texts sent so far, `in_lane` for everybody who has a conversation in a lane (source, key).
    `newest` asks, in place of the conversation that is named, for the one that its customer's next message belongs to.
    """

    key: str
    channel: str | None = None
    address: str | None = None
    thread: tuple[str, str] | None = None
    post: tuple[str, str] | None = None
    conversation_id: str | None = None
    number: int | None = None
    messages: tuple[str, ...] = ()
    parts: bool = False
    outbox_id: str | None = None
    read: bool = False
    reactions: bool = False
    automatic: bool = False
    in_lane: tuple[str, str] | None = None
    posted: bool = False
    newest: bool = False
    agent_id: str | None = None
    team: bool = False


@dataclass(kw_only=True, slots=True)
class _Found:
    identities: dict[str, Row[Any]] = field(default_factory=dict)
    by_address: dict[str, str] = field(default_factory=dict)
    conversations: dict[str, Conversation] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    by_thread: dict[tuple[str, str], str] = field(default_factory=dict)
    by_post: dict[tuple[str, str], str] = field(default_factory=dict)
    shown: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # the entries that a post shows


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
    waiting: frozenset[str] = frozenset()
    automatic: Mapping[str, frozenset[str]] = field(default_factory=dict)


async def read(
    conn: Connection, wanted: Sequence[Wanted], index_key: bytes, lanes: Mapping[tuple[str, str], str]
) -> Read:
    """Read what these wishes need, in one snapshot, one query per table. `lanes` are the stored names of lanes."""
    found = await _find(conn, wanted, index_key)
    chosen = {w.key: _choose(w, found) for w in wanted}
    chosen |= await rare.newest(conn, _NEWEST, {w.key: c for w in wanted if w.newest and (c := chosen[w.key])})
    ids = sorted({c.id for c in chosen.values() if c is not None})
    people = await _people(conn, wanted, chosen, found)
    owners = sorted({row.customer_id for row in people.values()})
    named = await _named(conn, wanted, chosen) | await _shown(conn, wanted, found)
    window = await _window(conn, [c for c in chosen.values() if c is not None])
    asked = {c.id for w in wanted if w.posted and (c := chosen[w.key]) is not None}
    said = {row.id for of in asked for row in window.get(of, ())}
    return Read(
        chosen=chosen,
        people=people,
        owners=list(await conn.execute(CUSTOMERS, {"b_ids": owners})) if owners else [],
        history=await histories(conn, ids),
        running=await _clocks(conn, ids),
        window=window,
        named=named,
        refs=await _refs(conn, wanted, chosen, named),
        team=await team(conn) if any(w.team for w in wanted) else (),
        acting=await _agents(conn, {w.agent_id for w in wanted if w.agent_id}),
        sent=await sent(conn, {row.id for rows in named.values() for row in rows} | said),
        waiting=frozenset((await conn.execute(_WAITING, {"b_ids": sorted(said)})).scalars()) if said else frozenset(),
        read=await _assessed(conn, [c for w in wanted if w.read and (c := chosen[w.key]) is not None]),
        everyone={w.key: await rare.in_lane(conn, lanes[w.in_lane]) for w in wanted if w.in_lane is not None},
        reactions=await rare.reactions(conn, [c for w in wanted if w.reactions and (c := chosen[w.key]) is not None]),
        automatic=await rare.automatic(conn, [c for w in wanted if w.automatic and (c := chosen[w.key]) is not None]),
    )


async def _find(conn: Connection, wanted: Sequence[Wanted], index: bytes) -> _Found:
    found = _Found()
    macs = {
        w.key: sealing.address_mac(index, w.channel, w.address) for w in wanted if w.channel and w.address is not None
    }
    if macs:
        channels = sorted({w.channel for w in wanted if w.channel})
        rows = await conn.execute(_BY_ADDRESS, {"b_channels": channels, "b_macs": sorted(set(macs.values()))})
        for row in rows:
            found.identities[row.id] = row
            found.by_address[row.address_mac] = row.id
        found.by_address = {key: found.by_address[mac] for key, mac in macs.items() if mac in found.by_address}
    queries: list[tuple[Executable, str, Sequence[Any]]] = [
        (_NEWEST, "b_ids", sorted(set(found.by_address.values()))),
        (CONVERSATIONS, "b_ids", sorted({w.conversation_id for w in wanted if w.conversation_id})),
        (NUMBERED, "b_numbers", sorted({w.number for w in wanted if w.number is not None})),
    ]
    for query, name, values in queries:
        for row in await conn.execute(query, {name: values}) if values else ():
            _remember(found, sealing.conversation_of(row))
            if query is _NEWEST:
                found.newest[row.identity_id] = row.id
    threads = {place for w in wanted for place in (w.thread, w.post) if place}
    for row in await conn.execute(_BY_THREAD, named_threads(threads)) if threads else ():
        if (row.desk_channel, row.desk_thread) in threads:
            _remember(found, sealing.conversation_of(row))
    await _by_post(conn, wanted, found)
    await _moved_from(conn, wanted, found)
    return found


async def _moved_from(conn: Connection, wanted: Sequence[Wanted], found: _Found) -> None:
    """The conversations of threads that had to be begun anew elsewhere."""
    gone = {w.thread for w in wanted if w.thread} - found.by_thread.keys()
    if not gone:
        return
    rows = await conn.execute(MOVED, named_threads(gone))
    of = {(place, ts): conversation for place, ts, conversation in rows if (place, ts) in gone}
    for row in await conn.execute(CONVERSATIONS, {"b_ids": sorted(set(of.values()))}) if of else ():
        _remember(found, sealing.conversation_of(row))
    found.by_thread.update(of)


async def _by_post(conn: Connection, wanted: Sequence[Wanted], found: _Found) -> None:
    """The conversations of posts of ours: an alert, a customer's message in a thread."""
    posts = {w.post for w in wanted if w.post} - found.by_thread.keys()
    if not posts:
        return
    of: dict[tuple[str, str], str] = {}
    rows = await conn.execute(
        BY_POST, {"b_places": sorted({place for place, _ in posts}), "b_posts": sorted({ts for _, ts in posts})}
    )
    for conversation, place, ts, entry in rows:
        if (place, ts) in posts and conversation is not None:
            of[place, ts] = conversation
            found.shown.setdefault((place, ts), []).append(entry)
    await _remember_posts(conn, of, found)
    lines = {w.post for w in wanted if w.post and w.messages} - found.by_post.keys()
    if lines:
        await _by_line(conn, lines, found)


async def _by_line(conn: Connection, lines: Collection[tuple[str, str]], found: _Found) -> None:
    """The conversations of agents' own lines, which are known by the echo that was put on them first."""
    by_key = {f"reaction:{ts}:waiting": (place, ts) for place, ts in lines}
    rows = await conn.execute(ECHOED, {"b_keys": sorted(by_key)})
    await _remember_posts(conn, {by_key[key]: one for key, one in rows if one is not None}, found)


async def _remember_posts(conn: Connection, of: Mapping[tuple[str, str], str], found: _Found) -> None:
    """Several posts may be of one conversation."""
    for row in await conn.execute(CONVERSATIONS, {"b_ids": sorted(set(of.values()))}) if of else ():
        _remember(found, sealing.conversation_of(row))
    found.by_post.update({post: identity for post, identity in of.items() if identity in found.conversations})


def named_threads(threads: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    """The parameters of `IN_THREADS` for these (channel, thread)."""
    return {"b_places": sorted({place for place, _ in threads}), "b_threads": sorted({ts for _, ts in threads})}


def _remember(found: _Found, conversation: Conversation) -> None:
    found.conversations[conversation.id] = conversation
    if conversation.thread.ts is not None:
        found.by_thread[conversation.thread.channel, conversation.thread.ts] = conversation.id


def _choose(wanted: Wanted, found: _Found) -> Conversation | None:
    if wanted.conversation_id is not None:
        return found.conversations.get(wanted.conversation_id)
    if wanted.number is not None:
        return next((one for one in found.conversations.values() if one.number == wanted.number), None)
    if wanted.post is not None:
        return found.conversations.get(found.by_thread.get(wanted.post) or found.by_post.get(wanted.post, ""))
    if wanted.thread is not None:
        return found.conversations.get(found.by_thread.get(wanted.thread, ""))
    identity = found.by_address.get(wanted.key)
    return None if identity is None else found.conversations.get(found.newest.get(identity, ""))


async def _people(
    conn: Connection, wanted: Sequence[Wanted], chosen: Mapping[str, Conversation | None], found: _Found
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
        event = sla.SlaEvent(id=entry, at=unstamp(at), kind=sla.EventKind(kind), value=json.loads(data).get("to"))
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


async def _shown(conn: Connection, wanted: Sequence[Wanted], found: _Found) -> dict[str, list[Row[Any]]]:
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
        parts = [outbox.ref(row) for row in await conn.execute(_PARTS, {"b_ids": entries})]
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
            found[w.key] = (outbox.ref(row),)
    return found


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
