"""Taking away what was kept long enough, in small transactions. What a legal hold covers is never touched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, true, update

from domain.errors import LegalHold
from domain.retention import QUIET, Rule, Stage, Taken, What
from storage import attachments, links
from storage import holds as legal
from storage.database import Database
from storage.engines import Connection
from storage.erasures import Erasures
from storage.loading import IS_OPEN
from storage.segments import Segments
from storage.tables import attachments as kept_files
from storage.tables import conversations, customers, maybe_unstamp, stamp, timeline

AT_ONCE: Final = 200
ACTOR: Final = "retention"

_own = conversations.c.customer_id == customers.c.id
_newest = func.max(func.coalesce(conversations.c.last_customer_at, conversations.c.opened_at))
_LAST_SEEN: Final = func.coalesce(select(_newest).where(_own).scalar_subquery(), customers.c.created_at)
_HAS_OPEN: Final = exists().where(_own, IS_OPEN)
_SEALED: Final = or_(timeline.c.body_sealed.is_not(None), timeline.c.files_sealed.is_not(None))


class Retention:
    """Previews and applies retention rules. Times are aware; `now` is product time."""

    def __init__(self, database: Database, segments: Segments, erasures: Erasures) -> None:
        self._db = database
        self._segments = segments
        self._erasures = erasures

    async def preview(self, rules: Sequence[Rule], now: datetime) -> list[Taken]:
        """What each rule would take away now, each for itself."""
        found = []
        async with self._db.read() as conn:
            covered = await legal.covered(conn)
            for rule in rules:
                query = _due(rule, now, covered).subquery()
                count, oldest = (await conn.execute(select(func.count(), func.min(query.c.since)))).one()
                found.append(Taken(rule=rule, count=count, oldest=maybe_unstamp(oldest)))
        return found

    async def apply(self, rules: Sequence[Rule], now: datetime) -> list[Taken]:
        """Take away what is due, rule by rule; returns what each took. It can be broken off and begun again."""
        return [await self._apply(rule, now) for rule in rules]

    async def stages(self, now: datetime) -> dict[Stage, int]:
        """How many customers are at which stage of their data's life."""
        stage = case(
            (customers.c.erased_at.is_not(None), Stage.DESTROYED.value),
            (~exists().where(_own), Stage.COLLECTED.value),
            (or_(_HAS_OPEN, stamp(now - QUIET) <= _LAST_SEEN), Stage.ACTIVE.value),
            (exists().where(timeline.c.conversation_id == conversations.c.id, _own, _SEALED), Stage.DORMANT.value),
            else_=Stage.ARCHIVED.value,
        )
        query = select(stage, func.count()).select_from(customers).group_by(stage)
        async with self._db.read() as conn:
            return {Stage(word): count for word, count in await conn.execute(query)}

    async def _apply(self, rule: Rule, now: datetime) -> Taken:
        other = {What.CUSTOMERS: self._take_customers, What.ATTACHMENTS: self._take_bytes}
        take = other.get(rule.what, self._take_entries)
        count, oldest, refused = 0, None, set[Any]()
        while True:
            async with self._db.read() as conn:
                query = _due(rule, now, await legal.covered(conn))
                if refused:
                    query = query.where(customers.c.id.not_in(refused))
                rows = (await conn.execute(query.limit(AT_ONCE))).all()
            if not rows:
                return Taken(rule=rule, count=count, oldest=maybe_unstamp(oldest))
            taken = await take(rule, [row.id for row in rows], now)
            refused |= {row.id for row in rows} - taken
            seen = [row.since for row in rows if row.id in taken]
            count += len(seen)
            oldest = min([one for one in (oldest, *seen) if one is not None], default=None)

    async def _take_entries(self, rule: Rule, ids: list[str], _now: datetime) -> set[str]:
        """Empty entries, or whole conversations, that nobody holds at the moment of writing."""
        of = timeline.c.conversation_id if rule.what is What.CONVERSATIONS else timeline.c.id
        values: dict[str, None] = {"files_sealed": None}
        if rule.what is not What.FILES:
            values["body_sealed"] = None
        if rule.what is What.CONVERSATIONS:
            values["reply_to"] = None

        async def work(conn: Connection) -> list[tuple[int, str, str]]:
            here = and_(of.in_(ids), timeline.c.customer_id.not_in(await _held(conn, of, ids)))
            touched = select(timeline.c.seq, timeline.c.id, of.label("key")).where(here).with_for_update()
            rows = [(row.seq, row.id, row.key) for row in await conn.execute(touched)]
            await conn.execute(update(timeline).where(timeline.c.seq.in_([seq for seq, _, _ in rows])).values(**values))
            return rows

        rows = await self._db.write(work)
        await attachments.take(self._db, [entry for _, entry, _ in rows])  # what a kill here leaves is swept away
        if rule.what is not What.FILES and rows:
            await self._segments.take_out([seq for seq, _, _ in rows], [entry for _, entry, _ in rows])
        return {key for _, _, key in rows}

    async def _take_bytes(self, _rule: Rule, ids: list[str], _now: datetime) -> set[str]:
        """The bytes of these entries' files, but for those that somebody holds since they were looked for."""

        async def work(conn: Connection) -> tuple[set[str], list[str]]:
            held = await _held(conn, timeline.c.id, ids)
            here = and_(timeline.c.id.in_(ids), timeline.c.customer_id.not_in(held))
            free = set((await conn.execute(select(timeline.c.id).where(here))).scalars())
            return free, await attachments.unname(conn, free)

        free, blobs = await self._db.write(work)
        await attachments.drop(self._db, blobs)  # what a kill here leaves is swept away
        return free

    async def _take_customers(self, rule: Rule, ids: list[str], now: datetime) -> set[str]:
        taken = set()
        for customer in ids:
            if not await self._is_whole_person_due(rule, customer, now):
                continue
            try:
                erasure = await self._erasures.begin(customer, actor=ACTOR, reason="kept long enough", now=now)
            except LegalHold:  # placed a moment ago
                continue
            await self._erasures.go_on(erasure, now)
            taken.add(customer)
        return taken

    async def _is_whole_person_due(self, rule: Rule, customer: str, now: datetime) -> bool:
        """Whether everybody who is one person with this customer is due, too: a person is kept or goes as a whole."""

        async def read(conn: Connection) -> bool:
            query, own = _due(rule, now, await legal.covered(conn)), await links.members(conn, customer)
            due = (
                {row.id for row in await conn.execute(query.where(customers.c.id.in_(own)))} if len(own) > 1 else set()
            )
            return len(own) <= 1 or due == set(own)

        return await self._db.query(read)


async def _held(conn: Connection, of: ColumnElement[Any], ids: Collection[str]) -> set[str]:
    """Of the customers whose lines these are, those whom a hold covers. A hold or a link that is being made is waited
    for, and one that comes later waits for the end of this transaction: everybody who is one person with them is held.
    """
    owners = set((await conn.execute(select(timeline.c.customer_id).where(of.in_(ids)).distinct())).scalars())
    locked: set[str] = set()
    while locked != (whole := owners | {each for both in await links.edges(conn, owners) for each in both}):
        locked = whole
        rows = select(customers.c.id).where(customers.c.id.in_(sorted(locked))).order_by(customers.c.id)
        await conn.execute(rows.with_for_update())
    return owners & await legal.covered(conn)


def _due(rule: Rule, now: datetime, covered: Collection[str]) -> Select[Any]:
    """`id` and `since` of what a rule takes, the oldest first: customers, conversations or entries.

    Nothing of those whom a hold covers.
    """
    found = _QUERIES[rule.what](rule, stamp(now - rule.age))
    return found.where(customers.c.id.not_in(sorted(covered))) if covered else found


def _allowed(rule: Rule) -> ColumnElement[bool]:
    """A customer who is not erased, and who is in a segment that the rule names."""
    within = [customers.c.segments.contains(f'"{word}"', autoescape=True) for word in sorted(rule.segments)]
    return and_(customers.c.erased_at.is_(None), or_(*within) if within else true())


def _customers(rule: Rule, cutoff: float) -> Select[Any]:
    query = select(customers.c.id.label("id"), _LAST_SEEN.label("since"))
    return query.where(_allowed(rule), cutoff > _LAST_SEEN, ~_HAS_OPEN).order_by("since")


def _conversations(rule: Rule, cutoff: float) -> Select[Any]:
    left = exists().where(timeline.c.conversation_id == conversations.c.id, _SEALED)
    query = select(conversations.c.id.label("id"), conversations.c.resolved_at.label("since"))
    closed = and_(~IS_OPEN, conversations.c.resolved_at < cutoff, left)
    return query.join(customers, _own).where(_allowed(rule), closed).order_by("since")


def _entries(column: ColumnElement[Any]) -> Callable[[Rule, float], Select[Any]]:
    def due(rule: Rule, cutoff: float) -> Select[Any]:
        query = select(timeline.c.id.label("id"), timeline.c.at.label("since"))
        joined = query.join(conversations, conversations.c.id == timeline.c.conversation_id).join(customers, _own)
        return joined.where(_allowed(rule), column.is_not(None), timeline.c.at < cutoff, ~IS_OPEN).order_by("since")

    return due


def _bytes(rule: Rule, cutoff: float) -> Select[Any]:
    query = select(timeline.c.id.label("id"), timeline.c.at.label("since"))
    joined = query.join(conversations, conversations.c.id == timeline.c.conversation_id).join(customers, _own)
    kept = timeline.c.id.in_(select(kept_files.c.entry_id))
    return joined.where(_allowed(rule), kept, timeline.c.at < cutoff, ~IS_OPEN).order_by("since")


_QUERIES: Final[dict[What, Callable[[Rule, float], Select[Any]]]] = {
    What.ATTACHMENTS: _bytes,
    What.FILES: _entries(timeline.c.files_sealed),
    What.MESSAGES: _entries(timeline.c.body_sealed),
    What.CONVERSATIONS: _conversations,
    What.CUSTOMERS: _customers,
}
