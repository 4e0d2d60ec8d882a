"""When too much waits: reading becomes simpler and then whole again, and nothing is left out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from bot.load import Load
from storage import lanes, migrate
from storage.database import Database
from storage.tables import stamp
from tests.contracts.storage_kit import at


class Reader:
    """Whoever reads."""

    hurried = False


async def test_it_hurries_until_half_is_caught_up(make_database: Callable[[str], str]) -> None:
    """It begins at the limit, goes on until half of it, and then reads in full again; without a limit never."""
    async with Database.open(make_database("relaydesk")) as db:
        await migrate.upgrade(db)
        reader = Reader()
        load = Load(db, reader, timedelta(seconds=60))
        seen = []
        for behind in (0, 59, 60, 40, 31, 30, 59):
            load.judge(behind)
            seen.append(reader.hurried)
        assert seen == [False, False, True, True, True, False, False]
        never = Load(db, reader, None)
        never.judge(10_000)
        assert not reader.hurried
        assert await load.behind_s("in") == 0.0
        await db.write(lambda conn: lanes.make_ready(conn, "in", {"a": (stamp(at(0)), 0), "b": (stamp(at(-60)), 3)}))
        assert await load.behind_s("in") > await load.behind_s("out") == 0.0
