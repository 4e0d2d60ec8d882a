"""Cases as rows: opened and decided with the decision that says so, carried on by the keeper."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, String, bindparam, func, select, update

from domain.cases import Case, CaseKind, CaseState, Ruling
from storage.database import Database, insert_once
from storage.engines import Connection
from storage.tables import cases, customers, maybe_unstamp, stamp, unstamp

_WAITING = (CaseState.OPEN.value, CaseState.FAILED.value)
_RULE = (
    update(cases)
    .where(cases.c.id == bindparam("b_id"), cases.c.state.in_(_WAITING))
    .values(
        state=bindparam("b_state"),
        decided_by=bindparam("b_by", type_=String),
        decided_at=bindparam("b_at"),
        owner=func.coalesce(cases.c.owner, bindparam("b_by", type_=String)),
    )
)
_TAKE = (
    update(cases)
    .where(
        cases.c.id == bindparam("b_id"),
        cases.c.state.in_(_WAITING),
        func.coalesce(cases.c.owner, "") != bindparam("b_by", type_=String),
    )
    .values(owner=bindparam("b_by", type_=String))
)


def row_of(one: Case) -> dict[str, Any]:
    """A new case as its row. Of one kind a customer has at most one that is open."""
    return {
        "id": one.id,
        "customer_id": one.customer_id,
        "identity_id": one.identity_id,
        "kind": one.kind.value,
        "state": one.state.value,
        "opened_at": stamp(one.opened_at),
        "due_at": stamp(one.due_at),
        "open_key": f"{one.customer_id}:{one.kind.value}",
    }


async def write(conn: Connection, opened: Sequence[dict[str, Any]], rulings: Iterable[Ruling]) -> list[Ruling]:
    """Open cases, but for those that are open already, and decide others that wait for it.

    Returns the rulings that changed nothing: it was decided before, or is theirs already.
    """
    idle: list[Ruling] = []
    if opened:
        await conn.execute(insert_once(conn.dialect.name, cases), list(opened))
    for one in rulings:
        if one.granted is None:
            ruled = await conn.execute(_TAKE, {"b_id": one.case_id, "b_by": one.by[:80]})
        else:
            state = CaseState.APPROVED if one.granted else CaseState.REFUSED
            given = {"b_id": one.case_id, "b_state": state.value, "b_by": one.by[:80], "b_at": stamp(one.at)}
            ruled = await conn.execute(_RULE, given)
        idle += [] if ruled.rowcount else [one]
    return idle


class Cases:
    """Looking at cases, and moving them on."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def by_id(self, ids: Collection[str]) -> dict[str, Case]:
        """Cases by id; unknown ones are absent."""
        query = select(cases).where(cases.c.id.in_(sorted(ids)))
        async with self._db.read() as conn:
            return {row.id: _case(row) for row in await conn.execute(query)}

    async def unfinished(self) -> list[Case]:
        """Those that are not over, the nearest deadline first."""
        query = select(cases).where(cases.c.finished_at.is_(None)).order_by(cases.c.due_at)
        async with self._db.read() as conn:
            return [_case(row) for row in await conn.execute(query)]

    async def moot(self) -> list[Case]:
        """Those that are not over although their customer was erased: there is nothing left to decide."""
        gone = cases.join(customers, customers.c.id == cases.c.customer_id)
        query = select(cases).select_from(gone).where(cases.c.finished_at.is_(None), customers.c.erased_at.is_not(None))
        async with self._db.read() as conn:
            return [_case(row) for row in await conn.execute(query.order_by(cases.c.id))]

    async def all(self, limit: int = 1000) -> list[Case]:
        """All of them, newest first."""
        query = select(cases).order_by(cases.c.id.desc()).limit(limit)
        async with self._db.read() as conn:
            return [_case(row) for row in await conn.execute(query)]


async def move(conn: Connection, case_id: str, *, was: CaseState, to: CaseState, now: datetime) -> bool:
    """Bring a case from one state to the next within the caller's transaction; False where it is elsewhere."""
    values: dict[str, Any] = {"state": to.value}
    if to.is_over:
        values |= {"finished_at": stamp(now), "open_key": None}
    found = await conn.execute(update(cases).where(cases.c.id == case_id, cases.c.state == was.value).values(**values))
    return int(found.rowcount) == 1


async def close_refused(conn: Connection, case_id: str, now: datetime) -> bool:
    """A refusal that the customer has been told of is over."""
    refused = (cases.c.id == case_id) & (cases.c.state == CaseState.REFUSED.value) & cases.c.finished_at.is_(None)
    found = await conn.execute(update(cases).where(refused).values(finished_at=stamp(now), open_key=None))
    return int(found.rowcount) == 1


def _case(row: Row[Any]) -> Case:
    return Case(
        id=row.id,
        customer_id=row.customer_id,
        identity_id=row.identity_id,
        kind=CaseKind(row.kind),
        state=CaseState(row.state),
        opened_at=unstamp(row.opened_at),
        due_at=unstamp(row.due_at),
        decided_by=row.decided_by,
        decided_at=maybe_unstamp(row.decided_at),
        finished_at=maybe_unstamp(row.finished_at),
        owner=row.owner,
    )
