"""Which deadlines are overdue, due soon, or somebody's own: ids and times, no personal text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, select, text

from domain.sla import Metric
from storage.database import Database
from storage.engines import Connection
from storage.tables import clocks, conversations, stamp, unstamp

# Written out as in the index of open conversations, else SQLite does not use it.
_STILL_OPEN = text("conversations.status NOT IN ('done', 'spam')")
_OPEN = (clocks.c.stopped_at.is_(None), clocks.c.due_at.is_not(None))
_COLUMNS = (
    conversations.c.id,
    conversations.c.number,
    conversations.c.queue,
    conversations.c.priority,
    conversations.c.assignee,
    conversations.c.desk_channel,
    conversations.c.desk_thread,
    clocks.c.metric,
    clocks.c.due_at,
)
BETWEEN = (
    select(*_COLUMNS)
    .join(conversations, conversations.c.id == clocks.c.conversation_id)
    .where(*_OPEN, clocks.c.due_at > bindparam("b_after"), clocks.c.due_at <= bindparam("b_until"))
    .order_by(clocks.c.due_at)
    .limit(bindparam("b_limit"))
)
OF_AGENT = (
    select(*_COLUMNS)
    .join(clocks, clocks.c.conversation_id == conversations.c.id)
    .where(
        conversations.c.assignee == bindparam("b_agent"),
        _STILL_OPEN,
        *_OPEN,
    )
    .order_by(clocks.c.due_at)
    .limit(bindparam("b_limit"))
)
COUNT = select(func.count()).select_from(
    select(clocks.c.id)
    .where(*_OPEN, clocks.c.due_at > bindparam("b_after"), clocks.c.due_at <= bindparam("b_until"))
    .limit(bindparam("b_limit"))
    .subquery()
)
LONG_AGO = -1e12
COUNTED = 1_000
"""Nobody needs to know more exactly how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Deadline:
    """One deadline that somebody owes. `thread_ts` is None while its card is not posted."""

    conversation_id: str
    number: int
    queue: str
    priority: str
    assignee: str | None
    channel: str
    thread_ts: str | None
    metric: Metric
    due_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """What one person looks at: the nearest deadlines of each kind, and how many there are (at most `COUNTED`)."""

    overdue: tuple[Deadline, ...]
    overdue_count: int
    soon: tuple[Deadline, ...]
    soon_count: int
    mine: tuple[Deadline, ...]


async def load(
    database: Database, agent: str, now: datetime, until: datetime, *, limit: int, hidden: Sequence[str] = ()
) -> Board:
    """The board of an agent at `now` (product time); `until` is what counts as soon, `limit` per list.

    `hidden` are the queues that they may not look at.
    """
    listed, own_ones, counted = BETWEEN, OF_AGENT, COUNT
    if hidden:
        seen = conversations.c.queue.not_in(list(hidden))
        listed, own_ones = BETWEEN.where(seen), OF_AGENT.where(seen)
        counted = select(func.count()).select_from(listed.subquery())
    at, end = stamp(now), stamp(until)

    async def read(conn: Connection) -> Board:
        async def between(after: float, before: float) -> tuple[tuple[Deadline, ...], int]:
            named = {"b_after": after, "b_until": before}
            rows = (await conn.execute(listed, {**named, "b_limit": limit})).all()
            count = len(rows)
            if count == limit:
                count = int((await conn.execute(counted, {**named, "b_limit": COUNTED})).scalar_one())
            return _deadlines(rows), count

        overdue, overdue_count = await between(LONG_AGO, at)
        soon, soon_count = await between(at, end)
        own = {"b_agent": agent, "b_limit": limit}
        mine = _deadlines((await conn.execute(own_ones, own)).all())
        return Board(overdue=overdue, overdue_count=overdue_count, soon=soon, soon_count=soon_count, mine=mine)

    return await database.query(read)


def _deadlines(rows: Sequence[Row[Any]]) -> tuple[Deadline, ...]:
    return tuple(
        Deadline(
            conversation_id=row.id,
            number=row.number,
            queue=row.queue,
            priority=row.priority,
            assignee=row.assignee,
            channel=row.desk_channel,
            thread_ts=row.desk_thread,
            metric=Metric(row.metric),
            due_at=unstamp(row.due_at),
        )
        for row in rows
    )
