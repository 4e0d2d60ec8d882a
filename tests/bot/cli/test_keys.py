"""`relaydesk keys`: rotation goes on where it was killed, the bot goes on meanwhile, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess

import pytest

from bot import opening, settings
from bot.opening import Stores
from storage import flush, rings, shelves, tables
from tests import nursery
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import NOW, new_id, story

MANY = 1_200
ANN = story()


async def _filled(stores: Stores) -> None:
    prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=ANN.opening("a message"))], NOW)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))
    await stores.keys.data_keys([f"c{number:05d}" for number in range(MANY)], create=True)


async def _message(stores: Stores) -> str:
    (conversation,) = [await stores.record.by_number(1001)]
    assert conversation is not None
    return (await stores.record.timeline(conversation.id))[0].body


async def _acts(stores: Stores) -> list[tuple[str, str]]:
    async with stores.database.read() as conn:
        rows = await conn.execute(tables.audit.select().order_by(tables.audit.c.seq))
        return [(row.action, row.object) for row in rows]


def _ring(place: Place) -> rings.MasterRing:
    return rings.MasterRing.read(place.folder / "keys" / "master.key")


def _listed(place: Place) -> dict[str, tuple[int, str]]:
    found = json.loads(place.run("keys", "list", "--json").stdout)
    return {one["id"]: (one["wraps"], one["state"]) for one in found}


@pytest.fixture
def filled(place: Place) -> Place:
    place.make_key()
    place.with_stores(_filled)
    return place


def test_a_rotation_moves_every_key_and_the_old_one_can_go(filled: Place) -> None:
    """Messages read as before, the new key alone opens everything, the file stays private."""
    before = _ring(filled)
    result = filled.run("keys", "rotate", "--yes")
    assert result.exit_code == 0, result.output
    after = _ring(filled)
    assert after.active != before.active
    assert list(after.keys) == [after.active, before.active]
    listed = _listed(filled)
    assert listed[before.active] == (0, "for old backups only")
    assert listed[after.active][0] > MANY
    assert filled.run("keys", "drop", after.active, "--yes").exit_code == 1
    assert filled.run("keys", "drop", before.active, "--yes").exit_code == 0
    assert filled.with_stores(_acts)[-1] == ("keys.drop", f"key:{before.active}")
    assert list(_ring(filled).keys) == [after.active]
    assert filled.with_stores(_message) == "a message"
    assert stat.S_IMODE((filled.folder / "keys" / "master.key").stat().st_mode) == 0o600


def test_nothing_moves_until_the_new_key_was_copied(filled: Place) -> None:
    """Asked first; a no leaves the old key in charge of every key, and the next run goes on."""
    before = _ring(filled)
    result = filled.run("keys", "rotate", typed="n\n")
    assert result.exit_code == 1
    assert _listed(filled)[before.active][1] == "still needed"
    assert filled.run("keys", "rotate", typed="y\n").exit_code == 0
    assert len(_ring(filled).keys) == 2
    assert _listed(filled)[before.active][0] == 0


def test_a_key_that_is_needed_stays(filled: Place) -> None:
    """And one that is not there is named."""
    assert filled.run("keys", "drop", _ring(filled).active, "--yes").exit_code == 1
    assert "has no master key k-none" in " ".join(filled.run("keys", "drop", "k-none", "--yes").output.split())


def test_a_rotation_that_was_killed_goes_on(either: Place) -> None:
    """SIGKILL amid it: both keys are needed, everything reads; run again, it ends without a third key."""
    filled = either
    filled.make_key()
    filled.with_stores(_filled)
    before = _ring(filled)
    environment = {**os.environ, "RELAYDESK_CRASH_AT": "in_rotate:2"}
    command = ("keys", "rotate", "--yes", "--config", str(filled.path))
    with nursery.relaydesk(*command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as killed:
        _, errors = killed.communicate()
        assert killed.returncode == -signal.SIGKILL, errors
    halfway = _listed(filled)
    assert all(count > 0 for count, _ in halfway.values())
    assert filled.with_stores(_message) == "a message"
    result = filled.run("keys", "rotate", "--yes")
    assert result.exit_code == 0, result.output
    assert "Going on" in result.output
    assert len(_ring(filled).keys) == 2
    assert _listed(filled)[before.active][0] == 0
    assert filled.with_stores(_message) == "a message"


def test_a_running_process_goes_on_through_a_rotation(filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads what was moved and makes new keys, without a restart."""
    monkeypatch.setattr(shelves, "CACHE_AGE_S", 0.0)
    monkeypatch.setattr(rings, "REREAD_PAUSE_S", 0.0)

    async def work() -> None:
        async with opening.open_stores(settings.load(filled.path, environment={})) as running:
            made = await running.keys.data_keys(["c00000"])
            result = await asyncio.to_thread(filled.run, "keys", "rotate", "--yes")
            assert result.exit_code == 0, result.output
            assert await running.keys.data_keys(["c00000"]) == made
            fresh = await running.keys.data_keys(["newcomer"], create=True)
            assert await running.keys.data_keys(["newcomer"]) == fresh

    asyncio.run(work())
    assert _listed(filled)[_ring(filled).active][0] > MANY


def test_a_running_process_makes_keys_right_after_a_rotation(filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key was retired under it: it finds the new one by itself, for many at once."""
    monkeypatch.setattr(rings, "REREAD_PAUSE_S", 0.0)

    async def work() -> None:
        async with opening.open_stores(settings.load(filled.path, environment={})) as running:
            assert (await asyncio.to_thread(filled.run, "keys", "rotate", "--yes")).exit_code == 0
            made = await asyncio.gather(*(running.keys.data_keys([f"new{n}"], create=True) for n in range(5)))
            assert len({key for found in made for key in found.values()}) == 5

    asyncio.run(work())


def test_a_ring_in_the_environment_is_rotated_by_hand(filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says how; with a new first line it moves the keys."""
    old = (filled.folder / "keys" / "master.key").read_text(encoding="utf-8")
    monkeypatch.setenv("RELAYDESK_MASTER_KEY", old)
    assert "relaydesk keys new" in " ".join(filled.run("keys", "rotate", "--yes").output.split())
    from typer.testing import CliRunner

    from bot.cli import main

    line = CliRunner().invoke(main.app, ["keys", "new"]).stdout.strip()
    monkeypatch.setenv("RELAYDESK_MASTER_KEY", f"{line}\n{old}")
    result = filled.run("keys", "rotate")
    assert result.exit_code == 0, result.output
    assert _listed(filled)[line.partition(":")[0]][0] > MANY
