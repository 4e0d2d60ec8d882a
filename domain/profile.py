"""A customer's profile: typed fields, each value with who said it, when, and what was before."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import phonenumbers

from domain import facts, text
from domain.model import Actor
from domain.unfit import Unfit

LONGEST = 500
_EMAIL = re.compile(r"[^@\s<>,;]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}")
_LANGUAGE = re.compile(r"[a-z]{2,3}")


class FieldType(StrEnum):
    """What a value of a field is; each is kept in one form, however it was typed."""

    TEXT = "text"
    NUMBER = "number"  # 1250.5
    DATE = "date"  # 1990-05-17
    PHONE = "phone"  # E.164: +491701234567
    EMAIL = "email"  # small letters
    LANGUAGE = "language"  # zh
    TIME_ZONE = "time_zone"  # Asia/Shanghai
    REGION = "region"  # CN
    CHOICE = "choice"  # one of the words that the configuration names


class Source(StrEnum):
    """Who says that it is so."""

    CUSTOMER = "customer"
    AGENT = "agent"
    CRM = "crm"
    IMPORT = "import"
    MODEL = "model"


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A field of the profile. `choices` for a choice; `region` (ISO 3166) for phone numbers without a country."""

    name: str
    type: FieldType = FieldType.TEXT
    choices: tuple[str, ...] = ()
    region: str | None = None

    def normal(self, given: str) -> str:
        """The value in its one form. Raises Unfit that says what would do, without the value in it."""
        words = text.clean(given, LONGEST).strip()
        if not words:
            raise Unfit("value_missing", f"{self.name}: a value is missing")
        match self.type:
            case FieldType.TEXT:
                return words
            case FieldType.NUMBER:
                return _number(self.name, words)
            case FieldType.DATE:
                return _date(self.name, words)
            case FieldType.PHONE:
                return _phone(self.name, words, self.region)
            case FieldType.CHOICE:
                return _of(self.name, words, {one.casefold(): one for one in self.choices}, ", ".join(self.choices))
            case FieldType.EMAIL:
                wanted = "an e-mail address, such as ann@example.com"
                return _fits("value_email", self.name, words.lower(), _EMAIL, wanted)
            case FieldType.LANGUAGE:
                return _fits("value_language", self.name, words.lower(), _LANGUAGE, "a language code, such as zh")
            case FieldType.REGION:
                return _region(self.name, words)
            case FieldType.TIME_ZONE:
                return _zone(self.name, words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """What somebody said a field is. `until` and `reason` say when and why it was corrected; None: it holds."""

    value: str
    source: Source
    actor: str
    at: datetime
    until: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """All that was ever said, by field, oldest first. The wrong value stays, as corrected."""

    values: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def current(self) -> dict[str, Value]:
        """What holds now."""
        return {name: said[-1] for name, said in self.values.items() if said and said[-1].until is None}

    def said(self, name: str, new: Value, reason: str) -> Profile:
        """The profile after somebody said that a field is `new`; the same value again changes nothing."""
        before = self.values.get(name, ())
        if before and before[-1].until is None and before[-1].value == new.value:
            return self
        return replace(self, values={**self.values, name: (*_ended(before, new.at, reason), new)})

    def withdrawn(self, name: str, at: datetime, reason: str) -> Profile:
        """The profile without a value for a field; what was said stays, as corrected."""
        return replace(self, values={**self.values, name: _ended(self.values.get(name, ()), at, reason)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """That a customer's field is something, as a decision learnt it. `entry_id` is the timeline line that says so."""

    entry_id: str
    customer_id: str
    name: str
    value: Value
    reason: str
    by: Actor | None = None  # None: the customer


def _ended(said: tuple[Value, ...], at: datetime, reason: str) -> tuple[Value, ...]:
    if not said or said[-1].until is not None:
        return said
    return (*said[:-1], replace(said[-1], until=at, reason=reason))


def _number(name: str, words: str) -> str:
    try:
        number = Decimal(words.replace(" ", "").replace("_", ""))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number) >= Decimal(10) ** 15 or not facts.is_short(number):
        raise Unfit("value_number", f"{name}: give a number, such as 1250.5")
    return format(number.normalize(), "f")


def _date(name: str, words: str) -> str:
    try:
        return date.fromisoformat(words).isoformat()
    except ValueError:
        raise Unfit("value_date", f"{name}: give a date as year-month-day, such as 1990-05-17") from None


def _phone(name: str, words: str, region: str | None) -> str:
    try:
        number = phonenumbers.parse(words, region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise Unfit("value_phone", f"{name}: give a phone number with its country, such as +49 170 1234567")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _zone(name: str, words: str) -> str:
    try:
        return ZoneInfo(words).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise Unfit("value_time_zone", f"{name}: give a time zone, such as Asia/Shanghai") from None


def _region(name: str, words: str) -> str:
    if words.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise Unfit("value_region", f"{name}: give a country as its two letters, such as DE")
    return words.upper()


def _of(name: str, words: str, known: Mapping[str, str], shown: str) -> str:
    if words.casefold() not in known:
        raise Unfit("value_choice", f"{name}: give one of {shown}", choices=shown)
    return known[words.casefold()]


def _fits(code: str, name: str, words: str, shape: re.Pattern[str], wanted: str) -> str:
    if not shape.fullmatch(words):
        raise Unfit(code, f"{name}: give {wanted}")
    return words
