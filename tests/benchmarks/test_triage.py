"""The triage benchmark's own arithmetic, on sets small enough to check by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import triage_online, triage_sets
from benchmarks.triage_sets import Remembering, Split
from tests.classifiers import kit


def test_auroc_counts_pairs() -> None:
    """Of four pairs two are right, one is a draw and one is wrong."""
    assert triage_sets.auroc(np.array([0.1, 0.5]), np.array([0.5, 0.3])) == pytest.approx(2.5 / 4)
    assert triage_sets.auroc(np.array([0.1]), np.array([0.9])) == 1.0


def test_a_set_is_read_line_by_line(tmp_path: Path) -> None:
    """Text and label of every line; what is no such line ends the run with the file's name."""
    path = tmp_path / "test.jsonl"
    path.write_text("\n".join(json.dumps({"text": t, "label": t.upper()}) for t in ("a", "b")))
    assert triage_sets.read(path) == Split(language="en", texts=("a", "b"), labels=("A", "B"))
    path.write_text('{"text": "a"}')
    with pytest.raises(SystemExit, match=r"test\.jsonl cannot be read"):
        triage_sets.read(path)


def test_labels_become_words() -> None:
    """The name of a label is one more example, as people would write it."""
    assert triage_sets.readable("Refund_not_showing_up") == "Refund not showing up"
    assert triage_sets.readable("weather/find") == "weather find"


def test_encoding_is_remembered() -> None:
    """Asked again, in another order, the same vectors come back."""
    encoder = Remembering(kit.encoder())
    first = encoder.encode(["where is my parcel", "hello"])
    again = encoder.encode(["hello", "a new text", "where is my parcel"])
    assert (again.vectors[2] == first.vectors[0]).all()
    assert (again.vectors[0] == first.vectors[1]).all()


def test_the_recipe_beats_chance_on_a_handful() -> None:
    """Three labels, five sentences each: what was trained on is known, and a baseline answers the same question."""
    texts = {
        "parcel": ("where is my parcel", "parcel lost", "track parcel", "parcel late", "no parcel yet"),
        "money": ("charged twice", "refund me", "wrong bill", "money back", "card was charged"),
        "login": ("cannot log in", "password lost", "account locked", "login fails", "code missing"),
    }
    pairs = [(text, label) for label, said in texts.items() for text in said]
    split = Split(language="en", texts=tuple(t for t, _ in pairs), labels=tuple(label for _, label in pairs))
    encoder = Remembering(kit.encoder())
    classifier = triage_sets.trained(triage_sets.taxonomy_of(split), encoder)
    assert triage_sets.score(classifier, split).accuracy > 0.9
    for name in triage_sets.BASELINES:
        plain = triage_sets.plain(name, split, split, encoder)
        assert plain.probabilities.sum(axis=1) == pytest.approx(np.ones(len(pairs)))
        assert plain.accuracy > 60
    strange = triage_sets.strangeness(triage_sets.untaught(classifier), ["parcel lost", "zebra crossing paint"])
    assert strange[0] < strange[1]


def test_every_bank_intent_has_a_team() -> None:
    """The first pattern that fits decides, and what fits none goes to the rest."""
    assert triage_online.queue_of("card_arrival") == "cards"
    assert triage_online.queue_of("top_up_failed") == "top-ups"
    assert triage_online.queue_of("Refund_not_showing_up") == "refunds"
    assert triage_online.queue_of("something_else") == "other"
