"""Parse mode HTML, with Telegram's words for every mistake in it."""

import re
from typing import Any

from sandbox.telegram.errors import ApiError, bad_request

Span = tuple[int, int, dict[str, Any]]

PLAIN = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
}  # fmt: skip
TAGS = frozenset([*PLAIN, "a", "span", "tg-emoji", "pre", "code", "blockquote"])
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
REFERENCE = re.compile(r"&(?:#x(?P<hex>[0-9A-Fa-f]{1,6})|#(?P<dec>[0-9]{1,7})|(?P<name>[A-Za-z]+));?")
NAME = re.compile(r"[^\s>]*")
ATTRIBUTE = re.compile(r"\s*(?P<name>[^\s=>]*)")
SPACE = re.compile(r"\s*")
TOKEN = re.compile(r"[A-Za-z0-9.-]*")


def parse(source: str) -> tuple[str, list[Span]]:
    """The plain text and its spans (start and end in characters, the rest of the entity). ApiError for
    broken markup.
    """
    return _Parser(source).run()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._out: list[str] = []
        self._length = 0
        self._open: list[tuple[str, dict[str, str], int]] = []
        self._spans: list[Span] = []

    def run(self) -> tuple[str, list[Span]]:
        source = self._source
        while self._at < len(source):
            char = source[self._at]
            if char == "&":
                self._reference()
            elif char != "<":
                self._emit(char)
                self._at += 1
            elif source.startswith("</", self._at):
                self._end_tag()
            else:
                self._start_tag()
        if self._open:
            raise _broken(f"Can't find end tag corresponding to start tag {self._open[-1][0]}")
        return "".join(self._out), self._spans

    def _emit(self, text: str) -> None:
        self._out.append(text)
        self._length += len(text)

    def _reference(self) -> None:
        text, size = _decode(self._source, self._at)
        self._emit(text)
        self._at += size

    def _start_tag(self) -> None:
        begin = self._at
        where = _bytes(self._source, begin)
        name = self._match(NAME, begin + 1).lower()
        if self._at >= len(self._source):
            raise _broken(f"Unclosed start tag at byte offset {where}")
        if name not in TAGS:
            raise _broken(f'Unsupported start tag "{name}" at byte offset {where}')
        attributes: dict[str, str] = {}
        while True:
            self._match(SPACE, self._at)
            if self._source.startswith(">", self._at):
                self._at += 1
                break
            if self._at >= len(self._source):
                raise _broken(f"Unclosed start tag at byte offset {where}")
            key, value = self._attribute(name, where)
            attributes[key] = value
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise _broken(f'Tag "span" must have class "tg-spoiler" at byte offset {where}')
        self._open.append((name, attributes, self._length))

    def _attribute(self, tag: str, where: int) -> tuple[str, str]:
        key = self._match(ATTRIBUTE, self._at).strip()
        if not key:
            raise _broken(f'Empty attribute name in the tag "{tag}" at byte offset {where}')
        self._match(SPACE, self._at)
        if not self._source.startswith("=", self._at):
            if tag == "blockquote" and key == "expandable":
                return key, ""
            raise _broken(
                f'Expected equal sign in declaration of an attribute of the tag "{tag}" at byte offset {where}'
            )
        self._match(SPACE, self._at + 1)
        quote = self._source[self._at : self._at + 1]
        if quote not in ("'", '"'):
            return key, self._match(TOKEN, self._at).lower()
        end = self._source.find(quote, self._at + 1)
        if end < 0:
            raise _broken(f"Unclosed start tag at byte offset {where}")
        value = self._source[self._at + 1 : end]
        self._at = end + 1
        return key, REFERENCE.sub(lambda match: _decode(match.group(), 0)[0], value)

    def _end_tag(self) -> None:
        begin = self._at
        where = _bytes(self._source, begin)
        if not self._open:
            raise _broken(f"Unexpected end tag at byte offset {where}")
        name = self._match(NAME, begin + 2).lower()
        self._match(SPACE, self._at)
        if not self._source.startswith(">", self._at):
            raise _broken(f"Unclosed end tag at byte offset {where}")
        self._at += 1
        tag, attributes, start = self._open[-1]
        if name and name != tag:
            raise _broken(f'Unmatched end tag at byte offset {where}, expected "</{tag}>", found "</{name}>"')
        self._open.pop()
        if self._length > start:
            self._spans.append((start, self._length, self._about(tag, attributes, start)))

    def _about(self, tag: str, attributes: dict[str, str], start: int) -> dict[str, Any]:
        if tag in PLAIN:
            return {"type": PLAIN[tag]}
        if tag == "span":
            return {"type": "spoiler"}
        if tag == "a":
            return {"type": "text_link", "url": attributes.get("href") or "".join(self._out)[start:]}
        if tag == "blockquote":
            return {"type": "expandable_blockquote" if "expandable" in attributes else "blockquote"}
        if tag == "tg-emoji":
            emoji_id = attributes.get("emoji-id", "")
            if not emoji_id.isdecimal() or emoji_id == "0":
                raise _broken("Invalid custom emoji identifier specified")
            return {"type": "custom_emoji", "custom_emoji_id": emoji_id}
        return {"type": tag}

    def _match(self, pattern: re.Pattern[str], at: int) -> str:
        """Move over what the pattern finds at `at` (it may find nothing) and return it."""
        found = pattern.match(self._source, at)
        text = found.group() if found else ""
        self._at = at + len(text)
        return text


def _decode(source: str, at: int) -> tuple[str, int]:
    """The character that a reference stands for and its length; an unknown reference is only text."""
    match = REFERENCE.match(source, at)
    if match is None:
        return "&", 1
    if match["name"]:
        char = NAMED.get(match["name"])
        return (char, len(match.group())) if char else ("&", 1)
    code = int(match["hex"], 16) if match["hex"] else int(match["dec"])
    if code == 0 or code >= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        return "&", 1
    return chr(code), len(match.group())


def _bytes(source: str, at: int) -> int:
    return len(source[:at].encode("utf-8", "surrogatepass"))


def _broken(what: str) -> ApiError:
    return bad_request(f"can't parse entities: {what}")
