"""A contact point that somebody confirmed who is no longer one person with whom it stands at.

They were asked while both were one person, and answered when a colleague had taken that back. That they did is noted
with them, without the value: they were shown it masked, and it is somebody else's. The other's stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import select

from domain.contacts import Checked, ContactKind
from domain.model import Actor, ActorKind, Entry, EntryKind
from storage import links
from storage.database import Database
from storage.engines import Connection
from storage.tables import contact_points

OF_ANOTHER: Final = "of_another"
"""What became of such a contact point, as its line says it."""


async def of(database: Database, checked: Iterable[Checked]) -> list[Entry]:
    """The lines of those of these answers that are about somebody else's contact points; mostly none."""
    asked = [one for one in checked if one.right and one.spare is not None]
    if not asked:
        return []
    theirs = select(contact_points.c.id, contact_points.c.customer_id, contact_points.c.kind).where(
        contact_points.c.id.in_(sorted({one.contact_id for one in asked}))
    )

    async def read(conn: Connection) -> list[Entry]:
        found = {row.id: row for row in await conn.execute(theirs)}
        made = []
        for one in asked:
            row = found.get(one.contact_id)
            if row is not None and row.customer_id not in await links.members(conn, one.customer_id):
                made.append(_line(one, ContactKind(row.kind)))
        return made

    return await database.query(read)


def _line(one: Checked, kind: ContactKind) -> Entry:
    assert one.spare is not None  # noqa: S101  # the caller looked
    return Entry(
        id=one.spare,
        conversation_id=one.customer_id,
        customer_id=one.customer_id,
        kind=EntryKind.CONTACT,
        actor=Actor(kind=ActorKind.CUSTOMER),
        at=one.at,
        data={"about": kind.value, "to": OF_ANOTHER},
    )
