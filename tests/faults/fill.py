"""A desk whose database fails under it while people write: locked, full, unreadable, gone, elsewhere, and back again.

    python -m tests.faults.fill --seed 7 --rounds 3 --engine sqlite --disk tmpfs

Nobody restarts anything: after each trouble the desk must go on by itself, and at the end the judge must find every
message once. `--disk tmpfs` puts the data on a small file system of its own, which is really full then (needs root).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tests import patience
from tests import world as worlds
from tests.faults import campaign, disk, oracle, recorded
from tests.faults.books import Books
from tests.faults.elephant import Elephant
from tests.faults.proxy import Proxy, proxy
from tests.faults.traffic import Customer, Traffic

CUSTOMERS = 4
PAUSE_S = (0.1, 0.4)  # between two things that people do
TROUBLE_S = (1.5, 4.0)
LONG_S = 7.0  # longer than a connection waits for a lock
CALM_S = 1.0
BACK_WITHIN_S = 120.0  # a lease of 30 s may have to run out first, on a loaded machine
MOST_WAITING = 5  # messages that Telegram still holds: people who see no answer stop writing for a while
QUIET_WITHIN_S = 120.0
STILL_S = 2.0
DISK_MB = 48
OVERRIDES = worlds.merged(campaign.OVERRIDES, {"limits": {"enabled": False}})
MEBIBYTE = 1 << 20


@dataclass(kw_only=True)
class Desk:
    """What a trouble may get its hands on."""

    world: worlds.World
    rng: random.Random
    disk: disk.Disk
    data: Path
    volume: Path | None = None
    proxy: Proxy | None = None
    elephant: Elephant | None = None
    seconds: float = 2.0

    @property
    def log(self) -> Path:
        """SQLite's log of the record."""
        return self.data / "relaydesk.db-wal"


Trouble = Callable[[Desk], Awaitable[None]]


# ---- SQLite ----------------------------------------------------------------------------------------------------------


WRITES = ("full", "error_write", "error_sync")


def _failing(fault: str, share: float = 1.0) -> Trouble:
    async def trouble(desk: Desk) -> None:
        before = desk.disk.failed[fault]
        with desk.disk.failing(fault, share):
            await asyncio.sleep(desk.seconds)
            if fault in WRITES and share == 1.0:  # a busy machine may not have written anything by then
                await patience.eventually(lambda: desk.disk.failed[fault] > before, what=f"a write under {fault}")

    return trouble


@contextlib.contextmanager
def _held(path: Path, begin: str) -> Iterator[None]:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
    try:
        for statement in begin.split(";"):
            connection.execute(statement).fetchall()
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _locked(name: str) -> Trouble:
    async def trouble(desk: Desk) -> None:
        with contextlib.ExitStack() as stack:
            await asyncio.to_thread(stack.enter_context, _held(desk.data / name, "BEGIN IMMEDIATE"))
            await asyncio.sleep(max(desk.seconds, LONG_S if desk.rng.random() < 0.5 else 0.0))

    return trouble


async def _long_reader(desk: Desk) -> None:
    with contextlib.ExitStack() as stack:
        read = "BEGIN; SELECT count(*) FROM timeline"
        await asyncio.to_thread(stack.enter_context, _held(desk.data / "relaydesk.db", read))
        await asyncio.sleep(max(desk.seconds, LONG_S))


async def _size_limit(desk: Desk) -> None:
    """No file of this process may grow: the kernel refuses what lies beyond (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(4096, desk.log.stat().st_size // 2), hard))
    try:
        await asyncio.sleep(desk.seconds)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def _volume_full(desk: Desk) -> None:
    """Somebody else's file takes all that is left of the file system."""
    assert desk.volume is not None
    ballast = desk.volume / "ballast"
    with ballast.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * MEBIBYTE)
    with ballast.open("ab", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(b"\0" * 512)
    try:
        await asyncio.sleep(desk.seconds)
    finally:
        ballast.unlink()


SQLITE: Mapping[str, Trouble] = {
    "locked": _locked("relaydesk.db"),
    "keys_locked": _locked("keys.db"),
    "full": _failing("full"),
    "error_write": _failing("error_write"),
    "error_sync": _failing("error_sync"),
    "error_read": _failing("error_read"),
    "error_now_and_then": _failing("error_write", 0.2),
    "size_limit": _size_limit,
    "long_reader": _long_reader,
}
VOLUME: Mapping[str, Trouble] = {"volume_full": _volume_full}


# ---- PostgreSQL ------------------------------------------------------------------------------------------------------


def _between(desk: Desk) -> Proxy:
    assert desk.proxy is not None
    return desk.proxy


async def _cut(desk: Desk) -> None:
    for _ in range(4):
        _between(desk).cut()
        await asyncio.sleep(desk.seconds / 4)


async def _unreachable(desk: Desk) -> None:
    _between(desk).refusing = True
    _between(desk).cut()
    try:
        await asyncio.sleep(desk.seconds)
    finally:
        _between(desk).refusing = False


def _commit_lost(moment: str) -> Trouble:
    async def trouble(desk: Desk) -> None:
        until = time.monotonic() + desk.seconds
        while time.monotonic() < until:
            before = sum(_between(desk).lost.values())
            _between(desk).losing = moment
            while sum(_between(desk).lost.values()) == before and time.monotonic() < until:  # noqa: ASYNC110  # a socket's
                await asyncio.sleep(0.01)
            _between(desk).losing = None
            await asyncio.sleep(desk.rng.uniform(0.2, 0.5))

    return trouble


def _restarted(mode: str, *, moves: bool = False) -> Trouble:
    async def trouble(desk: Desk) -> None:
        assert desk.elephant is not None
        await asyncio.to_thread(desk.elephant.stop, mode)
        await asyncio.sleep(desk.seconds / 2)
        await asyncio.to_thread(desk.elephant.start, moves=moves)
        _between(desk).upstream = desk.elephant.socket

    return trouble


POSTGRES: Mapping[str, Trouble] = {
    "connections_cut": _cut,
    "unreachable": _unreachable,
    "lost_before_commit": _commit_lost("before"),
    "lost_after_commit": _commit_lost("after"),
    "restarted": _restarted("fast"),
    "crashed": _restarted("immediate"),
    "failed_over": _restarted("immediate", moves=True),
}


# ---- a run -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run does: every trouble of its engine, `rounds` times, in an order that the seed gives."""

    seed: int
    rounds: int = 1
    engine: str = "sqlite"
    disk: str = "failing"  # or tmpfs: a small file system of its own
    telegram: str = "polling"
    slack: str = "socket"
    only: Sequence[str] = ()
    trouble_s: tuple[float, float] = TROUBLE_S


@dataclass(kw_only=True)
class Report:
    """What came of it. `back_s`: how long after each trouble until the next message stood in its thread."""

    plan: Plan
    troubles: Counter[str] = field(default_factory=Counter)
    back_s: dict[str, float] = field(default_factory=dict)
    failed_calls: Counter[str] = field(default_factory=Counter)
    log_mb: float = 0.0
    log_after_mb: float = 0.0
    seconds: float = 0.0
    verdict: oracle.Verdict = field(default_factory=oracle.Verdict)

    def row(self, name: str, commit: str) -> recorded.Row:
        """What is written down of it."""
        verdict, plan = self.verdict, self.plan
        return recorded.Row(
            campaign="fill",
            run=name,
            seed=plan.seed,
            commit=commit,
            ways={"engine": plan.engine, "telegram": plan.telegram, "slack": plan.slack, "disk": plan.disk},
            faults=dict(sorted(self.troubles.items())),
            seconds=round(self.seconds, 1),
            traffic_s=round(self.seconds * campaign.SPEED),
            **verdict.counts(),
            more={
                "failed_calls": dict(sorted(self.failed_calls.items())),
                "back_s": {name: round(value, 1) for name, value in sorted(self.back_s.items())},
                "log_mb": round(self.log_mb, 1),
                "log_after_mb": round(self.log_after_mb, 1),
            },
        )


class PatientBooks(Books):
    """Waits while there is no database to look into."""

    async def rows(self, query: str, **values: Any) -> list[Any]:
        """The rows of one query, as soon as it can be answered."""
        limit = time.monotonic() + BACK_WITHIN_S
        while True:
            try:
                return await super().rows(query, **values)
            except (SQLAlchemyError, OSError):
                if time.monotonic() > limit:
                    raise
            await asyncio.sleep(0.2)


async def run(plan: Plan, folder: Path) -> Report:
    """Carry a plan out in a folder of its own."""
    started = time.monotonic()
    report = Report(plan=plan)
    async with _desk(plan, folder) as desk:
        world = desk.world
        await world.control("clock", speed=campaign.SPEED)
        await world.control("slack/settings", retry_delays_s=[1, 3, 6, 10, 20])
        books = PatientBooks.of(world.settings().database_url)
        people = [Customer(name=f"Customer-{n}", phone=await world.customer(f"Customer-{n}")) for n in range(CUSTOMERS)]
        traffic = Traffic(world=world, books=books, rng=desk.rng, customers=people, allowed=1 << 30, pause_s=PAUSE_S)
        acting = asyncio.create_task(traffic.run())
        pacing = asyncio.create_task(paced(world, traffic))
        try:
            await _through(plan, desk, traffic, acting, report)
            pacing.cancel()
            traffic.allowed = 0
            await quiet(world, traffic, books, acting)
            await oracle.judge(report.verdict, world, traffic, books)
        except AssertionError as error:
            report.verdict.left_over.append(str(error))
        finally:
            for task in (acting, pacing):
                task.cancel()
            await asyncio.gather(acting, pacing, return_exceptions=True)
            await books.close()
        if world.task is not None and not world.task.done():
            if await world.stop() != 0:
                report.verdict.left_over.append("it did not stop cleanly")
            await oracle.rebuilt(report.verdict, world.settings())
        report.failed_calls = desk.disk.failed + (desk.proxy.lost if desk.proxy else Counter())
    report.seconds = time.monotonic() - started
    return report


async def _through(plan: Plan, desk: Desk, traffic: Traffic, acting: asyncio.Task[None], report: Report) -> None:
    known = POSTGRES if plan.engine == "postgres" else {**SQLITE, **(VOLUME if desk.volume else {})}
    names = [name for name in known if name in (plan.only or known)] * plan.rounds
    desk.rng.shuffle(names)
    await asyncio.sleep(2 * CALM_S)
    for name in names:
        desk.seconds = desk.rng.uniform(*plan.trouble_s)
        await known[name](desk)
        if desk.log.exists():
            report.log_mb = max(report.log_mb, desk.log.stat().st_size / MEBIBYTE)
        report.troubles[name] += 1
        began = time.monotonic()
        await _is_back(desk.world, traffic, name)
        report.back_s[name] = max(report.back_s.get(name, 0.0), time.monotonic() - began)
        if acting.done():
            acting.result()
        await asyncio.sleep(CALM_S)
    if desk.log.exists():
        await asyncio.sleep(CALM_S)
        report.log_after_mb = desk.log.stat().st_size / MEBIBYTE


async def paced(world: worlds.World, traffic: Traffic) -> None:
    """Let people write no faster than what they wrote is fetched, until cancelled.

    Where a machine does much else, one post of the webhook after the other is slower than people who never wait, and
    what is written last would stand behind all of that.
    """
    while True:
        waiting = len((await world.look("telegram/updates"))["updates"])
        traffic.allowed = 0 if waiting > MOST_WAITING else 1 << 30
        await asyncio.sleep(0.2)


async def _is_back(world: worlds.World, traffic: Traffic, name: str) -> None:
    """The next good message stands in its thread, and nobody restarted anything."""
    customer = traffic.customers[0]
    await traffic.says(customer)
    text = customer.said[-1]

    async def stands() -> bool:
        assert world.task is not None
        if world.task.done():
            error = world.task.exception()
            raise AssertionError(f"the desk ended after {name}: {error!r}")
        found = await world.log(platform="slack", kind="post")
        return any(text in record["data"]["text"] for record in found[-200:])

    try:
        await worlds.eventually(stands, within=BACK_WITHIN_S, what=f"a message in its thread after {name}")
    except AssertionError as error:
        waiting = len((await world.look("telegram/updates"))["updates"])
        inside = "; ".join(await traffic.books.stuck(time.time()))
        raise AssertionError(f"{error}; {waiting} updates wait at Telegram; waiting to leave: {inside}") from error


async def quiet(world: worlds.World, traffic: Traffic, books: Books, acting: asyncio.Task[None]) -> None:
    """Wait until nothing moves any more, or it has taken too long: the judge says then what is left over."""
    limit, still_since, last = time.monotonic() + QUIET_WITHIN_S, time.monotonic(), -1
    while time.monotonic() < limit and time.monotonic() - still_since < STILL_S:
        await asyncio.sleep(0.25)
        if acting.done():
            acting.result()
        moved = await world.log(after=max(last, 0))
        pending = (await world.look("telegram/updates"))["updates"]
        told = any(one["kind"] in ("post", "bot_message", "ephemeral") for one in moved)
        arrived = len(await world.log(platform="telegram", kind="bot_message"))
        missing = arrived < sum(len(customer.answers) for customer in traffic.customers)
        if traffic.unsettled or pending or any(await books.waiting()) or told or missing:
            still_since = time.monotonic()
        last = (await world.look("log", limit=1))["last_seq"]


@contextlib.asynccontextmanager
async def _desk(plan: Plan, folder: Path) -> AsyncIterator[Desk]:
    async with contextlib.AsyncExitStack() as stack:
        volume = stack.enter_context(tmpfs(folder / "volume")) if plan.disk == "tmpfs" else None
        home = volume or folder
        ways: dict[str, Any] = {"telegram": plan.telegram, "slack": plan.slack}
        between, elephant = None, None
        if plan.engine == "postgres":
            elephant = stack.enter_context(Elephant.running())
            between = await stack.enter_async_context(proxy(elephant.socket))
            for name, database in (("database", "record"), ("keystore", "keys")):
                ways[name] = f"postgresql+asyncpg://postgres@127.0.0.1:{between.port}/{database}"
        broken = stack.enter_context(disk.under(home))
        world = await stack.enter_async_context(worlds.world(folder, start=False, **ways))
        world.overrides = worlds.merged(world.overrides, {**OVERRIDES, "data_dir": str(home / "data")})
        await world.start()
        yield Desk(
            world=world,
            rng=random.Random(plan.seed),
            disk=broken,
            data=home / "data",
            volume=volume,
            proxy=between,
            elephant=elephant,
        )


@contextlib.contextmanager
def tmpfs(place: Path) -> Iterator[Path]:
    """A small file system of its own. Raises CalledProcessError where that is not allowed."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=700", "none", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.fill", description="Fail the database under load.")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--rounds", type=int, default=1)
    made.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    made.add_argument("--disk", choices=("failing", "tmpfs"), default="failing")
    made.add_argument("--telegram", choices=("polling", "webhook"), default="polling")
    made.add_argument("--slack", choices=("socket", "http"), default="socket")
    made.add_argument("--only", action="append", default=[], choices=sorted({*SQLITE, *VOLUME, *POSTGRES}))
    made.add_argument("--record", metavar="NAME", help="write the run down under this name")
    made.add_argument("--into", type=Path, default=recorded.FOLDER)
    made.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once; exit code 1 when a fault was found."""
    wish = parser().parse_args(arguments)
    plan = Plan(
        seed=wish.seed, rounds=wish.rounds, engine=wish.engine, disk=wish.disk, telegram=wish.telegram,
        slack=wish.slack, only=tuple(wish.only),
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="fill-") as folder:
        report = asyncio.run(run(plan, Path(folder)))
    row = report.row(wish.record or "fill", wish.commit or recorded.commit())
    if wish.record:
        recorded.record(row, wish.into)
    sys.stdout.write(json.dumps({**row.more, **row.faults, "messages": row.messages, "answers": row.answers}) + "\n")
    sys.stdout.write("\n".join(row.failures) + ("\n" if row.failures else "held\n"))
    return int(bool(row.failures))


if __name__ == "__main__":
    sys.exit(main())
