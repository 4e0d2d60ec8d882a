"""What whoever answers for privacy looks at: who read what, and whose data a leak touches."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, and_, false, func, or_, select

from domain.links import LinkAct
from storage.database import Database, insert
from storage.engines import Connection
from storage.tables import audit, cases, conversations, customers, maybe_unstamp, meta, stamp, unstamp

_LAST: Final = "access.review"
_AT_ONCE: Final = 500
_OF_TWO: Final = [f"customer.{act.value}" for act in LinkAct]
"""What is about two customers: the one is what the entry is about, its detail begins with the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """How often somebody did something, and when last."""

    actor: str
    action: str
    count: int
    last: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """One entry of the trail that is about somebody: when, who, what, and what it says more (a reason, an id)."""

    at: datetime
    actor: str
    action: str
    object: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """The review before this one: when, and who had which role then."""

    at: datetime
    roles: Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Touched:
    """A customer whom a leak touches: since when we know them, their language, the numbers of their conversations.

    `erased_at`: erased after the copy was made, which still has them; how they are reached we do not know any more.
    """

    customer_id: str
    since: datetime
    language: str | None
    numbers: tuple[int, ...]
    erased_at: datetime | None = None


class Reviews:
    """Reads the audit trail and the record for reviews."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def looked(self, since: datetime | None) -> list[Looked]:
        """Who did what since then, the busiest first."""
        count, last = func.count().label("n"), func.max(audit.c.at)
        query = select(audit.c.actor, audit.c.action, count, last).group_by(audit.c.actor, audit.c.action)
        if since is not None:
            query = query.where(audit.c.at >= stamp(since))
        async with self._db.read() as conn:
            rows = await conn.execute(query.order_by(count.desc(), audit.c.actor, audit.c.action))
            return [Looked(actor=who, action=what, count=n, last=unstamp(at)) for who, what, n, at in rows]

    async def about(self, customer_ids: Collection[str], since: datetime | None = None) -> list[About]:
        """What the trail has of these customers, their conversations and requests, newest first. No personal text."""
        async with self._db.read() as conn:
            own = select(conversations.c.id, conversations.c.number).where(
                conversations.c.customer_id.in_(sorted(customer_ids))
            )
            things = [f"customer:{one}" for one in sorted(customer_ids)]
            for place, number in await conn.execute(own):
                things += [f"conversation:{place}", f"conversation:#{number}"]
            asked = select(cases.c.id).where(cases.c.customer_id.in_(sorted(customer_ids)))
            things += [f"case:{one}" for one in (await conn.execute(asked)).scalars()]
            second = [audit.c.detail.startswith(f"{one}: ", autoescape=True) for one in sorted(customer_ids)]
            wanted: list[ColumnElement[bool]] = [and_(audit.c.action.in_(_OF_TWO), or_(false(), *second))]
            found: dict[int, Row[Any]] = {}
            parts = (things[start : start + _AT_ONCE] for start in range(0, len(things), _AT_ONCE))
            wanted += [audit.c.object.in_(part) for part in parts]
            for condition in wanted:
                query = select(audit).where(condition)
                if since is not None:
                    query = query.where(audit.c.at >= stamp(since))
                found |= {row.seq: row for row in await conn.execute(query)}
        return [
            About(at=unstamp(row.at), actor=row.actor, action=row.action, object=row.object, detail=row.detail)
            for _, row in sorted(found.items(), reverse=True)
        ]

    async def last(self) -> Review | None:
        """The review before; None before the first."""
        async with self._db.read() as conn:
            found = (await conn.execute(select(meta.c.value).where(meta.c.name == _LAST))).scalar()
        if found is None:
            return None
        read = json.loads(found)
        return Review(at=unstamp(read["at"]), roles=read["roles"])

    async def began(self) -> datetime | None:
        """When the first entry of the audit trail was written; None before."""
        async with self._db.read() as conn:
            return maybe_unstamp((await conn.execute(select(func.min(audit.c.at)))).scalar())

    async def note(self, now: datetime, roles: Mapping[str, Sequence[str]]) -> None:
        """This review is done: the next one says what changed since."""
        value = json.dumps({"at": stamp(now), "roles": {role: sorted(who) for role, who in roles.items()}})

        async def work(conn: Connection) -> None:
            statement = insert(conn, meta).values(name=_LAST, value=value)
            await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))

        await self._db.write(work)

    async def touched(self, *, only_threads: bool, until: datetime | None = None) -> list[Touched]:
        """Customers who were known by `until` and not erased by then; with `only_threads` those with a Slack thread.

        Without `until`: who is known now.
        """
        query = (
            select(
                customers.c.id,
                customers.c.created_at,
                customers.c.language,
                customers.c.erased_at,
                conversations.c.number,
            )
            .outerjoin(conversations, conversations.c.customer_id == customers.c.id)
            .order_by(customers.c.id, conversations.c.number)
        )
        is_there = customers.c.erased_at.is_(None)
        if until is None:
            query = query.where(is_there)
        else:
            then = stamp(until)
            query = query.where(customers.c.created_at <= then, or_(is_there, customers.c.erased_at > then))
        if only_threads:
            query = query.where(conversations.c.desk_thread.is_not(None))
        found: dict[str, dict[str, Any]] = {}
        async with self._db.read() as conn:
            for who, since, language, erased, number in await conn.execute(query):
                told = {"since": unstamp(since), "language": language, "erased_at": maybe_unstamp(erased)}
                row = found.setdefault(who, {**told, "numbers": []})
                if number is not None:
                    row["numbers"].append(number)
        return [Touched(customer_id=who, **{**row, "numbers": tuple(row["numbers"])}) for who, row in found.items()]
