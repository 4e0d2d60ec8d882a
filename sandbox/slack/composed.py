"""What a person composes, as Slack's client sends it: a rich_text block beside the text.

Typed as in a client that formats with markup: `*bold*`, `_italic_`, `~struck~`, `` `code` ``, ``` for a block of code,
`>` before a quotation, `- ` or `1. ` before the items of a list.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

Json = dict[str, Any]

_FENCE = re.compile(r"```\n?(.*?)\n?```", re.DOTALL)
_INLINE = re.compile(
    r"<(?P<url>https?://[^<>|\s]+)(?:\|(?P<label>[^<>]+))?>|<@(?P<user>[UW][A-Z0-9]+)(?:\|[^<>]*)?>"
    r"|(?P<bare>https?://[^\s<>]+[^\s<>.,;:!?)\]'\"*_~`])"
    r"|(?<![\w`])`(?P<code>[^`\n]+)`(?![\w`])"
    r"|(?<![\w*])\*(?P<bold>(?! )[^*\n]+(?<! ))\*(?![\w*])"
    r"|(?<![\w_])_(?P<italic>(?! )[^_\n]+(?<! ))_(?![\w_])"
    r"|(?<![\w~])~(?P<strike>(?! )[^~\n]+(?<! ))~(?![\w~])"
)
_ITEM = re.compile(r"(?P<indent> *)(?:(?P<bullet>[-•])|(?P<number>\d+)\.) (?P<words>.*)")
_QUOTE = re.compile(r"> ?(?P<words>.*)")
SPACES_PER_INDENT = 4


def blocks(typed: str) -> list[Json]:
    """The blocks of a message that was typed so."""
    elements: list[Json] = []
    place = 0
    for fence in _FENCE.finditer(typed):
        elements += _lines(typed[place : fence.start()])
        code = [{"type": "text", "text": fence[1]}] if fence[1] else []
        elements.append({"type": "rich_text_preformatted", "border": 0, "elements": code})
        place = fence.end() + typed.startswith("\n", fence.end())
    elements += _lines(typed[place:])
    return [{"type": "rich_text", "elements": elements}]


def _lines(typed: str) -> Iterator[Json]:
    if not typed:
        return
    for kind, lines in groupby(typed.splitlines(keepends=True), _kind):
        found = list(lines)
        if kind[0] == "list":
            words = [_ITEM.fullmatch(line.rstrip("\n")) for line in found]
            items = [_section(match["words"]) for match in words if match is not None]
            first = words[0]
            offset = int(first["number"]) - 1 if first is not None and first["number"] else 0
            more: Json = {"offset": offset} if offset else {}
            yield {
                "type": "rich_text_list",
                "style": kind[1],
                "indent": kind[2],
                "border": 0,
                "elements": items,
                **more,
            }
        elif kind[0] == "quote":
            words = [_QUOTE.fullmatch(line.rstrip("\n")) for line in found]
            said = "\n".join(match["words"] for match in words if match is not None)
            yield {"type": "rich_text_quote", "elements": list(_inline(said))}
        else:
            yield _section("".join(found))


def _kind(line: str) -> tuple[str, str, int]:
    line = line.rstrip("\n")
    if item := _ITEM.fullmatch(line):
        return "list", "bullet" if item["bullet"] else "ordered", len(item["indent"]) // SPACES_PER_INDENT
    return ("quote" if _QUOTE.fullmatch(line) else "text"), "", 0


def _section(words: str) -> Json:
    return {"type": "rich_text_section", "elements": list(_inline(words))}


def _inline(words: str, style: Json | None = None) -> Iterator[Json]:
    dress = {"style": style} if style else {}
    place = 0
    for found in _INLINE.finditer(words):
        if found.start() > place:
            yield {"type": "text", "text": words[place : found.start()], **dress}
        place = found.end()
        kind, inner = str(found.lastgroup), found[str(found.lastgroup)]
        if url := found["url"] or found["bare"]:
            label = {"text": found["label"]} if found["label"] else {}
            yield {"type": "link", "url": url, **label, **dress}
        elif kind == "user":
            yield {"type": "user", "user_id": inner, **dress}
        elif kind == "code":
            yield {"type": "text", "text": inner, "style": {**(style or {}), "code": True}}
        else:
            yield from _inline(inner, {**(style or {}), kind: True})
    if place < len(words):
        yield {"type": "text", "text": words[place:], **dress}
