"""Dressed text as Telegram takes it: a text and its entities, with places in UTF-16 units. No parse mode is ever used,
so that no letter an agent types can be taken for markup or refused as such.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from domain import formatting
from domain.formatting import Span, Style

TYPES = {
    Style.BOLD: "bold",
    Style.ITALIC: "italic",
    Style.UNDERLINE: "underline",
    Style.STRIKE: "strikethrough",
    Style.CODE: "code",
    Style.PRE: "pre",
    Style.QUOTE: "blockquote",
}
MOST_ENTITIES = 100
"""Telegram looks at no more in one message."""
TARGET = re.compile(r"https?://[^\s/]+\.[^\s]+", re.IGNORECASE)
"""What Telegram makes a link of; anything else stays in the text, in brackets."""

Entity = dict[str, Any]


def dressed(text: str, spans: Sequence[Span]) -> tuple[str, list[Entity]]:
    """The text and its entities: linked labels without their addresses, which the entities hold."""
    links = [span for span in spans if TARGET.fullmatch(formatting.address(text, span))]
    if not links:
        return text, _entities(text, [(span, span.start, span.end) for span in spans])
    links.sort(key=lambda span: span.start)
    kept = bytearray(b"\x01" * len(text))
    for link in links:  # the address and its brackets go; the label stays
        kept[link.start + link.label : link.end] = bytes(link.length - link.label)
    before = [0, *accumulate(kept)]  # how many characters of the new text stand before each place of the old one
    shown = "".join(char for char, stays in zip(text, kept, strict=True) if stays)
    made = _entities(shown, [(span, before[span.start], before[span.end]) for span in spans if span not in links])
    for link in links:
        place = _entity(shown, "text_link", before[link.start], before[link.end])
        made.append({**place, "url": formatting.address(text, link)})
    made.sort(key=lambda one: (one["offset"], -one["length"]))
    return shown, made[:MOST_ENTITIES]


def _entities(text: str, placed: Sequence[tuple[Span, int, int]]) -> list[Entity]:
    verbatim = [(start, end) for span, start, end in placed if span.style in formatting.VERBATIM]

    def is_clear(span: Span, start: int, end: int) -> bool:
        """Telegram takes nothing in or around code but a quotation around it."""
        is_free = span.style in formatting.VERBATIM or span.style is Style.QUOTE
        return is_free or not any(a < end and start < b for a, b in verbatim)

    return [
        _entity(text, TYPES[span.style], start, end)
        for span, start, end in placed
        if end > start and span.style in TYPES and is_clear(span, start, end)
    ][:MOST_ENTITIES]


def _entity(text: str, kind: str, start: int, end: int) -> Entity:
    first = _units(text[:start])
    return {"type": kind, "offset": first, "length": _units(text[:end]) - first}


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
