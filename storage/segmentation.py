"""Keeping customers' segments up to date: those who wrote lately soon, everybody once a day."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, Row, bindparam, func, select, update

from domain import segments
from domain.errors import UnknownPerson
from domain.links import person as people_of
from domain.model import EntryKind
from domain.segments import Deed, Episode, Segment
from storage import audit, links, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import conversations, customers, timeline, unstamp

AT_ONCE: Final = 500
PAUSE_S: Final = 0.02  # between two batches of everybody: messages go first
_ALIVE = customers.c.erased_at.is_(None)
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
_PEOPLE = select(customers).where(customers.c.id.in_(_IDS), _ALIVE)
_EPISODES = (
    select(
        conversations.c.customer_id,
        conversations.c.channel,
        conversations.c.opened_at,
        conversations.c.last_customer_at,
        conversations.c.intent,
    )
    .where(conversations.c.customer_id.in_(_IDS))
    .order_by(conversations.c.number)
)
_DEEDS = select(timeline.c.conversation_id, timeline.c.at, timeline.c.data).where(
    timeline.c.conversation_id.in_(_IDS),  # a customer's own entries stand under their id
    timeline.c.kind == EntryKind.FACT.value,
)
_PUT = update(customers).where(customers.c.id == bindparam("b_id"), _ALIVE).values(segments=bindparam("b_segments"))


class Segmentation:
    """Computes segments and writes them where they changed. `now` is product time."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def newest(self) -> int:
        """The number of the newest line of any timeline: what comes later is to be looked at next time."""
        async with self._db.read() as conn:
            return int((await conn.execute(select(func.max(timeline.c.seq)))).scalar() or 0)

    async def refresh(self, rules: Sequence[Segment], now: datetime, *, after_line: int | None = None) -> int:
        """Compute the segments of whoever something happened to after that line, or of everybody.

        Returns how many customers changed.
        """
        changed, after = 0, ""
        if not rules and after_line is None:
            return await self._clear()
        while rules:
            query = select(customers.c.id).where(customers.c.id > after, _ALIVE).order_by(customers.c.id).limit(AT_ONCE)
            if after_line is not None:
                touched = select(timeline.c.customer_id).where(timeline.c.seq > after_line)
                query = query.where(customers.c.id.in_(touched))
            async with self._db.read() as conn:
                ids = [str(one) for one in (await conn.execute(query)).scalars()]
            if not ids:
                return changed
            changed += await self._refresh(ids, rules, now)
            after = ids[-1]
            await asyncio.sleep(PAUSE_S)
        return changed

    async def _clear(self) -> int:
        """No segment is configured any more: nobody is in one."""
        sorted_in = update(customers).where(customers.c.segments != "[]", _ALIVE).values(segments="[]")

        async def work(conn: Connection) -> int:
            return int((await conn.execute(sorted_in)).rowcount)

        return await self._db.write(work)

    async def tag(
        self, customer_id: str, *, add: Sequence[str], remove: Sequence[str], actor: str, reason: str, now: datetime
    ) -> tuple[str, ...]:
        """Note or take back words about a customer; returns what stands. Audited. Raises UnknownPerson."""

        async def work(conn: Connection) -> tuple[str, ...]:
            query = select(customers.c.tags).where(customers.c.id == customer_id, _ALIVE).with_for_update()
            stored = (await conn.execute(query)).scalar()
            if stored is None:
                raise UnknownPerson(f"there is no customer {customer_id}")
            tags = tuple(sorted((set(json.loads(stored)) | set(add)) - set(remove)))
            await conn.execute(update(customers).where(customers.c.id == customer_id).values(tags=json.dumps(tags)))
            words = " ".join([*(f"+{word}" for word in add), *(f"-{word}" for word in remove)])
            await audit.record(
                conn,
                self._keys.purpose("audit"),
                at=now,
                actor=actor,
                action="customer.tag",
                object=f"customer:{customer_id}",
                detail=f"{words}: {reason}",
            )
            return tags

        return await self._db.write(work)

    async def _refresh(self, ids: list[str], rules: Sequence[Segment], now: datetime) -> int:
        async def read(
            conn: Connection,
        ) -> tuple[Sequence[Row[tuple[object, ...]]], dict[str, list[Episode]], dict[str, list[Deed]]]:
            own: dict[str, list[Episode]] = {}
            edges = await links.edges(conn, ids)
            everybody = {*ids, *(each for both in edges for each in both)}
            for row in await conn.execute(_EPISODES, {"b_ids": sorted(everybody)}):
                opened = unstamp(row.opened_at)
                last = opened if row.last_customer_at is None else unstamp(row.last_customer_at)
                own.setdefault(row.customer_id, []).append(
                    Episode(channel=row.channel, opened_at=opened, last_customer_at=last, intent=row.intent)
                )
            # What one person did counts for all that they are.
            found = {one: [each for who in people_of(one, edges) for each in own.get(who, ())] for one in ids}
            deeds: dict[str, list[Deed]] = {}
            for row in await conn.execute(_DEEDS, {"b_ids": sorted(everybody)}):
                one = Deed(kind=str(json.loads(row.data).get("fact")), at=unstamp(row.at))
                deeds.setdefault(row.conversation_id, []).append(one)
            done = {one: [each for who in people_of(one, edges) for each in deeds.get(who, ())] for one in ids}
            return (await conn.execute(_PEOPLE, {"b_ids": ids})).all(), found, done

        people, episodes, done = await self._db.query(read)
        rows = []
        for row in people:
            customer = sealing.customer_of(None, row)  # no name is needed
            names = segments.of(
                rules, customer, tuple(episodes.get(customer.id, ())), now, tuple(done.get(customer.id, ()))
            )
            if names != customer.segments:
                rows.append({"b_id": customer.id, "b_segments": json.dumps(list(names))})
        if rows:

            async def write(conn: Connection) -> None:
                await conn.execute(_PUT, rows)

            await self._db.write(write)
        return len(rows)
