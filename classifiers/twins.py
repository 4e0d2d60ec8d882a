"""Sentences that say nearly the same in nearly the same words.

Two of them teach no more than one, and one of them in a golden set measures memory instead of understanding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from classifiers.normalise import spell

ALIKE = 0.6  # share of shingles in common from which two sentences count as near-duplicates
HAN = "\u4e00"  # from here on a character is about a word: shingles of two are enough


def shingles(text: str) -> frozenset[str]:
    """The runs of three characters (two where they are Chinese) of a text, letters and digits only; all of it where it
    is shorter.
    """
    bare = "".join(letter for letter in spell(text) if letter.isalnum())
    size = 2 if sum(letter >= HAN for letter in bare) * 2 > len(bare) else 3
    return (
        frozenset(bare[start : start + size] for start in range(max(1, len(bare) - size + 1))) if bare else frozenset()
    )


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard: what two sets of shingles share, 0 to 1; nothing is like nothing."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def pairs(texts: Sequence[str], least: float = ALIKE) -> list[tuple[int, int, float]]:
    """Every pair of texts that are at least this alike: (earlier, later, likeness), in order."""
    sets = [shingles(text) for text in texts]
    holders: dict[str, list[int]] = defaultdict(list)
    found = []
    for place, own in enumerate(sets):
        near = {holder for shingle in own for holder in holders[shingle]}
        found += [(other, place, alike) for other in near if (alike := likeness(sets[other], own)) >= least]
        for shingle in own:
            holders[shingle].append(place)
    return sorted(found)
