"""The decision for one text in one language: two experts, blended, calibrated, with a sense of what they do not know.

z = alpha * n-grams + beta * encoder, softmax. alpha and beta are learned out of fold, so they weigh the experts and
calibrate the result at once. Where the encoder cannot read a text, the n-gram expert decides alone, with weights of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from classifiers import neighbours
from classifiers.neighbours import SparseIndex
from classifiers.ngrams import LinearNgrams, Sparse

UNKNOWN_TOKENS = 0.3  # above this share of [UNK] the encoder sees mostly holes


@dataclass(frozen=True, kw_only=True)
class View:
    """One way of combining the experts.

    `means` and `deviations` (parts,) scale the out-of-scope parts as seen on held-out texts that are in scope;
    `slope` and `offset` turn their mean into a probability; `threshold` is the least queue probability to stand by.
    `temperature` is what the newest confirmed labels made of the confidence (1.0: as it was trained); familiarity is
    measured before it.
    """

    alpha: float
    beta: float
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    slope: float
    offset: float
    threshold: float
    temperature: float = 1.0

    def out_of_scope(self, parts: NDArray[np.float64]) -> float:
        """The probability that no intent covers a text with these parts."""
        familiar = float(((parts - self.means) / self.deviations).mean())
        return 1.0 / (1.0 + float(np.exp(np.clip(self.slope * familiar + self.offset, -30.0, 30.0))))


@dataclass(frozen=True, kw_only=True)
class EncoderHead:
    """A logistic head over the encoder: `weights` float32 (width, classes), `bias` float32 (classes,).

    `examples` float32 (examples, width) are the vectors of the training examples.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    examples: NDArray[np.float32]

    def scores(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (classes,): logits."""
        return np.asarray(vector @ self.weights + self.bias, dtype=np.float64)


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
class LanguageHead:
    """Both experts of one language.

    `classes` maps a column to the place of its label in the taxonomy. `encoder` and `blended` are None where
    measuring showed that the encoder does not know the script. `example_ids` name the training examples by row.
    """

    language: str
    classes: tuple[int, ...]
    ngrams: LinearNgrams
    index: SparseIndex
    alone: View
    encoder: EncoderHead | None
    blended: View | None
    example_ids: tuple[str, ...]

    def with_example(
        self, example_id: str, features: Sparse, vector: NDArray[np.float32] | None
    ) -> LanguageHead | None:
        """The same head with one more neighbour; None where its encoder has not read the text."""
        encoder = self.encoder
        if encoder is not None:
            if vector is None:
                return None
            encoder = replace(encoder, examples=np.vstack([encoder.examples, vector[np.newaxis]]))
        return replace(
            self,
            index=self.index.plus(features),
            encoder=encoder,
            example_ids=(*self.example_ids, example_id),
        )

    def decide(self, features: Sparse, vector: NDArray[np.float32] | None, unknown: float) -> Decision:
        """Decide one text from its n-gram features and, if it was encoded, its vector and share of [UNK]."""
        lexical = self.ngrams.scores(features)
        if vector is None or self.encoder is None or self.blended is None or unknown > UNKNOWN_TOKENS:
            near = neighbours.nearest(self.index.similarities(features))
            z = self.alone.alpha * lexical
            parts = scope_parts(softmax(z), near)
            return Decision(
                probabilities=softmax(z / self.alone.temperature),
                out_of_scope=self.alone.out_of_scope(parts),
                threshold=self.alone.threshold,
                examples=near.rows,
                blended=False,
            )
        logits = self.encoder.scores(vector)
        near = neighbours.nearest(self.encoder.examples @ vector)
        z = self.blended.alpha * lexical + self.blended.beta * logits
        parts = scope_parts(softmax(z), near, logits)
        return Decision(
            probabilities=softmax(z / self.blended.temperature),
            out_of_scope=self.blended.out_of_scope(parts),
            threshold=self.blended.threshold,
            examples=near.rows,
            blended=True,
        )


def scope_parts(
    probabilities: NDArray[np.float64], near: neighbours.Nearest, logits: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """What tells a familiar text from a stranger, higher is more familiar: log of the highest probability,
    similarity to the nearest and to the FAR-th example, and with the encoder the energy of its logits. float64 (3,)
    or (4,).
    """
    parts = [float(np.log(probabilities.max())), near.first, near.far]
    if logits is not None:
        parts.append(energy(logits))
    return np.array(parts)


def softmax(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the last axis; sums to one."""
    raised = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def energy(logits: NDArray[np.float64]) -> float:
    """log sum exp: low where no class claims the text."""
    highest = float(logits.max())
    return highest + float(np.log(np.exp(logits - highest).sum()))
