"""The short kill campaign: killed at every named point and at random moments, nothing is lost and nothing doubled."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import pytest

from bot import crashpoints
from sandbox import faults
from tests.faults import campaign, crew, cuts, errands, oracle, torture
from tests.faults.oracle import Verdict


@pytest.mark.timeout(900)
async def test_nothing_is_lost_or_doubled_when_it_is_killed_at_every_named_point(tmp_path: Path) -> None:
    """Every message is posted once, every answer arrives once, in order; what is unclear is shown and settled."""
    report = await campaign.run(campaign.Plan(seed=7, kills=11, messages=84, commands=True, files=True), tmp_path)
    assert not report.verdict.faults, report.table() + "\n" + "\n".join(report.verdict.faults)
    missed = {*crashpoints.POINTS, *crashpoints.FILES, *errands.ERRANDS} - set(report.kills)
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
    assert verdict.out_of_order == ["thread: 'b' came before 'a'"]
    excused = Verdict()
    excused.compare("thread", ["a", "b", "c"], ["b", "c", "a"], lambda first, _second: first == "b")
    assert excused.out_of_order == ["thread: 'c' came before 'a'"]
    assert excused.overtaken == 1


def test_the_judge_reads_what_was_joined() -> None:
    """Several messages in one post count each; of a card only what it was posted with, not what it quotes besides."""
    thread = {"thread_ts": "1.0", "text": "Customer-1 says 3: hello\nCustomer-1 says 4: again", "blocks": []}
    assert oracle.standing(thread) == ["Customer-1 says 3: hello", "Customer-1 says 4: again"]
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": f"Customer-1 says {n}: hello"}} for n in (0, 1, 5)]
    carries = {"event_payload": {"id": "a", "joined": ["b", "c"]}}
    card = {"thread_ts": None, "text": "#1001", "blocks": blocks, "metadata": carries}
    assert oracle.standing(card) == ["Customer-1 says 0: hello", "Customer-1 says 1: hello"]
    assert oracle.standing({**card, "metadata": {"event_payload": {"id": "a"}}}) == []


def test_every_pair_of_settings_comes_up_in_each_round() -> None:
    """Whichever two of them were to fail together, a round of eight runs has both."""
    runs = list(itertools.islice(torture.kill_runs(), 4 * torture.ROUND))
    for begin in range(0, len(runs), torture.ROUND):
        of = [run.ways for run in runs[begin : begin + torture.ROUND]]
        for one, other in itertools.combinations(of[0], 2):
            assert len({(ways[one], ways[other]) for ways in of}) == 4, f"{one} and {other}"
    assert len({run.seed for run in runs}) == len(runs)


def test_every_pair_of_settings_of_a_fleet_comes_up_in_each_round() -> None:
    """Telegram, Slack and cuts, in four runs; each has a seed of its own."""
    runs = list(itertools.islice(torture.fleet_runs(), 2 * torture.FLEET_ROUND))
    for begin in range(0, len(runs), torture.FLEET_ROUND):
        of = [run.ways for run in runs[begin : begin + torture.FLEET_ROUND]]
        for one, other in itertools.combinations(("telegram", "slack", "cuts"), 2):
            assert len({(ways[one], ways[other]) for ways in of}) == 4, f"{one} and {other}"
    assert len({run.seed for run in runs}) == len(runs)


def test_a_run_of_the_plan_is_had_again_by_its_seed() -> None:
    """Whoever reads a seed in the record makes the run that is recorded; any other seed is one too."""
    for run in itertools.islice(torture.plan(), 40):
        assert torture.of_seed(run.seed) == run
    assert torture.of_seed(7).seed == 7


def test_a_run_that_breaks_off_is_written_down_as_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by hand, and with what had been done until then."""

    async def broken(plan: campaign.Plan, _folder: Path, report: campaign.Report) -> campaign.Report:
        report.kills["at random"] += plan.kills
        raise TimeoutError("it hangs")

    monkeypatch.setattr(campaign, "run", broken)
    row = torture.make(torture.of_seed(1001), "abc", kills=3)
    assert row.failures == ("left_over: not judged: TimeoutError: it hangs",)
    assert (row.faults, row.unexplained) == ({"at random": 3}, 1)


def test_every_crash_point_of_the_message_path_belongs_to_a_role() -> None:
    """A point that no role of the crew has is one at which several processes are never killed."""
    assert sorted(point for points in crew.POINTS.values() for point in points) == sorted(crashpoints.POINTS)
    assert set(crew.POINTS) == set(crew.ROLES) >= {*crew.LED.values(), crew.CARRIER}


@pytest.mark.parametrize("telegram", torture.TELEGRAM)
@pytest.mark.parametrize("slack", torture.SLACK)
def test_a_cut_is_one_that_the_sandbox_can_play(telegram: str, slack: str) -> None:
    """A fault that does not exist would pass for one that did no harm."""
    for cut in cuts.cuts(telegram, slack):
        if isinstance(cut, cuts.Cut):
            assert cut.fault in {**faults.REQUEST_FAULTS, **faults.DELIVERY_FAULTS}, cut
        else:
            assert cut in cuts.ACTS, cut


def test_a_report_names_its_seed() -> None:
    """Whoever sees a failed campaign can run the very same one again."""
    report = campaign.Report(seed=42, kills=Counter(after_call=2))
    assert report.as_json()["seed"] == 42
    assert "42" in report.table()


async def test_what_breaks_off_beside_a_campaign_ends_it() -> None:
    """A supervisor that can start nobody is not waited beside for ever; one that is over is no reason to stop."""

    async def endless() -> None:
        await asyncio.Event().wait()

    async def short() -> None:
        await asyncio.sleep(0)

    async def broken() -> None:
        raise OSError("no more processes")

    storm = asyncio.create_task(endless())
    with pytest.raises(OSError, match="no more processes"):
        await crew.beside(storm, asyncio.create_task(broken()))
    storm.cancel()
    await crew.beside(asyncio.create_task(short()), asyncio.create_task(short()))
