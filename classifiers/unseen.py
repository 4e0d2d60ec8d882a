"""Confirmed texts as heads judge them that have not learned from them, and the confidence that follows.

Of a training's confirmed texts every one is in one of two halves; heads that learn from the one judge the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers import evaluation, learning
from classifiers.base import Label
from classifiers.blend import BlendClassifier
from classifiers.heads import LanguageHead, View
from domain.assessment import Text

SEED = 20
LEAST_CHANCE = 1e-9  # no intent is impossible: a label may say otherwise

Rows = NDArray[np.int64]
Serve = Callable[[Rows, Rows], BlendClassifier]


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """What heads say of texts that they have not learned from.

    `rows` int (n,) which texts; `probabilities` float64 (n, labels), at the temperature that the heads came with;
    `blended` (n,) whether the encoder had a say.
    """

    rows: Rows
    probabilities: NDArray[np.float64]
    blended: NDArray[np.bool_]


def crossed(
    texts: Sequence[Text], labels: Sequence[Label], serve: Serve, progress: Callable[[int], None] = lambda _half: None
) -> Unseen:
    """Every text as judged by heads that learned from the other half. `serve` is given the rows to learn from and those
    that will be asked, and gives a classifier. `progress` is told which half comes.
    """
    order = np.random.default_rng(SEED).permutation(len(texts))
    parts = []
    for half in range(2):
        progress(half)
        asked = np.sort(order[half::2])
        if asked.size:
            others = np.setdiff1d(order, asked)
            parts.append(look(serve(others, asked), texts, labels, asked))
    return Unseen(
        rows=np.concatenate([part.rows for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        blended=np.concatenate([part.blended for part in parts]),
    )


def look(classifier: BlendClassifier, texts: Sequence[Text], labels: Sequence[Label], rows: Rows) -> Unseen:
    """The texts of these rows as a classifier reads them. `labels` are the columns of the answer; a classifier of fewer
    gives the others next to nothing.
    """
    places = {label.id: place for place, label in enumerate(labels)}
    probabilities = np.full((rows.size, len(labels)), LEAST_CHANCE)
    blended = np.zeros(rows.size, dtype=bool)
    for start in range(0, rows.size, evaluation.BATCH):
        asked = [texts[row] for row in rows[start : start + evaluation.BATCH]]
        for place, read in enumerate(classifier.look(asked), start=start):
            if read.decision is not None:
                columns = [places[classifier.labels[column].id] for column in read.head.classes]
                probabilities[place, columns] = np.maximum(read.decision.probabilities, LEAST_CHANCE)
                blended[place] = read.decision.blended
    return Unseen(rows=rows, probabilities=probabilities, blended=blended)


def calibrated(
    heads: Mapping[str, LanguageHead],
    unseen: Unseen,
    *,
    labels: Sequence[Label],
    truth: Rows,
    weights: NDArray[np.float64],
    languages: Sequence[str],
) -> tuple[dict[str, LanguageHead], list[str]]:
    """The heads with temperature and threshold from texts they had not seen, per language and way of reading; and what
    was set right, in words. `truth` (column), `weights` and `languages` are those of all texts, oldest first.
    """
    queues = queue_places(labels)
    made, notes = dict(heads), []
    for language, head in heads.items():
        spoken = np.array([languages[row] == language for row in unseen.rows])
        for blended in (False, True):
            chosen = np.flatnonzero(spoken & (unseen.blended == blended))
            chosen = chosen[np.argsort(unseen.rows[chosen], kind="stable")]  # oldest first, as the newest are to count
            rows = unseen.rows[chosen]
            found = learning.recalibrate(
                np.log(unseen.probabilities[chosen]), truth[rows], weights[rows], queues=queues
            )
            if found is not None:
                made[language] = head = recalibrated(head, found, blended=blended)
                notes.append(
                    f"{language}: confidence set right on {found.texts} labels "
                    f"(temperature {found.temperature:.2f}, error {found.ece_before:.1%} to {found.ece_after:.1%})"
                )
    return made, notes


def recalibrated(head: LanguageHead, found: learning.Calibration, *, blended: bool) -> LanguageHead:
    """A head whose confidence was set right in one way of reading."""
    view = head.blended if blended else head.alone
    if view is None:
        return head
    made: View = replace(
        view,
        temperature=view.temperature * found.temperature,
        threshold=view.threshold if found.threshold is None else found.threshold,
    )
    return replace(head, blended=made) if blended else replace(head, alone=made)


def queue_places(labels: Sequence[Label]) -> NDArray[np.int64]:
    """int (labels,): which queue each label belongs to, as a number."""
    names = sorted({label.queue for label in labels})
    return np.array([names.index(label.queue) for label in labels], dtype=np.int64)
