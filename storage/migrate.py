"""Bringing a database to this release's schema, and refusing one that is newer or not ours.

Releases may run side by side over one PostgreSQL while they are exchanged: what a new one adds an old one does not
notice, and what an old one still needs is taken away only when the operator says that none is left.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import delete, inspect, select
from sqlalchemy import text as sql
from sqlalchemy.exc import DBAPIError

from domain.errors import RefusedToStart
from storage import crypto
from storage.database import Database, insert
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import meta

log = structlog.get_logger()

SCRIPTS = Path(__file__).parent / "migrations"
CANARY = "keystore"
OLDEST: Final = "schema.oldest"
BESIDE: Final = "0019"
"""The schema of the oldest release that understands what this one writes (kinds of entries, states, words). To be
raised with a release that writes what the one before it cannot read."""
_NONE: Final = "~"  # sorts behind every version
DEADLOCKS: Final = 20
"""So many times an upgrade gives way to processes that are at work. A busy one is met now and then, not each time."""
GIVE_WAY: Final = "3s"
"""So long an upgrade waits for a table, with everybody else behind it. Who has the table may himself wait for somebody
behind us, as a backup does for `pg_dump`: PostgreSQL sees no deadlock in that, and nothing would ever go on.
"""
PATIENCE_S: Final = 600.0
"""So long it is tried while a table is held: as long as a backup may take."""
_DEADLOCK: Final = "40P01"
_HELD: Final = "55P03"
_LOCK: Final = 7_352_935_338  # any constant; the key store has another


def _config(scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    return config


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One migration. `after` must wait until no process of an older release runs; any other is safe beside them."""

    revision: str
    after: bool


@cache
def steps(scripts: Path = SCRIPTS) -> tuple[Step, ...]:
    """Every migration of this release, oldest first.

    A migration only adds (tables, indexes, columns that may be left out), which older releases do not notice. One that
    takes away or forbids something says `AFTER = True` and comes a release after the last code that needs it. Versions
    are four digits, in order.
    """
    walked = ScriptDirectory.from_config(_config(scripts)).walk_revisions()
    found = [Step(revision=one.revision, after=bool(getattr(one.module, "AFTER", False))) for one in walked]
    return tuple(reversed(found))


def wanted(scripts: Path = SCRIPTS) -> str:
    """The schema version of this release."""
    return steps(scripts)[-1].revision


async def found(database: Database) -> str | None:
    """The schema version of the database; None for an empty one."""
    async with database.read() as conn:
        return await conn.run_sync(_version)


def _version(connection: SyncConnection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def left(version: str | None, scripts: Path = SCRIPTS) -> tuple[Step, ...]:
    """The migrations that this release has beyond a version; none beyond one that it does not know."""
    known = [step.revision for step in steps(scripts)]
    if version is None:
        return steps(scripts)
    return steps(scripts)[known.index(version) + 1 :] if version in known else ()


async def standing(database: Database) -> tuple[str | None, str]:
    """The schema version of the database, and the one it should have: the same where this release can work with it."""
    version = await found(database)
    return version, str(version) if await fits(database) else wanted()


async def fits(database: Database, scripts: Path = SCRIPTS) -> bool:
    """Whether this release can work with the database as it is.

    It can with its own schema, with one that lacks only what is to be done after older releases have gone, and with
    that of a newer release that has not yet done so.
    """
    version = await found(database)
    if version is None:
        return False
    if version in {step.revision for step in steps(scripts)}:
        return all(step.after for step in left(version, scripts))
    return await _oldest(database) <= wanted(scripts)


async def _oldest(database: Database) -> str:
    """The oldest schema whose release may still work with the database; of one that does not say, none."""
    async with database.read() as conn:
        if not await conn.run_sync(lambda sync: inspect(sync).has_table(meta.name)):
            return _NONE
        said = (await conn.execute(select(meta.c.value).where(meta.c.name == OLDEST))).scalar_one_or_none()
        return _NONE if said is None else str(said)


async def upgrade(
    database: Database,
    *,
    finish: bool = True,
    scripts: Path = SCRIPTS,
    beside: str = BESIDE,
    reached: Callable[[], None] = lambda: None,
) -> tuple[str | None, str]:
    """Bring the database to this release's schema; returns (version before, version now).

    Without `finish` it leaves out what must wait until no process of an older release runs. A newer release's schema
    is left as it is where it says that this release may still work with it. Raises RefusedToStart where it does not,
    and where something that must wait stands in the way. `reached` is called after each step, before the commit.
    """
    before = await found(database)
    if before is not None and before not in {step.revision for step in steps(scripts)}:
        if await _oldest(database) <= wanted(scripts):
            return before, before
        msg = (
            f"The database was written by a newer release (schema {before}; this release knows {wanted(scripts)}). "
            "Install that release, or restore a backup made before the upgrade."
        )
        raise RefusedToStart(msg)
    waiting = left(before, scripts)
    now = waiting if finish or before is None else tuple(itertools.takewhile(lambda step: not step.after, waiting))
    if any(not step.after for step in waiting[len(now) :]):
        msg = (
            f"The migration {waiting[len(now)].revision} must be done before this release can start, and while no "
            "older one runs: stop every process, then run `relaydesk db upgrade --finish`."
        )
        raise RefusedToStart(msg)
    if now:
        target = now[-1].revision

        async def work(conn: Connection) -> None:
            if conn.dialect.name == "postgresql":  # several processes may start at once: the first does it
                await conn.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")  # a step may compute
                await conn.execute(sql("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                await conn.exec_driver_sql(f"SET LOCAL lock_timeout = '{GIVE_WAY}'")
            if target in {step.revision for step in left(await conn.run_sync(_version), scripts)}:
                await conn.run_sync(lambda sync: _upgrade(sync, scripts, target, beside, reached))

        await _patiently(lambda: database.write(work))
    return before, now[-1].revision if now else str(before)


async def _patiently(change: Callable[[], Awaitable[None]]) -> None:
    """Try again where PostgreSQL chose us to end a deadlock, or somebody did not let go of a table in time.

    Processes go on meanwhile, and take their locks on tables in another order than the steps do. Nothing was committed.
    Raises RefusedToStart where a table is held for minutes.
    """
    deadlocks, until = 0, time.monotonic() + PATIENCE_S
    while True:
        try:
            return await change()
        except DBAPIError as error:
            state = getattr(error.orig, "sqlstate", None)
            deadlocks += state == _DEADLOCK
            if state not in (_DEADLOCK, _HELD) or deadlocks == DEADLOCKS:
                raise
            if time.monotonic() > until:
                msg = "The schema cannot be upgraded: for ten minutes somebody (a backup, a shell) has held its tables."
                raise RefusedToStart(msg) from None
            log.info("database.upgrade_gave_way", held=state == _HELD)
        await asyncio.sleep(random.uniform(0.1, 1.0))


def _upgrade(connection: SyncConnection, scripts: Path, target: str, beside: str, reached: Callable[[], None]) -> None:
    config = _config(scripts)
    config.attributes["connection"] = connection
    config.attributes["reached"] = reached
    command.upgrade(config, target)
    done = [step for step in steps(scripts) if step.revision <= target]
    oldest = max([beside, *(step.revision for step in done if step.after)])
    connection.execute(delete(meta).where(meta.c.name == OLDEST))
    connection.execute(meta.insert().values(name=OLDEST, value=oldest))


async def is_paired(database: Database) -> bool:
    """Whether this database has had a key store: without that one it cannot be read."""
    async with database.read() as conn:
        if not await conn.run_sync(lambda sync: inspect(sync).has_table(meta.name)):
            return False
        return (await conn.execute(select(meta.c.value).where(meta.c.name == CANARY))).scalar_one_or_none() is not None


async def check_canary(database: Database, keys: KeyStore) -> None:
    """Prove that this key store belongs to this database: a row written at the first start must match its index key.

    Raises RefusedToStart when they were mixed up: everything would read as erased.
    """
    proof = crypto.mac(keys.purpose("index"), "canary")

    async def work(conn: Connection) -> str:
        await conn.execute(insert(conn, meta).values(name=CANARY, value=proof).on_conflict_do_nothing())
        return str((await conn.execute(select(meta.c.value).where(meta.c.name == CANARY))).scalar_one())

    if not hmac.compare_digest(await database.write(work), proof):
        msg = (
            "This key store does not belong to this database: names and messages could not be read. "
            "Put the keys.db back that was beside it (or set RELAYDESK_KEYSTORE_URL to it)."
        )
        raise RefusedToStart(msg)
