"""Whether a PostgreSQL server is still there: a network that is cut says nothing, and TCP waits for many minutes."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError

EVERY_S: Final = 2.0
LIMIT_S: Final = 3.0
DEADLOCK: Final = "40P01"
SECOND_LOOK_S: Final = 1.0
"""For a process that was suspended: the answer had come when it woke up, and nobody had looked yet."""


async def check(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Ask the server something. Raises TimeoutError, with the connection broken, when it does not answer in time."""
    asked = asyncio.ensure_future(connection.execute("SELECT 1"))
    try:
        for seconds in (LIMIT_S, SECOND_LOOK_S):
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


def is_lost(error: BaseException | None) -> bool:
    """Whether a work failed since the server was out of reach, and not for what it asked."""
    return isinstance(error, OSError) or (isinstance(error, DBAPIError) and error.connection_invalidated)


def gave_way(error: BaseException) -> bool:
    """Whether the server ended a transaction of ours to resolve a deadlock: nothing of it was committed."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == DEADLOCK
