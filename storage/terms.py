"""Every version of policies and calendars that was ever in force, as the settings wrote them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from storage.database import insert_once
from storage.engines import Connection
from storage.tables import stamp, terms, unstamp

POLICY, CALENDAR = "policy", "calendar"

_ALL = select(terms).order_by(terms.c.kind, terms.c.name, terms.c.version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One version: `content` is JSON, `digest` tells whether another has the same."""

    kind: str
    name: str
    version: int
    digest: str
    content: str
    since: datetime


async def load(conn: Connection) -> list[Term]:
    """All versions, the oldest of each name first."""
    return [
        Term(
            kind=row.kind,
            name=row.name,
            version=row.version,
            digest=row.digest,
            content=row.content,
            since=unstamp(row.since),
        )
        for row in await conn.execute(_ALL)
    ]


async def add(conn: Connection, new: Iterable[Term]) -> None:
    """Keep new versions; one that another process has just added under the same number is left to it."""
    rows = [
        {
            "kind": term.kind,
            "name": term.name,
            "version": term.version,
            "digest": term.digest,
            "content": term.content,
            "since": stamp(term.since),
        }
        for term in new
    ]
    if rows:
        await conn.execute(insert_once(conn.dialect.name, terms), rows)
