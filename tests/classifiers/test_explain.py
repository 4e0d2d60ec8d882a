"""An explanation names what really carried the answer, in words that a person reads."""

from __future__ import annotations

import pytest

from classifiers.explain import explain
from tests.classifiers import kit


def test_the_words_that_carry_an_answer_are_named() -> None:
    """Whole words, strongest first, and taking the strongest ones away changes the confidence."""
    it = kit.default()
    found = explain(it, "Hello, my card was charged twice for the same payment", "en")
    assert found.answer.top[0].label == "billing_payment"
    words = [word for word, _ in found.words]
    assert "charged" in words
    assert all(" " not in word for word in words)
    margins = [margin for _, margin in found.words]
    assert margins == sorted(margins, reverse=True)
    assert min(margins) > 0
    without = explain(it, "Hello, my was for the same", "en")
    before = {score.label: score.confidence for score in found.answer.top}["billing_payment"]
    after = {score.label: score.confidence for score in without.answer.top}.get("billing_payment", 0.0)
    assert after < before


def test_chinese_is_explained_in_runs_of_characters() -> None:
    """None stands inside another, and the encoder, which cannot read it, has no share."""
    found = explain(kit.default(), "我的快递三天没动静了，是不是丢了", "zh")
    runs = [run for run, _ in found.words]
    assert runs
    assert not [a for a in runs for b in runs if a != b and a in b]
    assert found.lexical_share == 1.0


def test_the_nearest_examples_are_named_with_their_likeness() -> None:
    """An example itself lies at a distance of nothing; a confirmed message is found by its id."""
    it = kit.default()
    found = explain(it, "Where is my order? I ordered last Monday.", "en")
    assert found.nearest[0].example == "en/order_status/1"
    assert found.nearest[0].similarity == pytest.approx(1.0, abs=0.02)
    assert 0.0 < found.lexical_share < 1.0
    assert found.encoder


def test_rules_that_fired_are_named() -> None:
    """Priority rules by their ids, and the sure rules for closing, spam and wanting a person."""
    it = kit.ngrams()
    assert "wants_person" in explain(it, "let me talk to a human agent please", "en").rules
    assert "closure" in explain(it, "thanks, bye", "en").rules
    assert explain(it, "where is my parcel", "en").rules == ()


@pytest.mark.parametrize("text", ["", "   ", "…", "\ud800", "👍", "a", "x" * 100_000, "base64//+8=" * 500])
def test_nothing_is_too_odd_to_explain(text: str) -> None:
    """Any text has an explanation, if an empty one."""
    found = explain(kit.ngrams(), text)
    assert found.threshold > 0
    assert len(found.words) <= 5
    assert len(found.nearest) <= 3
