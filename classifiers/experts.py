"""The experts of a language, fitted on a set of texts, and what they say of texts that they have not seen.

Everything is computed for many texts at once; `classifiers.heads` computes the same for one text and serves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import neighbours
from classifiers.encoder import Encoded
from classifiers.heads import EncoderHead, Linear
from classifiers.neighbours import SparseIndex
from classifiers.ngrams import Family, LinearNgrams, Sparse, Vocabulary

SEED = 20
MARGIN_C = 0.5  # LinearSVC, per n-gram family; the values were fixed before any test set was looked at
LOGISTIC_C = 20.0
MANY, TOLERANCE, TOLERANCE_OF_MANY = 5000, 1e-4, 1e-3  # a third of the time where it is long, and the same answers
ROWS = 512  # texts compared with all examples at a time: bounds the memory

Matrix = NDArray[np.float64]
Csr = Any  # scipy's csr_matrix, which has no types


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts, classes int (n,), weights float64 (n,), and what the encoder makes of them, None without one."""

    texts: list[str]
    classes: NDArray[np.int64]
    weights: Matrix
    encoded: Encoded | None

    def pick(self, rows: NDArray[np.int64]) -> Texts:
        """The texts of these rows."""
        return Texts(
            texts=[self.texts[row] for row in rows],
            classes=self.classes[rows],
            weights=self.weights[rows],
            encoded=self.encoded and self.encoded.pick(rows),
        )

    def plus(self, other: Texts) -> Texts:
        """These texts and then those of another set."""
        both = self.encoded is not None and other.encoded is not None
        return Texts(
            texts=self.texts + other.texts,
            classes=np.concatenate([self.classes, other.classes]),
            weights=np.concatenate([self.weights, other.weights]),
            encoded=self.encoded.plus(other.encoded) if both and self.encoded and other.encoded else None,
        )


@dataclass(frozen=True, kw_only=True)
class Experts:
    """The experts fitted on one set of texts: `features` are its n-grams, `classes` those of its texts."""

    ngrams: LinearNgrams
    features: list[Sparse]
    classes: NDArray[np.int64]
    encoder: EncoderHead | None

    @property
    def index(self) -> SparseIndex:
        """The texts they were fitted on, by n-gram."""
        return SparseIndex.build(self.features, self.ngrams.vocabulary.idf.shape[0])


@dataclass(frozen=True, kw_only=True)
class Near:
    """Of the nearest examples: `votes` float64 (n, classes), similarity to the `first` and the `far` one, (n,)."""

    votes: Matrix
    first: Matrix
    far: Matrix


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What experts say of unseen texts: scores float64 (n, classes), the nearest examples by n-grams and by encoder.

    `logits` and `near_encoder` are None without an encoder, `deep` where it gives no layers.
    """

    lexical: Matrix
    near_lexical: Near
    logits: Matrix | None
    deep: Matrix | None
    near_encoder: Near | None


def vocabulary(texts: Sequence[str], grams: tuple[Family, ...]) -> Vocabulary:
    """The n-grams of normalised texts with scikit-learn's smoothed idf, in code point order."""
    terms: list[dict[str, int]] = []
    idf: list[float] = []
    for family in grams:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(set(family.grams(text)))
        ordered = sorted(counts)
        terms.append({gram: len(idf) + place for place, gram in enumerate(ordered)})
        idf += [float(np.log((1 + len(texts)) / (1 + counts[gram])) + 1.0) for gram in ordered]
    return Vocabulary(families=grams, terms=tuple(terms), idf=np.array(idf))


def fit(texts: Texts, grams: tuple[Family, ...], count: int) -> Experts:
    """Every expert, on all these texts; `count` classes, of which some may have no text.

    Linear heads count every class alike, however many texts it has (measured: with classes of 1 to 80 texts, and the
    same shares among those that were asked, a fifth fewer mistakes; with classes of one size nothing changes).
    """
    even = texts.weights * _evening(texts.weights, texts.classes)
    terms = vocabulary(texts.texts, grams)
    features = [terms.features(text) for text in texts.texts]
    encoder = None
    if texts.encoded is not None:
        vectors, layers = texts.encoded.vectors, texts.encoded.layers
        encoder = EncoderHead(
            plain=_logistic(vectors, texts.classes, even, count),
            deep=None if layers is None else _logistic(layers, texts.classes, even, count),
            examples=vectors,
            layers=layers,
        )
    return Experts(
        ngrams=fit_ngrams(features, texts.classes, terms, count, even),
        features=features,
        classes=texts.classes,
        encoder=encoder,
    )


def fit_ngrams(
    features: list[Sparse],
    classes: NDArray[np.int64],
    terms: Vocabulary,
    count: int,
    weights: Matrix | None = None,
) -> LinearNgrams:
    """A linear SVM, one against the rest, over the features."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=MARGIN_C * len(terms.families), random_state=SEED)
    model.fit(_matrix(features, terms), classes, sample_weight=weights)
    coefficients, bias = _every_class(model.coef_, model.intercept_, model.classes_, count)
    return LinearNgrams(vocabulary=terms, weights=coefficients, bias=bias)


def judge(experts: Experts, texts: Texts, count: int) -> Judged:
    """What the experts say of texts."""
    terms = experts.ngrams.vocabulary
    features = _matrix([terms.features(text) for text in texts.texts], terms)
    known = _matrix(experts.features, terms).T.tocsr()
    lexical = np.asarray(features @ experts.ngrams.weights + experts.ngrams.bias, dtype=np.float64)
    size = len(texts.texts)
    near = _near(lambda rows: ((features[rows] @ known).toarray(),) * 2, size, experts.classes, count)
    encoder, encoded = experts.encoder, texts.encoded
    if encoder is None or encoded is None:
        return Judged(lexical=lexical, near_lexical=near, logits=None, deep=None, near_encoder=None)
    vectors = encoded.vectors
    return Judged(
        lexical=lexical,
        near_lexical=near,
        logits=encoder.plain.scores(vectors),
        deep=None if encoder.deep is None or encoded.layers is None else encoder.deep.scores(encoded.layers),
        near_encoder=_near(
            lambda rows: (
                encoder.alike(vectors[rows]),
                encoder.familiar(vectors[rows], None if encoded.layers is None else encoded.layers[rows]),
            ),
            size,
            experts.classes,
            count,
        ),
    )


def join(parts: Sequence[Judged]) -> Judged:
    """What several sets of experts say of several sets of texts, one after the other."""
    return Judged(
        lexical=np.concatenate([part.lexical for part in parts]),
        near_lexical=_joined([part.near_lexical for part in parts]),
        logits=_maybe([part.logits for part in parts]),
        deep=_maybe([part.deep for part in parts]),
        near_encoder=_joined([part.near_encoder for part in parts if part.near_encoder])
        if parts[0].near_encoder
        else None,
    )


def _joined(parts: Sequence[Near]) -> Near:
    return Near(
        votes=np.concatenate([part.votes for part in parts]),
        first=np.concatenate([part.first for part in parts]),
        far=np.concatenate([part.far for part in parts]),
    )


def _maybe(parts: Sequence[Matrix | None]) -> Matrix | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None


def _near(
    similarities: Callable[[slice], tuple[Matrix, Matrix]], size: int, classes: NDArray[np.int64], count: int
) -> Near:
    """As `neighbours.votes` and `neighbours.nearest`, for many texts: the first similarities vote, the second tell how
    familiar they are.
    """
    members = np.zeros((classes.shape[0], count))
    members[np.arange(classes.shape[0]), classes] = 1.0
    far = min(neighbours.FAR, classes.shape[0])
    votes, first, last = np.zeros((size, count)), np.zeros(size), np.zeros(size)
    for rows in _blocks(size):
        alike, familiar = similarities(rows)
        loudness = np.exp(neighbours.SHARPNESS * (alike - 1.0)) @ members
        votes[rows] = np.log(loudness + neighbours.SILENCE)
        nearest = -np.partition(-familiar, far - 1, axis=1)[:, :far]
        first[rows], last[rows] = nearest.max(axis=1), nearest.min(axis=1)
    return Near(votes=votes, first=first, far=last)


def _blocks(size: int) -> Iterator[slice]:
    for start in range(0, size, ROWS):
        yield slice(start, min(start + ROWS, size))


def _matrix(features: Sequence[Sparse], terms: Vocabulary) -> Csr:
    """scipy's csr_matrix (texts, columns)."""
    from scipy.sparse import csr_matrix

    none = [np.zeros(0)]
    starts = np.concatenate(([0], np.cumsum([one.columns.shape[0] for one in features])))
    values = np.concatenate([one.values for one in features] or none)
    columns = np.concatenate([one.columns for one in features] or none)
    return csr_matrix((values, columns.astype(np.int64), starts), shape=(len(features), terms.idf.shape[0]))


def _evening(weights: Matrix, classes: NDArray[np.int64]) -> Matrix:
    """float64 (texts,): what makes the weights of every class that occurs add up to the same."""
    sums = np.bincount(classes, weights=weights)
    return np.asarray(sums[sums > 0].mean() / sums[classes])


def _logistic(vectors: NDArray[np.float32], classes: NDArray[np.int64], sample: Matrix, count: int) -> Linear:
    from sklearn.linear_model import LogisticRegression

    tolerance = TOLERANCE if classes.shape[0] <= MANY else TOLERANCE_OF_MANY
    model = LogisticRegression(C=LOGISTIC_C, max_iter=2000, tol=tolerance)
    model.fit(vectors, classes, sample_weight=sample)
    weights, bias = _every_class(model.coef_, model.intercept_, model.classes_, count)
    return Linear(weights=weights, bias=bias)


def _every_class(
    coefficients: Matrix, intercepts: Matrix, present: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (features, classes) and bias (classes,) from what scikit-learn fitted; two classes give it one row."""
    if coefficients.shape[0] == 1:
        coefficients, intercepts = (
            np.vstack([-coefficients, coefficients]),
            np.concatenate([-intercepts, intercepts]),
        )
    weights = np.zeros((coefficients.shape[1], count), dtype=np.float32)
    bias = np.full(count, float(intercepts.min()) - 1.0, dtype=np.float32)
    weights[:, present] = coefficients.T
    bias[present] = intercepts
    return weights, bias
