"""Whom to compare with whom: keyed hashes of what two records of one person are likely to share.

Nobody's name is opened to find candidates. A key that many share says nothing and is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import BindParameter, Row, bindparam, delete, func, select

from domain import text
from domain.contacts import ContactKind
from domain.links import Pair, Traits
from domain.model import EntryKind
from storage import contacts, crypto, profiles, sealing
from storage.database import Database, insert, insert_once
from storage.engines import Connection
from storage.keys import KeyStore
from storage.links import SUGGESTED
from storage.tables import counters, customers, duplicates, identities, likeness, timeline

AT_ONCE: Final = 200
TOO_MANY: Final = 50
"""A key that so many share (a shop's own number, a family name at a large company) tells nothing."""
OVERLAP: Final = 500
"""Lines looked at again: on PostgreSQL a smaller number may be committed after a larger one."""
_AT: Final = "likeness"  # the counter that says up to which line everybody was compared
_TELLING: Final = (EntryKind.OPENED, EntryKind.CONTACT, EntryKind.PROFILE, EntryKind.RENAMED, EntryKind.FACT)
_POSTCODE: Final = re.compile(r"\d{4,}")
_START: Final = 3
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
_PEOPLE: Final = select(customers).where(customers.c.id.in_(_IDS), customers.c.erased_at.is_(None))
_CHATS: Final = select(identities).where(identities.c.customer_id.in_(_IDS))
_SHARED: Final = select(likeness.c.mac, likeness.c.customer_id).where(
    likeness.c.mac.in_(bindparam("b_macs", expanding=True))
)
_OPEN: Final = select(duplicates.c.one, duplicates.c.other).where(
    duplicates.c.one.in_(_IDS) | duplicates.c.other.in_(_IDS), duplicates.c.state == SUGGESTED
)


class Likeness:
    """Finds who something was learnt about, what of them can be compared, and with whom."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def touched(self) -> tuple[list[str], int, bool] | None:
        """Customers about whom something was learnt since, up to which line that is, and whether there is more.

        None where nothing at all was written.
        """

        overlap = 0 if self._db.is_sqlite else OVERLAP

        async def read(conn: Connection) -> tuple[list[str], int, bool] | None:
            done = select(counters.c.value).where(counters.c.name == _AT)
            after = int((await conn.execute(done)).scalar() or 0)
            newest = int((await conn.execute(select(func.max(timeline.c.seq)))).scalar() or 0)
            if newest <= after:
                return None
            query = (
                select(timeline.c.seq, timeline.c.customer_id)
                .where(timeline.c.seq > max(0, after - overlap), timeline.c.kind.in_([one.value for one in _TELLING]))
                .order_by(timeline.c.seq)
                .limit(AT_ONCE + OVERLAP)
            )
            rows = (await conn.execute(query)).all()
            more = len(rows) == AT_ONCE + OVERLAP
            return list(dict.fromkeys(row.customer_id for row in rows)), rows[-1].seq if more else newest, more

        return await self._db.query(read)

    async def advance(self, line: int) -> None:
        """Note that everybody up to this line was compared."""

        async def work(conn: Connection) -> None:
            statement = insert(conn, counters).values(name=_AT, value=line)
            await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": line}))

        await self._db.write(work)

    async def traits(self, ids: Collection[str]) -> dict[str, Traits]:
        """What of these customers can be compared; erased ones are absent."""
        named = {"b_ids": sorted(ids)}

        async def read(conn: Connection) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]], Sequence[Row[Any]]]:
            people = (await conn.execute(_PEOPLE, named)).all()
            chats = (await conn.execute(_CHATS, named)).all()
            return people, chats, (await conn.execute(contacts.OF_CUSTOMERS, named)).all()

        people, chats, points = await self._db.query(read) if ids else ((), (), ())
        ring = await self._keys.data_keys({row.id for row in people}, create=False)
        of: dict[str, list[Row[Any]]] = {}
        for row in (*chats, *points):
            of.setdefault(row.customer_id, []).append(row)
        return {row.id: _traits(ring[row.id], row, of.get(row.id, [])) for row in people if row.id in ring}

    async def candidates(self, found: Mapping[str, Traits]) -> tuple[dict[str, set[str]], set[Pair]]:
        """Remember these customers' keys; whom to compare each with, and the pairs that are suggested of them now."""
        index = self._keys.purpose("index")
        keys = {one: {crypto.mac(index, "likeness", *key) for key in _keys(traits)} for one, traits in found.items()}

        async def work(conn: Connection) -> None:
            await conn.execute(delete(likeness).where(likeness.c.customer_id.in_(list(keys))))
            rows = [{"customer_id": one, "mac": mac} for one, own in keys.items() for mac in sorted(own)]
            if rows:
                await conn.execute(insert_once(conn.dialect.name, likeness), rows)

        async def read(conn: Connection) -> tuple[Sequence[Row[Any]], Sequence[Row[Any]]]:
            macs = sorted({mac for own in keys.values() for mac in own})
            shared: list[Row[Any]] = []
            for start in range(0, len(macs), AT_ONCE):
                shared += (await conn.execute(_SHARED, {"b_macs": macs[start : start + AT_ONCE]})).all()
            return shared, (await conn.execute(_OPEN, {"b_ids": sorted(keys)})).all()

        if not keys:
            return {}, set()
        await self._db.write(work)
        rows, suggested = await self._db.query(read)
        holders: dict[str, set[str]] = {}
        for row in rows:
            holders.setdefault(row.mac, set()).add(row.customer_id)
        with_whom = {
            one: {other for mac in own if len(holders.get(mac, ())) <= TOO_MANY for other in holders.get(mac, ())}
            - {one}
            for one, own in keys.items()
        }
        return with_whom, {(row.one, row.other) for row in suggested}


def _traits(key: bytes, row: Row[Any], rows: Sequence[Row[Any]]) -> Traits:
    chats = [sealing.identity_of(key, each) for each in rows if "address_sealed" in each._fields]
    points = [contacts.of_row(key, each) for each in rows if "value_sealed" in each._fields]
    points = [point for point in points if point.holds and point.reachable]
    said = {name: value.value for name, value in profiles.opened(key, row).current.items()}
    names = dict.fromkeys([said.get("name", ""), sealing.customer_of(key, row).name, *(chat.name for chat in chats)])
    held = {(point.kind, point.value) for point in points}
    held |= {(ContactKind(kind), said[kind]) for kind in ("phone", "email") if kind in said}
    return Traits(
        customer_id=row.id,
        names=tuple(name for name in names if name),
        usernames=frozenset(chat.username.casefold() for chat in chats if chat.username),
        points=frozenset(held),
        verified=frozenset((point.kind, point.value) for point in points if point.verified_at is not None),
        birthday=_day(said.get("birthday", "")),
        address=said.get("address", ""),
        company=said.get("company", ""),
    )


def _keys(traits: Traits) -> Iterator[tuple[str, ...]]:
    """What is hashed: equal contact points and user names; the beginnings of names with something else beside them."""
    yield from ((kind.value, value) for kind, value in traits.points)
    yield from (("username", name) for name in traits.usernames)
    starts = {run[:_START] for name in traits.names for run, _ in text.word_runs(name)}
    beside = [] if traits.birthday is None else [traits.birthday.isoformat()]
    beside += _POSTCODE.findall(traits.address)
    beside += [run for run, _ in text.word_runs(traits.company)][:1]
    yield from ((start, one) for start in starts for one in beside)


def _day(given: str) -> date | None:
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None
