"""The n-gram expert: TF-IDF features and a linear head, served from plain arrays with a dictionary look-up.

It computes what scikit-learn's TfidfVectorizer and LinearSVC compute (a test holds them side by side) without importing
them: the import alone costs more than starting the rest of the classifier.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["word", "char_wb", "char"]
TOKEN = r"(?u)\b\w+\b"  # noqa: S105 - a word pattern, not a password
_TOKEN = re.compile(TOKEN)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One kind of n-gram, in scikit-learn's words: `analyzer` and `ngram_range`."""

    kind: Kind
    low: int
    high: int

    def grams(self, text: str) -> list[str]:
        """Every n-gram of a normalised text, with repetitions."""
        if self.kind == "word":
            return self._rows(_TOKEN.findall(text))
        return self._within_words(text) if self.kind == "char_wb" else self._runs(text, min(self.high, len(text)))

    def _rows(self, words: list[str]) -> list[str]:
        found: list[str] = []
        for size in range(self.low, self.high + 1):
            found += [" ".join(words[start : start + size]) for start in range(len(words) - size + 1)]
        return found

    def _within_words(self, text: str) -> list[str]:
        found: list[str] = []
        for word in text.split():
            padded = f" {word} "
            found += self._runs(padded, min(self.high, len(padded)))
            if len(padded) < self.low:  # a word shorter than any n-gram counts once
                found.append(padded)
        return found

    def _runs(self, text: str, high: int) -> list[str]:
        sizes = range(self.low, high + 1)
        return [text[start : start + size] for size in sizes for start in range(len(text) - size + 1)]


ALPHABETIC = (Family(kind="word", low=1, high=2), Family(kind="char_wb", low=2, high=5))
"""For languages that put spaces between words."""
IDEOGRAPHIC = (
    Family(kind="char", low=1, high=1),
    Family(kind="char", low=2, high=2),
)
"""For Chinese: characters beat words cut by a segmenter (by 5 points on 118 intents); longer runs than two are too rare
to learn from few examples (measured out of fold: 3 points worse on 28 intents), and one and two weigh alike.
"""


def families(language: str) -> tuple[Family, ...]:
    """The n-grams that suit a language."""
    return IDEOGRAPHIC if language == "zh" else ALPHABETIC


@dataclass(frozen=True, kw_only=True)
class Sparse:
    """A feature vector of unit length: `columns` int64 (n,), `values` float64 (n,).

    `known` is the share of the text's n-grams that the vocabulary holds, 0 to 1.
    """

    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    known: float


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """The n-grams seen in training. Every family has a vocabulary of its own, numbered one after the other.

    `terms` maps an n-gram to its column, `idf` is float64 (columns of all families,).
    """

    families: tuple[Family, ...]
    terms: tuple[Mapping[str, int], ...]
    idf: NDArray[np.float64]
    _pieces: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def features(self, text: str) -> Sparse:
        """(1 + log tf) * idf, scaled to length one per family, then over all of them."""
        columns: list[NDArray[np.int64]] = []
        parts: list[NDArray[np.float64]] = []
        seen = known = 0
        for family, terms in zip(self.families, self.terms, strict=True):
            found, missed = self._count(family, terms, text)
            seen += len(found) + missed
            known += len(found)
            if not found:
                continue
            places = np.array(list(found), dtype=np.int64)
            weight = self.idf[places]
            if sum(found.values()) > len(found):
                weight = weight * [1.0 if count == 1 else 1.0 + math.log(count) for count in found.values()]
            columns.append(places)
            parts.append(weight / math.sqrt(float(weight @ weight)))
        if not parts:
            return Sparse(columns=np.zeros(0, dtype=np.int64), values=np.zeros(0), known=0.0)
        values = np.concatenate(parts) / math.sqrt(len(self.families))
        return Sparse(columns=np.concatenate(columns), values=values, known=known / seen)

    def _count(self, family: Family, terms: Mapping[str, int], text: str) -> tuple[Mapping[int, int], int]:
        """How often the text has each n-gram of the vocabulary, by column, and how many others it has."""
        if family.kind != "char_wb":
            counts = Counter(family.grams(text))
            found = {terms[gram]: count for gram, count in counts.items() if gram in terms}
            return found, len(counts) - len(found)
        columns: list[int] = []
        missed: set[str] = set()
        for word in text.split():
            pieces = self._pieces.get(word)
            if pieces is None:
                grams = family.grams(word)
                pieces = [terms[gram] for gram in grams if gram in terms]
                if len(pieces) < len(grams):
                    missed.update(gram for gram in grams if gram not in terms)
                elif any(word in words for words in self.terms):
                    # A word of the training's own is taken apart once: this halves the time. Others are not kept, they
                    # are somebody's.
                    self._pieces[word] = pieces
            columns += pieces
        return Counter(columns), len(missed)


@dataclass(frozen=True, kw_only=True)
class LinearNgrams:
    """A linear head over the features: `weights` float32 (columns, classes), `bias` float32 (classes,)."""

    vocabulary: Vocabulary
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]

    def scores(self, features: Sparse) -> NDArray[np.float64]:
        """float64 (classes,): margins, not probabilities."""
        return np.asarray(features.values @ self.weights[features.columns] + self.bias, dtype=np.float64)
