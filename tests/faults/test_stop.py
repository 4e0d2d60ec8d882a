"""How it ends and how it refuses to begin: real processes, real signals."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.errors import RefusedToStart
from storage import engines, rings
from tests import nursery, patience
from tests import world as worlds
from tests.faults import lives
from tests.faults.story import UNCLEAR
from tests.world import MAYA, World, eventually

EXIT_REFUSED = 1
STOP_WITHIN_S = 5.0


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose bot has not been started."""
    async with worlds.world(tmp_path, start=False) as made:
        yield made


async def relaydesk(world: World, within: float = patience.LONG_S) -> tuple[int, str]:
    """Run `relaydesk run` until it ends by itself; its exit code and what it said."""
    config = lives.write_config(world)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RELAYDESK_")}
    command = ("run", "--config", str(config))
    with (world.folder / "said.txt").open("w+b") as said:
        process = await asyncio.to_thread(nursery.relaydesk, *command, env=environment, stdout=said, stderr=said)
        with process:
            code = await asyncio.to_thread(process.wait, within)
        said.seek(0)
        return code, said.read().decode()


async def test_sigterm_under_load_ends_within_five_seconds_and_loses_nothing(still: World) -> None:
    """Code 0; what was written before, during and after it appears once, and no answer became unclear."""
    async with lives.nursery(still) as nursery:
        life = await nursery.start()
        assert await life.ready(still.client)
        phone = await still.customer("Ann")
        await phone.says("message 0")
        card = await still.card()
        said: list[str] = ["message 0"]
        answered: list[str] = []
        writing = True

        async def write() -> None:
            while writing:
                said.append(f"message {len(said)}")
                await phone.says(said[-1])
                answered.append(f"answer {len(answered)}")
                await card.says(MAYA, answered[-1])
                await asyncio.sleep(0.02)

        writer = asyncio.create_task(write())
        await asyncio.sleep(1.5)
        with patience.Own(life.pid, os.getpid()) as took:
            life.kill(signal.SIGTERM)
            code = await life.over(patience.LONG_S)
        assert code == 0
        assert took.seconds < STOP_WITHIN_S
        writing = False
        await writer
        await nursery.start()

        async def all_there() -> bool:
            posts = [post["text"] for post in await card.posts() if post.get("bot_id")]
            shown = [text for text in posts if text.startswith("message ")]
            arrived = await phone.answers()
            assert len(shown) <= len(said), "a message was posted twice"
            assert len(arrived) <= len(answered), "an answer was sent twice"
            return shown == said and arrived == answered

        await eventually(all_there, what="everything once, in order")
        assert not any(UNCLEAR in post["text"] for post in await card.posts())


async def test_a_deaf_process_exits_with_70(still: World) -> None:
    """A supervisor starts it afresh when no poll has succeeded for too long."""
    short = {"telegram": {"deaf_after": "2s", "poll_timeout": "1s"}, "slack": {"deaf_after": "2s"}}
    still.overrides = worlds.merged(still.overrides, short)
    await still.control("faults", platform="telegram", method="getUpdates", fault="500", count=None)
    code, said = await relaydesk(still)
    assert code == 70, said
    assert "process.deaf" in said


async def test_a_second_process_over_the_same_folder_is_refused(still: World) -> None:
    """Two writers over one SQLite file would undo each other; the first goes on."""
    await still.start()
    code, said = await relaydesk(still)
    assert code == EXIT_REFUSED
    assert "Another Relaydesk runs over" in said
    assert "PostgreSQL" in said
    phone = await still.customer("Ann")
    await phone.says("Where is my parcel?")
    assert await still.card()


async def refused(world: World, reason: str) -> None:
    """Start it and see it refuse, with this reason in its words."""
    with pytest.raises(RefusedToStart, match=reason):
        await world.start()
    world.task = None


async def started_once(world: World) -> None:
    """Make the databases and the keys, as a first start does."""
    await world.start()
    await world.stop()


async def test_a_wrong_master_key_is_refused_with_the_reason(still: World) -> None:
    """Nothing could be read with it, and nothing must be written with it."""
    await started_once(still)
    path = still.folder / "keys" / "master.key"
    path.unlink()
    rings.create_master_file(path)
    await refused(still, "master key")
    code, said = await relaydesk(still)
    assert code == EXIT_REFUSED
    assert "master key" in said
    assert "Traceback" not in said


async def test_a_database_of_a_newer_release_is_refused(still: World) -> None:
    """An older release must not touch what it does not understand, unless the newer one says that it may."""
    await started_once(still)
    with sqlite3.connect(still.folder / "data" / "relaydesk.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.execute("UPDATE meta SET value = '9999' WHERE name = 'schema.oldest'")
    connection.close()
    await refused(still, r"newer release \(schema 9999")


async def test_a_key_store_of_another_database_is_refused(still: World, tmp_path: Path) -> None:
    """Everything would read as erased; the operator is told which file to put back."""
    await started_once(still)
    other = World(
        url=still.url,
        folder=tmp_path / "other",
        overrides=worlds.merged(still.overrides, {"data_dir": str(tmp_path / "other")}),
        client=still.client,
    )
    await started_once(other)
    ours, theirs = still.folder / "data", tmp_path / "other"
    keys = [path.name for path in theirs.iterdir() if path.name.startswith("keys.db")]
    for path in list(ours.glob("keys.db*")):
        path.unlink()
    for name in keys:
        (ours / name).write_bytes((theirs / name).read_bytes())
    await refused(still, "does not belong to this database")


async def test_a_network_file_system_is_refused(still: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's log needs memory shared on one machine."""
    monkeypatch.setattr(engines, "file_system_of", lambda *_: "nfs4")
    await refused(still, r"network file system \(nfs4\)")
