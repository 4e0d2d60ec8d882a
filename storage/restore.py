"""Putting a backup back: proved first, tombstones replayed, what was there set aside, never half without saying so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import BadBackup, RefusedToStart, RelaydeskError
from storage import backup, migrate, snapshots
from storage.backup import KEYS, RECORD, Copy, Kind, Proof, Stores
from storage.database import Database
from storage.erasures import Erasures
from storage.keys import KeyStore
from storage.segments import Segments
from storage.tables import erasures as erasures_table
from storage.tables import unstamp

log = structlog.get_logger()

MARKER: Final = "restore.json"
"""Stands in the data folder while the stores are being exchanged: nothing starts over them meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a restore did: what it proved, where what was there before is now, and how many erasures it replayed."""

    proof: Proof
    aside: tuple[str, ...]
    tombstones: int


def refuse_half(folder: Path) -> None:
    """Raise RefusedToStart while a restore into this folder has begun and not ended."""
    if (marker := _marker(folder)) is not None:
        raise RefusedToStart(
            f"a restore of {marker} was interrupted; run `relaydesk backup restore {marker}` again, it begins anew"
        )


async def restore(
    stores: Stores,
    record: Copy,
    keys: Copy,
    *,
    folder: Path,
    others: Sequence[Copy],
    replace: bool,
    now: datetime,
    new_id: Callable[[], str],
    reached: Callable[[str], None] = lambda _step: None,
) -> Outcome:
    """Put a set into the places of `stores`; `folder` is the data folder, `others` are all copies that were found.

    Raises BadBackup when the set does not hold, or when something is there and `replace` does not allow to set it
    aside. Until the proof and the tombstones are done nothing is touched; from then on a marker keeps anybody from
    starting, and doing it again ends it.
    """
    interrupted = _marker(folder) is not None
    for kind in (RECORD, KEYS):
        if not replace and not interrupted and not await snapshots.is_empty(stores.url(kind)):
            raise BadBackup(
                f"there is a {'record' if kind == RECORD else 'key store'} already; with --replace it is set aside, "
                "and with --into FOLDER the backup goes elsewhere"
            )
    work = folder / "scratch"
    proof = await backup.verify(stores, record, keys, work)
    gone = await tombstones(stores, keys, others, work)
    staged = {copy.kind: await _stage(stores, copy) for copy in (record, keys)}
    if snapshots.is_sqlite(stores.keystore_url):
        await _destroy(staged[KEYS], stores, gone)  # before it stands in its place
    _mark(folder, record.set)
    aside = []
    stamp = f"{now:%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}"
    for copy in (keys, record):
        aside += await _exchange(stores, copy, staged[copy.kind], stamp, work)
        reached(copy.kind)
    await _destroy(stores.keystore_url, stores, gone)
    replayed = await _forget(stores, gone, new_id, now)
    (folder / MARKER).unlink()
    return Outcome(proof=proof, aside=tuple(aside), tombstones=replayed)


async def tombstones(stores: Stores, keys: Copy, others: Sequence[Copy], work: Path) -> dict[str, datetime]:
    """Who was erased, by all that knows of it: key store and record in use, and the newest backup of the key store."""
    gone: dict[str, datetime] = {}
    if not await snapshots.is_empty(stores.keystore_url):
        try:
            gone |= await _destroyed(stores.keystore_url, stores)
        except RelaydeskError as error:
            log.warning("restore.key_store_not_read", reason=str(error))
    if not await snapshots.is_empty(stores.database_url):
        try:
            gone |= await _erased(stores)
        except (SQLAlchemyError, OSError) as error:
            log.warning("restore.record_not_read", reason=type(error).__name__)
    newer = [one for one in others if one.kind == KEYS and one.at > keys.at]
    for copy in sorted(newer, key=lambda one: one.at, reverse=True):
        try:
            async with AsyncExitStack() as stack:
                scratch = stack.enter_context(backup.scratch_folder(work))
                url = await stack.enter_async_context(snapshots.scratch(stores.keystore_url, KEYS, scratch))
                await backup.fill(url, copy, stores.ring, scratch)
                gone |= await _destroyed(url, stores)
        except RelaydeskError as error:
            log.warning("restore.backup_not_read", path=str(copy.path), reason=str(error))
            continue
        break  # tombstones are never removed: the newest one knows them all
    return gone


async def _destroyed(url: str, stores: Stores) -> dict[str, datetime]:
    store = await KeyStore.open(url, stores.ring, create=False)
    try:
        return await store.destroyed()
    finally:
        await store.close()


async def _destroy(url: str, stores: Stores, gone: Mapping[str, datetime]) -> None:
    """Destroy the keys again that were destroyed after the backup."""
    store = await KeyStore.open(url, stores.ring, create=False)
    try:
        for customer in sorted(gone.keys() - (await store.destroyed()).keys()):
            await store.destroy(customer, gone[customer])
    finally:
        await store.close()


async def _forget(stores: Stores, gone: Mapping[str, datetime], new_id: Callable[[], str], now: datetime) -> int:
    """Erase again from the record who was erased after the backup; returns how many that were."""
    async with AsyncExitStack() as stack:
        store = await KeyStore.open(stores.keystore_url, stores.ring, create=False)
        stack.push_async_callback(store.close)
        database = await stack.enter_async_context(Database.open(stores.database_url, readers=2))
        await migrate.upgrade(database)
        erasures = Erasures(database, store, Segments(database, store), new_id)
        known = await erasures.tombstones()
        again = {customer: at for customer, at in gone.items() if customer not in known}
        return await erasures.replay(again, actor="restore", now=now)


async def _erased(stores: Stores) -> dict[str, datetime]:
    """Who was erased by the record in use, whose key store may be lost."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(stores.database_url, readers=1))
        if await migrate.found(database) != migrate.wanted():
            return {}
        async with database.read() as conn:
            found = await conn.execute(select(erasures_table.c.customer_id, erasures_table.c.requested_at))
            return {customer: unstamp(at) for customer, at in found}


async def _stage(stores: Stores, copy: Copy) -> str:
    """A SQLite copy lies beside its place before anything is moved; a PostgreSQL copy goes in as one transaction."""
    url = stores.url(copy.kind)
    if not snapshots.is_sqlite(url):
        return url
    target = snapshots.file_of(url)
    staging = target.with_name(f".{target.name}.restoring")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in _with_companions(staging):
        left.unlink(missing_ok=True)
    await backup.fill(f"sqlite:///{staging}", copy, stores.ring, target.parent)
    return f"sqlite:///{staging}"


async def _exchange(stores: Stores, copy: Copy, staged: str, stamp: str, work: Path) -> list[str]:
    """Set aside what is there and put the copy in its place; where the former is now."""
    url = stores.url(copy.kind)
    if snapshots.is_sqlite(url):
        return _exchange_files(snapshots.file_of(url), snapshots.file_of(staged), stamp)
    aside = []
    if not await snapshots.is_empty(url):
        aside.append(f"schema {await snapshots.set_aside(url, stamp)} of the {_word(copy.kind)} database")
    with backup.scratch_folder(work) as folder:
        await backup.fill(url, copy, stores.ring, folder)
    return aside


def _word(kind: Kind) -> str:
    return "record's" if kind == RECORD else "key store's"


def _exchange_files(target: Path, staging: Path, stamp: str) -> list[str]:
    aside = []
    for path in _with_companions(target):
        if path.exists():
            former = path.with_name(f"{path.name.replace(target.name, f'{target.name}.before-{stamp}', 1)}")
            path.rename(former)
            aside.append(str(former))
    staging.rename(target)
    _sync(target.parent)
    return aside[:1]


def _with_companions(path: Path) -> list[Path]:
    """A SQLite file with its log: what is in the log belongs to it."""
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]


def _marker(folder: Path) -> str | None:
    try:
        return str(json.loads((folder / MARKER).read_text(encoding="ascii"))["set"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        return "latest"  # written in part: which set it was, nobody knows


def _mark(folder: Path, name: str) -> None:
    descriptor = os.open(folder / MARKER, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        json.dump({"set": name}, file)
        file.flush()
        os.fsync(descriptor)
    _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
