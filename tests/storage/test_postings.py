"""Blocks of postings give back what went in, alone and joined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import postings

DOCUMENTS = st.lists(st.sets(st.integers(0, 40) | st.integers(0, 2**63 - 1), max_size=12), max_size=60)


def packed(tokens: set[int]) -> bytes:
    return b"".join(token.to_bytes(8, "little") for token in tokens)


def of(documents: list[set[int]]) -> postings.Postings:
    return postings.Postings.of([packed(tokens) for tokens in documents])


def as_sets(given_postings: postings.Postings, count: int) -> list[set[int]]:
    documents: list[set[int]] = [set() for _ in range(count)]
    for token, place in zip(given_postings.tokens.tolist(), given_postings.places.tolist(), strict=True):
        documents[place].add(token)
    return documents


def lookup(blocks: list[tuple[int, bytes]], token: int) -> list[int]:
    """As the database does it: the last block that begins at or before the token."""
    below = [block for first, block in blocks if first <= token]
    return postings.find(below[-1], token).tolist() if below else []


@given(DOCUMENTS)
def test_every_token_is_found_where_it_stands(documents: list[set[int]]) -> None:
    """And nowhere else; the blocks hold the whole."""
    blocks = list(postings.blocks(of(documents)))
    for token in {token for tokens in documents for token in tokens} | {7, 2**62}:
        assert lookup(blocks, token) == [place for place, tokens in enumerate(documents) if token in tokens]
    assert as_sets(postings.read(block for _, block in blocks), len(documents)) == documents


@given(st.lists(DOCUMENTS, min_size=1, max_size=4), st.data())
@settings(max_examples=50)
def test_joining_keeps_everything_but_what_is_left_out(parts: list[list[set[int]]], data: st.DataObject) -> None:
    """Segments one after the other, some documents gone, the others closing up."""
    everything = [tokens for part in parts for tokens in part]
    keep = data.draw(st.lists(st.booleans(), min_size=len(everything), max_size=len(everything)))
    offsets = np.cumsum([0, *(len(part) for part in parts)])[:-1].tolist()
    joined = postings.Postings.joined([of(part) for part in parts], offsets)
    places = np.full(len(everything), -1, dtype=np.int64)
    places[np.flatnonzero(keep)] = np.arange(sum(keep))
    left = joined.renumbered(places)
    kept = [tokens for tokens, is_kept in zip(everything, keep, strict=True) if is_kept]
    assert as_sets(left, len(kept)) == kept


def test_a_token_in_most_documents_is_kept_in_bits() -> None:
    """Beyond 4,096 documents a bit each is shorter, and nothing changes in what is found."""
    documents = [{1, 2, 3} if n % 3 else {2, n + 10} for n in range(20_000)]
    blocks = list(postings.blocks(of(documents)))
    assert lookup(blocks, 2) == list(range(20_000))
    assert lookup(blocks, 1) == [n for n in range(20_000) if n % 3]
    assert lookup(blocks, 10 + 19_998) == [19_998]
    assert lookup(blocks, 4) == []
    assert max(len(block) for _, block in blocks) < 9_000
    assert as_sets(postings.read(block for _, block in blocks), 20_000) == documents


@given(st.lists(st.integers(1, 10**12), unique=True, max_size=50))
def test_numbers_of_documents_are_kept_in_order(numbers: list[int]) -> None:
    """As they stand in the timeline."""
    ordered = sorted(numbers)
    near = [ordered[0] + n for n in range(len(ordered))] if ordered else []
    read = [n for chunk in postings.chunks(np.array(near, dtype=np.int64)) for n in postings.names(chunk).tolist()]
    assert read == near


@given(st.lists(st.sets(st.integers(0, 50)), min_size=1, max_size=4))
def test_lists_meet_and_join_as_sets_do(sets: list[set[int]]) -> None:
    """In their order."""
    lists = [np.array(sorted(one), dtype=np.uint16) for one in sets]
    assert postings.meet(lists).tolist() == sorted(set.intersection(*sets))
    assert postings.join(lists).tolist() == sorted(set.union(*sets))


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_segment_has_no_blocks(count: int) -> None:
    """Documents without words leave nothing behind."""
    assert list(postings.blocks(of([set()] * count))) == []
