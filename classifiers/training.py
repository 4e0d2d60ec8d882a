"""Trains the heads of every language from a taxonomy: seconds on two cores, the same result each time.

scikit-learn and scipy are imported inside the functions: they are needed to train, never to serve. Names and
descriptions of the intents count as examples. What weighs the experts and what measures familiarity is learned out
of fold: every training text is judged by heads that have not seen it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers import evaluation, heads, neighbours
from classifiers.base import Label
from classifiers.encoder import Encoded, Encodes
from classifiers.heads import EncoderHead, LanguageHead, View
from classifiers.neighbours import SparseIndex
from classifiers.ngrams import Family, LinearNgrams, Sparse, Vocabulary, families
from classifiers.normalise import normalise
from classifiers.taxonomy import Example, Taxonomy

SEED = 20
FOLDS = 5
MARGIN_C = 0.5  # LinearSVC, per n-gram family; the values were fixed before any test set was looked at
LOGISTIC_C = 20.0
CONFIRMED_WEIGHT = 3.0  # a label that a human confirmed, over one that nobody looked at
UNREADABLE = 0.15  # mean share of [UNK] in the examples above which a language does without the encoder
PRECISION = 0.95  # what is routed without a person should be right this often ...
CERTAINTY = 1.0  # ... by the lower bound of one standard error: few examples are asked for more
LEAST_THRESHOLD, NO_THRESHOLD = 0.5, 0.8  # never below; and where the examples cannot show the precision
ALPHA_BOUNDS, BETA_BOUNDS = (0.05, 50.0), (0.0, 50.0)  # some alpha: a doubtful expert still ranks

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Set:
    """Texts, classes int (n,), weights float64 (n,), and what the encoder makes of them, None without one."""

    texts: list[str]
    classes: NDArray[np.int64]
    weights: Matrix
    encoded: Encoded | None

    def pick(self, rows: NDArray[np.int64]) -> _Set:
        encoded = self.encoded and Encoded(vectors=self.encoded.vectors[rows], unknown=self.encoded.unknown[rows])
        return _Set(
            texts=[self.texts[row] for row in rows],
            classes=self.classes[rows],
            weights=self.weights[rows],
            encoded=encoded,
        )

    def plus(self, other: _Set) -> _Set:
        encoded = None
        if self.encoded is not None and other.encoded is not None:
            encoded = Encoded(
                vectors=np.concatenate([self.encoded.vectors, other.encoded.vectors]),
                unknown=np.concatenate([self.encoded.unknown, other.encoded.unknown]),
            )
        return _Set(
            texts=self.texts + other.texts,
            classes=np.concatenate([self.classes, other.classes]),
            weights=np.concatenate([self.weights, other.weights]),
            encoded=encoded,
        )


@dataclass(frozen=True, kw_only=True)
class _Experts:
    """Both experts fitted on one set of texts."""

    ngrams: LinearNgrams
    index: SparseIndex
    encoder: EncoderHead | None


@dataclass(frozen=True, kw_only=True)
class _Judged:
    """Scores of unseen texts: `lexical` and `logits` float64 (n, classes), the nearest examples in both spaces."""

    lexical: Matrix
    logits: Matrix | None
    near_lexical: list[neighbours.Nearest]
    near_encoder: list[neighbours.Nearest]


def train(
    taxonomy: Taxonomy,
    encoder: Encodes | None,
    *,
    extra: Sequence[Example] = (),
    weights: Mapping[str, float] | None = None,
) -> dict[str, LanguageHead]:
    """Heads per language of the taxonomy's examples. Takes seconds; the same input gives the same heads.

    `extra` are labelled sentences from elsewhere, such as messages whose label a human confirmed; they count
    CONFIRMED_WEIGHT times. `weights` says otherwise for single examples, by id. Languages that only `extra` has get no
    head. Raises ValueError for an intent that the taxonomy does not have or a weight that is not above zero.
    """
    return {
        language: train_language(taxonomy, language, encoder, extra=extra, weights=weights)
        for language in taxonomy.languages
    }


def train_language(
    taxonomy: Taxonomy,
    language: str,
    encoder: Encodes | None,
    *,
    extra: Sequence[Example] = (),
    weights: Mapping[str, float] | None = None,
) -> LanguageHead:
    """The head of one language; arguments as for `train`, from which those of this language are taken."""
    examples = [example for example in (*taxonomy.examples, *extra) if example.language == language]
    weigh = _weigh(taxonomy, extra, weights or {})
    places = {label.id: place for place, label in enumerate(taxonomy.labels)}
    present = sorted({places[example.intent] for example in examples})
    columns = {place: column for column, place in enumerate(present)}
    labels = [taxonomy.labels[place] for place in present]
    known = _set(
        [example.text for example in examples],
        [columns[places[example.intent]] for example in examples],
        encoder,
        [weigh[example.id] for example in examples],
    )
    if known.encoded is not None and float(known.encoded.unknown.mean()) > UNREADABLE:
        encoder, known = None, replace(known, encoded=None)
    named = _set(*_names(labels, language), encoder)
    strangers = _set(list(taxonomy.strangers.get(language, ())), [], encoder)
    grams, count = families(language), len(labels)
    order, seen, odd = _out_of_fold(known, named, strangers, grams, count)
    truth, weighed = known.classes[order], known.weights[order]
    queues = [label.queue for label in labels]
    final = _fit(known.plus(named), grams, count)
    return LanguageHead(
        language=language,
        classes=tuple(present),
        ngrams=final.ngrams,
        index=final.index,
        alone=_view(seen, odd, truth, weighed, queues, blended=False),
        encoder=final.encoder,
        blended=_view(seen, odd, truth, weighed, queues, blended=True) if final.encoder else None,
        example_ids=(*(example.id for example in examples), *_name_ids(labels, language)),
    )


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


def fit_ngrams(
    features: list[Sparse],
    classes: NDArray[np.int64],
    terms: Vocabulary,
    count: int,
    weights: Matrix | None = None,
) -> LinearNgrams:
    """A linear SVM, one against the rest, over the features."""
    from scipy.sparse import csr_matrix
    from sklearn.svm import LinearSVC

    starts = np.concatenate(([0], np.cumsum([one.columns.shape[0] for one in features])))
    matrix = csr_matrix(
        (
            np.concatenate([one.values for one in features]),
            np.concatenate([one.columns for one in features]),
            starts,
        ),
        shape=(len(features), terms.idf.shape[0]),
    )
    model = LinearSVC(C=MARGIN_C * len(terms.families), random_state=SEED).fit(matrix, classes, sample_weight=weights)
    coefficients, bias = _every_class(model.coef_, model.intercept_, model.classes_, count)
    return LinearNgrams(vocabulary=terms, weights=coefficients, bias=bias)


def _fit(texts: _Set, grams: tuple[Family, ...], count: int) -> _Experts:
    terms = vocabulary(texts.texts, grams)
    features = [terms.features(text) for text in texts.texts]
    encoder = None
    if texts.encoded is not None:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=LOGISTIC_C, max_iter=2000).fit(
            texts.encoded.vectors, texts.classes, sample_weight=texts.weights
        )
        weights, bias = _every_class(model.coef_, model.intercept_, model.classes_, count)
        encoder = EncoderHead(weights=weights, bias=bias, examples=texts.encoded.vectors)
    return _Experts(
        ngrams=fit_ngrams(features, texts.classes, terms, count, texts.weights),
        index=SparseIndex.build(features, terms.idf.shape[0]),
        encoder=encoder,
    )


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


def _out_of_fold(
    known: _Set, named: _Set, strangers: _Set, grams: tuple[Family, ...], count: int
) -> tuple[NDArray[np.int64], _Judged, _Judged]:
    """The order of the known texts as judged, their scores, and those of the strangers by the heads of every fold."""
    from sklearn.model_selection import StratifiedKFold

    folds = min(FOLDS, int(np.bincount(known.classes).min()))
    split = StratifiedKFold(n_splits=folds, shuffle=True, random_state=SEED)
    order, seen, odd = [], [], []
    for learn, judge in split.split(np.zeros(len(known.texts)), known.classes):
        experts = _fit(known.pick(learn).plus(named), grams, count)
        order.append(judge)
        seen.append(_judge(experts, known.pick(judge), count))
        odd.append(_judge(experts, strangers, count))
    return np.concatenate(order), _join(seen), _join(odd)


def _judge(experts: _Experts, texts: _Set, count: int) -> _Judged:
    features = [experts.ngrams.vocabulary.features(text) for text in texts.texts]
    lexical = np.array([experts.ngrams.scores(one) for one in features]).reshape(-1, count)
    near = [neighbours.nearest(experts.index.similarities(one)) for one in features]
    if experts.encoder is None or texts.encoded is None:
        return _Judged(lexical=lexical, logits=None, near_lexical=near, near_encoder=[])
    vectors, head = texts.encoded.vectors, experts.encoder
    logits = np.array([head.scores(vector) for vector in vectors]).reshape(-1, count)
    return _Judged(
        lexical=lexical,
        logits=logits,
        near_lexical=near,
        near_encoder=[neighbours.nearest(head.examples @ vector) for vector in vectors],
    )


def _join(parts: list[_Judged]) -> _Judged:
    logits = [part.logits for part in parts if part.logits is not None]
    return _Judged(
        lexical=np.concatenate([part.lexical for part in parts]),
        logits=np.concatenate(logits) if logits else None,
        near_lexical=[near for part in parts for near in part.near_lexical],
        near_encoder=[near for part in parts for near in part.near_encoder],
    )


def _view(
    seen: _Judged, odd: _Judged, truth: NDArray[np.int64], weighed: Matrix, queues: list[str], *, blended: bool
) -> View:
    """Weights of the experts, the measure of familiarity and the threshold, all from texts that the heads had not
    seen.
    """
    alpha, beta = _weights(seen.lexical, seen.logits if blended else None, truth, weighed)
    probabilities = _combine(seen, alpha, beta, blended=blended)
    parts = _parts(seen, probabilities, blended=blended)
    means, deviations = parts.mean(axis=0), np.maximum(parts.std(axis=0), 1e-6)
    strange = _parts(odd, _combine(odd, alpha, beta, blended=blended), blended=blended)
    slope, offset = _scope_line((parts - means) / deviations, (strange - means) / deviations)
    names = sorted(set(queues))
    sums = np.stack([probabilities[:, [q == name for q in queues]].sum(axis=1) for name in names], axis=1)
    right = np.array([names[guess] == queues[label] for guess, label in zip(sums.argmax(axis=1), truth, strict=True)])
    threshold = evaluation.threshold_for(sums.max(axis=1), right, precision=PRECISION, certainty=CERTAINTY)
    return View(
        alpha=alpha,
        beta=beta,
        means=means,
        deviations=deviations,
        slope=slope,
        offset=offset,
        threshold=NO_THRESHOLD if threshold is None else max(threshold, LEAST_THRESHOLD),
    )


def _combine(judged: _Judged, alpha: float, beta: float, *, blended: bool) -> Matrix:
    z = alpha * judged.lexical
    if blended and judged.logits is not None:
        z = z + beta * judged.logits
    return heads.softmax(z)


def _parts(judged: _Judged, probabilities: Matrix, *, blended: bool) -> Matrix:
    """float64 (n, 3 or 4)."""
    rows = [
        heads.scope_parts(
            probabilities[row],
            judged.near_encoder[row] if blended else judged.near_lexical[row],
            judged.logits[row] if blended and judged.logits is not None else None,
        )
        for row in range(probabilities.shape[0])
    ]
    return np.array(rows).reshape(-1, 4 if blended else 3)


def _weights(lexical: Matrix, logits: Matrix | None, truth: NDArray[np.int64], weighed: Matrix) -> tuple[float, float]:
    """alpha and beta of least negative log likelihood on held-out texts."""
    from scipy.optimize import minimize

    rows = np.arange(truth.shape[0])

    def loss(weights: Matrix) -> float:
        z = weights[0] * lexical + (weights[1] * logits if logits is not None else 0.0)
        return -float(weighed @ np.log(np.maximum(heads.softmax(z)[rows, truth], 1e-12)) / weighed.sum())

    start = np.array([2.0, 1.0] if logits is not None else [2.0])
    found = minimize(loss, start, bounds=[ALPHA_BOUNDS, BETA_BOUNDS][: start.shape[0]], method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1]) if logits is not None else 0.0


def _scope_line(familiar: Matrix, strange: Matrix) -> tuple[float, float]:
    """Slope and offset that turn the mean of the scaled parts into log odds of being familiar.

    Without strangers: two standard deviations below what is usual counts as one chance in two.
    """
    if strange.shape[0] == 0:
        return 2.0, 4.0
    from sklearn.linear_model import LogisticRegression

    values = np.concatenate([familiar.mean(axis=1), strange.mean(axis=1)]).reshape(-1, 1)
    inside = np.concatenate([np.ones(familiar.shape[0]), np.zeros(strange.shape[0])])
    line = LogisticRegression(C=1.0, class_weight="balanced").fit(values, inside)
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def _set(texts: list[str], classes: list[int], encoder: Encodes | None, weights: Sequence[float] | None = None) -> _Set:
    normal = [normalise(text) for text in texts]
    return _Set(
        texts=normal,
        classes=np.array(classes, dtype=np.int64),
        weights=np.ones(len(texts)) if weights is None else np.array(weights, dtype=np.float64),
        encoded=encoder.encode(normal) if encoder else None,
    )


def _names(labels: list[Label], language: str) -> tuple[list[str], list[int]]:
    """Names and descriptions as texts, with the classes they stand for."""
    pairs = [
        (words[language], column)
        for column, label in enumerate(labels)
        for words in (label.names, label.descriptions)
        if words.get(language)
    ]
    return [text for text, _ in pairs], [column for _, column in pairs]


def _name_ids(labels: list[Label], language: str) -> list[str]:
    return [
        f"{language}/{label.id}/{kind}"
        for label in labels
        for kind, words in (("name", label.names), ("description", label.descriptions))
        if words.get(language)
    ]


def _weigh(taxonomy: Taxonomy, extra: Sequence[Example], weights: Mapping[str, float]) -> dict[str, float]:
    """What every example counts, by id; CONFIRMED_WEIGHT for `extra` where `weights` says nothing.

    Raises ValueError for an unknown intent, an id that stands twice, or a weight that is not above zero.
    """
    unknown = sorted({example.intent for example in extra} - {label.id for label in taxonomy.labels})
    if unknown:
        raise ValueError(f"the taxonomy has no intent {', '.join(unknown)}")
    usual = dict.fromkeys((example.id for example in taxonomy.examples), 1.0)
    twice = [example.id for example in extra if example.id in usual]
    if twice:
        raise ValueError(f"example {twice[0]} stands twice: extra examples need ids of their own")
    found = usual | dict.fromkeys((example.id for example in extra), CONFIRMED_WEIGHT) | dict(weights)
    wrong = [name for name, weight in found.items() if not 0.0 < weight < float("inf")]
    if wrong:
        raise ValueError(f"example {wrong[0]} has the weight {found[wrong[0]]:g}: it must be above zero")
    return found
