"""The default classifier: rules, language, two experts per language, and the readiness to say "not sure"."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers import language as languages
from classifiers import rules
from classifiers.base import Label
from classifiers.encoder import Encoded, Encodes
from classifiers.heads import Decision, LanguageHead, Reading
from classifiers.ngrams import Sparse
from classifiers.normalise import mask, normalise, spell
from domain.assessment import Assessment, Scored, Text
from domain.model import Priority

TOP = 3
STRANGE = 0.5  # out-of-scope probability above which nothing is routed
KNOWN_NGRAMS = 0.15  # below this share of known n-grams, and without the encoder, there is nothing to go by
SURE_RULE = 0.9  # a rule this sure decides the intent with its own weight
CLOSING, SPAM, PERSON = "thanks_closing", "spam", "wants_person"


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A text on its way through: as spelled for the rules and masked for the experts, its language, the head that
    will answer.
    """

    spelled: str
    normal: str
    language: languages.Language
    head: LanguageHead
    features: Sparse

    @property
    def empty(self) -> bool:
        return not any(letter.isalnum() for letter in self.normal)


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a text was read, for explaining and for learning.

    `head` is the one that answers, `reading` what the encoder makes of the text (None where it is not asked),
    `decision` None where there is nothing to read.
    """

    spelled: str
    normal: str
    language: str
    head: LanguageHead
    features: Sparse
    reading: Reading | None
    decision: Decision | None


class BlendClassifier:
    """Answers with the n-gram expert and, where it can read the text, the encoder. Without an encoder: n-grams
    alone.
    """

    def __init__(
        self,
        *,
        labels: tuple[Label, ...],
        heads: Mapping[str, LanguageHead],
        version: str,
        encoder: Encodes | None = None,
    ) -> None:
        self.labels = labels
        self.version = version if encoder else f"{version}/ngrams"
        self._trained = version
        self._learnt = 0
        self._heads = dict(heads)
        self._default = self._heads.get(languages.DEFAULT) or next(iter(self._heads.values()))
        self._encoder = encoder
        self._ids = [label.id for label in labels]
        self._queues = sorted({label.queue for label in labels})
        self._queue_of = np.array([self._queues.index(label.queue) for label in labels])

    def assess(self, batch: Sequence[Text]) -> list[Assessment]:
        """One assessment per text, in order."""
        reads = [self._read(text) for text in batch]
        encoded = self._encode(reads)
        answers = []
        for place, (text, read) in enumerate(zip(batch, reads, strict=True)):
            answers.append(self._answer(text, read, encoded.get(place)))
            _breathe()
        return answers

    def without_encoder(self) -> BlendClassifier:
        """The n-gram experts of the same heads alone; shares their arrays."""
        return BlendClassifier(labels=self.labels, heads=self._heads, version=self._trained)

    @property
    def encoder(self) -> Encodes | None:
        """The encoder it asks; other heads can be served with the same one."""
        return self._encoder

    @property
    def heads(self) -> Mapping[str, LanguageHead]:
        """The heads by language, as they are now."""
        return self._heads

    def look(self, batch: Sequence[Text]) -> list[Look]:
        """How each text is read, in order."""
        reads = [self._read(text) for text in batch]
        encoded = self._encode(reads)
        looks = []
        for place, read in enumerate(reads):
            reading = encoded.get(place)
            looks.append(
                Look(
                    spelled=read.spelled,
                    normal=read.normal,
                    language=read.language.code,
                    head=read.head,
                    features=read.features,
                    reading=reading,
                    decision=None if read.empty else read.head.decide(read.features, reading),
                )
            )
        return looks

    def learn(self, example_id: str, language: str, text: str, intent: str | None = None) -> bool:
        """Let a confirmed text count among the neighbours at once, with a vote where its intent is told; its weights
        follow at the next training.

        False where there is no head for the language, nothing to read, or the example is there already. To be called
        from the thread that assesses.
        """
        head = self._heads.get(language)
        normal = normalise(text)
        if head is None or not normal or example_id in head.example_ids:
            return False
        reading = None
        if head.encoder is not None and self._encoder is not None:
            (reading,) = _readings(self._encoder.encode([normal]))
        place = self._ids.index(intent) if intent in self._ids else None
        grown = head.with_example(example_id, head.ngrams.vocabulary.features(normal), reading, place)
        if grown is None:
            return False
        self._heads[language] = grown
        if self._default is head:
            self._default = grown
        self._learnt += 1
        served = f"{self._trained}+{self._learnt}"
        self.version = served if self._encoder else f"{served}/ngrams"
        return True

    def _read(self, text: Text) -> _Read:
        spelled = spell(text.text)
        normal = mask(spelled)
        language = languages.detect(normal, text.language_hint)
        head = self._heads.get(language.code, self._default)
        _breathe()
        return _Read(
            spelled=spelled,
            normal=normal,
            language=language,
            head=head,
            features=head.ngrams.vocabulary.features(normal),
        )

    def _encode(self, reads: list[_Read]) -> dict[int, Reading]:
        """What the encoder makes of those texts whose head listens to it, by place in the batch."""
        if self._encoder is None:
            return {}
        places = [place for place, read in enumerate(reads) if read.head.blended and not read.empty]
        encoded = self._encoder.encode([reads[place].normal for place in places])
        return dict(zip(places, _readings(encoded), strict=True))

    def _answer(self, text: Text, read: _Read, reading: Reading | None) -> Assessment:
        signals = rules.read(read.spelled, text.text)
        if read.empty:
            return self._nothing_to_read(read, signals)
        decision = read.head.decide(read.features, reading)
        probabilities = np.zeros(len(self.labels))
        probabilities[list(read.head.classes)] = decision.probabilities
        intent, strength = self._sure_rule(signals)
        if intent is not None:
            probabilities *= 1.0 - strength
            probabilities[self._ids.index(intent)] += strength
        strange = decision.out_of_scope * (1.0 - strength)
        queues = np.asarray(
            np.bincount(self._queue_of, weights=probabilities, minlength=len(self._queues)), dtype=np.float64
        )
        blind = reading is None or reading.unknown > 0.5
        reason = self._reason(read, blind, strength, strange, float(queues.max()) < decision.threshold)
        # The queue is the decision, so the intent is the likeliest of that queue: almost always the likeliest of all.
        likeliest = int(np.where(self._queue_of == queues.argmax(), probabilities, -1.0).argmax())
        best = self.labels[likeliest]
        spam = max(signals.spam, self._of(probabilities, SPAM))
        base = Priority.NORMAL if reason else best.priority
        raised = signals.priority if spam < rules.SPAM_ONE else None
        return Assessment(
            intent=None if reason else best.id,
            confidence=float(probabilities.max() if reason else probabilities[likeliest]),
            top=_ranked(self._ids, probabilities)[:TOP],
            queues=_ranked(self._queues, queues),
            language=read.language.code,
            language_confidence=read.language.confidence,
            abstain=bool(reason),
            reason=reason,
            spam=spam,
            closure=max(signals.closure, self._of(probabilities, CLOSING)),
            wants_person=max(signals.wants_person, self._of(probabilities, PERSON)),
            out_of_scope=strange,
            priority=max(base, raised, key=lambda one: one.rank) if raised else base,
            priority_reasons=signals.priority_reasons if raised else (),
            sentiment=None,
            version=self.version,
            evidence=tuple(read.head.example_ids[row] for row in decision.examples),
        )

    def _reason(self, read: _Read, blind: bool, strength: float, strange: float, unsure: bool) -> str:
        """Why a person should choose, "" to stand by the answer."""
        if strength > 0.0:
            return ""
        if blind and read.features.known < KNOWN_NGRAMS:
            return "unknown_script"
        if read.language.code != read.head.language:
            return "unknown_language"
        if strange > STRANGE:
            return "out_of_scope"
        return "below_threshold" if unsure else ""

    def _sure_rule(self, signals: rules.Signals) -> tuple[str | None, float]:
        """The intent that a rule is sure of, with its weight."""
        found = [
            (strength, intent)
            for strength, intent in (
                (signals.closure, CLOSING),
                (signals.wants_person, PERSON),
                (signals.spam, SPAM),
            )
            if strength >= SURE_RULE and intent in self._ids
        ]
        strength, intent = max(found, default=(0.0, None))
        return intent, strength

    def _nothing_to_read(self, read: _Read, signals: rules.Signals) -> Assessment:
        """No letter, no digit: emoji, punctuation, nothing at all."""
        return Assessment(
            intent=None,
            confidence=0.0,
            top=(),
            queues=(),
            language=read.language.code,
            language_confidence=read.language.confidence,
            abstain=True,
            reason="no_text",
            spam=0.0,
            closure=signals.closure,
            wants_person=0.0,
            out_of_scope=0.0,
            priority=Priority.NORMAL,
            priority_reasons=(),
            sentiment=None,
            version=self.version,
            evidence=(),
        )

    def _of(self, probabilities: NDArray[np.float64], intent: str) -> float:
        return float(probabilities[self._ids.index(intent)]) if intent in self._ids else 0.0


def _readings(encoded: Encoded) -> Iterator[Reading]:
    for row in range(encoded.vectors.shape[0]):
        yield Reading(
            vector=encoded.vectors[row],
            layers=None if encoded.layers is None else encoded.layers[row],
            unknown=float(encoded.unknown[row]),
        )


def _breathe() -> None:
    """Lets the event loop have the interpreter between two texts."""
    time.sleep(0)


def _ranked(names: Sequence[str], probabilities: NDArray[np.float64]) -> tuple[Scored, ...]:
    """Likeliest first; equals in the order given."""
    order = np.argsort(-probabilities, kind="stable")
    return tuple(Scored(label=names[place], confidence=float(probabilities[place])) for place in order)
