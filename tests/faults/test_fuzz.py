"""A short slice of the fuzzing: odd inputs are taken or refused by a typed answer, and the next good one passes."""

from __future__ import annotations

import json
import random
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from bot import settings
from domain.errors import ConfigError
from tests.faults import fuzz, guided
from tests.faults.mutate import Mutator
from tests.faults.targets import SHARES, TARGETS

INPUTS = {
    "telegram": 500,
    "slack": 200,
    "http": 200,
    "config": 40,
    "contacts": 500,
    "record": 500,
    "telegram_export": 300,
    "labels": 60,
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_odd_inputs_are_taken_or_refused(name: str) -> None:
    """Never another exception than a typed refusal, never long, and after each a good input gets through."""
    with fuzz.quiet():
        tally = fuzz.run(name, INPUTS[name], seed=7)
    assert tally.faults == []
    assert tally.inputs == tally.good == INPUTS[name]
    assert len(tally.ways) > 10


def test_inputs_that_coverage_guides_are_taken_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They reach branches that the good ones do not; after each of them a good one gets through; no file stays."""
    if not guided.is_possible():
        pytest.skip("Atheris is not installed: it exists for Linux on x86-64")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # of the process that fuzzes
    found = guided.guide("telegram", 800, seed=7, within_s=300)
    assert list(tmp_path.iterdir()) == []
    assert found.faults == []
    assert found.good == found.inputs == 800
    assert found.branches[1] > found.branches[0] > 0
    row = guided.row([found], "slice", "abc")
    assert (row.messages, row.failures) == (800, ())


def test_every_way_in_has_its_share() -> None:
    """What is fuzzed in the recorded campaign adds up to all of it."""
    assert set(SHARES) == set(TARGETS) == set(INPUTS) == set(guided.READERS)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_the_same_seed_makes_the_same_inputs() -> None:
    """A fault that was found can be had again."""

    def made(seed: int) -> list[bytes]:
        with closing(TARGETS["telegram"]()) as target:
            mutator = Mutator(rng=random.Random(seed), corpus=target.seeds())
            return [mutator.made()[1] for _ in range(50)]

    assert made(3) == made(3) != made(4)


def test_a_target_that_breaks_its_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzzer that cannot find anything would prove nothing."""

    class Careless:
        def seeds(self) -> list[object]:
            return [{"a": {"b": 1}}]

        def take(self, raw: bytes) -> str:
            return str(json.loads(raw.decode("utf-8", "replace"))["a"]["b"])[:1]

        def good(self) -> None:
            assert self.take(b'{"a": {"b": 1}}') == "1"

        def close(self) -> None:
            pass

    monkeypatch.setitem(TARGETS, "telegram", Careless)
    found = fuzz.run("telegram", 300, seed=1)
    assert {fault.what.partition(":")[0] for fault in found.faults} >= {"KeyError", "TypeError"}
    assert all(fault.as_json()["input"] for fault in found.faults)
    assert fuzz.row(found, "slice", "abc").unexplained == len(found.faults)


def test_an_input_that_spoils_the_next_good_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken without a word, and what comes after it is not."""

    class Spoilt:
        spoilt = False

        def seeds(self) -> list[object]:
            return [{"a": {"b": 1}}]

        def take(self, raw: bytes) -> str:
            self.spoilt = len(raw) > 40
            return "taken"

        def good(self) -> None:
            if self.spoilt:
                raise ValueError("spoilt")

        def close(self) -> None:
            pass

    monkeypatch.setitem(TARGETS, "telegram", Spoilt)
    found = fuzz.run("telegram", 300, seed=1)
    assert found.good < found.inputs
    assert [fault.what for fault in found.faults] == ["a good one was not taken afterwards: ValueError: spoilt"]


@pytest.mark.parametrize(
    "written",
    [
        '"ho\\ud800g": {level: info}',
        'data_dir: "x\\udfff"',
        f"default_queue: {'7' * 5000}",
        f"web: {{port: {'1' * 4301}}}",
    ],
)
def test_a_configuration_that_python_itself_cannot_read_is_told_by_its_line(tmp_path: Path, written: str) -> None:
    """Half a character, and a number of thousands of digits: one line with the file's name and the place."""
    path = tmp_path / "config.yaml"
    path.write_text(written, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 1, column \d+: ") as refused:
        settings.load(path, environment={}, dotenv=False)
    assert all(line.startswith(f"{path}: ") for line in refused.value.problems)
