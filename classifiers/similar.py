"""Which of a few texts is nearest to another: by the encoder that is served, or by n-grams where it cannot read.

Nothing leaves the machine. Vectors of the few texts are kept, so that asking costs one encoding.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

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
        grams = _grams(text)
        return [_cosine(grams, _grams(one)) for one in others]

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


def _grams(text: str) -> Counter[str]:
    return Counter(GRAMS.grams(" ".join(text.casefold().split())))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    shared = sum(count * other[gram] for gram, count in one.items() if gram in other)
    sizes = math.sqrt(sum(n * n for n in one.values()) * sum(n * n for n in other.values()))
    return shared / sizes if sizes else 0.0
