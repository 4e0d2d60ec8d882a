"""Learning on the way: a bank that starts with three examples an intent, and a company whose old labels are noisy.

Trainings, recalibrations and thresholds are the product's own (`classifiers.unseen`, as `relaydesk train` calls it).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from benchmarks.triage_sets import Json, Matrix, Remembering, Split, percent, taxonomy_of
from classifiers import training, unseen
from classifiers.blend import BlendClassifier
from classifiers.heads import LanguageHead
from classifiers.taxonomy import Example, Taxonomy
from domain.assessment import Text

SEED = 20
START = 3  # examples an intent that the bank begins with
STREAM, REFIT_LABELS, STEP = 2000, 100, 50
AFTER = 1000  # messages after which the routed share is counted
AUDIT = 0.05  # share of what is routed that is labelled anyway
NOISY_PER_LABEL, FLIPPED = 30, 0.2
CLEAN = 2000

QUEUES = (
    ("cards", r"card|pin|contactless|wearable|apple_pay|virtual|cvv|passcode"),
    ("transfers", r"transfer|beneficiary|recipient|direct_debit"),
    ("top-ups", r"top_?up|topping"),
    ("cash", r"cash|atm"),
    ("exchange", r"exchange|currency|fiat"),
    ("identity", r"identity|verify|source_of_funds|age_limit|edit_personal|terminate|country"),
    ("refunds", r"refund|revert|charge|fee|extra|payment"),
)


def queue_of(intent: str) -> str:
    """The bank's team for an intent; what no pattern takes goes to "other"."""
    return next((queue for queue, pattern in QUEUES if re.search(pattern, intent.lower())), "other")


def bank(few: Split, many: Split, encoder: Remembering) -> Json:
    """A stream from START examples an intent; people label what the machine leaves, and an audit sample of the rest."""
    dice = np.random.default_rng(SEED)
    kept: dict[str, int] = {}
    start = []
    for place, label in enumerate(few.labels):
        kept[label] = kept.get(label, 0) + 1
        if kept[label] <= START:
            start.append(place)
    begin = Split(language="en", texts=tuple(few.texts[p] for p in start), labels=tuple(few.labels[p] for p in start))
    known = set(begin.texts)
    order = [place for place in dice.permutation(len(many.texts)) if many.texts[place] not in known][:STREAM]
    content = taxonomy_of(begin, queues={label: queue_of(label) for label in set(few.labels)})
    classifier = _served(content, training.train(content, encoder), encoder)
    labels: list[Example] = []
    weights: list[float] = []
    trained_on, routed, right = 0, [], []
    for first in range(0, len(order), STEP):
        batch = order[first : first + STEP]
        answers = classifier.assess([Text(key="", text=many.texts[p], language_hint="en") for p in batch])
        for place, answer in zip(batch, answers, strict=True):
            truth = many.labels[place]
            routed.append(not answer.abstain)
            right.append(bool(answer.queues) and answer.queues[0].label == queue_of(truth))
            if answer.abstain or dice.random() < AUDIT:
                labels.append(Example(id=f"seen/{place}", intent=truth, language="en", text=many.texts[place]))
                weights.append(1.0 if answer.abstain else 1.0 / AUDIT)
        if len(labels) - trained_on >= REFIT_LABELS:
            classifier = _refitted(content, labels, np.array(weights), encoder)
            trained_on = len(labels)
    sent, good = np.array(routed), np.array(right)
    late = np.arange(len(order)) >= AFTER
    return {
        "bank_routed": percent(float(sent[late].mean())),
        "bank_precision": percent(float(good[late & sent].mean())),
        "bank_routed_first_1000": percent(float(sent[~late].mean())),
        "bank_precision_first_1000": percent(float(good[~late & sent].mean())),
        "bank_labels": len(labels),
        "bank_messages": len(order),
    }


def _refitted(content: Taxonomy, labels: list[Example], weights: Matrix, encoder: Remembering) -> BlendClassifier:
    """Heads trained on every label, their confidence set right on labels unseen: as a training of the product."""

    def trained(rows: unseen.Rows) -> dict[str, LanguageHead]:
        extra = [labels[row] for row in rows]
        return training.train(content, encoder, extra=extra, weights={one.id: 1.0 for one in extra})

    judged = unseen.crossed(
        [Text(key=one.id, text=one.text, language_hint=one.language) for one in labels],
        content.labels,
        lambda learn, _asked: _served(content, trained(learn), encoder),
    )
    heads = trained(np.arange(len(labels)))
    return _served(content, _calibrated(content, heads, judged, [one.intent for one in labels], weights), encoder)


def _calibrated(
    content: Taxonomy, heads: dict[str, LanguageHead], judged: unseen.Unseen, said: Sequence[str], weights: Matrix
) -> dict[str, LanguageHead]:
    places = {label.id: place for place, label in enumerate(content.labels)}
    truth = np.array([places[one] for one in said], dtype=np.int64)
    languages = ["en"] * len(said)
    return unseen.calibrated(heads, judged, labels=content.labels, truth=truth, weights=weights, languages=languages)[0]


def noisy(history: Split, clean: Split, encoder: Remembering) -> Json:
    """Heads trained on a history with FLIPPED of its labels wrong, then a clean stream: what they came with (fixed)
    against calibration on the newest confirmed labels (rolling).
    """
    dice = np.random.default_rng(SEED)
    names = sorted(set(history.labels))
    order = dice.permutation(len(history.texts))
    count: dict[str, int] = {}
    rows = []
    for place in order:
        label = history.labels[place]
        count[label] = count.get(label, 0) + 1
        if count[label] <= NOISY_PER_LABEL:
            rows.append(place)
    said = [
        names[int(dice.integers(len(names)))] if dice.random() < FLIPPED else history.labels[place] for place in rows
    ]
    content = taxonomy_of(Split(language="en", texts=tuple(history.texts[p] for p in rows), labels=tuple(said)))
    fixed = training.train(content, encoder)
    stream = dice.permutation(len(clean.texts))[:CLEAN].tolist()
    return {
        **_told("noisy_fixed", *_stream(content, fixed, clean, stream, encoder, rolling=False)),
        **_told("noisy_rolling", *_stream(content, fixed, clean, stream, encoder, rolling=True)),
    }


def _told(name: str, routed: float, precision: float) -> Json:
    return {f"{name}_routed": percent(routed), f"{name}_precision": percent(precision)}


def _stream(
    content: Taxonomy,
    heads: dict[str, LanguageHead],
    clean: Split,
    stream: Sequence[int],
    encoder: Remembering,
    *,
    rolling: bool,
) -> tuple[float, float]:
    """Share routed and its precision over the second half of the stream."""
    dice = np.random.default_rng(SEED)
    untouched = _served(content, heads, encoder)
    served = untouched
    judged: list[unseen.Unseen] = []
    said: list[str] = []
    weights: list[float] = []
    sent, right = [], []
    for first in range(0, len(stream), STEP):
        part = stream[first : first + STEP]
        batch = [Text(key="", text=clean.texts[place], language_hint="en") for place in part]
        asked = []
        for row, (place, answer) in enumerate(zip(part, served.assess(batch), strict=True)):
            sent.append(not answer.abstain)
            right.append(bool(answer.top) and answer.top[0].label == clean.labels[place])
            if answer.abstain or dice.random() < AUDIT:
                asked.append(row)
                said.append(clean.labels[place])
                weights.append(1.0 if answer.abstain else 1.0 / AUDIT)
        if rolling and asked:
            judged.append(unseen.look(untouched, batch, content.labels, np.array(asked)))
            seen = unseen.Unseen(
                rows=np.arange(len(said)),
                probabilities=np.concatenate([one.probabilities for one in judged]),
                blended=np.concatenate([one.blended for one in judged]),
            )
            served = _served(content, _calibrated(content, heads, seen, said, np.array(weights)), encoder)
    late = np.arange(len(stream)) >= len(stream) // 2
    gone, good = np.array(sent), np.array(right)
    return float(gone[late].mean()), float(good[late & gone].mean()) if (late & gone).any() else 1.0


def _served(content: Taxonomy, heads: dict[str, LanguageHead], encoder: Remembering) -> BlendClassifier:
    return BlendClassifier(labels=content.labels, heads=heads, version="online", encoder=encoder)
