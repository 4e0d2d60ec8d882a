"""Time that jumps under a desk while people write: a clock that is set, suspended nights, nights of the changing hour.

    python -m tests.faults.hours --seed 7 --nights 12          # suspended, and passed through at speed
    python -m tests.faults.hours --seed 7 --steps 12           # the machine's clock set back and forward

Nights pass in a process of the product's own, which is stopped (SIGSTOP) and goes on (SIGCONT); steps are made where
the product reads the machine's clock. The judge holds what the platforms stored against what people wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bot import stepping, times
from tests import world as worlds
from tests.faults import campaign, fill, lives, oracle, recorded
from tests.faults.traffic import Customer, Traffic

CUSTOMERS = 4
STEPS_S = (-7200, -3600, -600, -60, -10, 10, 60, 600, 3600, 7200)
PASSING_SPEED = 600.0
START_WITHIN_S, STEP_WITHIN_S = 600.0, 60.0  # a run that takes longer hangs: it says where, and ends
CALM_S = 3.0
LOOK_EVERY_S = 0.1
EVERYTHING = 1 << 30


@dataclass(kw_only=True)
class Report:
    """What came of it."""

    seed: int
    jumps: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    verdict: oracle.Verdict = field(default_factory=oracle.Verdict)

    def row(self, name: str, commit: str) -> recorded.Row:
        """What is written down of it."""
        verdict = self.verdict
        return recorded.Row(
            campaign="time",
            run=name,
            seed=self.seed,
            commit=commit,
            ways={"engine": "sqlite", "telegram": "polling", "slack": "socket"},
            faults=dict(sorted(self.jumps.items())),
            seconds=round(self.seconds, 1),
            **verdict.counts(),
        )


@contextlib.contextmanager
def machine() -> Iterator[list[float]]:
    """The machine's clock, off by the sum of this list (seconds), wherever the product reads it."""
    off: list[float] = []
    usual = times.wall
    times.wall = lambda: datetime.now(UTC) + timedelta(seconds=sum(off))
    try:
        yield off
    finally:
        times.wall = usual


@contextlib.asynccontextmanager
async def _world(folder: Path) -> AsyncIterator[worlds.World]:
    async with worlds.world(folder, start=False) as world:
        world.overrides = worlds.merged(world.overrides, campaign.OVERRIDES)
        yield world


@contextlib.asynccontextmanager
async def _writing(world: worlds.World, report: Report) -> AsyncIterator[Traffic]:
    """People who write while the block runs, and the judge afterwards."""
    await world.control("clock", speed=campaign.SPEED)
    await world.control("slack/settings", retry_delays_s=[1, 3, 6, 10, 20])
    books = fill.PatientBooks.of(world.settings().database_url)
    people = [Customer(name=f"Customer-{n}", phone=await world.customer(f"Customer-{n}")) for n in range(CUSTOMERS)]
    rng = random.Random(report.seed)
    traffic = Traffic(world=world, books=books, rng=rng, customers=people, allowed=EVERYTHING, pause_s=fill.PAUSE_S)
    acting = asyncio.create_task(traffic.run())
    try:
        yield traffic
        traffic.allowed = 0
        await fill.quiet(world, traffic, books, acting)
        await oracle.judge(report.verdict, world, traffic, books)
        if expired := await world.log(kind="update_expired"):
            report.verdict.left_over.append(f"Telegram let go of updates {len(expired)} times: the run jumped too far")
    finally:
        acting.cancel()
        await asyncio.gather(acting, return_exceptions=True)
        await books.close()


async def nights(seed: int, count: int, folder: Path) -> Report:
    """So many nights in suspension, and between them those in which the hour changes."""
    report, rng = Report(seed=seed), random.Random(seed)
    async with _world(folder) as world, lives.nursery(world) as nursery:
        life = await nursery.start()
        if not await life.ready(world.client):
            raise AssertionError("the desk did not start")
        async with _writing(world, report) as traffic:
            for number in range(count):
                await asyncio.sleep(CALM_S)
                await _all_taken(world, traffic)
                if number in (count // 3, 2 * count // 3):
                    await _passed_through(world, traffic, before_change(await world.now()))
                    report.jumps["hour_changes"] += 1
                    continue
                traffic.allowed = EVERYTHING
                life.kill(signal.SIGSTOP)
                await world.control("clock", advance_s=rng.uniform(1, 12) * 3600)
                await asyncio.sleep(rng.uniform(0.5, 2.0))
                life.kill(signal.SIGCONT)
                report.jumps["suspended"] += 1
        life.kill(signal.SIGTERM)
        if await life.over(10.0) != 0:
            report.verdict.left_over.append("it did not stop cleanly")
        await oracle.rebuilt(report.verdict, world.settings())
    return report


def before_change(now: datetime) -> datetime:
    """Half an hour before Europe's clocks change the next time: on the last Sunday of March or October, at one UTC."""
    after = (datetime(year, month, 31, 0, 30, tzinfo=UTC) for year in itertools.count(now.year) for month in (3, 10))
    sundays = (day - timedelta(days=(day.weekday() + 1) % 7) for day in after)
    return next(moment for moment in sundays if moment > now)


async def _all_taken(world: worlds.World, traffic: Traffic) -> None:
    """Wait until Telegram holds nothing for us: it keeps an update for a day, and here months pass in a moment.

    On a busy machine nights follow each other faster than what was written in the one before is fetched.
    """
    traffic.allowed = 0
    while not traffic.is_idle or (await world.look("telegram/updates"))["updates"]:  # noqa: ASYNC110  # the sandbox
        await asyncio.sleep(LOOK_EVERY_S)


async def _passed_through(world: worlds.World, traffic: Traffic, before: datetime) -> None:
    """An hour before and an hour after the change, at speed. People write from its beginning on."""
    await world.control("clock", advance_s=max(0.0, (before - await world.now()).total_seconds()))
    traffic.allowed = EVERYTHING
    await world.control("clock", speed=PASSING_SPEED)
    await asyncio.sleep(2 * 3600 / PASSING_SPEED)
    await world.control("clock", speed=campaign.SPEED)


async def steps(seed: int, count: int, folder: Path) -> Report:
    """So many times the machine's clock is set, back and forward."""
    report, rng = Report(seed=seed), random.Random(seed)
    with machine() as off:
        async with _world(folder) as world:
            await world.start()
            async with _writing(world, report):
                for _ in range(count):
                    await asyncio.sleep(CALM_S)
                    by = rng.choice(STEPS_S)
                    off.append(by)
                    report.jumps["set_back" if by < 0 else "set_forward"] += 1
                    await asyncio.sleep(stepping.EVERY_S)
            assert world.task is not None
            if world.task.done():
                report.verdict.left_over.append("the desk ended by itself")
    return report


async def _bounded(work: Coroutine[Any, Any, Report], seconds: float) -> Report:
    """What `work` gives. Where it hangs for so long, the stack of each of its tasks is printed; raises TimeoutError."""
    doing = asyncio.ensure_future(work)
    await asyncio.wait({doing}, timeout=seconds)
    if not doing.done():
        for task in asyncio.all_tasks():
            task.print_stack(limit=8, file=sys.stderr)
        doing.cancel()
        raise TimeoutError(f"nothing came of it within {seconds:g} s")
    return doing.result()


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.hours", description="Let time jump under load.")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--nights", type=int, default=0)
    made.add_argument("--steps", type=int, default=0)
    made.add_argument("--record", metavar="NAME", help="write the run down under this name")
    made.add_argument("--into", type=Path, default=recorded.FOLDER)
    made.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run once; exit code 1 when a fault was found."""
    wish = parser().parse_args(arguments)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hours-") as folder:
        work = (
            steps(wish.seed, wish.steps, Path(folder))
            if wish.steps
            else nights(wish.seed, wish.nights or 6, Path(folder))
        )
        limit = START_WITHIN_S + STEP_WITHIN_S * (wish.steps or wish.nights or 6)
        report = asyncio.run(_bounded(work, limit))
    report.seconds = time.monotonic() - started
    row = report.row(wish.record or "time", wish.commit or recorded.commit())
    if wish.record:
        recorded.record(row, wish.into)
    sys.stdout.write(f"{dict(row.faults)}, {row.messages} messages, {row.answers} answers, {row.explained} explained\n")
    sys.stdout.write("\n".join(row.failures) + ("\n" if row.failures else "held\n"))
    return int(bool(row.failures))


if __name__ == "__main__":
    sys.exit(main())
