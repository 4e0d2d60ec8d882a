"""The nearest examples: evidence for a decision, and a sign of what no intent covers.

Two spaces with one face: dense vectors of the encoder, sparse n-gram vectors behind an inverted index. Similarity is
the cosine (both kinds of vectors have length one).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.ngrams import Sparse

SHARPNESS = 20.0  # how fast an example's vote fades with its distance: at a cosine of 0.9 it counts a seventh
SILENCE = 1e-9  # the vote that every class has anyhow, so that its logarithm is finite
FAR = 5  # the similarity to the k-th neighbour is taken for k = 1 and k = FAR
SHOWN = 3  # examples that are told as evidence


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """`first` and `far`: cosine to the nearest and the FAR-th nearest example; `rows` of the nearest three."""

    first: float
    far: float
    rows: tuple[int, ...]


def nearest(similarities: NDArray[np.floating]) -> list[Nearest]:
    """Per text, from the similarities to every example, (texts, examples)."""
    count = min(FAR, similarities.shape[1])
    if count == 0:
        return [Nearest(first=0.0, far=0.0, rows=())] * similarities.shape[0]
    part = np.argpartition(-similarities, count - 1, axis=1)[:, :count]
    found = np.take_along_axis(similarities, part, axis=1)
    order = np.lexsort((part, -found), axis=1)  # equal similarities: the earlier example first
    rows = np.take_along_axis(part, order[:, :SHOWN], axis=1).tolist()
    return [
        Nearest(first=first, far=far, rows=tuple(near))
        for first, far, near in zip(found.max(axis=1).tolist(), found.min(axis=1).tolist(), rows, strict=True)
    ]


def votes(similarities: NDArray[np.floating], classes: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """float64 (texts, count): the logarithm of what the examples vote for each class, the near ones loudest.

    `similarities` (texts, examples) and `classes` (examples,), negative where an example's class is not known.
    """
    loudness = np.exp(SHARPNESS * (np.asarray(similarities, dtype=np.float64) - 1.0))
    size, bins = similarities.shape[0], count + 1
    places = (classes + 1)[np.newaxis, :] + bins * np.arange(size)[:, np.newaxis]
    sums = np.bincount(places.ravel(), weights=loudness.ravel(), minlength=size * bins).reshape(size, bins)[:, 1:]
    return np.asarray(np.log(sums + SILENCE), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class SparseIndex:
    """Examples by column: those of column c are `rows[starts[c]:starts[c + 1]]` with `values` there.

    `starts` int64 (columns + 1,), `rows` int32 and `values` float32 (entries,), `size` examples.
    """

    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    values: NDArray[np.float32]
    size: int

    @classmethod
    def build(cls, examples: list[Sparse], columns: int) -> SparseIndex:
        """Index the feature vectors of the examples."""
        places = np.concatenate([example.columns for example in examples] or [np.zeros(0, dtype=np.int64)])
        values = np.concatenate([example.values for example in examples] or [np.zeros(0)])
        owners = np.repeat(np.arange(len(examples)), [example.columns.shape[0] for example in examples])
        order = np.argsort(places, kind="stable")
        starts = np.searchsorted(places[order], np.arange(columns + 1))
        return cls(
            starts=starts.astype(np.int64),
            rows=owners[order].astype(np.int32),
            values=values[order].astype(np.float32),
            size=len(examples),
        )

    def plus(self, features: Sparse) -> SparseIndex:
        """The index with one more example at its end."""
        order = np.argsort(features.columns, kind="stable")
        columns = features.columns[order]
        places = self.starts[columns + 1]
        grown = np.zeros_like(self.starts)
        np.add.at(grown, columns + 1, 1)
        return SparseIndex(
            starts=self.starts + np.cumsum(grown),
            rows=np.insert(self.rows, places, self.size).astype(np.int32),
            values=np.insert(self.values, places, features.values[order]).astype(np.float32),
            size=self.size + 1,
        )

    def similarities(self, features: Sparse) -> NDArray[np.float64]:
        """float64 (examples,)."""
        begins, ends = self.starts[features.columns], self.starts[features.columns + 1]
        lengths = ends - begins
        total = int(lengths.sum())
        if total == 0:
            return np.zeros(self.size)
        offsets = np.repeat(begins - np.concatenate(([0], np.cumsum(lengths)[:-1])), lengths)
        entries = offsets + np.arange(total)
        weights = np.repeat(features.values, lengths) * self.values[entries]
        return np.asarray(np.bincount(self.rows[entries], weights=weights, minlength=self.size), dtype=np.float64)
