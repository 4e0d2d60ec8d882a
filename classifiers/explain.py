"""Why a text was read as it was: probabilities, words that spoke for it, nearest examples, rules that fired.

Computed again from the text with the heads as they are now, so it says what would be answered today; the caller holds
it beside what was answered then.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from classifiers import neighbours, rules
from classifiers.blend import BlendClassifier, Look
from classifiers.ngrams import TOKEN, Family
from domain.assessment import Assessment, Text

WORDS = 5
NEAR = 3
_TOKEN = re.compile(TOKEN)


@dataclass(frozen=True, kw_only=True)
class Near:
    """An example and its cosine to the text. `example` is its id: "en/how_to/3", or "label/..." for a confirmed one."""

    example: str
    similarity: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What can be said for an answer.

    `answer` is what would be answered now. `words` are the pieces of the text that speak most for the likeliest intent
    over the runner-up, with the margin that the n-gram expert gives them. `lexical_share` is how much of the lead comes
    from the n-grams, 0 to 1 (the rest from the encoder). `rules` are ids. `threshold` is what a queue needs to be
    routed.
    """

    answer: Assessment
    words: tuple[tuple[str, float], ...]
    lexical_share: float
    nearest: tuple[Near, ...]
    rules: tuple[str, ...]
    threshold: float
    temperature: float
    encoder: str


def explain(classifier: BlendClassifier, text: str, hint: str | None = None) -> Explanation:
    """Explain one text. Never raises on any text; an empty one has an answer and nothing that speaks for it."""
    asked = Text(key="1", text=text, language_hint=hint)
    (look,) = classifier.look([asked])
    (answer,) = classifier.assess([asked])
    words: tuple[tuple[str, float], ...] = ()
    share = 0.0
    near: tuple[Near, ...] = ()
    view = look.head.alone
    if look.decision is not None:
        best, second = _two(look)
        words = strongest(look, best, second)
        share = _lexical_share(look, best, second)
        near = _nearest(look)
        if look.decision.blended and look.head.blended is not None:
            view = look.head.blended
    return Explanation(
        answer=answer,
        words=words,
        lexical_share=share,
        nearest=near,
        rules=_fired(look, text),
        threshold=view.threshold,
        temperature=view.temperature,
        encoder=classifier.encoder.fingerprint[:8] if classifier.encoder is not None else "",
    )


def strongest(look: Look, best: int, second: int, limit: int = WORDS) -> tuple[tuple[str, float], ...]:
    """The words (in Chinese: runs of characters) that speak most for column `best` over `second`, strongest first."""
    margins = _margins(look, best, second)
    spaced = any(family.kind != "char" for family, _ in margins)
    found = _by_word(look.normal, margins) if spaced else _runs(margins)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple((word, round(margin, 3)) for word, margin in ranked[:limit] if margin > 0)


def _two(look: Look) -> tuple[int, int]:
    """The likeliest column and the runner-up."""
    assert look.decision is not None  # noqa: S101  # the caller looked
    order = np.argsort(-look.decision.probabilities, kind="stable")
    return int(order[0]), int(order[min(1, order.shape[0] - 1)])


def _margins(look: Look, best: int, second: int) -> list[tuple[Family, dict[str, float]]]:
    """Per family: what each known n-gram of the text gives `best` over `second`."""
    expert = look.head.ngrams
    value_of = dict(zip(look.features.columns.tolist(), look.features.values.tolist(), strict=True))
    found = []
    for family, terms in zip(expert.vocabulary.families, expert.vocabulary.terms, strict=True):
        margins = {}
        for gram in set(family.grams(look.normal)):
            column = terms.get(gram)
            if column is not None and column in value_of:
                weight = float(expert.weights[column, best] - expert.weights[column, second])
                margins[gram] = value_of[column] * weight
        found.append((family, margins))
    return found


def _by_word(text: str, margins: list[tuple[Family, dict[str, float]]]) -> dict[str, float]:
    """Every n-gram's margin shared out to the words that it stands in."""
    found: dict[str, float] = defaultdict(float)
    for family, given in margins:
        owners = _owners(family, text)
        for gram, margin in given.items():
            inside = owners.get(gram)
            if inside:
                whole = sum(inside.values())
                for word, times in inside.items():
                    found[word] += margin * times / whole
    return found


def _owners(family: Family, text: str) -> dict[str, Counter[str]]:
    """By n-gram: the words it stands in, and how often."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    if family.kind == "word":
        for gram in family.grams(text):
            for word in gram.split(" "):
                found[gram][word] += 1
    else:
        for word in text.split():
            name = " ".join(_TOKEN.findall(word))
            if name:
                for gram in family.grams(word):
                    found[gram][name] += 1
    return found


def _runs(margins: list[tuple[Family, dict[str, float]]]) -> dict[str, float]:
    """The strongest runs of characters, none inside another."""
    ranked = sorted(((m, gram) for _, given in margins for gram, m in given.items()), key=lambda one: (-one[0], one[1]))
    found: dict[str, float] = {}
    for margin, gram in ranked:
        if gram.strip() == gram and not any(gram in known or known in gram for known in found):
            found[gram] = margin
    return found


def _lexical_share(look: Look, best: int, second: int) -> float:
    """How much of the lead of `best` over `second` the n-grams give."""
    head, decision = look.head, look.decision
    if decision is None or not decision.blended or head.blended is None or head.encoder is None or look.reading is None:
        return 1.0
    lexical = head.ngrams.scores(look.features)
    heard = head.blended.beta * head.encoder.plain.scores(look.reading.vector)
    if head.encoder.deep is not None and look.reading.layers is not None:
        heard += head.blended.gamma * head.encoder.deep.scores(look.reading.layers)
    similar = head.encoder.alike(look.reading.vector)[np.newaxis]
    heard += head.blended.delta * neighbours.votes(similar, head.example_classes, heard.shape[0])[0]
    from_grams = max(0.0, head.blended.alpha * float(lexical[best] - lexical[second]))
    from_encoder = max(0.0, float(heard[best] - heard[second]))
    lead = from_grams + from_encoder
    return from_grams / lead if lead > 0 else 0.0


def _nearest(look: Look) -> tuple[Near, ...]:
    head, decision = look.head, look.decision
    if decision is None:
        return ()
    if decision.blended and head.encoder is not None and look.reading is not None:
        similar = head.encoder.familiar(look.reading.vector, look.reading.layers)
    else:
        similar = head.index.similarities(look.features)
    order = np.argsort(-similar, kind="stable")[:NEAR]
    return tuple(
        Near(example=head.example_ids[row], similarity=round(float(similar[row]), 3))
        for row in order.tolist()
        if similar[row] > 0
    )


def _fired(look: Look, text: str) -> tuple[str, ...]:
    return tuple(_names(rules.read(look.spelled, text)))


def _names(signals: rules.Signals) -> Iterator[str]:
    yield from signals.priority_reasons
    for name in ("spam", "closure", "wants_person"):
        if getattr(signals, name) > 0:
            yield name
