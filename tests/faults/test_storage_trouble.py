"""The database is held by somebody else for a while: nothing is lost, nothing sent becomes unclear."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from bot import leasing
from storage import lanes
from storage.database import Database
from tests import patience
from tests.faults.story import UNCLEAR, answers, arrive, begun, requests, stand
from tests.world import World

LOCKED_S = 6.5  # longer than a connection waits for the lock by itself


async def hold(path: Path, seconds: float) -> None:
    """Keep the write lock of a database, as a backup or another program may."""

    def work() -> sqlite3.Connection:
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=patience.LONG_S)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    connection = await asyncio.to_thread(work)
    try:
        await asyncio.sleep(seconds)
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_many_readers_at_once_wait_for_one_another(tmp_path: Path) -> None:
    """More readers than connections: each gets its turn, and nobody holds what another one needs to go on."""
    async with Database.open(f"sqlite:///{tmp_path / 'many.db'}", readers=2) as database:

        async def look() -> int:
            async with database.read() as conn:
                await conn.exec_driver_sql("SELECT 1")
                await asyncio.sleep(0)
                return int((await conn.exec_driver_sql("SELECT 2")).scalar_one())

        found = await asyncio.wait_for(asyncio.gather(*(look() for _ in range(40))), patience.LONG_S)
        assert found == [2] * 40


async def test_a_slow_call_is_not_taken_up_a_second_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A send that takes longer than a lease keeps it: nothing becomes unclear, nothing goes out twice."""
    monkeypatch.setattr(lanes, "LEASE", timedelta(seconds=4))
    monkeypatch.setattr(leasing, "RENEW_S", 0.4)
    await world.stop()
    await world.start()
    phone, card = await begun(world)
    await world.control("faults", platform="telegram", method="sendMessage", fault="delay", seconds=7, count=1)
    await answers(card, "one", "two")
    await arrive(phone, "one", "two")
    assert not any(UNCLEAR in post["text"] for post in await card.posts())
    assert await requests(world, "telegram", "sendMessage") == 2


async def test_a_locked_database_delays_and_nothing_more(world: World) -> None:
    """What comes in meanwhile is not acknowledged before it is stored; an answer on its way keeps its receipt."""
    await world.control("slack/settings", ack_timeout_s=3.0)  # as at Slack: it says everything again meanwhile
    phone, card = await begun(world)
    path = world.house.stores.database.path
    assert path is not None
    await world.control("faults", platform="telegram", method="sendMessage", fault="delay", seconds=0.5, count=1)
    await answers(card, "one")
    await asyncio.sleep(0.3)  # the call is under way when the lock falls
    holding = asyncio.create_task(hold(path, LOCKED_S))
    await asyncio.sleep(0.1)
    await phone.says("written while it is locked")
    await answers(card, "two")
    await holding
    await stand(card, "Where is my parcel?", "written while it is locked")
    await arrive(phone, "one", "two")
    assert not any(UNCLEAR in post["text"] for post in await card.posts())
    assert await requests(world, "telegram", "sendMessage") == 2
    assert await world.house.stores.inbox.dead() == []
