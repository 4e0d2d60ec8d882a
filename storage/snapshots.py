"""A consistent copy of a database as one file, taken while it is in use, and back again: SQLite by its backup API,
PostgreSQL by pg_dump and pg_restore where they are installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy.engine import URL, make_url

from domain.errors import BadBackup
from storage import engines, tls

SEARCH: Final = ("search_fresh", "search_segments", "search_blocks", "search_documents")
"""Left out: they can be made again, and a copy would outlive an erasure."""
_SQLITE_TODO: Final = (
    "INSERT INTO meta (name, value) SELECT 'search.todo', '[0, ' || top || ']' "
    "FROM (SELECT max(seq) AS top FROM timeline) WHERE top IS NOT NULL"
)
_POSTGRES_TODO: Final = (
    "INSERT INTO meta (name, value) SELECT 'search.todo', '[0, ' || top || ']' "
    "FROM (SELECT max(seq) AS top FROM timeline) AS newest WHERE top IS NOT NULL"
)
_ASIDE: Final = "before_"  # schemas that a restore put aside; no backup holds them
_VACUUM_ABOVE: Final = 0.05
"""Share of empty pages from which on a copy is worth packing."""


def is_sqlite(url: str) -> bool:
    """Whether a store is a file of this machine."""
    return make_url(url).get_backend_name() == "sqlite"


def file_of(url: str) -> Path:
    """The file of a SQLite store."""
    return Path(str(make_url(url).database))


async def take(url: str, target: Path, tables: Sequence[str], *, without_search: bool) -> dict[str, int]:
    """Copy a database to `target` as it stands at one moment; gives the number of rows of `tables` at that moment.

    Nobody waits meanwhile. Raises BadBackup with what is missing or wrong.
    """
    if is_sqlite(url):
        return await asyncio.to_thread(_take_sqlite, file_of(url), target, tables, without_search)
    return await _take_postgres(make_url(url), target, tables, without_search=without_search)


def _take_sqlite(source: Path, target: Path, tables: Sequence[str], without_search: bool) -> dict[str, int]:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with closing(sqlite3.connect(source, timeout=30)) as live, closing(sqlite3.connect(target)) as copy:
            # All pages in one step: between two steps every commit of the bot would make it begin again.
            live.backup(copy, pages=-1)
            # Nothing needs to survive a power cut before the whole is sealed and synced.
            copy.execute("PRAGMA journal_mode=MEMORY")
            copy.execute("PRAGMA synchronous=OFF")
            if without_search:
                with copy:
                    for table in SEARCH:
                        copy.execute(f"DELETE FROM {table}")  # noqa: S608  # our own names
                    copy.execute("DELETE FROM meta WHERE name = 'search.todo'")
                    copy.execute(_SQLITE_TODO)
            (pages,), (free,) = (copy.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count"))
            if free > pages * _VACUUM_ABOVE:
                copy.execute("VACUUM")
            return {
                table: copy.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
                for table in tables
            }
    except sqlite3.Error as error:
        raise BadBackup(f"{source}: cannot be copied ({error})") from None


async def _take_postgres(url: URL, target: Path, tables: Sequence[str], *, without_search: bool) -> dict[str, int]:
    conn = await engines.connect(url)
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            snapshot = await conn.fetchval("SELECT pg_export_snapshot()")
            counts = {
                table: int(await conn.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608  # our own names
                for table in tables
            }
            left_out = [f"--exclude-table-data={table}" for table in SEARCH] if without_search else []
            options = ["--format=custom", "--no-owner", "--no-privileges", f"--exclude-schema={_ASIDE}*"]
            options += [f"--snapshot={snapshot}", f"--file={target}"]
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            await _tool("pg_dump", url, *options, *left_out)
            return counts
    finally:
        await conn.close()


async def put(url: str, source: Path) -> None:
    """Put a copy into an empty PostgreSQL database, whole or not at all; a SQLite copy simply is the database.

    Raises BadBackup.
    """
    parsed = make_url(url)
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    await _tool("pg_restore", parsed, *options, f"--dbname={parsed.database}", str(source))
    conn = await engines.connect(parsed)
    try:
        if await conn.fetchval("SELECT to_regclass('search_fresh')") is not None:
            await conn.execute("DELETE FROM meta WHERE name = 'search.todo'")
            await conn.execute(_POSTGRES_TODO)
    finally:
        await conn.close()


async def is_empty(url: str) -> bool:
    """Whether there is nothing yet where a copy would be put."""
    if is_sqlite(url):
        file = file_of(url)
        return not file.exists()
    conn = await engines.connect(make_url(url))
    try:
        return not await conn.fetchval("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
    finally:
        await conn.close()


async def set_aside(url: str, suffix: str) -> str:
    """Keep what is in a PostgreSQL database under another schema's name, so that a copy can take its place."""
    name = f"{_ASIDE}{''.join(char for char in suffix.lower() if char.isalnum())}"[:60]
    conn = await engines.connect(make_url(url))
    try:
        async with conn.transaction():
            await conn.execute(f"ALTER SCHEMA public RENAME TO {name}")
            await conn.execute("CREATE SCHEMA public")
    finally:
        await conn.close()
    return name


@asynccontextmanager
async def scratch(url: str, name: str, folder: Path) -> AsyncIterator[str]:
    """A temporary place like `url`: a file in `folder`, or a database of its own on the same server, dropped later."""
    if is_sqlite(url):
        yield f"sqlite:///{folder / name}.db"
        return
    parsed = make_url(url)
    try:
        conn = await engines.connect(parsed)
    except (OSError, asyncpg.PostgresError) as error:
        raise BadBackup(f"the server cannot be reached ({type(error).__name__})") from None
    database = f"relaydesk_verify_{os.urandom(6).hex()}"
    try:
        await conn.execute(f"CREATE DATABASE {database}")
        yield parsed.set(database=database).render_as_string(hide_password=False)
    except asyncpg.InsufficientPrivilegeError:
        raise BadBackup(
            f"the user {parsed.username} may not make a temporary database to verify in; "
            f"run as an administrator: ALTER USER {parsed.username} CREATEDB"
        ) from None
    finally:
        await conn.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        await conn.close()


async def _tool(program: str, url: URL, *arguments: str) -> None:
    """Run one of PostgreSQL's programs. Addresses and passwords go by the environment, never by the command line."""
    path = shutil.which(program)
    if path is None:
        raise BadBackup(f"{program} is not installed; install the client programs of your PostgreSQL server")
    process = await asyncio.create_subprocess_exec(
        path, *arguments, env=_environment(url), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        # Its first line says what is wrong (a version, a right); the rest may hold rows.
        line = said.decode(errors="replace").strip().split("\n", 1)[0][:200]
        raise BadBackup(f"{program} failed: {line}")


def _environment(url: URL) -> dict[str, str]:
    query: Mapping[str, Any] = url.query
    given = {
        "PGHOST": url.host or query.get("host"),
        "PGPORT": str(url.port) if url.port else query.get("port"),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
    }
    return {**os.environ, **tls.environment(url), **{name: str(value) for name, value in given.items() if value}}
