"""The nightly run: once a day, at its hour, also after a restart."""

from __future__ import annotations

from datetime import timedelta

from bot.retirement import Retirement
from domain.retention import Rule, What
from tests.contracts.storage_kit import NOW, Process
from tests.contracts.test_storage_retention import YEAR, retention, wrote

RULES = (Rule(what=What.MESSAGES, age=YEAR), Rule(what=What.FILES, age=YEAR))
EARLY, LATE = NOW.replace(hour=1), NOW.replace(hour=3)


def nightly(process: Process, *rules: Rule) -> Retirement:
    """A run at two o'clock."""
    return Retirement(retention(process), process.clocks, rules=rules, hour=2)


async def test_it_runs_once_a_day_at_its_hour(one: Process) -> None:
    """Not before the hour; then once, whoever asks; and again the next day."""
    await wrote(one, "Ann", days=500)
    assert await nightly(one, *RULES).nightly(EARLY) == []
    (taken,) = await nightly(one, *RULES).nightly(LATE)
    assert (taken.rule.what, taken.count) == (What.MESSAGES, 1)
    await wrote(one, "Bo", days=500)
    assert await nightly(one, *RULES).nightly(LATE + timedelta(hours=5)) == []
    (again,) = await nightly(one, *RULES).nightly(LATE + timedelta(days=1))
    assert again.count == 1


async def test_without_rules_nothing_goes(one: Process) -> None:
    """An empty table keeps everything, and does not even note that it ran."""
    await wrote(one, "Ann", days=5000)
    assert await nightly(one).nightly(LATE) == []
    assert await one.clocks.last_beat("retention") is None
