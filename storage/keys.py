"""The key store: data keys of customers, intake keys of days and the house's own keys, all of them wrapped.

It lives in a file or database of its own, so that it can be backed up apart and forgotten sooner: destroying
a key here turns every copy of what it sealed to noise (the attacker is whoever gets the record, a backup or a
replica). On SQLite the wrapped bytes leave the files at once; on PostgreSQL with the next vacuum and reuse of
the page, and with the write-ahead log. A copy made before stays readable until it is dropped too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Literal, Self, get_args

import structlog
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import delete, inspect, select, update
from sqlalchemy import text as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from domain.errors import CannotDecrypt, ConfigError, KeyDestroyed, RefusedToStart
from storage import crypto, database, shelves
from storage.engines import Connection
from storage.rings import MasterRing, RingHolder, create_master_file

__all__ = ["KeyStore", "MasterRing", "Purpose", "create_master_file"]

log = structlog.get_logger()

Purpose = Literal["index", "intake", "audit", "receipt"]
"""What a key of the house is for: hashes of look-ups, of event keys and lanes, the audit chain, receipts."""

SCHEMA_VERSION: Final = 1
_CANARY: Final = b"relaydesk key store"
# Any constant will do: it keeps two processes from creating the same tables at once.
_MIGRATION_LOCK: Final = 7_352_935_337
# A checkpoint waits for readers of other processes (a backup, the command line) as long as SQLite waits for locks,
# but gives up at once where another checkpoint runs.
_CHECKPOINT_TRIES: Final = 3
_CHECKPOINT_PAUSE_S: Final = 0.1
_RETIREMENT_TRIES: Final = 20

# Step n brings a store from version n to n + 1.
_MIGRATIONS: Final[tuple[Callable[[SyncConnection], None], ...]] = (shelves.metadata.create_all,)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeyStore:
    """An open key store. Every method may be called from many tasks at once; times are aware.

    `id` is the store's own random id: a record that notes it can tell that it was paired with another store.
    """

    def __init__(self, url: URL, holder: RingHolder, db: database.Database, now: Callable[[], datetime]) -> None:
        self.id = ""
        self._url = url
        self._rings = holder
        self._db = db
        self._now = now
        self._data = shelves.Shelf(shelves.data_keys, holder, db, now)
        self._intake = shelves.Shelf(shelves.intake_keys, holder, db, now)
        self._purposes = shelves.Shelf(shelves.purpose_keys, holder, db, now)
        self._purpose_keys: dict[str, bytes] = {}
        self._unscrubbed = False
        self._resources = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<KeyStore {self._url.render_as_string(hide_password=True)}>"

    @classmethod
    async def open(
        cls,
        url: str,
        ring: MasterRing,
        *,
        create: bool = True,
        now: Callable[[], datetime] = _utc_now,
        reread: Callable[[], MasterRing] | None = None,
    ) -> Self:
        """Open the store at `sqlite:///…` or `postgresql+asyncpg://…`; prove that `ring` fits.

        `create` makes a store where there is none; without it a lost store is an error. `now` dates keys. `reread`
        gives the newest ring, for a process that outlives a rotation of the master key.

        Raises:
            ConfigError: the URL names neither engine.
            RefusedToStart: no store, wrong master key (which one is expected, and where to get it), a newer
                release's store, or a store that cannot be read.
        """
        parsed = _parse(url)
        resources = AsyncExitStack()
        try:
            if parsed.get_backend_name() == "sqlite":
                _prepare_file(Path(str(parsed.database)), create=create)
            full_url = parsed.render_as_string(hide_password=False)
            db = await resources.enter_async_context(database.Database.open(full_url, readers=2))
            self = cls(parsed, RingHolder(ring, reread), db, now)
            await self._prepare(create=create)
        except (SQLAlchemyError, OSError) as error:
            await resources.aclose()
            reason = getattr(error, "orig", None) or error
            name = parsed.render_as_string(hide_password=True)
            raise RefusedToStart(f"the key store {name} cannot be opened: {reason}") from None
        except BaseException:
            await resources.aclose()
            raise
        self._resources = resources
        return self

    @property
    def database(self) -> database.Database:
        """The store's own database, for backups to count its rows."""
        return self._db

    async def close(self) -> None:
        """Finish what is being written and release every connection. Idempotent."""
        await self._resources.aclose()

    async def data_keys(self, customer_ids: Collection[str], create: bool = False) -> dict[str, bytes]:
        """Data keys by customer id. Destroyed ones are absent; missing ones too, unless `create` makes them.

        A new key is durable before it is returned; of two processes that make one, the first wins in both.
        """
        return await self._data.get(customer_ids, create=create)

    async def destroy(self, customer_id: str, at: datetime) -> None:
        """Destroy a customer's data key for good. Idempotent; the customer never gets another one.

        Other processes may use what they hold in memory for shelves.CACHE_AGE_S more.
        """
        await self._data.destroy([customer_id], _aware(at))
        await self._scrub()

    async def scrubbed(self) -> bool:
        """Bring what was destroyed out of SQLite's files now; False while a reader keeps that from happening.

        Any process may finish what another one's `destroy` had to leave.
        """
        await self._scrub()
        return not self._unscrubbed

    async def destroyed(self) -> dict[str, datetime]:
        """Customers whose data key was destroyed, and when."""
        return await self._data.destroyed()

    async def intake_key(self, day: date) -> bytes:
        """The key for payloads that arrive on `day`, made when first asked for. Raises KeyDestroyed."""
        keys = await self._intake.get([day.isoformat()], create=True)
        if not keys:
            raise KeyDestroyed(f"the intake key of {day.isoformat()} was destroyed")
        return keys[day.isoformat()]

    async def intake_keys(self, days: Collection[date]) -> dict[date, bytes]:
        """Intake keys by day; missing and destroyed ones are absent."""
        by_id = {day.isoformat(): day for day in days}
        keys = await self._intake.get(by_id, create=False)
        return {by_id[key_id]: key for key_id, key in keys.items()}

    async def destroy_intake_keys(self, before: date) -> int:
        """Destroy the intake keys of all days before `before`; returns how many were destroyed.

        Belongs into the regular housekeeping: it also finishes what a reader kept `destroy` from scrubbing.
        """
        days = await self._intake.alive_before(before.isoformat())
        if days:
            await self._intake.destroy(days, self._now())
        if days or self._unscrubbed:
            await self._scrub()
        return len(days)

    def purpose(self, name: Purpose) -> bytes:
        """The house's own key for `name`. Raises ValueError for a purpose that does not exist."""
        if name not in self._purpose_keys:
            raise ValueError(f"no key for {name!r}; there are {', '.join(get_args(Purpose))}")
        return self._purpose_keys[name]

    async def outdated(self) -> int:
        """How many keys an older master key still wraps: what a rotation has left to do."""
        return sum([await shelf.outdated() for shelf in self._shelves])

    async def by_master_key(self) -> dict[str, int]:
        """How many keys each master key wraps, by its id; those that wrap none and may yet are there with 0."""
        async with self._db.read() as conn:
            found = dict.fromkeys((await conn.execute(select(shelves.canaries.c.ring_id))).scalars(), 0)
        for shelf in self._shelves:
            for ring_id, count in (await shelf.by_master_key()).items():
                found[ring_id] = found.get(ring_id, 0) + count
        return found

    async def rewrap(self, done: Callable[[int], None] = lambda _count: None) -> int:
        """Move every key under the active master key, so that older ones may leave the ring. Returns how many.

        It can be stopped anywhere and begun again. A process that runs on the older ring meanwhile reads its source
        again; one whose ring is fixed can then read no keys that it does not hold, and make none. `done` is told what
        each transaction moved.
        """
        count = 0
        retired = delete(shelves.canaries).where(shelves.canaries.c.ring_id != self._rings.ring.active)

        async def retire(conn: Connection) -> None:
            await conn.execute(retired)

        for _ in range(_RETIREMENT_TRIES):
            for shelf in self._shelves:
                count += await shelf.rewrap(done)
            try:
                await self._db.write(retire)
            except IntegrityError:
                continue  # somebody has just made a key under the older one: once more
            await self._scrub()
            return count
        raise RefusedToStart("another process makes keys under an older master key all the time; stop it first")

    @property
    def _shelves(self) -> tuple[shelves.Shelf, ...]:
        return (self._data, self._intake, self._purposes)

    async def _prepare(self, *, create: bool) -> None:
        await self._db.write(lambda conn: self._migrate(conn, create=create))
        names = get_args(Purpose)
        self._purpose_keys = await self._purposes.get(names, create=True)
        if missing := [name for name in names if name not in self._purpose_keys]:
            raise RefusedToStart(f"the key store lacks the keys {', '.join(missing)}; restore it from its backup")

    async def _migrate(self, conn: Connection, *, create: bool) -> None:
        if conn.dialect.name == "postgresql":
            await conn.execute(sql("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
        exists = await conn.run_sync(lambda sync: inspect(sync).has_table(shelves.store.name))
        if not exists and not create:
            raise _no_store(self._url.render_as_string(hide_password=True))
        row = (
            (await conn.execute(select(shelves.store.c.id, shelves.store.c.version))).one_or_none() if exists else None
        )
        version = 0 if row is None else row.version
        if version > SCHEMA_VERSION:
            raise RefusedToStart(
                f"the key store is of version {version}, this release reads up to {SCHEMA_VERSION}; "
                "use the release that wrote it or a newer one"
            )
        for step in _MIGRATIONS[version:]:
            await conn.run_sync(step)
        if row is None:
            self.id = crypto.new_key().hex()[:32]
            first = {"id": self.id, "version": SCHEMA_VERSION, "created_at": self._now().timestamp()}
            await conn.execute(shelves.store.insert(), [first])
        else:
            self.id = row.id
            await conn.execute(update(shelves.store).values(version=SCHEMA_VERSION))
        await self._check_canaries(conn, is_new=row is None)

    async def _check_canaries(self, conn: Connection, *, is_new: bool) -> None:
        """Every master key in use must be in the ring and be the right one, before any key is read."""
        rows = (await conn.execute(select(shelves.canaries.c.ring_id, shelves.canaries.c.sealed))).all()
        if not rows and not is_new:
            raise RefusedToStart("the key store is damaged (it names no master key); restore it from its backup")
        for ring_id, sealed in rows:
            key = self._rings.key(ring_id)
            if key is None:
                raise RefusedToStart(
                    f"the key store needs the master key {ring_id}, which {self._rings.ring.source} lacks "
                    f"(it has {', '.join(self._rings.ring.keys)}); put your copy of the master key file back"
                )
            try:
                crypto.open_sealed(key, sealed, crypto.aad("canaries", "sealed", ring_id))
            except CannotDecrypt:
                raise RefusedToStart(
                    f"{self._rings.ring.source}: the master key {ring_id} is not the one this key store was made "
                    "with; put your copy of the master key file back"
                ) from None
        active = self._rings.ring.active
        if active not in {ring_id for ring_id, _ in rows}:
            sealed = crypto.seal(self._rings.ring.keys[active], _CANARY, crypto.aad("canaries", "sealed", active))
            canary = {"ring_id": active, "sealed": sealed, "created_at": self._now().timestamp()}
            await conn.execute(shelves.canaries.insert(), [canary])

    async def _scrub(self) -> None:
        """Bring SQLite's deletions from its log into the file and empty the log: the bytes are then gone."""
        if not self._db.is_sqlite:
            return
        for _ in range(_CHECKPOINT_TRIES):
            self._unscrubbed = not await self._db.checkpoint()
            if not self._unscrubbed:
                return
            await asyncio.sleep(_CHECKPOINT_PAUSE_S)
        log.warning("keys.scrub_postponed", reason="another process reads the key store")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+asyncpg"}
    backend = "" if parsed is None else parsed.get_backend_name()
    if parsed is None or backend not in drivers or parsed.database in (None, "", ":memory:"):
        raise ConfigError("key store: the URL is neither sqlite:///<file> nor postgresql+asyncpg://…/<name>")
    return parsed.set(drivername=drivers[backend])


def _prepare_file(path: Path, *, create: bool) -> None:
    """Wrapped keys are read by nobody else, whatever mode a copy was restored with."""
    if path.exists():
        path.chmod(0o600)
    elif not create:
        raise _no_store(str(path))


def _no_store(name: str) -> RefusedToStart:
    return RefusedToStart(
        f"there is no key store at {name}; restore it from its backup, without it the record cannot be read "
        "(a new installation starts with: relaydesk init)"
    )


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at
