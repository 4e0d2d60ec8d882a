"""The stores of one process: opened, brought to this release's schema, and proved to belong together."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from bot import crashpoints, times
from bot.ids import new_id
from bot.settings import Settings
from domain.errors import RefusedToStart
from storage import migrate, moving, restore
from storage.attachments import Attachments
from storage.cases import Cases
from storage.clocks import Clocks
from storage.contacts import Contacts
from storage.database import Database
from storage.dossier import Dossiers
from storage.erasures import Erasures
from storage.facts import FactKeys
from storage.holds import Holds
from storage.inbox import Inbox
from storage.keys import KeyStore
from storage.labels import Labels
from storage.likeness import Likeness
from storage.links import Links
from storage.outbox import Outbox
from storage.profiles import Profiles
from storage.record import Record
from storage.reindex import Reindex
from storage.retention import Retention
from storage.reviews import Reviews
from storage.rings import MasterRing
from storage.search import Search
from storage.segmentation import Segmentation
from storage.segments import Segments
from storage.views import Views

log = structlog.get_logger()


@dataclass(kw_only=True, slots=True)
class Stores:
    """The open stores of one process: what the command line needs of the house."""

    database: Database
    keys: KeyStore
    inbox: Inbox
    outbox: Outbox
    record: Record
    clocks: Clocks
    erasures: Erasures
    holds: Holds
    dossiers: Dossiers
    attachments: Attachments
    retention: Retention
    segmentation: Segmentation
    profiles: Profiles
    contacts: Contacts
    links: Links
    likeness: Likeness
    fact_keys: FactKeys
    reviews: Reviews
    cases: Cases
    search: Search
    segments: Segments
    reindex: Reindex
    views: Views
    labels: Labels


def read_ring(settings: Settings) -> MasterRing:
    """The master key ring from the environment or its file. Raises RefusedToStart with the fix."""
    given = settings.secrets.master_key
    if given is not None:
        return MasterRing.parse(given.get_secret_value(), "RELAYDESK_MASTER_KEY")
    return MasterRing.read(settings.keys.master_file)


@asynccontextmanager
async def lock(data_dir: Path) -> AsyncIterator[None]:
    """Make sure that this is the only process over a SQLite data folder. Raises RefusedToStart."""
    await asyncio.to_thread(data_dir.mkdir, parents=True, exist_ok=True, mode=0o700)
    handle = os.open(data_dir / "relaydesk.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            msg = (
                f"Another Relaydesk runs over {data_dir}: stop it first. "
                "Several processes need PostgreSQL: `relaydesk db move` takes the record there."
            )
            raise RefusedToStart(msg) from None
        yield
    finally:
        os.close(handle)


async def _proven_keys(settings: Settings, url: str, database: Database, *, create: bool = False) -> KeyStore:
    """The key store of a record, open, before anything of the record is changed: from an upgrade there is no way back.

    `create` makes one for a record that never had any. Raises RefusedToStart where the store is lost, another record's,
    or not readable with the master key.
    """
    ring = read_ring(settings)
    is_paired = await migrate.is_paired(database)
    keys = await KeyStore.open(
        url,
        ring,
        create=create and not is_paired,
        # A ring from the environment is what it is; a file may have got a new first key.
        reread=None if settings.secrets.master_key is not None else partial(read_ring, settings),
    )
    if is_paired:
        try:
            await migrate.check_canary(database, keys)
        except BaseException:
            await keys.close()
            raise
    return keys


@asynccontextmanager
async def open_stores(settings: Settings, *, create: bool = True, finish: bool = False) -> AsyncIterator[Stores]:
    """Open record and key store, prove that they belong together, and bring them to this release's schema.

    Without `finish` a server's record keeps what must wait until no process of an older release runs.
    """
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        restore.refuse_half(settings.data_dir)
        read_ring(settings)  # before there is so much as an empty file
        database = await stack.enter_async_context(Database.open(settings.database_url))
        await moving.refuse_half(database)
        keys = await _proven_keys(settings, settings.keystore_url, database, create=create)
        stack.push_async_callback(keys.close)
        # Where other processes may run, some of them an older release, what takes away waits for the operator.
        before, now = await migrate.upgrade(
            database, finish=finish or database.is_sqlite, reached=lambda: crashpoints.reach("in_upgrade")
        )
        if before != now:
            log.info("database.upgraded", before=before, now=now)
        await migrate.check_canary(database, keys)  # writes it, at the first start
        record = Record(database, keys)
        segments = Segments(database, keys)
        erasures = Erasures(database, keys, segments, new_id, lambda _step: crashpoints.reach("in_erase"))
        yield Stores(
            database=database,
            keys=keys,
            inbox=Inbox(database, keys),
            outbox=Outbox(database),
            record=record,
            clocks=Clocks(database),
            search=Search(database, keys, record),
            segments=segments,
            erasures=erasures,
            retention=Retention(database, segments, erasures),
            segmentation=Segmentation(database, keys),
            profiles=Profiles(database, keys),
            contacts=Contacts(database, keys),
            links=Links(database, keys, lambda: crashpoints.reach("in_merge")),
            likeness=Likeness(database, keys),
            fact_keys=FactKeys(database, keys),
            reviews=Reviews(database),
            holds=Holds(database, keys),
            dossiers=Dossiers(database, keys),
            attachments=Attachments(
                database,
                keys,
                times.real,
                largest=settings.files.largest,
                reached=lambda: crashpoints.reach("in_keep"),
            ),
            cases=Cases(database),
            reindex=Reindex(database, keys),
            views=Views(database, keys),
            labels=Labels(database, keys),
        )


async def check_pair(settings: Settings) -> None:
    """Prove that the record and the key store that the settings name belong together. Raises RefusedToStart."""
    async with Database.open(settings.database_url, readers=1) as database:
        keys = await KeyStore.open(settings.keystore_url, read_ring(settings), create=False)
        try:
            await migrate.check_canary(database, keys)
        finally:
            await keys.close()


async def upgrade_whole(settings: Settings, url: str, keys_url: str) -> None:
    """Bring a record over which nothing runs to this release's schema, once its key store was proven.

    Raises RefusedToStart.
    """
    async with Database.open(url, readers=1) as database:
        keys = await _proven_keys(settings, keys_url, database)
        try:
            await migrate.upgrade(database, reached=lambda: crashpoints.reach("in_upgrade"))
        finally:
            await keys.close()
