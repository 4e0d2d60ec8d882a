"""Recalibration finds the truth again, weights undo the choice of what was labelled, and wrong labels show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers import heads, learning

CLASSES = 6
QUEUES = np.array([0, 0, 1, 1, 2, 2])
MODEST = 0.655  # as sure as heads can hardly be that learned from labels of which two fifths are noise


def stream(count: int, *, temperature: float = 1.0, seed: int = 5) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores whose softmax at `temperature` is the truth, and labels drawn from it."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0.0, 2.0, (count, CLASSES))
    likely = heads.softmax(scores / temperature)
    return scores, np.array([rng.choice(CLASSES, p=row) for row in likely])


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_a_temperature_is_found_again(temperature: float) -> None:
    """From 500 labels, within a fifth; too sharp and too flat scores alike."""
    scores, truth = stream(500, temperature=temperature)
    found = learning.recalibrate(scores, truth, np.ones(500), queues=QUEUES)
    assert found is not None
    assert found.temperature == pytest.approx(temperature, rel=0.2)
    assert found.ece_after < 0.06
    assert found.ece_after <= found.ece_before + 0.02


def test_few_labels_change_nothing() -> None:
    """Below the least number there is no calibration, and heavy weights make many labels few."""
    scores, truth = stream(200, temperature=3.0)
    assert learning.recalibrate(scores[:20], truth[:20], np.ones(20)) is None
    weights = np.full(200, 0.01)
    weights[:3] = 1000.0
    assert learning.recalibrate(scores, truth, weights) is None
    assert learning.recalibrate(scores, truth, np.zeros(200)) is None


def test_only_the_newest_count() -> None:
    """After a change the old labels are forgotten: what people confirm today decides."""
    old, old_truth = stream(600, temperature=4.0, seed=1)
    new, new_truth = stream(500, temperature=0.5, seed=2)
    scores, truth = np.concatenate([old, new]), np.concatenate([old_truth, new_truth])
    found = learning.recalibrate(scores, truth, np.ones(1100))
    assert found is not None
    assert found.texts == 500
    assert found.temperature == pytest.approx(0.5, rel=0.25)


def test_inverse_probability_weights_undo_the_selection() -> None:
    """Doubtful messages are all labelled, sure ones one in twenty: weighted, the estimate is that of the whole."""
    scores, truth = stream(6000, temperature=2.0, seed=7)
    sure = heads.softmax(scores).max(axis=1) > 0.7
    rng = np.random.default_rng(3)
    labelled = ~sure | (rng.random(6000) < 0.05)
    weights = np.where(sure, 20.0, 1.0)
    whole = learning.recalibrate(scores, truth, np.ones(6000), newest=6000)
    right = learning.recalibrate(scores[labelled], truth[labelled], weights[labelled], newest=6000)
    assert whole is not None
    assert right is not None
    assert right.temperature == pytest.approx(whole.temperature, rel=0.15)
    sharpened, answers = learning.queue_answers(heads.softmax(scores[labelled]), truth[labelled], QUEUES)
    everything, all_answers = learning.queue_answers(heads.softmax(scores), truth, QUEUES)
    true = learning.calibration_error(everything, all_answers, np.ones(6000))
    assert learning.calibration_error(sharpened, answers, weights[labelled]) == pytest.approx(true, abs=0.03)


def test_what_people_picked_for_being_wrong_does_not_count() -> None:
    """Corrections of their own accord have no weight: they would make every answer look wrong."""
    scores, truth = stream(300)
    wrong = (scores.argmax(axis=1) + 1) % CLASSES
    both, labels = np.concatenate([scores, scores]), np.concatenate([truth, wrong])
    weights = np.concatenate([np.ones(300), np.zeros(300)])
    assert learning.recalibrate(both, labels, weights) == learning.recalibrate(scores, truth, np.ones(300))


def test_the_threshold_keeps_the_promise() -> None:
    """Above it the weighted precision holds on fresh traffic; without enough proof there is none."""
    scores, truth = stream(500, temperature=0.4, seed=11)
    found = learning.recalibrate(scores, truth, np.ones(500), queues=QUEUES, precision=0.95)
    assert found is not None
    assert found.threshold is not None
    fresh, fresh_truth = stream(4000, temperature=0.4, seed=12)
    sure, right = learning.queue_answers(heads.softmax(fresh / found.temperature), fresh_truth, QUEUES)
    routed = sure >= found.threshold
    assert routed.mean() > 0.5
    assert right[routed].mean() >= 0.94
    random = np.random.default_rng(1).integers(0, CLASSES, 500)
    hopeless = learning.recalibrate(scores, random, np.ones(500), queues=QUEUES)
    assert hopeless is not None
    assert hopeless.threshold is None


def test_a_few_spot_checks_are_enough_for_a_threshold() -> None:
    """What was left to people says how truth follows confidence, so that forty spot checks allow a threshold where
    counting their errors would not; and it keeps the promise on the whole stream.
    """
    scores, truth = stream(1200, temperature=0.5, seed=21)
    sure, right = learning.queue_answers(heads.softmax(scores / 0.5), truth, QUEUES)
    routed = sure > 0.99
    audited = np.random.default_rng(1).random(1200) < 0.05
    labelled = ~routed | audited
    assert (routed & audited).sum() < 45
    weights = np.where(routed, 20.0, 1.0)[labelled]
    found = learning.threshold_for(sure[labelled], right[labelled], weights, precision=0.97, certainty=1.0)
    assert found is not None
    assert 0.6 < found < 0.98
    fresh, fresh_truth = stream(4000, temperature=0.5, seed=22)
    sure, right = learning.queue_answers(heads.softmax(fresh / 0.5), fresh_truth, QUEUES)
    assert right[sure >= found].mean() >= 0.97
    doubtful = learning.threshold_for(sure[:40], np.arange(40) % 3 > 0, np.ones(40), precision=0.97, certainty=1.0)
    assert doubtful is None


def test_a_noisy_history_is_unlearned() -> None:
    """Heads that learned from labels of which a fifth is wrong are too modest; clean labels set their confidence right,
    and far more can be routed at the same precision.
    """
    rng = np.random.default_rng(4)
    truth = rng.integers(0, CLASSES, 1500)
    clean = rng.normal(0.0, 1.0, (1500, CLASSES))
    clean[np.arange(1500), truth] += 6.0
    modest = heads.softmax(clean) * 0.6 + 0.4 / CLASSES  # what flipped labels teach: never be sure
    scores = np.log(modest)
    found = learning.recalibrate(scores[:500], truth[:500], np.ones(500), precision=0.95)
    assert found is not None
    assert found.temperature < 0.5
    assert found.ece_after < found.ece_before / 3
    fixed = heads.softmax(scores[500:]).max(axis=1) >= 0.8
    rolling = heads.softmax(scores[500:] / found.temperature).max(axis=1) >= 0.8
    assert rolling.mean() > 2 * fixed.mean()
    right = scores[500:].argmax(axis=1) == truth[500:]
    assert right[rolling].mean() >= 0.95


def test_wrong_labels_show() -> None:
    """Of labels that were swapped most are found, worst first, and hardly any that is right."""
    rng = np.random.default_rng(9)
    truth = rng.integers(0, CLASSES, 400)
    scores = rng.normal(0.0, 1.0, (400, CLASSES))
    scores[np.arange(400), truth] += 5.0
    given = truth.copy()
    swapped = rng.choice(400, 20, replace=False)
    given[swapped] = (given[swapped] + 1) % CLASSES
    found = learning.suspicious(heads.softmax(scores), given)
    named = {one.row for one in found}
    assert len(named & set(swapped.tolist())) >= 14
    assert len(named - set(swapped.tolist())) <= 4
    gaps = [one.likely_probability - one.label_probability for one in found]
    assert gaps == sorted(gaps, reverse=True)
    assert learning.suspicious(heads.softmax(scores), given, limit=3) == found[:3]


def test_calibrated_again_and_again_it_keeps_the_promise() -> None:
    """Each calibration decides what is labelled for the next one. Over ten streams after a noisy history 97 % of what
    is routed is right, hardly less in any of them, and more than twice as much is routed as by the confidence that the
    heads came with.
    """
    kept, shares, before = [], [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, CLASSES, 1500)
        clean = rng.normal(0.0, 1.0, (1500, CLASSES))
        clean[np.arange(1500), truth] += rng.normal(4.5, 2.0, 1500)
        scores = np.log(heads.softmax(clean) * 0.6 + 0.4 / CLASSES)
        right = scores.argmax(axis=1) == truth
        temperature, threshold = 1.0, MODEST
        labelled, weights, sent = [], [], np.zeros(1500, dtype=bool)
        for first in range(0, 1500, 100):
            rows = np.arange(first, first + 100)
            sent[rows] = heads.softmax(scores[rows] / temperature).max(axis=1) >= threshold
            asked = rows[~sent[rows] | (rng.random(100) < 0.05)]
            labelled += asked.tolist()
            weights += np.where(sent[asked], 20.0, 1.0).tolist()
            found = learning.recalibrate(scores[labelled], truth[labelled], np.array(weights))
            if found is not None and found.threshold is not None:
                temperature, threshold = found.temperature, found.threshold
        late = sent[750:]
        kept.append(right[750:][late].mean())
        shares.append(late.mean())
        before.append((heads.softmax(scores[750:]).max(axis=1) >= MODEST).mean())
    assert np.mean(kept) >= 0.97
    assert min(kept) >= 0.95
    assert np.mean(shares) > 2 * np.mean(before)
