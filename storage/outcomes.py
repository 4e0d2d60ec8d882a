"""How conversations ended, and how customers found it: counts for reports. Only reads; nobody is named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
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
    .where(
        conversations.c.resolved_at >= bindparam("b_since"),
        conversations.c.queue.not_in(bindparam("b_hidden", expanding=True)),
    )
    .group_by(conversations.c.outcome)
)
_RATED = (
    select(timeline.c.customer_id, timeline.c.data)
    .where(timeline.c.kind == EntryKind.RATED.value, timeline.c.at >= bindparam("b_since"))
    .order_by(timeline.c.seq)
)
_OWNERS = select(conversations.c.id, conversations.c.customer_id).where(
    conversations.c.id.in_(bindparam("b_ids", expanding=True)),
    conversations.c.queue.not_in(bindparam("b_hidden", expanding=True)),
)
_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """How many conversations ended in which way, and of how many the customer said what, last."""

    ends: dict[str, int]
    ratings: dict[str, int]


async def since(database: Database, begin: datetime, hidden: Collection[str] = ()) -> Outcomes:
    """Of conversations that were resolved, and of taps, at or after `begin`; a tap counts of a customer's own alone.

    What is in a `hidden` queue now counts nowhere.
    """

    async def read(conn: Connection) -> Outcomes:
        given, closed = {"b_since": stamp(begin)}, sorted(hidden)
        ended = await conn.execute(_ENDS, {**given, "b_hidden": closed})
        ends = {outcome or UNSAID: int(count) for outcome, count in ended}
        said = [(by, json.loads(data)) for by, data in await conn.execute(_RATED, given)]
        last = {(str(one["of"]), by): str(one["to"]) for by, one in said}
        own = await _owned(conn, sorted({of for of, _ in last}), closed)
        last = {key: rating for key, rating in last.items() if key in own}
        return Outcomes(ends=ends, ratings=dict(Counter(last.values())))

    return await database.query(read)


async def _owned(conn: Connection, ids: Sequence[str], hidden: Sequence[str]) -> set[tuple[str, str]]:
    """Those of these that are conversations, each with its customer: a button says any id that its sender likes."""
    found: set[tuple[str, str]] = set()
    for start in range(0, len(ids), _AT_ONCE):
        rows = await conn.execute(_OWNERS, {"b_ids": ids[start : start + _AT_ONCE], "b_hidden": hidden})
        found |= {(conversation, customer) for conversation, customer in rows}
    return found
