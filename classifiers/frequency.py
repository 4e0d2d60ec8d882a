"""How much a token tells, from how often it is used: "the" says less of what somebody wants than "refund".

The vocabulary of an uncased BERT begins with tokens that stand for no word, goes on with single characters, and from
"the" on holds words and pieces of words, the most frequent first. By Zipf's law a word's frequency is about one over
its rank, and smooth inverse frequency (Arora, Liang and Ma, 2017) gives a token of frequency p the weight a / (a + p):
of its rank alone, rank / (rank + HALF).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FIRST_WORD = "the"
HALF = 30  # the rank of a token that counts half (measured: from 10 to 30 the same, 100 is too much)
CHARACTER = 0.3  # what punctuation, single letters and the marks of beginning and end count
SPECIAL = "["  # a token that stands for no word begins so: [CLS], [unused12]

Counts = NDArray[np.float32]


def ordered(tokenizer: Path) -> list[str]:
    """The tokens of a tokenizer.json by id.

    Raises ValueError where the vocabulary is not in the order of frequency: before "the" there must be single
    characters and marks alone, and "of" must follow it.
    """
    vocabulary: dict[str, int] = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    first = tokens.index(FIRST_WORD) if FIRST_WORD in tokens else len(tokens)
    before = [token for token in tokens[:first] if len(token) > 1 and not token.startswith(SPECIAL)]
    if before or tokens[first + 1 : first + 2] != ["of"]:
        raise ValueError(f"{tokenizer} does not hold its words in the order of frequency")
    return tokens


def words_alone(tokens: list[str]) -> Counts:
    """float32 (tokens,): CHARACTER for what comes before the first word, 1 for words and their pieces."""
    counts = np.ones(len(tokens), dtype=np.float32)
    counts[: tokens.index(FIRST_WORD)] = CHARACTER
    return counts


def rare_words(tokens: list[str]) -> Counts:
    """float32 (tokens,): as `words_alone`, and the more frequent a word, the less."""
    first = tokens.index(FIRST_WORD)
    ranks = np.arange(1, len(tokens) - first + 1)
    counts = words_alone(tokens)
    counts[first:] = ranks / (ranks + HALF)
    return counts
