"""Trains the heads of every language from a taxonomy: seconds on two cores, the same result each time.

scikit-learn and scipy are imported inside the functions: they are needed to train, never to serve. Names and
descriptions of the intents count as examples. What weighs the experts and what measures familiarity is learned out
of fold: every training text is judged by heads that have not seen it. `classifiers.experts` fits the experts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from classifiers import evaluation, experts, heads
from classifiers.base import Label
from classifiers.encoder import Encodes
from classifiers.experts import SEED, Judged, Matrix, Near, Texts
from classifiers.heads import LanguageHead, View
from classifiers.ngrams import Family, families
from classifiers.normalise import normalise
from classifiers.taxonomy import Example, Taxonomy

FOLDS = 5
MANY, FOLDS_OF_MANY = 5000, 3  # with that many texts a fold more or less changes nothing but the time
CONFIRMED_WEIGHT = 3.0  # a label that a human confirmed, over one that nobody looked at
UNREADABLE = 0.15  # mean share of [UNK] in the examples above which a language does without the encoder
PRECISION = 0.97  # what is routed without a person should be right this often ...
CERTAINTY = 1.0  # ... by the lower bound of one standard error: few examples are asked for more
LEAST_THRESHOLD, NO_THRESHOLD = 0.5, 0.8  # never below; and where the examples cannot show the precision
MOST_WEIGHT = 50.0  # of an expert
LEAST_ALPHA = 0.05  # a doubtful n-gram expert still ranks
MOST_FLAGGED = 0.1  # share of what is in scope that may be taken for strange
STRANGERS_FOR_A_GATE = 50  # with fewer out-of-scope texts the signs of strangeness weigh alike


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
    """The head of one language; arguments as for `train`, from which those of this language are taken.

    Runs in one thread: many small products that share their cores with others took twenty times as long in two.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        return _train_language(taxonomy, language, encoder, extra, weights or {})


def _train_language(
    taxonomy: Taxonomy,
    language: str,
    encoder: Encodes | None,
    extra: Sequence[Example],
    weights: Mapping[str, float],
) -> LanguageHead:
    examples = [example for example in (*taxonomy.examples, *extra) if example.language == language]
    weigh = _weigh(taxonomy, extra, weights)
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
    judged = known.pick(order)
    queues = [label.queue for label in labels]
    everything = known.plus(named)
    final = experts.fit(everything, grams, count)
    return LanguageHead(
        language=language,
        classes=tuple(present),
        ngrams=final.ngrams,
        index=final.index,
        alone=_view(seen, odd, judged, len(strangers.texts), queues, blended=False),
        encoder=final.encoder,
        blended=_view(seen, odd, judged, len(strangers.texts), queues, blended=True) if final.encoder else None,
        example_ids=(*(example.id for example in examples), *_name_ids(labels, language)),
        example_classes=everything.classes.astype(np.int32),
    )


def _out_of_fold(
    known: Texts, named: Texts, strangers: Texts, grams: tuple[Family, ...], count: int
) -> tuple[NDArray[np.int64], Judged, Judged]:
    """The order of the known texts as judged, their scores, and those of the strangers by the experts of every fold."""
    fold = _folds(known.classes)
    order, seen, odd = [], [], []
    for number in range(int(fold.max()) + 1):
        learn, judge = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fitted = experts.fit(known.pick(learn).plus(named), grams, count)
        order.append(judge)
        seen.append(experts.judge(fitted, known.pick(judge), count))
        odd.append(experts.judge(fitted, strangers, count))
    return np.concatenate(order), experts.join(seen), experts.join(odd)


def _folds(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The fold of every text, int (n,): each class is dealt out evenly, in an order that is the same each time."""
    count = FOLDS if classes.shape[0] <= MANY else FOLDS_OF_MANY
    fold = np.zeros(classes.shape[0], dtype=np.int64)
    dealer = np.random.default_rng(SEED)
    dealt = 0
    for one in np.unique(classes):
        rows = dealer.permutation(np.flatnonzero(classes == one))
        fold[rows] = (np.arange(rows.shape[0]) + dealt) % count
        dealt += rows.shape[0]
    return fold


def _view(seen: Judged, odd: Judged, texts: Texts, strangers: int, queues: list[str], *, blended: bool) -> View:
    """Weights of the experts, the measure of familiarity and the threshold, all from texts that the experts had not
    seen. `strangers` is how many different texts `odd` is about.
    """
    weights = _weights(_scores(seen, blended=blended), texts)
    z, near = _combine(seen, weights, blended=blended), _near(seen, blended=blended)
    parts = _parts(z, near, seen.logits if blended else None)
    means, deviations = parts.mean(axis=0), np.maximum(parts.std(axis=0), 1e-6)
    z_odd = _combine(odd, weights, blended=blended)
    strange = _parts(z_odd, _near(odd, blended=blended), odd.logits if blended else None)
    slopes, offset = _gate((parts - means) / deviations, (strange - means) / deviations, strangers)
    probabilities = heads.softmax(z)
    names = sorted(set(queues))
    sums = np.stack([probabilities[:, [q == name for q in queues]].sum(axis=1) for name in names], axis=1)
    truth = texts.classes
    right = np.array([names[guess] == queues[label] for guess, label in zip(sums.argmax(axis=1), truth, strict=True)])
    threshold = evaluation.threshold_for(sums.max(axis=1), right, precision=PRECISION, certainty=CERTAINTY)
    alpha, *others = (float(weight) for weight in weights)
    beta, gamma, delta = (
        others if blended and len(others) == 3 else (others[0], 0.0, others[1]) if blended else (0.0, 0.0, others[0])
    )
    return View(
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        delta=delta,
        means=means,
        deviations=deviations,
        slopes=slopes,
        offset=offset,
        threshold=NO_THRESHOLD if threshold is None else max(threshold, LEAST_THRESHOLD),
    )


def _near(judged: Judged, *, blended: bool) -> Near:
    return judged.near_encoder if blended and judged.near_encoder is not None else judged.near_lexical


def _scores(judged: Judged, *, blended: bool) -> list[Matrix]:
    """What is blended, in the order of a view's weights: alpha, then beta and gamma where they have a say, delta."""
    votes = _near(judged, blended=blended).votes
    told = [judged.logits, judged.deep] if blended else []
    return [judged.lexical, *(scores for scores in told if scores is not None), votes]


def _combine(judged: Judged, weights: Matrix, *, blended: bool) -> Matrix:
    z = np.zeros_like(judged.lexical)
    for weight, scores in zip(weights, _scores(judged, blended=blended), strict=True):
        z += weight * scores
    return z


def _parts(z: Matrix, near: Near, logits: Matrix | None) -> Matrix:
    """float64 (n, 4 or 5), as `heads.scope_parts` for one text."""
    total = _energy(z)
    parts = [z.max(axis=1, initial=-np.inf) - total, total, near.first, near.far]
    if logits is not None:
        parts.append(_energy(logits))
    return np.stack(parts, axis=1)


def _energy(z: Matrix) -> Matrix:
    highest = z.max(axis=1, keepdims=True, initial=-np.inf)
    return np.asarray(highest[:, 0] + np.log(np.exp(z - highest).sum(axis=1)))


def _weights(scores: list[Matrix], texts: Texts) -> Matrix:
    """The weights of least negative log likelihood on held-out texts, float64 (experts,).

    As many texts as there are, so sure may one be: the likelihood is that of a label which is wrong once in n + 2 times
    (Platt), which keeps a handful of texts without a mistake from making everything certain.
    """
    from scipy.optimize import minimize

    size, count = scores[0].shape
    scales = [1.0 / max(float(one.std()), 1e-9) for one in scores]
    target = np.full((size, count), 1.0 / (size + 2) / count)
    target[np.arange(size), texts.classes] += 1.0 - 1.0 / (size + 2)
    weighed = texts.weights / texts.weights.sum()

    def loss(weights: Matrix) -> tuple[float, Matrix]:
        z = np.zeros_like(scores[0])
        for weight, scale, one in zip(weights, scales, scores, strict=True):
            z += weight * scale * one
        z -= z.max(axis=1, keepdims=True)
        likely = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        off = (np.exp(likely) - target) * weighed[:, None]
        slope = np.array([float((off * scale * one).sum()) for scale, one in zip(scales, scores, strict=True)])
        return -float((weighed[:, None] * target * likely).sum()), slope

    bounds = [(0.0, MOST_WEIGHT / scale) for scale in scales]
    bounds[0] = (LEAST_ALPHA / scales[0], MOST_WEIGHT / scales[0])
    start = np.full(len(scores), 2.0 / len(scores))
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B")
    return np.asarray(found.x * np.array(scales), dtype=np.float64)


def _gate(familiar: Matrix, strange: Matrix, strangers: int) -> tuple[Matrix, float]:
    """Slopes and offset that turn the scaled parts into log odds of being familiar.

    With many strangers every part has a slope of its own; with few all have the same. At most MOST_FLAGGED of what is
    familiar falls below one chance in two. Without any strangers: two standard deviations below what is usual does.
    """
    parts = familiar.shape[1]
    if strangers == 0:
        return np.full(parts, 2.0 / parts), 4.0
    from sklearn.linear_model import LogisticRegression

    values = np.concatenate([familiar, strange])
    if strangers < STRANGERS_FOR_A_GATE:
        values = values.mean(axis=1, keepdims=True)
    inside = np.concatenate([np.ones(familiar.shape[0]), np.zeros(strange.shape[0])])
    line = LogisticRegression(C=1.0, class_weight="balanced").fit(values, inside)
    slopes = np.asarray(line.coef_[0], dtype=np.float64)
    if slopes.shape[0] == 1:
        slopes = np.full(parts, slopes[0] / parts)
    odds = familiar @ slopes
    return slopes, max(float(line.intercept_[0]), -float(np.quantile(odds, MOST_FLAGGED)))


def _set(
    texts: list[str], classes: list[int], encoder: Encodes | None, weights: Sequence[float] | None = None
) -> Texts:
    normal = [normalise(text) for text in texts]
    return Texts(
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
