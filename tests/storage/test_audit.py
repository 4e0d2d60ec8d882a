"""The audit trail shows whatever was altered, moved or removed in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from storage import audit, tables
from storage.database import Database

KEY = bytes(range(32))
NOW = datetime(2026, 11, 22, 9, 0, 0, 123457, tzinfo=UTC)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        await database.write(lambda conn: conn.run_sync(tables.metadata.create_all))
        yield database


async def add(db: Database, number: int, detail: str = "") -> int:
    return await db.write(
        lambda conn: audit.record(
            conn,
            KEY,
            at=NOW + timedelta(seconds=number / 3),
            actor="operator:root",
            action="read",
            object=f"conversation:{number}",
            detail=detail,
        )
    )


async def broken(db: Database, key: bytes = KEY) -> int | None:
    async with db.read() as conn:
        return await audit.first_broken(conn, key)


async def change(db: Database, statement: object) -> None:
    async def work(conn: object) -> None:
        await conn.execute(statement)  # type: ignore[attr-defined]

    await db.write(work)


async def test_an_untouched_trail_holds(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty, short or longer than one query, it holds under its key and under no other."""
    monkeypatch.setattr(audit, "_LINES_PER_QUERY", 2)
    assert await broken(db) is None
    assert [await add(db, number) for number in range(5)] == [1, 2, 3, 4, 5]
    assert await broken(db) is None
    assert await broken(db, bytes(32)) == 1


@pytest.mark.parametrize("column", ["at", "actor", "action", "object", "detail", "mac"])
async def test_an_altered_line_shows(db: Database, column: str) -> None:
    """Whichever word of a line is changed, that line is named."""
    for number in range(3):
        await add(db, number)
    value: object = 1.5 if column == "at" else "x"
    await change(db, update(tables.audit).where(tables.audit.c.seq == 2).values({column: value}))
    assert await broken(db) == 2


@pytest.mark.parametrize("removed", [1, 2])
async def test_a_removed_line_shows(db: Database, removed: int) -> None:
    """The line after the gap is named, also when the numbers were closed up."""
    for number in range(3):
        await add(db, number)
    await change(db, delete(tables.audit).where(tables.audit.c.seq == removed))
    assert await broken(db) == removed + 1
    await change(db, update(tables.audit).where(tables.audit.c.seq == removed + 1).values(seq=removed))
    assert await broken(db) == removed


async def test_lines_added_at_once_form_one_chain(db: Database, database_url: str) -> None:
    """Several processes audit together: no number twice, no fork."""
    async with Database.open(database_url) as other:
        numbers = await asyncio.gather(*(add((db, other)[number % 2], number) for number in range(20)))
    assert sorted(numbers) == list(range(1, 21))
    assert await broken(db) is None


async def test_words_that_do_not_fit_are_cut_and_cleaned(db: Database) -> None:
    """A long or unprintable word cannot keep a line from being written, on either engine."""
    await add(db, 1, "a\x00b\ud800c\n" + "long " * 100)
    async with db.read() as conn:
        detail = (await conn.execute(select(tables.audit.c.detail))).scalar_one()
    assert detail.startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c")
    assert len(detail) == 200
    assert await broken(db) is None
