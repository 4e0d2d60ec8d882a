"""A SQLite file: one thread writes, a few read, and one brings the log into the file beside them.

WAL, `synchronous=FULL`, `secure_delete=ON`, `BEGIN IMMEDIATE`, foreign keys on.
"""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from typing import Any, TypeVar, cast

import structlog
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Dialect, Executable
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from storage import engines
from storage.engines import Connection, LocalConnection, Parameters, Rows, Work

log = structlog.get_logger()

T = TypeVar("T")

TIDY_EVERY_COMMITS = 200  # about as often as SQLite would do it by itself
PAGE_BYTES = 4096
LOG_GROWS_PAGES = 16_384  # 64 MiB that could not be brought into the file: somebody has been reading for long


class LocalFile:
    """The engine of one machine. Close it: its threads do not end by themselves."""

    def __init__(self, url: str, readers: int) -> None:
        parsed = make_url(url)
        self._writer = engines.sqlite_engine(parsed, writer=True, pool_size=1)
        self._reader = engines.sqlite_engine(parsed, writer=False, pool_size=readers)
        self._tidier = engines.sqlite_engine(parsed, writer=False, pool_size=1)
        self._write_thread = ThreadPoolExecutor(1, thread_name_prefix="db-write")
        self._tidy_thread = ThreadPoolExecutor(1, thread_name_prefix="db-tidy")
        self._read_threads = ThreadPoolExecutor(readers, thread_name_prefix="db-read")
        # A thread that waited for a connection could be the one that its holder needs next: wait before, in the loop.
        self._free = asyncio.Semaphore(readers)
        self._tidying: asyncio.Future[None] | None = None
        self._commits = 0
        self._complained_at = LOG_GROWS_PAGES
        self.dialect = self._writer.dialect

    async def transact(self, works: list[Work[Any]], wake: Iterable[str]) -> list[Any]:
        """Run works in one transaction, in the writer's thread."""
        del wake  # there is no other process to wake

        def work() -> list[Any]:
            with self._writer.begin() as connection:
                local = LocalConnection(connection)
                return [engines.drive(one(local)) for one in works]

        results = await asyncio.get_running_loop().run_in_executor(self._write_thread, work)
        self._commits += 1
        if self._commits >= TIDY_EVERY_COMMITS and (self._tidying is None or self._tidying.done()):
            self._commits = 0
            self._tidying = asyncio.get_running_loop().run_in_executor(self._tidy_thread, self._tidy)
        return results

    def _tidy(self) -> None:
        """Bring the log into the file beside the writer, who would otherwise stop for it amid the traffic."""
        try:
            with closing(self._tidier.raw_connection()) as raw, closing(raw.cursor()) as cursor:
                _busy, pages, done = cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except (SQLAlchemyError, sqlite3.Error) as error:
            log.warning("database.not_tidied", error=type(error).__name__)
            return
        kept = pages - done
        if kept < LOG_GROWS_PAGES:
            self._complained_at = LOG_GROWS_PAGES
        elif kept >= self._complained_at:
            self._complained_at = 2 * kept
            log.warning(
                "database.log_grows",
                mebibytes=kept * PAGE_BYTES >> 20,
                meaning="Some program has been reading in the database for long: a copy, a query that was left open.",
            )

    async def query(self, work: Work[T]) -> T:
        """Run a reading work in a reader's thread."""

        def read() -> T:
            with self._reader.connect() as connection:
                return engines.drive(work(LocalConnection(connection)))

        async with self._free:
            return await asyncio.get_running_loop().run_in_executor(self._read_threads, read)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A connection for reading, a thread away for each statement."""
        loop = asyncio.get_running_loop()
        async with self._free:
            connection = await loop.run_in_executor(self._read_threads, self._reader.connect)
            try:
                yield _Remote(connection, self._read_threads)
            finally:
                await asyncio.shield(loop.run_in_executor(self._read_threads, connection.close))

    async def checkpoint(self) -> bool:
        """Bring the log into the file and empty it; False while a reader holds it."""

        def work() -> bool:
            with closing(self._writer.raw_connection()) as raw, closing(raw.cursor()) as cursor:
                try:
                    found = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                except sqlite3.Error as error:  # the driver's own, which nobody above this file knows
                    raise OSError(errno.EIO, "the log cannot be brought into the file") from error
                return found is not None and not found[0]

        return await asyncio.get_running_loop().run_in_executor(self._write_thread, work)

    async def close(self) -> None:
        """Close every connection and end the threads."""
        for threads in (self._write_thread, self._tidy_thread, self._read_threads):
            await asyncio.to_thread(threads.shutdown)
        for engine in (self._writer, self._tidier, self._reader):
            engine.dispose()


class _Remote:
    """A reader's connection used from the event loop: one change of thread per statement."""

    def __init__(self, connection: SyncConnection, threads: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._threads = threads

    @property
    def dialect(self) -> Dialect:
        return self._connection.dialect

    async def execute(self, statement: Executable, parameters: Parameters = None, /) -> Rows:
        return await self._fetched(lambda: self._connection.execute(statement, parameters))

    async def exec_driver_sql(self, statement: str) -> Rows:
        return await self._fetched(lambda: self._connection.exec_driver_sql(statement))

    async def run_sync(self, work: Callable[[SyncConnection], T], /) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, self._connection)

    async def _fetched(self, ask: Callable[[], Rows]) -> Rows:
        def work() -> Rows:
            result = ask()
            # Frozen rows are read like any others; only the type says that no cursor stands behind them.
            return cast("Rows", result.freeze()()) if result.returns_rows else result

        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
