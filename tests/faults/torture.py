"""The recorded campaign: a fixed plan of runs in every way of running, gone through by as many goes as it takes.

    python -m tests.faults.torture --runs 40

makes the first forty runs of the plan, leaves out those that are written down in docs/reliability/, and writes each
down as soon as it is judged. It can be stopped at any time and goes on where it was. `--campaign fleet` makes those of
one campaign only. `--run kill-0007`, or `--seed 1007`, makes one run of the plan again and writes nothing down;
`--again kill-0007` writes it down in the place of what it came to before. `--keep DIR` leaves the folder of a run that
failed there: its database, its logs, what the platforms saw and what the agents knew.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.faults import campaign as campaigns
from tests.faults import crew, recorded

ENGINES, TELEGRAM, SLACK = ("sqlite", "postgres"), ("polling", "webhook"), ("socket", "http")
ROUND = 2 * 2 * 2
FIRST_SEED = 1000
KILLS = recorded.KILLS_OF_A_RUN
MESSAGES_FOR_A_KILL = 6
CUT_S = 75.0
MESSAGES_A_SECOND = 3
KILL_RUNS_FOR_ANOTHER = 2  # of cuts, and of a fleet
LONGEST_S = 2400.0  # a run that takes longer hangs, and is written down as not judged
FLEET_ROUND = 4
ALONE = 2  # the first runs are of kills and nothing else
FLEET_ALONE = 5  # and of a fleet these
JOINING, CUT_TOO = frozenset({2, 3, 4, 5}), frozenset({2, 4, 7})
"""Places in a round of eight: with engine, Telegram and Slack every pair of settings comes up in each round."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the plan: its name and seed, how the product is run in it, and what is done to it."""

    campaign: str
    name: str
    seed: int
    engine: str
    telegram: str
    slack: str
    joining: bool = False
    cut_too: bool = False
    commands: bool = False
    files: bool = False

    @property
    def ways(self) -> dict[str, str]:
        """The ways of running, as they are written down."""
        return {
            "engine": self.engine,
            "telegram": self.telegram,
            "slack": self.slack,
            "joining": "on" if self.joining else "off",
            "cuts": "on" if self.cut_too or self.campaign == "cut" else "off",
        }

    def plan(self, database: str | None, keystore: str | None, kills: int = KILLS) -> campaigns.Plan:
        """What the campaign is asked to do."""
        kills, cut_s = (0, CUT_S) if self.campaign == "cut" else (kills, 0.0)
        return campaigns.Plan(
            seed=self.seed,
            kills=kills,
            messages=kills * MESSAGES_FOR_A_KILL + int(cut_s * MESSAGES_A_SECOND),
            telegram=self.telegram,
            slack=self.slack,
            database=database,
            keystore=keystore,
            joining=self.joining,
            cut_too=self.cut_too,
            commands=self.commands,
            by_command=self.commands and self.campaign == "fleet",
            files=self.files,
            cut_s=cut_s,
        )


def kill_runs() -> Iterator[Run]:
    """Runs with kills. Each round of eight goes through every way of running; every other one swaps the rest."""
    for number in itertools.count(1):
        turn, place = divmod(number - 1, ROUND)
        yield Run(
            campaign="kill",
            name=f"kill-{number:04}",
            seed=FIRST_SEED + number,
            joining=(place in JOINING) != bool(turn % 2),
            cut_too=(place in CUT_TOO) != bool(turn % 2),
            commands=number > ALONE,
            engine=ENGINES[place & 1],
            telegram=TELEGRAM[place >> 1 & 1],
            slack=SLACK[place >> 2 & 1],
        )


def cut_runs() -> Iterator[Run]:
    """Runs without kills, in which the platforms misbehave: each fault alone, then several at once."""
    for number in itertools.count(1):
        turn, place = divmod(number - 1, ROUND)
        yield Run(
            campaign="cut",
            name=f"cut-{number:04}",
            seed=2 * FIRST_SEED + number,
            joining=(place in JOINING) != bool(turn % 2),
            engine=ENGINES[place & 1],
            telegram=TELEGRAM[place >> 1 & 1],
            slack=SLACK[place >> 2 & 1],
        )


def fleet_runs() -> Iterator[Run]:
    """Runs with several processes of each role. Every pair of settings comes up in each round of four."""
    for number in itertools.count(1):
        place = (number - 1) % FLEET_ROUND
        yield Run(
            campaign="fleet",
            name=f"fleet-{number:04}",
            seed=3 * FIRST_SEED + number,
            cut_too=place >= FLEET_ROUND // 2,
            commands=number > FLEET_ALONE,
            files=number > FLEET_ALONE,
            engine="postgres",
            telegram=TELEGRAM[place & 1],
            slack=SLACK[(place & 1) ^ (place >> 1)],
        )


def plan() -> Iterator[Run]:
    """Every run, in order."""
    kills, others, fleets = kill_runs(), cut_runs(), fleet_runs()
    while True:
        yield from itertools.islice(kills, KILL_RUNS_FOR_ANOTHER)
        yield next(others)
        yield next(fleets)


def of_seed(seed: int) -> Run:
    """The run of the plan with this seed; where there is none, one with kills and commands in the ways of the first."""
    first = {"kill": FIRST_SEED, "cut": 2 * FIRST_SEED, "fleet": 3 * FIRST_SEED}
    for (campaign, before), runs in zip(first.items(), (kill_runs(), cut_runs(), fleet_runs()), strict=True):
        if before < seed < before + FIRST_SEED:
            return next(run for run in runs if (run.campaign, run.seed) == (campaign, seed))
    return dataclasses.replace(next(kill_runs()), name=f"seed-{seed}", seed=seed, commands=True)


def make(run: Run, commit: str, kills: int = KILLS, keep: Path | None = None) -> recorded.Row:
    """Make one run in a folder of its own, and judge it. One that hangs or breaks off is told as not judged.

    It is copied into `keep` where the run failed.
    """
    report, began = campaigns.Report(seed=run.seed), time.monotonic()
    begin = crew.run if run.campaign == "fleet" else campaigns.run
    with contextlib.ExitStack() as stack:
        database, keystore = stack.enter_context(campaigns.postgres()) if run.engine == "postgres" else (None, None)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        try:
            asyncio.run(asyncio.wait_for(begin(run.plan(database, keystore, kills), folder, report), LONGEST_S))
        except Exception as error:  # noqa: BLE001  # the plan goes on, and the line says that this one is no proof
            report.seconds = time.monotonic() - began
            report.verdict.left_over.append(f"not judged: {type(error).__name__}: {str(error)[:200]}")
        if keep is not None and report.verdict.faults:
            shutil.copytree(folder, keep / run.name, dirs_exist_ok=True)
    return row(run, report, commit)


def row(run: Run, report: campaigns.Report, commit: str) -> recorded.Row:
    """What is written down of a run."""
    verdict = report.verdict
    return recorded.Row(
        campaign=run.campaign,
        run=run.name,
        seed=run.seed,
        commit=commit,
        ways=run.ways,
        faults=dict(sorted((report.kills + report.cuts).items())),
        seconds=round(report.seconds, 1),
        traffic_s=round(report.seconds * campaigns.SPEED),
        starts=report.starts,
        more=report.more,
        **verdict.counts(),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Go through the plan; exit code 1 when a run failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.torture", description="The recorded campaign.")
    parser.add_argument("--runs", type=int, default=40, help="so many runs of the plan, counted from its beginning")
    parser.add_argument("--campaign", choices=("kill", "cut", "fleet"), help="of these only the ones of this campaign")
    parser.add_argument("--run", help="this run alone, also when it is written down; writes nothing down")
    parser.add_argument(
        "--again", metavar="RUN", help="this run alone, written down in the place of what it was before"
    )
    parser.add_argument("--seed", type=int, help="the run of the plan with this seed alone; writes nothing down")
    parser.add_argument("--kills", type=int, default=KILLS, help="with --run or --seed: so many")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the folder of a run that failed here")
    parser.add_argument("--into", type=Path, default=recorded.FOLDER, help="where the runs are written down")
    parser.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    wish = parser.parse_args(arguments)
    commit = wish.commit or recorded.commit()
    name = wish.run or wish.again
    if name or wish.seed is not None:
        one = next(run for run in plan() if run.name == name) if name else of_seed(wish.seed)
        made = make(one, commit, wish.kills, wish.keep)
        if wish.again:
            recorded.replace(made, wish.into)
        _say(made)
        return 1 if made.failures else 0
    failed = False
    for run in itertools.islice(plan(), wish.runs):
        if wish.campaign not in (None, run.campaign):
            continue
        if run.name in {one.run for one in recorded.rows(run.campaign, wish.into)}:
            continue
        made = make(run, commit, keep=wish.keep)
        recorded.record(made, wish.into)
        if wish.into == recorded.FOLDER:
            recorded.main()
        _say(made)
        failed = failed or bool(made.failures)
    return 1 if failed else 0


def _say(made: recorded.Row) -> None:
    ways = " ".join(made.ways.values())
    held = "failed" if made.failures else "held"
    sys.stdout.write(
        f"{made.run} seed {made.seed} ({ways}): {sum(made.faults.values())} faults, {made.messages} messages, "
        f"{made.answers} answers, {made.explained} explained, {made.seconds:.0f} s: {held}\n"
    )
    for failure in made.failures:
        sys.stdout.write(f"  {failure}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
