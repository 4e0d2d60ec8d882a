"""What somebody sees on their own page at the desk: ids, counts and times, no personal text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, func, select, text

from domain.sla import Metric
from storage.database import Database
from storage.engines import Connection
from storage.tables import agents, clocks, conversations, maybe_unstamp, one_of, stamp

# Written out as in the index of open conversations, else SQLite does not use it.
_STILL_OPEN = text("conversations.status NOT IN ('done', 'spam')")
_RUNS = and_(
    clocks.c.conversation_id == conversations.c.id, clocks.c.stopped_at.is_(None), clocks.c.due_at.is_not(None)
)
_DUE = select(func.min(clocks.c.due_at)).where(_RUNS).correlate(conversations).scalar_subquery()
_COLUMNS = (
    conversations.c.number,
    conversations.c.queue,
    conversations.c.priority,
    conversations.c.status,
    conversations.c.desk_channel,
    conversations.c.desk_thread,
)


def _listed(*where: Any) -> Any:  # noqa: ANN401 -- conditions and a statement, as SQLAlchemy types them
    due = _DUE.label("due_at")
    last = case((due.is_(None), 1), else_=0)  # what is due first, then what nobody waits for
    return select(*_COLUMNS, due).where(_STILL_OPEN, *where).order_by(last, due, conversations.c.number)


MINE = _listed(conversations.c.assignee == bindparam("b_agent")).limit(bindparam("b_limit"))
UNASSIGNED = _listed(conversations.c.assignee.is_(None)).limit(bindparam("b_limit"))
PROMISES = (
    select(*_COLUMNS, clocks.c.due_at)
    .join(clocks, _RUNS)
    .where(
        conversations.c.assignee == bindparam("b_agent"),
        _STILL_OPEN,
        one_of(clocks.c.metric, (Metric.PROMISE.value,)),
    )
    .order_by(clocks.c.due_at)
    .limit(bindparam("b_limit"))
)
LOADS = (
    select(
        conversations.c.queue,
        conversations.c.assignee,
        func.count().label("open"),
        func.sum(case((bindparam("b_now") >= _DUE, 1), else_=0)).label("overdue"),
    )
    .where(_STILL_OPEN)
    .group_by(conversations.c.queue, conversations.c.assignee)
)
DUTY = select(agents.c.id, agents.c.on_duty)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One open conversation. `due_at` is its nearest deadline, None where nobody waits; `thread_ts` is None while its
    card is not posted.
    """

    number: int
    queue: str
    priority: str
    status: str
    channel: str
    due_at: datetime | None
    thread_ts: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """How much is open for a queue, or for somebody, and how much of that is overdue or has nobody."""

    name: str
    open: int
    overdue: int
    unassigned: int = 0
    is_mine: bool = False
    on_duty: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What one person's page shows; lists are most overdue first. `team` is empty for who does not lead."""

    at: datetime
    on_duty: bool
    mine: tuple[Line, ...]
    mine_count: int
    promises: tuple[Line, ...]
    unassigned: tuple[Line, ...]
    queues: tuple[Load, ...]
    team: tuple[Load, ...]


async def load(
    database: Database, agent: str, now: datetime, *, limit: int, leads: bool, hidden: Collection[str] = ()
) -> Page:
    """The page of an agent at `now` (product time), `limit` lines per list, in one snapshot.

    `hidden` are the queues that they may not look at: nothing of them is listed or counted.
    """

    def seen(rows: Sequence[Row[Any]]) -> Sequence[Row[Any]]:
        return [row for row in rows if row.queue not in hidden] if hidden else rows

    async def read(conn: Connection) -> Page:
        named = {"b_agent": agent, "b_limit": limit}
        mine = _lines(seen((await conn.execute(MINE, named)).all()))
        promises = _lines(seen((await conn.execute(PROMISES, named)).all()))
        unassigned = _lines(seen((await conn.execute(UNASSIGNED, {"b_limit": limit})).all()))
        loads = seen((await conn.execute(LOADS, {"b_now": stamp(now)})).all())
        duty = {str(who): bool(is_on) for who, is_on in await conn.execute(DUTY)}
        return Page(
            at=now,
            on_duty=duty.get(agent, True),
            mine=mine,
            mine_count=sum(row.open for row in loads if row.assignee == agent),
            promises=promises,
            unassigned=unassigned,
            queues=_queues(loads, agent),
            team=_team(loads, duty) if leads else (),
        )

    return await database.query(read)


def _queues(rows: Sequence[Row[Any]], agent: str) -> tuple[Load, ...]:
    names = sorted({row.queue for row in rows})
    return tuple(
        Load(
            name=name,
            open=sum(row.open for row in rows if row.queue == name),
            overdue=sum(int(row.overdue or 0) for row in rows if row.queue == name),
            unassigned=sum(row.open for row in rows if row.queue == name and row.assignee is None),
            is_mine=any(row.queue == name and row.assignee == agent for row in rows),
        )
        for name in names
    )


def _team(rows: Sequence[Row[Any]], duty: dict[str, bool]) -> tuple[Load, ...]:
    people = {str(row.assignee) for row in rows if row.assignee is not None} | {who for who, on in duty.items() if on}
    loads = [
        Load(
            name=who,
            open=sum(row.open for row in rows if row.assignee == who),
            overdue=sum(int(row.overdue or 0) for row in rows if row.assignee == who),
            on_duty=duty.get(who, False),
        )
        for who in people
    ]
    return tuple(sorted(loads, key=lambda one: (-one.overdue, -one.open, one.name)))


def _lines(rows: Sequence[Row[Any]]) -> tuple[Line, ...]:
    return tuple(
        Line(
            number=row.number,
            queue=row.queue,
            priority=row.priority,
            status=row.status,
            channel=row.desk_channel,
            thread_ts=row.desk_thread,
            due_at=maybe_unstamp(row.due_at),
        )
        for row in rows
    )
