"""Who has a reply window open over a conversation: a lease each, so that every process knows and a crash forgets it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, select

from storage.database import Database, insert
from storage.engines import Connection
from storage.tables import leases, stamp

TERM = timedelta(minutes=20)
"""Whoever has had it open for longer has forgotten it."""
_OTHERS = select(leases.c.owner).where(
    leases.c.name >= bindparam("b_from"), leases.c.name < bindparam("b_below"), leases.c.until > bindparam("b_now")
)


class Answering:
    """Reply windows that are open now. `window` is the desk's id of one; times are real."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self, conversation_id: str, window: str, agent_id: str, now: datetime) -> tuple[str, ...]:
        """Remember that an agent has opened a window; returns the others who have one open."""
        name, until = _name(conversation_id, window), stamp(now + TERM)

        async def work(conn: Connection) -> tuple[str, ...]:
            statement = insert(conn, leases).values(name=name, owner=agent_id, until=until, fence=1)
            await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"until": until}))
            return await _others(conn, conversation_id, agent_id, now)

        return await self._db.write(work)

    async def end(self, conversation_id: str, window: str) -> None:
        """A window was closed, or its answer sent. Idempotent."""
        name = _name(conversation_id, window)

        async def work(conn: Connection) -> None:
            await conn.execute(delete(leases).where(leases.c.name == name))

        await self._db.write(work)

    async def others(self, conversation_id: str, agent_id: str, now: datetime) -> tuple[str, ...]:
        """Who else has a window open over a conversation, each once."""
        return await self._db.query(lambda conn: _others(conn, conversation_id, agent_id, now))


async def _others(conn: Connection, conversation_id: str, agent_id: str, now: datetime) -> tuple[str, ...]:
    begin = _name(conversation_id, "")
    found = await conn.execute(_OTHERS, {"b_from": begin, "b_below": begin + "~", "b_now": stamp(now)})
    return tuple(sorted({str(owner) for owner in found.scalars()} - {agent_id}))


def _name(conversation_id: str, window: str) -> str:
    return f"answer:{conversation_id}:{window}"[:60]
