"""What tokens count, on the vocabulary that is served and on ones that are not in the order of frequency."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from classifiers import folders, frequency
from classifiers.encoder import TOKENIZER
from tests.classifiers import kit


def vocabulary(path: Path, tokens: list[str]) -> Path:
    """A tokenizer.json of these tokens."""
    path.write_text(json.dumps({"model": {"vocab": {token: place for place, token in enumerate(tokens)}}}))
    return path


def test_frequent_words_count_less_than_rare_ones() -> None:
    """In the served vocabulary: marks and characters little, "the" least of all words, "delivery" nearly whole."""
    tokens = frequency.ordered(folders.paths(kit.model_dir()).encoder / TOKENIZER)
    counts = dict(zip(tokens, frequency.rare_words(tokens).tolist(), strict=True))
    assert counts["the"] < counts["to"] < counts["my"] < counts["when"] < counts["delivery"]
    assert counts["the"] < 0.1
    assert counts["delivery"] > 0.95
    assert {counts[token] for token in ("[CLS]", "[SEP]", "?", "i", "7")} == {np.float32(frequency.CHARACTER)}
    alone = dict(zip(tokens, frequency.words_alone(tokens).tolist(), strict=True))
    assert {alone["the"], alone["delivery"], alone["##s"]} == {1.0}
    assert alone["?"] == np.float32(frequency.CHARACTER)


def test_nothing_counts_nothing(tmp_path: Path) -> None:
    """A text of the most frequent words, or of punctuation alone, keeps a direction."""
    tokens = frequency.ordered(vocabulary(tmp_path / TOKENIZER, ["[PAD]", "a", "the", "of", "refund"]))
    assert min(frequency.rare_words(tokens).min(), frequency.words_alone(tokens).min()) > 0


@pytest.mark.parametrize(
    "tokens", [["[PAD]", "aardvark", "the", "of"], ["[PAD]", "the", "aardvark"], ["the"], ["[PAD]", "a", "der", "die"]]
)
def test_another_order_is_refused(tmp_path: Path, tokens: list[str]) -> None:
    """Nothing is read from the place of a word where places mean something else."""
    with pytest.raises(ValueError, match="order of frequency"):
        frequency.ordered(vocabulary(tmp_path / TOKENIZER, tokens))
