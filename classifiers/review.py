"""What a person should look at in a taxonomy before it is trained on: `relaydesk taxonomy check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from classifiers import experts, twins
from classifiers.experts import Texts
from classifiers.ngrams import families
from classifiers.normalise import normalise
from classifiers.taxonomy import Example, Taxonomy

MISTAKE, WARNING = "mistake", "look"
FEW = 10  # examples of an intent below which a language is learnt by chance
LOPSIDED = 5.0  # times as many examples as the median intent has
OVERLAP = 0.3  # share of an intent's examples that words alone give to one other intent
FOLDS = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`kind` is stable ("few_examples", "overlap", "twins", "no_queue", "untranslated", "lopsided"), `severity` MISTAKE
    or WARNING, `told` a sentence.
    """

    kind: str
    severity: str
    told: str


def review(content: Taxonomy, *, queues: Sequence[str] | None = None) -> list[Finding]:
    """Everything found, mistakes first. `queues` are those of the configuration, None not to compare with them."""
    found = [*_queues(content, queues), *_words(content), *_numbers(content), *_twins(content), *_overlaps(content)]
    return sorted(found, key=lambda one: one.severity != MISTAKE)


def _queues(content: Taxonomy, queues: Sequence[str] | None) -> Iterator[Finding]:
    for label in content.labels:
        if queues is not None and label.queue not in queues:
            told = f"{label.id}: its queue {label.queue} is not one of the configuration ({', '.join(sorted(queues))})"
            yield Finding(kind="no_queue", severity=MISTAKE, told=told)


def _words(content: Taxonomy) -> Iterator[Finding]:
    for language in content.languages:
        for label in content.labels:
            lacking = [
                kind
                for kind, words in (("name", label.names), ("description", label.descriptions))
                if not words.get(language)
            ]
            if lacking:
                told = f"{label.id}: no {' and no '.join(lacking)} in {language}"
                yield Finding(kind="untranslated", severity=WARNING, told=told)


def _numbers(content: Taxonomy) -> Iterator[Finding]:
    for language in content.languages:
        counts = Counter(one.intent for one in content.examples if one.language == language)
        usual = float(np.median(list(counts.values())))
        for label in content.labels:
            count = counts[label.id]
            if count < FEW:
                told = f"{label.id}: {count} examples in {language}; {FEW} are few, 20 are good"
                yield Finding(kind="few_examples", severity=WARNING, told=told)
            elif count > LOPSIDED * usual:
                told = f"{label.id}: {count} examples in {language}, where the median intent has {usual:g}"
                yield Finding(kind="lopsided", severity=WARNING, told=told)


def _twins(content: Taxonomy) -> Iterator[Finding]:
    for language in content.languages:
        examples = [one for one in content.examples if one.language == language]
        for one, other, _ in twins.pairs([example.text for example in examples]):
            first, second = examples[one], examples[other]
            apart = first.intent != second.intent
            told = f"{first.id} and {second.id} say nearly the same"
            told += ", but are of different intents" if apart else ""
            yield Finding(kind="twins", severity=MISTAKE if apart else WARNING, told=told)


def _overlaps(content: Taxonomy) -> Iterator[Finding]:
    """Intents whose examples words alone take for those of another, each judged by heads that have not seen it."""
    for language in content.languages:
        examples = [one for one in content.examples if one.language == language]
        guesses = _unseen(examples, language)
        totals = Counter(one.intent for one in examples)
        taken = Counter(
            (one.intent, guess) for one, guess in zip(examples, guesses, strict=True) if one.intent != guess
        )
        for (intent, other), count in sorted(taken.items()):
            if count >= OVERLAP * totals[intent] and count > 1:
                told = f"{intent}: {count} of {totals[intent]} examples in {language} read like {other}"
                yield Finding(kind="overlap", severity=WARNING, told=told)


def _unseen(examples: Sequence[Example], language: str) -> list[str]:
    names = sorted({one.intent for one in examples})
    texts = Texts(
        texts=[normalise(one.text) for one in examples],
        classes=np.array([names.index(one.intent) for one in examples], dtype=np.int64),
        weights=np.ones(len(examples)),
        encoded=None,
    )
    fold = np.zeros(len(examples), dtype=np.int64)
    for place in range(len(names)):
        rows = np.flatnonzero(texts.classes == place)
        fold[rows] = np.arange(rows.shape[0]) % FOLDS
    guesses = [""] * len(examples)
    for number in range(FOLDS):
        learn, ask = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        fitted = experts.fit(texts.pick(learn), families(language), len(names))
        scores = experts.judge(fitted, texts.pick(ask), len(names)).lexical
        for row, best in zip(ask.tolist(), scores.argmax(axis=1).tolist(), strict=True):
            guesses[row] = names[best]
    return guesses
