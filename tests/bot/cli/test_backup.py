"""`relaydesk backup`: made, listed, proved, put back; killed amid it nothing is half, and doctor knows its age."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bot import backups, settings
from bot.opening import Stores
from storage import backup, flush, tables
from tests import nursery, patience
from tests.bot.cli.conftest import ROOT, Place
from tests.contracts.storage_kit import NOW, new_id, story


async def _filled(stores: Stores) -> None:
    prepared = await stores.record.prepare([flush.Decision(id=new_id(), changes=story().opening("a message"))], NOW)
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))


async def _message(stores: Stores) -> str:
    conversation = await stores.record.by_number(1001)
    assert conversation is not None
    return (await stores.record.timeline(conversation.id))[0].body


def _fill(place: Place) -> Place:
    place.make_key()
    place.change(backup={"record_to": ["there/record"], "keys_to": ["elsewhere/keys"]})
    place.with_stores(_filled)
    return place


@pytest.fixture
def filled(place: Place) -> Place:
    return _fill(place)


@pytest.fixture
def filled_either(either: Place) -> Place:
    """The same over either engine."""
    return _fill(either)


def _said(output: str) -> str:
    return " ".join(output.split())


def _killed(place: Place, point: str, *words: str) -> None:
    environment = {**os.environ, "RELAYDESK_CRASH_AT": point}
    with nursery.relaydesk(
        "backup",
        *words,
        "--config",
        str(place.path),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors


def test_a_backup_is_made_listed_and_proved(filled: Place) -> None:
    """Sealed files for our eyes only; doctor says how old the proof is."""
    checks = {one["name"]: one for one in json.loads(filled.run("doctor", "--offline", "--json").stdout)["checks"]}
    assert (checks["backups"]["state"], checks["backups"]["fix"]) == ("wrong", "run: relaydesk backup now")
    result = filled.run("backup", "now")
    assert result.exit_code == 0, result.output
    assert "1 messages opened" in _said(result.output) or "2 messages opened" in _said(result.output)
    listed = json.loads(filled.run("backup", "list", "--json").stdout)
    assert [(one["what"], one["place"]) for one in listed] == [
        ("record", str(filled.folder / "there" / "record")),
        ("key store", str(filled.folder / "elsewhere" / "keys")),
    ]
    files = [*(filled.folder / "there").rglob("relaydesk-*"), *(filled.folder / "elsewhere").rglob("relaydesk-*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert filled.run("backup", "verify").exit_code == 0
    checks = {one["name"]: one for one in json.loads(filled.run("doctor", "--offline", "--json").stdout)["checks"]}
    assert checks["backups"]["state"] == "ok"


def test_a_lost_machine_is_put_back_from_its_backups(filled: Place) -> None:
    """Without data folder, with the master key's copy and both directories; a drill beside it harms nothing."""
    assert filled.run("backup", "now").exit_code == 0
    drill = filled.run("backup", "restore", "latest", "--into", str(filled.folder / "drill"))
    assert drill.exit_code == 0, drill.output
    assert (filled.folder / "drill" / "relaydesk.db").is_file()
    shutil.rmtree(filled.folder / "data")
    result = filled.run("backup", "restore", "latest")
    assert result.exit_code == 0, result.output
    assert filled.with_stores(_message) == "a message"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (filled.folder / "data").glob("*.db")} == {0o600}
    refused = filled.run("backup", "restore", "latest")
    assert refused.exit_code == 1
    assert "with --replace it is set aside" in _said(refused.output)
    assert filled.with_stores(_restored) == ["here, 0 erased again"], "the trail that was put back says so"


async def _restored(stores: Stores) -> list[str]:
    async with stores.database.read() as conn:
        rows = await conn.execute(select(tables.audit.c.detail).where(tables.audit.c.action == "backup.restore"))
        return [str(detail) for detail in rows.scalars()]


def test_the_master_key_that_is_missing_is_named(filled: Place) -> None:
    """Whoever restores with an older copy of the key file learns which key to look for."""
    assert filled.run("backup", "now").exit_code == 0
    needed = json.loads(filled.run("backup", "list", "--json").stdout)[0]["key"]
    shutil.rmtree(filled.folder / "data")
    shutil.rmtree(filled.folder / "keys")
    filled.make_key()
    result = filled.run("backup", "restore", "latest")
    assert result.exit_code == 1
    assert f"needs the master key {needed}" in _said(result.output)
    assert not (filled.folder / "data" / "relaydesk.db").exists()


@pytest.mark.parametrize("count", [1, 2])
def test_a_backup_that_was_killed_leaves_no_half_file(filled_either: Place, count: int) -> None:
    """What stands in the directories is whole; the next one is made as if nothing had been."""
    _killed(filled_either, f"in_backup:{count}", "now")
    for one in json.loads(filled_either.run("backup", "list", "--json").stdout):
        assert one["what"] == "record"
    assert filled_either.run("backup", "verify").exit_code == 1
    assert filled_either.run("backup", "now").exit_code == 0
    assert filled_either.run("backup", "verify").exit_code == 0
    assert filled_either.with_stores(_message) == "a message"


def test_a_restore_that_was_killed_starts_nothing_and_goes_on(filled_either: Place) -> None:
    """SIGKILL between the two stores: every command says what to do, and doing it ends well."""
    assert filled_either.run("backup", "now").exit_code == 0
    _killed(filled_either, "in_restore:1", "restore", "latest", "--replace")
    stopped = filled_either.run("show", "1001")
    assert stopped.exit_code == 1
    assert "was interrupted; run `relaydesk backup restore" in _said(stopped.output)
    again = filled_either.run("backup", "restore", "latest")
    assert again.exit_code == 0, again.output
    assert filled_either.with_stores(_message) == "a message"
    assert filled_either.run("show", "1001").exit_code == 0


def test_one_directory_for_both_is_a_mistake(place: Place) -> None:
    """So is one kind without the other, and keys that are kept for too long."""
    for given, says in (
        ({"record_to": ["a"], "keys_to": ["a"]}, "for both"),
        ({"record_to": ["a"]}, "needs both"),
        ({"record_to": ["a"], "keys_to": ["b"], "keep_keys": "60d"}, "too long"),
    ):
        place.change(backup=None)
        place.change(backup=given)
        result = place.run("config", "check")
        assert result.exit_code == 2
        assert says in _said(result.output)


def test_without_directories_nothing_is_made(place: Place) -> None:
    """Said plainly, and doctor only notes it."""
    place.make_key()
    place.with_stores(_filled)
    assert "name no directories" in _said(place.run("backup", "now").output)
    assert "name no directories" in _said(place.run("backup", "list").output)
    assert "There are no backups here yet" in place.run("backup", "list", "--from", str(place.folder)).output
    checks = {one["name"]: one for one in json.loads(place.run("doctor", "--offline", "--json").stdout)["checks"]}
    assert checks["backups"]["state"] == "note"


@pytest.mark.parametrize(
    ("hours", "due"), [(None, True), (-25, True), (-23, False), (0, False), (1, False), (24 * 365, True)]
)
def test_a_backup_is_due_though_the_last_one_lies_ahead(hours: float | None, due: bool) -> None:
    """The machine started with a clock that was a year ahead: there is a backup tomorrow, and not in a year."""
    now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    last = None if hours is None else now + timedelta(hours=hours)
    assert backups.is_due(last, now, timedelta(days=1)) is due


def test_the_running_bot_makes_backups_in_time(filled: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a process of its own; a failure is told and tried again later."""
    monkeypatch.setattr(backups, "LOOK_EVERY_S", 0.05)
    monkeypatch.chdir(ROOT)

    async def work(stores: Stores) -> None:
        loop = backups.Backups(settings.load(filled.path, environment={}), stores.database)
        assert await loop.age_s() != await loop.age_s()  # NaN: none was ever proved
        task = asyncio.create_task(loop.run())
        async with asyncio.timeout(patience.LONG_S):
            while await backup.last_verified(stores.database) is None:  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await loop.age_s() < timedelta(minutes=2).total_seconds()
        (filled.folder / "elsewhere").rename(filled.folder / "gone")
        (filled.folder / "elsewhere").write_text("in the way", encoding="ascii")
        assert not await loop.once()

    filled.with_stores(work)
    assert json.loads(filled.run("backup", "list", "--json").stdout)
