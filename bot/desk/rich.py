"""What an agent composed, read from Slack's rich text: the words, and how they are dressed.

Slack's clients send every message with a `rich_text` block that says what is bold and what is only a star. The text
beside it does not: there `*` may be either. So the block is what counts, and a message without one is plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.desk.payloads import mapping, string
from bot.desk.words import Names
from domain import formatting, text
from domain.formatting import Span, Style

STYLES = {"bold": Style.BOLD, "italic": Style.ITALIC, "strike": Style.STRIKE, "underline": Style.UNDERLINE}
CALLS = ("user", "usergroup", "broadcast")
BULLETS = ("•", "◦", "▪")
INDENT = "    "
MOST_INDENTS = 8
LINKABLE = ("http://", "https://")
_POINT = re.compile("(?!d[89a-f]..$)[1-9a-f][0-9a-f]{1,4}|00[1-9a-f][0-9a-f]")
"""A code point that is a character: no half of one, no NUL."""
DEEPEST = 4
"""Slack nests sections in lists; anything deeper was not composed by a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """Words and their dress; see `domain.formatting`."""

    text: str
    spans: tuple[Span, ...] = ()


def read(blocks: object, names: Names) -> Composed | None:
    """What the rich text of a message says; None where it has none, or holds something else beside it."""
    if not isinstance(blocks, list) or not blocks:
        return None
    if any(string(mapping(block), "type") != "rich_text" for block in blocks):
        return None
    writer = _Writer(names)
    for block in blocks:
        for element in _list(mapping(block).get("elements")):
            writer.element(mapping(element))
    return writer.composed()


@dataclass(slots=True)
class _Writer:
    names: Names
    parts: list[str] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    length: int = 0
    numbers: dict[int, int] = field(default_factory=dict)

    def composed(self) -> Composed:
        """What was written, without the line ends that only close a block."""
        whole = "".join(self.parts).rstrip("\n")
        spans = (replace(one, length=min(one.end, len(whole)) - one.start) for one in self.spans)
        return Composed(text=whole, spans=formatting.joined(span for span in spans if span.length > span.label))

    def element(self, element: dict[str, Any]) -> None:
        """One block of it: a paragraph, a list, code, a quotation. Each begins on a line of its own."""
        kind = string(element, "type")
        if self.length and not self.parts[-1].endswith("\n"):
            self._write("\n")
        start = self.length
        if kind == "rich_text_list":
            self._list(element)
        else:
            self._inline(element.get("elements"), is_verbatim=kind == "rich_text_preformatted")
        style = {"rich_text_preformatted": Style.PRE, "rich_text_quote": Style.QUOTE}.get(kind)
        if style is None and kind == "rich_text_list" and element.get("border"):
            style = Style.QUOTE
        if style is not None:
            self._mark(style, start)

    def _list(self, element: dict[str, Any]) -> None:
        indent, offset = _count(element.get("indent")), _count(element.get("offset"), most=10_000)
        is_ordered = string(element, "style") == "ordered"
        for place, item in enumerate(_list(element.get("elements")), start=1 + offset):
            if self.length and not self.parts[-1].endswith("\n"):
                self._write("\n")
            mark = f"{place}." if is_ordered else BULLETS[indent % len(BULLETS)]
            self._write(f"{INDENT * indent}{mark} ")
            self._inline(mapping(item).get("elements"))

    def _inline(self, elements: object, *, is_verbatim: bool = False, depth: int = 0) -> None:
        for one in _list(elements):
            element = mapping(one)
            if "elements" in element:
                if depth < DEEPEST:
                    self._inline(element["elements"], is_verbatim=is_verbatim, depth=depth + 1)
                continue
            start = self.length
            label = self._words(element)
            if self.length == start or is_verbatim:
                continue
            self._dress(element, start, label)

    def _dress(self, element: dict[str, Any], start: int, label: int) -> None:
        styles = mapping(element.get("style"))
        if label:
            self.spans.append(Span(style=Style.LINK, start=start, length=self.length - start, label=label))
        elif styles.get("code") is True:
            self._mark(Style.CODE, start)
            return
        for name, style in STYLES.items():
            if styles.get(name) is True:
                self._mark(style, start)

    def _words(self, element: dict[str, Any]) -> int:
        """Write an element's words; for a link with words of its own, how long these are."""
        kind = string(element, "type")
        if kind == "link":
            url = string(element, "url")
            written, label = text.linked(url, string(element, "text"))
            self._write(written)
            return label if url.startswith(LINKABLE) else 0
        self._write(_plain(kind, element, self.names))
        return 0

    def _mark(self, style: Style, start: int) -> None:
        if self.length > start:
            self.spans.append(Span(style=style, start=start, length=self.length - start))

    def _write(self, words: str) -> None:
        if words:
            self.parts.append(words)
            self.length += len(words)


def _plain(kind: str, element: dict[str, Any], names: Names) -> str:
    """An element as words. One that Slack adds some day shows its text, or what stands for it."""
    match kind:
        case "user":
            return f"@{names(string(element, 'user_id')) or 'someone'}"
        case "usergroup":
            return names(string(element, "usergroup_id")) or "the team"
        case "channel":
            return f"#{names(string(element, 'channel_id')) or 'channel'}"
        case "broadcast":
            return text.SPECIAL.get(string(element, "range"), string(element, "range"))
        case "emoji":
            return emoji(element) or f":{string(element, 'name')}:"
        case "color":
            return string(element, "value")
        case _:
            return string(element, "text") or string(element, "fallback")


def emoji(element: dict[str, Any]) -> str:
    """The characters of an emoji; empty for the company's own, which have none."""
    points = string(element, "unicode").split("-")
    if not all(_POINT.fullmatch(point) for point in points):
        return ""
    return "".join(chr(int(point, 16)) for point in points)


def users(blocks: object) -> Iterator[str]:
    """The ids of people who are mentioned in it."""
    if isinstance(blocks, list):
        for one in blocks:
            yield from users(one)
    elif isinstance(blocks, dict):
        if blocks.get("type") == "user" and string(blocks, "user_id"):
            yield string(blocks, "user_id")
        yield from users(blocks.get("elements"))


def calls(blocks: object) -> bool:
    """Whether somebody at the desk is called in it."""
    if isinstance(blocks, list):
        return any(calls(one) for one in blocks)
    if isinstance(blocks, dict):
        return blocks.get("type") in CALLS or calls(blocks.get("elements"))
    return False


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _count(value: object, most: int = MOST_INDENTS) -> int:
    return min(value, most) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
