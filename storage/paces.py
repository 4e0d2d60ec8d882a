"""Rate limits of the platforms, shared by all processes: a bucket and the time before which nothing more goes to it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, case, delete, select

from storage.database import insert
from storage.engines import Connection
from storage.tables import limits, stamp

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


async def closed(conn: Connection, now: datetime) -> dict[str, float]:
    """The buckets that are closed now, and until when, in seconds."""
    return {bucket: until for bucket, until in await conn.execute(_CLOSED, {"b_now": stamp(now)})}


async def forget(conn: Connection, now: datetime) -> None:
    """Remove limits that have passed."""
    await conn.execute(delete(limits).where(limits.c.not_before <= stamp(now)))
