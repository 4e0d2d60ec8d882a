"""The decisions for texts in one language: experts, blended, calibrated, with a sense of what they do not know.

z = alpha * n-grams + beta * encoder + gamma * its layers + delta * votes of the nearest examples, softmax. The
weights are learned out of fold, so they choose between the experts and calibrate the result at once. Where the encoder
cannot read a text, n-grams decide alone (alpha and delta), with weights of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers import neighbours
from classifiers.neighbours import SparseIndex
from classifiers.ngrams import LinearNgrams, Sparse

UNKNOWN_TOKENS = 0.3  # above this share of [UNK] the encoder sees mostly holes
UNKNOWN_CLASS = -1  # of an example that is a neighbour only
BREATH_S = 0.001  # a fifth of what the event loop may ever be kept waiting
_breath = threading.local()


@dataclass(frozen=True, kw_only=True)
class View:
    """One way of combining the experts.

    `means` and `deviations` (parts,) scale the out-of-scope parts as seen on held-out texts that are in scope;
    `slopes` (parts,) and `offset` turn them into log odds of being in scope; `threshold` is the least queue probability
    to stand by. `temperature` is what the newest confirmed labels made of the confidence (1.0: as it was trained);
    familiarity is measured before it.
    """

    alpha: float
    beta: float
    gamma: float
    delta: float
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    slopes: NDArray[np.float64]
    offset: float
    threshold: float
    temperature: float = 1.0

    def out_of_scope(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        """float64 (texts,): the probability that no intent covers a text with these parts, (texts, parts)."""
        odds = ((parts - self.means) / self.deviations) @ self.slopes + self.offset
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(odds, -30.0, 30.0))), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Linear:
    """A linear head: `weights` float32 (width, classes), `bias` float32 (classes,)."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scores(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (classes,) for a vector (width,), (texts, classes) for (texts, width): logits."""
        return np.asarray(vectors @ self.weights + self.bias, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class EncoderHead:
    """What reads the encoder: a head on its vector, one on its layers where it gives them, and of the training examples
    the vectors, float32 (examples, width), which vote, and the layers, which tell what is familiar: noise is made of
    words that mean much and are known to nobody (measured: of 24 random texts the vectors take 12 for familiar, the
    layers none).
    """

    plain: Linear
    deep: Linear | None
    examples: NDArray[np.float32]
    layers: NDArray[np.float32] | None

    def familiar(self, vectors: NDArray[np.float32], layers: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """How near texts are to the examples, (texts, examples) for (texts, width), (examples,) for (width,)."""
        if self.layers is None or layers is None:
            return self.alike(vectors)
        return np.asarray(layers @ self.layers.T, dtype=np.float64)

    def alike(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """How much texts mean the same as the examples, shaped as `familiar`."""
        return np.asarray(vectors @ self.examples.T, dtype=np.float64)

    def plus(self, reading: Reading) -> EncoderHead:
        """With one more example."""
        layers = self.layers
        if layers is not None and reading.layers is not None:
            layers = np.vstack([layers, reading.layers[np.newaxis]])
        return replace(self, examples=np.vstack([self.examples, reading.vector[np.newaxis]]), layers=layers)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`probabilities` float64 (classes,), `out_of_scope` 0 to 1, `threshold` for the queue, `examples` the nearest
    rows. `blended` says whether the encoder had a say.
    """

    probabilities: NDArray[np.float64]
    out_of_scope: float
    threshold: float
    examples: tuple[int, ...]
    blended: bool


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the encoder makes of one text: `vector` float32 (width,), `layers` float32 or None, `unknown` the share of
    [UNK].
    """

    vector: NDArray[np.float32]
    layers: NDArray[np.float32] | None
    unknown: float


@dataclass(frozen=True, kw_only=True)
class LanguageHead:
    """The experts of one language.

    `classes` maps a column to the place of its label in the taxonomy. `encoder` and `blended` are None where
    measuring showed that the encoder does not know the script. `example_ids` name the training examples by row,
    `example_classes` int32 (examples,) give their columns, UNKNOWN_CLASS where they have no vote.
    """

    language: str
    classes: tuple[int, ...]
    ngrams: LinearNgrams
    index: SparseIndex
    alone: View
    encoder: EncoderHead | None
    blended: View | None
    example_ids: tuple[str, ...]
    example_classes: NDArray[np.int32]

    def with_example(
        self, example_id: str, features: Sparse, reading: Reading | None, place: int | None = None
    ) -> LanguageHead | None:
        """The same head with one more neighbour, which votes for the label at `place` of the taxonomy if that is given;
        None where its encoder has not read the text.
        """
        encoder = self.encoder
        if encoder is not None:
            if reading is None:
                return None
            encoder = encoder.plus(reading)
        column = self.classes.index(place) if place in self.classes else UNKNOWN_CLASS
        return replace(
            self,
            index=self.index.plus(features),
            encoder=encoder,
            example_ids=(*self.example_ids, example_id),
            example_classes=np.append(self.example_classes, np.int32(column)).astype(np.int32),
        )

    def decide(self, features: Sequence[Sparse], readings: Sequence[Reading | None]) -> list[Decision]:
        """Decide texts, in order, from their n-gram features and, where they were encoded, what the encoder makes of
        them. All at once: the examples are read once for many texts (measured: a third of the time).
        """
        decisions: dict[int, Decision] = {}
        heard = [place for place, reading in enumerate(readings) if self._hears(reading)]
        deaf = sorted(set(range(len(readings))) - set(heard))
        for rows, decide in ((heard, self._blended), (deaf, self._alone)):
            if rows:
                lexical = np.stack([_breathing(self.ngrams.scores, features[row]) for row in rows])
                told = decide(lexical, [features[row] for row in rows], [readings[row] for row in rows])
                decisions |= zip(rows, told, strict=True)
        return [decisions[place] for place in range(len(readings))]

    def _hears(self, reading: Reading | None) -> bool:
        return reading is not None and self.blended is not None and reading.unknown <= UNKNOWN_TOKENS

    def _alone(
        self, lexical: NDArray[np.float64], features: Sequence[Sparse], _readings: Sequence[Reading | None]
    ) -> list[Decision]:
        similarities = np.stack([_breathing(self.index.similarities, one) for one in features])
        return self._conclude(self.alone, self.alone.alpha * lexical, similarities, similarities, None)

    def _blended(
        self, lexical: NDArray[np.float64], _features: Sequence[Sparse], readings: Sequence[Reading | None]
    ) -> list[Decision]:
        encoder, view = self.encoder, self.blended
        if encoder is None or view is None:
            raise ValueError(f"the head for {self.language} has no encoder")
        there = [reading for reading in readings if reading is not None]
        vectors = np.stack([reading.vector for reading in there])
        logits = encoder.plain.scores(vectors)
        z = view.alpha * lexical + view.beta * logits
        told = [reading.layers for reading in there if reading.layers is not None]
        layers = np.stack(told) if len(told) == len(there) else None
        if encoder.deep is not None and layers is not None:
            z += view.gamma * encoder.deep.scores(layers)
        return self._conclude(view, z, encoder.alike(vectors), encoder.familiar(vectors, layers), logits)

    def _conclude(
        self,
        view: View,
        z: NDArray[np.float64],
        similarities: NDArray[np.float64],
        familiar: NDArray[np.float64],
        logits: NDArray[np.float64] | None,
    ) -> list[Decision]:
        z += view.delta * neighbours.votes(similarities, self.example_classes, z.shape[1])
        near = neighbours.nearest(familiar)
        probabilities = softmax(z / view.temperature)
        strange = view.out_of_scope(scope_parts(z, near, logits)).tolist()
        return [
            Decision(
                probabilities=probabilities[row],
                out_of_scope=strange[row],
                threshold=view.threshold,
                examples=near[row].rows,
                blended=logits is not None,
            )
            for row in range(z.shape[0])
        ]


def _breathing(ask: Callable[[Sparse], NDArray[np.float64]], features: Sparse) -> NDArray[np.float64]:
    """Ask of one text, then let the event loop have the interpreter."""
    found = ask(features)
    breathe()
    return found


def breathe() -> None:
    """Lets the event loop have the interpreter between two texts, where this thread has had it for long enough.

    To lie down and get up again costs as much as reading a quarter of a text (measured: 70 µs of time, 16 of them of a
    processor).
    """
    if time.perf_counter() - getattr(_breath, "at", 0.0) >= BREATH_S:
        time.sleep(0)
        _breath.at = time.perf_counter()


def scope_parts(
    z: NDArray[np.float64], near: Sequence[neighbours.Nearest], logits: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """What tells a familiar text from a stranger, higher is more familiar: log of the highest probability, energy of
    the blended scores `z` (texts, classes), similarity to the nearest and to the FAR-th example, and with the encoder
    the energy of its logits. float64 (texts, 4) or (texts, 5).
    """
    total = energy(z)
    first, far = np.array([one.first for one in near]), np.array([one.far for one in near])
    parts = [z.max(axis=1) - total, total, first, far]
    if logits is not None:
        parts.append(energy(logits))
    return np.stack(parts, axis=1)


def softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the last axis; sums to one."""
    raised = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def energy(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """log sum exp along the last axis: low where no class claims the text."""
    highest = logits.max(axis=-1, keepdims=True)
    return np.asarray(highest[..., 0] + np.log(np.exp(logits - highest).sum(axis=-1)))
