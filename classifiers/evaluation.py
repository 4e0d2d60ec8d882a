"""How good is a classifier: figures on labelled texts, all percentages as shares between 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier
from domain.assessment import Assessment, Text

BINS = 15
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Report:
    """Figures of one labelled set.

    `accuracy`, `macro_f1`, `ece` are about intents; `queue_accuracy` about the likeliest queue; `routed` is the
    share that the classifier stood by, `routed_precision` how many of those went to the right queue (1.0 where it
    routed none).
    """

    texts: int
    accuracy: float
    macro_f1: float
    ece: float
    queue_accuracy: float
    routed: float
    routed_precision: float


def evaluate(classifier: Classifier, labelled: Sequence[tuple[str, str]], language: str | None = None) -> Report:
    """Assess (text, intent id) pairs and compare. `language` is passed on as the hint.

    Raises ValueError for an empty list or an intent that the classifier does not have.
    """
    if not labelled:
        raise ValueError("nothing to evaluate: the list of labelled texts is empty")
    queue_of = {label.id: label.queue for label in classifier.labels}
    unknown = sorted({intent for _, intent in labelled} - set(queue_of))
    if unknown:
        raise ValueError(f"the classifier has no intent {', '.join(unknown)}")
    answers: list[Assessment] = []
    for start in range(0, len(labelled), BATCH):
        part = labelled[start : start + BATCH]
        answers += classifier.assess(
            [Text(key=str(start + place), text=text, language_hint=language) for place, (text, _) in enumerate(part)]
        )
    truth = [intent for _, intent in labelled]
    guesses = [answer.top[0].label if answer.top else "" for answer in answers]
    right = np.array([guess == intent for guess, intent in zip(guesses, truth, strict=True)])
    queue_right = np.array(
        [
            bool(answer.queues) and answer.queues[0].label == queue_of[intent]
            for answer, intent in zip(answers, truth, strict=True)
        ]
    )
    routed = np.array([not answer.abstain for answer in answers])
    return Report(
        texts=len(labelled),
        accuracy=float(right.mean()),
        macro_f1=macro_f1(truth, guesses),
        ece=calibration_error(np.array([answer.confidence for answer in answers]), right),
        queue_accuracy=float(queue_right.mean()),
        routed=float(routed.mean()),
        routed_precision=float(queue_right[routed].mean()) if routed.any() else 1.0,
    )


def macro_f1(truth: Sequence[str], guesses: Sequence[str]) -> float:
    """The mean F1 over the labels that occur in `truth`."""
    scores = []
    for label in sorted(set(truth)):
        hits = sum(t == g == label for t, g in zip(truth, guesses, strict=True))
        named = sum(g == label for g in guesses) + sum(t == label for t in truth)
        scores.append(2 * hits / named)
    return sum(scores) / len(scores)


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, weighted by bin."""
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[places == place].mean()) - float(right[places == place].mean()))
        * float((places == place).mean())
        for place in range(bins)
        if (places == place).any()
    ]
    return sum(gaps)


def coverage_at(confidence: NDArray[np.float64], right: NDArray[np.bool_], precision: float) -> float:
    """The largest share, taken from the most confident down, that is right at least `precision` of the time."""
    order = np.argsort(-confidence, kind="stable")
    running = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(running >= precision)
    return float((good[-1] + 1) / len(order)) if good.size else 0.0


def threshold_for(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], *, precision: float, certainty: float
) -> float | None:
    """The lowest confidence above which the lower Wilson bound of the precision reaches `precision`; None if none does.

    `certainty` is the z value of the bound (1.28: one side, 90 %).
    """
    order = np.argsort(-confidence, kind="stable")
    hits = np.cumsum(right[order])
    found = None
    for count in range(1, len(order) + 1):
        ends_a_tie = count == len(order) or confidence[order[count]] < confidence[order[count - 1]]
        if ends_a_tie and wilson_lower(int(hits[count - 1]), count, certainty) >= precision:
            found = float(confidence[order[count - 1]])
    return found


def wilson_lower(hits: int, count: int, z: float) -> float:
    """The lower end of Wilson's interval for `hits` of `count`."""
    if count == 0:
        return 0.0
    share, square = hits / count, z * z
    centre = share + square / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return (centre - spread) / (1 + square / count)
