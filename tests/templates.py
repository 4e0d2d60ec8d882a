"""Empty records at this release's schema, copied from one that the migrations made in this test process.

The migrations run once for each engine and test process, not once for each test. Whoever opens the record still asks
them what is left to do, and tests of the migrations themselves begin with an empty database.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import tempfile
from pathlib import Path

import asyncpg

from storage import migrate
from storage.database import Database
from tests import embedded, spares

SQLITE = "sqlite:///"
_made: dict[str, bytes] = {}


async def seed(url: str) -> None:
    """Give an empty database the schema; one that holds anything is left as it is."""
    if not url.startswith(SQLITE):
        await _seed_server(url)
    elif not os.path.exists(url.removeprefix(SQLITE)):  # noqa: ASYNC240, PTH110 -- a file of this test
        await _seed_file(Path(url.removeprefix(SQLITE)))


async def _seed_file(path: Path) -> None:
    if "sqlite" not in _made:
        with tempfile.TemporaryDirectory() as folder:
            first = Path(folder) / "record.db"
            await _migrated(f"{SQLITE}{first}")
            _made["sqlite"] = first.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(_made["sqlite"])


async def _seed_server(url: str) -> None:
    address = url.replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(address)
    try:
        if await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"):
            return
    finally:
        await connection.close()
    if await spares.exchange(address):
        return
    if "postgresql" in _made:
        await _filled(address, _made["postgresql"].decode())
        return
    await _migrated(url)
    _made["postgresql"] = await asyncio.to_thread(_dumped, address)


async def _filled(address: str, statements: str) -> None:
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statements)
        await spares.learn(connection, "\n".join(re.findall(r"^INSERT INTO .*;$", statements, re.MULTILINE)))
    finally:
        await connection.close()


def _dumped(address: str) -> bytes:
    command = embedded.programs() / "pg_dump"
    done = subprocess.run(
        [command, "--schema=public", "--inserts", "--no-owner", address], check=True, capture_output=True
    )
    lines = done.stdout.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith((b"\\", b"CREATE SCHEMA")))


async def _migrated(url: str) -> None:
    async with Database.open(url) as database:
        await migrate.upgrade(database)
