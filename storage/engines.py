"""Two engines behind one connection: SQLite in threads of its own, PostgreSQL through asyncpg.

SQLAlchemy's async layer over aiosqlite changes threads some four times a statement, about ninety times a message.
Here a transaction on SQLite runs as a whole in one thread: the same `async` functions, driven there without an event
loop, since all they ever await is their connection. docs/decisions/0002-sqlite-in-threads.md has the measurement.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

import asyncpg
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import CursorResult, Dialect, Engine, Executable, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import AdaptedConnection, DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from domain.errors import RefusedToStart
from storage import pulse, tls

T = TypeVar("T")
Rows = CursorResult[*tuple[Any, ...]]
Parameters = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

BUSY_TIMEOUT_MS = 5000  # for the command line and backups, which open the file beside the process
CACHE_KIB = 32768
LOG_KEPT_BYTES = 32 * 1024 * 1024  # what of the log stays on the disk once it was brought into the file
AUTO_CHECKPOINT_PAGES = 20_000  # the writer's own, if the one in the background does not come to it
CONNECT_S = 10.0  # a server that does not answer by then is out of reach; the driver would wait a minute
IDLE_LIMIT_S = 5  # shorter than a leader's lease: what a process locked before it was cut off must not outlast that
# A server notices within a minute that a client is gone without a word; by itself it would keep its session for hours.
_NOTICE_THE_DEAD = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}

# File systems on which SQLite's WAL (shared memory) is not safe, by the kernel's name for them.
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph", "glusterfs"}


class Connection(Protocol):
    """What storage may do with a connection. Rows are fetched before `execute` returns."""

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect of the database behind it."""
        ...

    async def execute(self, statement: Executable, parameters: Parameters = None, /) -> Rows:
        """Run a statement, or once for each of several parameter sets."""
        ...

    async def exec_driver_sql(self, statement: str) -> Rows:
        """Run a statement in the database's own words."""
        ...

    async def run_sync(self, work: Callable[[SyncConnection], T], /) -> T:
        """Run something that wants a synchronous connection (Alembic, an inspector)."""
        ...


Work = Callable[[Connection], Awaitable[T]]
"""Something that is done in one transaction, or read in one snapshot. It awaits its connection and nothing else."""


class LocalConnection:
    """A connection in the thread it is used in: its coroutines never wait."""

    def __init__(self, connection: SyncConnection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> Dialect:
        """SQLAlchemy's dialect."""
        return self._connection.dialect

    async def execute(self, statement: Executable, parameters: Parameters = None, /) -> Rows:
        """Run a statement."""
        return self._connection.execute(statement, parameters)

    async def exec_driver_sql(self, statement: str) -> Rows:
        """Run a statement in SQLite's own words."""
        return self._connection.exec_driver_sql(statement)

    async def run_sync(self, work: Callable[[SyncConnection], T], /) -> T:
        """Run something on the connection itself."""
        return work(self._connection)


def drive(work: Awaitable[T]) -> T:
    """Run something awaitable that never waits, without an event loop. Raises RuntimeError when it does wait."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    steps.close()
    msg = "a database work awaited something else than its connection"
    raise RuntimeError(msg)


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


def is_sqlite(url: URL) -> bool:
    """True for a local file."""
    return url.get_backend_name() == "sqlite"


def sqlite_engine(url: URL, *, writer: bool, pool_size: int) -> Engine:
    """An engine over a SQLite file, made with mode 0600 if it is not there.

    `writer` begins with BEGIN IMMEDIATE, so that a transaction that reads before it writes never fails with "database
    is locked". Errors name the statement and never the values in it.
    """
    if url.database:
        path = Path(url.database)
        refuse_network_file_system(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    plain = url.set(drivername="sqlite")
    engine = create_engine(
        plain,
        pool_size=pool_size,
        max_overflow=0,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: DBAPIConnection, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "secure_delete=ON",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            f"cache_size=-{CACHE_KIB}",
            "temp_store=MEMORY",
            f"wal_autocheckpoint={AUTO_CHECKPOINT_PAGES}",
            f"journal_size_limit={LOG_KEPT_BYTES}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: SyncConnection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


def _session(settings: Mapping[str, int]) -> str:
    """The statement that sets these for a session. Poolers in front of a server refuse them when connecting."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())


async def _prepare(driver: asyncpg.Connection[asyncpg.Record], settings: str) -> None:
    """The first words on a new connection, which is broken if they fail: nobody else knows of it yet."""
    try:
        await pulse.check(driver, settings, CONNECT_S)
    except BaseException:
        driver.terminate()
        raise


def postgres_engine(url: URL, *, pool_size: int, writes: bool = False) -> tuple[AsyncEngine, WeakSet[Any]]:
    """An engine over a PostgreSQL server, with the driver's connections that it has; see tls.py for the way there.

    With `writes` the server ends a transaction in which nothing was said for some seconds, and frees what it locked:
    a process that was cut off from the server, or stopped, must not keep others from its work.
    """
    plain, verifying = tls.split(url)
    engine = create_async_engine(
        plain.set(drivername="postgresql+asyncpg"),
        connect_args={"timeout": CONNECT_S, **({} if verifying is None else {"ssl": verifying})},
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    limit = {"idle_in_transaction_session_timeout": IDLE_LIMIT_S * 1000} if writes else {}
    settings, live = _session(_NOTICE_THE_DEAD | limit), WeakSet[Any]()

    @event.listens_for(engine.sync_engine, "connect", insert=True)  # SQLAlchemy's own says something, too
    def _begin_session(connection: AdaptedConnection, _record: object) -> None:
        driver = connection.driver_connection
        live.add(driver)  # before anything is said: whoever abandons the connections must find this one
        connection.run_async(lambda _driver: _prepare(driver, settings))

    return engine, live


async def connect(url: URL) -> asyncpg.Connection[asyncpg.Record]:
    """A connection to a PostgreSQL server without SQLAlchemy, for what only the driver can do."""
    plain, verifying = tls.split(url)
    address = plain.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(address, ssl=verifying, timeout=CONNECT_S)
    await _prepare(connection, _session(_NOTICE_THE_DEAD))
    return connection
