"""A kill campaign over several processes of each role: any of them is killed, also the one that leads, and comes back.

    python -m tests.faults.crew --seed 7 --kills 40 --telegram webhook --slack http --cut-too

Two intakes, workers, dispatchers and clocks share one PostgreSQL. A process is killed at a random moment, at a crash
point of its role, because it leads something, together with the other of its role, or with all of them; or it sleeps
past its lease and wakes up. A supervisor starts whoever has ended again, sometimes not before another one has taken
over. With `--files` they are killed while files go both ways, with `--commands` agents type commands and the operator's
commands are killed beside them. The judge is that of the other campaigns: the sandbox's log against what people wrote.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bot import crashpoints, leader
from tests import ports as addresses
from tests import world as worlds
from tests.faults import campaign as campaigns
from tests.faults import errands, lives, oracle, parcels, recorded, relay, settling
from tests.faults.books import Books
from tests.faults.traffic import Traffic

ROLES = ("intake", "worker", "dispatcher", "clock")
COPIES = 2
POINTS = {
    "intake": ("after_receive", "after_insert"),
    "worker": ("after_claim", "before_commit", "after_commit"),
    "dispatcher": ("after_sending", "after_call"),
    "clock": ("in_sweep",),
}
CARRIER = "dispatcher"
"""It carries files, both ways."""
PARCELS_FOR_A_POINT = 2  # either dispatcher may take one, and only one of them is to end
FILES_SHARE = 0.2  # of the kills at which files are on their way besides
LED = {"telegram": "intake", "sweep": "clock", "reconciler": "clock"}
RANDOM, POINT, LEADER, PAIR, EVERYBODY, ASLEEP = "at random", "at a point", "leading", "both", "all", "asleep"
SHARES = {RANDOM: 4, POINT: 5, LEADER: 4, PAIR: 1, ASLEEP: 1}  # of the kills; once in a campaign it is everybody
BETWEEN_S = (0.2, 1.5)
AWAY_S = (0.0, 2.0)
AWAY_FOR_LONG_S = leader.TERM.total_seconds() + 2 * leader.RENEW_S  # another one leads by then
LONG_SHARE = 0.2
REACH_WITHIN_S = 8.0
TAKEOVER_WITHIN_S = 60.0
ASLEEP_S = leader.TERM.total_seconds() + 2.0
LEASES_END_S = 40.0
"""So long the lanes of whoever was killed stay theirs, and a little."""


@dataclass(kw_only=True)
class Member:
    """One place of the crew, and who fills it now."""

    name: str
    role: str
    port: int
    life: lives.Life | None = None
    armed: str | None = None  # the crash point that its life may reach
    next_armed: str | None = None  # the one of the next life
    blamed: str | None = None  # why it was killed, until that is written down
    back_at: float = 0.0  # not started again before (monotonic)

    @property
    def is_there(self) -> bool:
        """True while its process lives."""
        return self.life is not None and not self.life.is_over

    async def leads(self, client: httpx.AsyncClient, name: str) -> bool:
        """Whether it is the one that does this, by its own metrics."""
        if self.life is None or self.life.is_over:
            return False
        try:
            page = (await client.get(f"{self.life.web}/metrics", timeout=5.0)).text
        except httpx.HTTPError:
            return False
        return f'relaydesk_leads{{name="{name}"}} 1.0' in page


@dataclass(kw_only=True)
class Crew:
    """Everybody, and what happened to them."""

    nursery: lives.Nursery
    members: Sequence[Member]
    report: campaigns.Report
    takeovers: list[float] = field(default_factory=list)
    may_start: bool = True

    async def supervise(self) -> None:
        """Start whoever has ended again, and write down how it ended; until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(0.05)

    async def look(self) -> None:
        """One look at everybody."""
        for member in self.members:
            if member.life is not None and member.life.is_over:
                await self._ended(member)
            if member.life is None and self.may_start and time.monotonic() >= member.back_at:
                await self.start(member)

    async def start(self, member: Member) -> None:
        """Fill a place."""
        member.armed, member.next_armed = member.next_armed, None
        member.life = await self.nursery.member(
            [member.role], member.port, self.nursery.log.with_name(f"{member.name}.log"), member.armed
        )
        self.report.starts += 1

    async def _ended(self, member: Member) -> None:
        assert member.life is not None
        status = await member.life.over(0)
        member.life = None
        if status == campaigns.DEAF and self.report.deaf_allowed:
            self.report.kills[f"{member.role}, ended by itself, deaf"] += 1
        elif status != -signal.SIGKILL:
            self.report.verdict.left_over.append(f"{member.name} ended by itself with {status}")
        elif name := member.blamed or (member.armed or "").partition(":")[0]:
            self.report.kills[f"{recorded.KILLED}{member.role}, {name}"] += 1
        else:  # by the kernel, for instance, where memory ran out
            self.report.verdict.left_over.append(f"{member.name} was killed, and not by this campaign")
        member.armed = member.blamed = None

    def kill(self, member: Member, why: str, *, away_s: float = 0.0, armed: str | None = None) -> bool:
        """Kill one, who comes back so many seconds later, and then ends at a crash point where `armed` names one.

        False where nobody fills the place now.
        """
        if member.life is None or member.life.is_over:
            return False
        member.blamed, member.back_at = why, time.monotonic() + away_s
        member.next_armed = armed
        member.life.kill()
        return True

    async def leading(self, client: httpx.AsyncClient, name: str) -> Member | None:
        """Who does this now, by their metrics; None where nobody says so."""
        for member in self.members:
            if member.role == LED[name] and await member.leads(client, name):
                return member
        return None

    async def is_manned(self, client: httpx.AsyncClient) -> bool:
        """Whether somebody of each role is ready."""
        for role in ROLES:
            lives_of = [one.life for one in self.members if one.role == role and one.life is not None]
            if not any([await one.ready(client, 0.05) for one in lives_of]):
                return False
        return True

    async def stop(self) -> None:
        """Let everybody stop as they do when they are told to; whoever does not is told to the judge."""
        self.may_start = False
        for member in self.members:
            if member.life is not None:
                member.life.kill(signal.SIGTERM)
        for member in self.members:
            if member.life is not None and await member.life.over(campaigns.STOP_WITHIN_S) != 0:
                self.report.verdict.left_over.append(f"{member.name} did not stop cleanly")


@contextlib.contextmanager
def places() -> Iterator[list[Member]]:
    """The places of a crew, each with an address of its own."""
    with contextlib.ExitStack() as kept:
        yield [
            Member(name=f"{role}-{number}", role=role, port=kept.enter_context(addresses.kept()))
            for role in ROLES
            for number in range(1, COPIES + 1)
        ]


async def run(plan: campaigns.Plan, folder: Path, report: campaigns.Report | None = None) -> campaigns.Report:
    """Carry a plan out with a crew, in a folder of its own; the plan names the two databases.

    A report that is given has what was done also where this breaks off.
    """
    started = time.monotonic()
    rng = random.Random(plan.seed)
    report = report or campaigns.Report(seed=plan.seed)
    report.deaf_allowed = plan.cut_too
    with places() as members:
        hosts = [member.port for member in members if member.role == "intake"]
        async with relay.balancer(hosts) as between, campaigns.world_of(plan, folder) as world:
            world.overrides = worlds.merged(world.overrides, {"web": {"port": 0}})
            if plan.telegram == "webhook":
                hook = f"http://127.0.0.1:{between.port}/telegram/telegram"
                world.overrides = worlds.merged(world.overrides, {"telegram": {"webhook_url": hook}})
            async with lives.nursery(world, hurried=True) as nursery:
                crew = Crew(nursery=nursery, members=members, report=report)
                await _campaign(plan, rng, world, crew, f"http://127.0.0.1:{between.port}/slack/events")
    report.seconds = time.monotonic() - started
    if crew.takeovers:
        seconds = crew.takeovers
        report.more |= {
            "takeovers": len(seconds),
            "takeover_s": round(statistics.median(seconds), 1),
            "longest_takeover_s": round(max(seconds), 1),
        }
    return report


async def _campaign(plan: campaigns.Plan, rng: random.Random, world: worlds.World, crew: Crew, events_url: str) -> None:
    await world.control("clock", speed=campaigns.SPEED)
    await world.control("slack/settings", retry_delays_s=[0.5, 4.0, 15.0])
    settings = world.settings()
    books = Books.of(settings.database_url)
    traffic = await campaigns.people(plan, world, books, rng)
    report = crew.report
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(books.close)
        if plan.commands:  # eight at once find whatever that leaves
            campaigns.note(report, "in_upgrade", await errands.first_upgrade(crew.nursery, rng))
        supervising = asyncio.create_task(crew.supervise())
        stack.push_async_callback(_over, supervising)
        await worlds.eventually(
            lambda: crew.is_manned(world.client), within=lives.BIRTH_S, what="somebody of each role is ready"
        )
        if plan.slack == "http":
            await world.control("slack/settings", events_url=events_url)
        acting = asyncio.create_task(traffic.run())
        stack.push_async_callback(_over, acting)
        async with campaigns.misbehaving(plan.cut_too, plan, world, rng, report):
            storm = asyncio.create_task(_Storm(plan=plan, rng=rng, world=world, crew=crew, traffic=traffic).run())
            stack.push_async_callback(_over, storm)
            await beside(storm, supervising, acting)

        async def alive() -> bool:
            if supervising.done():
                supervising.result()
            return True

        patience = campaigns.QUIET_AFTER_CUTS_S if plan.cut_too else campaigns.QUIET_WITHIN_S + LEASES_END_S
        await settling.quiet(world, traffic, books, acting, patience, alive)
        await _over(supervising)
        report.more |= _besides(traffic)
        await oracle.judge(report.verdict, world, traffic, books)
        await campaigns.leave_evidence(report, world, traffic)
        if plan.commands and (trouble := await errands.done(crew.nursery, "backup", "verify")):
            report.verdict.left_over.append(trouble)
        await crew.stop()
        await oracle.rebuilt(report.verdict, settings)
        await parcels.kept(report.verdict, traffic, settings)


def _besides(traffic: Traffic) -> dict[str, int]:
    """What was written besides messages and answers: commands, those that Slack got an answer to, files both ways."""
    files = traffic.parcels.values()
    counts = {
        "commands": sum(len(customer.handed) for customer in traffic.customers),
        "commands_acknowledged": len(traffic.acknowledged),
        "files_in": sum(len(one.received) for one in files),
        "files_out": sum(len(one.sent) for one in files),
    }
    return {name: count for name, count in counts.items() if count}


async def beside(work: asyncio.Task[None], *others: asyncio.Task[None]) -> None:
    """Wait for `work`; what breaks one of the others off is raised at once."""
    waiting = {work, *others}
    while work in waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _over(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@dataclass(kw_only=True)
class _Storm:
    """Kill after kill, until as many processes were killed as the plan says."""

    plan: campaigns.Plan
    rng: random.Random
    world: worlds.World
    crew: Crew
    traffic: Traffic

    async def run(self) -> None:
        share = max(1, self.plan.messages // (self.plan.kills + 1))
        self.traffic.allowed += share
        points = [f"{role} {point}" for role in ROLES for point in POINTS[role]]
        points += [f"{CARRIER} {point}" for point in crashpoints.FILES if self.plan.files]
        first = [*points, *(name for name in SHARES if name != POINT), EVERYBODY]
        first += errands.ERRANDS if self.plan.commands else ()
        self.rng.shuffle(first)
        while self.killed < self.plan.kills:
            self.traffic.allowed = max(self.traffic.allowed, share * (self.killed + 2))
            if self.rng.random() < 0.75:
                with contextlib.suppress(AssertionError):
                    await worlds.eventually(
                        lambda: self.crew.is_manned(self.world.client), within=TAKEOVER_WITHIN_S, what="all roles"
                    )
            await asyncio.sleep(self.rng.uniform(*BETWEEN_S))
            if self.plan.files and self.rng.random() < FILES_SHARE:
                await parcels.exchange(self.traffic)
            await self._strike(first.pop() if first else self._next(points))

    @property
    def killed(self) -> int:
        """How many processes were killed so far."""
        return sum(count for name, count in self.crew.report.kills.items() if name.startswith(recorded.KILLED))

    def _next(self, points: Sequence[str]) -> str:
        name = self.rng.choices(list(SHARES), weights=list(SHARES.values()))[0]
        return self.rng.choice(points) if name == POINT else name

    def _away_s(self) -> float:
        return AWAY_FOR_LONG_S if self.rng.random() < LONG_SHARE else self.rng.uniform(*AWAY_S)

    def _of(self, role: str) -> list[Member]:
        return [one for one in self.crew.members if one.role == role]

    async def _strike(self, name: str) -> None:
        role, _, point = name.partition(" ")
        if role in ROLES:
            await self._at_point(role, point)
        elif name in errands.ERRANDS:
            await self._command(name)
        elif name in (LEADER, ASLEEP):
            work = self.rng.choice(list(LED))
            leading = await self.crew.leading(self.world.client, work)
            if leading is not None:
                await (self._leader(leading, work) if name == LEADER else self._asleep(leading))
        elif name in (PAIR, EVERYBODY):
            role = self.rng.choice(ROLES)
            for member in self.crew.members if name == EVERYBODY else self._of(role):
                self.crew.kill(member, "with the other" if name == PAIR else "with all", away_s=self._away_s())
        elif there := [one for one in self.crew.members if one.is_there]:
            self.crew.kill(self.rng.choice(there), RANDOM, away_s=self._away_s())

    async def _at_point(self, role: str, point: str) -> None:
        """One of a role is started anew to end at a point, when it comes there for the first time or a later one."""
        member, other = self.rng.sample(self._of(role), 2)
        count = self.rng.choice((1, 1, 2, 3)) if point != "in_sweep" else 1
        is_parcel = point in crashpoints.FILES
        if is_parcel:
            count = min(count, 2)
            for _ in range(PARCELS_FOR_A_POINT):
                await parcels.exchange(self.traffic)
        self.crew.kill(member, RANDOM, armed=f"{point}:{count}")
        if role == "clock":  # only the one that sweeps comes there
            self.crew.kill(other, RANDOM, away_s=AWAY_FOR_LONG_S + REACH_WITHIN_S)
            await asyncio.sleep(AWAY_FOR_LONG_S)
            await self.world.control("clock", advance_s=120)  # whoever waits for an answer is overdue now
        kills, name = self.crew.report.kills, f"{recorded.KILLED}{role}, {point}"
        before = kills[name]

        async def reached() -> bool:
            return kills[name] > before

        with contextlib.suppress(AssertionError):  # it may come there later, or be killed otherwise
            within = campaigns.FILE_WITHIN_S if is_parcel else REACH_WITHIN_S
            await worlds.eventually(reached, within=within, what=f"{role} at {point}")

    async def _command(self, name: str) -> None:
        """A command is killed beside the crew, one of whom may be killed too; then it is run once more, to its end."""
        errand, report = errands.ERRANDS[name], self.crew.report
        count = self.rng.randint(1, errand.steps)
        campaigns.note(report, name, await errands.killed(self.crew.nursery, name, errand.words, count))
        if self.rng.random() < 0.5:
            await self._strike(RANDOM)
        if trouble := await errands.done(self.crew.nursery, *errand.words):
            report.verdict.left_over.append(trouble)

    async def _leader(self, member: Member, work: str) -> None:
        """Whoever leads something is killed; another one, or the same one come back, leads it in the end."""
        life, began = member.life, time.monotonic()
        if not self.crew.kill(member, f"leading {work}", away_s=self._away_s()):
            return

        async def led_again() -> bool:
            now = await self.crew.leading(self.world.client, work)
            return now is not None and now.life is not life

        try:
            await worlds.eventually(led_again, within=TAKEOVER_WITHIN_S, what=f"somebody leads {work}")
        except AssertionError as error:
            self.crew.report.verdict.left_over.append(str(error))
        else:
            self.crew.takeovers.append(time.monotonic() - began)

    async def _asleep(self, member: Member) -> None:
        """Whoever leads something sleeps until its lease is another's, and goes on as if nothing had been."""
        life = member.life
        if life is None or life.is_over:  # killed while it was asked whether it leads
            return
        life.kill(signal.SIGSTOP)
        await asyncio.sleep(ASLEEP_S)
        life.kill(signal.SIGCONT)
        self.crew.report.cuts[f"{member.role}, asleep past its lease"] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one campaign with a crew and print its table; exit code 1 when a fault was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crew", description="Kill any of several processes.")
    campaigns.take(parser)
    parser.add_argument("--commands", action="store_true", help="let agents type commands, and kill the operator's")
    parser.add_argument("--files", action="store_true", help="kill also while files are taken in and sent out")
    wish = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        database, keystore = stack.enter_context(campaigns.postgres())
        folder = wish.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crew-")))
        plan = campaigns.Plan(
            seed=wish.seed,
            kills=wish.kills,
            messages=wish.messages or 12 * wish.kills,
            cut_too=wish.cut_too,
            commands=wish.commands,
            by_command=wish.commands,
            files=wish.files,
            telegram=wish.telegram,
            slack=wish.slack,
            database=database,
            keystore=keystore,
        )
        report = asyncio.run(run(plan, folder))
    return campaigns.told(report, wish.json)


if __name__ == "__main__":
    sys.exit(main())
