"""Deadlines in the database: the next alerts, by index, and the heartbeat of whoever sweeps them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, bindparam, literal, select, union_all, update

from domain.model import Entry
from domain.sla import ClockState, Metric
from storage import lanes, sealing
from storage.database import Database, insert
from storage.engines import Connection
from storage.tables import agents, clocks, conversations, heartbeats, stamp, timeline, unstamp

# The condition lets SQLite read the beginning of the index instead of every clock.
_alerts = (
    select(clocks.c.id, clocks.c.conversation_id, clocks.c.next_alert_at.label("at"))
    .where(clocks.c.next_alert_at.is_not(None))
    .order_by(clocks.c.next_alert_at)
    .limit(bindparam("b_limit"))
    .subquery()
)
# Whoever sleeps is woken by the same look.
_sleepers = (
    select(
        literal("").label("id"), conversations.c.id.label("conversation_id"), conversations.c.snoozed_until.label("at")
    )
    .where(conversations.c.snoozed_until.is_not(None))
    .order_by(conversations.c.snoozed_until)
    .limit(bindparam("b_limit"))
    .subquery()
)
COMING = union_all(select(_alerts), select(_sleepers)).order_by("at").limit(bindparam("b_limit"))
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
UNTOUCHED = (
    select(conversations.c.id, conversations.c.version)
    .where(conversations.c.id.in_(_IDS))
    .order_by(conversations.c.id)
    .with_for_update(skip_locked=True)
)
AWAKE = update(conversations).where(conversations.c.id == bindparam("b_id")).values(snoozed_until=None)
PUT_AWAY = update(clocks).where(clocks.c.conversation_id == bindparam("b_id")).values(next_alert_at=None)
AWAY = select(agents.c.id).where(agents.c.id.in_(_IDS), agents.c.on_duty == 0)
ALERTS = (
    select(timeline)
    .where(timeline.c.conversation_id.in_(_IDS), timeline.c.kind.in_(("clock", "acknowledged", "excused")))
    .order_by(timeline.c.seq)
)


NEWEST = 1_000
"""So many conversations say how long a first answer takes here."""
_newest = (
    select(conversations.c.id, conversations.c.policy).order_by(conversations.c.number.desc()).limit(NEWEST).subquery()
)
FIRST_ANSWERS = (
    select(_newest.c.policy, clocks.c.started_at, clocks.c.stopped_at)
    .join(clocks, clocks.c.conversation_id == _newest.c.id)
    .where(
        clocks.c.metric == Metric.FIRST_RESPONSE.value,
        clocks.c.instance == 1,
        clocks.c.state.in_((ClockState.MET.value, ClockState.MET_LATE.value)),
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A clock and when its next alert falls due; or, without a clock, when a snooze ends."""

    clock_id: str
    conversation_id: str
    alert_at: datetime


async def untouched(conn: Connection, expected: Mapping[str, int]) -> set[str]:
    """Those of these conversations that are still at the version they were looked at, locked until the commit.

    What somebody else is writing at this moment is left out, not waited for: it is looked at again.
    """
    if not expected:
        return set()
    found = await conn.execute(UNTOUCHED, {"b_ids": sorted(expected)})
    return {conversation for conversation, version in found if version == expected[conversation]}


class Clocks:
    """Looking for what is due. The sweep re-reads each conversation before it acts."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def coming(self, limit: int) -> list[Due]:
        """The nearest alerts of clocks and ends of snoozes (product time), due already or not, nearest first."""

        async def read(conn: Connection) -> list[Due]:
            rows = await conn.execute(COMING, {"b_limit": limit})
            return [
                Due(clock_id=clock, conversation_id=conversation, alert_at=unstamp(at))
                for clock, conversation, at in rows
            ]

        return await self._db.query(read)

    async def put_away(self, conversation: str) -> None:
        """Say nothing more of this conversation's clocks; how they stand is kept."""

        async def work(conn: Connection) -> None:
            await conn.execute(PUT_AWAY, {"b_id": conversation})
            await conn.execute(AWAKE, {"b_id": conversation})

        await self._db.write(work)

    async def away(self, people: Collection[str]) -> frozenset[str]:
        """Those of these desk users who said that they are off duty."""
        if not people:
            return frozenset()

        async def read(conn: Connection) -> frozenset[str]:
            return frozenset((await conn.execute(AWAY, {"b_ids": sorted(people)})).scalars())

        return await self._db.query(read)

    async def alerts(self, ids: Sequence[str]) -> dict[str, list[Entry]]:
        """What was said about the clocks of these conversations, oldest first; holds no personal text."""

        async def read(conn: Connection) -> dict[str, list[Entry]]:
            found: dict[str, list[Entry]] = {conversation: [] for conversation in ids}
            for row in await conn.execute(ALERTS, {"b_ids": list(ids)}):
                found[row.conversation_id].append(sealing.entry_of(None, row))
            return found

        return await self._db.query(read)

    async def first_answers(self) -> list[tuple[str, datetime, datetime]]:
        """Of the newest conversations that were answered: the policy, when the customer asked, when the answer came."""

        async def read(conn: Connection) -> list[tuple[str, datetime, datetime]]:
            rows = await conn.execute(FIRST_ANSWERS)
            return [
                (policy, unstamp(asked), unstamp(answered))
                for policy, asked, answered in rows
                if policy is not None and answered is not None
            ]

        return await self._db.query(read)

    async def beat(self, name: str, now: datetime) -> None:
        """Write that `name` is alive at `now` (real time)."""

        async def work(conn: Connection) -> None:
            statement = insert(conn, heartbeats).values(name=name, at=stamp(now))
            await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"at": stamp(now)}))

        await self._db.write(work)

    async def last_beat(self, name: str) -> datetime | None:
        """When `name` was last alive (real time)."""

        async def read(conn: Connection) -> float | None:
            found: float | None = (
                await conn.execute(select(heartbeats.c.at).where(heartbeats.c.name == name))
            ).scalar()
            return found

        value = await self._db.query(read)
        return None if value is None else unstamp(value)

    @property
    def is_alone(self) -> bool:
        """Whether no other process can take a singleton: SQLite serves one."""
        return self._db.is_sqlite

    async def lead(self, name: str, owner: str, now: datetime, term: timedelta) -> bool:
        """Take or keep the lease of a singleton; False while another process has it."""
        return await self._db.write(lambda conn: lanes.lead(conn, name, owner, now, term))
