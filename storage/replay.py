"""Conversations with their histories, page by page, as they were recorded: for judging them again. Only reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, or_, select, text

from domain.model import Actor, ActorKind, Conversation, EntryKind
from domain.sla import EventKind, Metric, SlaEvent
from domain.sla_report import Excuse, Excuses
from storage import loading, sealing
from storage.database import Database
from storage.engines import Connection
from storage.tables import conversations, customers, stamp, timeline, unstamp

PAGE = 500
_TOUCHED = or_(
    conversations.c.opened_at >= bindparam("b_since"), conversations.c.last_customer_at >= bindparam("b_since")
)
_PAGE = (
    select(
        conversations,
        customers.c.segments.label("customer_segments"),
        customers.c.erased_at.label("customer_erased_at"),
    )
    .join(customers, customers.c.id == conversations.c.customer_id)
    .where(conversations.c.id > bindparam("b_after"), _TOUCHED)
    .order_by(conversations.c.id)
    .limit(PAGE)
)
_COUNT = select(func.count()).select_from(conversations).where(_TOUCHED)
_EXCUSED = (
    select(timeline.c.conversation_id, timeline.c.at, timeline.c.actor_kind, timeline.c.actor_id, timeline.c.data)
    .where(
        timeline.c.conversation_id.in_(bindparam("b_ids", expanding=True)),
        timeline.c.kind == EntryKind.EXCUSED.value,
    )
    .order_by(timeline.c.conversation_id, timeline.c.seq)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A conversation as it stands, the segments of its customer, what happened in it, and what was excused."""

    conversation: Conversation
    segments: tuple[str, ...]
    history: tuple[SlaEvent, ...]
    excuses: Excuses


async def count(database: Database, since: datetime) -> int:
    """How many conversations `pages` will give."""

    async def read(conn: Connection) -> int:
        return int((await conn.execute(_COUNT, {"b_since": stamp(since)})).scalar_one())

    return await database.query(read)


async def pages(database: Database, since: datetime) -> AsyncIterator[list[Recorded]]:
    """Conversations that were opened, or written in by their customer, at or after `since`."""
    after = ""
    while True:

        async def read(conn: Connection, after: str = after) -> list[Recorded]:
            rows = (await conn.execute(_PAGE, {"b_after": after, "b_since": stamp(since)})).all()
            ids = [row.id for row in rows]
            found, excused = await loading.histories(conn, ids), await _excuses(conn, ids)
            return [
                Recorded(
                    conversation=sealing.conversation_of(row),
                    segments=tuple(json.loads(row.customer_segments)),
                    history=(*found.get(row.id, ()), *_cut_short(row)),
                    excuses=excused.get(row.id, {}),
                )
                for row in rows
            ]

        page = await database.query(read)
        if not page:
            return
        yield page
        after = page[-1].conversation.id


def _cut_short(row: Row[Any]) -> tuple[SlaEvent, ...]:
    """What ended a conversation that was open when its customer was erased: no line says so, and nobody is owed it."""
    at = row.customer_erased_at
    if at is None or row.resolved_at is None or row.resolved_at < at:
        return ()
    return (SlaEvent(id=f"{row.id}:erased", at=unstamp(at), kind=EventKind.MERGED),)


async def _excuses(conn: Connection, ids: list[str]) -> dict[str, dict[tuple[Metric, int], Excuse]]:
    found: dict[str, dict[tuple[Metric, int], Excuse]] = {}
    for row in await conn.execute(_EXCUSED, {"b_ids": ids}) if ids else ():
        data = json.loads(row.data)
        actor = Actor(kind=ActorKind(row.actor_kind), id=row.actor_id)
        excuse = Excuse(by=str(actor), reason=data["reason"], at=unstamp(row.at))
        found.setdefault(row.conversation_id, {})[Metric(data["metric"]), data["instance"]] = excuse
    return found


async def open_ones(database: Database, policy: str | None = None) -> list[str]:
    """The ids of all conversations that are not closed, with this policy or any, oldest first."""

    async def read(conn: Connection) -> list[str]:
        found = select(conversations.c.id).where(text("conversations.status NOT IN ('done', 'spam')"))
        if policy is not None:
            found = found.where(conversations.c.policy == policy)
        return list((await conn.execute(found.order_by(conversations.c.number))).scalars())

    return await database.query(read)
