"""The product's own tables, read from outside: to know when it is done, and to compare its record with the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests import outside

DEADLOCKS = 5
OPEN_INBOX = "SELECT count(*) FROM inbox WHERE state = 'new'"
OPEN_OUTBOX = "SELECT count(*) FROM outbox WHERE state IN ('todo', 'sending', 'unclear')"
DEAD = """
SELECT 'in', kind, reason FROM inbox WHERE state = 'dead'
UNION ALL SELECT 'out', kind, reason FROM outbox WHERE state = 'dead'
"""
STUCK = """
SELECT outbox.kind, outbox.state, outbox.reason, outbox.attempts, outbox.not_before, outbox.sending_at, lanes.parked,
       lanes.ready_at, lanes.lease_until, limits.not_before AS held
FROM outbox LEFT JOIN lanes ON lanes.side = 'out' AND lanes.lane = outbox.lane
     LEFT JOIN limits ON limits.bucket = outbox.bucket
WHERE outbox.state IN ('todo', 'sending', 'unclear') ORDER BY outbox.seq
"""
DELIVERY = (
    "SELECT outbox.state, timeline.platform_id FROM outbox JOIN timeline ON timeline.id = outbox.entry_id "
    "WHERE outbox.id = :id"
)
TWICE = (
    "SELECT kind, platform_id, count(*) FROM timeline WHERE kind IN ('incoming', 'outgoing', 'note') "
    "AND platform_id IS NOT NULL GROUP BY conversation_id, kind, platform_id HAVING count(*) > 1"
)
KINDS = "SELECT kind, count(*) FROM timeline GROUP BY kind"


@dataclass(frozen=True, kw_only=True)
class Books:
    """A database of the product, looked at while it runs or lies dead."""

    engine: AsyncEngine

    @classmethod
    def of(cls, url: str) -> Books:
        """Open for reading; no connection is kept between two looks."""
        return cls(engine=outside.engine(url))

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """The rows of one query; asked again where an upgrade beside it met it in a deadlock."""
        chances = DEADLOCKS
        while True:
            try:
                async with self.engine.connect() as connection:
                    return list((await connection.execute(text(query), values)).all())
            except DBAPIError as error:
                chances -= 1
                if getattr(error.orig, "sqlstate", None) != "40P01" or not chances:
                    raise

    async def delivery(self, outbox_id: str) -> tuple[str, str]:
        """The state of a delivery and the platform's id of the agent's post behind it."""
        state, platform_id = (await self.rows(DELIVERY, id=outbox_id))[0]
        return state, platform_id

    async def waiting(self) -> tuple[int, int]:
        """How many inbox and outbox rows are not done."""
        return (await self.rows(OPEN_INBOX))[0][0], (await self.rows(OPEN_OUTBOX))[0][0]

    async def stuck(self, now: float) -> list[str]:
        """What is known of each outbox row that is not done; times in seconds from `now`."""
        found = []
        for row in await self.rows(STUCK):
            cells = {name: value for name, value in row._mapping.items() if value not in (None, 0)}
            times = {name: round(value - now, 1) for name, value in cells.items() if isinstance(value, float)}
            found.append(" ".join(f"{name}={value}" for name, value in (cells | times).items()))
        return found

    async def dead(self) -> list[str]:
        """Dead letters: side, kind and reason."""
        return [" ".join(str(word) for word in row) for row in await self.rows(DEAD)]

    async def recorded_twice(self) -> list[str]:
        """Messages that stand in the timeline more than once."""
        return [" ".join(str(word) for word in row) for row in await self.rows(TWICE)]

    async def kinds(self) -> dict[str, int]:
        """How many timeline entries of each kind there are."""
        return dict(await self.rows(KINDS))

    async def integrity(self) -> str:
        """What SQLite says of its file; "ok" for PostgreSQL, which is not asked."""
        if self.engine.dialect.name != "sqlite":
            return "ok"
        return str((await self.rows("PRAGMA integrity_check"))[0][0])

    async def close(self) -> None:
        """Nothing stays open."""
        await self.engine.dispose()
