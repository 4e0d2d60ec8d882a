"""What one event needs loaded, and which conversation that wish is about: asked for in one query per table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, Executable, Row, and_, bindparam, case, or_, select

from domain.contacts import ContactKind
from domain.model import CLOSED, Conversation
from storage import sealing
from storage.engines import Connection
from storage.tables import conversations, deliveries, identities, moved_threads, one_of
from storage.tables import outbox as outbox_table

# Statements are built once: building one costs several times its execution.
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
BY_ADDRESS = select(identities).where(
    identities.c.channel.in_(bindparam("b_channels", expanding=True)),
    identities.c.address_mac.in_(bindparam("b_macs", expanding=True)),
)
_later = conversations.alias("later")
_CLOSED = tuple(status.value for status in CLOSED)
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
NEWEST = select(conversations).where(conversations.c.identity_id.in_(_IDS), _is_newest)
# Both columns apart, since SQLite uses no index for pairs: it may find more than was asked for.
IN_THREADS = and_(
    conversations.c.desk_channel.in_(bindparam("b_places", expanding=True)),
    conversations.c.desk_thread.in_(bindparam("b_threads", expanding=True)),
)
BY_THREAD = select(conversations).where(IN_THREADS)
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
MOVED = select(moved_threads.c.desk_channel, moved_threads.c.desk_thread, moved_threads.c.conversation_id).where(
    moved_threads.c.desk_channel.in_(bindparam("b_places", expanding=True)),
    moved_threads.c.desk_thread.in_(bindparam("b_threads", expanding=True)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What one event needs loaded: whoever wrote (`address`), or a thread at the desk, or a conversation.

    `messages` are platform ids whose entries the event names; `outbox_id` a delivery it names; `post` any post of ours
    at the desk (channel, ts); `number` a conversation as people call it. `read` asks for the messages that the
    conversation's newest assessment read, `parts` for what was to be sent of the named entries, `posted` for where the
    unanswered messages stand, `said` for all that the person wrote in any chat, `held` for the lines that are asked
    about, `reactions` for what the post shows and for agents' emoji so far, `automatic` for the names of the fixed
    texts sent so far, `in_lane` for everybody who has a conversation in a lane (source, key), `reached` for who is
    known by these phone numbers and e-mail addresses.
    `leaving` asks which answers of the conversation are on their way.
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
    said: bool = False
    held: bool = False
    reached: tuple[tuple[ContactKind, str], ...] = ()
    leaving: bool = False
    newest: bool = False
    agent_id: str | None = None
    team: bool = False


@dataclass(kw_only=True, slots=True)
class Found:
    """Everything that a batch of wishes names, not yet told apart by wish. Identities are rows, still sealed."""

    identities: dict[str, Row[Any]] = field(default_factory=dict)
    by_address: dict[str, str] = field(default_factory=dict)  # a wish's key -> the identity of its address
    conversations: dict[str, Conversation] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)  # identity -> the conversation its next message belongs to
    by_thread: dict[tuple[str, str], str] = field(default_factory=dict)
    by_post: dict[tuple[str, str], str] = field(default_factory=dict)
    shown: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # the entries that a post shows


async def find(conn: Connection, wanted: Sequence[Wanted], index_key: bytes) -> Found:
    """The conversations and identities that these wishes name, in any way a wish can name one."""
    found = Found()
    macs = {
        w.key: sealing.address_mac(index_key, w.channel, w.address)
        for w in wanted
        if w.channel and w.address is not None
    }
    if macs:
        channels = sorted({w.channel for w in wanted if w.channel})
        rows = await conn.execute(BY_ADDRESS, {"b_channels": channels, "b_macs": sorted(set(macs.values()))})
        by_mac = {row.address_mac: row for row in rows}
        found.identities = {row.id: row for row in by_mac.values()}
        found.by_address = {key: by_mac[mac].id for key, mac in macs.items() if mac in by_mac}
    queries: list[tuple[Executable, str, Sequence[Any]]] = [
        (NEWEST, "b_ids", sorted(set(found.by_address.values()))),
        (CONVERSATIONS, "b_ids", sorted({w.conversation_id for w in wanted if w.conversation_id})),
        (NUMBERED, "b_numbers", sorted({w.number for w in wanted if w.number is not None})),
    ]
    for query, name, values in queries:
        for row in await conn.execute(query, {name: values}) if values else ():
            _remember(found, sealing.conversation_of(row))
            if query is NEWEST:
                found.newest[row.identity_id] = row.id
    threads = {place for w in wanted for place in (w.thread, w.post) if place}
    for row in await conn.execute(BY_THREAD, named_threads(threads)) if threads else ():
        if (row.desk_channel, row.desk_thread) in threads:
            _remember(found, sealing.conversation_of(row))
    await _by_post(conn, wanted, found)
    await _moved_from(conn, wanted, found)
    return found


async def _moved_from(conn: Connection, wanted: Sequence[Wanted], found: Found) -> None:
    """The conversations of threads that had to be begun anew elsewhere."""
    gone = {w.thread for w in wanted if w.thread} - found.by_thread.keys()
    if not gone:
        return
    rows = await conn.execute(MOVED, named_threads(gone))
    of = {(place, ts): conversation for place, ts, conversation in rows if (place, ts) in gone}
    for row in await conn.execute(CONVERSATIONS, {"b_ids": sorted(set(of.values()))}) if of else ():
        _remember(found, sealing.conversation_of(row))
    found.by_thread.update(of)


async def _by_post(conn: Connection, wanted: Sequence[Wanted], found: Found) -> None:
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


async def _by_line(conn: Connection, lines: Collection[tuple[str, str]], found: Found) -> None:
    """The conversations of agents' own lines, which are known by the echo that was put on them first."""
    by_key = {f"reaction:{ts}:waiting": (place, ts) for place, ts in lines}
    rows = await conn.execute(ECHOED, {"b_keys": sorted(by_key)})
    await _remember_posts(conn, {by_key[key]: one for key, one in rows if one is not None}, found)


async def _remember_posts(conn: Connection, of: Mapping[tuple[str, str], str], found: Found) -> None:
    """Several posts may be of one conversation."""
    for row in await conn.execute(CONVERSATIONS, {"b_ids": sorted(set(of.values()))}) if of else ():
        _remember(found, sealing.conversation_of(row))
    found.by_post.update({post: identity for post, identity in of.items() if identity in found.conversations})


def named_threads(threads: Collection[tuple[str, str]]) -> dict[str, list[str]]:
    """The parameters of `IN_THREADS` for these (channel, thread)."""
    return {"b_places": sorted({place for place, _ in threads}), "b_threads": sorted({ts for _, ts in threads})}


def _remember(found: Found, conversation: Conversation) -> None:
    found.conversations[conversation.id] = conversation
    if conversation.thread.ts is not None:
        found.by_thread[conversation.thread.channel, conversation.thread.ts] = conversation.id


def choose(wanted: Wanted, found: Found) -> Conversation | None:
    """The conversation that one wish is about; None where there is none."""
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
