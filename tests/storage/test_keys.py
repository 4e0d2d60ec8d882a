"""The key store keeps keys, destroys them for good, and notices a wrong master key before anything else."""

from __future__ import annotations

import asyncio
import re
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from domain.errors import CannotDecrypt, ConfigError, KeyDestroyed, RefusedToStart
from storage import crypto, keys, shelves
from storage.engines import Connection
from storage.keys import KeyStore, MasterRing
from tests import outside

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
DAY = NOW.date()
RING = MasterRing(keys={"k-one": bytes(range(32))}, active="k-one", source="keys/master.key")
ROTATED = MasterRing(
    keys={"k-two": bytes(range(32, 64)), "k-one": bytes(range(32))}, active="k-two", source="keys/master.key"
)

Open = Callable[..., Awaitable[KeyStore]]


@pytest.fixture
def url(make_database: Callable[[str], str]) -> str:
    return make_database("keys")


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Open]:
    """Opens the store as often as wanted, as so many processes would; closes them all."""
    stores: list[KeyStore] = []

    async def open_store(ring: MasterRing = RING, *, create: bool = True) -> KeyStore:
        stores.append(await KeyStore.open(url, ring, create=create, now=lambda: NOW))
        return stores[-1]

    yield open_store
    for store in stores:
        await store.close()


async def run_sql(url: str, statement: object) -> None:
    """Change the store behind its back."""
    engine = outside.engine(url)
    async with engine.begin() as conn:
        await conn.execute(statement)  # type: ignore[call-overload]
    await engine.dispose()


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def wrapped_rows(url: str) -> dict[str, bytes]:
    engine = outside.engine(url)
    async with engine.connect() as conn:
        rows = (await conn.execute(select(shelves.data_keys.c.customer_id, shelves.data_keys.c.wrapped))).all()
    await engine.dispose()
    return {row.customer_id: row.wrapped for row in rows}


async def test_created_keys_are_found_after_a_restart(opened: Open) -> None:
    """What was sealed yesterday opens today: a key is durable when it is handed out."""
    first = await opened()
    made = await first.data_keys(["anna", "bo"], create=True)
    await first.close()
    second = await opened(create=False)
    assert await second.data_keys(["anna", "bo", "nobody"]) == made
    assert {len(key) for key in made.values()} == {crypto.KEY_BYTES}
    assert made["anna"] != made["bo"]


async def test_reading_makes_no_keys(opened: Open) -> None:
    """A look-up of an unknown customer leaves no trace."""
    store = await opened()
    assert await store.data_keys(["nobody"]) == {}
    assert await (await opened()).data_keys(["nobody"]) == {}
    assert await store.data_keys([]) == {}
    assert await store.data_keys([], create=True) == {}


async def test_processes_that_create_at_once_agree(opened: Open, url: str) -> None:
    """Four processes, the same customers in different orders: the first one wins, and all use its keys."""
    stores = [await opened() for _ in range(4)]
    ids = [f"c{number:04}" for number in range(1_500)]
    orders = [ids, ids[::-1], ids[700:] + ids[:700], ids[::2] + ids[1::2]]
    results = await asyncio.gather(
        *(store.data_keys(order, create=True) for store, order in zip(stores, orders, strict=True))
    )
    assert all(result == results[0] for result in results)
    assert set(results[0]) == set(ids) == set(await wrapped_rows(url))
    assert len(set(results[0].values())) == len(ids)


async def test_tasks_of_one_process_that_create_at_once_agree(opened: Open) -> None:
    """A burst of first messages from one customer makes one key."""
    store = await opened()
    results = await asyncio.gather(*(store.data_keys(["anna"], create=True) for _ in range(50)))
    assert len({result["anna"] for result in results}) == 1


async def test_stores_that_are_created_at_once_are_one(opened: Open) -> None:
    """Two processes started together on nothing share tables, canary and the house's own keys."""
    stores = await asyncio.gather(*(opened() for _ in range(4)))
    assert len({store.purpose("index") for store in stores}) == 1
    assert len({store.id for store in stores}) == 1


async def test_more_customers_than_fit_one_query_or_the_memory(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is complete whatever the bounds are; they are made small here to be crossed."""
    monkeypatch.setattr(shelves, "CACHED_KEYS", 10)
    monkeypatch.setattr(shelves, "_IDS_PER_QUERY", 7)
    store = await opened()
    ids = [f"c{number}" for number in range(40)]
    made = await store.data_keys(ids, create=True)
    assert set(made) == set(ids)
    assert await store.data_keys(ids) == made


async def test_a_cancelled_creation_is_whole_or_not_there(opened: Open) -> None:
    """A caller that is stopped in the middle leaves a store that works, and a key that all agree on."""
    store = await opened()
    task = asyncio.create_task(store.data_keys(["anna"], create=True))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    made = await store.data_keys(["anna"], create=True)
    assert await (await opened()).data_keys(["anna"]) == made


async def test_a_destroyed_key_stays_destroyed(opened: Open) -> None:
    """After erasure there is no key: not from memory, not after a restart, not by asking for a new one."""
    store = await opened()
    await store.data_keys(["anna", "bo"], create=True)
    await store.destroy("anna", NOW)
    await store.destroy("anna", NOW + timedelta(days=1))
    assert set(await store.data_keys(["anna", "bo"], create=True)) == {"bo"}
    await store.close()
    assert set(await (await opened()).data_keys(["anna", "bo"], create=True)) == {"bo"}


async def test_a_customer_without_a_key_can_be_erased_ahead(opened: Open) -> None:
    """Erasing somebody who has no key yet still means that no key is ever made."""
    store = await opened()
    await store.destroy("anna", NOW)
    assert await store.data_keys(["anna"], create=True) == {}


async def test_another_process_learns_of_a_destroyed_key(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process holds in memory is asked for again after a while."""
    here, there = await opened(), await opened()
    await here.data_keys(["anna"], create=True)
    assert "anna" in await there.data_keys(["anna"])
    await here.destroy("anna", NOW)
    monkeypatch.setattr(shelves, "CACHE_AGE_S", 0.0)
    assert await there.data_keys(["anna"], create=True) == {}


async def test_a_read_that_began_before_a_destruction_brings_nothing_back(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that saw the key and is overtaken by its destruction neither returns nor remembers it."""
    monkeypatch.setattr("storage.engines.BUSY_TIMEOUT_MS", 20)  # the read holds its snapshot until the end
    await (await opened()).data_keys(["anna"], create=True)
    store = await opened()
    overtaken = asyncio.Event()
    has_read = asyncio.Event()
    select_rows = shelves.Shelf._select

    async def slow_select(shelf: shelves.Shelf, conn: Connection, ids: list[str]) -> dict[str, bytes | None]:
        rows = await select_rows(shelf, conn, ids)
        if not has_read.is_set():
            has_read.set()
            await overtaken.wait()
        return rows

    monkeypatch.setattr(shelves.Shelf, "_select", slow_select)
    read = asyncio.create_task(store.data_keys(["anna"]))
    await has_read.wait()
    await store.destroy("anna", NOW)
    overtaken.set()
    assert await read == {}
    assert await store.data_keys(["anna"]) == {}


async def test_readers_during_a_destruction_do_not_bring_the_key_back(opened: Open) -> None:
    """Reads under way while a key is destroyed leave nothing behind in memory."""
    store = await opened()
    await store.data_keys(["anna"], create=True)
    for _ in range(20):
        await asyncio.gather(store.data_keys(["anna"]), store.destroy("anna", NOW), store.data_keys(["anna"]))
        assert await store.data_keys(["anna"]) == {}


async def test_a_key_that_cannot_be_read_can_be_destroyed(opened: Open, url: str) -> None:
    """Erasure works on a damaged row as well."""
    store = await opened()
    await store.data_keys(["anna"], create=True)
    await run_sql(url, update(shelves.data_keys).values(wrapped=b"damaged"))
    fresh = await opened()
    with pytest.raises(CannotDecrypt):
        await fresh.data_keys(["anna"])
    await fresh.destroy("anna", NOW)
    assert await fresh.data_keys(["anna"]) == {}


async def test_a_time_without_a_zone_is_refused(opened: Open) -> None:
    """When somebody was erased is never ambiguous."""
    store = await opened()
    with pytest.raises(ValueError, match="zone"):
        await store.destroy("anna", NOW.replace(tzinfo=None))


async def test_destroyed_bytes_leave_the_files(tmp_path: Path) -> None:
    """On SQLite neither the file nor its log holds the wrapped key any more: undeleting brings nothing."""
    url = f"sqlite:///{tmp_path}/keys.db"
    store = await KeyStore.open(url, RING)
    try:
        ids = [f"c{number:03}" for number in range(300)]
        await store.data_keys(ids, create=True)
        day_key = await store.intake_key(DAY)
        before = await wrapped_rows(url)
        assert before["c150"] in on_disk(tmp_path)
        await store.destroy("c150", NOW)
        left = on_disk(tmp_path)
        assert not any(before["c150"][at : at + 6] in left for at in range(len(before["c150"]) - 6))
        assert before["c151"] in left
        assert await store.destroy_intake_keys(DAY + timedelta(days=1)) == 1
        assert day_key not in on_disk(tmp_path)
        assert not any(key in on_disk(tmp_path) for key in (await store.data_keys(ids)).values())
    finally:
        await store.close()


async def test_a_reader_delays_the_scrubbing_but_not_the_destruction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that reads meanwhile does not fail an erasure; housekeeping scrubs what is left to scrub."""
    monkeypatch.setattr("storage.engines.BUSY_TIMEOUT_MS", 20)
    url = f"sqlite:///{tmp_path}/keys.db"
    store = await KeyStore.open(url, RING)
    engine = outside.engine(url)
    try:
        await store.data_keys(["anna"], create=True)
        wrapped = (await wrapped_rows(url))["anna"]
        async with engine.connect() as reader:
            await reader.exec_driver_sql("BEGIN")  # sqlite3 by itself begins with the first change only
            await reader.execute(text("SELECT count(*) FROM data_keys"))
            await store.destroy("anna", NOW)
        assert await store.data_keys(["anna"]) == {}
        assert wrapped[13:] in on_disk(tmp_path)
        assert await store.destroy_intake_keys(DAY) == 0
        assert wrapped[13:] not in on_disk(tmp_path)
    finally:
        await engine.dispose()
        await store.close()


async def test_intake_keys_live_by_the_day(opened: Open) -> None:
    """A day has one key in every process; days nobody wrote on have none."""
    here, there = await opened(), await opened()
    today, yesterday = await here.intake_key(DAY), await here.intake_key(DAY - timedelta(days=1))
    assert today != yesterday
    assert await there.intake_key(DAY) == today
    assert await there.intake_keys([DAY, DAY - timedelta(days=1), date(2020, 1, 1)]) == {
        DAY: today,
        DAY - timedelta(days=1): yesterday,
    }


async def test_old_intake_keys_are_destroyed_once(opened: Open) -> None:
    """Only days before the given one go, each is counted once, and none is made again."""
    store = await opened()
    days = [DAY - timedelta(days=back) for back in range(5)]
    for day in days:
        await store.intake_key(day)
    assert await store.destroy_intake_keys(DAY - timedelta(days=1)) == 3
    assert await store.destroy_intake_keys(DAY - timedelta(days=1)) == 0
    assert set(await store.intake_keys(days)) == {DAY, DAY - timedelta(days=1)}
    with pytest.raises(KeyDestroyed, match="2026-11-18"):
        await store.intake_key(days[-1])
    assert set(await (await opened()).intake_keys(days)) == {DAY, DAY - timedelta(days=1)}


async def test_each_purpose_has_its_own_lasting_key(opened: Open) -> None:
    """Hashes made for one purpose say nothing about another, and are found again after a restart."""
    names: list[keys.Purpose] = ["index", "intake", "audit", "receipt"]
    first = await opened()
    made = {name: first.purpose(name) for name in names}
    assert len(set(made.values())) == len(names)
    await first.close()
    second = await opened()
    assert {name: second.purpose(name) for name in names} == made


async def test_an_unknown_purpose_is_an_error(opened: Open) -> None:
    """A typing mistake does not become a key of its own."""
    store = await opened()
    with pytest.raises(ValueError, match="there are index, intake, audit, receipt"):
        store.purpose("indexes")  # type: ignore[arg-type]


async def test_a_foreign_master_key_is_refused_by_name(opened: Open) -> None:
    """The operator learns which key is expected, which one is there, and what to do."""
    await (await opened()).close()
    with pytest.raises(RefusedToStart) as caught:
        await opened(MasterRing(keys={"k-other": bytes(32)}, active="k-other", source="keys/master.key"))
    assert "needs the master key k-one, which keys/master.key lacks (it has k-other)" in str(caught.value)
    assert "put your copy of the master key file back" in str(caught.value)


async def test_another_key_under_the_same_name_is_refused_by_the_canary(opened: Open) -> None:
    """A key that was edited or made anew is noticed before anything is sealed with it."""
    await (await opened()).close()
    with pytest.raises(RefusedToStart, match="the master key k-one is not the one this key store was made with"):
        await opened(MasterRing(keys={"k-one": bytes(32)}, active="k-one", source="keys/master.key"))


async def test_a_refused_start_changes_nothing(opened: Open) -> None:
    """After the right key is back, all is as before."""
    store = await opened()
    made = await store.data_keys(["anna"], create=True)
    with pytest.raises(RefusedToStart):
        await opened(MasterRing(keys={"k-other": bytes(32)}, active="k-other"))
    assert await (await opened()).data_keys(["anna"]) == made


async def test_rotation_seals_anew_and_opens_the_old(opened: Open) -> None:
    """A new first line is enough: old keys open, new keys are under the new one, and both stay needed."""
    made = await (await opened()).data_keys(["anna"], create=True)
    rotated = await opened(ROTATED)
    assert await rotated.data_keys(["anna"]) == made
    await rotated.data_keys(["bo"], create=True)
    with pytest.raises(RefusedToStart, match="needs the master key k-two"):
        await opened(RING)


async def test_rewrapping_lets_an_old_master_key_go(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards the new master key alone opens everything, and what was destroyed stays so."""
    monkeypatch.setattr(shelves, "_REWRAPPED_AT_ONCE", 3)
    store = await opened()
    made = await store.data_keys([f"c{number}" for number in range(10)], create=True)
    today = await store.intake_key(DAY)
    index = store.purpose("index")
    await store.destroy("c0", NOW)
    del made["c0"]
    await store.close()

    rotated = await opened(ROTATED)
    assert await rotated.rewrap() == 10 + 1 + 4
    assert await rotated.rewrap() == 0
    await rotated.close()

    alone = await opened(MasterRing(keys={"k-two": ROTATED.keys["k-two"]}, active="k-two"))
    assert await alone.data_keys([f"c{number}" for number in range(10)], create=True) == made
    assert await alone.intake_key(DAY) == today
    assert alone.purpose("index") == index


async def test_a_process_left_on_a_retired_master_key_makes_no_keys(opened: Open) -> None:
    """It would wrap them with a key that is about to be thrown away: it is told to restart instead."""
    outdated = await opened()
    await outdated.data_keys(["anna"], create=True)
    rotated = await opened(ROTATED)
    await rotated.rewrap()
    with pytest.raises(RefusedToStart, match="was retired; restart with the newest master keys"):
        await outdated.data_keys(["bo"], create=True)
    assert await rotated.data_keys(["bo"]) == {}


async def test_a_process_that_lacks_the_newest_master_key_says_so(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading what another process wrapped anew names the missing key and the restart."""
    outdated = await opened()
    await (await opened(ROTATED)).data_keys(["bo"], create=True)
    with pytest.raises(CannotDecrypt, match=r"k-two, which keys/master.key lacks; restart"):
        await outdated.data_keys(["bo"])


async def test_a_wrapped_key_moved_to_another_customer_does_not_open(opened: Open, url: str) -> None:
    """Whoever can write to the key store cannot make one customer's texts readable as another's."""
    store = await opened()
    await store.data_keys(["anna", "bo"], create=True)
    stolen = (await wrapped_rows(url))["anna"]
    await run_sql(url, update(shelves.data_keys).where(shelves.data_keys.c.customer_id == "bo").values(wrapped=stolen))
    fresh = await opened()
    with pytest.raises(CannotDecrypt):
        await fresh.data_keys(["bo"])


async def test_a_lost_store_is_not_replaced_by_an_empty_one(opened: Open, tmp_path: Path) -> None:
    """With `create=False` nothing is made: an empty store would hide that every key is gone."""
    with pytest.raises(RefusedToStart, match=r"there is no key store at .*; restore it from its backup"):
        await opened(create=False)
    assert modes(tmp_path) == {}
    await opened()


async def test_a_store_of_a_newer_release_is_refused(opened: Open, url: str) -> None:
    """An older release does not touch what it does not understand."""
    await (await opened()).close()
    await run_sql(url, update(shelves.store).values(version=99))
    with pytest.raises(RefusedToStart, match="of version 99, this release reads up to 1"):
        await opened()


async def test_a_store_without_its_canary_is_refused(opened: Open, url: str, tmp_path: Path) -> None:
    """Removing the canary does not let a wrong master key in."""
    await (await opened()).close()
    await run_sql(url, text("DELETE FROM purpose_keys"))
    await run_sql(url, text("DELETE FROM canaries"))
    with pytest.raises(RefusedToStart, match="damaged"):
        await opened()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The error names the file; nothing in it is overwritten."""
    path = tmp_path / "keys.db"
    path.write_bytes(b"this is not a database, it is a text file of some length " * 40)
    with pytest.raises(RefusedToStart, match=r"keys\.db cannot be opened: file is not a database"):
        await KeyStore.open(f"sqlite:///{path}", RING)
    assert path.read_bytes().startswith(b"this is not a database")


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    """The operator sees where it was looked for; the password stays out of the log."""
    with pytest.raises(RefusedToStart) as caught:
        await KeyStore.open("postgresql+asyncpg://relaydesk:s3cret@127.0.0.1:1/keys", RING)
    assert "relaydesk:***@127.0.0.1:1/keys cannot be opened" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "keys.db", "mysql://localhost/keys", "sqlite://", "sqlite:///:memory:"])
async def test_a_url_of_neither_engine_is_a_config_error(url: str) -> None:
    """A store that would forget at exit, or one we do not know, is refused by its setting."""
    with pytest.raises(ConfigError, match="key store: the URL is neither"):
        await KeyStore.open(url, RING)


async def test_the_file_and_its_companions_are_private(tmp_path: Path) -> None:
    """Mode 0600 for the store and its log, also for a copy that was restored with a looser one."""
    path = tmp_path / "keys.db"
    store = await KeyStore.open(f"sqlite:///{path}", RING)
    await store.close()
    path.chmod(0o644)
    store = await KeyStore.open(f"sqlite:///{path}", RING)
    await store.data_keys(["anna"], create=True)
    try:
        assert set(modes(tmp_path).values()) == {0o600}
        assert {"keys.db", "keys.db-wal"} <= set(modes(tmp_path))
    finally:
        await store.close()


async def test_a_store_shows_where_it_is_and_nothing_it_holds(opened: Open) -> None:
    """Printing a store, in a log or a traceback, names its place only."""
    shown = repr(await opened())
    assert re.fullmatch(r"<KeyStore (sqlite|postgresql\+asyncpg)://[^ ]+>", shown)


async def test_closing_twice_is_harmless(opened: Open) -> None:
    """Shutdown code need not remember what it closed."""
    store = await opened()
    await store.close()
    await store.close()


async def test_keys_seal_what_only_they_open(opened: Open) -> None:
    """From store to sealed text and back, and noise after the key is gone."""
    store = await opened()
    place = crypto.aad("entries", "body", "01JDXQ7Z3V9K2M4N6P8R0S2T4V")
    blob = crypto.seal((await store.data_keys(["anna"], create=True))["anna"], b"hello", place)
    assert crypto.open_sealed((await store.data_keys(["anna"]))["anna"], blob, place) == b"hello"
    other = (await store.data_keys(["bo"], create=True))["bo"]
    with pytest.raises(CannotDecrypt):
        crypto.open_sealed(other, blob, place)
