"""A kill, a full disk or a server that goes away cost nothing that was promised."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from storage import tables
from tests import nursery, patience
from tests.contracts import storage_kit
from tests.contracts.storage_kit import NOW, arrival, story
from tests.contracts.storage_writer import BATCH

AFTER_LEASES = storage_kit.at(3600)


async def stored_until_killed(database_url: str, keys_url: str, seconds: float) -> int:
    """Let a process store until kill -9 some time after its first batch; how many batches it acknowledged."""
    words = ("tests.contracts.storage_writer", database_url, keys_url)
    process = await asyncio.to_thread(nursery.module, *words, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        first = await asyncio.wait_for(asyncio.to_thread(process.stdout.readline), patience.LONG_S)
        await asyncio.sleep(seconds)
        process.kill()
        rest = await asyncio.to_thread(process.stdout.read)
        assert process.wait() == -signal.SIGKILL
    return len((first + rest).split())


@pytest.mark.parametrize("seed", range(3))
async def test_kill_9_loses_nothing_that_was_acknowledged(make_database: Callable[[str], str], seed: int) -> None:
    """Every batch of which the platform may have been told is there, readable and whole; so is every decision."""
    database_url, keys_url = make_database("relaydesk"), make_database("keys")
    acknowledged = await stored_until_killed(database_url, keys_url, random.Random(seed).uniform(0.05, 0.4))
    async with storage_kit.process(database_url, keys_url, "after") as after:
        found: list[str | None] = []
        while claims := await after.claim(AFTER_LEASES):
            found += [row.payload for claim in claims for row in claim.rows]
            await after.finish(claims, AFTER_LEASES)
        promised = {f'{{"n": "{batch}.{step}"}}' for batch in range(acknowledged) for step in range(BATCH)}
        assert promised <= set(found)
        assert len(found) == len(set(found))
        assert len(found) % BATCH == 0
        # One more batch and one more decision may have been committed without its number being printed.
        assert len(found) // BATCH - acknowledged in (0, 1)
        conversations = await after.rows(tables.conversations)
        assert len(conversations) - acknowledged in (0, 1)
        bodies = [entry.body for row in conversations for entry in await after.record.timeline(row["id"])]
        assert bodies == ["hello"] * len(conversations)


@contextlib.contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file of this process grows past `size` bytes: a disk or a quota that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_an_error_and_loses_nothing(tmp_path: Path) -> None:
    """Storing fails, so nobody is told that we have it; what was there stays, and all goes on when there is room."""
    urls = f"sqlite:///{tmp_path}/relaydesk.db", f"sqlite:///{tmp_path}/keys.db"
    big = arrival("big", payload="x" * 4_000_000)
    async with storage_kit.process(*urls) as one:
        ann = story()
        await one.decide(ann.opening("hello"))
        assert await one.inbox.put([arrival("1")], NOW) == 1
        with file_limit(2_000_000):
            for _ in range(3):
                with pytest.raises(SQLAlchemyError):
                    await one.inbox.put([big, arrival("2")], NOW)
            assert [entry.body for entry in await one.record.timeline(ann.conversation.id)] == ["hello"]
            assert await one.inbox.put([arrival("3")], NOW) == 1
        assert await one.inbox.put([big, arrival("2")], NOW) == 2
        (claim,) = await one.claim()
        assert [len(row.payload or "") for row in claim.rows] == [10, 10, 4_000_000, 10]
        async with one.db.read() as conn:
            assert (await conn.exec_driver_sql("PRAGMA integrity_check")).scalar() == "ok"


@pytest.mark.postgres
async def test_a_server_that_drops_its_connections_is_used_again(postgres_database: Callable[[], str]) -> None:
    """After a restart of the server the next read and the next write work; at most what was under way fails."""
    database_url, keys_url = postgres_database(), postgres_database()
    async with (
        storage_kit.process(database_url, keys_url) as one,
        storage_kit.process(database_url, keys_url, "other") as other,
    ):
        assert await one.inbox.put([arrival("1")], NOW) == 1
        async with other.db.read() as conn:
            with contextlib.suppress(SQLAlchemyError):  # it ends its own connection last
                await conn.exec_driver_sql(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND backend_type = 'client backend'"
                    " ORDER BY pid = pg_backend_pid()"
                )
        await asyncio.sleep(0.2)
        assert await one.inbox.put([arrival("2")], NOW) == 1
        (claim,) = await one.claim()
        assert [row.payload for row in claim.rows] == ['{"n": "1"}', '{"n": "2"}']
