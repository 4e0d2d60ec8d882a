"""Rate limits of the platforms, shared by all processes: a bucket and the time before which nothing more goes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from sqlalchemy import Executable, Row, bindparam, case, delete, select

from storage.database import Database, insert, insert_into
from storage.engines import Connection
from storage.tables import conversations, limits, stamp


@cache
def _take(dialect: str) -> Executable:
    statement = insert_into(dialect, limits).values(bucket=bindparam("bucket"), not_before=bindparam("not_before"))
    return statement.on_conflict_do_update(
        index_elements=["bucket"],
        set_={"not_before": statement.excluded.not_before},
        where=limits.c.not_before <= bindparam("b_now"),
    ).returning(limits.c.bucket)


NO_CARD: Final = "card_not_posted"
"""The reason of a row that waits for the card it belongs under."""
CARD_NOT_YET_S, CARD_NOT_YET_CAP_S = 0.1, 5.0
CARD_PATIENCE = 5  # looked for again after a fifth of how long it has been missed
_POSTED = select(conversations.c.id).where(
    conversations.c.id.in_(bindparam("b_conversations", expanding=True)), conversations.c.desk_thread.is_not(None)
)
_SPENT: Final = select(limits.c.bucket).where(
    limits.c.bucket.in_(bindparam("b_buckets", expanding=True)), limits.c.not_before > bindparam("b_now")
)
_CLOSED = select(limits.c.bucket, limits.c.not_before).where(limits.c.not_before > bindparam("b_now"))


def card_after(waited_s: float) -> float:
    """In how many seconds a card is looked for again that has been missed for so long: less and less often."""
    return min(CARD_NOT_YET_CAP_S, max(CARD_NOT_YET_S, waited_s / CARD_PATIENCE))


async def without_card(conn: Connection, rows: Sequence[Row[Any]]) -> set[int]:
    """Which of these rows waited for their card before, and would again: it is not posted yet."""
    waited = [row for row in rows if row.reason == NO_CARD and row.state == "todo"]
    if not waited:
        return set()
    of = sorted({row.conversation_id for row in waited})
    posted = set((await conn.execute(_POSTED, {"b_conversations": of})).scalars())
    return {row.seq for row in waited if row.conversation_id not in posted}


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


class Turns:
    """So many turns in any stretch of time of this length, for all processes together: each is a bucket of its own."""

    def __init__(self, database: Database, name: str, *, most: int, within: timedelta) -> None:
        self._db = database
        self._buckets = tuple(f"{name}:{number}" for number in range(most))
        self._within = within

    async def take(self, now: datetime) -> bool:
        """Take one that is free, False where there is none. `now` is real time."""
        until = stamp(now + self._within)

        async def work(conn: Connection) -> bool:
            spent = set((await conn.execute(_SPENT, {"b_buckets": self._buckets, "b_now": stamp(now)})).scalars())
            for bucket in self._buckets:
                if bucket not in spent and await take(conn, {bucket: until}, now):
                    return True
            return False

        return await self._db.write(work)
