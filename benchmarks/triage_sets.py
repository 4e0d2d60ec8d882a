"""Labelled sets for the triage benchmark: reading them, training the product's recipe on them, and plain baselines.

The recipe is `classifiers.training` as the product runs it; the name of each label counts as an example. A baseline is
what anybody would try first: TF-IDF and a linear SVM, the encoder and a logistic regression, the encoder and the ten
nearest neighbours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import evaluation, heads, training
from classifiers.base import Label
from classifiers.blend import BlendClassifier
from classifiers.encoder import MODEL, TOKENIZER, Encoded, Encoder
from classifiers.normalise import normalise
from classifiers.taxonomy import Example, Taxonomy
from domain.assessment import Text

Json = dict[str, Any]
Matrix = NDArray[np.float64]
ROUTABLE = 0.95  # the precision at which the routable share is read off
NEIGHBOURS = 10
BASELINES = ("tfidf_svm", "encoder_logistic", "encoder_knn")
COUNTS = "embedding.counts"  # what tokens count in the model's mean (`classifiers.graph`)


class Remembering:
    """An encoder that keeps what it has encoded: sets share texts, and recipes are compared on the same ones."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.fingerprint = encoder.fingerprint
        self._known: dict[str, int] = {}
        self._kept: Encoded | None = None

    def encode(self, texts: Sequence[str]) -> Encoded:
        """As the encoder itself."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh or self._kept is None:
            made = self.encoder.encode(fresh)
            self._kept = made if self._kept is None else self._kept.plus(made)
            self._known |= {text: len(self._known) + place for place, text in enumerate(fresh)}
        return self._kept.pick(np.array([self._known[text] for text in texts], dtype=np.int64))


def usual(folder: Path) -> Remembering:
    """The default encoder as everybody else uses it: every token counts the same. The baselines are made with it."""
    import onnx

    model = onnx.load(folder / MODEL)
    (counts,) = (constant for constant in model.graph.initializer if constant.name == COUNTS)
    counts.CopyFrom(onnx.numpy_helper.from_array(np.ones(tuple(counts.dims), dtype=np.float32), COUNTS))
    return Remembering(Encoder(folder / TOKENIZER, model.SerializeToString(), threads=2))


@dataclass(frozen=True, kw_only=True)
class Split:
    """Labelled texts of one language."""

    language: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]

    def examples(self, name: str) -> tuple[Example, ...]:
        """As the product wants them."""
        return tuple(
            Example(id=f"{name}/{place}", intent=label, language=self.language, text=text)
            for place, (text, label) in enumerate(zip(self.texts, self.labels, strict=True))
        )


def read(path: Path, language: str = "en") -> Split:
    """One JSON object a line: text, label. Stops with a message where the file is missing or of another shape."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return Split(
            language=language,
            texts=tuple(str(row["text"]) for row in rows),
            labels=tuple(str(row["label"]) for row in rows),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{path} cannot be read as one JSON object with text and label a line: {error}") from error


def readable(label: str) -> str:
    """A label's name as words."""
    return re.sub(r"[\W_]+", " ", label).strip()


def taxonomy_of(train: Split, *, strangers: Sequence[str] = (), queues: Mapping[str, str] | None = None) -> Taxonomy:
    """A taxonomy of the labels of a split; each is a queue of its own unless `queues` says otherwise."""
    names = sorted(set(train.labels))
    labels = tuple(
        Label(
            id=name,
            names={train.language: readable(name)},
            descriptions={},
            queue=queues[name] if queues else name,
        )
        for name in names
    )
    return Taxonomy(
        labels=labels,
        queues={label.queue: {} for label in labels},
        examples=train.examples("train"),
        strangers={train.language: tuple(strangers)},
        digest="",
    )


def trained(taxonomy: Taxonomy, encoder: Remembering) -> BlendClassifier:
    """The product's classifier on this taxonomy."""
    made = training.train(taxonomy, encoder)
    return BlendClassifier(labels=taxonomy.labels, heads=made, version="benchmark", encoder=encoder)


def untaught(classifier: BlendClassifier) -> BlendClassifier:
    """The same classifier as training makes it without any stranger: they shape nothing but the gate."""
    made = {}
    for language, head in classifier.heads.items():
        views = [view and replace(view, slopes=np.full_like(view.slopes, 1.0)) for view in (head.alone, head.blended)]
        alone, blended = views
        made[language] = replace(head, alone=alone or head.alone, blended=blended)
    return BlendClassifier(labels=classifier.labels, heads=made, version=classifier.version, encoder=classifier.encoder)


def score(classifier: BlendClassifier, test: Split) -> evaluation.Scores:
    """The test split's figures; labels that training has not seen count as wrong."""
    known = {label.id for label in classifier.labels}
    unseen = sum(label not in known for label in test.labels)
    found = evaluation.score(classifier, [one for one in test.examples("test") if one.intent in known])
    if unseen:
        raise SystemExit(f"{unseen} test texts have labels without a training example")
    return found


def percent(share: float) -> float:
    """A share as a percentage with two digits."""
    return round(100 * share, 2)


def strangeness(classifier: BlendClassifier, texts: Sequence[str], language: str = "en") -> Matrix:
    """How sure the classifier is that no label covers each text, float64 (n,)."""
    found: list[float] = []
    for start in range(0, len(texts), evaluation.BATCH):
        batch = [Text(key="", text=text, language_hint=language) for text in texts[start : start + evaluation.BATCH]]
        found += [answer.out_of_scope for answer in classifier.assess(batch)]
    return np.array(found)


def auroc(inside: Matrix, outside: Matrix) -> float:
    """How often a stranger looks stranger than a text that is covered; a draw counts half."""
    values = np.concatenate([inside, outside])
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    above = ranks[len(inside) :].sum() - len(outside) * (len(outside) + 1) / 2
    return float(above / (len(inside) * len(outside)))


@dataclass(frozen=True, kw_only=True)
class Plain:
    """What a baseline says of a test split: `probabilities` float64 (n, classes), `right` (n,), the figures of it."""

    probabilities: Matrix
    guesses: tuple[str, ...]
    right: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Percent."""
        return percent(float(self.right.mean()))

    @property
    def routable(self) -> float:
        """Percent that could be routed at ROUTABLE precision."""
        return percent(evaluation.coverage_at(self.probabilities.max(axis=1), self.right, ROUTABLE))

    @property
    def ece(self) -> float:
        """Percent."""
        return percent(evaluation.calibration_error(self.probabilities.max(axis=1), self.right))


def plain(name: str, train: Split, test: Split, encoder: Remembering) -> Plain:
    """Train a baseline and ask it; hyper-parameters are the usual ones, tuned on nothing."""
    names = sorted(set(train.labels))
    classes = np.array([names.index(label) for label in train.labels])
    ours, theirs = [normalise(text) for text in train.texts], [normalise(text) for text in test.texts]
    probabilities = _ask(name, ours, classes, theirs, encoder, len(names))
    guesses = tuple(names[place] for place in probabilities.argmax(axis=1))
    right = np.array([guess == label for guess, label in zip(guesses, test.labels, strict=True)])
    return Plain(probabilities=probabilities, guesses=guesses, right=right)


def _ask(
    name: str, ours: list[str], classes: NDArray[np.int64], theirs: list[str], encoder: Remembering, count: int
) -> Matrix:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        if name == "tfidf_svm":
            spaced = not any(letter >= "\u4e00" for text in ours for letter in text)
            kind: Json = {"ngram_range": (1, 2)} if spaced else {"analyzer": "char", "ngram_range": (1, 3)}
            vectorizer = TfidfVectorizer(sublinear_tf=True, **kind)
            model = LinearSVC(C=0.5, random_state=0).fit(vectorizer.fit_transform(ours), classes)
            return heads.softmax(np.asarray(model.decision_function(vectorizer.transform(theirs))))
        known, asked = encoder.encode(ours).vectors, encoder.encode(theirs).vectors
        if name == "encoder_logistic":
            fitted = LogisticRegression(C=20.0, max_iter=2000).fit(known, classes)
            return np.asarray(fitted.predict_proba(asked), dtype=np.float64)
        return np.concatenate(
            [_vote(asked[start : start + 512] @ known.T, classes, count) for start in range(0, len(asked), 512)]
        )


def _vote(similarities: NDArray[np.float32], classes: NDArray[np.int64], count: int) -> Matrix:
    most = min(NEIGHBOURS, similarities.shape[1])
    nearest = np.argpartition(-similarities, most - 1, axis=1)[:, :most]
    votes = np.zeros((similarities.shape[0], count))
    rows = np.arange(similarities.shape[0])
    for place in range(most):
        near = nearest[:, place]
        np.add.at(votes, (rows, classes[near]), np.maximum(similarities[rows, near], 1e-6))
    return np.asarray(votes / votes.sum(axis=1, keepdims=True))
