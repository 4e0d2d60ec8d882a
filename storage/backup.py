"""Backups: record and key store copied at one moment each, sealed, put into directories apart, and proved by restoring.

A set is one record and the key store of just after it, so that every customer in the record has a key in the store.
Each goes to directories of its own: whoever gets one of them reads nothing, and the key store's are kept for a shorter
time, since an old key brings back what an erasure destroyed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from sqlalchemy import func, select

from domain.errors import BadBackup, CannotDecrypt
from storage import migrate, sealing, shelves, snapshots, vault
from storage.database import Database, insert
from storage.engines import Connection
from storage.keys import KeyStore
from storage.rings import MasterRing
from storage.tables import customers, meta, metadata, timeline

Kind = Literal["record", "keys"]
RECORD: Final[Kind] = "record"
KEYS: Final[Kind] = "keys"
SAMPLE: Final = 200
"""Messages that are opened to prove that record and key store belong together and can be read."""
LONGEST_KEYS: Final = timedelta(days=30)
VERIFIED: Final = "backup.verified"
"""Row of `meta`: when a backup was last proved to be readable (seconds since 1970)."""

_STALE_S: Final = 6 * 3600.0  # no backup takes so long: whoever left it is dead
_NAME: Final = re.compile(r"relaydesk-(?P<set>\d{8}T\d{6}Z-[0-9a-f]{6})\.(?P<kind>record|keys)")
# Of meta a copy has one row more: what the search index is to read again.
_NOT_COUNTED: Final = {*snapshots.SEARCH, meta.name}
_COUNTED: Final = {
    RECORD: tuple(sorted(metadata.tables.keys() - _NOT_COUNTED)),
    KEYS: tuple(shelves.metadata.tables),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where backups go, and for how long they are kept. The two kinds never share a directory."""

    record: tuple[Path, ...]
    keys: tuple[Path, ...]
    keep_record: timedelta = timedelta(days=90)
    keep_keys: timedelta = LONGEST_KEYS

    def of(self, kind: Kind) -> tuple[Path, ...]:
        """The directories of one kind."""
        return self.record if kind == RECORD else self.keys


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """One file of a backup. `header` is what it says of itself."""

    path: Path
    set: str
    kind: Kind
    at: datetime
    size: int
    header: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What a verification found: as many rows as were counted when the copy was made, and how many messages opened."""

    set: str
    rows: int
    opened: int
    erased: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Stores:
    """Where the stores are, and the ring that opens them."""

    database_url: str
    keystore_url: str
    ring: MasterRing

    def url(self, kind: Kind) -> str:
        """The address of one kind."""
        return self.database_url if kind == RECORD else self.keystore_url


async def make(
    stores: Stores,
    places: Places,
    work_folder: Path,
    now: datetime,
    reached: Callable[[str], None] = lambda _step: None,
) -> tuple[list[Copy], list[str]]:
    """Make a set and put it into every directory; gives what was written and, for places that failed, why.

    `work_folder` is where the plain copy lies for a moment (mode 0700, beside the data, never in a backup's directory).
    `reached` is told each step. Raises BadBackup when one kind could be put nowhere.
    """
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}"
    copies: list[Copy] = []
    troubles: list[str] = []
    with scratch_folder(work_folder) as folder:
        for kind in (RECORD, KEYS):
            plain, sealed = folder / kind, folder / f"{kind}.sealed"
            counts = await snapshots.take(stores.url(kind), plain, _COUNTED[kind], without_search=kind == RECORD)
            header = {
                "set": name,
                "kind": kind,
                "created_at": now.timestamp(),
                "engine": "sqlite" if snapshots.is_sqlite(stores.url(kind)) else "postgresql",
                "schema": migrate.wanted() if kind == RECORD else "",
                "counts": counts,
            }
            await asyncio.to_thread(vault.seal, plain, sealed, header, stores.ring)
            plain.unlink()
            reached(kind)
            written = [
                await asyncio.to_thread(_deliver, sealed, place, name, kind, troubles) for place in places.of(kind)
            ]
            if not any(written):
                raise BadBackup(
                    f"no copy of the {kind} could be written: {'; '.join(troubles) or 'no directory is named'}"
                )
            copies += [_copy(path) for path in written if path is not None]
            sealed.unlink()
    return copies, troubles


def _deliver(sealed: Path, place: Path, name: str, kind: Kind, troubles: list[str]) -> Path | None:
    """Copy a sealed file into a directory, durably and under its name only when it is whole; read it back."""
    target = place / f"relaydesk-{name}.{kind}"
    part = target.with_name(f".{target.name}.part")
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in place.glob(".relaydesk-*.part"):
            left.unlink()
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out, sealed.open("rb") as source:
            shutil.copyfileobj(source, out, vault.FRAME_BYTES)
            out.flush()
            os.fsync(out.fileno())
        if _digest(part) != _digest(sealed):
            troubles.append(f"{place}: what was written reads otherwise")
            part.unlink()
            return None
        part.replace(target)
        folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        troubles.append(f"{place}: {error.strerror or type(error).__name__}")
        return None
    return target


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def found(directories: Sequence[Path]) -> list[Copy]:
    """Every backup in these directories, newest first. What cannot be read is left out: `verify` names it."""
    copies = []
    for directory in dict.fromkeys(directories):
        for path in sorted(directory.glob("relaydesk-*")) if directory.is_dir() else ():
            if _NAME.fullmatch(path.name):
                try:
                    copies.append(_copy(path))
                except BadBackup:
                    continue
    return sorted(copies, key=lambda copy: (copy.at, copy.set, copy.kind), reverse=True)


def _copy(path: Path) -> Copy:
    header = vault.header(path)
    at = datetime.fromtimestamp(float(header["created_at"]), UTC)
    kind: Kind = RECORD if header["kind"] == RECORD else KEYS
    return Copy(path=path, set=str(header["set"]), kind=kind, at=at, size=path.stat().st_size, header=header)


def chosen(copies: Sequence[Copy], name: str) -> tuple[Copy, Copy]:
    """Record and key store of a set, by its name or `latest`. Raises BadBackup when one of them is not there."""
    whole = [one.set for one in copies if one.kind == RECORD and _other(copies, one.set) is not None]
    if name == "latest" and not whole:
        raise BadBackup("there is no backup with record and key store here; name the directories of both with --from")
    wanted = whole[0] if name == "latest" else name
    record = next((one for one in copies if one.set == wanted and one.kind == RECORD), None)
    keys = _other(copies, wanted)
    if record is None or keys is None:
        missing = "no backup" if record is keys else "no record" if record is None else "no key store"
        raise BadBackup(f"there is {missing} of {wanted} here; see `relaydesk backup list`")
    return record, keys


def _other(copies: Sequence[Copy], name: str) -> Copy | None:
    return next((one for one in copies if one.set == name and one.kind == KEYS), None)


async def verify(stores: Stores, record: Copy, keys: Copy, work_folder: Path) -> Proof:
    """Restore a set into a temporary place and look: integrity, every count, and a sample of messages opened.

    Raises BadBackup with what does not hold.
    """
    async with restored(stores, record, keys, work_folder) as (database, store):
        rows = await _counted(database, RECORD, record) + await _counted(store.database, KEYS, keys)
        await migrate.upgrade(database)  # of the temporary copy: what an older release wrote is read by this one
        await migrate.check_canary(database, store)
        opened, erased = await _sample(database, store)
        return Proof(set=record.set, rows=rows, opened=opened, erased=erased)


@asynccontextmanager
async def restored(
    stores: Stores, record: Copy, keys: Copy, work_folder: Path
) -> AsyncIterator[tuple[Database, KeyStore]]:
    """A set put back into a temporary place, opened with the ring; gone afterwards."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(scratch_folder(work_folder))
        urls = {}
        for copy in (record, keys):
            _same_engine(stores, copy)
            urls[copy.kind] = await stack.enter_async_context(
                snapshots.scratch(stores.url(copy.kind), copy.kind, folder)
            )
            await fill(urls[copy.kind], copy, stores.ring, folder)
        store = await KeyStore.open(urls[KEYS], stores.ring, create=False)
        stack.push_async_callback(store.close)
        database = await stack.enter_async_context(Database.open(urls[RECORD], readers=1))
        await _check_integrity(database)
        yield database, store


async def fill(url: str, copy: Copy, ring: MasterRing, folder: Path) -> None:
    """Put a backup where nothing is yet. Raises BadBackup."""
    if snapshots.is_sqlite(url):
        await asyncio.to_thread(vault.unseal, copy.path, snapshots.file_of(url), ring)
        return
    plain = folder / f"{copy.kind}.dump"
    await asyncio.to_thread(vault.unseal, copy.path, plain, ring)
    await snapshots.put(url, plain)
    plain.unlink()


def _same_engine(stores: Stores, copy: Copy) -> None:
    engine = "sqlite" if snapshots.is_sqlite(stores.url(copy.kind)) else "postgresql"
    if copy.header.get("engine") != engine:
        raise BadBackup(f"{copy.path}: is of {copy.header.get('engine')}, this installation uses {engine}")


async def _check_integrity(database: Database) -> None:
    if not database.is_sqlite:
        return  # a restore in one transaction that ended is whole: the server has checked types and constraints
    async with database.read() as conn:
        answer = (await conn.exec_driver_sql("PRAGMA integrity_check")).scalars().first()
    if answer != "ok":
        raise BadBackup(f"the restored record is damaged: {str(answer)[:100]}")


async def _counted(database: Database, kind: Kind, copy: Copy) -> int:
    """Compare the rows of every table with what was counted when the copy was made; how many there are in all."""
    expected: dict[str, int] = {str(name): int(count) for name, count in copy.header.get("counts", {}).items()}
    tables = metadata.tables if kind == RECORD else shelves.metadata.tables

    async def read(conn: Connection) -> dict[str, int]:
        return {
            name: int((await conn.execute(select(func.count()).select_from(tables[name]))).scalar_one())
            for name in expected
            if name in tables
        }

    have = await database.query(read)
    # Opening the key store may add a canary for a newer master key.
    wrong = [name for name in have if have[name] != expected[name] and name != shelves.canaries.name]
    if wrong:
        name = wrong[0]
        raise BadBackup(f"{copy.path}: the table {name} has {have[name]} rows, {expected[name]} were copied")
    return sum(have.values())


async def _sample(database: Database, store: KeyStore) -> tuple[int, int]:
    """Open some messages and names; how many were opened, and how many belong to erased customers."""

    async def read(conn: Connection) -> tuple[list[Any], list[Any]]:
        newest = select(timeline).where(timeline.c.body_sealed.is_not(None)).order_by(timeline.c.seq.desc())
        anybody = select(timeline).where(timeline.c.body_sealed.is_not(None)).order_by(func.random())
        people = select(customers).order_by(func.random())
        messages = [row for query in (newest, anybody) for row in (await conn.execute(query.limit(SAMPLE // 2))).all()]
        return messages, list((await conn.execute(people.limit(SAMPLE // 2))).all())

    messages, people = await database.query(read)
    owners = {row.customer_id for row in messages} | {row.id for row in people}
    keys = await store.data_keys(owners, create=False)
    gone = set(await store.destroyed())
    lost = owners - keys.keys() - gone
    if lost:
        raise BadBackup(f"{len(lost)} customers of the sample have no key in the key store of this set")
    try:
        for row in messages:
            sealing.entry_of(keys.get(row.customer_id), row)
        for row in people:
            sealing.customer_of(keys.get(row.id), row)
    except CannotDecrypt as error:
        raise BadBackup(f"a message of the sample does not open: {error}") from None
    return sum(row.customer_id in keys for row in messages), len(owners & gone)


def retire(places: Places, now: datetime) -> list[Path]:
    """Remove what is older than it is to be kept, but never the newest of a directory; gives what was removed."""
    gone = []
    for kind, keep in ((RECORD, places.keep_record), (KEYS, min(places.keep_keys, LONGEST_KEYS))):
        for place in places.of(kind):
            own = [copy for copy in found([place]) if copy.kind == kind]
            for copy in own[1:]:
                if copy.at < now - keep:
                    copy.path.unlink()
                    gone.append(copy.path)
    return gone


async def note_verified(database: Database, now: datetime) -> None:
    """Write down that a backup was proved to be readable."""

    async def work(conn: Connection) -> None:
        value = repr(now.timestamp())
        statement = insert(conn, meta).values(name=VERIFIED, value=value)
        await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

    await database.write(work)


async def last_verified(database: Database) -> datetime | None:
    """When a backup was last proved to be readable."""

    async def read(conn: Connection) -> str | None:
        found_: str | None = (await conn.execute(select(meta.c.value).where(meta.c.name == VERIFIED))).scalar()
        return found_

    value = await database.query(read)
    return None if value is None else datetime.fromtimestamp(float(value), UTC)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A folder for plain copies that is emptied again, also of what somebody left who was killed."""
    beside.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside.chmod(0o700)
    for left in beside.glob("copy-*"):
        if datetime.now(UTC).timestamp() - left.stat().st_mtime > _STALE_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="copy-", dir=beside) as folder:
        yield Path(folder)
