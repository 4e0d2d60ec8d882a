"""Under which name an answer reaches the customer: nobody's, the agent's, or the team's.

The name stands above the words in the customer's copy alone. What the agent wrote is kept, searched, changed and given
out as it was written. An entry notes how it is signed, so that it is parted alike whenever it is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from domain import text
from domain.formatting import Span, Style

Signature = Literal["none", "agent", "team"]
SIGNATURES: Final[tuple[Signature, ...]] = ("none", "agent", "team")
NAME_LIMIT: Final = 60
ROOM: Final = 140
"""UTF-16 units that each piece of a signed answer leaves free: a name of 60 characters, what a language puts beside it
and the line's end."""
AGAIN_AFTER: Final = timedelta(hours=12)
"""So long after it was last shown a name is shown again, though nobody else has written."""
_LINKS: Final = re.compile(r"[@#/\\<>]+")
_DOT: Final = re.compile(r"([.:])(?=\w)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A name as the customer reads it, and whose it is: `agent:U0MAYA`, `team:support`."""

    key: str
    said: str


def name(raw: str) -> str:
    """A name that nothing in a chat makes a link, a mention or a command of: one line, 60 characters; may be empty."""
    plain = _DOT.sub(r"\1 ", _LINKS.sub(" ", text.clean_name(raw, NAME_LIMIT * 2)))
    return text.clean_name(plain, NAME_LIMIT)


def noted(how: Signature, queue: str) -> dict[str, Any]:
    """What an entry notes of how it is signed; nothing where it is not."""
    return {} if how == "none" else {"signed": {"as": how, "queue": queue}}


def read(data: Mapping[str, Any]) -> tuple[Signature, str]:
    """How an entry is signed, and the queue whose team it was."""
    kept = data.get("signed")
    if not isinstance(kept, Mapping) or kept.get("as") not in SIGNATURES:
        return "none", ""
    return kept["as"], str(kept.get("queue") or "")


def room(units: int) -> int:
    """How much of a message that takes so many UTF-16 units is left to the name; at most half of it."""
    return min(ROOM, units // 2)


def limit(units: int, data: Mapping[str, Any]) -> int:
    """How long a piece of an entry's words may be where a message takes so many UTF-16 units."""
    return units if read(data)[0] == "none" else units - room(units)


def headed(label: str, words: str, spans: Iterable[Span]) -> tuple[str, tuple[Span, ...]]:
    """The words under a bold line with the name; a file without words has the name alone."""
    shift = len(label) + 1
    below = (Span(style=one.style, start=one.start + shift, length=one.length, label=one.label) for one in spans)
    head = Span(style=Style.BOLD, start=0, length=len(label))
    return (f"{label}\n{words}", (head, *below)) if words else (label, (head,))
