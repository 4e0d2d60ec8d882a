"""One writer commits in groups without mixing fates, and a database that is not ours to use is refused."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import func, select, text

from domain.errors import RefusedToStart
from storage import migrate, tables
from storage.database import Database, insert
from storage.engines import Connection, file_system_of, refuse_network_file_system
from storage.keys import KeyStore
from tests import patience
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import RING


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        await migrate.upgrade(database)
        yield database


def note(name: str, value: str = "x") -> Callable[[Connection], Awaitable[str]]:
    async def work(conn: Connection) -> str:
        await conn.execute(insert(conn, tables.meta).values(name=name, value=value))
        return name

    return work


async def names(db: Database) -> set[str]:
    async with db.read() as conn:
        return set((await conn.execute(select(tables.meta.c.name))).scalars()) - {migrate.OLDEST}


# The writer


async def test_works_that_wait_together_share_a_commit(db: Database) -> None:
    """A hundred writers cost a few commits; each gets its own result."""
    before = db.commits
    results = await asyncio.gather(*(db.write(note(f"n{number}")) for number in range(100)))
    assert results == [f"n{number}" for number in range(100)]
    assert db.commits - before <= 4
    assert await names(db) == set(results)


def failing(error: OSError) -> Callable[[Connection], Awaitable[str]]:
    async def work(_conn: Connection) -> str:
        raise error

    return work


async def test_an_error_that_is_not_the_networks_fails_one_work(db: Database) -> None:
    """A file that is not there says nothing about the server: those behind are tried, and committed."""
    works = (failing(FileNotFoundError("a file")), note("second"), note("third"))
    first, *others = await asyncio.gather(*(db.write(work) for work in works), return_exceptions=True)
    assert isinstance(first, FileNotFoundError)
    assert others == ["second", "third"]


async def test_a_server_that_is_away_fails_those_behind_each_with_its_own_error(db: Database) -> None:
    """They would wait as long for the same; none shares the object that another one raises."""
    works = (failing(TimeoutError()), note("second"), note("third"))
    first, *others = await asyncio.gather(*(db.write(work) for work in works), return_exceptions=True)
    assert isinstance(first, TimeoutError)
    assert [type(one) for one in others] == [ConnectionError, ConnectionError]
    assert others[0] is not others[1]
    assert await names(db) == set()


async def test_one_work_that_fails_takes_no_other_with_it(db: Database) -> None:
    """Its own caller gets the error, and nothing of it is written; the others of its group are committed."""
    await db.write(note("taken"))

    async def half(conn: Connection) -> None:
        await conn.execute(insert(conn, tables.meta).values(name="half", value="x"))
        raise ValueError("half way")

    works: list[Callable[[Connection], Awaitable[str | None]]] = [note("a"), half, note("taken"), note("b")]
    results = await asyncio.gather(*(db.write(work) for work in works), return_exceptions=True)
    assert [results[0], results[3]] == ["a", "b"]
    assert isinstance(results[1], ValueError)
    assert isinstance(results[2], Exception)
    assert await names(db) == {"taken", "a", "b"}


async def test_a_cancelled_caller_does_not_stop_its_work(db: Database) -> None:
    """What was handed over is committed as a whole; the writer goes on."""
    task = asyncio.create_task(db.write(note("cancelled")))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await db.write(note("after"))
    assert await names(db) == {"cancelled", "after"}


async def test_writers_that_read_first_never_lose_an_update(start: Start) -> None:
    """Tasks and processes that read, then write: no "database is locked", and no count is lost."""
    processes = [await start(f"p{number}") for number in range(2)]

    async def count(conn: Connection) -> None:
        statement = insert(conn, tables.counters).values(name="n", value=1)
        await conn.execute(select(func.count()).select_from(tables.counters))
        await conn.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": tables.counters.c.value + 1})
        )

    await asyncio.gather(*(process.db.write(count) for process in processes for _ in range(60)))
    assert [row["value"] for row in await processes[0].rows(tables.counters)] == [120]


async def test_a_signal_is_set_by_a_commit_only(db: Database) -> None:
    """A work that was rolled back wakes nobody."""

    async def fails(_conn: Connection) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await db.write(fails, wake=("inbox",))
    assert not db.signal("inbox").is_set()
    await db.write(note("yes"), wake=("inbox",))
    assert db.signal("inbox").is_set()


async def test_a_rider_joins_the_transaction_that_wakes_it(db: Database) -> None:
    """It sees what that transaction wrote, shares its commit, and nobody is woken a second time for it."""

    async def seen(conn: Connection) -> set[str]:
        return set((await conn.execute(select(tables.meta.c.name))).scalars()) - {migrate.OLDEST}

    rider = asyncio.create_task(db.ride("inbox", seen, 30))
    await asyncio.sleep(0)
    before = db.commits
    await db.write(note("other"))
    await db.write(note("bringing"), wake=("inbox",))
    assert await asyncio.wait_for(rider, patience.LONG_S) == {"other", "bringing"}
    assert db.commits == before + 2
    assert not db.signal("inbox").is_set() or not db.is_sqlite  # a server tells us of our own commits too


async def test_one_transaction_takes_one_rider(db: Database) -> None:
    """Two who wait for work are not both sent for the same."""
    riders = [asyncio.create_task(db.ride("inbox", note(name), 30)) for name in ("first", "second")]
    await asyncio.sleep(0)
    await db.write(note("one"), wake=("inbox",))
    assert await asyncio.wait_for(riders[0], patience.LONG_S) == "first"
    riders[1].cancel()
    await asyncio.gather(riders[1], return_exceptions=True)
    await db.write(note("two"), wake=("inbox",))
    assert "second" not in await names(db)


async def test_a_rider_looks_for_itself_when_nothing_comes(db: Database) -> None:
    """After its time, after a wake from elsewhere, and where a wake came before it was there."""
    assert await db.ride("inbox", note("late"), 0.01) is None
    rider = asyncio.create_task(db.ride("inbox", note("elsewhere"), 30))
    await asyncio.sleep(0)
    db.wake("inbox")
    assert await asyncio.wait_for(rider, patience.LONG_S) is None
    assert await db.ride("inbox", note("before"), 30) is None
    assert await names(db) == set()


async def test_a_rider_of_a_failing_transaction_rides_alone(db: Database) -> None:
    """What failed is rolled back; who joined it is not."""

    async def fails(_conn: Connection) -> None:
        raise ValueError("no")

    rider = asyncio.create_task(db.ride("inbox", note("rider"), 30))
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="no"):
        await db.write(fails, wake=("inbox",))
    assert await asyncio.wait_for(rider, patience.LONG_S) == "rider"
    assert await names(db) == {"rider"}


async def test_closing_waits_for_what_was_handed_over(database_url: str) -> None:
    """A graceful stop loses nothing that a caller was promised."""
    async with Database.open(database_url) as first:
        await migrate.upgrade(first)
        writes = [asyncio.create_task(first.write(note(f"n{number}"))) for number in range(20)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    async with Database.open(database_url) as again:
        assert len(await names(again)) == 20


# The schema


async def test_migrations_make_exactly_the_schema_of_the_code(db: Database) -> None:
    """Nothing to add and nothing to drop: what tests run on is what an upgrade makes."""

    def differences(connection: SyncConnection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), tables.metadata))

    async with db.read() as conn:
        assert await conn.run_sync(differences) == []


async def test_upgrading_twice_changes_nothing(db: Database) -> None:
    """Every start may upgrade."""
    assert await migrate.upgrade(db) == (migrate.wanted(), migrate.wanted())
    assert await migrate.found(db) == migrate.wanted()


async def test_an_empty_database_is_told_apart(database_url: str) -> None:
    """Before the first start there is no version."""
    async with Database.open(database_url) as empty:
        assert await migrate.found(empty) is None
        assert await migrate.upgrade(empty) == (None, migrate.wanted())


async def test_a_database_of_a_newer_release_is_refused(db: Database) -> None:
    """An older release that cannot work with it leaves it alone and says which schema it found."""

    async def newer(conn: Connection) -> None:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await conn.execute(text("UPDATE meta SET value = '9999' WHERE name = 'schema.oldest'"))

    await db.write(newer)
    with pytest.raises(RefusedToStart, match=r"newer release \(schema 9999"):
        await migrate.upgrade(db)


async def test_a_key_store_of_another_database_is_refused(db: Database, tmp_path: Path) -> None:
    """Mixed up, everything would read as erased: the first start pairs the two for good."""
    ours = await KeyStore.open(f"sqlite:///{tmp_path}/ours.db", RING)
    foreign = await KeyStore.open(f"sqlite:///{tmp_path}/foreign.db", RING)
    try:
        await migrate.check_canary(db, ours)
        await migrate.check_canary(db, ours)
        with pytest.raises(RefusedToStart, match="does not belong to this database"):
            await migrate.check_canary(db, foreign)
    finally:
        await ours.close()
        await foreign.close()


# Files


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_a_sqlite_file_is_private_and_durable(tmp_path: Path) -> None:
    """Nobody else reads it or lists its folder; commits reach the disk, and what is deleted is overwritten."""
    url = f"sqlite:///{tmp_path}/data/relaydesk.db"
    async with Database.open(url) as db:
        await migrate.upgrade(db)
        async with db.read() as conn:
            pragmas = [
                (await conn.execute(text(f"PRAGMA {name}"))).scalar()
                for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
            ]
        assert pragmas == ["wal", 2, 1, 1]
        assert modes(tmp_path / "data") == {0o600}
        assert modes(tmp_path) == {0o700}


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs"])
async def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    """SQLite can lose data there: the error names the two ways out."""
    with pytest.raises(RefusedToStart, match=f"network file system .{kind}.*local disk.*PostgreSQL"):
        refuse_network_file_system(tmp_path / "relaydesk.db", kind)
    refuse_network_file_system(tmp_path / "relaydesk.db", "ext4")


async def test_the_file_system_of_a_path_is_its_nearest_mount(tmp_path: Path) -> None:
    """Also where a mount point holds spaces, or is only named like the folder."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path}/a\\040b nfs4 rw 0 0\nserver:/y {tmp_path}/data cifs rw 0 0\n"
    )
    assert file_system_of(tmp_path / "a b" / "c", mounts) == "nfs4"
    assert file_system_of(tmp_path / "data" / "x", mounts) == "cifs"
    assert file_system_of(tmp_path / "database", mounts) == "ext4"
    assert file_system_of(tmp_path, tmp_path / "missing") == ""


async def test_an_error_of_the_database_shows_no_values(database_url: str) -> None:
    """What ends up in a log names the statement, never what was in it."""
    async with Database.open(database_url) as database:
        with pytest.raises(Exception, match="no_such_table") as caught:
            async with database.read() as conn:
                await conn.execute(text("SELECT * FROM no_such_table WHERE x = :x"), {"x": "Anna Beispiel"})
    assert "Anna" not in str(caught.value)
