"""Looking for people, conversations and messages, at the desk and at the command line: what of it is audited, and how.

The words that somebody looks for stand nowhere afterwards: the trail has whose data was shown, how much, and the
digest of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from domain import search
from domain.rulebook import Rulebook
from domain.search import Found, Query
from domain.unfit import Unfit
from storage import audit, digests
from storage.database import Database
from storage.engines import Connection
from storage.record import Record
from storage.search import Search

LISTED: Final = 8
"""So much of each kind is shown at the desk."""
NOBODY: Final = "customer:none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trail:
    """Writes what somebody read into the audit trail before they are shown it. `now` is real time."""

    database: Database
    record: Record
    now: Callable[[], datetime]

    async def found(self, actor: str, action: str, query: Query, found: Found) -> None:
        """An entry for everybody whose data an answer shows; one for nobody where it shows none."""
        said: dict[str, list[str]] = {}
        for hit in found.messages:
            said.setdefault(f"customer:{hit.entry.customer_id}", []).append(hit.entry.id)
        whole = [f"customer:{person.customer.id}" for person in found.people]
        whole += [f"conversation:{it.id}" for it in found.conversations]
        things = sorted({*said, *whole}) or [NOBODY]
        detail = f"words {len(query.terms)}, messages {len(found.messages)}, people {len(found.people)}"
        read = await self.database.query(lambda conn: _read(conn, said, whole))
        await self._write(actor, action, things, detail, read)

    async def refused(self, actor: str, thing: str, detail: str) -> None:
        """Somebody asked for what they may not have."""
        await self._write(actor, "refused", [thing], detail, {})

    async def _write(self, actor: str, action: str, things: Collection[str], detail: str, read: dict[str, str]) -> None:
        key, at = self.record.audit_key, self.now()

        async def work(conn: Connection) -> None:
            for one in things:
                digest = read.get(one, "")
                await audit.record(
                    conn, key, at=at, actor=actor, action=action, object=one, detail=detail, digest=digest
                )

        await self.database.write(work)


async def _read(conn: Connection, said: dict[str, list[str]], whole: Collection[str]) -> dict[str, str]:
    """By object: the digest of the messages that were found of somebody, or of all of them where they were found."""
    of_messages = {one: await digests.of_entries(conn, ids) for one, ids in said.items()}
    return of_messages | await digests.of(conn, whole)


@dataclass(frozen=True, kw_only=True, slots=True)
class Searching:
    """The search of the desk: nothing of a queue that is hidden from whoever asks."""

    finder: Search
    rules: Rulebook
    trail: Trail

    async def find(self, agent_id: str, roles: Collection[str], words: str) -> tuple[Query, Found]:
        """What these words find for somebody who may see conversations at all; audited already.

        Raises Unfit, with the reason, for a query that cannot be read or asks for nothing.
        """
        query = search.parse(words)
        if query.is_empty:
            raise Unfit("query_empty", "say what to look for")
        found = await self.finder.find(query, limit=LISTED, hidden=self.rules.hidden(agent_id, roles))
        await self.trail.found(f"agent:{agent_id}", "search", query, found)
        return query, found
