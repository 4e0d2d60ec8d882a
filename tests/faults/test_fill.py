"""The database fails under a running desk and comes back: the desk goes on by itself; every message is there once."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from bot.desk.ingress import Intake
from storage import engines
from storage import local as local_files
from storage.database import Database
from storage.engines import Connection
from tests import patience
from tests import world as worlds
from tests.faults import disk, fill
from tests.faults.oracle import Verdict
from tests.faults.proxy import proxy
from tests.faults.traffic import Customer, Traffic

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def failing_disks() -> None:
    """Skips the test where no disk can be made to fail, with the reason."""
    why_not = disk.out_of_reach()
    if why_not:
        pytest.skip(why_not)


async def insert(conn: Connection) -> None:
    await conn.exec_driver_sql("INSERT INTO t VALUES (1)")


async def create(conn: Connection) -> None:
    await conn.exec_driver_sql("CREATE TABLE t (x INTEGER)")


async def count(database: Database) -> int:
    async def look(conn: Connection) -> int:
        return int((await conn.exec_driver_sql("SELECT count(*) FROM t")).scalar_one())

    return await database.query(look)


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("failing_disks")
async def test_a_disk_that_fails_and_comes_back_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Full, failing to write, failing to sync: nobody restarts anything, and the judge finds every message once."""
    plan = fill.Plan(seed=5, only=("full", "error_write", "error_sync"), trouble_s=(0.5, 0.8))
    report = await fill.run(plan, tmp_path)
    assert report.verdict.faults == []
    assert set(report.failed_calls) == {"full", "error_write", "error_sync"}
    assert report.verdict.messages
    row = report.row("slice", "abc")
    assert (row.campaign, sum(row.faults.values())) == ("fill", 3)


@pytest.mark.usefixtures("failing_disks")
@pytest.mark.parametrize("fault", sorted(disk.FAULTS))
async def test_a_failing_disk_fails_the_write_and_nothing_else(tmp_path: Path, fault: str) -> None:
    """What was told to be written is there, what was refused is not, and the file is whole."""
    with disk.under(tmp_path) as failing:
        async with Database.open(f"sqlite:///{tmp_path / 'one.db'}") as database:
            await database.write(create)
            written = 0
            with failing.failing(fault):
                for _ in range(3):
                    try:
                        await database.write(insert)
                        written += 1
                    except SQLAlchemyError:
                        pass
            assert fault == "error_read" or failing.failed[fault]
            await database.write(insert)
            assert await count(database) == written + 1
            assert await database.checkpoint()
    with closing(sqlite3.connect(tmp_path / "one.db")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_file_layer_that_the_interpreter_does_not_have_is_a_reason() -> None:
    """As when it brings an SQLite of its own, which the shared library's layers do not reach."""
    assert "no such vfs" in disk.refusal("nobody has registered it")


@pytest.mark.usefixtures("failing_disks")
async def test_a_log_that_cannot_be_brought_into_the_file_is_an_error_that_everybody_knows(tmp_path: Path) -> None:
    """The driver's own error would end whoever asked for it; the operating system's is waited out."""
    with disk.under(tmp_path) as failing:
        async with Database.open(f"sqlite:///{tmp_path / 'one.db'}") as database:
            await database.write(create)
            with failing.failing("full"), pytest.raises(OSError, match="log cannot be brought"):
                await database.checkpoint()
            assert await database.checkpoint()


async def test_a_log_that_grows_under_a_long_reader_is_told_and_shrinks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While somebody reads nothing can be tidied away; the log says so once, and is small soon after they end."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(local_files, "TIDY_EVERY_COMMITS", 2)
    monkeypatch.setattr(local_files, "LOG_GROWS_PAGES", 40)
    monkeypatch.setattr(engines, "LOG_KEPT_BYTES", 64 * 1024)
    monkeypatch.setattr(local_files.log, "warning", lambda event, **more: told.append({"event": event, **more}))

    async def much(conn: Connection) -> None:
        await conn.exec_driver_sql("INSERT INTO t SELECT randomblob(4000) FROM (VALUES (1), (2), (3), (4), (5), (6))")

    async with Database.open(f"sqlite:///{tmp_path / 'one.db'}") as database:
        await database.write(create)
        with closing(sqlite3.connect(tmp_path / "one.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM t").fetchall()
            for _ in range(16):
                await database.write(much)
            await asyncio.sleep(0.1)
            large = database.log_bytes()
            reader.execute("ROLLBACK")
        assert large > 200_000

        async def small() -> bool:
            await database.write(insert)
            return database.log_bytes() <= 64 * 1024

        await patience.eventually(small, what="a small log")
    grown = [one for one in told if one["event"] == "database.log_grows"]
    assert 1 <= len(grown) <= 4
    assert all("reading" in one["meaning"] for one in grown)


async def test_once_storing_works_again_whoever_fills_gaps_hears_of_it() -> None:
    """What Slack was refused comes again later than what is stored now, so that threads must be read first."""
    works, heard, stored = True, 0, 0

    async def accept(arrivals: object) -> int:
        nonlocal stored
        if not works:
            raise OSError(28, "no space left")
        stored += 1
        return 1

    def missed() -> None:
        nonlocal heard
        heard += 1

    def payload(ts: str) -> dict[str, Any]:
        event = {"type": "message", "channel": "C1", "user": "U1", "thread_ts": "1.0", "ts": ts, "text": "hello"}
        return {"type": "event_callback", "event": event}

    intake = Intake(lambda: NOW, lambda _event: None, missed=missed)
    intake.open(accept)
    await intake.take("events_api", payload("1.1"))
    works = False
    for ts in ("1.2", "1.3"):
        with pytest.raises(OSError, match="no space"):
            await intake.take("events_api", payload(ts))
    works = True
    for ts in ("1.4", "1.3", "1.2"):
        await intake.take("events_api", payload(ts))
    assert (stored, heard) == (4, 1)


@pytest.mark.postgres
@pytest.mark.parametrize(("moment", "arrives"), [("before", 0), ("after", 1)])
async def test_a_connection_lost_during_a_commit_is_an_error_and_not_a_guess(
    postgres_database: Callable[[], str], moment: str, arrives: int
) -> None:
    """Whoever waits hears that it failed, whether the server has it or not; the next write gets a new connection."""
    url = make_url(postgres_database())
    home = Path(str(url.query["host"]))
    async with proxy(home / ".s.PGSQL.5432") as between:
        there = f"postgresql+asyncpg://postgres@127.0.0.1:{between.port}/{url.database}"
        async with Database.open(there) as database:
            await database.write(create)
            between.losing = moment
            with pytest.raises(SQLAlchemyError):
                await database.write(insert)
            between.losing = None
            await database.write(insert)
            assert await count(database) == 1 + arrives
    assert between.lost == {moment: 1}


def test_a_trouble_that_lost_a_message_would_be_written_down_as_a_failure() -> None:
    """A campaign that could not fail would prove nothing."""
    report = fill.Report(plan=fill.Plan(seed=1), verdict=Verdict(lost=["thread: hello"]))
    row = report.row("one", "abc")
    assert (row.lost, row.failures) == (1, ("lost: thread: hello",))


async def test_people_write_no_faster_than_what_they_wrote_is_fetched(tmp_path: Path) -> None:
    """Otherwise the newest message stands behind more and more others, and a slow machine looks like a broken desk."""
    async with worlds.world(tmp_path, start=False) as world:
        customer = Customer(name="Customer-0", phone=await world.customer("Customer-0"))
        books = fill.PatientBooks.of(world.settings().database_url)
        traffic = Traffic(
            world=world, books=books, rng=random.Random(1), customers=[customer], allowed=0, pause_s=(0.0, 0.0)
        )
        tasks = [asyncio.create_task(work) for work in (traffic.run(), fill.paced(world, traffic))]

        async def waiting() -> int:
            return len((await world.look("telegram/updates"))["updates"])

        async def too_many() -> bool:
            return await waiting() > fill.MOST_WAITING and not traffic.is_writing

        await worlds.eventually(too_many, what="people stop writing")
        held = len(customer.said)
        await asyncio.sleep(0.5)
        assert len(customer.said) == held
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await books.close()
