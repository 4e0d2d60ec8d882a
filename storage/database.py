"""The database: short reads, and one writer that commits in groups.

SQLite serves one machine: WAL, `synchronous=FULL`, `secure_delete=ON`, `BEGIN IMMEDIATE`, foreign keys on. PostgreSQL
serves any number of processes. Above this file nobody knows which one it is.
"""

from __future__ import annotations

import asyncio
import errno
import random
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import asyncpg
import structlog
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Dialect, Executable, Table
from sqlalchemy import text as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from storage import engines, pulse
from storage.engines import Connection, LocalConnection, Parameters, Rows

log = structlog.get_logger()

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

GROUP_LIMIT = 64  # works per commit: past this, waiting longer costs more than another fsync
NOTIFY_CHANNEL = "relaydesk"
RECONNECT_S = 1.0
CLOSE_S = 2.0
DEADLOCKS = 5  # works that share a transaction lock lanes in an order that another process's may cross
TIDY_EVERY_COMMITS = 200  # about as often as SQLite would do it by itself
PAGE_BYTES = 4096
LOG_GROWS_PAGES = 16_384  # 64 MiB that could not be brought into the file: somebody has been reading for long


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Work[T]
    wake: tuple[str, ...] = ()
    rides: str | None = None  # the signal it waits for, for a work that joins somebody else's transaction
    done: asyncio.Future[T] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def _woken(jobs: Iterable[_Job[Any]]) -> set[str]:
    return {name for job in jobs for name in job.wake}


def _fail(job: _Job[Any], error: BaseException) -> None:
    if not job.done.done():
        job.done.set_exception(error)
        job.done.exception()  # who was cancelled meanwhile does not look, and nobody is to be told of that


def _untried(lost: BaseException) -> ConnectionError:
    """What a work hears that was not tried: an error of its own, since whoever raises one writes into it."""
    error = ConnectionError("the database is out of reach")
    error.__cause__ = lost
    return error


async def _connected(url: str) -> asyncpg.Connection[asyncpg.Record]:
    """A connection. Who is cancelled while it is being made leaves none behind, which the driver alone would."""
    making = asyncio.ensure_future(engines.connect(make_url(url)))
    try:
        return await asyncio.shield(making)
    except asyncio.CancelledError:
        if not (await asyncio.wait({making}, timeout=CLOSE_S))[0]:
            making.cancel()  # a server that does not answer has nothing of ours that would be left behind
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncio.CancelledError):
            await _goodbye(await making)
        raise


async def _goodbye(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Close a connection. One whose server does not hear of it is broken, and nobody is told: a stop goes on."""
    try:
        await connection.close(timeout=CLOSE_S)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def insert(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of this connection's dialect, which can say what to do on a conflict."""
    return insert_into(conn.dialect.name, table)


def insert_into(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of a dialect, by its name."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def insert_once(dialect: str, table: Table) -> Executable:
    """An INSERT that leaves out what is there already, built once."""
    return insert_into(dialect, table).on_conflict_do_nothing()


class _Local:
    """A SQLite file: writes in one thread, reads in a few."""

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

    async def transact(self, jobs: list[_Job[Any]], wake: Iterable[str]) -> list[Any]:
        """Run works in one transaction, in the writer's thread."""
        del wake  # there is no other process to wake

        def work() -> list[Any]:
            with self._writer.begin() as connection:
                local = LocalConnection(connection)
                return [engines.drive(job.work(local)) for job in jobs]

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


class _Server:
    """A PostgreSQL server."""

    def __init__(self, url: str, readers: int) -> None:
        self._engine, writing = engines.postgres_engine(make_url(url), pool_size=1, writes=True)
        self._reader, reading = engines.postgres_engine(make_url(url), pool_size=readers)
        self._snapshots = self._reader.execution_options(isolation_level="REPEATABLE READ")
        self._live = (writing, reading)
        self._reading: set[asyncio.Future[Any]] = set()
        self.dialect = self._engine.dialect

    async def transact(self, jobs: list[_Job[Any]], wake: Iterable[str]) -> list[Any]:
        """Run works in one transaction and tell other processes when it is committed."""
        with pulse.told():
            return await self._transact(jobs, wake)

    async def _transact(self, jobs: list[_Job[Any]], wake: Iterable[str]) -> list[Any]:
        async with self._engine.begin() as conn:
            results = [await job.work(conn) for job in jobs]
            for name in sorted(wake):
                notify = {"channel": NOTIFY_CHANNEL, "name": name}
                await conn.execute(sql("SELECT pg_notify(:channel, :name)"), notify)
        return results

    async def query(self, work: Work[T]) -> T:
        """Run a reading work. It is finished though its caller is cancelled: a connect cut short would stay open."""
        task = asyncio.ensure_future(self._query(work))
        self._reading.add(task)
        task.add_done_callback(self._read)
        return await asyncio.shield(task)

    def _read(self, task: asyncio.Future[Any]) -> None:
        self._reading.discard(task)
        if not task.cancelled():
            task.exception()  # who was cancelled meanwhile does not look, and nobody is to be told of that

    async def _query(self, work: Work[T]) -> T:
        with pulse.told():
            async with self._snapshots.connect() as conn:
                return await work(conn)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A connection for reading."""
        with pulse.told():
            async with self._snapshots.connect() as conn:
                yield conn

    async def checkpoint(self) -> bool:
        """Nothing to do: the server looks after its log."""
        return True

    def abandon(self) -> None:
        """Break every connection at once, whatever is under way on it: whoever waits there hears that it is lost."""
        for connection in [one for group in self._live for one in group]:
            connection.terminate()

    async def close(self) -> None:
        """Close every connection; what a server that is out of reach does not close in time is broken."""
        while self._reading:
            if (await asyncio.wait(self._reading, timeout=CLOSE_S))[1]:
                self.abandon()  # again each time: who waited for a connection has made one meanwhile
        closing = asyncio.gather(self._engine.dispose(), self._reader.dispose(), return_exceptions=True)
        if not (await asyncio.wait({closing}, timeout=CLOSE_S))[0]:
            self.abandon()
        await closing


class Database:
    """One database with its single writer. `async with Database.open(url)` owns every connection."""

    def __init__(self, url: str, engine: _Local | _Server) -> None:
        self.url = url
        self._engine = engine
        self._jobs: asyncio.Queue[_Job[Any]] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._signals: dict[str, asyncio.Event] = {}
        self._riders: dict[str, deque[_Job[Any]]] = {}
        self.commits = 0

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect of this database."""
        return self._engine.dialect

    @property
    def is_sqlite(self) -> bool:
        """True for a local file."""
        return self.dialect.name == "sqlite"

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for PostgreSQL."""
        database = make_url(self.url).database
        return Path(database) if self.is_sqlite and database else None

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, readers: int = 4) -> AsyncIterator[Database]:
        """Open the engine and start the writer; close both whatever happens."""
        local = engines.is_sqlite(make_url(url))
        engine = _Local(url, readers) if local else _Server(url, readers)
        database = cls(url, engine)
        database._writer = asyncio.create_task(database._run_writer(), name="database-writer")
        if not local:
            database._listener = asyncio.create_task(database._listen(), name="database-listener")
        try:
            yield database
        finally:
            await database._close()

    async def _close(self) -> None:
        await self._jobs.join()
        for task in (self._writer, self._listener):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._engine.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A connection for reading, in one short snapshot."""
        async with self._engine.read() as conn:
            yield conn

    async def query(self, work: Work[T]) -> T:
        """Run a work that only reads, in one snapshot; it must only await its connection, and return plain values."""
        return await self._engine.query(work)

    def log_bytes(self) -> int:
        """How large SQLite's log is on the disk; 0 on PostgreSQL, which keeps its own."""
        if self.path is None:
            return 0
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size
        except FileNotFoundError:  # it goes with the last connection
            return 0

    async def checkpoint(self) -> bool:
        """On SQLite: bring the log into the file and empty it. False while somebody reads in it.

        Raises OSError where the disk does not let it.
        """
        return await self._engine.checkpoint()

    async def write(self, work: Work[T], *, wake: tuple[str, ...] = ()) -> T:
        """Run `work` in a transaction that is committed when this returns; `wake` names the signals it sets then.

        Works that wait together share a commit. If one of them fails, the transaction is rolled back and each is run in
        one of its own, so `work` may run more than once and must only await its connection. A cancelled caller does
        not stop the work: it is committed or rolled back as a whole. Where the server turns out to be out of reach,
        those behind are not tried: they raise ConnectionError, each one of its own.
        """
        job = _Job(work=work, wake=wake)
        self._jobs.put_nowait(job)
        return await asyncio.shield(job.done)

    async def ride(self, name: str, work: Work[T], seconds: float) -> T | None:
        """Run `work` at the end of the next transaction of this process that wakes `name`.

        Who waits for work takes it in the very transaction that brings it: one commit and one change of thread fewer.
        None when nothing came within `seconds`, when another process woke the name, or when it had been woken since its
        signal was last cleared: look for yourself then. A transaction that a rider joined does not set the signal.
        """
        if seconds <= 0 or self.signal(name).is_set():
            return None
        job: _Job[T] = _Job(work=work, rides=name)
        riders = self._riders.setdefault(name, deque())
        riders.append(job)
        given_up = asyncio.get_running_loop().call_later(seconds, self._leave_behind, job)
        try:
            return await asyncio.shield(job.done)
        finally:
            given_up.cancel()
            if job in riders:
                riders.remove(job)

    def wake(self, name: str) -> None:
        """Set a signal of this process, and let whoever rides on it look for himself."""
        self.signal(name).set()
        for job in list(self._riders.get(name, ())):
            self._leave_behind(job)

    def signal(self, name: str) -> asyncio.Event:
        """The event that is set after a commit that woke `name`, in this process or (on PostgreSQL) in any other."""
        return self._signals.setdefault(name, asyncio.Event())

    def _leave_behind(self, job: _Job[Any]) -> None:
        riders = self._riders[job.rides or ""]
        if job in riders:  # else it is in a transaction already
            riders.remove(job)
            if not job.done.done():
                job.done.set_result(None)

    async def _run_writer(self) -> None:
        while True:
            jobs = [await self._jobs.get()]
            while len(jobs) < GROUP_LIMIT and not self._jobs.empty():
                jobs.append(self._jobs.get_nowait())
            riders = [queue.popleft() for name in _woken(jobs) if (queue := self._riders.get(name))]
            try:
                await self._commit_group([*jobs, *riders])
            finally:
                for job in (*jobs, *riders):
                    if not job.done.done():  # the writer itself is being stopped
                        job.done.cancel()
                for _ in jobs:
                    self._jobs.task_done()

    async def _commit_group(self, jobs: list[_Job[Any]], chances: int = DEADLOCKS) -> None:
        try:
            results = await self._transact(jobs)
        except Exception as error:  # noqa: BLE001  # handed to whoever waits for it
            if len(jobs) == 1 and chances and pulse.gave_way(error):
                await asyncio.sleep(random.uniform(0.0, 0.1))
                await self._commit_group(jobs, chances - 1)
                return
            if len(jobs) == 1:
                _fail(jobs[0], error)
                return
            for place, job in enumerate(jobs):
                await self._commit_group([job])
                lost = None if job.done.cancelled() else job.done.exception()
                if lost is not None and pulse.is_away(lost):  # each would wait for a server that is not there
                    for untried in jobs[place + 1 :]:
                        _fail(untried, _untried(lost))
                    return
            return
        for job, result in zip(jobs, results, strict=True):
            if not job.done.done():
                job.done.set_result(result)

    async def _transact(self, jobs: list[_Job[Any]]) -> list[Any]:
        woken = _woken(jobs)
        results = await self._engine.transact(jobs, woken)
        self.commits += 1
        for name in woken - {job.rides for job in jobs}:
            self.wake(name)
        return results

    async def _listen(self) -> None:
        """Hear other processes' commits; reconnects for ever, since waiting also ends by time-out everywhere."""
        while True:
            try:
                await self._listen_once()
            except TimeoutError:
                log.warning("database.silent", meaning="The server does not answer: every connection is made anew.")
                cast("_Server", self._engine).abandon()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.info("database.listener_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _listen_once(self) -> None:
        connection = await _connected(self.url)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        try:
            await connection.add_listener(NOTIFY_CHANNEL, lambda _c, _p, _ch, name: self.wake(str(name)))
            while await pulse.beat(lost):
                await pulse.check(connection)
        finally:
            await _goodbye(connection)  # an error of its own would hide that this is a stop
