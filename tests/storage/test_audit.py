"""The audit trail shows whatever was altered, moved, copied or removed in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Executable, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from storage import audit, crypto, tables
from storage.database import Database
from storage.engines import Connection

KEY = bytes(range(32))
NOW = datetime(2026, 11, 22, 9, 0, 0, 123457, tzinfo=UTC)
TRAIL = tables.audit


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        await database.write(lambda conn: conn.run_sync(tables.metadata.create_all))
        yield database


async def add(db: Database, number: int, detail: str = "") -> None:
    await db.write(
        lambda conn: audit.record(
            conn,
            KEY,
            at=NOW + timedelta(seconds=number / 3),
            actor="operator:root",
            action="read",
            object=f"conversation:{number}",
            detail=detail,
            digest=f"{number:064x}",
        )
    )


async def sealed(db: Database, count: int, limit: int = 3) -> None:
    for number in range(count):
        await add(db, number)
    while await db.write(lambda conn: audit.seal(conn, KEY, limit)):
        pass


async def check(db: Database, *heads: audit.Head, key: bytes = KEY) -> audit.Report:
    return await db.query(lambda conn: audit.verify(conn, key, heads))


async def change(db: Database, *statements: Executable) -> None:
    async def work(conn: Connection) -> None:
        for statement in statements:
            await conn.execute(statement)

    await db.write(work)


async def test_an_untouched_trail_holds(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty, short or longer than one query, under its key and no other; what is not chained yet is counted."""
    monkeypatch.setattr(audit, "_ENTRIES_PER_QUERY", 2)
    assert await check(db) == audit.Report(head=None, unsealed=0, oldest_unsealed=None, problems=())
    await sealed(db, 5)
    await add(db, 9)
    report = await check(db)
    assert report.problems == ()
    assert (report.head is not None and report.head.place, report.unsealed) == (5, 1)
    assert report.oldest_unsealed == NOW + timedelta(seconds=3)
    assert (await check(db, key=bytes(32))).problems[0].what == audit.ALTERED


@pytest.mark.parametrize("is_sealed", [True, False], ids=["chained", "not yet"])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("at", 1.5),
        ("actor", "x"),
        ("action", "x"),
        ("object", "x"),
        ("detail", "x"),
        ("digest", "x"),
        ("nonce", "x"),
        ("mac", "x"),
        ("format", 1),
        ("chain", "x"),
        ("place", 77),
        ("seq", 99),
    ],
)
async def test_every_change_of_a_column_shows(db: Database, column: str, value: Any, is_sealed: bool) -> None:
    """Whichever it is, in whichever row; an entry that is not chained yet has no place to be moved from."""
    if column == "seq" and not is_sealed:
        return
    await sealed(db, 3 if is_sealed else 0)
    for number in range(0 if is_sealed else 3):
        await add(db, number)
    await change(db, update(TRAIL).where(TRAIL.c.object == "conversation:1").values({column: value}))
    assert (await check(db)).problems


@pytest.mark.parametrize("removed", [1, 2, 3])
async def test_a_removed_entry_shows(db: Database, removed: int) -> None:
    """The one after the gap is named, also when the places were closed up; the last one by the head that was kept."""
    await sealed(db, 3)
    kept = (await check(db)).head
    assert kept is not None
    await change(db, delete(TRAIL).where(TRAIL.c.place == removed))
    report = await check(db, kept)
    assert [(one.place, one.what) for one in report.problems] == (
        [(removed + 1, audit.REMOVED)] if removed < 3 else [(3, audit.CUT)]
    )
    if removed < 3:
        await change(db, update(TRAIL).where(TRAIL.c.place == removed + 1).values(place=removed))
        assert (await check(db)).problems


async def test_entries_that_changed_places_show(db: Database) -> None:
    """Reordered, with or without their links."""
    await sealed(db, 4)
    await change(
        db,
        update(TRAIL).where(TRAIL.c.place == 2).values(place=99),
        update(TRAIL).where(TRAIL.c.place == 3).values(place=2),
        update(TRAIL).where(TRAIL.c.place == 99).values(place=3),
    )
    assert {one.what for one in (await check(db)).problems} == {audit.MOVED}


async def test_a_copied_entry_shows(db: Database) -> None:
    """Somebody else's entry repeated as new is chained like any other, and still no news."""
    await sealed(db, 2)

    async def copy(conn: Connection) -> None:
        row = (await conn.execute(select(TRAIL).where(TRAIL.c.place == 1))).one()._asdict()
        del row["seq"]
        await conn.execute(insert(TRAIL), [row | {"place": None, "chain": None}])

    await db.write(copy)
    await db.write(lambda conn: audit.seal(conn, KEY))
    assert [one.what for one in (await check(db)).problems] == [audit.TWICE]


async def test_a_chain_written_anew_shows(db: Database) -> None:
    """Even with the key, against a head that was kept elsewhere."""
    await sealed(db, 3)
    kept = (await check(db)).head
    assert kept is not None
    await change(db, delete(TRAIL))
    await sealed(db, 4)
    assert (await check(db)).problems == ()
    assert [one.what for one in (await check(db, kept)).problems] == [audit.CUT]


async def test_entries_added_at_once_wait_for_nobody(db: Database, database_url: str) -> None:
    """Several processes audit together while one chains: each entry gets one place."""
    async with Database.open(database_url) as other:
        await asyncio.gather(*(add((db, other)[number % 2], number) for number in range(20)))
        while await db.write(lambda conn: audit.seal(conn, KEY, 7)):
            pass
    report = await check(db)
    assert report.problems == ()
    assert report.head is not None
    assert report.head.place == 20


async def test_two_who_chain_at_once_make_no_fork(db: Database) -> None:
    """The second finds the place taken and is undone."""
    await sealed(db, 2)
    await add(db, 9)
    with pytest.raises(IntegrityError):
        await change(db, insert(TRAIL).values(_copied(await _row(db)) | {"place": 2}))


async def test_words_that_do_not_fit_are_cut_and_cleaned(db: Database) -> None:
    """A long or unprintable word cannot keep an entry from being written, on either engine."""
    await add(db, 1, "a\x00b\ud800c\n" + "long " * 100)
    async with db.read() as conn:
        detail = (await conn.execute(select(TRAIL.c.detail))).scalar_one()
    assert detail.startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c")
    assert len(detail) == 200
    assert (await check(db)).problems == ()


async def test_a_trail_of_the_former_format_still_holds(db: Database) -> None:
    """What was chained as it was written keeps its place; newer entries follow it, and a change in it shows."""
    chain = ""
    for place in (1, 2):
        chain = crypto.mac(KEY, "audit", str(place), chain, repr(1.25), "os:root", "read", "x", "")
        old = {"seq": place, "at": 1.25, "actor": "os:root", "action": "read", "object": "x", "detail": ""}
        await change(db, insert(TRAIL).values(old | {"mac": chain, "place": place, "chain": chain}))
    async with db.read() as conn:
        if conn.dialect.name == "postgresql":
            await conn.exec_driver_sql("SELECT setval(pg_get_serial_sequence('audit', 'seq'), 2)")
    await sealed(db, 2)
    assert (await check(db)).problems == ()
    for column in ("actor", "digest", "nonce"):
        await change(db, update(TRAIL).where(TRAIL.c.place == 1).values({column: "y"}))
        assert (await check(db)).problems[0].place == 1
        await change(db, update(TRAIL).where(TRAIL.c.place == 1).values({column: "os:root" * (column == "actor")}))


async def _row(db: Database) -> dict[str, Any]:
    async with db.read() as conn:
        return (await conn.execute(select(TRAIL).where(TRAIL.c.place == 2))).one()._asdict()


def _copied(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "seq"}


COLUMNS = [column.name for column in TRAIL.c]


@pytest.fixture(scope="module")
def memory() -> list[dict[str, Any]]:
    """The rows of a chained trail of six."""

    async def made() -> list[dict[str, Any]]:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            async with Database.open(f"sqlite:///{Path(folder) / 'trail.db'}") as db:
                await db.write(lambda conn: conn.run_sync(tables.metadata.create_all))
                await sealed(db, 6)
                async with db.read() as conn:
                    return [row._asdict() for row in await conn.execute(select(TRAIL).order_by(TRAIL.c.place))]

    return asyncio.run(made())


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_single_mutation_of_a_row_shows(memory: list[dict[str, Any]], data: st.DataObject) -> None:
    """Any other value in any column of any chained row: the links say no."""
    place = data.draw(st.integers(0, len(memory) - 1))
    column = data.draw(st.sampled_from(COLUMNS))
    was = memory[place][column]
    if isinstance(was, float):
        value: Any = data.draw(st.floats(allow_nan=False).filter(lambda new: new != was))
    elif isinstance(was, int):
        value = data.draw(st.integers(-(2**40), 2**40).filter(lambda new: new != was))
    else:
        value = data.draw(st.text(max_size=70).filter(lambda new: new != was))
    rows = [dict(row) for row in memory]
    rows[place][column] = value
    previous, problems = "", 0
    for number, row in enumerate(sorted(rows, key=lambda one: one["place"]), 1):
        problems += audit.wrong(KEY, row, number, previous) is not None
        previous = row["chain"]
    assert problems
