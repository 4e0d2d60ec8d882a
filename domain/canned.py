"""Answers that are kept ready: their texts in each language, the variables in them, and finding one by words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain import text
from domain.unfit import Unfit

NAME, ORDER, AGENT = "name", "order", "agent"
KNOWN = (NAME, ORDER, AGENT)
"""Variables of every text, beside the links that the company names."""
UNKNOWN = "…"
"""Stands where a variable has no value: whoever sends it sees that something is to be filled in."""
_VARIABLE = re.compile(r"\{(\w{1,40})\}")
_ORDER = re.compile(r"(?<![\w.])(?=[\w-]{0,24}\d{3})[A-Za-z]{0,4}-?\d[\d-]{2,18}(?![\w.])", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer: `titles` and `texts` by language."""

    id: str
    titles: Mapping[str, str]
    texts: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Book:
    """All answers, and the links their texts may name."""

    replies: tuple[Reply, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)

    def get(self, reply_id: str) -> Reply | None:
        """The answer with this id."""
        return next((one for one in self.replies if one.id == reply_id), None)


def in_language(by_language: Mapping[str, str], *wanted: str | None) -> str:
    """The words in the first of the wanted languages that there are any in, else in the first there are."""
    for tag in wanted:
        primary = (tag or "").replace("_", "-").split("-", 1)[0].lower()
        if primary in by_language:
            return by_language[primary]
    return next(iter(by_language.values()), "")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text with its variables filled in; what is not known is left to be seen."""
    return _VARIABLE.sub(lambda match: values.get(match[1]) or UNKNOWN, template)


def variables(template: str) -> frozenset[str]:
    """The variables that a text names."""
    return frozenset(_VARIABLE.findall(template))


def order_in(said: Iterable[str]) -> str:
    """The order number that a customer wrote last, empty where none is seen."""
    found = [match for words in said for match in _ORDER.findall(words)]
    return str(found[-1]) if found else ""


def search(replies: Sequence[Reply], words: str) -> list[Reply]:
    """Answers in which all these words begin a word or stand in it (Chinese), those with them in the title first."""
    wanted = text.words_and_bigrams(words)
    if not wanted:
        return list(replies)
    titled, others = [], []
    for reply in replies:
        title = _tokens((reply.id.replace("_", " "), *reply.titles.values()))
        body = title | _tokens(reply.texts.values())
        if all(any(token.startswith(word) for token in title) for word in wanted):
            titled.append(reply)
        elif all(any(token.startswith(word) for token in body) for word in wanted):
            others.append(reply)
    return [*titled, *others]


def problems(book: Book) -> list[Unfit]:
    """What is wrong with these answers, one line each with the fix."""
    found: list[Unfit] = []
    names = {*KNOWN, *book.links}
    for reply in book.replies:
        if not reply.texts or not all(words.strip() for words in reply.texts.values()):
            said = f"{reply.id}: needs a text in at least one language, and no empty one"
            found.append(Unfit("reply_empty", said, reply=reply.id))
        for language, words in reply.texts.items():
            if unknown := sorted(variables(words) - names):
                known = ", ".join(sorted(names))
                said = f"{reply.id}: {language} names {{{unknown[0]}}}, which is neither one of {known}"
                found.append(Unfit("reply_variable", said, reply=reply.id, name=unknown[0], known=known))
    return found


def _tokens(words: Iterable[str]) -> set[str]:
    return {token for one in words for token in text.words_and_bigrams(one)}
