"""A busy week in minutes: the product's own process on the fast clock, and whether anything in it keeps growing.

    python -m tests.faults.soak --seed 7 --days 7 --speed 1000

People write without a pause, somebody new every few seconds. Caches that have a limit are made so small that they reach
it within the warm-up (`nursery._narrow`): what grows after that has none. Every second of real time memory, file
descriptors, threads, asyncio tasks and the log of the database are looked at; after the warm-up the slope of each
(Theil and Sen: the median of all slopes between two looks, which no single peak moves) must be flat. The judge looks at
every message in the end, as after any campaign.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests import world as worlds
from tests.faults import campaign, inside, lives, oracle, recorded
from tests.faults.books import Books
from tests.faults.traffic import Customer, Traffic

CUSTOMERS = 24
NEW_EVERY_S = 3.0  # somebody who never wrote before: what is kept for each person or thread would grow with them
LOOK_EVERY_S = 1.0
WARM_UP = 0.35  # of the whole: caches fill, the first segments are packed
PAUSE_S = (0.05, 0.25)
QUIET_WITHIN_S = 120.0
STILL_S = 2.0
DAY_S = 86400.0
# What may be gained from the end of the warm-up to the end of the run: bytes, or a count.
ALLOWED: Mapping[str, float] = {
    "memory_bytes": 8 * 2**20,
    "open_files": 6,
    "threads": 2,
    "tasks": 12,
    "log_bytes": 16 * 2**20,
}
# The same for what the memory is made of: what Python itself holds is where a leak of ours would be.
ALLOWED_INSIDE: Mapping[str, float] = {"python_blocks": 20_000}

TARGETS = dict.fromkeys(("first_response", "next_response", "resolution"), "720h")
OVERRIDES: Mapping[str, Any] = {  # nobody is late: a thousand product seconds pass in one, and people do not
    "sla": {"policies": {"standard": {"targets": dict.fromkeys(("low", "normal", "high", "urgent"), TARGETS)}}},
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at the process. `at` in seconds of real time since it was ready."""

    at: float
    values: Mapping[str, float]


@dataclass(kw_only=True)
class Report:
    """What came of it."""

    seed: int
    days: float
    speed: float
    looks: list[Look] = field(default_factory=list)
    within: list[Look] = field(default_factory=list)
    grown: Mapping[str, int] = field(default_factory=dict)  # types of objects
    seconds: float = 0.0
    verdict: oracle.Verdict = field(default_factory=oracle.Verdict)

    def gains(self) -> dict[str, float]:
        """What each value gained after the warm-up, by its robust slope."""
        return {name: gained(self.looks, name) for name in ALLOWED}

    def gains_within(self) -> dict[str, float]:
        """The same for each part of the memory."""
        names = self.within[0].values if self.within else ()
        return {name: gained(self.within, name) for name in names}

    def judge(self) -> None:
        """Write down what grew."""
        allowed = {**ALLOWED, **ALLOWED_INSIDE}
        for name, gain in (self.gains_within() | self.gains()).items():
            if gain > allowed.get(name, math.inf):
                self.verdict.left_over.append(f"{name} grew by {gain:.0f} after the warm-up")

    def row(self, name: str, commit: str) -> recorded.Row:
        """What is written down of it."""
        verdict = self.verdict
        last = self.looks[-1].values if self.looks else {}
        within = self.within[-1].values if self.within else {}
        return recorded.Row(
            campaign="soak",
            run=name,
            seed=self.seed,
            commit=commit,
            ways={"engine": "sqlite", "telegram": "polling", "slack": "socket", "speed": f"{self.speed:g}"},
            faults={},
            seconds=round(self.seconds, 1),
            traffic_s=round(self.days * DAY_S),
            **verdict.counts(),
            more={
                "gained": {key: round(value, 1) for key, value in self.gains().items()},
                "last": {key: round(value) for key, value in last.items()},
                "most": {key: round(max(look.values[key] for look in self.looks)) for key in ALLOWED},
                "looks": len(self.looks),
                "gained_within": {key: round(value, 1) for key, value in self.gains_within().items()},
                "last_within": {key: round(value) for key, value in within.items()},
                "grown": dict(self.grown),
            },
        )


def gained(looks: Sequence[Look], name: str) -> float:
    """The robust slope of a value after the warm-up, times the time that was left; 0 where there are too few looks."""
    settled = looks[round(len(looks) * WARM_UP) :]
    if len(settled) < 3:
        return 0.0
    thinned = settled[:: max(1, len(settled) // 200)]
    slopes = [
        (after.values[name] - before.values[name]) / (after.at - before.at)
        for place, before in enumerate(thinned)
        for after in thinned[place + 1 :]
    ]
    return statistics.median(slopes) * (settled[-1].at - settled[0].at)


async def run(seed: int, days: float, speed: float, folder: Path, pause_s: tuple[float, float] = PAUSE_S) -> Report:
    """So many days at this speed."""
    started = time.monotonic()
    report = Report(seed=seed, days=days, speed=speed)
    async with worlds.world(folder, start=False) as world, lives.nursery(world) as nursery:
        world.overrides = worlds.merged(worlds.merged(world.overrides, campaign.OVERRIDES), OVERRIDES)
        lives.write_config(world)
        looks = folder / "inside.jsonl"
        life = await nursery.start(inside=looks)
        if not await life.ready(world.client):
            raise AssertionError("the desk did not start")
        books = Books.of(world.settings().database_url)
        people = [Customer(name=f"Customer-{n}", phone=await world.customer(f"Customer-{n}")) for n in range(CUSTOMERS)]
        rng = random.Random(seed)
        traffic = Traffic(world=world, books=books, rng=rng, customers=people, allowed=1 << 30, pause_s=pause_s)
        for customer in people:
            await traffic.says(customer)
        await world.control("clock", speed=speed)
        acting = asyncio.gather(traffic.run(), _newcomers(world, traffic))
        try:
            await _watch(life, days * DAY_S / speed, folder, world.client, report)
            found = inside.read(looks)
            report.within = [Look(at=look["at"], values=look["values"]) for look in found]
            report.grown = inside.grown(found)
            traffic.allowed = 0
            await world.control("clock", speed=1.0)
            await _quiet(world, traffic, books)
            await oracle.judge(report.verdict, world, traffic, books)
        finally:
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
            await books.close()
        life.kill(signal.SIGTERM)
        if await life.over(10.0) != 0:
            report.verdict.left_over.append("it did not stop cleanly")
        await oracle.rebuilt(report.verdict, world.settings())
    report.judge()
    report.seconds = time.monotonic() - started
    return report


async def _newcomers(world: worlds.World, traffic: Traffic) -> None:
    """Somebody new now and then, for as long as people write."""
    while True:
        await asyncio.sleep(NEW_EVERY_S)
        if traffic.is_writing:
            name = f"Customer-{len(traffic.customers)}"
            newcomer = Customer(name=name, phone=await world.customer(name))
            traffic.customers.append(newcomer)
            await traffic.says(newcomer)


async def _watch(life: lives.Life, seconds: float, folder: Path, client: httpx.AsyncClient, report: Report) -> None:
    process = psutil.Process(life.pid)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(LOOK_EVERY_S)
        if life.is_over:
            report.verdict.left_over.append("the desk ended by itself")
            return
        log = folder / "data" / "relaydesk.db-wal"
        values = {
            "memory_bytes": float(process.memory_info().rss),
            "open_files": float(process.num_fds()),
            "threads": float(process.num_threads()),
            "tasks": await _tasks(life.web, client),
            "log_bytes": float(log.stat().st_size if log.exists() else 0),
        }
        report.looks.append(Look(at=time.monotonic() - began, values=values))


async def _tasks(web: str, client: httpx.AsyncClient) -> float:
    """How many asyncio tasks the process says that it has; less one, which is that of the question."""
    page = (await client.get(f"{web}/metrics")).text
    line = next(one for one in page.splitlines() if one.startswith("relaydesk_tasks "))
    return float(line.split()[1]) - 1


async def _quiet(world: worlds.World, traffic: Traffic, books: Books) -> None:
    limit, still_since = time.monotonic() + QUIET_WITHIN_S, time.monotonic()
    while time.monotonic() < limit and time.monotonic() - still_since < STILL_S:
        await asyncio.sleep(0.25)
        pending = (await world.look("telegram/updates"))["updates"]
        if traffic.unsettled or pending or any(await books.waiting()):
            still_since = time.monotonic()


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="A busy week on the fast clock.")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--days", type=float, default=7.0)
    made.add_argument("--speed", type=float, default=1000.0)
    made.add_argument("--pause", type=float, default=PAUSE_S[1], help="seconds at most between two things people do")
    made.add_argument("--keep", type=Path, help="write each look here too")
    made.add_argument("--record", metavar="NAME", help="write the run down under this name")
    made.add_argument("--into", type=Path, default=recorded.FOLDER)
    made.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once; exit code 1 when something grew or got lost."""
    wish = parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        pause_s = (wish.pause / 5, wish.pause)
        report = asyncio.run(run(wish.seed, wish.days, wish.speed, Path(folder), pause_s))
        if wish.keep:
            shutil.copy(Path(folder) / "inside.jsonl", wish.keep)
    row = report.row(wish.record or "soak", wish.commit or recorded.commit())
    if wish.record:
        recorded.record(row, wish.into)
    sys.stdout.write(json.dumps({**row.more, "messages": row.messages, "answers": row.answers}, indent=1) + "\n")
    sys.stdout.write("\n".join(row.failures) + ("\n" if row.failures else "held\n"))
    return int(bool(row.failures))


if __name__ == "__main__":
    sys.exit(main())
