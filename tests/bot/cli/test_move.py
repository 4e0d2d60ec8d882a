"""`relaydesk db move`: everything arrives, killed it goes on, and it never writes into what is somebody else's."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable

import pytest
from sqlalchemy import select, text

from bot.opening import Stores
from domain.errors import CannotMove
from storage import flush, moving, tables
from storage.database import Database
from tests import nursery
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import NOW, arrival, new_id, story

pytestmark = pytest.mark.postgres
MANY = 60


async def _fill(stores: Stores) -> None:
    decisions = [
        flush.Decision(id=new_id(), changes=story(f"Ann {n} 吴", str(n)).opening("hello 你好", "and again"))
        for n in range(MANY)
    ]
    prepared = await stores.record.prepare(decisions, NOW)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))
    await stores.inbox.put([arrival("waits")], NOW)
    await stores.database.write(lambda conn: conn.exec_driver_sql("DELETE FROM audit"))


async def _numbers(stores: Stores) -> tuple[int, str, int]:
    async with stores.database.read() as conn:
        count = len((await conn.execute(select(tables.timeline.c.id))).all())
    conversation = await stores.record.by_number(1001)
    assert conversation is not None
    body = (await stores.record.timeline(conversation.id))[0].body
    return count, body, len(await stores.inbox.claim("one", NOW, limit=10))


def _settings(place: Place, record: str, keys: str) -> None:
    place.change(database={"url": record}, keystore={"url": keys})


def _killed(place: Place, count: int) -> None:
    environment = {**os.environ, "RELAYDESK_CRASH_AT": f"in_move:{count}"}
    with nursery.relaydesk(
        "db", "move", "--config", str(place.path), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors


def test_everything_arrives_though_it_is_killed_amid_it(
    place: Place, postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A half move is refused by whoever starts over it, goes on when it is run again, and leaves the files aside; new
    rows get new numbers. What is there already is refused.
    """
    place.make_key()
    place.with_stores(_fill)
    record, keys = postgres_database(), postgres_database()
    assert "names no PostgreSQL" in place.run("db", "move").output
    _settings(place, record, keys)
    _killed(place, 5)
    half = place.run("db", "upgrade")
    assert (half.exit_code, f"db move -c {place.path}` again" in half.output) == (1, True)
    monkeypatch.setattr(moving, "AT_ONCE", 7)
    done = place.run("db", "move")
    assert done.exit_code == 0, done.output
    assert "the same on both sides" in done.output
    assert sorted(file.name for file in (place.folder / "data").glob("*.moved")) == [
        "keys.db.moved",
        "relaydesk.db.moved",
    ]
    assert place.with_stores(_numbers) == (2 * MANY, "hello 你好", 1)

    async def goes_on(stores: Stores) -> list[int]:
        await stores.inbox.put([arrival("later")], NOW)
        async with stores.database.read() as conn:
            return list((await conn.execute(text("SELECT id FROM inbox ORDER BY id"))).scalars())

    assert place.with_stores(goes_on) == [1, 2]
    assert place.run("db", "move").exit_code == 0, "again, it finds nothing left to do"
    for file in (place.folder / "data").glob("*.moved"):
        file.rename(file.with_suffix(""))
    refused = place.run("db", "move")
    assert (refused.exit_code, "is not empty" in refused.output) == (1, True)


def test_a_difference_is_found(postgres_database: Callable[[], str], place: Place) -> None:
    """One changed value on the other side, and nothing counts as moved."""
    place.make_key()
    place.with_stores(_fill)
    target = postgres_database()
    source = f"sqlite:///{place.folder}/data/relaydesk.db"

    async def work() -> None:
        await moving.move(moving.RECORD, source, target)
        async with Database.open(target) as database:
            await database.write(lambda conn: conn.exec_driver_sql("UPDATE identities SET channel = 'other'"))
        with pytest.raises(CannotMove, match="identities differs"):
            await moving.move(moving.RECORD, source, target)
        with pytest.raises(CannotMove, match="half of another move"):
            await moving.move(moving.RECORD, source.replace("data/", "data/../data/"), target)

    asyncio.run(work())


def test_a_hash_tells_rows_apart_and_not_their_order() -> None:
    """The same rows in any order are the same; a moved comma, a type or a doubled row is not."""

    def sums(*rows: tuple[object, ...]) -> moving.Sums:
        made = moving.Sums()
        for row in rows:
            made.add(row)
        return made

    rows: list[tuple[object, ...]] = [("a", 1, None), ("b", 2.5, b"x")]
    assert sums(*rows) == sums(*reversed(rows))
    assert sums(("a", "bc")) != sums(("ab", "c"))
    assert sums((1,)) != sums(("1",))
    assert sums((1,)) != sums((1.0,))
    assert sums((1,), (1,)) != sums((1,))
