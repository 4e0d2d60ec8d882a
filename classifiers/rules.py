"""Rules that anybody can read: what raises a priority, what looks like a goodbye, an advert, a call for a person.

The words are in `lexicon`. Every priority rule has a stable id, which is what an assessment reports; it can only raise.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from classifiers import lexicon
from classifiers import sentiment as tones
from domain.model import Priority

SHOUTING = "shouting"
SHOUTED_LETTERS = 15  # fewer capitals are an abbreviation
SHOUTED_SHARE = 0.7
SHOUTED_CHARS = 500
CLOSING_WORDS, CLOSING_CHARS = 10, 24  # longer messages say more than goodbye
SPAM_ONE, SPAM_MANY = 0.8, 0.95
PERSON_SURE = 0.95
CLOSING_SURE, CLOSING_LIKELY = 0.95, 0.75  # "ok" alone may also answer a question

_ALARMS = [
    (alarm, re.compile(rf"\b(?:{'|'.join(alarm.english)})\b|{'|'.join(alarm.chinese)}")) for alarm in lexicon.ALARMS
]
_ALARMED = re.compile(rf"\b(?:{'|'.join(words for alarm in lexicon.ALARMS for words in alarm.english)})\b")
_SPAM = [re.compile(pattern) for pattern in lexicon.SPAM]
_HAN = re.compile("[\u4e00-\u9fff]")
_SPAM_ASCII = [pattern for pattern in _SPAM if not _HAN.search(pattern.pattern)]  # the rest needs a Chinese character
_PERSON = re.compile("|".join(lexicon.PERSON))
_MARKS = re.compile(r"[!！]{3,}")
_EMOJI = re.compile(f"[{lexicon.CLOSING_EMOJI}\U0001f3fb-\U0001f3ff]+")  # the second range: skin tones
_THANKS_EN = frozenset(lexicon.THANKS_EN.split())
_AGREED_EN = frozenset(lexicon.AGREED_EN.split())
_CLOSING_EN = _THANKS_EN | _AGREED_EN | frozenset(lexicon.FILLER_EN.split())
_CLOSING_ZH = re.compile(f"(?P<thanks>{lexicon.THANKS_ZH})|(?P<agreed>{lexicon.AGREED_ZH})|{lexicon.FILLER_ZH}")
_GREETING_ZH = re.compile(lexicon.GREETING_ZH)  # made of the same words, and a beginning
_WORD = re.compile(r"[\w']+")


@dataclass(frozen=True, kw_only=True)
class Signals:
    """What the rules see in one text.

    `sentiment` is -1 to 1, None where no word tells, and changes nothing.
    `spam`, `closure` and `wants_person` lie between 0 and 1; `priority` is what it is raised to, None where no rule
    fired, and `priority_reasons` are the ids of those that did.
    """

    spam: float
    closure: float
    wants_person: float
    priority: Priority | None
    priority_reasons: tuple[str, ...]
    sentiment: float | None = None


def read(spelled: str, written: str) -> Signals:
    """Apply every rule to a text: `spelled` as `normalise.spell` made it, `written` as the customer wrote it."""
    quiet = spelled.isascii() and not _ALARMED.search(spelled)  # most are, and one look tells
    fired = [] if quiet else [alarm for alarm, pattern in _ALARMS if pattern.search(spelled)]
    reasons = tuple(alarm.id for alarm in fired)
    priority = max((alarm.priority for alarm in fired), key=lambda one: one.rank, default=None)
    if _shouts(written):
        reasons += (SHOUTING,)
        priority = priority or Priority.HIGH
    hits = sum(1 for pattern in (_SPAM_ASCII if spelled.isascii() else _SPAM) if pattern.search(spelled))
    return Signals(
        spam=0.0 if hits == 0 else SPAM_ONE if hits == 1 else SPAM_MANY,
        closure=closure(spelled),
        wants_person=PERSON_SURE if _PERSON.search(spelled) else 0.0,
        priority=priority,
        priority_reasons=reasons,
        sentiment=tones.read(spelled),
    )


def closure(spelled: str) -> float:
    """How surely a text says no more than thanks, agreed or goodbye, 0 to 1."""
    bare = _EMOJI.sub("", spelled).strip()
    if not bare:
        return CLOSING_SURE if spelled else 0.0
    if "?" in bare:
        return 0.0
    words = _WORD.findall(bare)
    if words and len(words) <= CLOSING_WORDS and bare.isascii():
        said = set(words)
        if not said <= _CLOSING_EN:
            return 0.0
        return CLOSING_SURE if said & _THANKS_EN else CLOSING_LIKELY if said & _AGREED_EN else 0.0
    if len(bare) <= CLOSING_CHARS and not _GREETING_ZH.search(bare) and not _CLOSING_ZH.sub("", bare):
        kinds = {match.lastgroup for match in _CLOSING_ZH.finditer(bare)}
        return CLOSING_SURE if "thanks" in kinds else CLOSING_LIKELY if "agreed" in kinds else 0.0
    return 0.0


def _shouts(written: str) -> bool:
    """Mostly capitals over a whole sentence, or capitals alone with a row of exclamation marks."""
    start = written[:SHOUTED_CHARS]
    letters = [letter for letter in start if letter.isalpha()]
    capitals = sum(letter.isupper() for letter in letters)
    if capitals >= SHOUTED_LETTERS and capitals >= SHOUTED_SHARE * len(letters):
        return True
    return capitals > 3 and capitals == len(letters) and bool(_MARKS.search(start))
