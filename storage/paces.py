"""Rate limits of the platforms, shared by all processes: a bucket and the time before which nothing more goes to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache

from sqlalchemy import Executable, bindparam, case, delete, select

from storage.database import insert, insert_into
from storage.engines import Connection
from storage.tables import limits, stamp


@cache
def _take(dialect: str) -> Executable:
    statement = insert_into(dialect, limits).values(bucket=bindparam("bucket"), not_before=bindparam("not_before"))
    return statement.on_conflict_do_update(
        index_elements=["bucket"],
        set_={"not_before": statement.excluded.not_before},
        where=limits.c.not_before <= bindparam("b_now"),
    ).returning(limits.c.bucket)


_CLOSED = select(limits.c.bucket, limits.c.not_before).where(limits.c.not_before > bindparam("b_now"))


async def close(conn: Connection, bucket: str, until: datetime) -> None:
    """Send nothing more to a rate-limit bucket before `until`, in any process."""
    statement = insert(conn, limits).values(bucket=bucket, not_before=stamp(until))
    new = statement.excluded.not_before
    await conn.execute(
        statement.on_conflict_do_update(
            index_elements=["bucket"],
            set_={"not_before": case((new > limits.c.not_before, new), else_=limits.c.not_before)},
        )
    )


async def take(conn: Connection, until: Mapping[str, float], now: datetime) -> set[str]:
    """Take the next place in buckets and close each until its time (seconds); returns those that were open.

    Of two processes that both saw a bucket open the second waits for the first one's commit and finds it closed.
    """
    won: set[str] = set()
    statement = _take(conn.dialect.name)
    for bucket, at in sorted(until.items()):  # in order, so that two processes never wait for each other
        found = await conn.execute(statement, {"bucket": bucket, "not_before": at, "b_now": stamp(now)})
        won.update(found.scalars())
    return won


async def closed(conn: Connection, now: datetime) -> dict[str, float]:
    """The buckets that are closed now, and until when, in seconds."""
    return {bucket: until for bucket, until in await conn.execute(_CLOSED, {"b_now": stamp(now)})}


async def forget(conn: Connection, now: datetime) -> None:
    """Remove limits that have passed."""
    await conn.execute(delete(limits).where(limits.c.not_before <= stamp(now)))
