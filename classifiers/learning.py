"""Learning from what people confirmed: recalibration on the newest labels, and which labels look wrong.

Plain arrays in, numbers out. A label's weight is how many messages like it it stands for: what the machine left to
people is labelled every time (weight 1), of what it routed only an audit sample is (weight 1/share), and what people
corrected of their own accord is picked for being wrong, so it stands for nothing here (weight 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers import evaluation, heads

NEWEST = 500  # labels per language that calibration rests on: enough to measure, few enough to follow a change
LEAST = 30  # effective labels below which a measured temperature is mostly chance
SLIPS = 0.02  # of the labels that people give, so many are wrong: none of them may say much alone
PRIOR = 4.0  # how strongly few labels are held to the temperature that there was: worth about so many of them
COLDEST, HOTTEST = 0.05, 20.0
STEPS = 60  # of the search: far below any difference that matters
TRUST = 16.0  # in the confidence as it was set: offset and slope of its truth are held to 0 and 1 by 1 / sqrt(TRUST)
PRECISION = 0.97  # see classifiers/training.py
CERTAINTY = 1.28  # standard errors: a stream is calibrated again and again, and the luckiest threshold stays longest
LEAST_THRESHOLD = 0.5
ROUNDS, NEAR_ENOUGH = 50, 1e-8  # of Newton's method: far below any difference that matters
SHARPEST = 14.0  # log odds beyond which a probability (one in a million) is no longer told from 0 or 1

Matrix = NDArray[np.float64]
Numbers = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What the newest labels say.

    Scores are to be divided by `temperature`, 1.0 where no other brings confidence nearer to the truth. `threshold` is
    the least queue probability to stand by, None where the labels cannot show the precision. `texts` were looked at,
    worth `effective` equally weighted ones; `ece_before` and `ece_after` are the weighted calibration errors of the
    queue.
    """

    temperature: float
    threshold: float | None
    texts: int
    effective: float
    ece_before: float
    ece_after: float


def recalibrate(
    scores: Matrix,
    truth: Places,
    weights: Numbers,
    *,
    queues: Places | None = None,
    precision: float = PRECISION,
    certainty: float = CERTAINTY,
    newest: int = NEWEST,
) -> Calibration | None:
    """Temperature and threshold from confirmed labels, oldest first; None where they are too few to tell.

    `scores` float64 (n, classes) are logits or log probabilities of a classifier that has not been trained on these
    texts; `truth` int (n,) the confirmed columns; `weights` float64 (n,), those of 0 are left out. `queues` int
    (classes,) says which columns are one queue (none: each its own). The newest `newest` count.
    """
    counted = np.flatnonzero(weights > 0)[-newest:]
    scores, truth, weights = scores[counted], truth[counted], weights[counted]
    effective = effective_count(weights)
    if effective < LEAST:
        return None
    queues = np.arange(scores.shape[1]) if queues is None else queues
    temperature = _temperature(scores, truth, weights, effective)
    sure, right = queue_answers(heads.softmax(scores), truth, queues)
    before = after = calibration_error(sure, right, weights)
    tempered, tempered_right = queue_answers(heads.softmax(scores / temperature), truth, queues)
    if (better := calibration_error(tempered, tempered_right, weights)) < before:
        sure, right, after = tempered, tempered_right, better
    else:
        temperature = 1.0
    found = threshold_for(sure, right, weights, precision=precision, certainty=certainty)
    return Calibration(
        temperature=temperature,
        threshold=None if found is None else max(found, LEAST_THRESHOLD),
        texts=int(counted.shape[0]),
        effective=effective,
        ece_before=before,
        ece_after=after,
    )


def effective_count(weights: Numbers) -> float:
    """How many equally weighted labels say as much as these (Kish): few heavy ones say little."""
    squares = float((weights * weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def queue_answers(probabilities: Matrix, truth: Places, queues: Places) -> tuple[Numbers, NDArray[np.bool_]]:
    """Probability of the likeliest queue and whether it is the true one, both (n,)."""
    names = np.unique(queues)
    sums = np.stack([probabilities[:, queues == name].sum(axis=1) for name in names], axis=1)
    right = names[sums.argmax(axis=1)] == queues[truth]
    return np.asarray(sums.max(axis=1), dtype=np.float64), np.asarray(right, dtype=np.bool_)


def threshold_for(
    sure: Numbers, right: NDArray[np.bool_], weights: Numbers, *, precision: float, certainty: float
) -> float | None:
    """The lowest confidence above which the lower bound of the weighted precision reaches `precision`; None if none.

    Above any threshold hardly a label is wrong, and those that are weigh most: counting them asks for hundreds of spot
    checks. So all labels, the doubtful ones too, say how truth follows confidence (a line in the log odds), and the
    line says how often what lies above is right. `certainty` standard errors of the line are taken off.
    """
    scale = effective_count(weights) / float(weights.sum())
    odds = _log_odds(sure)
    line, spread = _line(odds, np.asarray(right, dtype=np.float64), scale * weights)
    order = np.argsort(-sure, kind="stable")
    ranked, weighed = sure[order], weights[order]
    design = np.stack([np.ones_like(odds), odds], axis=1)[order]
    likely = _chances(design @ line)
    total = np.cumsum(weighed)
    share = np.cumsum(weighed * likely) / total
    slope = np.cumsum((weighed * likely * (1 - likely))[:, None] * design, axis=0) / total[:, None]
    lower = share - certainty * np.sqrt(np.einsum("ni,ij,nj->n", slope, spread, slope))
    ends_a_tie = np.append(ranked[1:] < ranked[:-1], True)
    good = np.flatnonzero(ends_a_tie & (lower >= precision))
    return float(ranked[good[-1]]) if good.size else None


def calibration_error(sure: Numbers, right: NDArray[np.bool_], weights: Numbers) -> float:
    """Weighted expected calibration error over bins of equal width, 0 to 1."""
    places = np.minimum((sure * evaluation.BINS).astype(int), evaluation.BINS - 1)
    off = weights * (sure - right)
    gaps = np.abs(np.bincount(places, weights=off, minlength=evaluation.BINS))
    return float(gaps.sum() / weights.sum())


@dataclass(frozen=True, kw_only=True)
class Suspicion:
    """A label that heads trained without it contradict: `row` of the input, its `label` and the `likely` column, with
    their probabilities.
    """

    row: int
    label: int
    likely: int
    label_probability: float
    likely_probability: float


def suspicious(probabilities: Matrix, truth: Places, *, limit: int = 100) -> list[Suspicion]:
    """Labels that are probably wrong, worst first, from out-of-fold probabilities (n, classes).

    Confident learning: another intent is claimed with at least the confidence that is usual for it, and with more than
    the label itself gets.
    """
    count = probabilities.shape[1]
    own = probabilities[np.arange(truth.shape[0]), truth]
    usual = np.array([own[truth == column].mean() if (truth == column).any() else 1.0 for column in range(count)])
    claims = np.where(probabilities >= usual, probabilities, 0.0)
    claims[np.arange(truth.shape[0]), truth] = 0.0
    likely = claims.argmax(axis=1)
    strength = claims.max(axis=1)
    rows = np.flatnonzero(strength > own)
    rows = rows[np.argsort(own[rows] - strength[rows], kind="stable")][:limit]
    return [
        Suspicion(
            row=int(row),
            label=int(truth[row]),
            likely=int(likely[row]),
            label_probability=float(own[row]),
            likely_probability=float(strength[row]),
        )
        for row in rows
    ]


def _line(odds: Numbers, right: Numbers, weights: Numbers) -> tuple[Numbers, Numbers]:
    """Offset and slope of the log odds of being right over those of the confidence, (2,), and their covariance (2, 2):
    weighted logistic regression, held to "as it says" by TRUST. The covariance counts a label of weight w w times over.
    """
    design = np.stack([np.ones_like(odds), odds], axis=1)
    held = np.array([0.0, 1.0])
    prior = TRUST * np.eye(2)

    def loss(at: Numbers) -> float:
        margins = design @ at
        surprise = float(weights @ (np.logaddexp(0.0, margins) - right * margins))
        return surprise + float((at - held) @ prior @ (at - held)) / 2

    line, lost = held.copy(), loss(held)
    for _ in range(ROUNDS):
        likely = _chances(design @ line)
        slope = design.T @ (weights * (likely - right)) + prior @ (line - held)
        step = np.linalg.solve(_information(design, weights, likely) + prior, slope)
        while loss(line - step) > lost and float(np.abs(step).max()) > NEAR_ENOUGH:
            step /= 2  # the loss has one valley: a step too far is halved until it leads down
        line, lost = line - step, loss(line - step)
        if float(np.abs(step).max()) <= NEAR_ENOUGH:
            break
    likely = _chances(design @ line)
    inverse = np.linalg.inv(_information(design, weights, likely) + prior)
    return line, inverse @ (_information(design, weights * weights, likely) + prior) @ inverse


def _information(design: Matrix, weights: Numbers, likely: Numbers) -> Matrix:
    return np.asarray((design * (weights * likely * (1 - likely))[:, None]).T @ design)


def _log_odds(sure: Numbers) -> Numbers:
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(sure) - np.log1p(-sure), -SHARPEST, SHARPEST), dtype=np.float64)


def _chances(odds: Numbers) -> Numbers:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -SHARPEST, SHARPEST))))


def _temperature(scores: Matrix, truth: Places, weights: Numbers, effective: float) -> float:
    """The temperature of least weighted loss, held to 1 by a prior that many labels outweigh."""
    rows = np.arange(truth.shape[0])
    scale = effective / float(weights.sum())

    def loss(logarithm: float) -> float:
        given = heads.softmax(scores / np.exp(logarithm))[rows, truth]
        likelihood = np.log((1 - SLIPS) * given + SLIPS / scores.shape[1])
        return -scale * float(weights @ likelihood) + PRIOR * logarithm * logarithm / 2

    return float(np.exp(_least(loss, float(np.log(COLDEST)), float(np.log(HOTTEST)))))


def _least(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is least (golden section): no library is needed to serve or to simulate."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(STEPS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2
