"""Bringing a database to this release's schema, and refusing one that is newer or not ours."""

from __future__ import annotations

import hmac
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import select

from domain.errors import RefusedToStart
from storage import crypto
from storage.database import Database, insert
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import meta

SCRIPTS = Path(__file__).parent / "migrations"
CANARY = "keystore"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


def wanted() -> str:
    """The schema version of this release."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


async def found(database: Database) -> str | None:
    """The schema version of the database; None for an empty one."""
    async with database.read() as conn:
        return await conn.run_sync(_version)


def _version(connection: SyncConnection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


async def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the database to this release's schema; returns (version before, version now).

    Raises RefusedToStart when a newer release has written it.
    """
    before = await found(database)
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if before is not None and before not in known:
        msg = (
            f"The database was written by a newer release (schema {before}; this release knows {wanted()}). "
            "Install that release, or restore a backup made before the upgrade."
        )
        raise RefusedToStart(msg)
    if before != wanted():
        await database.write(lambda conn: conn.run_sync(_upgrade))
    return before, wanted()


def _upgrade(connection: SyncConnection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


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
