"""A kill campaign: people write without a pause while the bot is killed again and again over the same data.

From the command line, with any number of kills and in every way of running:

    python -m tests.faults.campaign --seed 7 --kills 50 --engine postgres --telegram webhook --slack http

The judge is the sandbox's log against what people wrote; the product's own tables are only compared with it at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot import crashpoints
from tests import embedded
from tests import world as worlds
from tests.faults import cuts, errands, lives, oracle, parcels, settling
from tests.faults.books import Books
from tests.faults.traffic import Customer, Traffic

CUSTOMERS = 6
SPEED = 20.0  # product seconds a second: deadlines of a minute pass in three seconds
REACH_WITHIN_S = 8.0  # a crash point that was not reached so long after a life was ready is tried again later,
AGAIN_WITHIN_S = 40.0  # and then with more patience: the machine may have had no time
READY_WITHIN_S = 60.0  # with platforms that misbehave, and on a loaded machine
STOP_WITHIN_S = 60.0  # the same machine; how fast a stop is, tests/faults/test_stop.py says
FILE_WITHIN_S = 40.0  # a file that waits comes there for certain, behind what waits before it
RANDOM_LIFE_S = (0.1, 2.0)
QUIET_WITHIN_S = 90.0
QUIET_AFTER_CUTS_S = 330.0  # what failed again and again is tried every five minutes at last
TARGETS = {"first_response": "1m", "next_response": "1m", "resolution": "10m"}
OVERRIDES: dict[str, Any] = {
    "sla": {
        "policies": {
            "standard": {"calendar": "always", "targets": dict.fromkeys(("low", "normal", "high", "urgent"), TARGETS)}
        },
        "rules": [{"policy": "standard"}],
    },
    "slack": {"fill_gaps_every": "5s"},
    "desk": {"ask_unread": False, "ask_late": None},  # answers go into an outage, and nobody is there to press Send
    "log": {"level": "info", "format": "json"},
}
JOINING: dict[str, Any] = {
    "limits": {"enabled": True, "telegram_per_chat_per_second": 20, "slack_per_channel_per_second": 2}
}
"""Slack is spared, so that messages wait for each other and go out as one post."""
RANDOM = "at random"
DEAF = 70  # the exit code of a life that heard nothing for too long, as it may while everything is cut


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a campaign does. `kills` counts named points and random moments together; every named point comes once."""

    seed: int
    kills: int
    messages: int
    telegram: str = "polling"
    slack: str = "socket"
    database: str | None = None
    keystore: str | None = None
    points: tuple[str, ...] = crashpoints.POINTS
    commands: bool = False  # kill commands too, over the data as it is then
    files: bool = False  # kill also while files are taken in and sent out
    by_command: bool = False  # agents type commands, too
    joining: bool = False
    cut_s: float = 0.0  # so long (seconds) the platforms misbehave while nothing is killed
    cut_too: bool = False  # they also do while it is killed


@dataclass(kw_only=True)
class Report:
    """What came of it."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    seconds: float = 0.0
    deaf_allowed: bool = False  # where platforms misbehave a life may end itself, for another to begin
    verdict: oracle.Verdict = field(default_factory=oracle.Verdict)
    more: dict[str, Any] = field(default_factory=dict)  # what only this kind of campaign measures

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return {
            "seed": self.seed,
            "kills": dict(sorted(self.kills.items())),
            "cuts": dict(sorted(self.cuts.items())),
            "starts": self.starts,
            "seconds": round(self.seconds, 1),
            **dataclasses.asdict(self.verdict),
            "faults": self.verdict.faults,
            "more": self.more,
        }

    def table(self) -> str:
        """A table for people."""
        verdict = self.verdict
        rows: list[tuple[str, object]] = [
            ("seed", self.seed),
            ("seconds", round(self.seconds, 1)),
            ("starts", self.starts),
            ("kills", sum(self.kills.values())),
            *((f"  {name}", count) for name, count in sorted(self.kills.items())),
            ("cuts", sum(self.cuts.values())),
            *((f"  {name}", count) for name, count in sorted(self.cuts.items())),
            ("customers' messages", verdict.messages),
            ("agents' answers", verdict.answers),
            ("lost", len(verdict.lost)),
            ("doubled", len(verdict.doubled)),
            ("out of order", len(verdict.out_of_order)),
            ("unclear, explained", verdict.unclear),
            ("  of them sent again", verdict.sent_again),
            ("handed over out of order", verdict.overtaken),
            (
                "other faults",
                len(verdict.faults) - sum(map(len, (verdict.lost, verdict.doubled, verdict.out_of_order))),
            ),
        ]
        return "\n".join(f"{name:<24}{value:>10}" for name, value in rows)


async def run(plan: Plan, folder: Path, report: Report | None = None) -> Report:
    """Carry a plan out in a folder of its own. A report that is given has what was done also where this breaks off."""
    started = time.monotonic()
    rng = random.Random(plan.seed)
    report = report or Report(seed=plan.seed)
    report.deaf_allowed = plan.cut_too or plan.cut_s > 0
    async with world_of(plan, folder) as world, lives.nursery(world, hurried=True) as nursery:
        await world.control("clock", speed=SPEED)
        await world.control("slack/settings", retry_delays_s=[0.5, 4.0, 15.0])
        settings = world.settings()
        books = Books.of(settings.database_url)
        traffic = await people(plan, world, books, rng)
        acting = asyncio.create_task(traffic.run())
        try:
            await _kill(plan, rng, world, nursery, traffic, report)
            await _cut(plan, rng, world, nursery, traffic, report)
            if nursery.current is None or nursery.current.is_over:
                await nursery.start()
                report.starts += 1
            patience = QUIET_AFTER_CUTS_S if plan.cut_s or plan.cut_too else QUIET_WITHIN_S
            await settling.quiet(world, traffic, books, acting, patience, _supervised(nursery, report))
            await oracle.judge(report.verdict, world, traffic, books)
            await leave_evidence(report, world, traffic)
            if plan.commands and (trouble := await errands.done(nursery, "backup", "verify")):
                report.verdict.left_over.append(trouble)
            life = nursery.current
            assert life is not None
            life.kill(signal.SIGTERM)
            if await life.over(STOP_WITHIN_S) != 0:
                report.verdict.left_over.append("the last life did not stop cleanly")
            await oracle.rebuilt(report.verdict, settings)
            await parcels.kept(report.verdict, traffic, settings)
        finally:
            acting.cancel()
            await asyncio.gather(acting, return_exceptions=True)
            await books.close()
    report.seconds = time.monotonic() - started
    return report


async def leave_evidence(report: Report, world: worlds.World, traffic: Traffic) -> None:
    """Where a fault was found: what the platforms saw and what the agents knew, beside the lives' own logs."""
    if not report.verdict.faults:
        return
    seen = await world.log()
    (world.folder / "platforms.jsonl").write_text("".join(json.dumps(one) + "\n" for one in seen), encoding="utf-8")
    knew = {"questions": traffic.questions, "pressed": traffic.settled, "refused": traffic.refused}
    (world.folder / "agents.json").write_text(json.dumps(knew, indent=2), encoding="utf-8")


@asynccontextmanager
async def world_of(plan: Plan, folder: Path) -> AsyncIterator[worlds.World]:
    """The sandbox and the configuration for a plan; nothing of the product runs yet."""
    ways = {"telegram": plan.telegram, "slack": plan.slack, "database": plan.database, "keystore": plan.keystore}
    async with worlds.world(folder, start=False, **ways) as world:  # type: ignore[arg-type]
        world.overrides = worlds.merged(world.overrides, OVERRIDES)
        if plan.joining:
            world.overrides = worlds.merged(world.overrides, JOINING)
        if plan.commands:
            places = {f"{what}_to": [str(folder / "backups" / what)] for what in ("record", "keys")}
            world.overrides = worlds.merged(world.overrides, {"backup": places})
        if plan.cut_s or plan.cut_too:
            world.overrides = worlds.merged(world.overrides, {"telegram": {"send_timeout": cuts.SEND_TIMEOUT}})
        yield world


async def people(plan: Plan, world: worlds.World, books: Books, rng: random.Random) -> Traffic:
    """Who writes in a campaign: nobody has begun yet."""
    customers = [
        Customer(name=f"Customer-{n}", phone=await world.customer(f"Customer-{n}", "zh" if n % 3 == 2 else "en"))
        for n in range(CUSTOMERS)
    ]
    traffic = Traffic(world=world, books=books, rng=rng, customers=customers, by_command=plan.by_command)
    if plan.cut_s or plan.cut_too:
        traffic.settled_after_s = cuts.SETTLED_AFTER_S
        traffic.is_locked_out_at_times = True
    if plan.cut_s:
        traffic.pause_s = (0.1, 0.5)
    return traffic


def _schedule(plan: Plan, rng: random.Random) -> list[str]:
    points = [*plan.points, *(crashpoints.FILES if plan.files else ())]
    extra = [rng.choice([*points, RANDOM, RANDOM, RANDOM]) for _ in range(max(0, plan.kills - len(points)))]
    both = points + extra + (list(errands.ERRANDS) if plan.commands else [])
    rng.shuffle(both)
    return both


async def _kill(
    plan: Plan, rng: random.Random, world: worlds.World, nursery: lives.Nursery, traffic: Traffic, report: Report
) -> None:
    """One life after another, each ended at its point or its moment. What was not reached comes again at the end."""
    share = max(1, plan.messages // (plan.kills + 1))
    traffic.allowed += share
    if plan.commands:
        note(report, "in_upgrade", await errands.first_upgrade(nursery, rng))
    first = await nursery.start()  # the first life makes the database and is not disturbed in that
    report.starts += 1
    await first.ready(world.client)
    if world.events_url is not None:
        await world.control("slack/settings", events_url=world.events_url)
    if not plan.kills:
        return
    await asyncio.sleep(rng.uniform(0.3, 1.0))
    await _end(first, report, RANDOM)
    async with misbehaving(plan.cut_too, plan, world, rng, report):
        await _kill_all(plan, rng, world, nursery, traffic, report, share)


async def _kill_all(
    plan: Plan,
    rng: random.Random,
    world: worlds.World,
    nursery: lives.Nursery,
    traffic: Traffic,
    report: Report,
    share: int,
) -> None:
    missed: list[str] = []
    for name in _schedule(plan, rng):
        traffic.allowed += share
        if name in errands.ERRANDS:
            await _command(name, plan, rng, world, nursery, report)
        elif not await _one(name, rng.choice((1, 1, 2, 3)), rng, world, nursery, traffic, report):
            missed.append(name)
    for name in missed:
        traffic.allowed += share
        await _one(name, 1, rng, world, nursery, traffic, report, within=AGAIN_WITHIN_S)


async def _one(
    name: str,
    count: int,
    rng: random.Random,
    world: worlds.World,
    nursery: lives.Nursery,
    traffic: Traffic,
    report: Report,
    *,
    within: float = REACH_WITHIN_S,
) -> bool:
    """One life that ends at a named point when it comes there for the `count`th time; False when it did not."""
    if name in crashpoints.FILES:
        await parcels.exchange(traffic)
        count, within = min(count, 2), max(within, FILE_WITHIN_S)
    life = await nursery.start(None if name == RANDOM else f"{name}:{count}")
    report.starts += 1
    if name == RANDOM:
        await life.over(rng.uniform(*RANDOM_LIFE_S))
        await _end(life, report, name)
        return True
    await life.ready(world.client, READY_WITHIN_S)
    if name == "in_sweep":
        await world.control("clock", advance_s=120)  # whoever waits for an answer is overdue now
    if await life.over(within) is None:
        await _end(life, report, RANDOM)
        return False
    await _end(life, report, name)
    return True


async def _command(
    name: str, plan: Plan, rng: random.Random, world: worlds.World, nursery: lives.Nursery, report: Report
) -> None:
    """A command that is killed beside a life, which is killed too or not; then the command once more, to its end."""
    errand = errands.ERRANDS[name]
    if errand.beside or plan.database is not None:
        life = await nursery.start()
        report.starts += 1
        await life.ready(world.client)
        note(report, name, await errands.killed(nursery, name, errand.words, rng.randint(1, errand.steps)))
        if rng.random() < 0.5:
            await _end(life, report, RANDOM)
            life = await nursery.start()
            report.starts += 1
    else:
        note(report, name, await errands.killed(nursery, name, errand.words, rng.randint(1, errand.steps)))
    if trouble := await errands.done(nursery, *errand.words):
        report.verdict.left_over.append(trouble)
    if nursery.current is not None and not nursery.current.is_over:
        await _end(nursery.current, report, RANDOM)


def note(report: Report, name: str, trouble: str | None) -> None:
    """Count a command that was killed as it should be, or tell the judge what went otherwise."""
    if trouble is None:
        report.kills[name] += 1
    else:
        report.verdict.left_over.append(trouble)


@asynccontextmanager
async def misbehaving(
    wanted: bool, plan: Plan, world: worlds.World, rng: random.Random, report: Report
) -> AsyncIterator[None]:
    """The platforms misbehave in here, where it is wanted."""
    if not wanted:
        yield
        return
    cutter = cuts.Cutter(
        world=world, rng=random.Random(rng.random()), cuts=cuts.cuts(plan.telegram, plan.slack), alone=not plan.cut_too
    )
    task = asyncio.create_task(cutter.run())
    try:
        yield
        if task.done():
            task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        report.cuts.update(await cutter.end())


async def _cut(
    plan: Plan, rng: random.Random, world: worlds.World, nursery: lives.Nursery, traffic: Traffic, report: Report
) -> None:
    """Let the platforms misbehave for the time of the plan; a life that ends because it heard nothing is followed."""
    if not plan.cut_s:
        return
    traffic.allowed += plan.messages
    limit = time.monotonic() + plan.cut_s
    async with misbehaving(True, plan, world, rng, report):
        while time.monotonic() < limit:
            life = nursery.current
            assert life is not None
            status = await life.over(1.0)
            if status is not None:
                if status != DEAF:
                    report.verdict.left_over.append(f"a life ended by itself with {status}")
                await nursery.start()
                report.starts += 1


async def _end(life: lives.Life, report: Report, name: str) -> None:
    life.kill()
    status = await life.over(STOP_WITHIN_S)
    if status == DEAF and report.deaf_allowed:
        report.kills["ended by itself, deaf"] += 1
        return
    if status != -signal.SIGKILL:
        report.verdict.left_over.append(f"a life ended by itself with {status}")
        report.kills["ended by itself"] += 1
        return
    report.kills[name] += 1


def _supervised(nursery: lives.Nursery, report: Report) -> Callable[[], Awaitable[bool]]:
    """Whether the last life lives; one that ended because it was deaf is followed by another where that may be."""

    async def alive() -> bool:
        assert nursery.current is not None
        if nursery.current.is_over:
            if not report.deaf_allowed or await nursery.current.over(0) != DEAF:
                return False
            await nursery.start()  # as a supervisor does
            report.starts += 1
        return True

    return alive


# ---- the command line ------------------------------------------------------------------------------------------------


@contextmanager
def postgres() -> Iterator[tuple[str, str]]:
    """Two empty databases of an embedded PostgreSQL: for the record and for the keys."""
    with tempfile.TemporaryDirectory(prefix="rdpg-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)
        server = embedded.postgres().get_server(Path(home) / "data", cleanup_mode="delete")
        try:
            for name in ("record", "keys"):
                server.psql(f"CREATE DATABASE {name};")
            yield tuple(server.get_uri(database=name, driver="asyncpg") for name in ("record", "keys"))
        finally:
            server.cleanup()


def take(parser: argparse.ArgumentParser) -> None:
    """The arguments of every campaign that kills."""
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--messages", type=int, default=0, help="at least so many; default: 12 for each kill")
    parser.add_argument("--telegram", choices=("polling", "webhook"), default="polling")
    parser.add_argument("--slack", choices=("socket", "http"), default="socket")
    parser.add_argument("--cut-too", action="store_true", help="let the platforms misbehave meanwhile")
    parser.add_argument("--json", type=Path, help="write the report here too")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one campaign and print its table; exit code 1 when a fault was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.campaign", description="Kill the bot under load.")
    take(parser)
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--commands", action="store_true", help="kill an upgrade, a key rotation and a backup too")
    parser.add_argument("--files", action="store_true", help="send files, and kill in the middle of them too")
    parser.add_argument("--joining", action="store_true", help="let waiting messages of a thread go out as one post")
    parser.add_argument("--cut", type=float, default=0.0, metavar="SECONDS", help="and for so long without kills")
    wish = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        database, keystore = stack.enter_context(postgres()) if wish.engine == "postgres" else (None, None)
        folder = wish.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="campaign-")))
        plan = Plan(
            seed=wish.seed,
            kills=wish.kills,
            messages=wish.messages or 12 * wish.kills + int(3 * wish.cut),
            commands=wish.commands,
            files=wish.files,
            joining=wish.joining,
            cut_s=wish.cut,
            cut_too=wish.cut_too,
            telegram=wish.telegram,
            slack=wish.slack,
            database=database,
            keystore=keystore,
        )
        report = asyncio.run(run(plan, folder))
    return told(report, wish.json)


def told(report: Report, path: Path | None) -> int:
    """Print a report, and write it into a file where one is named; the exit code, 1 when a fault was found."""
    sys.stdout.write(report.table() + "\n")
    for fault in report.verdict.faults:
        sys.stderr.write(f"seed {report.seed}: {fault}\n")
    if path is not None:
        path.write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False), encoding="utf-8")
    return 1 if report.verdict.faults else 0


if __name__ == "__main__":
    sys.exit(main())
