"""The short kill campaign: killed at every named point and at random moments, nothing is lost and nothing doubled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from bot import crashpoints
from tests.faults import campaign
from tests.faults.oracle import Verdict


@pytest.mark.timeout(180)
async def test_nothing_is_lost_or_doubled_when_it_is_killed_at_every_named_point(tmp_path: Path) -> None:
    """Every message is posted once, every answer arrives once, in order; what is unclear is shown and settled."""
    report = await campaign.run(campaign.Plan(seed=7, kills=9, messages=100), tmp_path)
    assert not report.verdict.faults, report.table() + "\n" + "\n".join(report.verdict.faults)
    missed = set(crashpoints.POINTS) - set(report.kills)
    assert not missed, f"never killed at {', '.join(sorted(missed))}"


def test_the_judge_sees_what_is_wrong() -> None:
    """A judge that cannot find a loss, a double, a stranger or a wrong order would prove nothing."""
    verdict = Verdict()
    verdict.compare("thread", ["a", "b", "c"], ["a", "b", "c"])
    assert not verdict.faults
    verdict.compare("thread", ["a", "b", "c", "d"], ["b", "a", "c", "c", "x"])
    assert verdict.lost == ["thread: d"]
    assert verdict.doubled == ["thread: c (2 times)"]
    assert verdict.misplaced == ["thread: x"]
    assert verdict.out_of_order == ["thread: 'b' came where 'a' was due"]


def test_a_report_names_its_seed() -> None:
    """Whoever sees a failed campaign can run the very same one again."""
    report = campaign.Report(seed=42, kills=Counter(after_call=2))
    assert report.as_json()["seed"] == 42
    assert "42" in report.table()
