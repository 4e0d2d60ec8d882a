"""What people look for and what is found by it: the tokens of a text, the language of queries, the check of a hit.

A query is words, "phrases in quotes", `#1042`, and filters such as `label:refund_status after:2026-11-01`. All of it
must hold; of one filter given twice, one is enough. Chinese is found by any two characters that stand together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property

from domain import text as texts
from domain.model import Conversation, Customer, Entry, Identity, Thread
from domain.unfit import Unfit

NAME, PHONE = "name:", "phone:"  # no word holds a colon: these tokens are nobody's words
_PHONE_PATTERN = re.compile(r"(?<!\w)\+?\d(?:[\s().-]{0,2}\d){6,14}(?!\w)")
_PHONE_TAIL = 7  # digits that any way of writing a number ends with: prefixes and trunk zeros differ
_PHONE_SAME = 9
_PLAIN_DIGITS = 10  # so many digits in a row are taken for a phone number too
_LONGEST_QUERY = 1_000
_MOST_TERMS = 16
_EXCERPT_LEAD = 32


def body_tokens(*parts: str) -> tuple[str, ...]:
    """What a message is found by: its words and bigrams, and the ends of the phone numbers in it, each once."""
    tokens: dict[str, None] = {}
    for part in parts:
        tokens.update(dict.fromkeys(texts.words_and_bigrams(part)))
        for match in _PHONE_PATTERN.finditer(part):
            digits = _digits(match[0])
            if len(digits) >= _PLAIN_DIGITS or len(digits) < len(match[0]):
                tokens[PHONE + digits[-_PHONE_TAIL:]] = None
    return tuple(tokens)


def name_tokens(*names: str | None) -> tuple[str, ...]:
    """What a person is found by: the words of names, user names, addresses; single characters of a Chinese name too."""
    tokens: dict[str, None] = {}
    for name in names:
        for token in texts.words_and_bigrams(name or ""):
            tokens[NAME + token] = None
        for run, is_cjk in texts.word_runs(name or ""):
            tokens.update(dict.fromkeys(NAME + char for char in run) if is_cjk else {})
        for match in _PHONE_PATTERN.finditer(name or ""):
            tokens[PHONE + _digits(match[0])[-_PHONE_TAIL:]] = None
    return tuple(tokens)


def exact_token(*parts: str) -> str:
    """What a value of a profile is found by together with its field's name, as a card shows both ("order 12345").

    In any order: a query's phone numbers are read before its words. The name alone finds nobody, or it would find all.
    """
    runs = sorted(run for part in parts for run, _ in texts.word_runs(part))
    return NAME + " ".join(runs)  # no word holds a space: this is nobody's word either


def canonical(text: str) -> str:
    """A text as phrases are checked in it: folded words with one space between."""
    return " ".join(run for run, _ in texts.word_runs(text))


@dataclass(frozen=True, kw_only=True)
class Term:
    """A word, a phrase, or what looks like a phone number (`phone`: its digits)."""

    runs: tuple[tuple[str, bool], ...]
    phone: str | None = None

    @property
    def is_too_short(self) -> bool:
        """True for one Chinese character alone: only two that stand together are found in messages."""
        return len(self.runs) == 1 and self.runs[0][1] and len(self.runs[0][0]) == 1

    @property
    def body_choices(self) -> tuple[tuple[str, ...], ...]:
        """Sets of tokens, any of which a message must hold whole."""
        words = dict.fromkeys(token for run, _ in self.runs for token in texts.words_and_bigrams(run))
        return (tuple(words), (PHONE + self.phone[-_PHONE_TAIL:],)) if self.phone else (tuple(words),)

    @property
    def name_choices(self) -> tuple[tuple[str, ...], ...]:
        """The same for people."""
        words = tuple(NAME + token for run, _ in self.runs for token in texts.words_and_bigrams(run))
        return (words, (PHONE + self.phone[-_PHONE_TAIL:],)) if self.phone else (words,)

    def matches(self, folded: str, original: str) -> bool:
        """Whether a text holds it, given as `canonical` makes it and as it is."""
        if self._pattern.search(folded):
            return True
        return self.phone is not None and any(
            _same_phone(self.phone, _digits(match[0])) for match in _PHONE_PATTERN.finditer(original)
        )

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        first, last = self.runs[0], self.runs[-1]
        said = " ".join(re.escape(run) for run, _ in self.runs)
        # Chinese has no ends of words; others are whole words only.
        return re.compile(("" if first[1] else r"(?<!\S)") + said + ("" if last[1] else r"(?!\S)"))


@dataclass(frozen=True, kw_only=True)
class Query:
    """What somebody looks for. Times are aware; `after` belongs to it, `before` does not."""

    terms: tuple[Term, ...] = ()
    numbers: frozenset[int] = frozenset()
    labels: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    customers: frozenset[str] = frozenset()
    after: datetime | None = None
    before: datetime | None = None

    @property
    def name_choices(self) -> tuple[tuple[tuple[str, ...], ...], ...]:
        """Of each term what a person is found by: its words, or the whole query as a field with its value."""
        runs = [run for term in self.terms for run, _ in term.runs]
        whole = ((exact_token(*runs),),) if len(runs) > 1 else ()  # no field and its value are one word
        return tuple(term.name_choices + whole for term in self.terms)

    @property
    def is_empty(self) -> bool:
        """True when it asks for nothing."""
        return not any(getattr(self, one.name) for one in fields(self))

    @property
    def is_filtered(self) -> bool:
        """True when something narrows the conversations down, beside words."""
        named = (one.name for one in fields(self) if one.name != "terms")
        return any(getattr(self, name) for name in named)

    def matches(self, *parts: str) -> bool:
        """Whether these texts hold every term."""
        known = [(canonical(part), part) for part in parts]
        return all(any(term.matches(*one) for one in known) for term in self.terms)


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody who was found, with how many conversations they had."""

    customer: Customer
    identities: tuple[Identity, ...]
    conversations: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A message that was found, in the conversation `number`, which stands in `thread` at the desk."""

    entry: Entry
    number: int
    queue: str
    thread: Thread


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The answer to a query, newest first. `more`: there are older messages than those that were looked at."""

    people: tuple[Person, ...] = ()
    conversations: tuple[Conversation, ...] = ()
    messages: tuple[Hit, ...] = ()
    more: bool = False


_FILTERS = {
    "label": "labels",
    "topic": "labels",
    "agent": "agents",
    "queue": "queues",
    "status": "statuses",
    "channel": "channels",
    "customer": "customers",
}
_DATES = ("after", "before", "on")
_PIECE = re.compile(r'"([^"]*)"?|(\S+)')
_NUMBER = re.compile(r"#(\d{1,9})")
_FILTER = re.compile(r'(?<![a-z])([a-z]+):"?([^"\s]+)"?')


def parse(given: str) -> Query:
    """Read a query. Raises Unfit, with the reason and an example, for a date that is none or too many words."""
    if len(given) > _LONGEST_QUERY:
        raise Unfit("query_too_long", f"a query has at most {_LONGEST_QUERY} characters", most=str(_LONGEST_QUERY))
    found: dict[str, set[str]] = {name: set() for name in _FILTERS.values()}
    numbers: set[int] = set()
    after: datetime | None = None
    before: datetime | None = None
    terms: list[Term] = []

    def take(match: re.Match[str]) -> str:
        nonlocal after, before
        key, value = match[1], match[2]
        if key in _FILTERS:
            found[_FILTERS[key]].add(value)
        elif key in _DATES:
            day = _day(value)
            after = day if key in ("after", "on") else after
            before = day if key == "before" else day + timedelta(days=1) if key == "on" else before
        else:
            return match[0]  # an address or "error:5": words like any others
        return " "

    rest = _FILTER.sub(take, given)
    terms += [_term(match[0], match[0]) for match in _PHONE_PATTERN.finditer(rest) if not _NUMBER.match(match[0])]
    for phrase, piece in _PIECE.findall(_PHONE_PATTERN.sub(" ", rest)):
        if number := _NUMBER.fullmatch(piece):
            numbers.add(int(number[1]))
            continue
        terms.append(_term(phrase or piece))
    terms = [term for term in terms if term.runs]
    if len(terms) > _MOST_TERMS:
        said = f"a query has at most {_MOST_TERMS} words; put what belongs together in quotes"
        raise Unfit("query_words", said, most=str(_MOST_TERMS))
    return Query(
        terms=tuple(terms),
        numbers=frozenset(numbers),
        after=after,
        before=before,
        **{name: frozenset(values) for name, values in found.items()},
    )


def excerpt(text: str, query: Query, limit: int) -> str:
    """A line of a message around the first thing that was looked for, at most `limit` characters."""
    line = texts.excerpt(text, len(text) + 1)
    folded = line.casefold()
    places = [folded.find(run) for term in query.terms for run, _ in term.runs] if len(folded) == len(line) else []
    first = min((place for place in places if place >= 0), default=0)
    if first <= _EXCERPT_LEAD or len(line) <= limit:
        return texts.excerpt(line, limit)
    start = first - _EXCERPT_LEAD
    space = line.find(" ", start, first)
    return texts.ELLIPSIS + texts.excerpt(line[space + 1 if space >= 0 else start :], limit - len(texts.ELLIPSIS))


def _term(piece: str, phone: str | None = None) -> Term:
    return Term(runs=tuple(texts.word_runs(piece)), phone=None if phone is None else _digits(phone))


def _day(value: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(value), time(), UTC)
    except ValueError:
        raise Unfit("query_date", f'"{value}" is not a date; write it as after:2026-11-01', given=value) from None


def _digits(text: str) -> str:
    return "".join(char for char in text if char.isdecimal() and char.isascii())


def _same_phone(one: str, other: str) -> bool:
    length = min(len(one), len(other), _PHONE_SAME)
    return length >= _PHONE_TAIL and one[-length:] == other[-length:]


def all_tokens(choices: Iterable[tuple[tuple[str, ...], ...]]) -> set[str]:
    """Every token that these terms name."""
    return {token for term in choices for choice in term for token in choice}
