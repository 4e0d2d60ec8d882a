"""What an operator reads when the data folder is not what it was."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection as SyncConnection

from bot.cli import stores
from domain.errors import RefusedToStart
from storage import migrate, rings
from storage.database import Database
from storage.keys import KeyStore
from tests.bot.cli.conftest import Place


async def _made(_stores: object) -> None:
    await asyncio.sleep(0)


def test_a_damaged_database_is_called_so(place: Place) -> None:
    """A file that is no database any more ends the command with the way out, and is left as it is."""
    place.make_key()
    place.with_stores(_made)
    file = place.folder / "data" / "relaydesk.db"
    spoiled = b"x" * 100 + file.read_bytes()[100:]
    file.write_bytes(spoiled)
    for words in (["run"], ["dead", "list"], ["db", "upgrade"]):
        result = place.run(*words)
        assert result.exit_code != 0
        assert "its file is damaged or is no database; put your backup in its place" in _said(result.output)
        assert "Traceback" not in result.output
    assert file.read_bytes() == spoiled


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "no"), TimeoutError(), socket.gaierror(-2, "db.secret")])
def test_a_server_that_is_not_there_is_told_by_its_variables(error: Exception) -> None:
    """Where to look is said, and not the address itself: it can hold a password."""
    with pytest.raises(RefusedToStart, match=r"cannot be reached .*RELAYDESK_DATABASE_URL") as told, stores.explained():
        raise error
    assert "secret" not in str(told.value)


def test_without_its_key_nothing_is_upgraded(place: Place) -> None:
    """An upgrade cannot be taken back: a key file that is missing, or open to others, is told before it is begun."""
    assert place.run("db", "upgrade").exit_code == 1
    place.make_key()
    key = place.folder / "keys" / "master.key"
    key.chmod(0o644)
    result = place.run("db", "upgrade")
    assert result.exit_code == 1
    assert "chmod 600" in _said(result.output)
    assert not (place.folder / "data" / "relaydesk.db").exists()


async def _before_this_release(record: str, keys: str, ring: rings.MasterRing) -> str:
    """Make both stores as the release before left them; returns its schema."""
    schema = migrate.steps()[-2].revision
    config = migrate._config(migrate.SCRIPTS)

    def made(connection: SyncConnection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, schema)

    async with Database.open(record, readers=1) as database:
        await database.write(lambda conn: conn.run_sync(made))
        store = await KeyStore.open(keys, ring)
        await migrate.check_canary(database, store)
        await store.close()
    return schema


async def _schema(record: str) -> str | None:
    async with Database.open(record, readers=1) as database:
        return await migrate.found(database)


def test_a_record_whose_keys_do_not_fit_is_not_upgraded(place: Place, make_database: Callable[[str], str]) -> None:
    """An upgrade cannot be taken back: keys that are readable and wrong, or gone, are told before it is begun."""
    record, keys, lost, foreign = (make_database(name) for name in ("relaydesk", "keys", "lost", "foreign"))
    place.make_key()
    key_file = place.folder / "keys" / "master.key"
    right = key_file.read_text(encoding="utf-8")
    wrong = rings.MasterRing.generate().text()
    before = asyncio.run(_before_this_release(record, keys, rings.MasterRing.read(key_file)))

    async def make_foreign() -> None:
        await (await KeyStore.open(foreign, rings.MasterRing.read(key_file))).close()

    asyncio.run(make_foreign())

    def upgraded(keystore: str, key: str, *more: str) -> str:
        place.change(database={"url": record}, keystore={"url": keystore})
        key_file.write_text(key, encoding="utf-8")
        return _said(place.run("db", "upgrade", *more).output)

    for more in ((), ("--finish",)):
        assert "needs the master key" in upgraded(keys, wrong, *more)
        assert asyncio.run(_schema(record)) == before
        assert "no key store" in upgraded(lost, right, *more)
        assert asyncio.run(_schema(record)) == before
        assert "does not belong to this database" in upgraded(foreign, right, *more)
        assert asyncio.run(_schema(record)) == before
    assert "no key store" in upgraded(lost, right), "none was made there either"
    assert f"at schema {migrate.wanted()}" in upgraded(keys, right)
    assert asyncio.run(_schema(record)) == migrate.wanted()


@pytest.mark.parametrize(
    "error", [RefusedToStart("the disk is full"), OSError(28, "No space", "/data"), TimeoutError()]
)
def test_what_is_done_and_could_not_be_recorded_is_said_to_be_both(error: Exception) -> None:
    """An act that stands is not told as one that failed; what is no trouble of the trail's is left as it is."""
    with pytest.raises(stores.NotRecorded) as told, stores.recording("version 3 answers"):
        raise error
    assert str(told.value).startswith("version 3 answers, but that is not written into the audit trail: ")
    with pytest.raises(ValueError, match="a defect"), stores.recording("version 3 answers"):
        raise ValueError("a defect")


def test_a_data_folder_that_is_none_is_named(place: Place) -> None:
    """A file where the data folder should be, or a place nobody may write to, is named with the reason."""
    place.make_key()
    place.change(data_dir=str(place.folder / "data"))
    (place.folder / "data").write_text("", encoding="utf-8")
    result = place.run("run")
    assert result.exit_code == 1
    assert f"{place.folder / 'data'} cannot be used (File exists)" in _said(result.output)
    place.change(data_dir=str(Path("/proc/relaydesk")))
    assert "/proc/relaydesk cannot be used (No such file or directory)" in _said(place.run("run").output)


def _said(output: str) -> str:
    return " ".join(output.split())
