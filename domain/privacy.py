"""Masks: how personal data is shown to somebody who need not see it whole, and how it is taken out of a text.

A mask keeps just enough to tell two records apart (a country code, the last digits, a first letter) and never
the length of what it hides. Operator output and logs use masks; `--reveal` is the only way around them, and
it is audited.

`mask` goes further: nothing is kept but the kind, "[phone]" or "[address]". That is what the classifier reads and
what may be kept as an example.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import phonenumbers

from domain import credentials, personal, places

Kind = Literal["secret", "iban", "id", "card", "email", "phone", "address"]

HIDDEN = "•••"
_ORDER: tuple[Kind, ...] = ("secret", "iban", "id", "card", "email", "phone", "address")
"""Of two kinds that claim the same characters the first is named: the one with a check digit, or told by its name."""
_ID_KEPT = 2
_ID_SHORTEST = 8  # a shorter id would be guessed from what is kept


def mask_phone(number: str) -> str:
    """Show the country code, when there is one, and the last two digits: `+49 ••• 67`."""
    digits = re.sub(r"\D", "", number)
    if len(digits) < _ID_SHORTEST - 1:
        return HIDDEN
    international = number.strip()
    if international.startswith("00"):
        international = f"+{international[2:]}"
    try:
        prefix = f"+{phonenumbers.parse(international).country_code} "
    except phonenumbers.NumberParseException:
        prefix = ""
    return f"{prefix}{HIDDEN} {digits[-2:]}"


def mask_email(address: str) -> str:
    """Show the first letter of the name and of the domain, and the ending: `a•••@e•••.com`."""
    name, at, domain = address.strip().rpartition("@")
    host, dot, ending = domain.rpartition(".")
    if not (name and at and host and dot and ending):
        return HIDDEN
    return f"{name[0]}{HIDDEN}@{host[0]}{HIDDEN}.{ending}"


def mask_id(value: str) -> str:
    """Show two characters on either side of an account, chat or user id: `12•••89`; short ones are hidden whole."""
    value = value.strip()
    return f"{value[:_ID_KEPT]}{HIDDEN}{value[-_ID_KEPT:]}" if len(value) >= _ID_SHORTEST else HIDDEN


def mask_name(name: str) -> str:
    """Show the first letter of each word of a person's name: `A••• S•••`."""
    return " ".join(f"{word[0]}{HIDDEN}" for word in name.split()) or HIDDEN


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A stretch of personal data in a text: `text[begin:end]`."""

    kind: Kind
    begin: int
    end: int


_WIDTH = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}  # full-width ASCII, length kept
_WIDE = re.compile("[\u3000\uff01-\uff5e]")
_DIGIT = re.compile(r"\d")
_DIGITS = re.compile(r"\d(?:[^\d\n]{0,3}\d){5}")  # fewer are no card, phone or identity number
_CHINESE_PLACE = re.compile("[路街道巷弄村坊苑园城区寓厦场][^\n]{0,12}[号弄组栋幢座单]")


def findings(text: str) -> tuple[Finding, ...]:
    """Personal data in a text, in order, none overlapping: secrets, bank accounts, identity numbers, payment cards,
    e-mail addresses, phone numbers, postal addresses. Takes time in proportion to the text, never raises.
    """
    found: list[tuple[int, int, Kind]] = []

    def add(kind: Kind, spans: Iterator[tuple[int, int]]) -> None:
        found.extend((begin, end, kind) for begin, end in spans)

    if not text.isascii() and _WIDE.search(text):
        text = text.translate(_WIDTH)
    lower = text.lower()
    if any(hint in lower for hint in credentials.HINTS):
        add("secret", credentials.found(text))
    if _DIGIT.search(text):
        if _DIGITS.search(text):
            add("iban", personal.ibans(text))
            add("id", personal.identities(text))
            add("card", personal.cards(text))
            add("phone", personal.phones(text))
        add("address", places.english(text))
    if "@" in text:
        add("email", personal.emails(text))
    if not text.isascii() and _CHINESE_PLACE.search(text):
        add("address", places.chinese(text))
    return _joined(found) if found else ()


def mask(text: str) -> str:
    """The text with a word in brackets in place of each piece of personal data: "call [phone]", "我住在[address]".

    Idempotent: nothing is found in what it returns.
    """
    # What is hidden can end what stood beside it, so that it is recognised only now. Each round hides at least one
    # character that was not hidden before, so this ends; a second round that finds something is rare.
    while found := findings(text):
        pieces: list[str] = []
        done = 0
        for finding in found:
            pieces += (text[done : finding.begin], f"[{finding.kind}]")
            done = finding.end
        text = "".join(pieces) + text[done:]
    return text


def _joined(found: list[tuple[int, int, Kind]]) -> tuple[Finding, ...]:
    """Overlapping spans as one, under the kind that comes first in `_ORDER`."""
    found.sort()
    joined: list[tuple[int, int, Kind]] = []
    for begin, end, kind in found:
        if joined and begin < joined[-1][1]:
            before, until, other = joined[-1]
            joined[-1] = (before, max(until, end), min(kind, other, key=_ORDER.index))
        else:
            joined.append((begin, end, kind))
    return tuple(Finding(kind=kind, begin=begin, end=end) for begin, end, kind in joined)
