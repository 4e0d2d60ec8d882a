"""Texts as the classifier sees them: nothing that names a person, one spelling of what means the same, nothing that
could break a tokenizer.
"""

from __future__ import annotations

import re
import unicodedata

from classifiers import lexicon
from domain import privacy

READ_CHARS = 8_000  # read at most this much of a message: what it wants stands at its beginning
KEEP_CHARS = 2_000  # and keep this much once spelled the same way

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # control characters
    "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"  # soft hyphens, zero-width, bidi
    "\ufe00-\ufe0f\ufff9-\uffff"  # variation selectors, specials
    "\ud800-\udfff\ue000-\uf8ff"  # lone surrogates, private use
    "\U000e0000-\U0010ffff]+"  # tags, private planes
)
_SIMPLER = str.maketrans(lexicon.TRADITIONAL, lexicon.SIMPLIFIED)
_URL = re.compile(r"(?:https?://|www\.)\S+")
_HIDDEN_EMAIL = "[email]"  # as `privacy.mask` writes it
_HIDDEN = re.compile(r"\[(?:phone|card|iban|id|secret|address)\]")
_LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){3,}")
_SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    """Personal data masked, NFKC, single spaces, no invisible characters, capitals kept; at most KEEP_CHARS characters
    and perhaps none.
    """
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text[:READ_CHARS]))
    return _SPACE.sub(" ", privacy.mask(text[:READ_CHARS])).strip()[:KEEP_CHARS].rstrip()


def spell(text: str) -> str:
    """`plain` in lower case, and in simplified characters where they are Chinese."""
    lower = plain(text).lower()
    if not lower.isascii():
        lower = lower.translate(_SIMPLER)
    return lower[:KEEP_CHARS].rstrip()


def mask(spelled: str) -> str:
    """A spelled text with links, masks and long numbers as one word each: they tell whose, not what."""
    spelled = _URL.sub(" url ", spelled)
    spelled = _HIDDEN.sub(" 0000 ", spelled.replace(_HIDDEN_EMAIL, " email "))
    return _SPACE.sub(" ", _LONG_NUMBER.sub("0000", spelled)).strip()


def normalise(text: str) -> str:
    """`mask` after `spell`: what heads are trained on and asked. Never raises."""
    return mask(spell(text))
