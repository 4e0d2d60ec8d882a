"""Masks: how personal data is shown to somebody who need not see it whole.

A mask keeps just enough to tell two records apart (a country code, the last digits, a first letter) and never
the length of what it hides. Operator output and logs use masks; `--reveal` is the only way around them, and
it is audited.
"""

from __future__ import annotations

import re

import phonenumbers

HIDDEN = "•••"
_EMAIL = re.compile(r"[\w.+%'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_CARD = re.compile(r"(?<![0-9A-Za-z_+])\d(?:[ -]?\d){12,18}(?![0-9A-Za-z_])")
_PHONE = re.compile(r"(?<![0-9A-Za-z_])(?:\+|00)?\(?\d(?:[ ()./-]{0,2}\d){6,14}(?![0-9A-Za-z_])")
_CARD_TAIL = 4
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


def mask_card(number: str) -> str:
    """Show the last four digits of a payment card: `•••• 1111`."""
    digits = re.sub(r"\D", "", number)
    return f"•••• {digits[-_CARD_TAIL:]}" if len(digits) > 2 * _CARD_TAIL else HIDDEN


def mask_id(value: str) -> str:
    """Show two characters on either side of an account, chat or user id: `12•••89`; short ones are hidden whole."""
    value = value.strip()
    return f"{value[:_ID_KEPT]}{HIDDEN}{value[-_ID_KEPT:]}" if len(value) >= _ID_SHORTEST else HIDDEN


def mask_name(name: str) -> str:
    """Show the first letter of each word of a person's name: `A••• S•••`."""
    return " ".join(f"{word[0]}{HIDDEN}" for word in name.split()) or HIDDEN


def mask_text(text: str) -> str:
    """Mask e-mail addresses, payment cards and phone numbers inside a text; the rest stays as it is."""
    masked = _EMAIL.sub(lambda match: mask_email(match[0]), text)
    masked = _CARD.sub(lambda match: mask_card(match[0]) if is_card(match[0]) else match[0], masked)
    return _PHONE.sub(lambda match: mask_phone(match[0]), masked)


def is_card(number: str) -> bool:
    """Tell whether the digits are a payment card number: 13 to 19 with a right check digit (Luhn)."""
    digits = [int(digit) for digit in re.sub(r"\D", "", number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and any(digits) and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0
