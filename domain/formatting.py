"""How words are dressed: bold, code, links and the like, as spans over a plain text.

The text stays whole without its spans: a link stands in it as `label (address)`, so that whoever shows plain text loses
nothing, and whoever can link shows the label alone. Places and lengths are in characters (code points).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

MOST_SPANS = 400
"""Kept of one text: beyond that it is not emphasis any more, and the rest is shown plain."""


class Style(StrEnum):
    """What a span of text looks like."""

    BOLD = "bold"
    ITALIC = "italic"
    UNDERLINE = "underline"
    STRIKE = "strike"
    CODE = "code"
    PRE = "pre"
    QUOTE = "quote"
    LINK = "link"


_KNOWN = frozenset(style.value for style in Style)
VERBATIM = frozenset({Style.CODE, Style.PRE})
"""Shown letter by letter: nothing else is styled inside them."""
WHOLE = frozenset({Style.PRE, Style.QUOTE, Style.LINK})
"""Two of them side by side are two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """One style over `length` characters from `start`.

    For a link these hold `label (address)`, and `label` is the length of the label; it is 0 for every other style.
    """

    style: Style
    start: int
    length: int
    label: int = 0

    @property
    def end(self) -> int:
        """The first character behind it."""
        return self.start + self.length


def address(text: str, link: Span) -> str:
    """Where a link of this text leads; empty where the span is none or does not fit the text."""
    if link.style is not Style.LINK or not 0 < link.label < link.length - 3 or link.end > len(text):
        return ""
    shown = text[link.start + link.label : link.end]
    return shown[2:-1] if shown.startswith(" (") and shown.endswith(")") else ""


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans in order, those of one style that touch made one, at most `MOST_SPANS`."""
    made: list[Span] = []
    newest: dict[Style, int] = {}
    for span in sorted(spans, key=lambda one: (one.start, -one.length)):
        place = newest.get(span.style)
        if place is not None and span.style not in WHOLE and span.start <= made[place].end:
            before = made[place]
            made[place] = Span(style=span.style, start=before.start, length=max(before.end, span.end) - before.start)
            continue
        newest[span.style] = len(made)
        made.append(span)
    return tuple(made[:MOST_SPANS])


def within(spans: Iterable[Span], start: int, end: int) -> tuple[Span, ...]:
    """The spans of the piece `text[start:end]`, by its own places. A link that was cut is plain text there."""
    found = []
    for span in spans:
        first, last = max(span.start, start), min(span.end, end)
        is_cut = (first, last) != (span.start, span.end)
        if last > first and not (is_cut and span.style is Style.LINK):
            found.append(Span(style=span.style, start=first - start, length=last - first, label=span.label))
    return tuple(found)


def dump(spans: Sequence[Span]) -> list[list[str | int]]:
    """Spans as JSON: no word of the text is in it."""
    return [[span.style.value, span.start, span.length, *([span.label] if span.label else [])] for span in spans]


def load(value: object) -> tuple[Span, ...]:
    """Read what `dump` wrote; what is not of its form is left out."""
    return tuple(span for one in value if (span := _span(one)) is not None) if isinstance(value, list) else ()


def _span(value: object) -> Span | None:
    match value:
        case [str(style), int(start), int(length)]:
            label = 0
        case [str(style), int(start), int(length), int(label)]:
            pass
        case _:
            return None
    if style not in _KNOWN or start < 0 or length <= 0 or not 0 <= label < length:
        return None
    return Span(style=Style(style), start=start, length=length, label=label)
