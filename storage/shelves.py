"""Where wrapped keys lie: the tables of the key store, and the unwrapped keys that were asked for lately."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import (
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    func,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from domain.errors import CannotDecrypt, RefusedToStart
from storage import crypto, database
from storage.engines import Connection
from storage.rings import RingHolder

CACHED_KEYS: Final = 10_000
# Another process may destroy a key: after this long it is asked for again instead of taken from memory.
CACHE_AGE_S: Final = 30.0
# Far below the limits on bound values (SQLite 32,766, PostgreSQL 32,767).
_IDS_PER_QUERY: Final = 5_000
_REWRAPPED_AT_ONCE: Final = 500

metadata = MetaData()

store = Table(
    "key_store",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
)
canaries = Table(
    "canaries",
    metadata,
    Column("ring_id", String(40), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
)


def _wrapped_keys(name: str, key_column: str, length: int) -> Table:
    """A table of wrapped keys. A destroyed key leaves its row, empty, so that it is never made anew."""
    return Table(
        name,
        metadata,
        Column(key_column, String(length), primary_key=True),
        # The reference keeps a process with an outdated ring from using a master key that was retired.
        Column("ring_id", String(40), ForeignKey(canaries.c.ring_id), nullable=False),
        Column("wrapped", LargeBinary, nullable=False),
        Column("created_at", Double, nullable=False),
        Column("destroyed_at", Double),
    )


data_keys = _wrapped_keys("data_keys", "customer_id", 26)
intake_keys = _wrapped_keys("intake_keys", "day", 10)
purpose_keys = _wrapped_keys("purpose_keys", "name", 20)


class Shelf:
    """One table of wrapped keys and the unwrapped ones that were asked for lately."""

    def __init__(self, table: Table, rings: RingHolder, db: database.Database, now: Callable[[], datetime]) -> None:
        self._table = table
        self._id: Column[str] = next(iter(table.primary_key.columns))
        self._rings = rings
        self._db = db
        self._now = now
        self._cache: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self._gone: set[str] = set()  # destroyed by this process: a read under way must not bring them back

    async def get(self, ids: Collection[str], *, create: bool) -> dict[str, bytes]:
        """The keys by id. Destroyed ones are absent; missing ones too, unless `create`."""
        fresh_since = time.monotonic() - CACHE_AGE_S
        keys: dict[str, bytes] = {}
        unknown: list[str] = []
        for key_id in dict.fromkeys(ids):
            held = self._cache.get(key_id)
            if held is None or held[1] < fresh_since:
                unknown.append(key_id)
            else:
                keys[key_id] = held[0]
                self._cache.move_to_end(key_id)
        if unknown:
            async with self._db.read() as conn:
                found = await self._select(conn, unknown)
            absent = [key_id for key_id in unknown if key_id not in found]
            if create and absent:
                found |= await self._create(absent)
            keys |= self._remember(found)
        return keys

    async def destroy(self, ids: Collection[str], at: datetime) -> None:
        """Overwrite the wrapped keys for good. An id without a key gets none in future either."""
        held = await self._unwrapped(ids)
        await self._db.write(lambda conn: self._bury(conn, ids, at))
        self._gone.update(ids)
        for key_id in ids:
            self._cache.pop(key_id, None)
        for key in held:
            crypto.forget(key)

    async def outdated(self) -> int:
        """How many keys an older master key wraps."""
        async with self._db.read() as conn:
            query = select(func.count()).where(self._table.c.ring_id != self._rings.ring.active)
            return int((await conn.execute(query)).scalar_one())

    async def by_master_key(self) -> dict[str, int]:
        """How many keys each master key wraps, by its id."""
        query = select(self._table.c.ring_id, func.count()).group_by(self._table.c.ring_id)
        async with self._db.read() as conn:
            return {ring_id: count for ring_id, count in await conn.execute(query)}

    async def rewrap(self, done: Callable[[int], None] = lambda _count: None) -> int:
        """Wrap with the active master key what an older one wraps; returns how many keys were.

        Some hundred keys a transaction: whoever dies amid it has moved a part, and the next one moves the rest. `done`
        is told after each how many it moved.
        """
        count, after = 0, ""
        while True:
            moved, last = await self._db.write(partial(self._rewrap_some, after))
            if last is None:
                return count
            count, after = count + moved, last
            done(moved)

    async def alive_before(self, key_id: str) -> list[str]:
        """Ids that sort before `key_id` and are not destroyed."""
        query = select(self._id).where(self._id < key_id, self._table.c.destroyed_at.is_(None))
        async with self._db.read() as conn:
            return list((await conn.execute(query)).scalars())

    async def destroyed(self) -> dict[str, datetime]:
        """Ids whose key was destroyed, and when."""
        at = self._table.c.destroyed_at
        async with self._db.read() as conn:
            rows = await conn.execute(select(self._id, at).where(at.is_not(None)))
            return {key_id: datetime.fromtimestamp(when, UTC) for key_id, when in rows}

    async def _select(self, conn: Connection, ids: list[str]) -> dict[str, bytes | None]:
        rows: dict[str, bytes | None] = {}
        columns = (self._id, self._table.c.ring_id, self._table.c.wrapped, self._table.c.destroyed_at)
        for start in range(0, len(ids), _IDS_PER_QUERY):
            query = select(*columns).where(self._id.in_(ids[start : start + _IDS_PER_QUERY]))
            for key_id, ring_id, wrapped, destroyed_at in await conn.execute(query):
                rows[key_id] = None if destroyed_at is not None else self._unwrap(key_id, ring_id, wrapped)
        return rows

    async def _create(self, ids: list[str]) -> dict[str, bytes | None]:
        created_at = self._now().timestamp()

        async def work(conn: Connection) -> dict[str, bytes | None]:
            insert = database.insert(conn, self._table).on_conflict_do_nothing()
            # In order: two processes that insert the same ids in different orders would deadlock.
            rows = [self._row(key_id, crypto.new_key(), created_at) for key_id in sorted(ids)]
            await conn.execute(insert, rows)
            return await self._select(conn, ids)  # whoever was first, all use that key

        used = self._rings.ring.active
        try:
            return await self._db.write(work)
        except IntegrityError:
            self._rings.refresh()
            if (ring := self._rings.ring).active == used:
                raise RefusedToStart(
                    f"the master key {ring.active} of {ring.source} was retired; restart with the newest master keys"
                ) from None
        return await self._create(ids)

    def _row(self, key_id: str, key: bytes, created_at: float) -> dict[str, Any]:
        return {
            self._id.name: key_id,
            "ring_id": self._rings.ring.active,
            "wrapped": self._wrap(key_id, key),
            "created_at": created_at,
        }

    async def _bury(self, conn: Connection, ids: Iterable[str], at: datetime) -> None:
        for key_id in sorted(ids):
            empty = {"ring_id": self._rings.ring.active, "wrapped": b"", "destroyed_at": at.timestamp()}
            tombstone = {self._id.name: key_id, "created_at": at.timestamp()} | empty
            await conn.execute(database.insert(conn, self._table).on_conflict_do_nothing(), [tombstone])
            alive = (self._id == key_id) & self._table.c.destroyed_at.is_(None)
            await conn.execute(update(self._table).where(alive).values(empty))

    async def _rewrap_some(self, after: str, conn: Connection) -> tuple[int, str | None]:
        """Rewrap the next keys after an id, in their order; how many, and the last id (None: there are no more)."""
        active = self._rings.ring.active
        columns = (self._id, self._table.c.ring_id, self._table.c.wrapped, self._table.c.destroyed_at)
        old = select(*columns).where(self._id > after, self._table.c.ring_id != active).order_by(self._id)
        rows = (await conn.execute(old.limit(_REWRAPPED_AT_ONCE).with_for_update())).all()
        if not rows:
            return 0, None
        values = [
            {
                "b_id": key_id,
                "b_ring": active,
                "b_wrapped": b""
                if destroyed_at is not None
                else self._wrap(key_id, self._unwrap(key_id, ring_id, wrapped)),
            }
            for key_id, ring_id, wrapped, destroyed_at in rows
        ]
        move = update(self._table).where(self._id == bindparam("b_id"))
        await conn.execute(move.values(ring_id=bindparam("b_ring"), wrapped=bindparam("b_wrapped")), values)
        return len(rows), str(rows[-1][0])

    async def _unwrapped(self, ids: Collection[str]) -> list[bytes]:
        """What memory may hold of these keys. A key that cannot be unwrapped can still be destroyed."""
        try:
            return list((await self.get(ids, create=False)).values())
        except CannotDecrypt:
            return []

    def _remember(self, found: Mapping[str, bytes | None]) -> dict[str, bytes]:
        asked_at = time.monotonic()
        keys = {key_id: key for key_id, key in found.items() if key is not None and key_id not in self._gone}
        for key_id in found:
            self._cache.pop(key_id, None)
        self._cache.update((key_id, (key, asked_at)) for key_id, key in keys.items())
        while len(self._cache) > CACHED_KEYS:
            self._cache.popitem(last=False)
        return keys

    def _wrap(self, key_id: str, key: bytes) -> bytes:
        place = crypto.aad(self._table.name, "wrapped", key_id)
        return crypto.wrap(self._rings.ring.keys[self._rings.ring.active], key, place)

    def _unwrap(self, key_id: str, ring_id: str, wrapped: bytes) -> bytes:
        outer = self._rings.key(ring_id)
        if outer is None:
            raise CannotDecrypt(
                f"a key is wrapped by the master key {ring_id}, which {self._rings.ring.source} lacks; "
                "restart with the newest master keys"
            )
        return crypto.unwrap(outer, wrapped, crypto.aad(self._table.name, "wrapped", key_id))
