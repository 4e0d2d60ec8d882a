"""Fixed texts for customers, per language: one YAML file each, all with the same keys and the same `{words}`.

A language that has no file falls back to the company's first language. To add one, add its file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib import resources
from string import Formatter
from zoneinfo import ZoneInfo

import yaml

DEFAULT = "en"
"""The language whose file says which keys exist."""


def text(key: str, language: str | None = None, *, fallback: Sequence[str] = (DEFAULT,), **values: str) -> str:
    """The text `key` in `language` ("zh", "zh-Hant", "pt_BR", None), else in the first of `fallback` that exists.

    Raises KeyError for an unknown key or a missing value: both are mistakes in the program, not in the input.
    """
    template = texts(pick(language, fallback))[key]
    return template.format_map(values)


def moment(at: datetime, now: datetime, zone: str, language: str | None, fallback: Sequence[str] = (DEFAULT,)) -> str:
    """A time as a customer reads it: `14:30`, `9:00 tomorrow`, `9:00 on Monday`; with the offset of its zone.

    `zone` is the IANA name of the company's calendar: where the customer is, nobody knows.
    """
    local, today = at.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone)).date()
    away = (local.date() - today).days
    write = _MOMENTS.get(pick(language, fallback), _english)
    return write(local, away) + _offset(local, pick(language, fallback))


def _english(local: datetime, away: int) -> str:
    time = f"{local.hour}:{local.minute:02}"
    if away == 0:
        return time
    if away == 1:
        return f"{time} tomorrow"
    day = _WEEKDAYS[local.weekday()]
    return f"{time} on {day}" if away < 7 else f"{time} on {day}, {local.day} {_MONTHS[local.month - 1]}"


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
    wanted = (language or "").replace("_", "-").split("-", 1)[0].lower()
    known = languages()
    return next((code for code in (wanted, *fallback) if code in known), DEFAULT)


@cache
def languages() -> tuple[str, ...]:
    """The languages there are texts in, the default first."""
    names = (file.name for file in resources.files(__name__).iterdir())
    found = {name.removesuffix(".yaml") for name in names if name.endswith(".yaml")}
    return (DEFAULT, *sorted(found - {DEFAULT}))


@cache
def texts(language: str) -> Mapping[str, str]:
    """All texts of one language by key. Raises ValueError when its file does not match the default language's."""
    found = _read(language)
    if language != DEFAULT:
        _check(language, found, texts(DEFAULT))
    return found


def _read(language: str) -> dict[str, str]:
    source = resources.files(__name__).joinpath(f"{language}.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(source)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"bot/texts/{language}.yaml: every key needs a text")
    return {str(key): value.strip() for key, value in found.items()}


def _check(language: str, found: Mapping[str, str], model: Mapping[str, str]) -> None:
    if missing := sorted(model.keys() ^ found.keys()):
        raise ValueError(f"bot/texts/{language}.yaml: keys differ from {DEFAULT}.yaml: {', '.join(missing)}")
    for key, template in model.items():
        if words(template) != words(found[key]):
            raise ValueError(
                f"bot/texts/{language}.yaml: {key} needs {', '.join(sorted(words(template))) or 'no'} words"
            )


def words(template: str) -> frozenset[str]:
    """The `{words}` a template wants filled in."""
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)
