"""Fixed texts, per language: one YAML file each, all with the same keys and the same `{words}`.

Here are those for customers, in `desk/` those for agents. A language that has no file falls back to the company's first
language. To add one, add its file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

from bot.texts.catalogue import DEFAULT, Catalogue, fill, words

__all__ = ["CUSTOMERS", "DEFAULT", "DESK", "languages", "moment", "pick", "text", "texts", "words"]

CUSTOMERS = Catalogue(resources.files(__name__), "bot/texts")
DESK = Catalogue(resources.files(__name__).joinpath("desk"), "bot/texts/desk")
"""What agents read; `bot/desk/words.py` knows in which language."""


def text(key: str, language: str | None = None, *, fallback: Sequence[str] = (DEFAULT,), **values: str) -> str:
    """The text `key` in `language` ("zh", "zh-Hant", "pt_BR", None), else in the first of `fallback` that exists.

    Raises KeyError for an unknown key or a missing value: both are mistakes in the program, not in the input.
    """
    return fill(CUSTOMERS.texts(pick(language, fallback))[key], values)


def moment(at: datetime, now: datetime, zone: str, language: str | None, fallback: Sequence[str] = (DEFAULT,)) -> str:
    """A time as a customer reads it: `14:30`, `9:00 tomorrow`, `9:00 on Monday`; with the offset of its zone.

    In a language that was added by its file a day is a date, `2026-11-24, 9:00`: no word of another language is in it.
    `zone` is the IANA name of the company's calendar: where the customer is, nobody knows.
    """
    local, today = at.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone)).date()
    away = (local.date() - today).days
    write = _MOMENTS.get(pick(language, fallback), _in_any_language)
    return write(local, away) + _offset(local, pick(language, fallback))


def _english(local: datetime, away: int) -> str:
    time = f"{local.hour}:{local.minute:02}"
    if away == 0:
        return time
    if away == 1:
        return f"{time} tomorrow"
    day = _WEEKDAYS[local.weekday()]
    return f"{time} on {day}" if away < 7 else f"{time} on {day}, {local.day} {_MONTHS[local.month - 1]}"


def _in_any_language(local: datetime, away: int) -> str:
    time = f"{local.hour}:{local.minute:02}"
    return time if away == 0 else f"{local:%Y-%m-%d}, {time}"


def _chinese(local: datetime, away: int) -> str:
    time = f"{local.hour}:{local.minute:02}"
    if away in (0, 1):
        return ("今天", "明天")[away] + time
    day = "周" + "一二三四五六日"[local.weekday()]
    return (
        f"{day}{time}"
        if away < 7 and local.weekday() > (local.weekday() - away) % 7
        else (f"{local.month}月{local.day}日（{day}）{time}")
    )


def _offset(local: datetime, language: str) -> str:
    minutes = int((local.utcoffset() or timedelta()).total_seconds() // 60)
    hours, rest = divmod(abs(minutes), 60)
    name = "UTC" if minutes == 0 else f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
    return f"（{name}）" if language == "zh" else f" ({name})"


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_MOMENTS: Mapping[str, Callable[[datetime, int], str]] = {"en": _english, "zh": _chinese}


def pick(language: str | None, fallback: Sequence[str] = (DEFAULT,)) -> str:
    """The language to write in: the reader's if we have it (its primary part counts), else the first we have."""
    return CUSTOMERS.pick(language, fallback)


def languages() -> tuple[str, ...]:
    """The languages there are texts in, the default first."""
    return CUSTOMERS.languages


def texts(language: str) -> Mapping[str, str]:
    """All texts of one language by key. Raises ValueError when its file does not match the default language's."""
    found = CUSTOMERS.texts(language)
    if counted := [key for key, given in found.items() if not isinstance(given, str)]:
        raise ValueError(f"bot/texts/{language}.yaml: {counted[0]} needs one text")
    return {key: given for key, given in found.items() if isinstance(given, str)}
