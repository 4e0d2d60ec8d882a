"""Odd inputs by the million: each is taken or refused by a typed answer, in bounded time, and the next good one passes.

    python -m tests.faults.fuzz --inputs 1000000 --seed 7

New inputs are made from payloads that the sandbox really sent, changed in their structure and in their bytes. What
makes a way in answer as it never did before joins the corpus, so that odd grows on odd. After each input a good one
must be taken. With `--record NAME` each target is written down as soon as it is done; those that are written down are
left out the next time, so that a run may be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import base64
import faulthandler
import json
import logging
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from tests.faults import recorded
from tests.faults.mutate import Mutator
from tests.faults.targets import SHARES, TARGETS
from tests.faults.targets_base import Target

BATCH = 50
LONGEST_S = 2.0  # of processor time for one input
STUCK_S = 120.0  # a batch that takes longer than this hangs: its stack is printed and the process ends
HOUSE = ("bot", "domain", "storage", "handlers")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A broken promise, and the input that broke it."""

    target: str
    number: int
    what: str
    where: str
    raw: bytes

    def as_json(self) -> dict[str, Any]:
        """Plain values; the input in base64, cut where it is long."""
        raw = base64.b64encode(self.raw[:6000]).decode()
        return {"target": self.target, "number": self.number, "what": self.what, "where": self.where, "input": raw}


@dataclass(kw_only=True)
class Tally:
    """What came of one target."""

    target: str
    seed: int
    inputs: int = 0
    good: int = 0
    ways: set[str] = field(default_factory=set)
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0
    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a file."""
        return {
            "target": self.target, "seed": self.seed, "inputs": self.inputs, "good_after": self.good,
            "ways": len(self.ways), "slowest_ms": round(self.slowest_ms, 1), "seconds": round(self.seconds, 1),
            "refused": self.outcomes["refused"], "taken": self.outcomes["taken"],
            "faults": [one.as_json() for one in self.faults],
        }  # fmt: skip


@contextmanager
def quiet() -> Iterator[None]:
    """Say nothing about each odd input: a million lines of log help nobody."""
    before = logging.root.manager.disable
    known = structlog.get_config()
    logging.disable(logging.CRITICAL)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        logging.disable(before)
        structlog.configure(**known)


def run(name: str, inputs: int, seed: int, *, most_faults: int = 20) -> Tally:
    """Try so many inputs on one target; ends early when it has found `most_faults` different faults."""
    with closing(TARGETS[name]()) as target:
        return _run(target, Tally(target=name, seed=seed), inputs, most_faults)


def _run(target: Target, tally: Tally, inputs: int, most_faults: int) -> Tally:
    mutator = Mutator(rng=random.Random(f"{tally.target}:{tally.seed}"), corpus=target.seeds())
    places: set[str] = set()
    started = time.monotonic()
    for seed_input in [raw if isinstance(raw, bytes) else json.dumps(raw).encode() for raw in mutator.corpus]:
        tally.ways.add(target.take(seed_input))
    while tally.inputs < inputs and len(tally.faults) < most_faults:
        faulthandler.dump_traceback_later(STUCK_S, exit=True)
        for _ in range(min(BATCH, inputs - tally.inputs)):
            value, raw = mutator.made()
            tally.inputs += 1
            for fault in (_one(target, tally, mutator, value, raw), _good(target, tally, raw)):
                if fault is not None and f"{fault.what.partition(':')[0]} {fault.where}" not in places:
                    places.add(f"{fault.what.partition(':')[0]} {fault.where}")
                    tally.faults.append(fault)
        faulthandler.cancel_dump_traceback_later()
    tally.seconds = time.monotonic() - started
    return tally


def _one(target: Target, tally: Tally, mutator: Mutator, value: Any, raw: bytes) -> Fault | None:
    before = time.process_time()
    try:
        way = target.take(raw)
    except Exception as error:  # noqa: BLE001  # whatever it is: it should not have been
        return Fault(
            target=tally.target,
            number=tally.inputs,
            what=f"{type(error).__name__}: {str(error)[:200]}",
            where=_where(error),
            raw=raw,
        )
    took = time.process_time() - before
    tally.slowest_ms = max(tally.slowest_ms, took * 1000)
    tally.outcomes["refused" if way.startswith("no") else "taken"] += 1
    if way not in tally.ways:
        tally.ways.add(way)
        mutator.learn(value, raw)
    if took > LONGEST_S:
        return Fault(target=tally.target, number=tally.inputs, what=f"slow: {took:.1f} s", where=way[:40], raw=raw)
    return None


def _good(target: Target, tally: Tally, raw: bytes) -> Fault | None:
    """A good input after `raw`: whatever that one left behind, this one is taken."""
    try:
        target.good()
    except Exception as error:  # noqa: BLE001  # an input that spoils the next good one
        what = f"a good one was not taken afterwards: {type(error).__name__}: {str(error)[:200]}"
        return Fault(target=tally.target, number=tally.inputs, what=what, where=_where(error), raw=raw)
    tally.good += 1
    return None


def row(tally: Tally, name: str, commit: str) -> recorded.Row:
    """What is written down of one target."""
    return recorded.Row(
        campaign="fuzz",
        run=name,
        seed=tally.seed,
        commit=commit,
        ways={"way": "in one process"},
        faults={tally.target: tally.inputs},
        seconds=round(tally.seconds, 1),
        messages=tally.good,
        unexplained=len(tally.faults),
        failures=tuple(f"{one.target}, input {one.number}: {one.what} in {one.where}" for one in tally.faults),
        more={
            tally.target: {
                "refused": tally.outcomes["refused"],
                "taken": tally.outcomes["taken"],
                "ways": len(tally.ways),
                "slowest_ms": round(tally.slowest_ms, 1),
            }
        },
    )


def _where(error: Exception) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    last = frames[-1]
    place = next((f for f in reversed(frames) if any(f"/{room}/" in f.filename for room in HOUSE)), last)
    return f"{Path(place.filename).name}:{place.name}"


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.fuzz", description="Odd inputs for every way in.")
    made.add_argument("--inputs", type=int, default=100_000, help="in all, shared among the targets")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--target", choices=sorted(TARGETS), action="append", help="only this; may be repeated")
    made.add_argument("--json", type=Path, help="append one line for each target here")
    made.add_argument("--record", metavar="NAME", help="write each target down as NAME-TARGET")
    made.add_argument("--into", type=Path, default=recorded.FOLDER)
    made.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the targets one after the other, print a table, and write the tallies; exit code 1 when a fault was found."""
    wish = parser().parse_args(arguments)
    names = wish.target or list(TARGETS)
    whole = sum(SHARES[name] for name in names)
    broken = False
    sys.stdout.write(
        f"{'target':<18}{'inputs':>10}{'refused':>10}{'ways':>8}{'good after':>12}{'slowest ms':>12}{'faults':>8}\n"
    )
    for name in names:
        if wish.record and f"{wish.record}-{name}" in {one.run for one in recorded.rows("fuzz", wish.into)}:
            continue
        with quiet():
            tally = run(name, round(wish.inputs * SHARES[name] / whole), wish.seed)
        sys.stdout.write(
            f"{name:<18}{tally.inputs:>10}{tally.outcomes['refused']:>10}{len(tally.ways):>8}{tally.good:>12}"
            f"{tally.slowest_ms:>12.1f}{len(tally.faults):>8}\n"
        )
        for fault in tally.faults:
            sys.stdout.write(f"  input {fault.number}: {fault.what} in {fault.where}: {fault.raw[:160]!r}\n")
        sys.stdout.flush()
        if wish.json:
            with wish.json.open("a", encoding="utf-8") as out:
                out.write(json.dumps(tally.as_json()) + "\n")
        if wish.record:
            recorded.record(row(tally, f"{wish.record}-{name}", wish.commit or recorded.commit()), wish.into)
        broken = broken or bool(tally.faults)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
