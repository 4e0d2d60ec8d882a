"""Contact points: where somebody can be reached beside their chats, who said so, and when it was last made sure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import phonenumbers

from domain.privacy import mask_email, mask_phone
from domain.profile import Field, FieldType, Source

TYPES: Final = ("mobile", "landline", "home", "work", "other")
"""What a contact point is; phone numbers say the first two by themselves."""
_EMAIL: Final = Field(name="email", type=FieldType.EMAIL)
_OF_NUMBER: Final = {
    phonenumbers.PhoneNumberType.MOBILE: "mobile",
    phonenumbers.PhoneNumberType.FIXED_LINE: "landline",
}


class ContactKind(StrEnum):
    """What it is an address of. Chats are identities, with names of their own."""

    PHONE = "phone"  # E.164: +491701234567
    EMAIL = "email"  # small letters


class How(StrEnum):
    """How it was made sure that it is theirs."""

    SHARED = "shared"  # they shared their own contact; the chat platform vouches for the number
    CONFIRMED = "confirmed"  # asked in the chat, they said yes
    CHECKED = "checked"  # a colleague made sure, by calling or writing there


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactPoint:
    """A phone number or an e-mail address of a customer; `value` is personal text.

    `reason` says why it is not reachable. `asked_at` is when somebody was last asked whether it still holds.
    """

    id: str
    customer_id: str
    kind: ContactKind
    value: str
    type: str
    source: Source
    added_at: datetime
    verified_at: datetime | None = None
    verified_how: How | None = None
    reachable: bool = True
    reason: str | None = None
    asked_at: datetime | None = None
    removed_at: datetime | None = None

    @property
    def masked(self) -> str:
        """As much of it as tells its owner which one it is."""
        return mask_phone(self.value) if self.kind is ContactKind.PHONE else mask_email(self.value)

    @property
    def holds(self) -> bool:
        """True while nobody said that it is theirs no more."""
        return self.removed_at is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """Somebody said whether a contact point is still the customer's; `right` is None where they were just asked.

    `customer_id` is whoever said it, or was asked: the one who has it, or another who is one person with them. `spare`
    is the id of a line, for an answer that comes when they are one person no more.
    """

    contact_id: str
    customer_id: str
    right: bool | None
    how: How
    at: datetime
    spare: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Freshness:
    """When a contact point is to be made sure of again: sooner for who is active."""

    active_within: timedelta = timedelta(days=91)  # heard of since then: active
    active_every: timedelta = timedelta(days=91)
    idle_every: timedelta = timedelta(days=182)
    ask_again: timedelta = timedelta(days=30)  # nobody is asked about the same one more often

    def is_due(self, point: ContactPoint, last_seen: datetime, now: datetime) -> bool:
        """Whether it is old enough to be asked about now."""
        if not point.holds or not point.reachable:
            return False
        if point.asked_at is not None and now - point.asked_at < self.ask_again:
            return False
        every = self.active_every if now - last_seen <= self.active_within else self.idle_every
        return now - (point.verified_at or point.added_at) >= every


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactRules:
    """How this company reads and renews contact points. `regions` are ISO 3166 countries by channel."""

    region: str | None = None
    regions: Mapping[str, str] = field(default_factory=dict)
    freshness: Freshness = field(default_factory=Freshness)
    ask: str = "consented"  # who is asked in the chat by itself: consented, or nobody

    def region_of(self, channel: str) -> str | None:
        """The country of numbers without one that come over a channel."""
        return self.regions.get(channel, self.region)


def phone(given: str, region: str | None, *, with_country: bool = False) -> str:
    """A phone number as E.164. Raises ValueError, without the number in it.

    `with_country`: it came from a chat platform, which names the country and may leave the plus out.
    """
    bare = given.strip()
    if with_country and bare.isascii() and bare.isdigit():
        number = _parsed(f"+{bare}")
        if number is not None:
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return Field(name="phone", type=FieldType.PHONE, region=region).normal(given)


def email(given: str) -> str:
    """An e-mail address in its one form. Raises ValueError, without the address in it."""
    return _EMAIL.normal(given)


def read(given: str, region: str | None) -> tuple[ContactKind, str]:
    """What somebody typed, as the kind it is and its one form. Raises ValueError that says what would do."""
    if "@" in given:
        return ContactKind.EMAIL, email(given)
    return ContactKind.PHONE, phone(given, region)


def type_of(kind: ContactKind, value: str) -> str:
    """What a number says about itself: mobile, landline, else other."""
    number = _parsed(value) if kind is ContactKind.PHONE else None
    return "other" if number is None else _OF_NUMBER.get(phonenumbers.number_type(number), "other")


def region_of(kind: ContactKind, value: str) -> str | None:
    """The country of a phone number, as ISO 3166; None where it has none (an e-mail, a satellite phone)."""
    number = _parsed(value) if kind is ContactKind.PHONE else None
    found = None if number is None else phonenumbers.region_code_for_number(number)
    return found if found and found.isalpha() and len(found) == 2 else None


def _parsed(value: str) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None
