"""Legal holds: whom nothing may be erased of, since when, by whose word, and why. A hold covers a whole person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from domain.errors import UnknownPerson
from domain.links import person
from storage import audit, links
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import customers, holds, stamp, unstamp


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """A hold that stands: on whom, since when, by whose word, why, and whom it covers beside them."""

    customer_id: str
    placed_at: datetime
    actor: str
    reason: str
    also: tuple[str, ...] = ()


async def covered(conn: Connection) -> set[str]:
    """Everybody whom a legal hold covers now: who is held, and who is one person with them."""
    standing = select(holds.c.customer_id).where(holds.c.released_at.is_(None)).distinct()
    held = set((await conn.execute(standing)).scalars())
    return held | {each for both in await links.edges(conn, held) for each in both}


class Holds:
    """Places and releases holds; both stand in the audit trail."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def place(self, customer_id: str, *, hold_id: str, actor: str, reason: str, now: datetime) -> None:
        """Hold a customer. Several holds may stand at once; each must be released. Raises UnknownPerson."""
        row = {"id": hold_id, "customer_id": customer_id, "placed_at": stamp(now), "actor": actor[:80]}

        async def work(conn: Connection) -> None:
            alive = select(customers.c.id).where(customers.c.id == customer_id, customers.c.erased_at.is_(None))
            if (await conn.execute(alive.with_for_update())).first() is None:
                raise UnknownPerson(f"there is no customer {customer_id} to hold")
            await conn.execute(holds.insert(), [row | {"reason": reason[:200]}])
            await self._note(conn, "privacy.hold", customer_id, actor, f"hold {hold_id}", now)

        await self._db.write(work)

    async def standing(self) -> list[Hold]:
        """Every hold that was not released, oldest first."""

        async def read(conn: Connection) -> list[Hold]:
            query = select(holds).where(holds.c.released_at.is_(None)).order_by(holds.c.placed_at, holds.c.id)
            rows = (await conn.execute(query)).all()
            edges = await links.edges(conn, {row.customer_id for row in rows})
            return [
                Hold(
                    customer_id=row.customer_id,
                    placed_at=unstamp(row.placed_at),
                    actor=row.actor,
                    reason=row.reason,
                    also=tuple(sorted(person(row.customer_id, edges) - {row.customer_id})),
                )
                for row in rows
            ]

        return await self._db.query(read)

    async def release(self, customer_id: str, *, actor: str, reason: str, now: datetime) -> int:
        """Release every hold on a customer; returns how many there were."""
        standing = (holds.c.customer_id == customer_id) & holds.c.released_at.is_(None)

        async def work(conn: Connection) -> int:
            values = {"released_at": stamp(now), "released_by": actor[:80]}
            gone = int((await conn.execute(update(holds).where(standing).values(**values))).rowcount)
            if gone:
                await self._note(conn, "privacy.release", customer_id, actor, reason, now)
            return gone

        return await self._db.write(work)

    async def _note(
        self, conn: Connection, action: str, customer_id: str, actor: str, detail: str, now: datetime
    ) -> None:
        thing = f"customer:{customer_id}"
        key = self._keys.purpose("audit")
        await audit.record(conn, key, at=now, actor=actor, action=action, object=thing, detail=detail)
