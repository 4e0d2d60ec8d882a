"""How somebody sounds: read from plain words, in both languages, and of no consequence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from classifiers import rules, sentiment, verdict
from classifiers.base import Label
from classifiers.language import Language
from domain.model import Priority


@pytest.mark.parametrize(
    "text",
    [
        "this is unacceptable, the worst service ever",
        "i am fed up with your useless app",
        "not happy at all with this",
        "太差了，垃圾软件",
        "我对你们的服务很不满意",
        "等了三天没人理，真的很失望",
        "your app is 垃圾",
    ],
)
def test_who_is_cross_sounds_so(text: str) -> None:
    """A word of anger, or a good word denied, is below zero."""
    assert (sentiment.read(text) or 0.0) <= -0.3


@pytest.mark.parametrize(
    "text",
    ["great service, i love it", "you have been very helpful, excellent", "非常满意，给力", "太好了，客服很贴心"],
)
def test_who_is_glad_sounds_so(text: str) -> None:
    """A word of praise is above zero."""
    assert (sentiment.read(text) or 0.0) >= 0.3


@pytest.mark.parametrize("text", ["where is my parcel", "我的快递到哪了", "", "🙂", "123", "order 0000 arrived"])
def test_plain_questions_have_no_tone(text: str) -> None:
    """Where no word tells, nothing is said rather than "neutral"."""
    assert sentiment.read(text) is None


def test_polite_words_and_denied_complaints_are_mild() -> None:
    """Thanks is manners more than joy, and "not bad" is no complaint."""
    for text in ("thanks", "not bad", "谢谢"):
        assert 0.0 < (sentiment.read(text) or 0.0) < 0.6
    assert sentiment.read("no thanks") is None


def test_it_lies_between_its_ends() -> None:
    """However much is said, -1 and 1 are the ends."""
    assert -1.0 <= (sentiment.read("terrible awful worst " * 500) or 0.0) < -0.9
    assert 0.9 < (sentiment.read("great perfect 满意 " * 500) or 0.0) <= 1.0


def test_it_decides_nothing() -> None:
    """Two readings that differ in tone alone give answers that differ in tone alone."""
    labels = (Label(id="a", names={}, descriptions={}, queue="q"), Label(id="b", names={}, descriptions={}, queue="r"))
    said = verdict.Said(probabilities=np.array([0.9, 0.1]), threshold=0.5, strange=0.1, doubt="")
    signals = rules.read("where is it", "where is it")
    judge, language = verdict.Judge(labels), Language(code="en", confidence=0.9)
    plain, cross = (
        judge.judge(language, replace(signals, sentiment=tone), said, "v").to_json() for tone in (None, -1.0)
    )
    assert plain["priority"] == Priority.NORMAL.value
    assert cross == plain | {"sentiment": -1.0}
