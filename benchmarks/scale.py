"""What many processes over one PostgreSQL carry, and what the database costs: an embedded server with fsync on.

The sandbox and the server share the machine with the processes: on two cores more workers cannot be faster than two.
`python -m benchmarks.scale --json` prints one JSON object; docs/benchmarks.md explains each figure.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
from sqlalchemy.engine import make_url

from benchmarks import kit, scale_bot, scale_seed
from bot import app, duties, life, logs, settings, times
from bot.app import House
from bot.worker import LANES_PER_BATCH
from storage import engines, lanes, migrate
from storage.database import Database
from storage.engines import Connection
from storage.tables import stamp

WORKERS = (1, 2, 4)
CUSTOMERS = 100
MESSAGES = 1500
LANES = 20_000
CLAIM_ROUNDS = 5
WRITES = 2_000
TAKEOVERS = 3
FEW, MANY = 1_000, 1_000_000
ROUNDS = 9
PER_ROUND = 200
WARM_UP = 700
WAIT_S = 300.0

_REPORTS_BY_OBJECT = 180_000
_FSYNCS = "SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'"
_FSYNCS_BEFORE = "SELECT wal_sync FROM pg_stat_wal"


async def main() -> None:
    """Measure everything and print it."""
    parser = kit.arguments("Many processes over one PostgreSQL.")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a look: about two minutes")
    options = parser.parse_args()
    logs.configure("warning", json=True)
    scale = 0.1 if options.quick else options.scale
    counts = WORKERS[:2] if options.quick else WORKERS
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="relaydesk-bench-") as name, scale_seed.server() as server:
        folder, make = Path(name), partial(scale_seed.database, server)
        figures |= await claims(make("claims"), int(LANES * max(scale, 0.2)))
        for reading in (True, False):
            figures |= await throughput(folder, make, counts, max(200, int(MESSAGES * scale)), reading=reading)
        figures |= await takeover(folder, make, 1 if options.quick else TAKEOVERS)
        figures |= await commits(folder, make("commits"), max(200, int(WRITES * scale)))
        figures |= await on_sqlite(folder, max(200, int(MESSAGES * scale)))
        figures |= await growth(folder, make, max(FEW * 10, int(MANY * scale)))
    kit.show(figures, as_json=options.json)


def _settings(url: str, folder: Path, record: str, keys: str) -> dict[str, Any]:
    return kit.overrides(url, folder) | {"database": {"url": record}, "keystore": {"url": keys}}


# ---- claims ----------------------------------------------------------------------------------------------------------


async def claims(url: str, count: int) -> dict[str, Any]:
    """Lanes that are leased in a second, beside what the server gives for the bare statement over as many rows.

    They take turns, so that whatever else the machine does is met by both.
    """
    async with Database.open(url, readers=1) as database:
        await migrate.upgrade(database)
        rounds = []
        for turn in range(CLAIM_ROUNDS):
            await database.write(partial(_make_bare, count))
            bare = await _speed(database, _take_bare, count)
            ready = {f"{turn}-{n}": (stamp(times.real()), 0) for n in range(count)}
            await database.write(partial(_make_ready, ready))
            rounds.append((await _speed(database, _claim, count), bare))
    return {
        "claims_per_s": round(statistics.median(ours for ours, _ in rounds)),
        "bare_claims_per_s": round(statistics.median(bare for _, bare in rounds)),
        "claims_ratio": round(statistics.median(ours / bare for ours, bare in rounds), 3),
    }


async def _speed(database: Database, take: Callable[[Connection], Awaitable[int]], count: int) -> float:
    """Rows a second, a commit for each batch."""
    started, taken = time.perf_counter(), 0
    while taken < count:
        taken += await database.write(take)
    return count / (time.perf_counter() - started)


async def _make_ready(ready: dict[str, tuple[float, int]], conn: Connection) -> None:
    await lanes.make_ready(conn, "in", ready)


async def _claim(conn: Connection) -> int:
    return len(await lanes.claim(conn, "in", "bench", times.real(), limit=LANES_PER_BATCH))


async def _make_bare(count: int, conn: Connection) -> None:
    await conn.exec_driver_sql("DROP TABLE IF EXISTS bare")
    await conn.exec_driver_sql("CREATE TABLE bare (id text PRIMARY KEY, ready_at float8, owner text, until float8)")
    await conn.exec_driver_sql("CREATE INDEX ON bare (ready_at) WHERE owner IS NULL")
    rows = f"SELECT 'lane-' || i, i FROM generate_series(1, {count}) i"  # a number of ours
    await conn.exec_driver_sql(f"INSERT INTO bare {rows}")
    await conn.exec_driver_sql("ANALYZE bare")


async def _take_bare(conn: Connection) -> int:
    """The statement that every queue on PostgreSQL is made of."""
    found = await conn.exec_driver_sql(
        "UPDATE bare SET owner = 'bench', until = 1 WHERE id IN (SELECT id FROM bare WHERE owner IS NULL "
        f"ORDER BY ready_at LIMIT {LANES_PER_BATCH} FOR UPDATE SKIP LOCKED) RETURNING id"
    )
    return len(found.all())


# ---- throughput ------------------------------------------------------------------------------------------------------


async def throughput(
    folder: Path, make: Callable[[str], str], counts: tuple[int, ...], messages: int, *, reading: bool
) -> dict[str, Any]:
    """Messages a second through processes of one role each, with 1, 2 and 4 workers; and what a message costs each."""
    speeds: dict[str, float] = {}
    costs: dict[str, float] = {}
    fsyncs = 0.0
    for count in counts:
        found = await _run(folder, make, count, messages, reading=reading)
        speeds[str(count)] = round(found.per_s, 1)
        if count == 1:
            costs = {name: round(spent * 1000 / messages, 2) for name, spent in found.cpu_s.items()}
            fsyncs = found.fsyncs / messages
    if not reading:
        return {"messages_per_s_unread": speeds, "worker_cpu_ms_unread": costs["worker"]}
    return {"messages_per_s": speeds, "cpu_ms_per_role": costs, "fsyncs_per_message": round(fsyncs, 2)}


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One run: messages a second, CPU seconds by role, and how often the log was brought to the disk."""

    per_s: float
    cpu_s: dict[str, float]
    fsyncs: int


async def _run(folder: Path, make: Callable[[str], str], workers: int, messages: int, *, reading: bool) -> _Run:
    name = f"{'read' if reading else 'skip'}{workers}"
    record, keys = make(f"{name}_record"), make(f"{name}_keys")
    mode = "read" if reading else "skip"
    async with AsyncExitStack() as stack:
        sandbox_pid, sandbox = await stack.enter_async_context(kit.process("-m", "sandbox", "--port", "0"))
        judge = kit.Judge(sandbox["url"])
        words = json.dumps(_settings(sandbox["url"], folder / name, record, keys))
        members: dict[str, list[int]] = {"sandbox": [sandbox_pid]}
        for role in ("intake", "dispatcher", "clock", *["worker"] * workers):
            pid, _ = await stack.enter_async_context(kit.process("-m", "benchmarks.scale_bot", words, role, mode))
            members.setdefault(role, []).append(pid)
        conn = await engines.connect(make_url(record))
        stack.push_async_callback(conn.close)
        chats = await judge.customers(CUSTOMERS)
        await _say(judge, chats, 0, CUSTOMERS)
        await _drained(conn, CUSTOMERS)
        usage = {role: [kit.Usage(pid) for pid in pids] for role, pids in members.items()}
        server = _Server(conn)
        before, fsyncs = await server.cpu_s(), await server.fsyncs()
        started = time.monotonic()
        await _say(judge, chats, CUSTOMERS, messages)
        ended = await _drained(conn, CUSTOMERS + messages)
        cpu = {role: sum(one.since() for one in all_of_them) for role, all_of_them in usage.items()}
        cpu["database"] = await server.cpu_s() - before
        return _Run(per_s=messages / (ended - started), cpu_s=cpu, fsyncs=await server.fsyncs() - fsyncs)


async def _say(judge: kit.Judge, chats: list[int], number: int, count: int) -> None:
    for first in range(number, number + count, 100):
        last = min(first + 100, number + count)
        await judge.say([(chats[n % len(chats)], kit.text(n)) for n in range(first, last)])


async def _drained(conn: asyncpg.Connection[asyncpg.Record], messages: int) -> float:
    """Wait until so many messages are decided and shown, changes of cards apart; when that was (monotonic)."""
    end = time.monotonic() + WAIT_S
    done = "SELECT count(*) FROM inbox WHERE source = 'telegram' AND state = 'done'"
    left = "SELECT count(*) FROM outbox WHERE state IN ('todo', 'sending', 'unclear') AND kind <> 'desk.update'"
    while await conn.fetchval(done) < messages or await conn.fetchval(left):
        if time.monotonic() > end:
            raise SystemExit(f"only {await conn.fetchval(done)} of {messages} messages within {WAIT_S:g} s")
        await asyncio.sleep(0.05)
    return time.monotonic()


class _Server:
    """What the database server spends and writes, by its own account and the kernel's."""

    def __init__(self, conn: asyncpg.Connection[asyncpg.Record]) -> None:
        self._conn = conn

    async def cpu_s(self) -> float:
        """CPU seconds of all its processes that are alive."""
        backend = await self._conn.fetchval("SELECT pg_backend_pid()")
        parent = psutil.Process(psutil.Process(backend).ppid())
        spent = 0.0
        for one in (parent, *parent.children(recursive=True)):
            try:
                found = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += float(found.user + found.system)
        return spent

    async def fsyncs(self) -> int:
        """How often the log was brought to the disk. Its processes report about once a second when they rest."""
        await asyncio.sleep(2.0)
        await self._conn.execute("SELECT pg_stat_clear_snapshot()")
        version = int(await self._conn.fetchval("SHOW server_version_num"))
        return int(await self._conn.fetchval(_FSYNCS if version >= _REPORTS_BY_OBJECT else _FSYNCS_BEFORE))


# ---- takeover --------------------------------------------------------------------------------------------------------


async def takeover(folder: Path, make: Callable[[str], str], rounds: int) -> dict[str, Any]:
    """Seconds from the kill -9 of the process that polls Telegram until another one polls: the longest of some."""
    took = []
    for turn in range(rounds):
        record, keys = make(f"take{turn}_record"), make(f"take{turn}_keys")
        async with AsyncExitStack() as stack:
            _, sandbox = await stack.enter_async_context(kit.process("-m", "sandbox", "--port", "0"))
            words = json.dumps(_settings(sandbox["url"], folder / f"take{turn}", record, keys))
            roles = "intake,clock"
            client = await stack.enter_async_context(httpx.AsyncClient(timeout=5))
            pair = [
                await stack.enter_async_context(kit.process("-m", "benchmarks.scale_bot", words, roles, "read"))
                for _ in range(2)
            ]
            first = await _leader(client, {pid: str(ready["url"]) for pid, ready in pair})
            other = {pid: str(ready["url"]) for pid, ready in pair if pid != first}
            await asyncio.sleep(0.7 * turn)  # a lease was renewed a while ago, each time another
            os.kill(first, signal.SIGKILL)
            killed = time.monotonic()
            await _leader(client, other)
            took.append(time.monotonic() - killed)
    return {"takeover_s": round(max(took), 2)}


async def _leader(client: httpx.AsyncClient, members: dict[int, str]) -> int:
    while True:
        for pid, url in members.items():
            if 'relaydesk_leads{name="telegram"} 1.0' in (await client.get(f"{url}/metrics")).text:
                return pid
        await asyncio.sleep(0.05)


# ---- commits ---------------------------------------------------------------------------------------------------------


async def commits(folder: Path, url: str, count: int) -> dict[str, Any]:
    """Small writes a second, one after the other and from a hundred callers at once, who share commits."""
    found = {}
    for engine, address in (("sqlite", f"sqlite:///{folder}/commits.db"), ("postgres", url)):
        async with Database.open(address, readers=1) as database:
            await database.write(_scratch)
            alone, together = count // 4, count
            started = time.perf_counter()
            for _ in range(alone):
                await database.write(_line)
            single = alone / (time.perf_counter() - started)
            started = time.perf_counter()
            await asyncio.gather(*(_lines(database, together // 100) for _ in range(100)))
            grouped = together // 100 * 100 / (time.perf_counter() - started)
            found[engine] = {"single": round(single), "grouped": round(grouped), "ratio": round(grouped / single, 1)}
    return {"commits_per_s": found}


async def _scratch(conn: Connection) -> None:
    await conn.exec_driver_sql("CREATE TABLE scratch (line text)")


async def _line(conn: Connection) -> None:
    await conn.exec_driver_sql("INSERT INTO scratch VALUES ('a short line of about forty characters..')")


async def _lines(database: Database, count: int) -> None:
    for _ in range(count):
        await database.write(_line)


async def on_sqlite(folder: Path, messages: int) -> dict[str, Any]:
    """Commits that a message costs a single process over SQLite, all writes of its time counted, under load."""
    async with kit.process("-m", "sandbox", "--port", "0") as (_, sandbox):
        judge = kit.Judge(sandbox["url"])
        found = settings.load(
            kit.ROOT / "config.yaml", environment={}, overrides=kit.overrides(sandbox["url"], folder / "sqlite")
        )
        async with app.build(found) as house:
            stopping = asyncio.Event()
            serving = asyncio.create_task(life.serve(house, stopping))
            chats = await judge.customers(CUSTOMERS)
            await _say(judge, chats, 0, CUSTOMERS)
            await _emptied(house, CUSTOMERS)
            before = house.stores.database.commits
            await _say(judge, chats, CUSTOMERS, messages)
            await _emptied(house, CUSTOMERS + messages)
            spent = house.stores.database.commits - before
            stopping.set()
            await serving
    return {"commits_per_message": round(spent / messages, 2)}


async def _emptied(house: House, messages: int) -> None:
    async def look(conn: Connection) -> bool:
        done = await conn.exec_driver_sql("SELECT count(*) FROM inbox WHERE state = 'done' AND source = 'telegram'")
        left = await conn.exec_driver_sql("SELECT count(*) FROM outbox WHERE state IN ('todo', 'sending', 'unclear')")
        return int(done.scalar_one()) >= messages and not left.scalar_one()

    while not await house.stores.database.query(look):  # noqa: ASYNC110  # the database is asked, nobody tells
        await asyncio.sleep(0.05)


# ---- growth ----------------------------------------------------------------------------------------------------------


async def growth(folder: Path, make: Callable[[str], str], many: int) -> dict[str, Any]:
    """CPU time per message, server included and classification left out, with many conversations over that with few.

    Two databases of one server, which take turns: whatever else the machine does then meets both alike.
    """
    async with AsyncExitStack() as stack:
        few = await stack.enter_async_context(_Side.opened(folder, make, "few"))
        large = await stack.enter_async_context(_Side.opened(folder, make, "many"))
        await scale_seed.ballast(few.record, 1, FEW)
        seeded_s = await scale_seed.ballast(large.record, 1, many)
        for side in (few, large):
            await side.cost(WARM_UP)  # until all that is kept in memory is there
        pairs = [(await few.cost(PER_ROUND), await large.cost(PER_ROUND)) for _ in range(ROUNDS)]
    return {
        "cost_ratio_1m": round(statistics.median(after / before for before, after in pairs), 3),
        "conversations": [FEW, many],
        "cost_ms_per_message": [round(statistics.median(each) * 1000, 2) for each in zip(*pairs, strict=True)],
        "filled_s": round(seeded_s, 1),
    }


@dataclass(kw_only=True)
class _Side:
    """One of the two databases, with its process, its sandbox and its customers."""

    house: House
    judge: kit.Judge
    server: _Server
    chats: list[int]
    record: str
    said: int = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path, make: Callable[[str], str], name: str) -> AsyncIterator[_Side]:
        """An empty one, ready for messages."""
        record, keys = make(f"{name}_record"), make(f"{name}_keys")
        async with kit.process("-m", "sandbox", "--port", "0") as (_, sandbox):
            judge = kit.Judge(sandbox["url"])
            overrides = _settings(sandbox["url"], folder / name, record, keys)
            found = settings.load(kit.ROOT / "config.yaml", environment={}, overrides=overrides)
            async with app.build(found, duties.ALL) as house:
                scale_bot.skip(house)
                conn = await engines.connect(make_url(record))
                try:
                    chats = await judge.customers(CUSTOMERS)
                    yield cls(house=house, judge=judge, server=_Server(conn), chats=chats, record=record)
                finally:
                    await conn.close()

    async def cost(self, count: int) -> float:
        """CPU seconds of each of so many messages more, of our process and the server together."""
        before = time.process_time() + await self.server.cpu_s()
        await _round(self.house, self.judge, self.chats, self.said, count)
        self.said += count
        return (time.process_time() + await self.server.cpu_s() - before) / count


async def _round(house: House, judge: kit.Judge, chats: list[int], number: int, count: int) -> None:
    """Take messages in, decide them, send what follows: one after the other."""
    await _say(judge, chats, number, count)
    channel = house.channels[house.settings.telegram.name]

    async def waiting(conn: Connection) -> int:
        found = await conn.exec_driver_sql("SELECT count(*) FROM inbox WHERE state = 'new'")
        return int(found.scalar_one())

    async def stored() -> bool:
        return await house.stores.database.query(waiting) >= count

    async def sent() -> bool:
        counts = await house.stores.outbox.counts()
        return not any(counts.get(state) for state in ("todo", "sending", "unclear"))

    await _until(channel.run(house.accept), stored)
    worker = house.workers[0]
    while claimed := await house.stores.inbox.claim(worker.owner, times.real(), limit=LANES_PER_BATCH):
        await worker.work(claimed)
    await _until(house.dispatcher.run(), sent)


async def _until(running: Awaitable[None], done: Callable[[], Awaitable[bool]]) -> None:
    task = asyncio.ensure_future(running)
    while not await done():
        if task.done():
            task.result()
        await asyncio.sleep(timedelta(milliseconds=50).total_seconds())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
