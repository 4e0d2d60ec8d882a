"""Facts from outside: what happened with a customer elsewhere, as typed entries of their timeline with their source."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, Final

from domain import text
from domain.unfit import Unfit

LONGEST_WHAT: Final = 200
LONGEST_NOTE: Final = 2000
LONGEST_REFERENCE: Final = 100
AHEAD: Final = timedelta(days=1)
"""So far a clock elsewhere may be ahead of ours."""
_SOURCE: Final = re.compile(r"[a-z][a-z0-9_-]{0,19}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_KNOWN: Final = frozenset({"kind", "what", "at", "source", "note", "amount", "currency", "reference"})


class FactKind(StrEnum):
    """What happened."""

    PURCHASE = "purchase"  # they bought something
    ORDER = "order"  # they ordered, or an order moved on
    VISIT = "visit"  # they came by, or somebody went to them
    CALL = "call"  # somebody talked to them on the phone
    SHOP = "shop"  # they asked over the counter


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing that happened. `what`, `note`, `amount` and `reference` are personal text; `source` is a word of ours.

    `amount` is a number as text (it is money, not arithmetic), `reference` what others call it (an order's number).
    """

    kind: FactKind
    what: str
    at: datetime
    source: str
    note: str = ""
    amount: str | None = None
    currency: str | None = None
    reference: str | None = None

    @property
    def body(self) -> str:
        """What of it is sealed: one JSON object, as it is exported."""
        said = {name: asdict(self)[name] for name in ("what", "note", "amount", "currency", "reference")}
        return json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False)

    @property
    def data(self) -> dict[str, str]:
        """What of it stands in the clear."""
        return {"fact": self.kind.value, "source": self.source}


def read(given: Mapping[str, Any], now: datetime) -> Fact:
    """A fact as somebody else's program, or a colleague, gives it. Raises Unfit that says what would do.

    The message never repeats a value. `at` is ISO 8601 with its offset; `now` where it is left out.
    """
    if unknown := sorted(str(name) for name in given if name not in _KNOWN):
        called = text.excerpt(text.clean(unknown[0], 40), 40)
        raise Unfit("field_unknown", f"unknown field {called!r}; there are {_listed()}")
    kind = given.get("kind")
    if kind not in list(FactKind):
        raise Unfit("fact_kind", f"kind: give one of {', '.join(FactKind)}")
    source = given.get("source")
    if not isinstance(source, str) or not _SOURCE.fullmatch(source):
        said = "source: give a word such as shop or crm: small letters, digits, _ and -, at most 20"
        raise Unfit("fact_source", said)
    what = _words(given, "what", LONGEST_WHAT)
    if not what:
        raise Unfit("fact_what", "what: say in a few words what happened")
    amount, currency = _amount(given.get("amount")), given.get("currency")
    if currency is not None and (not isinstance(currency, str) or not _CURRENCY.fullmatch(currency)):
        raise Unfit("fact_currency", "currency: give three letters, such as EUR")
    if (amount is None) != (currency is None):
        raise Unfit("fact_both", "amount and currency go together; give both or none")
    return Fact(
        kind=FactKind(kind),
        what=what,
        at=_moment(given.get("at"), now),
        source=source,
        note=_words(given, "note", LONGEST_NOTE),
        amount=amount,
        currency=currency,
        reference=_words(given, "reference", LONGEST_REFERENCE) or None,
    )


def opened(kind: object, source: object, body: str, at: datetime) -> Fact | None:
    """A fact from its entry; None once its words are gone."""
    if not body or kind not in list(FactKind):
        return None
    said = json.loads(body)
    return Fact(
        kind=FactKind(str(kind)),
        source=str(source),
        at=at,
        what=said["what"],
        note=said.get("note", ""),
        amount=said.get("amount"),
        currency=said.get("currency"),
        reference=said.get("reference"),
    )


def _words(given: Mapping[str, Any], name: str, longest: int) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise Unfit("text_too_long", f"{name}: give a text of at most {longest} characters", longest=str(longest))
    return text.clean(value, longest).strip()


def is_short(number: Decimal) -> bool:
    """Whether a finite number is written out in a few digits: 1e-999999999 would be a gigabyte of them."""
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and -12 <= exponent <= 18 and len(number.as_tuple().digits) <= 30


def _amount(value: object) -> str | None:
    if value is None:
        return None
    try:
        number = Decimal(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or abs(number) >= Decimal(10) ** 12 or not is_short(number):
        raise Unfit("fact_amount", "amount: give a number, such as 129.90")
    return format(number, "f")


def _moment(value: object, now: datetime) -> datetime:
    if value is None:
        return now
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        at = None if at is None or at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.year < 1970:
        raise Unfit("fact_time", "at: give a time with its offset, such as 2026-11-22T09:30:00+01:00")
    if at > now + AHEAD:
        raise Unfit("fact_ahead", "at: that is still to come")
    return at


def _listed() -> str:
    return ", ".join(sorted(_KNOWN))
