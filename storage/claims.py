"""A contact point that somebody confirmed who is no longer one person with whom it stands at.

They were asked while both were one person, and answered when a colleague had taken that back. What they said is theirs:
it is noted with them, as a claim that nobody made sure of, and the other's stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select

from domain.contacts import Checked, ContactKind, ContactPoint, type_of
from domain.model import Actor, ActorKind, Entry
from domain.profile import Source
from storage import contacts, links, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import contact_points

Claim = tuple[ContactPoint, Entry]


async def of(database: Database, keys: KeyStore, checked: Iterable[Checked], now: datetime) -> list[Claim]:
    """What these answers claim of somebody else's contact points, each with its line; mostly nothing."""
    asked = {one.contact_id: one for one in checked if one.right and one.spare is not None}
    if not asked:
        return []
    theirs = select(contact_points).where(contact_points.c.id.in_(sorted(asked)))

    async def read(conn: Connection) -> list[tuple[Checked, str, ContactKind, bytes]]:
        found = []
        for row in await conn.execute(theirs):
            one = asked[row.id]
            if row.customer_id not in await links.members(conn, one.customer_id):
                found.append((one, str(row.customer_id), ContactKind(row.kind), row.value_sealed))
        return found

    strays = await database.query(read)
    ring = await keys.data_keys({owner for _, owner, _, _ in strays}, create=False) if strays else {}
    made = []
    for one, owner, kind, blob in strays:
        value = sealing.open_text(ring.get(owner), "contact_points", "value", one.contact_id, blob)
        if value and one.spare is not None:  # none once whose it was has been erased
            made.append(_claim(one, one.spare, kind, value, now))
    return made


def _claim(one: Checked, spare: tuple[str, str], kind: ContactKind, value: str, now: datetime) -> Claim:
    point = ContactPoint(
        id=spare[0],
        customer_id=one.customer_id,
        kind=kind,
        value=value,
        type=type_of(kind, value),
        source=Source.CUSTOMER,
        added_at=one.at,
    )
    actor = Actor(kind=ActorKind.CUSTOMER)
    return point, contacts.line(point, "added", entry_id=spare[1], actor=actor, at=now)
