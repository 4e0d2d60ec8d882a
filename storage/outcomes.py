"""How conversations ended, and how customers found it: counts for reports. Only reads; nobody is named."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, func, select

from domain.model import EntryKind
from storage.database import Database
from storage.engines import Connection
from storage.tables import conversations, stamp, timeline

UNSAID: Final = "unsaid"
"""The end of a conversation that was closed without an outcome."""
_ENDS = (
    select(conversations.c.outcome, func.count())
    .where(conversations.c.resolved_at >= bindparam("b_since"))
    .group_by(conversations.c.outcome)
)
_RATED = (
    select(timeline.c.data)
    .where(timeline.c.kind == EntryKind.RATED.value, timeline.c.at >= bindparam("b_since"))
    .order_by(timeline.c.seq)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """How many conversations ended in which way, and of how many the customer said what, last."""

    ends: dict[str, int]
    ratings: dict[str, int]


async def since(database: Database, begin: datetime) -> Outcomes:
    """Of conversations that were resolved, and of taps, at or after `begin`."""

    async def read(conn: Connection) -> Outcomes:
        given = {"b_since": stamp(begin)}
        ends = {outcome or UNSAID: int(count) for outcome, count in await conn.execute(_ENDS, given)}
        said = [json.loads(data) for data in (await conn.execute(_RATED, given)).scalars()]
        last = {str(one["of"]): str(one["to"]) for one in said}
        return Outcomes(ends=ends, ratings=dict(Counter(last.values())))

    return await database.query(read)
