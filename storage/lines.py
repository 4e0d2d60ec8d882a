"""A line of the timeline that is written outside a decision, with what it is found by."""

from __future__ import annotations

from domain.changes import Changes
from domain.model import Entry
from storage import sealing, words
from storage.engines import Connection
from storage.tables import search_fresh, timeline


async def add(conn: Connection, key: bytes, index_key: bytes, entry: Entry, recorded_at: float) -> None:
    """Append an entry within the caller's transaction, sealed under the customer's key."""
    await conn.execute(timeline.insert(), [sealing.entry_row(key, entry, recorded_at)])
    found = words.rows(words.of(index_key), Changes(reason="line", entries=(entry,)))
    if found:
        await conn.execute(search_fresh.insert(), found)
