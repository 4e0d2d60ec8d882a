"""Odd inputs that coverage guides: what reaches a new line or branch of the house is changed further.

    python -m tests.faults.guided --target telegram --inputs 100000 --seed 7

Atheris (libFuzzer) counts which branches of our readers an input takes, keeps the inputs that take new ones, and asks
us for changes of them: of their structure by the grammar of the payloads (mutate.py), else of their bytes. After each
input a good one must get through. `guide` runs this in a process of its own, which libFuzzer ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults import recorded

if TYPE_CHECKING:
    from tests.faults.mutate import Mutator
    from tests.faults.targets_base import Target

ROOT = Path(__file__).parents[2]
HOUSE = ("bot", "domain", "handlers", "storage")
READERS = {  # whose branches count for a target: the readers, not what they stand on
    "telegram": ("bot.channels", "domain"),
    "slack": ("bot.desk", "domain"),
    "http": ("bot.channels", "bot.desk", "bot.facts", "bot.web", "domain"),
    "config": ("bot.settings", "domain"),
    "contacts": ("domain",),
    "record": ("bot.cli.carry", "storage.shapes", "domain"),
    "telegram_export": ("domain",),
    "labels": ("bot.cli.labels_file", "domain"),
}
LONGEST = 20_000  # bytes of an input
LONGEST_S = 2.0  # of processor time
STRUCTURED = 0.8
COVERED = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")


def is_possible() -> bool:
    """Whether the fuzzer is installed; it exists for Linux on x86 only."""
    return find_spec("atheris") is not None


@dataclass(kw_only=True)
class Guided:
    """What came of one target. `branches` covered at the first and the last look, `kept`: inputs of the corpus."""

    target: str
    seed: int
    inputs: int = 0
    good: int = 0
    refused: int = 0
    branches: tuple[int, int] = (0, 0)
    kept: int = 0
    slowest_ms: float = 0.0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def guide(target: str, inputs: int, seed: int, *, within_s: float = 3600.0) -> Guided:
    """Try so many inputs on one target in a process of its own. Raises RuntimeError where that process broke down."""
    with tempfile.TemporaryDirectory(prefix="guided-") as folder:
        told = Path(folder) / "told.json"
        words = ["--target", target, "--inputs", str(inputs), "--seed", str(seed), "--told", str(told)]
        ended = subprocess.run(
            [sys.executable, "-m", "tests.faults.guided", *words],
            cwd=ROOT, capture_output=True, text=True, errors="replace", timeout=within_s, check=False,
        )  # fmt: skip
        if not told.exists():
            raise RuntimeError(f"{target}: the fuzzer ended with {ended.returncode}: {ended.stderr[-2000:]}")
        found = Guided(**json.loads(told.read_text(encoding="utf-8")))
    looks = [tuple(map(int, look)) for look in COVERED.findall(ended.stderr)]
    if looks:
        found.branches, found.kept = (looks[0][0], looks[-1][0]), looks[-1][2]
    return found


# ---- in the process of its own ---------------------------------------------------------------------------------------


class _Trial:
    """Takes inputs from libFuzzer, one after the other, and says at the end what came of them."""

    def __init__(self, target: Target, mutator: Mutator, tally: Guided, wanted: int, told: Path) -> None:
        self._target = target
        self._mutator = mutator
        self._tally = tally
        self._wanted = wanted
        self._told = told
        self._began = time.monotonic()

    def one(self, raw: bytes) -> None:
        """Try an input, then a good one."""
        tally, before = self._tally, time.process_time()
        if tally.inputs >= self._wanted:
            return
        tally.inputs += 1
        try:
            way = self._target.take(raw)
        except Exception as error:  # noqa: BLE001  # whatever it is: it should not have been
            self._blame(f"{type(error).__name__}: {str(error)[:200]} in {_where(error)}: {raw[:300]!r}")
        else:
            tally.refused += way.startswith("no")
        took = time.process_time() - before
        tally.slowest_ms = max(tally.slowest_ms, took * 1000)
        if took > LONGEST_S:
            self._blame(f"slow: {took:.1f} s: {raw[:300]!r}")
        try:
            self._target.good()
            tally.good += 1
        except Exception as error:  # noqa: BLE001  # an input that spoils the next good one
            self._blame(f"a good one did not get through after {raw[:300]!r}: {type(error).__name__}")
        if tally.inputs == self._wanted:
            self.tell()

    def _blame(self, words: str) -> None:
        if len(self._tally.faults) < 20:
            self._tally.faults.append(words)

    def tell(self) -> None:
        """Write down what came of it."""
        self._tally.seconds = round(time.monotonic() - self._began, 1)
        self._told.write_text(json.dumps(vars(self._tally)), encoding="utf-8")

    def changed(self, raw: bytes, seed: int, longest: int, by_bytes: Any) -> bytes:
        """An input made from one that libFuzzer has kept."""
        from tests.faults.mutate import dumped

        self._mutator.rng.seed(seed)
        if self._mutator.rng.random() < STRUCTURED:
            try:
                value = json.loads(raw)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict | list):
                changed = self._mutator.changed(value)
                return dumped(changed, ascii_only=self._mutator.rng.random() < 0.7)[:longest]
        return bytes(by_bytes(raw, longest))


def _where(error: Exception) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if any(f"/{room}/" in f.filename for room in HOUSE)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "nowhere of ours"


def _others(readers: Sequence[str]) -> list[str]:
    """The modules of the house whose branches do not count."""
    files = [path.relative_to(ROOT).with_suffix("") for room in HOUSE for path in (ROOT / room).rglob("*.py")]
    modules = [".".join(path.parts).removesuffix(".__init__") for path in files]
    return [one for one in modules if not one.startswith(tuple(readers))]


def _fuzz(target_name: str, inputs: int, seed: int, told: Path) -> None:
    """Fuzz one target in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=list(HOUSE), exclude=_others(READERS[target_name])):
        from tests.faults import mutate, targets
    import structlog

    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    target = targets.TARGETS[target_name]()
    mutator = mutate.Mutator(rng=random.Random(seed), corpus=target.seeds())
    trial = _Trial(target, mutator, Guided(target=target_name, seed=seed), inputs, told)
    folder = told.with_name("corpus")  # beside the report: nothing of this process runs any more when it has ended
    folder.mkdir()
    for place, good in enumerate(target.seeds()):
        raw = good if isinstance(good, bytes) else mutate.dumped(good, ascii_only=True)
        (folder / f"{place:04}").write_bytes(raw[:LONGEST])
    options = (f"-runs={inputs}", f"-seed={seed}", f"-max_len={LONGEST}", "-timeout=120", "-rss_limit_mb=0")
    atheris.Setup(
        [sys.argv[0], *options, f"-artifact_prefix={folder}/", str(folder)],
        trial.one,
        custom_mutator=lambda raw, longest, seed: trial.changed(raw, seed, longest, atheris.Mutate),
    )
    atheris.Fuzz()


def row(found: Sequence[Guided], name: str, commit: str) -> recorded.Row:
    """What is written down of a run over some targets."""
    failures = tuple(f"{one.target}: {words}" for one in found for words in one.faults)
    return recorded.Row(
        campaign="fuzz",
        run=name,
        seed=found[0].seed,
        commit=commit,
        ways={"way": "in one process, guided by coverage"},
        faults={f"{one.target}, guided": one.inputs for one in found},
        seconds=round(sum(one.seconds for one in found), 1),
        messages=sum(one.good for one in found),
        unexplained=len(failures),
        failures=failures,
        more={
            one.target: {
                "refused": one.refused,
                "branches_at_first": one.branches[0],
                "branches": one.branches[1],
                "kept": one.kept,
                "slowest_ms": round(one.slowest_ms, 1),
            }
            for one in found
        },
    )


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    made = argparse.ArgumentParser(prog="python -m tests.faults.guided", description="Coverage guides odd inputs.")
    made.add_argument("--target", choices=sorted(READERS), action="append", help="only this; may be repeated")
    made.add_argument("--inputs", type=int, default=100_000, help="in all, shared among the targets")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--record", metavar="NAME", help="write the run down under this name")
    made.add_argument("--into", type=Path, default=recorded.FOLDER)
    made.add_argument("--commit", default="", help="what is being tested, where git cannot tell")
    made.add_argument("--told", type=Path, help=argparse.SUPPRESS)  # fuzz the one target in this process
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Guide each target in turn, print a table; exit code 1 when a fault was found, 0 too where there is no fuzzer."""
    wish = parser().parse_args(arguments)
    if wish.told:
        _fuzz(wish.target[0], wish.inputs, wish.seed, wish.told)
        return 0
    if not is_possible():
        sys.stdout.write("No guided inputs: Atheris is not installed (it exists for Linux on x86-64).\n")
        return 0
    from tests.faults.targets import SHARES

    names = wish.target or list(SHARES)
    whole = sum(SHARES[name] for name in names)
    head = ("target", "inputs", "refused", "good after", "branches", "kept", "slowest ms", "faults")
    sys.stdout.write(f"{head[0]:<18}" + "".join(f"{word:>14}" for word in head[1:]) + "\n")
    found = []
    for name in names:
        one = guide(name, max(1, round(wish.inputs * SHARES[name] / whole)), wish.seed)
        found.append(one)
        branches = f"{one.branches[0]} to {one.branches[1]}"
        cells = (one.inputs, one.refused, one.good, branches, one.kept, round(one.slowest_ms), len(one.faults))
        sys.stdout.write(f"{name:<18}" + "".join(f"{cell:>14}" for cell in cells) + "\n")
        sys.stdout.writelines(f"  {words}\n" for words in one.faults)
        sys.stdout.flush()
    told = row(found, wish.record or "fuzz", wish.commit or recorded.commit())
    if wish.record:
        recorded.record(told, wish.into)
    return int(bool(told.failures))


if __name__ == "__main__":
    sys.exit(main())
