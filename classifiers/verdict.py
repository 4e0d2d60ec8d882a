"""From probabilities to an assessment: one last step for every model, so that all abstain, route and raise alike.

A model says how likely each intent is, how strange the text, what it doubts. The rules, the sum per queue and the
threshold are the house's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers import language as languages
from classifiers import rules
from classifiers.base import Label
from classifiers.normalise import mask, spell
from domain.assessment import Assessment, Scored, Text
from domain.model import Priority

TOP = 3
SURE_RULE = 0.9  # a rule this sure decides the intent with its own weight
CLOSING, SPAM, PERSON = "thanks_closing", "spam", "wants_person"
UNKNOWN_TOKENS = 0.3  # above this share of unknown tokens a model sees mostly holes
_BLOB = re.compile(r"[^\s\u3000-\u9fff]{60,}")  # no word of any language: an encoded file, a key held down


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A text before the model has seen it."""

    spelled: str
    language: languages.Language
    signals: rules.Signals

    @property
    def is_empty(self) -> bool:
        """No letter and no digit."""
        return not any(letter.isalnum() for letter in self.spelled)

    @property
    def is_noise(self) -> bool:
        """Mostly things that are no words."""
        return 2 * sum(len(blob) for blob in _BLOB.findall(self.spelled)) > len(self.spelled)


def read(text: Text) -> Reading:
    """What rules and language detection see in a text. Never raises."""
    spelled = spell(text.text)
    return Reading(
        spelled=spelled,
        language=languages.detect(mask(spelled), text.language_hint),
        signals=rules.read(spelled, text.text),
    )


def doubt(reading: Reading, unknown: float) -> str:
    """Why a model that has no sense of what is strange should not be believed, "" where nothing speaks against it.
    `unknown` is the share of tokens that it does not know.
    """
    if unknown > UNKNOWN_TOKENS:
        return "unknown_script"
    return "out_of_scope" if reading.is_noise else ""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a model says of one text.

    `probabilities` float64 (labels,), summing to one; `threshold` the least probability of a queue to stand by;
    `strange` 0 to 1, how surely no intent covers the text; `doubt` why a person should choose, "" where the threshold
    alone decides; `evidence` the ids of the nearest examples.
    """

    probabilities: NDArray[np.float64]
    threshold: float
    strange: float
    doubt: str
    evidence: tuple[str, ...] = ()


class Judge:
    """Turns what a model says about `labels` into assessments."""

    def __init__(self, labels: Sequence[Label]) -> None:
        self._labels = tuple(labels)
        self._ids = [label.id for label in labels]
        self._places = {name: place for place, name in enumerate(self._ids)}
        self._queues = sorted({label.queue for label in labels})
        self._queue_of = np.array([self._queues.index(label.queue) for label in labels])
        self._members: dict[str, list[int]] = {}
        for place, label in enumerate(labels):
            self._members.setdefault(label.queue, []).append(place)

    def judge(self, language: languages.Language, signals: rules.Signals, said: Said, version: str) -> Assessment:
        """A rule that is sure decides with its own weight and leaves nothing to doubt; below the threshold of the
        likeliest queue a person chooses.
        """
        probabilities = said.probabilities
        intent, strength = self._sure_rule(signals)
        if intent is not None:
            probabilities = probabilities * (1.0 - strength)
            probabilities[self._places[intent]] += strength
        sums = np.bincount(self._queue_of, weights=probabilities, minlength=len(self._queues))
        queues = _ranked(self._queues, sums.tolist(), len(self._queues))
        reason = ""
        if intent is None:
            reason = said.doubt or ("below_threshold" if queues[0].confidence < said.threshold else "")
        # The queue is the decision, so the intent is the likeliest of that queue: almost always the likeliest of all.
        likely: list[float] = probabilities.tolist()
        likeliest = max(self._members[queues[0].label], key=likely.__getitem__)
        best = self._labels[likeliest]
        spam = max(signals.spam, self._of(likely, SPAM))
        base = Priority.NORMAL if reason else best.priority
        raised = signals.priority if spam < rules.SPAM_ONE else None
        return Assessment(
            intent=None if reason else best.id,
            confidence=max(likely) if reason else likely[likeliest],
            top=_ranked(self._ids, likely, TOP),
            queues=queues,
            language=language.code,
            language_confidence=language.confidence,
            abstain=bool(reason),
            reason=reason,
            spam=spam,
            closure=max(signals.closure, self._of(likely, CLOSING)),
            wants_person=max(signals.wants_person, self._of(likely, PERSON)),
            out_of_scope=said.strange * (1.0 - strength),
            priority=max(base, raised, key=lambda one: one.rank) if raised else base,
            priority_reasons=signals.priority_reasons if raised else (),
            sentiment=signals.sentiment,
            version=version,
            evidence=said.evidence,
        )

    def nothing(self, language: languages.Language, signals: rules.Signals, version: str) -> Assessment:
        """Of emoji, punctuation, nothing at all: a person chooses, unless it is a goodbye."""
        return Assessment(
            intent=None,
            confidence=0.0,
            top=(),
            queues=(),
            language=language.code,
            language_confidence=language.confidence,
            abstain=True,
            reason="no_text",
            spam=0.0,
            closure=signals.closure,
            wants_person=0.0,
            out_of_scope=0.0,
            priority=Priority.NORMAL,
            priority_reasons=(),
            sentiment=signals.sentiment,
            version=version,
            evidence=(),
        )

    def _sure_rule(self, signals: rules.Signals) -> tuple[str | None, float]:
        """The intent that a rule is sure of, with its weight."""
        seen = ((signals.closure, CLOSING), (signals.wants_person, PERSON), (signals.spam, SPAM))
        sure = [(strength, intent) for strength, intent in seen if strength >= SURE_RULE and intent in self._places]
        strength, intent = max(sure, default=(0.0, None))
        return intent, strength

    def _of(self, likely: Sequence[float], intent: str) -> float:
        return likely[self._places[intent]] if intent in self._places else 0.0


def _ranked(names: Sequence[str], likely: Sequence[float], most: int) -> tuple[Scored, ...]:
    """The `most` likeliest first; equals in the order given."""
    order = sorted(range(len(likely)), key=likely.__getitem__, reverse=True)[:most]
    return tuple(Scored(label=names[place], confidence=likely[place]) for place in order)
