"""Times as customers read them, in the company's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import pytest

from bot import texts
from bot.texts.catalogue import Catalogue

SATURDAY = datetime(2026, 11, 21, 19, 0, tzinfo=UTC)  # 20:00 in Berlin


@pytest.mark.parametrize(
    ("hours", "english", "chinese"),
    [
        (1, "21:00 (UTC+1)", "今天21:00（UTC+1）"),
        (3.5, "23:30 (UTC+1)", "今天23:30（UTC+1）"),
        (13, "9:00 tomorrow (UTC+1)", "明天9:00（UTC+1）"),
        (37, "9:00 on Monday (UTC+1)", "11月23日（周一）9:00（UTC+1）"),
        (24 * 9, "20:00 on Monday, 30 November (UTC+1)", "11月30日（周一）20:00（UTC+1）"),
    ],
)
def test_a_time_is_as_long_as_it_must_be(hours: float, english: str, chinese: str) -> None:
    """Today the hour is enough, then tomorrow, then the weekday, then the date; a next week's Monday is dated in
    Chinese, where 周一 on a Saturday would be the one that is over."""
    at = SATURDAY + timedelta(hours=hours)
    assert texts.moment(at, SATURDAY, "Europe/Berlin", "en") == english
    assert texts.moment(at, SATURDAY, "Europe/Berlin", "zh-Hant") == chinese
    assert texts.moment(at, SATURDAY, "Europe/Berlin", "xx") == english, "a language without texts"


def test_a_weekday_of_this_week_is_enough_in_chinese() -> None:
    """On Monday, 周四 is this Thursday."""
    monday = datetime(2026, 11, 23, 8, tzinfo=UTC)
    assert texts.moment(monday + timedelta(days=3), monday, "Asia/Shanghai", "zh") == "周四16:00（UTC+8）"


@pytest.mark.parametrize(
    ("zone", "offset"), [("Asia/Kolkata", "UTC+5:30"), ("America/New_York", "UTC-5"), ("UTC", "UTC")]
)
def test_the_offset_is_that_of_the_moment(zone: str, offset: str) -> None:
    """Half hours and the west have theirs, too."""
    assert texts.moment(SATURDAY + timedelta(minutes=1), SATURDAY, zone, "en").endswith(f"({offset})")


def test_a_language_is_added_by_its_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its texts are in force, and no word of another language stands in them: a day is a date there."""
    for language, greeting in (("en", "Hello"), ("fr", "Bonjour")):
        (tmp_path / f"{language}.yaml").write_text(f"start: {greeting}\nby: '{{time}}'\n", "utf-8")
    monkeypatch.setattr(texts, "CUSTOMERS", Catalogue(resources.files(texts) / str(tmp_path), "texts"))
    assert texts.languages() == ("en", "fr")
    assert texts.text("start", "fr-CA") == "Bonjour"
    monday = SATURDAY + timedelta(hours=37)
    assert texts.moment(monday, SATURDAY, "Europe/Berlin", "fr") == "2026-11-23, 9:00 (UTC+1)"
    assert texts.moment(SATURDAY, SATURDAY, "Europe/Berlin", "fr") == "20:00 (UTC+1)"
