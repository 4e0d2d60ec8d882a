"""The table of what is shown names journeys that are there, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/journeys/\w+\.py)::(test_\w+)`")
HAN = re.compile(r"[\u4e00-\u9fff]")
NOTHING = "no text of ours"
HEADS = {"what", "---"}


def test_each_line_is_shown_by_journeys_that_exist() -> None:
    """Each is told in English and in Chinese, or nothing in it has a language; a renamed story is noticed here."""
    rows = [
        row for row in ROW.findall((ROOT / "docs" / "journeys.md").read_text(encoding="utf-8")) if row[0] not in HEADS
    ]
    assert len(rows) > 40
    for what, english, chinese in rows:
        assert TEST.findall(english), f"{what}: shown by nothing in English"
        told = [(ROOT / path).read_text(encoding="utf-8") for path, _ in TEST.findall(chinese)]
        assert any(HAN.search(text) for text in told) or chinese == NOTHING, f"{what}: shown by nothing in Chinese"
        for path, test in TEST.findall(english + chinese):
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{what}: {path}::{test}"
