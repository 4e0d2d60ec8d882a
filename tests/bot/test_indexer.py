"""The loop that keeps the search index in shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from sqlalchemy import update

from bot import indexer
from domain import search
from storage import segments, tables
from storage.engines import Connection
from tests import patience
from tests.contracts.storage_kit import Process, process, story


@pytest.fixture
async def one(make_database: Callable[[str], str]) -> AsyncIterator[Process]:
    async with process(make_database("relaydesk"), make_database("keys")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "EVERY_S", 0.02)
    monkeypatch.setattr(indexer, "BREATH_S", 0.01)
    monkeypatch.setattr(segments, "PACK_AT", 2)


async def test_what_is_written_is_packed_and_old_messages_are_read_in(one: Process) -> None:
    """Nobody asks for it; it is found before and after."""
    await one.decide(story("Ann", "1").opening("first message", "second message"))
    await one.reindex.start_over()
    await one.decide(story("Bo", "2").opening("third message", "fourth message"))
    task = asyncio.create_task(indexer.Indexer(one.segments, one.reindex).run())

    async def packed() -> bool:
        standing = await one.segments.standing()
        return (standing.fresh, standing.documents, standing.to_do) == (0, 4, 0)

    await patience.eventually(packed)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert len((await one.search.find(search.parse("message"))).messages) == 4


async def test_a_damaged_row_is_told_and_stops_nothing_else(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop lives on and says what is wrong."""
    said: list[str] = []
    monkeypatch.setattr(indexer.log, "error", said.append)
    await one.decide(story("Ann", "1").opening("first message", "second message"))

    async def spoil(conn: Connection) -> None:
        await conn.execute(update(tables.search_fresh).values(words_sealed=b"x" * 60))

    await one.db.write(spoil)
    task = asyncio.create_task(indexer.Indexer(one.segments, one.reindex).run())
    await patience.eventually(lambda: "search.damaged" in said, what="it is told")
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert "search.damaged" in said
