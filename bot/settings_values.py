"""The kinds of values in config.yaml: durations, ids of the desk, addresses, one-or-many lists."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from bot import texts
from classifiers import sources
from classifiers.errors import ModelError
from domain import signing

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(?:\d+(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
LONGEST = timedelta(days=3660)
"""Ten years: longer is a slip of the pen."""


class Section(BaseModel):
    """A part of config.yaml: unknown keys are mistakes, and nothing changes it after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, hide_input_in_errors=True)


def parse_span(value: object) -> object:
    """Read `90s`, `15m`, `72h`, `1h30m` or `500ms` as real (not business) time. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    if not _SPAN.fullmatch(text):
        raise ValueError("is not a duration; write a number with its unit: 500ms, 90s, 15m, 72h, 30d")
    span = timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text)))
    if span > LONGEST:
        raise ValueError("is longer than ten years; check the unit: 90s, 15m, 72h, 30d")
    return span


def show_span(span: timedelta) -> str:
    """The shortest way to write a duration: `72h`, `1h30m`, `0s`."""
    left = round(span.total_seconds() * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


Span = Annotated[
    timedelta,
    BeforeValidator(parse_span),
    PlainSerializer(show_span, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^(\d+(ms|s|m|h|d))+$", "examples": ["90s", "15m", "72h"]}),
]
"""Real time with its unit, such as `72h`."""


def _many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Many = Annotated[tuple[str, ...], BeforeValidator(_many)]
"""One word or a list of words."""


def _channel(value: str) -> str:
    if not re.fullmatch(r"[CGD][A-Z0-9]{5,}", value):
        raise ValueError("is not a Slack channel id (C...); in Slack click the channel's name, the id is at the bottom")
    return value


def _member(value: str) -> str:
    if not re.fullmatch(r"[UWS][A-Z0-9]{3,}", value):
        raise ValueError(
            "is not a Slack user id (U...) or user group id (S...); in Slack: profile > ... > "
            "Copy member ID, or People > User groups > ... > Copy group ID"
        )
    return value


def _viewer(value: str) -> str:
    name = value.removeprefix("os:")
    if name == value:
        return _member(value)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}", name):
        raise ValueError("names no user of the operating system; write os: and the name that `id -un` prints")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an address; write it with its scheme: https://...")
    if parts.username or parts.password:
        raise ValueError("carries a user or a password; secrets belong in the environment or .env")
    if parts.scheme == "http" and not is_loopback(value):
        raise ValueError("is plain http to another machine; use https")
    return value


def is_loopback(url: str) -> bool:
    """True when the address can only be this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _shown_name(value: str) -> str:
    if not value.strip() or signing.name(value) != value.strip():
        raise ValueError(
            f"cannot stand above an answer: at most {signing.NAME_LIMIT} characters on one line, and nothing that a "
            "chat makes a link of (@, #, /, a dot before a letter)"
        )
    return value.strip()


ShownName = Annotated[str, AfterValidator(_shown_name)]
"""A name that customers read above an answer."""
LanguageTag = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
"""A language as a customer's app names it, without its country: en, zh, yue."""
ChannelId = Annotated[str, AfterValidator(_channel)]
"""A Slack channel id such as C0SUPPORT."""
MemberId = Annotated[str, AfterValidator(_member)]
"""A Slack user id (U..., W...) or user group id (S...)."""
ViewerId = Annotated[str, AfterValidator(_viewer)]
"""Somebody at the desk (as MemberId), or at the command line: os: and the operating system's user name."""
Url = Annotated[str, AfterValidator(_url)]
"""An http(s) address without user and password; plain http only on this machine."""


def _desk_language(value: str) -> str:
    if value not in texts.DESK.languages:
        raise ValueError(
            f'there are no texts for agents in "{value}"; use one of {", ".join(texts.DESK.languages)}, '
            f"or add bot/texts/desk/{value}.yaml"
        )
    return value


DeskLanguage = Annotated[str, AfterValidator(_desk_language)]
"""A language that there are texts for agents in."""


def _model_line(value: str) -> str:
    try:
        found = sources.parse(value)
    except ModelError as error:
        raise ValueError(str(error)) from None
    return _url(found.name) if found.kind == "server" else value.strip()


def placed_line(folder: Path, line: str) -> str:
    """A line whose folder, if it names one, is counted from `folder`."""
    found = sources.parse(line)
    return str((folder / found.name).resolve()) if found.kind == "folder" else line


ModelLine = Annotated[str, AfterValidator(_model_line)]
"""Where a model comes from, as `classifiers.sources` reads it."""
