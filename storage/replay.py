"""Conversations with their histories, page by page, as they were recorded: for judging them again. Only reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, or_, select, text

from domain.model import Conversation
from domain.sla import SlaEvent
from storage import loading, sealing
from storage.database import Database
from storage.engines import Connection
from storage.tables import conversations, customers, stamp

PAGE = 500
_TOUCHED = or_(
    conversations.c.opened_at >= bindparam("b_since"), conversations.c.last_customer_at >= bindparam("b_since")
)
_PAGE = (
    select(conversations, customers.c.segments.label("customer_segments"))
    .join(customers, customers.c.id == conversations.c.customer_id)
    .where(conversations.c.id > bindparam("b_after"), _TOUCHED)
    .order_by(conversations.c.id)
    .limit(PAGE)
)
_COUNT = select(func.count()).select_from(conversations).where(_TOUCHED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """A conversation as it stands, the segments of its customer, and what happened in it."""

    conversation: Conversation
    segments: tuple[str, ...]
    history: tuple[SlaEvent, ...]


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
            found = await loading.histories(conn, [row.id for row in rows])
            return [
                Recorded(
                    conversation=sealing.conversation_of(row),
                    segments=tuple(json.loads(row.customer_segments)),
                    history=found.get(row.id, ()),
                )
                for row in rows
            ]

        page = await database.query(read)
        if not page:
            return
        yield page
        after = page[-1].conversation.id


async def open_ones(database: Database, policy: str | None = None) -> list[str]:
    """The ids of all conversations that are not closed, with this policy or any, oldest first."""

    async def read(conn: Connection) -> list[str]:
        found = select(conversations.c.id).where(text("conversations.status NOT IN ('done', 'spam')"))
        if policy is not None:
            found = found.where(conversations.c.policy == policy)
        return list((await conn.execute(found.order_by(conversations.c.number))).scalars())

    return await database.query(read)
