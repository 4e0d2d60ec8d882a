"""The story: a fresh sandbox fills by itself, in English and Chinese, with a picture, and only once."""

import time
from pathlib import Path

from sandbox import story
from tests import patience
from tests.sandbox import telegram_kit


def test_customers_write_in_by_themselves_and_only_on_the_first_start(tmp_path: Path) -> None:
    """Within seconds several customers have written; a restart with the same state does not begin again."""
    state = str(tmp_path / "state.json")
    with telegram_kit.running("--seed-story", "--state", state) as desk:
        until = time.monotonic() + patience.LONG_S
        while len(desk.log("customer_message")) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        written = desk.log("customer_message")
        assert {record["data"]["from"]["language_code"] for record in written} == {"en", "zh-hans"}
        assert desk.stop() == 0
    with telegram_kit.running("--seed-story", "--state", state) as again:
        known = len(again.get("telegram/customers")["customers"])
        time.sleep(1.5)
        assert len(again.get("telegram/customers")["customers"]) == known


def test_the_story_is_bounded_and_believable() -> None:
    """It ends within five minutes, fills the first twenty seconds, and nobody shouts."""
    times = [line.at_s for line in story.LINES]
    assert times == sorted(times)
    assert times[-1] < 300
    assert sum(at <= 20 for at in times) >= 8
    assert {line.who for line in story.LINES} == set(story.PEOPLE)
    assert not any("!" in line.text or "！" in line.text for line in story.LINES)
    assert any(line.photo for line in story.LINES)
