"""Postings of a segment as blocks of bytes: which documents hold which token. Pure computation, no keys, no database.

A token is a number of 63 bits, a document its place (0 to 65,535) in the segment. Tokens are sorted; a block holds
neighbours: a head, the tokens (8 bytes each), how many documents each has (2 bytes), the documents (2 bytes each). A
token with more than 4,096 documents has a block of its own with one bit per document. After roaring bitmaps
(Chambi, Lemire, Kaser, Godin 2014), without their runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.uint64]
Places = NDArray[np.uint16]

MOST_DOCUMENTS: Final = 65_536
BLOCK_BYTES: Final = 3_900
"""With its seal and its row a block fits into one page of SQLite (4,096 bytes)."""
CHUNK: Final = 4_096
"""Documents whose names are kept together."""
_HOT: Final = 4_096  # from here on a bit for every document is shorter
_HEAD: Final = struct.Struct("<BxHxxxx")
_LISTS, _BITS = 0, 1
_PER_TOKEN: Final = 10
_BITMAP_BYTES: Final = MOST_DOCUMENTS // 8
_CHUNK_HEAD: Final = struct.Struct("<q")


@dataclass(frozen=True, slots=True)
class Postings:
    """Which documents hold which token: two columns of equal length, sorted by token, then by document."""

    tokens: Tokens
    places: Places

    @classmethod
    def of(cls, documents: Sequence[bytes]) -> Postings:
        """Of documents as their packed tokens, in order of their places."""
        lengths = [len(packed) // 8 for packed in documents]
        tokens = np.frombuffer(bytearray().join(documents), dtype="<u8").astype(np.uint64)
        places = np.repeat(np.arange(len(documents), dtype=np.uint16), lengths)
        return cls._sorted(tokens, places)

    @classmethod
    def joined(cls, parts: Sequence[Postings], offsets: Sequence[int]) -> Postings:
        """Of several segments one after the other; `offsets` say where the places of each begin now."""
        tokens = np.concatenate([part.tokens for part in parts])
        places = np.concatenate(
            [part.places + np.uint16(offset) for part, offset in zip(parts, offsets, strict=True)], dtype=np.uint16
        )
        return cls._sorted(tokens, places)

    @classmethod
    def _sorted(cls, tokens: Tokens, places: Places) -> Postings:
        order = np.argsort(tokens, kind="stable")  # stable: places of a token stay in their order
        return cls(tokens[order], places[order])

    def renumbered(self, kept: NDArray[np.int64]) -> Postings:
        """Without the documents whose new place in `kept` (by old place) is -1."""
        new = kept[self.places]
        left = new >= 0
        return Postings(self.tokens[left], new[left].astype(np.uint16))


def blocks(postings: Postings) -> Iterator[tuple[int, bytes]]:
    """The blocks of a segment in order, each with its lowest token."""
    total = len(postings.tokens)
    if not total:
        return
    starts = np.flatnonzero(np.concatenate(([True], postings.tokens[1:] != postings.tokens[:-1])))
    ends = np.concatenate((starts[1:], [total]))
    counts = ends - starts
    sizes = np.cumsum(_PER_TOKEN + 2 * counts)
    hot = np.flatnonzero(counts > _HOT)
    at, distinct = 0, len(starts)
    while at < distinct:
        first = int(postings.tokens[starts[at]])
        if counts[at] > _HOT:
            yield first, _bitmap(first, postings.places[starts[at] : ends[at]])
            at += 1
            continue
        before = int(sizes[at - 1]) if at else 0
        end = max(at + 1, int(np.searchsorted(sizes, before + BLOCK_BYTES - _HEAD.size, side="right")))
        later = int(np.searchsorted(hot, at))
        if later < len(hot):
            end = min(end, int(hot[later]))
        yield (
            first,
            _HEAD.pack(_LISTS, end - at)
            + postings.tokens[starts[at:end]].astype("<u8").tobytes()
            + counts[at:end].astype("<u2").tobytes()
            + postings.places[starts[at] : ends[end - 1]].astype("<u2").tobytes(),
        )
        at = end


def _bitmap(token: int, places: Places) -> bytes:
    bits = np.zeros(MOST_DOCUMENTS, dtype=bool)
    bits[places] = True
    return _HEAD.pack(_BITS, 1) + token.to_bytes(8, "little") + np.packbits(bits, bitorder="little").tobytes()


def find(block: bytes, token: int) -> Places:
    """The documents that hold a token, in order, out of the block where it would stand."""
    kind, count = _HEAD.unpack_from(block)
    tokens = np.frombuffer(block, dtype="<u8", count=count, offset=_HEAD.size)
    place = int(np.searchsorted(tokens, np.uint64(token)))
    if place == count or int(tokens[place]) != token:
        return np.empty(0, dtype=np.uint16)
    if kind == _BITS:
        return _unpacked(block)
    lengths = np.frombuffer(block, dtype="<u2", count=count, offset=_HEAD.size + 8 * count)
    start = int(lengths[:place].sum(dtype=np.int64))
    offset = _HEAD.size + _PER_TOKEN * count + 2 * start
    return np.frombuffer(block, dtype="<u2", count=int(lengths[place]), offset=offset).astype(np.uint16)


def read(found: Iterable[bytes]) -> Postings:
    """Everything that the blocks of a segment hold, given in their order."""
    tokens, places = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.uint16)]
    for block in found:
        kind, count = _HEAD.unpack_from(block)
        own = np.frombuffer(block, dtype="<u8", count=count, offset=_HEAD.size)
        if kind == _BITS:
            these = _unpacked(block)
            tokens.append(np.full(len(these), own[0], dtype=np.uint64))
        else:
            lengths = np.frombuffer(block, dtype="<u2", count=count, offset=_HEAD.size + 8 * count)
            these = np.frombuffer(block, dtype="<u2", offset=_HEAD.size + _PER_TOKEN * count)
            tokens.append(np.repeat(own, lengths).astype(np.uint64))
        places.append(these.astype(np.uint16))
    return Postings(np.concatenate(tokens), np.concatenate(places))


def _unpacked(block: bytes) -> Places:
    bits = np.frombuffer(block, dtype=np.uint8, count=_BITMAP_BYTES, offset=_HEAD.size + 8)
    return np.flatnonzero(np.unpackbits(bits, bitorder="little")).astype(np.uint16)


def meet(lists: Iterable[Places]) -> Places:
    """The documents that stand in every one of these lists."""
    ordered = sorted(lists, key=len)
    both = ordered[0]
    for other in ordered[1:]:
        both = both[np.isin(both, other, assume_unique=True)]
    return both


def join(lists: Sequence[Places]) -> Places:
    """The documents that stand in any of these lists."""
    return lists[0] if len(lists) == 1 else np.unique(np.concatenate(lists))


def chunks(names: NDArray[np.int64]) -> list[bytes]:
    """The names (timeline numbers, ascending) of a segment's documents, chunk by chunk: 4 bytes each."""
    packed = []
    for start in range(0, len(names), CHUNK):
        part = names[start : start + CHUNK]
        packed.append(_CHUNK_HEAD.pack(int(part[0])) + (part - part[0]).astype("<u4").tobytes())
    return packed


def names(chunk: bytes) -> NDArray[np.int64]:
    """What `chunks` packed."""
    (first,) = _CHUNK_HEAD.unpack_from(chunk)
    found: NDArray[np.int64] = np.frombuffer(chunk, dtype="<u4", offset=_CHUNK_HEAD.size).astype(np.int64) + first
    return found
