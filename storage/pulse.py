"""Whether a PostgreSQL server is still there: a network that is cut says nothing, and TCP waits for many minutes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

EVERY_S: Final = 2.0
LIMIT_S: Final = 3.0
DEADLOCK: Final = "40P01"
_AWAY: Final = {None, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN}
"""None: asyncio's sum of what several addresses of one host said."""
SECOND_LOOK_S: Final = 1.0
"""For a process that was suspended: the answer had come when it woke up, and nobody had looked yet."""


async def check(
    connection: asyncpg.Connection[asyncpg.Record], statement: str = "SELECT 1", within: float = LIMIT_S
) -> None:
    """Ask the server something. Raises TimeoutError, with the connection broken, when it does not answer in time.

    The driver's own limit would ask the server, over another connection, to stop: one that is silent does not hear it.
    """
    asked = asyncio.ensure_future(connection.execute(statement))
    try:
        for seconds in (within, SECOND_LOOK_S):
            if (await asyncio.wait({asked}, timeout=seconds))[0]:
                await asked
                return
        raise TimeoutError
    finally:
        if not asked.done():
            connection.terminate()
            await asyncio.gather(asked, return_exceptions=True)


async def beat(lost: asyncio.Event) -> bool:
    """Wait until the next beat; False when the connection was lost meanwhile."""
    waiting = asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait({waiting}, timeout=EVERY_S)
    finally:
        waiting.cancel()
    return not lost.is_set()


def is_away(error: BaseException) -> bool:
    """Whether a work failed since no connection could be made: each that follows would wait as long for the same.

    A connection that broke is none of these: the next work gets a new one, or finds that there is none.
    """
    if isinstance(error, (ConnectionError, TimeoutError, socket.gaierror)):
        return True
    return type(error) is OSError and error.errno in _AWAY  # a file's errors are of types below it


@contextmanager
def told() -> Iterator[None]:
    """Raise ConnectionError where a connection breaks while it is being made: SQLAlchemy translates nothing there."""
    try:
        yield
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
        msg = "the connection to the database broke while it was being made"
        raise ConnectionError(msg) from error


def gave_way(error: BaseException) -> bool:
    """Whether the server ended a transaction of ours to resolve a deadlock: nothing of it was committed."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == DEADLOCK
