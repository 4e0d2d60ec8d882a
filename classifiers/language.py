"""Which language a message is written in: scripts first, then everyday words, then what the platform said.

Chinese messages carry Latin brand names and English phrases, so the rule for Chinese is not the majority of letters
(measured: recall 72 % with that): a Han character counts as a word, and without kana a third of the words is enough.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from classifiers import lexicon

HAN_SHARE = 0.35
FEW_LETTERS = 6  # below this the writing says too little: the platform's hint decides
UNKNOWN = "und"  # BCP 47: undetermined
DEFAULT = "en"

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff]")
_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ko", re.compile("[\u1100-\u11ff\uac00-\ud7af]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff\u0750-\u077f]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("hi", re.compile("[\u0900-\u097f]")),
)
_LATIN = re.compile("[a-z\u00e0-\u024f]")
_LATIN_WORD = re.compile("[a-z\u00e0-\u024f']+")
_MASKS = re.compile(r"(?:(?<=^)|(?<= ))(?:url|email)(?= |$)")  # what `normalise.mask` writes is nobody's language
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_WORDS_OF = {
    language: frozenset(word for word in words.split() if len(word) > 1)  # "u" and "a" belong to everybody
    for language, words in lexicon.EVERYDAY.items()
}
_EVERYDAY = {
    word: tuple(language for language, known in _WORDS_OF.items() if word in known)
    for word in frozenset[str]().union(*_WORDS_OF.values())
}


@dataclass(frozen=True, kw_only=True)
class Language:
    """An ISO 639-1 code ("und" where nothing tells) and how sure, 0 to 1."""

    code: str
    confidence: float


def detect(text: str, hint: str | None = None) -> Language:
    """The language of a normalised text; `hint` is the platform's BCP 47 tag for the person."""
    told = _primary(hint)
    text = _MASKS.sub("", text)
    latin = len(_LATIN.findall(text))
    if text.isascii():  # no other script in it
        return _latin(text, latin, told) if latin else _nothing(told)
    han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
    others = [(len(pattern.findall(text)), code) for code, pattern in _SCRIPTS]
    letters = han + kana + latin + sum(count for count, _ in others)
    if letters == 0:
        return _nothing(told)
    if kana:
        return Language(code="ja", confidence=_share(kana + han, letters))
    if han and han / (han + len(_LATIN_WORD.findall(text))) >= HAN_SHARE:
        return Language(code="zh", confidence=max(0.8, _share(han, letters)))
    count, code = max(others)
    if count > latin:
        # One script serves several languages: a hint of another language in that script would need its own table.
        return Language(code=code, confidence=0.8 * _share(count, letters))
    return _latin(text, letters, told)


def _latin(text: str, letters: int, told: str | None) -> Language:
    """Everyday words decide; without enough of them the hint, then the default."""
    told_latin = told if told in lexicon.EVERYDAY else None
    words = _WORD.findall(text.replace("’", "'"))
    hits = dict.fromkeys(lexicon.EVERYDAY, 0)
    for word in words:
        for language in _EVERYDAY.get(word, ()):
            hits[language] += 1
    (best, code), (second, _) = sorted(((count, code) for code, count in hits.items()), reverse=True)[:2]
    clear = best > second and (best >= 2 or letters < 4 * FEW_LETTERS)
    if letters < FEW_LETTERS and told_latin:
        return Language(code=told_latin, confidence=0.5)
    if clear:
        return Language(code=code, confidence=min(0.99, 0.6 + 0.8 * best / len(words)))
    return Language(code=told_latin or DEFAULT, confidence=0.5)


def _nothing(told: str | None) -> Language:
    """Of a text without a letter."""
    return Language(code=told or UNKNOWN, confidence=0.3 if told else 0.0)


def _share(part: int, whole: int) -> float:
    return min(0.99, part / whole)


def _primary(hint: str | None) -> str | None:
    """The primary subtag of a BCP 47 tag, None for nonsense."""
    tag = (hint or "").strip().lower().replace("_", "-").split("-")[0]
    return tag if tag.isascii() and tag.isalpha() and 2 <= len(tag) <= 3 else None
