"""Facts that come with a key of their own: the same one again is the same entry, whatever came between."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from domain.errors import RelaydeskError, UnknownPerson
from storage import crypto
from storage.database import Database, insert_once
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import customers, fact_keys, stamp


class TakenError(RelaydeskError):
    """Somebody else has just noted a fact under this key: look what it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What was noted under a key: about whom, as which entry, and whether the same was said."""

    customer_id: str
    entry_id: str
    same: bool


class FactKeys:
    """Looks keys up and takes them. `digest` is of all that was said with the key."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def known(self, key: str, said: bytes) -> Known | None:
        """What was noted under a key, None for a new one."""
        mac = self._mac(key)

        async def read(conn: Connection) -> Known | None:
            row = (await conn.execute(select(fact_keys).where(fact_keys.c.key_mac == mac))).one_or_none()
            if row is None:
                return None
            same = row.digest == self._digest(said)
            return Known(customer_id=row.customer_id, entry_id=row.entry_id, same=same)

        return await self._db.query(read)

    async def take(
        self, conn: Connection, key: str, said: bytes, *, customer_id: str, entry_id: str, now: datetime
    ) -> None:
        """Take a key within the caller's transaction. Raises TakenError."""
        row = {"key_mac": self._mac(key), "customer_id": customer_id, "entry_id": entry_id}
        taken = row | {"digest": self._digest(said), "at": stamp(now)}
        done = await conn.execute(insert_once(conn.dialect.name, fact_keys), taken)
        if int(done.rowcount) != 1:
            raise TakenError("this key was taken a moment ago")

    def _mac(self, key: str) -> str:
        return crypto.mac(self._keys.purpose("index"), "fact", key)

    def _digest(self, said: bytes) -> str:
        return crypto.mac(self._keys.purpose("index"), "fact body", said)


async def alive(conn: Connection, customer_id: str, *, hold: bool = False) -> None:
    """Raise UnknownPerson where a customer is not there, or erased; `hold` keeps them to the end of the transaction."""
    query = select(customers.c.id).where(customers.c.id == customer_id, customers.c.erased_at.is_(None))
    if (await conn.execute(query.with_for_update() if hold else query)).first() is None:
        raise UnknownPerson(f"there is no customer {customer_id}")
