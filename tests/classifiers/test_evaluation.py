"""The figures themselves, on numbers that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from classifiers import evaluation, taxonomy
from classifiers.taxonomy import Example
from tests.classifiers import kit


def test_macro_f1_counts_every_label_alike() -> None:
    """a: 2 of 2 found, 3 named; b: 1 of 2 found, 1 named."""
    assert evaluation.macro_f1(["a", "a", "b", "b"], ["a", "a", "a", "b"]) == pytest.approx((0.8 + 2 / 3) / 2)


def test_calibration_error_is_the_gap() -> None:
    """Half at 0.9 with 0.5 right, half at 0.5 with 0.5 right: 0.4 off on half."""
    confidence = np.array([0.9, 0.9, 0.5, 0.5])
    right = np.array([True, False, True, False])
    assert evaluation.calibration_error(confidence, right) == pytest.approx(0.2)


def test_coverage_stops_where_precision_is_lost() -> None:
    """The three most confident are right, the fourth is not."""
    confidence, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, True, False])
    assert evaluation.coverage_at(confidence, right, 1.0) == 0.75
    assert evaluation.coverage_at(confidence, right, 0.75) == 1.0
    assert evaluation.coverage_at(confidence, ~right, 0.99) == 0.0


def test_the_threshold_has_evidence() -> None:
    """It is the lowest confidence with enough right answers above it, and ties are not cut apart."""
    confidence = np.array([0.9] * 50 + [0.6] * 10)
    right = np.array([True] * 50 + [False] * 10)
    assert evaluation.threshold_for(confidence, right, precision=0.95, certainty=1.0) == 0.9
    assert evaluation.threshold_for(confidence[:5], right[:5], precision=0.95, certainty=1.0) is None


def test_wilson_is_cautious_with_few() -> None:
    """Ten of ten is not certainty; nothing of nothing is nothing."""
    assert evaluation.wilson_lower(10, 10, 1.96) == pytest.approx(0.7225, abs=1e-4)
    assert evaluation.wilson_lower(0, 0, 1.96) == 0.0


@pytest.mark.parametrize(
    ("labelled", "problem"), [([], "nothing to evaluate"), ([("hi", "nonsense")], "no intent nonsense")]
)
def test_what_cannot_be_evaluated_is_said(labelled: list[tuple[str, str]], problem: str) -> None:
    """An empty list or an unknown intent is an error, not a figure."""
    examples = [Example(id=text, intent=intent, language="en", text=text) for text, intent in labelled]
    with pytest.raises(ValueError, match=problem):
        evaluation.score(kit.ngrams(), examples)


def test_the_parts_add_up() -> None:
    """What is counted per class, per bin and per pair of labels is what the totals say."""
    golden = [example for example in taxonomy.golden() if example.language == "en"]
    found = evaluation.score(kit.ngrams(), golden)
    assert sum(one.texts for one in found.classes) == sum(one.named for one in found.classes) == found.texts
    assert sum(one.texts for one in found.calibration) == sum(found.confusion.values()) == found.texts
    right = sum(count for (truth, given), count in found.confusion.items() if truth == given)
    assert right / found.texts == pytest.approx(found.accuracy)
    assert sum(one.f1 for one in found.classes) / len(found.classes) == pytest.approx(found.macro_f1)
    assert found.curve[-1].coverage == 1.0
    assert found.curve[-1].precision == pytest.approx(found.queue_accuracy)
    assert found.coverage_at(0.0) == 1.0
    assert found.coverage_at(found.queue_accuracy) == 1.0


def test_ties_are_not_cut_apart() -> None:
    """Two answers of the same confidence are one point of the curve."""
    points = evaluation.curve(np.array([0.9, 0.5, 0.5]), np.array([True, True, False]))
    assert [(point.coverage, point.precision, point.threshold) for point in points] == [
        (pytest.approx(1 / 3), 1.0, 0.9),
        (1.0, pytest.approx(2 / 3), 0.5),
    ]
