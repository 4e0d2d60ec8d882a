"""The database: short reads, and one writer that commits in groups.

A file (`local.py`) serves one machine, a server (`server.py`) any number of processes. Above this file nobody knows
which of the two it is.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy import Dialect, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url

from storage import engines, pulse
from storage.engines import Connection, Work
from storage.local import LocalFile
from storage.server import Server

T = TypeVar("T")

GROUP_LIMIT = 64  # works per commit: past this, waiting longer costs more than another fsync
DEADLOCKS = 5  # works that share a transaction lock lanes in an order that another process's may cross


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


class Database:
    """One database with its single writer. `async with Database.open(url)` owns every connection."""

    def __init__(self, url: str, engine: LocalFile | Server) -> None:
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
        if engines.is_sqlite(make_url(url)):
            database = cls(url, LocalFile(url, readers))
        else:
            server = Server(url, readers)
            database = cls(url, server)
            database._listener = asyncio.create_task(server.listen(database.wake), name="database-listener")
        database._writer = asyncio.create_task(database._run_writer(), name="database-writer")
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
        results = await self._engine.transact([job.work for job in jobs], woken)
        self.commits += 1
        for name in woken - {job.rides for job in jobs}:
            self.wake(name)
        return results
