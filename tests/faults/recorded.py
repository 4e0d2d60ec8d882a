"""The recorded campaigns: one line of JSON for each run in docs/reliability/, and the tables that are made from them.

    python -m tests.faults.recorded

writes the tables into docs/reliability.md again; a test holds the page to the lines. A run that found something is kept
apart, in `found.jsonl`, with what has been done about it; its seed is run again once it is mended.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot import crashpoints

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reliability"
PAGE = ROOT / "docs" / "reliability.md"
FOUND = "found"
CAMPAIGNS = ("kill", "cut", "fleet", "fill", "fuzz", "time", "soak", "freight")
KILLS_OF_A_RUN = 40
FAULTS_OF_A_FILL = 7  # of one engine, at least
AGAIN = "made again by"
WAYS_IN = 8  # that are fuzzed
WAYS = ("engine", "telegram", "slack", "cuts")
KILLED = "killed "  # begins the name of a kill where it says who it was that was killed
KILLS = frozenset({"at random", *crashpoints.POINTS, *crashpoints.FILES, *crashpoints.COMMANDS})
CODE = ("bot", "classifiers", "domain", "handlers", "sandbox", "storage", "tests", "config.yaml")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One run of a campaign, as it was judged.

    `ways` says how the product was run (engine, telegram, slack, ...), `faults` how often each fault was done to it (of
    fuzzing: how many inputs each place got), `traffic_s` how much traffic it had in product seconds. `lost`, `doubled`
    and `out_of_order` count messages and answers; `unexplained` whatever else the judge objected to, `explained` what
    was shown to a person and settled. `failures` says each fault in words; empty: the promise held. `more` holds what
    only this campaign measures.
    """

    campaign: str
    run: str
    seed: int
    commit: str
    ways: Mapping[str, str]
    faults: Mapping[str, int]
    seconds: float
    traffic_s: float = 0.0
    starts: int = 1
    messages: int = 0
    answers: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    unexplained: int = 0
    explained: int = 0
    failures: Sequence[str] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError where the row belongs to no campaign, or its counts and words disagree."""
        if self.campaign not in CAMPAIGNS:
            raise ValueError(f"no campaign: {self.campaign}; there are {', '.join(CAMPAIGNS)}")
        if bool(self.failures) != bool(self.lost or self.doubled or self.out_of_order or self.unexplained):
            raise ValueError(f"{self.run}: {len(self.failures)} failures in words, and other ones counted")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A run that failed, and how it was mended: the cause in one sentence, and the test that keeps its seed."""

    row: Row
    cause: str = ""
    test: str = ""


# ---- lines -----------------------------------------------------------------------------------------------------------


def record(row: Row, folder: Path = FOLDER) -> None:
    """Write a run down at the end of its campaign's file; one that failed among what was found."""
    folder.mkdir(parents=True, exist_ok=True)
    name, line = row.campaign, dataclasses.asdict(row)
    if row.failures:
        name, line = FOUND, {"row": line, "cause": "", "test": ""}
    with (folder / f"{name}.jsonl").open("a", encoding="utf-8") as out:
        out.write(_dumped(line))


def replace(row: Row, folder: Path = FOLDER) -> None:
    """Write a run down in the place of the line with its name that held before, if there is one."""
    path = folder / f"{row.campaign}.jsonl"
    lines = [line for line in _lines(path) if line["run"] != row.run]
    path.write_text("".join(_dumped(line) for line in lines), encoding="utf-8")
    record(row, folder)


def _dumped(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n"


def rows(campaign: str, folder: Path = FOLDER) -> list[Row]:
    """The runs of a campaign that held, in the order in which they were made."""
    return [_row(line) for line in _lines(folder / f"{campaign}.jsonl")]


def found(folder: Path = FOLDER) -> list[Found]:
    """The runs that failed."""
    return [
        Found(row=_row(line["row"]), cause=line["cause"], test=line["test"])
        for line in _lines(folder / f"{FOUND}.jsonl")
    ]


def _row(line: Mapping[str, Any]) -> Row:
    return Row(**{**line, "failures": tuple(line["failures"])})


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def commit() -> str:
    """The short name of the commit that is being tested, with a `+` where the code differs from it."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--", *CODE) else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


# ---- tables ----------------------------------------------------------------------------------------------------------


def tables(folder: Path = FOLDER) -> dict[str, str]:
    """Every table of the page by its name."""
    every = {name: rows(name, folder) for name in CAMPAIGNS}
    return {
        "campaigns": _campaigns(every),
        "runs": _runs([row for name in CAMPAIGNS for row in every[name]]),
        "ways": _ways([row for name in ("kill", "cut", "fleet") for row in every[name]]),
        "takeovers": _takeovers(every["fleet"]),
        "freight": _freight(every["freight"]),
        "faults": _faults(every),
        "found": _found(found(folder)),
    }


def _campaigns(every: Mapping[str, Sequence[Row]]) -> str:
    head = (
        *("campaign", "runs", "hours", "of traffic", "starts", "kills", "other faults"),
        *("messages", "answers", "lost", "doubled"),
    )
    cells = [
        (name, *(f"{value:,}" if isinstance(value, int) else f"{value:.1f}" for value in _sums(every[name])))
        for name in CAMPAIGNS
        if every[name]
    ]
    return _table((*head, "out of order", "unexplained", "explained"), cells)


def _sums(some: Sequence[Row]) -> tuple[int | float, ...]:
    return (
        len(some),
        sum(row.seconds for row in some) / 3600,
        sum(row.traffic_s for row in some) / 3600,
        sum(row.starts for row in some),
        sum(kills(row) for row in some),
        _sum(some) - sum(kills(row) for row in some),
        *(
            sum(getattr(row, name) for row in some)
            for name in ("messages", "answers", "lost", "doubled", "out_of_order", "unexplained", "explained")
        ),
    )


def kills(row: Row) -> int:
    """How often a process was killed in a run, by SIGKILL, at a named point or at random."""
    return sum(count for fault, count in row.faults.items() if fault in KILLS or fault.startswith(KILLED))


def _sum(some: Sequence[Row]) -> int:
    return sum(sum(row.faults.values()) for row in some)


def _runs(some: Sequence[Row]) -> str:
    head = ("run", "at", "faults", "messages", "answers", "lost", "doubled", "out of order", "unexplained", "explained")
    cells = [
        (
            row.run,
            f"`{row.commit}`",
            *(
                f"{count:,}"
                for count in (
                    *(_sum([row]), row.messages, row.answers, row.lost, row.doubled, row.out_of_order),
                    *(row.unexplained, row.explained),
                )
            ),
            f"`{again(row)}`",
        )
        for row in sorted(some, key=lambda row: (CAMPAIGNS.index(row.campaign), row.run))
    ]
    return _table((*head, AGAIN), cells, words=2)


def again(row: Row) -> str:
    """The command that makes a run again: the same seed, in the same ways. It writes nothing down."""
    platforms = " ".join(f"--{way} {row.ways[way]}" for way in ("telegram", "slack") if way in row.ways)
    count = sum(row.faults.values())
    if row.campaign in ("kill", "fleet"):
        return f"make torture SEED={row.seed} KILLS={KILLS_OF_A_RUN}"
    if row.campaign == "cut":
        return f"make torture SEED={row.seed}"
    if row.campaign == "fill":
        only = " ".join(f"--only {fault}" for fault in sorted(row.faults)) if len(row.faults) < FAULTS_OF_A_FILL else ""
        words = f"--engine {row.ways['engine']} --disk {row.ways['disk']} --rounds {max(row.faults.values())}"
        return f"python -m tests.faults.fill --seed {row.seed} {words} {platforms} {only}".strip()
    if row.campaign == "time":
        what = "steps" if {"set_back", "set_forward"} & set(row.faults) else "nights"
        return f"python -m tests.faults.hours --seed {row.seed} --{what} {count}"
    if row.campaign == "soak":
        days = round(row.traffic_s / 86_400)
        return f"python -m tests.faults.soak --seed {row.seed} --days {days} --speed {row.ways['speed']}"
    if row.campaign == "freight":
        only = f"--only '{row.ways['only']}'" if "only" in row.ways else ""
        words = f"--engine {row.ways['engine']} {platforms} {only}"
        return f"python -m tests.faults.freight --seed {row.seed} {words}".strip()
    if "running" in row.ways["way"]:
        return f"python -m tests.faults.running --seed {row.seed} --inputs {count} {platforms}"
    module = "guided" if "guided" in row.ways["way"] else "fuzz"
    targets = "".join(f" --target {name.partition(',')[0]}" for name in row.faults) if len(row.faults) < WAYS_IN else ""
    return f"python -m tests.faults.{module} --seed {row.seed} --inputs {count}{targets}"


def _ways(some: Sequence[Row]) -> str:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in some:
        key = (row.campaign, *(row.ways.get(way, "") for way in WAYS))
        groups.setdefault(key, []).append(row)
    cells = [
        (*key, f"{len(group)}", *(f"{count:,}" for count in (_sum(group), sum(row.messages for row in group))))
        for key, group in sorted(groups.items())
    ]
    return _table(("campaign", *WAYS, "runs", "faults", "messages"), cells, words=1 + len(WAYS))


def _takeovers(some: Sequence[Row]) -> str:
    cells = [
        (
            row.run,
            *(row.ways[way] for way in ("telegram", "slack", "cuts")),
            *(f"{count:,}" for count in (kills(row), row.starts, row.more.get("takeovers", 0))),
            *(f"{row.more[name]:.1f} s" if name in row.more else "" for name in ("takeover_s", "longest_takeover_s")),
        )
        for row in sorted(some, key=lambda one: one.run)
    ]
    head = ("run", "telegram", "slack", "cuts", "kills", "starts", "leaders killed", "led again after", "at most")
    return _table(head, cells, words=4)


def _freight(some: Sequence[Row]) -> str:
    """Of each run, way and kind all cells together."""
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in some:
        for name, cell in row.more["cells"].items():
            way, what, *_ = name.split()
            groups.setdefault((row.run, way, what), []).append(cell)
    cells = [
        (
            run,
            "from customers" if way == "in" else "from agents",
            what,
            f"{len(group)}",
            f"{sum(one['files'] for one in group)}",
            f"{sum(one['mb'] for one in group):,.0f} MB",
            f"{max(one['mb'] for one in group):,.0f} MB",
            f"{max(one['s'] for one in group):.1f} s",
            f"{max(one['grew_mb'] for one in group):.1f} MB",
        )
        for (run, way, what), group in groups.items()
    ]
    head = ("run", "way", "what", "cells", "files", "arrived", "largest cell", "longest cell", "memory grew by")
    return _table(head, cells, words=3)


def _faults(every: Mapping[str, Sequence[Row]]) -> str:
    cells = []
    for name in CAMPAIGNS:
        counts: Counter[str] = Counter()
        for row in every[name]:
            counts.update(row.faults)
        cells += [(name, f"`{fault}`", f"{count:,}") for fault, count in sorted(counts.items())]
    return _table(("campaign", "fault", "times"), cells, words=2)


def _found(some: Sequence[Found]) -> str:
    cells = [
        (
            one.row.campaign,
            f"{one.row.seed}",
            f"`{one.row.commit}`",
            one.cause or "not yet understood: " + one.row.failures[0].replace("|", "/")[:120],
            f"`{one.test}`" if one.test else "none yet",
        )
        for one in some
    ]
    return _table(("campaign", "seed", "at", "cause", "kept by"), cells, words=5) if cells else "Nothing so far."


def _table(head: Sequence[str], cells: Iterable[Sequence[str]], *, words: int = 1) -> str:
    rule = ["---" if place < words or name == AGAIN else "---:" for place, name in enumerate(head)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, rule, *cells))


def written(page: str, folder: Path = FOLDER) -> str:
    """The page with its tables as the lines have them. Raises ValueError where it has no place for one."""
    for name, table in tables(folder).items():
        before, begin, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end of {name} -->")
        if not begin or not end:
            raise ValueError(f"{PAGE.name} has no place for the table of {name}")
        page = f"{before}{begin}{table}\n{end}{after}"
    return page


def main() -> int:
    """Write the tables into the page."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
