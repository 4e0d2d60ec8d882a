"""The page of an evaluation: whole, readable without a network, and without anybody's words."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from bot import report_page
from classifiers import evaluation, taxonomy
from classifiers.evaluation import Scores
from tests.classifiers import kit


@pytest.fixture(scope="module")
def scores() -> dict[str, Scores]:
    """The n-gram expert on the golden set."""
    golden = taxonomy.golden()
    return {
        language: evaluation.score(kit.ngrams(), [one for one in golden if one.language == language])
        for language in ("en", "zh")
    }


@pytest.fixture(scope="module")
def page(scores: dict[str, Scores]) -> str:
    """The page about it."""
    names = {label.id: label.names for label in kit.ngrams().labels}
    made_at = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    return report_page.page(scores, about="<starter> & ours", made_at=made_at, names=names, goal=0.97)


def test_it_is_well_formed_and_whole(page: str, scores: dict[str, Scores]) -> None:
    """Both languages, every intent by name, four pictures, and nothing that has to be fetched."""
    tree = ET.fromstring(re.sub(r"<(meta[^>]*)>", r"<\1/>", page.removeprefix("<!doctype html>")))
    assert len(tree.findall(".//svg")) == 4
    told = " ".join(tree.itertext())
    for label in kit.ngrams().labels:
        assert label.names["en"] in told
        assert label.names["zh"] in told
    assert f"{scores['zh'].accuracy:.1%}" in told
    assert "<starter> & ours" in told
    assert "2026-03-04 05:06" in told
    assert not re.search(r"(?:src|href)=|https?:|<script", page)


def test_it_holds_no_sentence(page: str) -> None:
    """It can be handed on: labels and counts only."""
    assert [one.text for one in taxonomy.golden() if len(one.text) > 12 and one.text in page] == []


def test_it_serves_light_and_dark(page: str) -> None:
    """Colours follow the reader's setting, and numbers line up."""
    assert "prefers-color-scheme:dark" in page
    assert "tabular-nums" in page


def test_points_lie_inside_their_picture(page: str) -> None:
    """However low the precision, no line leaves its frame."""
    size = report_page.SIDE + 2 * report_page.MARGIN
    for points in re.findall(r'points="([^"]+)"', page):
        for pair in points.split():
            x, y = map(float, pair.split(","))
            assert 0 <= x <= size
            assert 0 <= y <= size
