"""What the dispatcher shows: the newest state of a conversation, loaded for many at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import Row, bindparam, func, literal_column, select, union_all

from domain.changes import ClockRow
from domain.model import Conversation, Customer, Entry, EntryKind, Identity
from storage import joining, profiles, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.loading import CLOCKS, CUSTOMERS, IDENTITIES, NOT_MUTED
from storage.tables import conversations, timeline
from storage.wishes import CONVERSATIONS

# The newest message of the customer in each conversation (`part` 0), and those that stand in its card itself (1).
_SHOWN = union_all(
    select(timeline, literal_column("0").label("part")).where(
        timeline.c.seq.in_(
            select(func.max(timeline.c.seq))
            .where(
                timeline.c.conversation_id.in_(bindparam("b_ids", expanding=True)),
                timeline.c.kind == EntryKind.INCOMING.value,
                NOT_MUTED,
            )
            .group_by(timeline.c.conversation_id)
        )
    ),
    joining.CARRIED.add_columns(literal_column("1").label("part")),
).cte("shown")
# These, and what was changed of them (2): of a talk in which much is corrected, few changes concern what is shown.
_LATEST = union_all(
    select(_SHOWN),
    select(timeline, literal_column("2").label("part")).where(
        timeline.c.conversation_id == _SHOWN.c.conversation_id,
        timeline.c.seq > _SHOWN.c.seq,
        timeline.c.kind == EntryKind.INCOMING_EDIT.value,
        timeline.c.reply_to == _SHOWN.c.platform_id,
    ),
)

LATELY = 20
"""So many of a customer's messages say what a conversation is about."""
_LATELY = (
    select(timeline)
    .where(timeline.c.conversation_id == bindparam("b_id"), timeline.c.kind == EntryKind.INCOMING.value, NOT_MUTED)
    .order_by(timeline.c.seq.desc())
    .limit(LATELY)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A conversation as it stands now. `latest` is the newest message of the customer, in its newest words.

    `carried` are the messages that its card was posted with, in theirs.
    """

    conversation: Conversation
    customer: Customer
    identity: Identity
    clocks: tuple[ClockRow, ...]
    latest: Entry | None
    card_version: int
    previous: int | None = None  # the number of the conversation this one follows
    carried: tuple[Entry, ...] = ()
    profile: Mapping[str, str] = field(default_factory=dict)  # what holds now, by field


class _Read(NamedTuple):
    """What one snapshot gave, still sealed."""

    found: Sequence[Row[Any]]
    people: Sequence[Row[Any]]
    addresses: Sequence[Row[Any]]
    running: Sequence[Row[Any]]
    latest: Sequence[Row[Any]]
    owners: list[str]
    numbers: dict[str, int]


class Views:
    """Loads views and addresses."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def load(self, ids: Sequence[str]) -> dict[str, View]:
        """The views of these conversations, one query per table."""

        async def read(conn: Connection) -> _Read:
            found = (await conn.execute(CONVERSATIONS, {"b_ids": ids})).all()
            owners = sorted({row.customer_id for row in found})
            people = (await conn.execute(CUSTOMERS, {"b_ids": owners})).all()
            who = sorted({row.identity_id for row in found})
            addresses = (await conn.execute(IDENTITIES, {"b_ids": who})).all()
            running = (await conn.execute(CLOCKS, {"b_ids": ids})).all()
            latest = (await conn.execute(_LATEST, {"b_ids": ids})).all()
            earlier = sorted({row.previous for row in found if row.previous})
            numbers = await _numbers(conn, earlier) if earlier else {}
            return _Read(found, people, addresses, running, latest, owners, numbers)

        found, people, addresses, running, latest, owners, numbers = await self._db.query(read)
        keys = await self._keys.data_keys(owners, create=False)
        customer_of = {row.id: sealing.customer_of(keys.get(row.id), row) for row in people}
        profile_of = {row.id: profiles.opened(keys.get(row.id), row).current for row in people if row.profile_sealed}
        identity_of = {row.id: sealing.identity_of(keys.get(row.customer_id), row) for row in addresses}
        newest, inside, edits = ([row for row in latest if row.part == part] for part in range(3))
        entry_of = {entry.conversation_id: entry for entry in _newest_words(newest, edits, keys)}
        carried_by: dict[str, list[Entry]] = {}
        for entry in _newest_words(inside, edits, keys):
            carried_by.setdefault(entry.conversation_id, []).append(entry)
        clocks_of: dict[str, list[ClockRow]] = {}
        for clock in running:
            clocks_of.setdefault(clock.conversation_id, []).append(sealing.clock_of(clock))
        views = {}
        for row in found:
            views[row.id] = View(
                conversation=sealing.conversation_of(row),
                customer=customer_of[row.customer_id],
                identity=identity_of[row.identity_id],
                clocks=tuple(clocks_of.get(row.id, ())),
                latest=entry_of.get(row.id),
                profile={name: said.value for name, said in profile_of.get(row.customer_id, {}).items()},
                card_version=row.card_version,
                previous=numbers.get(row.previous or ""),
                carried=tuple(carried_by.get(row.id, ())),
            )
        return views

    async def standing(self, place: str, ts: str) -> list[Entry]:
        """The customer's messages that stand in one post at the desk, in their order and in their newest words."""

        async def read(conn: Connection) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
            rows = (await conn.execute(joining.STANDING, {"b_place": place, "b_ts": ts})).all()
            return rows, await _edits(conn, rows)

        rows, edits = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        return _newest_words(rows, edits, keys)

    async def worded(self, entries: Sequence[Entry]) -> list[Entry]:
        """These messages of customers in their newest words, in their order; one query for all."""
        if not entries:
            return []
        edits = await self._db.query(lambda conn: _edits(conn, entries))
        keys = await self._keys.data_keys({row.customer_id for row in edits}, create=False)
        return _reworded(entries, edits, keys)

    async def said_lately(self, conversation_id: str) -> list[Entry]:
        """The customer's last messages in a conversation, answered or not, in their order and in their newest words."""

        async def read(conn: Connection) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
            rows = (await conn.execute(_LATELY, {"b_id": conversation_id})).all()
            return rows, await _edits(conn, rows)

        rows, edits = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        return _newest_words(rows, edits, keys)

    async def customers(self, ids: Sequence[str]) -> dict[str, Customer]:
        """Customers by id, opened."""

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(CUSTOMERS, {"b_ids": ids})).all()

        rows = await self._db.query(read)
        keys = await self._keys.data_keys({row.id for row in rows}, create=False)
        return {row.id: sealing.customer_of(keys.get(row.id), row) for row in rows}

    async def identities(self, ids: Sequence[str]) -> dict[str, Identity]:
        """Identities by id, opened: where answers go."""

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(IDENTITIES, {"b_ids": ids})).all()

        rows = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        return {row.id: sealing.identity_of(keys.get(row.customer_id), row) for row in rows}


async def _edits(conn: Connection, rows: Sequence[Row[Any]] | Sequence[Entry]) -> Sequence[Row[Any]]:
    """What was changed of these messages."""
    named = {"b_ids": {row.conversation_id for row in rows}, "b_messages": {row.platform_id for row in rows}}
    of = {name: sorted(one for one in ids if one is not None) for name, ids in named.items()}
    return (await conn.execute(joining.EDITS, of)).all() if of["b_messages"] else ()


def _newest_words(rows: Sequence[Row[Any]], edits: Sequence[Row[Any]], keys: Mapping[str, bytes]) -> list[Entry]:
    """Messages as the customer has left them; `edited` in the data of one says that it was changed."""
    opened = [sealing.entry_of(keys.get(row.customer_id), row) for row in sorted(rows, key=lambda one: one.seq)]
    return _reworded(opened, edits, keys)


def _reworded(entries: Sequence[Entry], edits: Sequence[Row[Any]], keys: Mapping[str, bytes]) -> list[Entry]:
    changed = {json.loads(row.data).get("of"): row for row in sorted(edits, key=lambda one: one.seq)}
    made = []
    for entry in entries:
        edit = changed.get(entry.id)
        if edit is not None:
            body = sealing.entry_of(keys.get(edit.customer_id), edit).body
            entry = replace(entry, body=body, data={**entry.data, "edited": True})
        made.append(entry)
    return made


async def _numbers(conn: Connection, ids: Sequence[str]) -> dict[str, int]:
    rows = await conn.execute(select(conversations.c.id, conversations.c.number).where(conversations.c.id.in_(ids)))
    return {conversation: number for conversation, number in rows}
