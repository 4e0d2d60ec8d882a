"""Which of a few texts is nearest to another: by the encoder that is served, or by n-grams where it cannot read.

Nothing leaves the machine. Vectors of the few texts are kept, so that asking costs one encoding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from classifiers.encoder import Encodes
from classifiers.ngrams import Family

GRAMS = Family(kind="char", low=1, high=3)
UNREADABLE = 0.2
"""Share of unknown tokens from which on the encoder has not read a text."""
KEPT = 2_000


class Similar:
    """Ranks texts by how near they are to one. Not for several threads at once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[list[float], float]] = {}

    def rank(self, text: str, others: Sequence[str], encoder: Encodes | None) -> list[float]:
        """How near each of `others` is to `text`, -1 to 1. Of one call all are measured the same way."""
        read = [self._vector(one, encoder) for one in (text, *others)] if encoder is not None else []
        if read and all(vector is not None for vector in read):
            mine, *theirs = [vector for vector in read if vector is not None]
            return [sum(a * b for a, b in zip(mine, other, strict=True)) for other in theirs]
        grams, theirs_ = _grams(text), [_grams(one) for one in others]
        weights = _weights(theirs_)
        return [_cosine(grams, one, weights) for one in theirs_]

    def _vector(self, text: str, encoder: Encodes | None) -> list[float] | None:
        """The vector of a text, None where the encoder cannot read it."""
        if encoder is None:
            return None
        key = (encoder.fingerprint, text)
        if key not in self._kept:
            encoded = encoder.encode([text])
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = ([float(one) for one in encoded.vectors[0]], float(encoded.unknown[0]))
        vector, unknown = self._kept[key]
        return vector if unknown < UNREADABLE else None


def _grams(text: str) -> frozenset[str]:
    return frozenset(gram for gram in GRAMS.grams(" ".join(text.casefold().split())) if any(map(str.isalnum, gram)))


def _weights(texts: Sequence[frozenset[str]]) -> dict[str, float]:
    """How much a gram tells: much where few of the texts have it, nothing where all do (a greeting, say)."""
    having = Counter(gram for grams in texts for gram in grams)
    return {gram: math.log((1 + len(texts)) / (1 + count)) for gram, count in having.items()}


def _cosine(one: frozenset[str], other: frozenset[str], weights: Mapping[str, float]) -> float:
    """The angle between two texts; what none of those that are ranked has, weighs nothing."""

    def size(grams: frozenset[str]) -> float:
        return math.sqrt(sum(weights.get(gram, 0.0) ** 2 for gram in grams))

    sizes = size(one) * size(other)
    return sum(weights[gram] ** 2 for gram in one & other) / sizes if sizes else 0.0
