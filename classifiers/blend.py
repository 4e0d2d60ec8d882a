"""The default classifier: rules, language, two experts per language, and the readiness to say "not sure"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from classifiers import language as languages
from classifiers import rules, verdict
from classifiers.base import Label
from classifiers.encoder import Encoded, Encodes
from classifiers.heads import Decision, LanguageHead, Reading, breathe
from classifiers.ngrams import Sparse
from classifiers.normalise import mask, normalise, spell
from domain.assessment import Assessment, Text

STRANGE = 0.5  # out-of-scope probability above which nothing is routed
COMPARED_AT_ONCE = 24_000  # texts times examples: more would keep the interpreter from the event loop too long
NOISE = 0.1  # below this share not even an encoder is believed (the golden sentences have 0.39 at least)
KNOWN_NGRAMS = 0.15  # below this share of known n-grams, and without the encoder, there is nothing to go by


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
        self._judge = verdict.Judge(labels)

    def assess(self, batch: Sequence[Text]) -> list[Assessment]:
        """One assessment per text, in order."""
        reads = [self._read(text) for text in batch]
        encoded = self._encode(reads)
        decisions = self._decide(reads, encoded)
        answers = []
        for place, (text, read) in enumerate(zip(batch, reads, strict=True)):
            answers.append(self._answer(text, read, encoded.get(place), decisions.get(place)))
            breathe()
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
        decisions = self._decide(reads, encoded)
        looks = []
        for place, read in enumerate(reads):
            looks.append(
                Look(
                    spelled=read.spelled,
                    normal=read.normal,
                    language=read.language.code,
                    head=read.head,
                    features=read.features,
                    reading=encoded.get(place),
                    decision=decisions.get(place),
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
        breathe()
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

    def _decide(self, reads: list[_Read], encoded: Mapping[int, Reading]) -> dict[int, Decision]:
        """What the heads say, by place in the batch; nothing of texts without a letter."""
        by_head: dict[str, list[int]] = {}
        for place, read in enumerate(reads):
            if not read.empty:
                by_head.setdefault(read.head.language, []).append(place)
        decisions: dict[int, Decision] = {}
        for places in by_head.values():
            head = reads[places[0]].head
            size = max(1, COMPARED_AT_ONCE // max(1, len(head.example_ids)))
            for start in range(0, len(places), size):
                some = places[start : start + size]
                told = head.decide([reads[place].features for place in some], [encoded.get(place) for place in some])
                decisions |= zip(some, told, strict=True)
                breathe()
        return decisions

    def _answer(self, text: Text, read: _Read, reading: Reading | None, decision: Decision | None) -> Assessment:
        signals = rules.read(read.spelled, text.text)
        if decision is None:
            return self._judge.nothing(read.language, signals, self.version)
        probabilities = np.zeros(len(self.labels))
        probabilities[list(read.head.classes)] = decision.probabilities
        said = verdict.Said(
            probabilities=probabilities,
            threshold=decision.threshold,
            strange=decision.out_of_scope,
            doubt=_doubt(read, reading, decision),
            evidence=tuple(read.head.example_ids[row] for row in decision.examples),
        )
        return self._judge.judge(read.language, signals, said, self.version)


def _doubt(read: _Read, reading: Reading | None, decision: Decision) -> str:
    """Why a person should choose, "" where the threshold alone decides."""
    blind = reading is None or reading.unknown > 0.5
    if blind and read.features.known < KNOWN_NGRAMS:
        return "unknown_script"
    if read.language.code != read.head.language:
        return "unknown_language"
    if read.features.known < NOISE:
        return "unknown_script"
    return "out_of_scope" if decision.out_of_scope > STRANGE else ""


def _readings(encoded: Encoded) -> Iterator[Reading]:
    for row in range(encoded.vectors.shape[0]):
        yield Reading(
            vector=encoded.vectors[row],
            layers=None if encoded.layers is None else encoded.layers[row],
            unknown=float(encoded.unknown[row]),
        )
