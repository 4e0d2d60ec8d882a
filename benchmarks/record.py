"""What the record costs: encryption beside plain text, a rotation, an erasure, and a backup with the desk running."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from ulid import ULID

from benchmarks import kit
from benchmarks.search import PER_BATCH, PER_CONVERSATION, Store, Texts, english
from bot import settings_file
from storage import crypto, migrate, rings, words
from storage.database import Database
from storage.erasures import Erasures
from storage.keys import KeyStore, MasterRing

WRITTEN = 20_000
ROUNDS = 3
ROTATED = 100_000
ERASED = 10_000
BACKED_UP_BYTES = 1_000_000_000
BODY_BYTES = 4_000
DESK_PER_S = 20
QUIET_S = 20.0


async def measure(folder: Path, scale: float) -> dict[str, Any]:
    """Every figure of docs/benchmarks.md, "The record"."""
    figures: dict[str, Any] = {}
    rng = random.Random(7)
    async with AsyncExitStack() as stack:
        store = await Store.open(stack, folder / "cost")
        say = english(rng)
        texts = [say() for _ in range(max(PER_BATCH, int(WRITTEN * scale)))]
        figures |= await _cost(stack, folder, texts)
        figures |= await _rotation(folder / "rotate", int(ROTATED * scale))
        figures |= await _erasure(store, int(ERASED * scale), say)
    figures |= await _backup(folder / "backup", int(BACKED_UP_BYTES * scale), QUIET_S * max(scale, 0.2))
    return figures


# ---- encryption beside plain text ------------------------------------------------------------------------------------


@contextmanager
def _plain() -> Iterator[None]:
    """Sealing and hashing left out: what the same record would cost in the clear, and without search."""
    with (
        mock.patch.object(crypto, "seal", lambda _key, plain, _aad: plain),
        mock.patch.object(crypto, "open_sealed", lambda _key, blob, _aad: blob),
        mock.patch.object(words, "rows", return_value=[]),
    ):
        yield


@contextmanager
def _sealed() -> Iterator[None]:
    yield


async def _cost(stack: AsyncExitStack, folder: Path, texts: list[str]) -> dict[str, Any]:
    """CPU per message, medians of rounds that take turns; each way has a record of its own."""
    ways = {"sealed": _sealed, "plain": _plain}
    stores = {name: await Store.open(stack, folder / name) for name in ways}
    written: dict[str, list[float]] = {name: [] for name in ways}
    read: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(ROUNDS):
        for name, way in ways.items():
            store = stores[name]
            with way():
                before = time.process_time()
                for start in range(0, len(texts), PER_CONVERSATION):
                    await store.write(texts[start : start + PER_CONVERSATION])
                written[name].append((time.process_time() - before) * 1000 / len(texts))
                count = len(texts) // PER_CONVERSATION
                numbers = range(1001 + turn * count, 1001 + (turn + 1) * count)
                chats = [it.id for number in numbers if (it := await store.record.by_number(number))]
                before, messages = time.process_time(), 0
                for chat in chats:
                    messages += len(await store.record.timeline(chat))
                read[name].append((time.process_time() - before) * 1000 / max(1, messages))
    middle = ROUNDS // 2
    return {
        "write_ms_per_message": round(sorted(written["sealed"])[middle], 4),
        "plain_write_ms_per_message": round(sorted(written["plain"])[middle], 4),
        "read_ms_per_message": round(sorted(read["sealed"])[middle], 4),
        "plain_read_ms_per_message": round(sorted(read["plain"])[middle], 4),
    }


# ---- a rotation, an erasure ------------------------------------------------------------------------------------------


async def _rotation(folder: Path, count: int) -> dict[str, Any]:
    old, new = MasterRing.generate(), MasterRing.generate()
    url = f"sqlite:///{folder / 'keys.db'}"
    store = await KeyStore.open(url, old)
    for start in range(0, count, PER_BATCH):
        await store.data_keys([f"c{number:08d}" for number in range(start, min(count, start + PER_BATCH))], create=True)
    await store.close()
    store = await KeyStore.open(url, MasterRing(keys={**new.keys, **old.keys}, active=new.active))
    started = time.perf_counter()
    moved = await store.rewrap()
    took = time.perf_counter() - started
    await store.close()
    return {"rotate_s": round(took, 2), "rotated_keys": moved}


async def _erasure(store: Store, count: int, say: Texts) -> dict[str, Any]:
    """Until nothing of the customer can be read or found; what lies in Slack is another matter."""
    await store.write([say() for _ in range(count * 2)])
    customer = await _give_to_one(store, count)
    while await store.segments.tidy(everything=True):
        pass
    erasures = Erasures(store.database, store.keys, store.segments, lambda: str(ULID()))
    started = time.perf_counter()
    receipt = await erasures.go_on(
        await erasures.begin(customer, actor="os:benchmark", reason="benchmark", now=store.at), store.at
    )
    took = time.perf_counter() - started
    assert receipt.step.value in ("forgotten", "done"), receipt.step
    return {"erase_s": round(took, 2), "erased_messages": count}


async def _give_to_one(store: Store, count: int) -> str:
    """A customer with one conversation of `count` messages."""
    with mock.patch("benchmarks.search.PER_CONVERSATION", count):
        await store.write([f"message {number} of one customer" for number in range(count)])
    async with store.database.read() as conn:
        found = await conn.exec_driver_sql("SELECT customer_id FROM conversations ORDER BY number DESC LIMIT 1")
        return str(found.scalar_one())


# ---- a backup with the desk running ----------------------------------------------------------------------------------


async def _backup(folder: Path, size: int, quiet_s: float) -> dict[str, Any]:
    """A backup and its proof by the command of the product, while messages are written twenty times a second."""
    config = _configured(folder)
    body = "".join(random.Random(7).choices("abcdefgh ", k=BODY_BYTES))
    async with AsyncExitStack() as stack:
        ring = MasterRing.read(folder / "keys" / "master.key")
        keys = await KeyStore.open(f"sqlite:///{folder / 'data' / 'keys.db'}", ring)
        stack.push_async_callback(keys.close)
        url = f"sqlite:///{folder / 'data' / 'relaydesk.db'}"
        database = await stack.enter_async_context(Database.open(url))
        await migrate.upgrade(database)
        await migrate.check_canary(database, keys)
        store = Store(database, keys)
        with mock.patch.object(words, "rows", return_value=[]):
            for _ in range(size // (BODY_BYTES * PER_CONVERSATION * 20)):
                await store.write([body] * (PER_CONVERSATION * 20))
        async with _desk(store) as quiet:
            await asyncio.sleep(quiet_s)
        async with _desk(store) as busy:
            made = await _command(config, "backup", "now", "--gently", "--json")
        held = sum(file.stat().st_size for file in (folder / "data").glob("relaydesk.db"))
    return {
        "backup_bytes": held,
        "backup_and_verify_s": made,
        "quiet_p99_ms": round(kit.quantile(quiet, 0.99), 2),
        "busy_p99_ms": round(kit.quantile(busy, 0.99), 2),
        "added_p99_ms": round(kit.quantile(busy, 0.99) - kit.quantile(quiet, 0.99), 2),
    }


@asynccontextmanager
async def _desk(store: Store) -> Any:  # noqa: ANN401  # gives the milliseconds of each message
    took: list[float] = []
    ended = asyncio.Event()

    async def write() -> None:
        due = time.perf_counter()
        while not ended.is_set():
            due += 1 / DESK_PER_S
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            started = time.perf_counter()
            await store.write(["a message of a customer who waits for an answer"])
            took.append((time.perf_counter() - started) * 1000)

    task = asyncio.create_task(write())
    yield took
    ended.set()
    await task


async def _command(config: Path, *arguments: str) -> float:
    """Seconds that a command of the product takes."""
    started = time.perf_counter()
    command = (sys.executable, "-m", "bot.cli.main", *arguments, "--config", str(config))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=kit.ROOT)
    said, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed")
    assert json.loads(said)["opened"] > 0
    return round(time.perf_counter() - started, 1)


def _configured(folder: Path) -> Path:
    """The shipped configuration over stores of our own, with directories for backups."""
    folder.mkdir()
    data: dict[str, Any] = settings_file.read(kit.ROOT / "config.yaml")
    data |= {"data_dir": str(folder / "data"), "keys": {"master_file": str(folder / "keys" / "master.key")}}
    data["backup"] = {"record_to": [str(folder / "to" / "record")], "keys_to": [str(folder / "to" / "keys")]}
    (folder / "config.yaml").write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    rings.create_master_file(folder / "keys" / "master.key")
    return folder / "config.yaml"


def main() -> None:
    """Measure and print."""
    options = kit.arguments("What the record costs.").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        needed = BACKED_UP_BYTES * options.scale * 6
        if shutil.disk_usage(folder).free < needed:
            raise SystemExit(f"{folder} needs {needed / 1e9:.0f} GB of room")
        figures = asyncio.run(measure(Path(folder), options.scale))
    kit.show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
