"""A PostgreSQL server: one connection writes, a few read, and one hears what other processes have committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
import structlog
from sqlalchemy import text as sql
from sqlalchemy.engine import make_url

from storage import engines, pulse
from storage.engines import Connection, Work

log = structlog.get_logger()

T = TypeVar("T")

NOTIFY_CHANNEL = "relaydesk"
RECONNECT_S = 1.0
CLOSE_S = 2.0


class Server:
    """The engine that any number of processes share."""

    def __init__(self, url: str, readers: int) -> None:
        self._url = url
        self._engine, writing = engines.postgres_engine(make_url(url), pool_size=1, writes=True)
        self._reader, reading = engines.postgres_engine(make_url(url), pool_size=readers)
        self._snapshots = self._reader.execution_options(isolation_level="REPEATABLE READ")
        self._live = (writing, reading)
        self._reading: set[asyncio.Future[Any]] = set()
        self.dialect = self._engine.dialect

    async def transact(self, works: list[Work[Any]], wake: Iterable[str]) -> list[Any]:
        """Run works in one transaction and tell other processes when it is committed."""
        with pulse.told():
            return await self._transact(works, wake)

    async def _transact(self, works: list[Work[Any]], wake: Iterable[str]) -> list[Any]:
        async with self._engine.begin() as conn:
            results = [await one(conn) for one in works]
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

    async def listen(self, wake: Callable[[str], None]) -> None:
        """Hear what other processes' commits wake; reconnects for ever, since waiting also ends by time-out."""
        while True:
            try:
                await self._listen_once(wake)
            except TimeoutError:
                log.warning("database.silent", meaning="The server does not answer: every connection is made anew.")
                self.abandon()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.info("database.listener_lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_S)

    async def _listen_once(self, wake: Callable[[str], None]) -> None:
        connection = await _connected(self._url)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        try:
            await connection.add_listener(NOTIFY_CHANNEL, lambda _c, _p, _ch, name: wake(str(name)))
            while await pulse.beat(lost):
                await pulse.check(connection)
        finally:
            await _goodbye(connection)  # an error of its own would hide that this is a stop


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
