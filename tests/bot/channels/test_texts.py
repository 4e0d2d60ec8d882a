"""Fixed texts for customers."""

from __future__ import annotations

import re

import pytest

from bot import texts

ENGLISH_LIMIT = 200
CHINESE_LIMIT = 80
NOTICE_LIMIT = 320  # what the law wants said takes more words


def test_every_language_has_every_text_with_the_same_words_to_fill_in() -> None:
    """A missing translation is found here and not by a customer."""
    model = texts.texts(texts.DEFAULT)
    assert {"start", "help", "privacy", "acknowledgement"} <= model.keys()
    for language in texts.languages():
        found = texts.texts(language)
        assert found.keys() == model.keys()
        assert all(texts.words(found[key]) == texts.words(model[key]) for key in model)


@pytest.mark.parametrize("language", texts.languages())
def test_texts_are_short_and_calm(language: str) -> None:
    """One idea, no exclamation marks, nothing that reads like markup."""
    limit = CHINESE_LIMIT if language == "zh" else ENGLISH_LIMIT
    for key, words in texts.texts(language).items():
        assert 0 < len(words) <= (limit if key != "notice" else NOTICE_LIMIT), key
        assert not re.search(r"[!！*_<>]", words), key


def test_chinese_texts_are_written_in_chinese() -> None:
    """Politely (您, never 你), without Latin punctuation between the characters."""
    for key, words in texts.texts("zh").items():
        assert "你" not in words, key
        assert not re.search(r"[\u4e00-\u9fff][,.?;:]", words), key


@pytest.mark.parametrize(
    ("language", "picked"),
    [
        ("zh", "zh"),
        ("zh-Hant", "zh"),
        ("zh_CN", "zh"),
        ("ZH", "zh"),
        ("en-GB", "en"),
        ("fr", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_a_language_without_texts_falls_back(language: str | None, picked: str) -> None:
    """To the first language of the company that there are texts in."""
    assert texts.pick(language) == picked
    assert texts.text("start", language) == texts.texts(picked)["start"]
    assert texts.pick("fr", ("fr", "zh", "en")) == "zh"


def test_values_are_filled_in_and_missing_ones_are_noticed() -> None:
    """A customer never reads a brace."""
    assert "18:00" in texts.text("acknowledgement_by", "en", time="18:00")
    with pytest.raises(KeyError):
        texts.text("acknowledgement_by", "zh")
    with pytest.raises(KeyError):
        texts.text("nonsense")
