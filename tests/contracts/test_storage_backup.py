"""Backups of both engines: taken in use, proved by restoring, put back without bringing the erased back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from domain import search
from domain.errors import BadBackup, RefusedToStart
from storage import backup, restore, shelves, snapshots, tables
from storage.backup import KEYS, RECORD, Places, Stores
from storage.engines import Connection
from tests import embedded
from tests.contracts.storage_kit import NOW, RING, Process, at, new_id, process, story

Make = Callable[[str], str]


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client programs of the server that the tests use."""
    monkeypatch.setenv("PATH", f"{embedded.programs()}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def stores(make_database: Make) -> Stores:
    return Stores(database_url=make_database("relaydesk"), keystore_url=make_database("keys"), ring=RING)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(record=(tmp_path / "r1", tmp_path / "r2"), keys=(tmp_path / "k1",))


def opened(stores: Stores):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return process(stores.database_url, stores.keystore_url)


async def made(stores: Stores, places: Places, seconds: float = 0) -> tuple[backup.Copy, backup.Copy]:
    copies, troubles = await backup.make(stores, places, places.record[0].parent / "scratch", at(seconds))
    assert troubles == []
    return backup.chosen(copies, "latest")


async def put_back(
    stores: Stores, places: Places, pair: tuple[backup.Copy, backup.Copy], **options: object
) -> restore.Outcome:
    values = {"folder": places.record[0].parent / "data", "replace": False, "now": at(99), "new_id": new_id} | options
    others = backup.found([*places.record, *places.keys])
    return await restore.restore(stores, *pair, others=others, **values)  # type: ignore[arg-type]


async def bodies(one: Process) -> list[str]:
    conversation = await one.record.by_number(1001)
    assert conversation is not None
    return [entry.body for entry in await one.record.timeline(conversation.id)]


async def test_a_backup_is_taken_in_use_and_proved(stores: Stores, places: Places) -> None:
    """Every directory gets a sealed file of its kind; the proof counts every row and opens messages."""
    async with opened(stores) as one:
        await one.decide(story().opening("first", "second"))
        record, keys = await made(stores, places)
        await one.decide(story(address="2").opening("after the copy"))
        proof = await backup.verify(stores, record, keys, places.record[0].parent / "scratch")
        assert (proof.opened > 0, proof.erased) == (True, 0)
    files = [path for place in (*places.record, *places.keys) for path in place.iterdir()]
    assert sorted(path.suffix for path in files) == [".keys", ".record", ".record"]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert not any(b"first" in path.read_bytes() or b"CREATE TABLE" in path.read_bytes() for path in files)
    assert list((places.record[0].parent / "scratch").iterdir()) == []


async def test_a_backup_goes_back_into_an_empty_place(
    stores: Stores, places: Places, make_database: Make, tmp_path: Path
) -> None:
    """Everything reads; the search index, which is in no backup, is made again."""
    async with opened(stores) as one:
        await one.decide(story().opening("first", "second"))
        while await one.segments.tidy(everything=True):
            pass
        pair = await made(stores, places)
    elsewhere = Stores(database_url=make_database("other"), keystore_url=make_database("other-keys"), ring=RING)
    outcome = await put_back(elsewhere, places, pair)
    assert outcome.aside == ()
    async with opened(elsewhere) as one:
        assert await bodies(one) == ["first", "second"]
        assert await one.rows(tables.search_blocks) == []
        assert await one.reindex.catch_up() == 0
        assert len((await one.search.find(search.parse("second"))).messages) == 1


async def test_what_is_there_is_never_overwritten(stores: Stores, places: Places) -> None:
    """Refused; with leave to replace it is set aside, and the message of then is back."""
    ann = story()
    async with opened(stores) as one:
        await one.decide(ann.opening("then"))
        pair = await made(stores, places)
        await one.decide(replace(ann.changed(0), entries=(ann.said("later", seconds=5),)))
    with pytest.raises(BadBackup, match="already"):
        await put_back(stores, places, pair)
    async with opened(stores) as one:
        assert await bodies(one) == ["then", "later"]
    outcome = await put_back(stores, places, pair, replace=True)
    assert len(outcome.aside) == 2
    async with opened(stores) as one:
        assert await bodies(one) == ["then"]


async def test_an_erased_customer_stays_erased_after_a_restore(stores: Stores, places: Places) -> None:
    """By the key store in use; and, where that is lost, by a newer backup of it."""
    ann, bo = story(), story("Bo", "2")
    async with opened(stores) as one:
        await one.decide(ann.opening("secret"), bo.opening("open"))
        old = await made(stores, places)
        await one.keys.destroy(ann.customer.id, NOW)
        await made(stores, places, 60)
    outcome = await put_back(stores, places, old, replace=True)
    assert outcome.tombstones == 1
    async with opened(stores) as one:
        assert (await one.keys.data_keys([ann.customer.id, bo.customer.id])).keys() == {bo.customer.id}
        assert await one.record.find_people(ann.identity.address) == []
        assert len(await one.record.find_people(bo.identity.address)) == 1


async def test_tombstones_of_newer_backups_count_where_the_key_store_is_lost(
    stores: Stores, places: Places, make_database: Make
) -> None:
    """The newest one knows them all."""
    ann = story()
    async with opened(stores) as one:
        await one.decide(ann.opening("secret"))
        old = await made(stores, places)
        await one.keys.destroy(ann.customer.id, NOW)
        await made(stores, places, 60)
    elsewhere = Stores(database_url=make_database("other"), keystore_url=make_database("other-keys"), ring=RING)
    assert (await put_back(elsewhere, places, old)).tombstones == 1
    async with opened(elsewhere) as one:
        assert await one.keys.data_keys([ann.customer.id]) == {}


async def test_a_set_that_does_not_hold_is_refused_before_anything_is_touched(stores: Stores, places: Places) -> None:
    """A record with the key store of another installation, or with a message that was exchanged."""
    ann = story()
    async with opened(stores) as one:
        await one.decide(ann.opening("first", "second"))
        first, second = [row["body_sealed"] for row in await one.rows(tables.timeline)]

        async def swap(conn: Connection) -> None:
            table = tables.timeline
            await conn.execute(update(table).where(table.c.body_sealed == first).values(body_sealed=second))

        good = await made(stores, places)
        await one.db.write(swap)
        bad = await made(stores, places, 60)
    with pytest.raises(BadBackup, match="does not open"):
        await put_back(stores, places, bad, replace=True)
    with pytest.raises(BadBackup, match="no key store of"):
        backup.chosen([one for one in backup.found([*places.record, *places.keys]) if one.kind == RECORD], good[0].set)
    async with opened(stores) as one:
        assert len(await one.rows(tables.timeline)) == 2


async def test_a_lost_row_is_noticed(stores: Stores, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts are compared with those of the moment of the copy."""
    async with opened(stores) as one:
        await one.decide(story().opening("first"))
        record, keys = await made(stores, places)
    record.header["counts"]["timeline"] += 1
    with pytest.raises(BadBackup, match="timeline has 1 rows, 2 were copied"):
        await backup.verify(stores, record, keys, places.record[0].parent / "scratch")


async def test_an_interrupted_restore_starts_nothing_and_goes_on(stores: Stores, places: Places) -> None:
    """With one store exchanged and the other not: a start is refused, and the same command ends it."""
    folder = places.record[0].parent / "data"
    async with opened(stores) as one:
        await one.decide(story().opening("then"))
        pair = await made(stores, places)

    class Killed(BaseException):
        pass

    def die(_step: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        await put_back(stores, places, pair, replace=True, reached=die)
    with pytest.raises(RefusedToStart, match=pair[0].set):
        restore.refuse_half(folder)
    await put_back(stores, places, pair, now=at(100))
    restore.refuse_half(folder)
    async with opened(stores) as one:
        assert await bodies(one) == ["then"]


async def test_a_place_that_cannot_be_written_is_told_and_the_others_are_used(
    stores: Stores, places: Places, tmp_path: Path
) -> None:
    """Two houses, one unreachable; none at all is an error."""
    (tmp_path / "file").write_text("in the way", encoding="ascii")
    async with opened(stores):
        both = replace(places, record=(tmp_path / "file" / "x", tmp_path / "r2"))
        copies, troubles = await backup.make(stores, both, tmp_path / "scratch", NOW)
        assert [copy.path.parent.name for copy in copies] == ["r2", "k1"]
        assert len(troubles) == 1
        with pytest.raises(BadBackup, match="could be written"):
            await backup.make(stores, replace(both, record=(tmp_path / "file" / "x",)), tmp_path / "scratch", NOW)


async def test_old_backups_go_and_the_newest_stays(stores: Stores, places: Places) -> None:
    """Each kind by its own age; never the last one."""
    async with opened(stores):
        await made(stores, places)
        await made(stores, places, 60)
    short = replace(places, keep_record=timedelta(days=40), keep_keys=timedelta(days=400))
    assert backup.retire(short, NOW + timedelta(days=29)) == []
    gone = backup.retire(short, NOW + timedelta(days=35))
    assert [path.suffix for path in gone] == [".keys"]  # 30 days, whatever was asked for
    backup.retire(short, NOW + timedelta(days=500))
    left = backup.found([*places.record, *places.keys])
    assert sorted((copy.kind, copy.at) for copy in left) == [(KEYS, at(60)), (RECORD, at(60)), (RECORD, at(60))]


async def test_the_proof_is_remembered(stores: Stores) -> None:
    """For doctor and the metrics."""
    async with opened(stores) as one:
        assert await backup.last_verified(one.db) is None
        await backup.note_verified(one.db, NOW)
        await backup.note_verified(one.db, at(5))
        assert await backup.last_verified(one.db) == at(5)


def test_a_copy_is_the_state_of_one_moment(tmp_path: Path) -> None:
    """Whoever writes goes on writing; what is in the log belongs to the copy."""
    with closing(sqlite3.connect(tmp_path / "live.db")) as live:
        live.execute("PRAGMA journal_mode=WAL")
        for table in ("meta (name, value)", "timeline (seq)", *(f"{name} (x)" for name in snapshots.SEARCH)):
            live.execute(f"CREATE TABLE {table}")
        live.execute("INSERT INTO timeline VALUES (7)")
        live.execute("INSERT INTO search_fresh VALUES ('word')")
        live.commit()
        counts = snapshots._take_sqlite(tmp_path / "live.db", tmp_path / "copy.db", ["timeline", "search_fresh"], True)
    assert counts == {"timeline": 1, "search_fresh": 0}
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT value FROM meta").fetchall() == [("[0, 7]",)]
    assert shelves.metadata.tables.keys() == set(backup._COUNTED[KEYS])
