"""Releases side by side: what a release adds is invisible to the one before, and what it takes away waits."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import inspect, text

from domain.errors import RefusedToStart
from storage import migrate, tables
from storage.database import Database
from storage.engines import Connection
from tests import patience
from tests.contracts.storage_kit import NOW, Process, arrival, process, story

ADDS, ADDS_MORE, TAKES = "9001", "9002", "9003"
ADDING = '''"""Adds."""
import sqlalchemy as sa
from alembic import op
revision = "{revision}"
down_revision = "{before}"
def upgrade() -> None:
    op.add_column("customers", sa.Column("{column}", sa.Text(), nullable=False, server_default=""))
    op.create_table("{column}_rows", sa.Column("id", sa.Integer(), primary_key=True))
'''
TAKING = '''"""Takes away."""
from alembic import op
revision = "{revision}"
down_revision = "{before}"
AFTER = True
def upgrade() -> None:
    op.drop_table("{column}_rows")
'''


def release(folder: Path, *migrations: str) -> Path:
    """The migrations of a later release: ours, and these behind them."""
    scripts = folder / ("-".join(migrations) or "ours")
    shutil.copytree(migrate.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    before = migrate.wanted()
    for revision in migrations:
        words = TAKING if revision == TAKES else ADDING
        column = "later_a" if revision != ADDS_MORE else "later_b"
        (scripts / "versions" / f"{revision}_later.py").write_text(
            words.format(revision=revision, before=before, column=column), encoding="utf-8"
        )
        before = revision
    return scripts


@pytest.fixture
async def ours(make_database: Callable[[str], str]) -> AsyncIterator[tuple[Process, str, str]]:
    """A process of this release, with the addresses of its stores."""
    record, keys = make_database("relaydesk"), make_database("keys")
    async with process(record, keys) as one:
        yield one, record, keys


async def works(one: Process, address: str) -> None:
    """Take something in, decide it, write it, read it again."""
    await one.inbox.put([arrival(address)], NOW)
    claims = await one.claim()
    assert [row.payload for claim in claims for row in claim.rows] == [f'{{"n": "{address}"}}']
    await one.finish(claims)
    told = story(address=address)
    await one.decide(told.opening("hello"))
    assert told.customer.id in [row["id"] for row in await one.rows(tables.customers)]


async def test_a_process_of_the_release_before_goes_on_and_may_restart(
    ours: tuple[Process, str, str], tmp_path: Path
) -> None:
    """A newer release adds its columns and tables under a running process, which works on and can be started again."""
    old, record, keys = ours
    await works(old, "1")
    later = release(tmp_path, ADDS, ADDS_MORE)
    async with Database.open(record) as newer:
        assert await migrate.upgrade(newer, finish=False, scripts=later) == (migrate.wanted(), ADDS_MORE)
        assert await migrate.fits(newer, later)
        assert await migrate.fits(newer), "to the older release, too"
    await works(old, "2")
    async with process(record, keys, "again") as again:
        await works(again, "3")
        assert await migrate.found(again.db) == ADDS_MORE, "it takes nothing back"


async def test_what_takes_away_waits_for_the_operator(ours: tuple[Process, str, str], tmp_path: Path) -> None:
    """A newer release starts without it, refuses the older one once it is done, and says when it stands in the way."""
    _, record, _ = ours
    later = release(tmp_path, ADDS, TAKES)
    async with Database.open(record) as db:
        assert await migrate.upgrade(db, finish=False, scripts=later) == (migrate.wanted(), ADDS)
        assert await migrate.fits(db, later)
        assert [step.revision for step in migrate.left(ADDS, later)] == [TAKES]
        beyond = release(tmp_path, ADDS, TAKES, ADDS_MORE)
        with pytest.raises(RefusedToStart, match=f"{TAKES} must be done before .* --finish"):
            await migrate.upgrade(db, finish=False, scripts=beyond)
        assert await migrate.upgrade(db, scripts=later) == (ADDS, TAKES)
        assert not await migrate.fits(db)
        with pytest.raises(RefusedToStart, match="newer release"):
            await migrate.upgrade(db)


async def test_a_release_that_writes_what_the_one_before_cannot_read_says_so(
    ours: tuple[Process, str, str], tmp_path: Path
) -> None:
    """Its schema alone would fit; it names the oldest release that may run beside it, and others are refused."""
    _, record, _ = ours
    later = release(tmp_path, ADDS)
    async with Database.open(record) as db:
        await migrate.upgrade(db, scripts=later, beside=ADDS)
        with pytest.raises(RefusedToStart, match="newer release"):
            await migrate.upgrade(db)


async def test_this_release_is_refused_beside_one_that_cannot_read_it(
    ours: tuple[Process, str, str], tmp_path: Path
) -> None:
    """Kinds of entries came with this schema: who knows the one before alone may not work beside it."""
    one, _, _ = ours
    older = release(tmp_path)
    for newest in (older / "versions").glob(f"{migrate.wanted()}_*.py"):
        newest.unlink()
    assert migrate.wanted() > migrate.wanted(older)
    assert await migrate.fits(one.db)
    assert not await migrate.fits(one.db, older)


async def test_processes_that_start_at_once_upgrade_once(make_database: Callable[[str], str]) -> None:
    """One of them does it, the others wait for it and find it done."""
    url = make_database("relaydesk")

    async def start() -> tuple[str | None, str]:
        async with Database.open(url, readers=1) as db:
            return await migrate.upgrade(db)

    assert {now for _, now in await asyncio.gather(*(start() for _ in range(4)))} == {migrate.wanted()}


@pytest.mark.postgres
@pytest.mark.usefixtures("unhurried")
async def test_an_upgrade_gives_way_to_a_process_at_work(postgres_database: Callable[[], str], tmp_path: Path) -> None:
    """Each waits for a table that the other has: PostgreSQL ends that by refusing the upgrade, which tries again."""
    record, keys = postgres_database(), postgres_database()
    later = release(tmp_path, ADDS)
    script = later / "versions" / f"{ADDS}_later.py"
    more = '    op.add_column("outbox", sa.Column("later_a", sa.Text(), nullable=False, server_default=""))\n'
    script.write_text(script.read_text(encoding="utf-8") + more, encoding="utf-8")
    async with process(record, keys) as at_work, Database.open(record, readers=1) as newer:

        async def work(conn: Connection) -> int:
            await conn.execute(text("LOCK TABLE outbox IN ROW EXCLUSIVE MODE"))
            upgrading.append(asyncio.create_task(migrate.upgrade(newer, scripts=later)))
            await asyncio.wait_for(_waits_for(record, "outbox"), patience.LONG_S)
            return int((await conn.execute(text("SELECT count(*) FROM customers"))).scalar_one())

        upgrading: list[asyncio.Task[tuple[str | None, str]]] = []
        assert await at_work.db.write(work) == 0
        assert await upgrading[0] == (migrate.wanted(), ADDS)
        await works(at_work, "1")


@pytest.mark.postgres
async def test_an_upgrade_and_a_backup_end_though_they_meet(
    postgres_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup holds a table and waits for `pg_dump`, that waits behind the upgrade, which waits for the backup."""
    monkeypatch.setattr(migrate, "GIVE_WAY", "300ms")
    record, keys = postgres_database(), postgres_database()
    async with (
        process(record, keys) as at_work,
        Database.open(record, readers=1) as newer,
        Database.open(record, readers=1) as backup,
        Database.open(record, readers=1) as dump,
    ):
        async with backup.read() as conn:
            await conn.execute(text("SELECT count(*) FROM customers"))
            upgrading = asyncio.create_task(migrate.upgrade(newer, scripts=release(tmp_path, ADDS)))
            await asyncio.wait_for(_waits_for(record, "customers"), patience.LONG_S)
            async with dump.read() as other:
                await asyncio.wait_for(
                    other.execute(text("LOCK TABLE customers IN ACCESS SHARE MODE")), patience.LONG_S
                )
        assert await upgrading == (migrate.wanted(), ADDS)
        await works(at_work, "1")


async def _waits_for(record: str, table: str) -> None:
    """Return once somebody waits for a lock on a table."""
    waits = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass"
    async with Database.open(record, readers=1) as other:
        while True:
            async with other.read() as conn:
                if (await conn.execute(text(waits))).scalar_one():
                    return
            await asyncio.sleep(0.02)


# ---- every migration there is ----------------------------------------------------------------------------------------


def shape(connection: SyncConnection) -> dict[str, dict[str, Any]]:
    """Tables with what a statement of an older release may depend on."""
    looked = inspect(connection)
    return {
        table: {
            "columns": {c["name"]: (str(c["type"]), c["nullable"]) for c in looked.get_columns(table)},
            "optional": {c["name"] for c in looked.get_columns(table) if c["nullable"] or c.get("default") is not None},
            "unique": {tuple(index["column_names"]) for index in looked.get_indexes(table) if index["unique"]}
            | {tuple(rule["column_names"]) for rule in looked.get_unique_constraints(table)},
            "key": looked.get_pk_constraint(table)["constrained_columns"],
            "checks": sorted(str(c["sqltext"]) for c in looked.get_check_constraints(table)),
            "foreign": {tuple(rule["constrained_columns"]) for rule in looked.get_foreign_keys(table)},
        }
        for table in looked.get_table_names()
        if table != "alembic_version"
    }


async def test_every_migration_that_does_not_wait_only_adds(tmp_path: Path) -> None:
    """Tables and columns stay as they are, new columns may be left out, nothing new is forbidden: whatever statement
    the release before makes, it still can. A migration that does otherwise says AFTER.
    """

    def to(revision: str) -> Callable[[SyncConnection], None]:
        def go(connection: SyncConnection) -> None:
            config = migrate._config(migrate.SCRIPTS)
            config.attributes["connection"] = connection
            command.upgrade(config, revision)

        return go

    async with Database.open(f"sqlite:///{tmp_path}/grows.db") as db:
        before: dict[str, dict[str, Any]] = {}
        for step in migrate.steps():
            await db.write(lambda conn, step=step: conn.run_sync(to(step.revision)))  # type: ignore[misc]
            async with db.read() as conn:
                now = await conn.run_sync(shape)
            for table, was in {} if step.after else before.items():
                here = f"{step.revision}: {table}"
                assert table in now, here
                is_ = now[table]
                assert was["columns"].items() <= is_["columns"].items(), here
                assert is_["columns"].keys() - was["columns"].keys() <= is_["optional"], here
                new = is_["columns"].keys() - was["columns"].keys()
                assert (is_["key"], is_["checks"]) == (was["key"], was["checks"]), here
                for rule in ("unique", "foreign"):  # one over new columns alone forbids nothing to who leaves them out
                    assert was[rule] <= is_[rule], here
                    assert all(set(over) <= new for over in is_[rule] - was[rule]), here
            before = now
        async with db.read() as conn:
            assert (await conn.execute(text("SELECT count(*) FROM alembic_version"))).scalar_one() == 1
