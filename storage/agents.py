"""Who works at the desk: so that new conversations can be given out before anybody has clicked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from storage.database import Database, insert
from storage.engines import Connection
from storage.tables import agents


class Roster:
    """The agents that are known. Whether somebody is on duty is theirs to say and is never overwritten here."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def welcome(self, team: Mapping[str, Sequence[str]]) -> None:
        """Add whoever is new (on duty), and bring the languages of the others up to date."""
        if not team:
            return
        rows = [{"id": agent, "languages": json.dumps(sorted(known))} for agent, known in sorted(team.items())]

        async def work(conn: Connection) -> None:
            statement = insert(conn, agents)
            changed = {"languages": statement.excluded.languages}
            await conn.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed), rows)

        await self._db.write(work)
