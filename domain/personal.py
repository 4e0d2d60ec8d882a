"""Where personal data stands in a text: the patterns and check digits behind `privacy.findings`.

Every finder is bounded: it starts only where something begins (a digit, an "@", a keyword, a street's ending) and looks
a fixed number of characters ahead, so that the time grows with the text and no faster. Each is called only when a cheap
look says that there could be something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

import phonenumbers

Span = tuple[int, int]

_EDGE = "(?<![0-9A-Za-z_])"
_END = "(?![0-9A-Za-z_])"
_GAP = "[ \u00a0\u2009\u200b-\u200d\u2010\u2011\u2060\ufeff-]?"  # invisible characters hide nothing

# ---- e-mail ----------------------------------------------------------------------------------------------------------

_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-")
_LOCAL_CHARS = 64  # RFC 5321
_DOMAIN = re.compile(r"(?:[A-Za-z0-9\u00c0-\u024f-]{1,63}\.){1,8}[A-Za-z\u00c0-\u024f][A-Za-z0-9\u00c0-\u024f-]{1,62}")


def emails(text: str) -> Iterator[Span]:
    """Addresses with a domain that has a dot; `@name` alone is none."""
    at = text.find("@")
    while at >= 0:
        begin = at
        while begin > max(0, at - _LOCAL_CHARS) and text[begin - 1] in _LOCAL:
            begin -= 1
        domain = _DOMAIN.match(text, at + 1)
        if domain and begin < at:
            yield begin, domain.end()
        at = text.find("@", at + 1)


# ---- numbers with a check digit --------------------------------------------------------------------------------------

_CARD = re.compile(
    rf"{_EDGE}(?<!\+)(?=((?:\d{{4}}({_GAP[:-1]})\d{{4}}\2\d{{4}}\2\d{{1,4}}(?:\2\d{{1,3}})?"
    rf"|\d{{4}}{_GAP}\d{{6}}{_GAP}\d{{4,5}}|\d{{6}}{_GAP}\d{{13}}|\d{{13,19}}){_END}))"
)
_ISSUERS = re.compile(r"4|5[0-8]|6|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[04-9]")
_RESIDENT = re.compile(
    rf"{_EDGE}([1-9]\d{{5}}{_GAP}(?:19|20)\d{{2}}{_GAP}(?:0[1-9]|1[0-2])[0-3]\d{_GAP}\d{{3}}[0-9Xx]){_END}"
)
_PROVINCES = frozenset(
    [*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 91]
)
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_RESIDENT_CHECKS = "10X98765432"
_IBAN = re.compile(rf"{_EDGE}[A-Za-z]{{2}}\d{{2}}(?=[ -]?[0-9A-Za-z])")
_IBAN_LENGTHS = {
    code: int(length)
    for length, codes in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FO GL NL",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO EG GT HU LB NI PL SV",
        "29": "BR PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for code in codes.split()
}
_SOCIAL = re.compile(rf"{_EDGE}(?!000|666|9)\d{{3}}-(?!00)\d{{2}}-(?!0000)\d{{4}}{_END}(?!-)")
_NAMED_ID = re.compile(
    r"(?:身份证(?:号码?)?|护照(?:号码?)?|社保(?:卡)?号码?|驾照号码?"
    r"|\b(?:passport|national id|id card|social security|driver'?s licen[cs]e)(?: (?:number|no\.?|nr\.?|#))?)"
    r"[ :：是为=,，]{0,3}(?:is |was )?[ ]?([A-Za-z]{0,3}\d[0-9A-Za-z -]{4,18}[0-9A-Za-z])",
    re.IGNORECASE,
)


_NAMED_CARD = re.compile(
    r"(?:卡号|\b(?:card (?:number|no\.?|nr\.?)|(?:credit|debit) card|visa|mastercard|amex)\b)"
    rf"[^\d\n]{{0,12}}(\d(?:{_GAP}\d){{11,18}}){_END}",
    re.IGNORECASE,
)


def is_card(number: str) -> bool:
    """Tell whether the digits are a payment card number: 13 to 19 with a right check digit (Luhn)."""
    digits = [int(digit) for digit in number if digit.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and any(digits) and (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def cards(text: str) -> Iterator[Span]:
    """Payment cards: grouped as they are printed or plain, of a known issuer, with a right check digit; and what
    somebody calls a card's number, mistyped or not.
    """
    for match in _CARD.finditer(text):
        if _ISSUERS.match(match[1]) and is_card(match[1]):
            yield match.span(1)
    for match in _NAMED_CARD.finditer(text):
        yield match.span(1)


def is_resident_id(number: str) -> bool:
    """Tell whether it is a resident identity number of China: province, a date of birth, check digit (ISO 7064)."""
    compact = "".join(letter for letter in number if letter.isalnum()).upper()
    if len(compact) != 18 or not compact[:17].isdecimal() or int(compact[:2]) not in _PROVINCES:
        return False
    try:
        date(int(compact[6:10]), int(compact[10:12]), int(compact[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_RESIDENT_WEIGHTS, compact, strict=False))
    return _RESIDENT_CHECKS[total % 11] == compact[17]


def identities(text: str) -> Iterator[Span]:
    """Resident identity numbers, social security numbers as they are written, and what is called a passport number."""
    for match in _RESIDENT.finditer(text):
        if is_resident_id(match[1]):
            yield match.span(1)
    for match in _SOCIAL.finditer(text):
        yield match.span()
    for match in _NAMED_ID.finditer(text):
        if sum(letter.isdecimal() for letter in match[1]) >= 5:
            yield match.start(1), match.start(1) + len(match[1].rstrip(" -"))


def ibans(text: str) -> Iterator[Span]:
    """Bank accounts: the length of their country and a right check (mod 97)."""
    for match in _IBAN.finditer(text):
        length = _IBAN_LENGTHS.get(match[0][:2].upper())
        if length is None:
            continue
        taken: list[str] = []
        place = match.start()
        while len(taken) < length and place < len(text):
            letter = text[place]
            if letter.isascii() and letter.isalnum():
                taken.append(letter)
            elif letter not in " -" or not text[place - 1].isalnum():
                break
            place += 1
        ends = place == len(text) or not (text[place].isascii() and text[place].isalnum())
        if len(taken) == length and ends and _is_iban("".join(taken).upper()):
            yield match.start(), place


def _is_iban(compact: str) -> bool:
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


# ---- phones ----------------------------------------------------------------------------------------------------------

_MOBILE = re.compile(rf"{_EDGE}(?:86{_GAP})?(1[3-9]\d{_GAP}\d{{4}}{_GAP}\d{{4}}){_END}")
_LANDLINE = re.compile(
    rf"{_EDGE}\(?0(?:10|2\d|[3-9]\d{{2}})\)?[ -]?\d{{4}}[ ]?\d{{3,4}}(?:(?:转|[ ]?ext\.? ?|-)\d{{1,6}})?{_END}"
)
_NORTH_AMERICAN = re.compile(
    rf"{_EDGE}(?:1[ .-])?(?:\([2-9]\d{{2}}\)[ ]?|[2-9]\d{{2}}[ .-])[2-9]\d{{2}}[ .-]\d{{4}}{_END}(?![.-]\d)"
)
_INTERNATIONAL = re.compile(rf"(?:\+|{_EDGE}00)[ ]?\(?[1-9](?:[ ()./\u00a0\u2009\u2011-]{{0,2}}\d){{6,14}}{_END}")
_NATIONAL = re.compile(rf"{_EDGE}\(?0[1-9](?:[ ()/\u00a0\u2009-]{{0,2}}\d){{7,10}}{_END}")
_NATIONAL_REGIONS = ("GB", "DE", "FR", "CN", "JP", "AU", "NL")  # where a leading 0 is the trunk prefix
_NAMED_PHONE = re.compile(
    r"(?:电话|手机|座机|联系方式|致电|打给我|拨打"
    r"|\b(?:phone|mobile|cell|tel|telephone|call|text|whatsapp|sms|fax|ring|dial|reach)\b)"
    r"[^\d\n]{0,24}(?<![#A-Za-z0-9])(\+?\(?\d(?:[ ()./-]{0,2}\d){6,14})(?![0-9A-Za-z_])",
    re.IGNORECASE,
)
_GROUPS = 4  # at most so many groups are dropped from the end of what looks like a number
_LAST_GROUP = re.compile(r"[ ()./\u00a0\u2009\u2011-]+\d+$")
_NO_PHONE = re.compile(r"(?:19|20)\d{2}[-./ ](?:0?[1-9]|1[0-2])[-./ ]|(?:\d{1,3}\.){3}\d{1,3}$|\d{1,3}(?:[.,]\d{3})+$")


def phones(text: str) -> Iterator[Span]:
    """Telephone numbers: international, as China, North America and the countries with a leading 0 write them, and
    what somebody calls one. Dates, network addresses and amounts are none.
    """
    for match in _MOBILE.finditer(text):
        yield match.span()
    for pattern in (_LANDLINE, _NORTH_AMERICAN):
        for match in pattern.finditer(text):
            yield match.span()
    for match in _INTERNATIONAL.finditer(text):
        yield from _shortened(text, *match.span())
    for match in _NATIONAL.finditer(text):
        if _is_national(match[0]):
            yield match.span()
    for match in _NAMED_PHONE.finditer(text):
        if not _NO_PHONE.match(match[1]):
            yield match.span(1)


def _shortened(text: str, begin: int, end: int) -> Iterator[Span]:
    """The number without the groups of digits after it that make it none: "+49 170 1234567 2 pieces"."""
    possible = 0
    for _ in range(_GROUPS):
        number = _parsed(text[begin:end])
        if number is not None and phonenumbers.is_possible_number(number):
            possible = possible or end
            if phonenumbers.is_valid_number(number):
                possible = end
                break
        tail = _LAST_GROUP.search(text, begin, end)
        if tail is None:
            break
        end = tail.start()
    if possible:
        yield begin, possible


def _parsed(number: str) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(f"+{number[2:]}" if number.startswith("00") else number)
    except phonenumbers.NumberParseException:
        return None


def _is_national(number: str) -> bool:
    if _NO_PHONE.match(number):
        return False
    for region in _NATIONAL_REGIONS:
        try:
            if phonenumbers.is_valid_number_for_region(phonenumbers.parse(number, region), region):
                return True
        except phonenumbers.NumberParseException:
            continue
    return False
