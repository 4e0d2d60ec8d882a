"""Contact points as rows: sealed under the customer's key, found by a keyed hash of their one form."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, Row, and_, bindparam, exists, func, or_, select, update
from sqlalchemy import text as sql

from domain import consent, contacts
from domain.contacts import Checked, ContactKind, ContactPoint, Freshness, How
from domain.errors import Conflict, KeyDestroyed, UnknownPerson
from domain.model import Actor, ActorKind, Entry, EntryKind
from domain.profile import Source
from storage import audit, crypto, lines, links, sealing
from storage.database import Database, insert
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import (
    contact_points,
    conversations,
    customers,
    identities,
    maybe_stamp,
    maybe_unstamp,
    stamp,
    unstamp,
)

_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
OF_CUSTOMERS: Final = select(contact_points).where(contact_points.c.customer_id.in_(_IDS))
BY_VALUE: Final = select(contact_points).where(
    contact_points.c.value_mac.in_(bindparam("b_macs", expanding=True)), contact_points.c.removed_at.is_(None)
)
NOT_THEIRS: Final = "not_theirs"
_THEIRS: Final = BY_VALUE.where(or_(contact_points.c.reason.is_(None), contact_points.c.reason != NOT_THEIRS))
_ALONE: Final = sql("SELECT pg_advisory_xact_lock(CAST(:kind AS integer), CAST(:place AS integer))")
_ENTERING: Final = 1  # the first half of such a lock's number; two contact points that share the second only wait
_CHECK: Final = update(contact_points).where(
    contact_points.c.id == bindparam("b_id"), contact_points.c.customer_id.in_(bindparam("b_person", expanding=True))
)
_RIGHT: Final = _CHECK.values(
    verified_at=bindparam("b_at"), verified_how=bindparam("b_how"), reachable=1, reason=None, removed_at=None
)
_ASKED: Final = _CHECK.values(asked_at=bindparam("b_at"))
_WRONG: Final = _CHECK.values(reachable=0, reason=bindparam("b_why"))
_AGREED: Final = json.dumps({consent.Purpose.OUTREACH.value: True})[1:-1]  # as `sealing.customer_row` writes it


def value_mac(index_key: bytes, kind: ContactKind, value: str) -> str:
    """The keyed hash under which an equal phone number or e-mail address is found."""
    return crypto.mac(index_key, "contact", kind.value, value)


def macs(index_key: bytes, text: str) -> list[str]:
    """The hashes of a text as a contact point; none where it is neither a number with its country nor an e-mail."""
    try:
        kind, value = contacts.read(text, None)
    except ValueError:
        return []
    return [value_mac(index_key, kind, value)]


def row_of(key: bytes, index_key: bytes, one: ContactPoint) -> dict[str, Any]:
    """A contact point as its row."""
    return {
        "id": one.id,
        "customer_id": one.customer_id,
        "kind": one.kind.value,
        "value_mac": value_mac(index_key, one.kind, one.value),
        "value_sealed": sealing.seal_text(key, "contact_points", "value", one.id, one.value),
        "type": one.type,
        "source": one.source.value,
        "added_at": stamp(one.added_at),
        "verified_at": maybe_stamp(one.verified_at),
        "verified_how": None if one.verified_how is None else one.verified_how.value,
        "reachable": int(one.reachable),
        "reason": one.reason,
        "asked_at": maybe_stamp(one.asked_at),
        "removed_at": maybe_stamp(one.removed_at),
    }


def of_row(key: bytes | None, row: Row[Any]) -> ContactPoint:
    """A row as a contact point; its value is empty once the key is gone."""
    return ContactPoint(
        id=row.id,
        customer_id=row.customer_id,
        kind=ContactKind(row.kind),
        value=sealing.open_text(key, "contact_points", "value", row.id, row.value_sealed),
        type=row.type,
        source=Source(row.source),
        added_at=unstamp(row.added_at),
        verified_at=maybe_unstamp(row.verified_at),
        verified_how=None if row.verified_how is None else How(row.verified_how),
        reachable=bool(row.reachable),
        reason=row.reason,
        asked_at=maybe_unstamp(row.asked_at),
        removed_at=maybe_unstamp(row.removed_at),
    )


async def write(
    conn: Connection,
    rows: Sequence[dict[str, Any]],
    checked: Iterable[Checked],
    regions: Iterable[tuple[str, str]] = (),
) -> None:
    """Add contact points and note what was said about others. One that is known keeps its row and gains what is new."""
    if rows:
        statement = insert(conn, contact_points)
        new, it = statement.excluded, contact_points.c
        await conn.execute(
            statement.on_conflict_do_update(
                index_elements=["customer_id", "kind", "value_mac"],
                set_={
                    "verified_at": func.coalesce(new.verified_at, it.verified_at),
                    "verified_how": func.coalesce(new.verified_how, it.verified_how),
                    "type": new.type,
                    "reachable": new.reachable,
                    "reason": new.reason,
                    "removed_at": None,
                },
            ),
            list(rows),
        )
    for customer_id, region in regions:
        nowhere = (customers.c.id == customer_id) & customers.c.region.is_(None) & customers.c.erased_at.is_(None)
        await conn.execute(update(customers).where(nowhere).values(region=region))
    for one in checked:
        # Any chat of a person answers for all of them: the question goes to one, the number may stand at another.
        named = {"b_id": one.contact_id, "b_person": await links.members(conn, one.customer_id)}
        if one.right is None:
            await conn.execute(_ASKED, {**named, "b_at": stamp(one.at)})
        elif one.right:
            await conn.execute(_RIGHT, {**named, "b_at": stamp(one.at), "b_how": one.how.value})
        else:
            await conn.execute(_WRONG, {**named, "b_why": NOT_THEIRS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """Who is known by some contact points: a customer of each person, and the points that nobody is known by."""

    customers: tuple[str, ...] = ()
    unheard: tuple[tuple[ContactKind, str], ...] = ()


async def reached(conn: Connection, index_key: bytes, points: Iterable[tuple[ContactKind, str]]) -> Reached:
    """A customer of each person who has one of these, one for whom it was verified first."""
    hashed = {point: value_mac(index_key, *point) for point in points}
    rows = (await conn.execute(_THEIRS, {"b_macs": sorted(hashed.values())})).all() if hashed else ()
    found: dict[str, None] = {}
    seen: set[str] = set()
    for row in sorted(rows, key=_verified_first):
        if row.customer_id not in seen:
            found[row.customer_id] = None
            seen.update(await links.members(conn, row.customer_id))
    heard = {row.value_mac for row in rows}
    return Reached(customers=tuple(found), unheard=tuple(point for point, mac in hashed.items() if mac not in heard))


def _verified_first(row: Row[Any]) -> tuple[bool, str]:
    return row.verified_at is None, row.id


async def claim(conn: Connection, hashed: Collection[str]) -> None:
    """Let nobody else enter a person with these until the transaction ends. Raises Conflict where somebody has one.

    `hashed` is the `value_mac` of each.

    Of two processes that both found nobody the second waits here for the first one's commit, and looks up again.
    """
    if not hashed:
        return
    if conn.dialect.name == "postgresql":  # on SQLite one process writes, one transaction at a time
        for place in sorted(zlib.crc32(mac.encode()) - (1 << 31) for mac in hashed):
            await conn.execute(_ALONE, {"kind": _ENTERING, "place": place})
    if (await conn.execute(_THEIRS, {"b_macs": sorted(hashed)})).first() is not None:
        raise Conflict("somebody was entered with this phone number or e-mail address a moment ago: look them up again")


def regions_of(points: Iterable[ContactPoint]) -> list[tuple[str, str]]:
    """(customer, country) that these phone numbers say."""
    found = ((one.customer_id, contacts.region_of(one.kind, one.value)) for one in points)
    return [(customer, region) for customer, region in found if region is not None]


def line(point: ContactPoint, to: str, *, entry_id: str, actor: Actor, at: datetime, place: str | None = None) -> Entry:
    """The timeline line of a change: what it became of which contact point; the value itself is sealed with it."""
    return Entry(
        id=entry_id,
        conversation_id=place or point.customer_id,
        customer_id=point.customer_id,
        kind=EntryKind.CONTACT,
        actor=actor,
        at=at,
        body=point.value,
        data={"contact": point.id, "about": point.kind.value, "to": to},
    )


class Contacts:
    """Reads and changes contact points. A read of a person: the caller audits it."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def of(self, customer_ids: Collection[str]) -> dict[str, tuple[ContactPoint, ...]]:
        """Contact points by customer, oldest first; those taken back too."""
        wanted = sorted(customer_ids)

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            query = OF_CUSTOMERS.order_by(contact_points.c.id)
            return (await conn.execute(query, {"b_ids": wanted})).all() if wanted else ()

        return await self._opened(await self._db.query(read))

    async def by_id(self, ids: Collection[str]) -> dict[str, ContactPoint]:
        """Contact points by their ids; unknown ones are absent."""
        query = select(contact_points).where(contact_points.c.id.in_(sorted(ids)))

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(query)).all()

        found = await self._opened(await self._db.query(read))
        return {one.id: one for own in found.values() for one in own}

    async def owners(self, kind: ContactKind, value: str) -> list[str]:
        """Customers who have this contact point, those for whom it was verified first; not those who had it once."""
        mac = value_mac(self._keys.purpose("index"), kind, value)

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(_THEIRS, {"b_macs": [mac]})).all()

        rows = await self._db.query(read)
        return [row.customer_id for row in sorted(rows, key=_verified_first)]

    async def add(self, point: ContactPoint, *, entry_id: str, actor: Actor, now: datetime) -> None:
        """Note a contact point, with its line in timeline and audit trail. Raises UnknownPerson or KeyDestroyed."""
        await self._change(point, "added", entry_id=entry_id, actor=actor, now=now, rows=True)

    async def check(self, point: ContactPoint, checked: Checked, *, entry_id: str, actor: Actor) -> None:
        """Note that it was made sure of, or that it is not theirs. Raises UnknownPerson or KeyDestroyed."""
        to = checked.how.value if checked.right else NOT_THEIRS
        await self._change(point, to, entry_id=entry_id, actor=actor, now=checked.at, checked=(checked,))

    async def remove(self, point: ContactPoint, *, entry_id: str, actor: Actor, now: datetime) -> None:
        """Take it back; it stays as history. Raises UnknownPerson or KeyDestroyed."""
        await self._change(point, "removed", entry_id=entry_id, actor=actor, now=now, removed=True)

    async def due(
        self, freshness: Freshness, now: datetime, limit: int = 50, *, to_be_asked: bool = False, offset: int = 0
    ) -> list[ContactPoint]:
        """Contact points that nobody made sure of for too long, the oldest first. `now` is product time.

        `to_be_asked`: only of who agreed to be written to unasked, and has a chat in which that arrives.
        `offset`: so many of the oldest are passed over.
        """
        since = func.coalesce(contact_points.c.verified_at, contact_points.c.added_at)
        wrote = select(func.max(conversations.c.last_customer_at)).where(
            conversations.c.customer_id == contact_points.c.customer_id
        )
        seen = func.coalesce(wrote.scalar_subquery(), customers.c.created_at)
        asked = contact_points.c.asked_at
        active = and_(since <= stamp(now - freshness.active_every), seen >= stamp(now - freshness.active_within))
        query = (
            select(contact_points)
            .join(customers, customers.c.id == contact_points.c.customer_id)
            .where(
                contact_points.c.removed_at.is_(None), contact_points.c.reachable == 1, customers.c.erased_at.is_(None)
            )
            .where(or_(active, since <= stamp(now - freshness.idle_every)))
            .where(or_(asked.is_(None), asked <= stamp(now - freshness.ask_again)))
            .order_by(since, contact_points.c.id)
            .limit(limit)
            .offset(offset)
        )
        if to_be_asked:
            chat = (identities.c.customer_id == customers.c.id) & (identities.c.reachable == 1)
            query = query.where(customers.c.consents.contains(_AGREED), exists().where(chat))

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(query)).all()

        rows = await self._db.query(read)
        opened = {one.id: one for own in (await self._opened(rows)).values() for one in own}
        return [opened[row.id] for row in rows]

    async def _change(
        self,
        point: ContactPoint,
        to: str,
        *,
        entry_id: str,
        actor: Actor,
        now: datetime,
        rows: bool = False,
        checked: Iterable[Checked] = (),
        removed: bool = False,
    ) -> None:
        key = (await self._keys.data_keys([point.customer_id])).get(point.customer_id)
        if key is None:
            raise KeyDestroyed("the customer was erased: nothing more is kept about them")
        index, entry = self._keys.purpose("index"), line(point, to, entry_id=entry_id, actor=actor, at=now)
        made = [row_of(key, index, point)] if rows else []

        async def work(conn: Connection) -> None:
            alive = select(customers.c.id).where(customers.c.id == point.customer_id, customers.c.erased_at.is_(None))
            if (await conn.execute(alive.with_for_update())).first() is None:
                raise UnknownPerson(f"there is no customer {point.customer_id}")
            await write(conn, made, checked, regions_of([point]) if rows else ())
            if removed:
                own = contact_points.c.id == point.id
                await conn.execute(update(contact_points).where(own).values(removed_at=stamp(now)))
            await lines.add(conn, key, index, entry, stamp(now))
            who = actor.id or actor.kind.value
            await audit.record(
                conn,
                self._keys.purpose("audit"),
                at=now,
                actor=f"os:{who}" if actor.kind is ActorKind.OPERATOR else f"{actor.kind.value}:{who}",
                action="customer.contact",
                object=f"customer:{point.customer_id}",
                detail=f"{point.kind.value} {to}",
            )

        await self._db.write(work)

    async def _opened(self, rows: Sequence[Row[Any]]) -> dict[str, tuple[ContactPoint, ...]]:
        ring = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        found: dict[str, list[ContactPoint]] = {}
        for row in rows:
            found.setdefault(row.customer_id, []).append(of_row(ring.get(row.customer_id), row))
        return {customer: tuple(own) for customer, own in found.items()}
