"""Engines, and the one writer that commits in groups.

SQLite serves one machine: WAL, `synchronous=FULL`, `secure_delete=ON`, `BEGIN IMMEDIATE`, foreign keys on. PostgreSQL
serves any number of processes. Above this file nobody knows which one it is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import asyncpg
import structlog
from sqlalchemy import Dialect, Table, event
from sqlalchemy import text as sql
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import RefusedToStart

log = structlog.get_logger()

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

GROUP_LIMIT = 64  # works per commit: past this, waiting longer costs more than another fsync
BUSY_TIMEOUT_MS = 5000  # for the command line and backups, which open the file beside the process
NOTIFY_CHANNEL = "relaydesk"

# Magic numbers of statfs(2) f_type for file systems on which SQLite's WAL (shared memory) is not safe.
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}


@dataclass(slots=True)
class _Job(Generic[T]):
    work: Work[T]
    wake: tuple[str, ...]
    done: asyncio.Future[T] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def insert(conn: AsyncConnection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT of this connection's dialect, which can say what to do on a conflict."""
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)


def file_system_of(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The type of the file system that holds `path`, "" where the system does not say."""
    if not mounts.exists():
        return ""
    target = path.resolve()
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split()
        point = fields[1].replace("\\040", " ")
        if (str(target) == point or str(target).startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def refuse_network_file_system(path: Path, kind: str | None = None) -> None:
    """Raise RefusedToStart when SQLite would live on a network file system. `kind` is for tests."""
    kind = file_system_of(path.parent) if kind is None else kind
    if kind in NETWORK_FILE_SYSTEMS:
        msg = (
            f"The database {path.name} lies on a network file system ({kind}), where SQLite can lose data. "
            "Set data_dir to a local disk, or database.url to a PostgreSQL server."
        )
        raise RefusedToStart(msg)


def make_engine(url: str, *, writer: bool, pool_size: int = 5) -> AsyncEngine:
    """An async engine for a SQLite file (`sqlite+aiosqlite:///…`) or PostgreSQL (`postgresql+asyncpg://…`).

    A SQLite file is made with mode 0600. `writer` begins with BEGIN IMMEDIATE, so that a transaction that reads before it
    writes never fails with "database is locked". Errors name the statement and never the values in it.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(url, pool_size=pool_size, max_overflow=0, pool_pre_ping=True, hide_parameters=True)
    if parsed.database:
        path = Path(parsed.database)
        refuse_network_file_system(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = create_async_engine(url, pool_size=1 if writer else pool_size, max_overflow=0, hide_parameters=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "cache_size=-32768",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


class Database:
    """One database with its single writer. `async with Database.open(url)` owns every connection."""

    def __init__(self, url: str, writer: AsyncEngine, reader: AsyncEngine) -> None:
        self.url = url
        self._write_engine = writer
        self._read_engine = reader
        self._jobs: asyncio.Queue[_Job[Any]] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        self._listener: asyncio.Task[None] | None = None
        self._signals: dict[str, asyncio.Event] = {}
        self.commits = 0

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect of this database."""
        return self._write_engine.dialect

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
        """Open the engines and start the writer; close both whatever happens."""
        writer = make_engine(url, writer=True)
        reader = make_engine(url, writer=False, pool_size=readers)
        database = cls(url, writer, reader)
        database._writer = asyncio.create_task(database._run_writer(), name="database-writer")
        if not database.is_sqlite:
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
        await self._write_engine.dispose()
        await self._read_engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading, in one short snapshot."""
        async with self._read_engine.connect() as conn:
            yield conn

    async def write(self, work: Work[T], *, wake: tuple[str, ...] = ()) -> T:
        """Run `work` in a transaction that is committed when this returns; `wake` names the signals it sets then.

        Works that wait together share a commit. If one of them fails, the transaction is rolled back and each is run in one
        of its own, so `work` may run more than once and must only act through its connection. A cancelled caller does not
        stop the work: it is committed or rolled back as a whole.
        """
        job = _Job(work=work, wake=wake)
        self._jobs.put_nowait(job)
        return await asyncio.shield(job.done)

    def signal(self, name: str) -> asyncio.Event:
        """The event that is set after a commit that woke `name`, in this process or (on PostgreSQL) in any other."""
        return self._signals.setdefault(name, asyncio.Event())

    async def _run_writer(self) -> None:
        while True:
            jobs = [await self._jobs.get()]
            while len(jobs) < GROUP_LIMIT and not self._jobs.empty():
                jobs.append(self._jobs.get_nowait())
            try:
                await self._commit_group(jobs)
            finally:
                for job in jobs:
                    if not job.done.done():  # the writer itself is being stopped
                        job.done.cancel()
                    self._jobs.task_done()

    async def _commit_group(self, jobs: list[_Job[Any]]) -> None:
        try:
            results = await self._transact(jobs)
        except Exception as error:
            if len(jobs) == 1:
                if not jobs[0].done.cancelled():
                    jobs[0].done.set_exception(error)
                return
            for job in jobs:
                await self._commit_group([job])
            return
        for job, result in zip(jobs, results, strict=True):
            if not job.done.done():
                job.done.set_result(result)

    async def _transact(self, jobs: list[_Job[Any]]) -> list[Any]:
        wake = {name for job in jobs for name in job.wake}
        async with self._write_engine.begin() as conn:
            results = [await job.work(conn) for job in jobs]
            if not self.is_sqlite:
                for name in sorted(wake):
                    await conn.execute(
                        sql("SELECT pg_notify(:channel, :name)"), {"channel": NOTIFY_CHANNEL, "name": name}
                    )
        self.commits += 1
        self._wake(wake)
        return results

    def _wake(self, names: Iterable[str]) -> None:
        for name in names:
            self.signal(name).set()

    async def _listen(self) -> None:
        """Hear other processes' commits; reconnects for ever, since waiting also ends by time-out everywhere."""
        url = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        while True:
            try:
                connection = await asyncpg.connect(url)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(1.0)
                continue
            try:
                await connection.add_listener(NOTIFY_CHANNEL, lambda _c, _p, _ch, name: self._wake([str(name)]))
                while not connection.is_closed():
                    await asyncio.sleep(1.0)
            finally:
                await connection.close()
