"""What docs/reliability.md says of the recorded campaigns is what their lines say."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from tests.faults import fill, freight, fuzz, guided, hours, recorded, running, soak, torture

HELD = recorded.Row(
    campaign="kill",
    run="kill-1",
    seed=1,
    commit="abc1234",
    ways={"engine": "sqlite"},
    faults={"after_call": 2, "in_sweep": 1},
    seconds=3.0,
    messages=7,
)


def test_the_tables_are_those_of_the_lines() -> None:
    """Nobody edits a figure by hand, and none is forgotten: `python -m tests.faults.recorded` writes them."""
    page = recorded.PAGE.read_text(encoding="utf-8")
    assert recorded.written(page) == page


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    """What held and what failed are kept apart, and nothing of either is left out."""
    failed = dataclasses.replace(HELD, run="kill-2", lost=1, failures=("lost: a message",))
    recorded.record(HELD, tmp_path)
    recorded.record(failed, tmp_path)
    assert recorded.rows("kill", tmp_path) == [HELD]
    assert recorded.found(tmp_path) == [recorded.Found(row=failed)]
    shown = recorded.tables(tmp_path)
    assert "| kill | 1 | 0.0 | 0.0 | 1 | 3 | 0 | 7 | 0 | 0 | 0 | 0 | 0 | 0 |" in shown["campaigns"]
    assert "lost: a message" in shown["found"]


def test_each_run_is_recorded_with_a_command_that_its_campaign_takes() -> None:
    """Whoever copies it from the page starts that very run: no name, way or number that the campaign does not know."""
    known = {"fill": fill, "fuzz": fuzz, "guided": guided, "hours": hours, "running": running, "soak": soak}
    known["freight"] = freight
    for row in (row for name in recorded.CAMPAIGNS for row in recorded.rows(name)):
        command = recorded.again(row)
        if command.startswith("make torture SEED="):
            assert torture.of_seed(row.seed).name == row.run
            assert {**torture.of_seed(row.seed).ways, **row.ways} == torture.of_seed(row.seed).ways
        else:
            python, _, module, *words = shlex.split(command)
            assert python == "python"
            assert known[module.rpartition(".")[2]].parser().parse_args(words).seed == row.seed


def test_a_row_that_contradicts_itself_is_refused() -> None:
    """A loss without words, or words without a count, would make the table lie."""
    with pytest.raises(ValueError, match="failures in words"):
        dataclasses.replace(HELD, lost=1)
    with pytest.raises(ValueError, match="no campaign"):
        dataclasses.replace(HELD, campaign="other")


def test_a_run_that_is_made_again_takes_its_place(tmp_path: Path) -> None:
    """The same run stands there once, as it came out last; one that fails then stands among what was found."""
    recorded.record(HELD, tmp_path)
    newer = dataclasses.replace(HELD, commit="def5678", faults={"killed worker, at random": 4, "in_sweep": 1})
    recorded.replace(newer, tmp_path)
    assert recorded.rows("kill", tmp_path) == [newer]
    assert recorded.kills(newer) == 5
    recorded.replace(dataclasses.replace(newer, lost=1, failures=("lost: a message",)), tmp_path)
    assert recorded.rows("kill", tmp_path) == []
    assert len(recorded.found(tmp_path)) == 1
