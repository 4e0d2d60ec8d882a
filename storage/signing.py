"""Which name a customer was shown last in a conversation."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, select

from storage.database import Database
from storage.engines import Connection
from storage.tables import deliveries, unstamp

NEWEST = (
    select(deliveries.c.signed, deliveries.c.at)
    .where(deliveries.c.conversation_id == bindparam("b_id"), deliveries.c.signed.is_not(None))
    .order_by(deliveries.c.at.desc(), deliveries.c.outbox_id.desc())
    .limit(1)
)


class Signed(NamedTuple):
    """A name that was shown (its key, see `domain.signing.Name`), and when: product time."""

    key: str
    at: datetime


class Signatures:
    """Looks up what was shown."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def newest(self, conversation_id: str) -> Signed | None:
        """The name shown last, None where none was."""

        async def read(conn: Connection) -> Signed | None:
            row = (await conn.execute(NEWEST, {"b_id": conversation_id})).first()
            return None if row is None else Signed(key=row.signed, at=unstamp(row.at))

        return await self._db.query(read)
