"""A server that takes a connection and then says nothing is given up in time, and by whoever abandons it."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from storage import engines
from tests import patience


def _message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


SSL_REQUEST_BYTES = 8
WELCOME = (
    _message(b"R", struct.pack("!I", 0))
    + _message(b"S", b"server_version\x0016.0\x00")
    + _message(b"K", struct.pack("!II", 1, 1))
    + _message(b"Z", b"I")
)


@asynccontextmanager
async def mute() -> AsyncIterator[str]:
    """The address of a server that lets everybody in and answers no statement."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(await reader.read(4096)) == SSL_REQUEST_BYTES:
            writer.write(b"N")
            await reader.read(4096)
        writer.write(WELCOME)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"u:p@127.0.0.1:{server.sockets[0].getsockname()[1]}/x?sslmode=disable"
    finally:
        server.close()


async def test_the_first_words_on_a_connection_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver's own and one of the pool: neither waits for a server that lets us in and falls silent."""
    monkeypatch.setattr(engines, "CONNECT_S", 0.3)
    async with mute() as address, asyncio.timeout(patience.LONG_S):
        with pytest.raises(TimeoutError):
            await engines.connect(make_url(f"postgresql://{address}"))
        engine, _ = engines.postgres_engine(make_url(f"postgresql+asyncpg://{address}"), pool_size=1)
        with pytest.raises(TimeoutError):
            await engine.connect()
        await engine.dispose()


async def test_a_connection_is_known_before_its_first_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever abandons every connection breaks this one, too: its maker hears of it long before the limit."""
    monkeypatch.setattr(engines, "CONNECT_S", 10 * patience.LONG_S)
    async with mute() as address, asyncio.timeout(patience.LONG_S):
        engine, live = engines.postgres_engine(make_url(f"postgresql+asyncpg://{address}"), pool_size=1)
        making = asyncio.ensure_future(engine.connect().start())
        await patience.eventually(lambda: len(live))
        for connection in list(live):
            connection.terminate()
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
            await making
        await engine.dispose()
