"""How good is a classifier: figures on labelled texts, all percentages as shares between 0 and 1."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier
from classifiers.taxonomy import Example
from domain.assessment import Assessment, Text

BINS = 15
BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Class:
    """One intent: how many texts have it (`texts`), how many were given it (`named`), and precision, recall, F1 (0.0
    where undefined).
    """

    intent: str
    texts: int
    named: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True)
class Point:
    """Of the texts with the surest queues, a `coverage` share, `precision` went to the right one; the least sure of
    them had `threshold`.
    """

    coverage: float
    precision: float
    threshold: float


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence: its mean, how often they were right, how many they are."""

    confidence: float
    accuracy: float
    texts: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Figures of one labelled set.

    `accuracy`, `macro_f1`, `ece`, `calibration`, `classes`, `confusion` are about the likeliest intent;
    `queue_accuracy`, `queue_ece` and `curve` about the likeliest queue. `routed` is the share that the classifier
    stood by, `routed_precision` how many of those went to the right queue (1.0 where it routed none). `confusion`
    counts (true intent, given intent, "" where there was nothing to read).
    """

    version: str
    texts: int
    accuracy: float
    macro_f1: float
    ece: float
    queue_accuracy: float
    queue_ece: float
    routed: float
    routed_precision: float
    classes: tuple[Class, ...]
    curve: tuple[Point, ...]
    calibration: tuple[Bin, ...]
    confusion: Mapping[tuple[str, str], int]

    def coverage_at(self, precision: float) -> float:
        """The largest share of the texts that could be routed with at least this precision."""
        return max((point.coverage for point in self.curve if point.precision >= precision), default=0.0)


def score(
    classifier: Classifier, examples: Sequence[Example], progress: Callable[[int], None] = lambda _count: None
) -> Scores:
    """Assess labelled sentences and compare; each one's language is passed on as the hint. `progress` is told how many
    more are done.

    Raises ValueError for an empty list or an intent that the classifier does not have.
    """
    if not examples:
        raise ValueError("nothing to evaluate: the list of labelled texts is empty")
    queue_of = {label.id: label.queue for label in classifier.labels}
    unknown = sorted({example.intent for example in examples} - set(queue_of))
    if unknown:
        raise ValueError(f"the classifier has no intent {', '.join(unknown)}")
    answers = list(_assess(classifier, examples, progress))
    truth = [example.intent for example in examples]
    guesses = [answer.top[0].label if answer.top else "" for answer in answers]
    confidence = np.array([answer.top[0].confidence if answer.top else 0.0 for answer in answers])
    right = np.array([guess == intent for guess, intent in zip(guesses, truth, strict=True)])
    queue_sure = np.array([answer.queues[0].confidence if answer.queues else 0.0 for answer in answers])
    queue_right = np.array(
        [
            bool(answer.queues) and answer.queues[0].label == queue_of[intent]
            for answer, intent in zip(answers, truth, strict=True)
        ]
    )
    routed = np.array([not answer.abstain for answer in answers])
    return Scores(
        version=classifier.version,
        texts=len(examples),
        accuracy=float(right.mean()),
        macro_f1=macro_f1(truth, guesses),
        ece=calibration_error(confidence, right),
        queue_accuracy=float(queue_right.mean()),
        queue_ece=calibration_error(queue_sure, queue_right),
        routed=float(routed.mean()),
        routed_precision=float(queue_right[routed].mean()) if routed.any() else 1.0,
        classes=per_class(truth, guesses),
        curve=curve(queue_sure, queue_right),
        calibration=calibration(confidence, right),
        confusion=Counter(zip(truth, guesses, strict=True)),
    )


def _assess(
    classifier: Classifier, examples: Sequence[Example], progress: Callable[[int], None]
) -> Iterator[Assessment]:
    for start in range(0, len(examples), BATCH):
        part = examples[start : start + BATCH]
        yield from classifier.assess([Text(key=one.id, text=one.text, language_hint=one.language) for one in part])
        progress(len(part))


def thinned(points: Sequence[Point], most: int = 200) -> tuple[Point, ...]:
    """At most about `most` of the points, the first and the last among them: enough for a smooth line."""
    step = max(1, -(-len(points) // most))
    return tuple(point for place, point in enumerate(points) if place % step == 0 or place == len(points) - 1)


def per_class(truth: Sequence[str], guesses: Sequence[str]) -> tuple[Class, ...]:
    """Figures of every label that occurs in `truth`, sorted by name."""
    texts, named = Counter(truth), Counter(guesses)
    hits = Counter(t for t, g in zip(truth, guesses, strict=True) if t == g)
    return tuple(
        Class(
            intent=label,
            texts=texts[label],
            named=named[label],
            precision=hits[label] / named[label] if named[label] else 0.0,
            recall=hits[label] / texts[label],
            f1=2 * hits[label] / (texts[label] + named[label]),
        )
        for label in sorted(texts)
    )


def macro_f1(truth: Sequence[str], guesses: Sequence[str]) -> float:
    """The mean F1 over the labels that occur in `truth`."""
    classes = per_class(truth, guesses)
    return sum(one.f1 for one in classes) / len(classes)


def calibration(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> tuple[Bin, ...]:
    """The answers by confidence, in `bins` of equal width; empty ones are left out."""
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    return tuple(
        Bin(
            confidence=float(confidence[places == place].mean()),
            accuracy=float(right[places == place].mean()),
            texts=int((places == place).sum()),
        )
        for place in range(bins)
        if (places == place).any()
    )


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error: how far confidence and accuracy lie apart, weighted by bin."""
    found = calibration(confidence, right, bins)
    off = sum(abs(one.confidence - one.accuracy) * one.texts for one in found)
    return off / max(1, len(confidence))


def curve(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Point, ...]:
    """Coverage against precision from the surest down; ties are not cut apart."""
    order = np.argsort(-sure, kind="stable")
    ranked, running = sure[order], np.cumsum(right[order]) / np.arange(1, sure.shape[0] + 1)
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    return tuple(
        Point(
            coverage=float((end + 1) / sure.shape[0]),
            precision=float(running[end]),
            threshold=float(ranked[end]),
        )
        for end in ends
    )


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
