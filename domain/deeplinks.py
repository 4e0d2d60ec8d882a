"""What a link to the bot carries: `/start order-123` says which order the customer comes about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from domain.profile import Field


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepLink:
    """A kind of link: what begins with `prefix` and goes on as `pattern` says fills a field of the profile."""

    field: Field
    prefix: str
    pattern: re.Pattern[str]


def shown(links: Iterable[DeepLink], profile: Mapping[str, str], called: Callable[[str], str] = str) -> tuple[str, ...]:
    """What a card says of it: "order 123". `called` says what people call a field."""
    fields = (link.field.name for link in links)
    return tuple(f"{called(name)} {profile[name]}" for name in fields if name in profile)


def read(links: Iterable[DeepLink], argument: str) -> tuple[str, str] | None:
    """The field that an argument fills, and the value in its one form. None where nothing fits or is valid."""
    for link in links:
        rest = argument.removeprefix(link.prefix)
        if not argument.startswith(link.prefix) or not link.pattern.fullmatch(rest):
            continue
        try:
            return link.field.name, link.field.normal(rest)
        except ValueError:
            continue
    return None
