"""Ways to say the same thing in Chinese, as customers write to a shop or a software company.

A handful of examples cannot hold all synonyms, and characters do not know that 退钱 is 退款. A text becomes the row of
the concepts it names, in order, and these are features beside its characters (measured out of fold on 28 intents with
two dozen examples each: 74 % right without, 80 % with). The list in concepts.txt is about language, not about any
taxonomy: no intent is named in it, and a head that finds no use for it learns to leave it alone.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("concepts.txt")


def named(text: str) -> list[str]:
    """The concepts that a normalised text names, in order."""
    return [concept for _, concept in spans(text)]


def spans(text: str) -> list[tuple[str, str]]:
    """The words of a normalised text that name a concept, each with it, in order. Where several words begin, the
    longest counts.
    """
    concepts, words = _table()
    return [(word, concepts[word]) for word in words.findall(text)]


@cache
def _table() -> tuple[dict[str, str], re.Pattern[str]]:
    lines = [line.split() for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    concepts = {word: concept for concept, *words in lines for word in words}
    longest_first = sorted(concepts, key=lambda word: (-len(word), word))
    return concepts, re.compile("|".join(re.escape(word) for word in longest_first))
