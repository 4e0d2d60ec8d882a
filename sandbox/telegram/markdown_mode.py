"""Parse modes MarkdownV2 and Markdown, with Telegram's words for every mistake in them."""

from typing import Any

from sandbox.telegram.errors import ApiError, bad_request

Span = tuple[int, int, dict[str, Any]]

RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
MARKS = {
    "||": ("spoiler", "Spoiler"),
    "__": ("underline", "Underline"),
    "```": ("pre", "PreCode"),
    "*": ("bold", "Bold"),
    "_": ("italic", "Italic"),
    "~": ("strikethrough", "Strikethrough"),
    "`": ("code", "Code"),
}
LEGACY = {"*": "bold", "_": "italic", "```": "pre", "`": "code"}


def parse(source: str) -> tuple[str, list[Span]]:
    """MarkdownV2: the plain text and its spans (in characters). ApiError for broken markup."""
    return _Parser(source).run()


def parse_legacy(source: str) -> tuple[str, list[Span]]:
    """The old Markdown: no nesting, nothing reserved."""
    out: list[str] = []
    spans: list[Span] = []
    length = at = 0
    while at < len(source):
        if source[at] == "\\" and source[at + 1 : at + 2] in ("_", "*", "`", "["):
            out.append(source[at + 1])
            length, at = length + 1, at + 2
            continue
        mark = next((mark for mark in ("```", "*", "_", "`") if source.startswith(mark, at)), None)
        if mark is None and source[at] != "[":
            out.append(source[at])
            length, at = length + 1, at + 1
            continue
        closing = mark or "]"
        end = source.find(closing, at + len(closing))
        if end < 0:
            raise _broken(f"Can't find end of the entity starting at byte offset {_bytes(source, at)}")
        inner = source[at + len(closing) : end]
        at = end + len(closing)
        about: dict[str, Any] = {"type": LEGACY[mark]} if mark else {"type": "text_link", "url": ""}
        if not mark and source.startswith("(", at) and (close := source.find(")", at)) > 0:
            about["url"] = source[at + 1 : close]
            at = close + 1
        out.append(inner)
        if mark or about["url"]:
            spans.append((length, length + len(inner), about))
        length += len(inner)
    return "".join(out), spans


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._out: list[str] = []
        self._length = 0
        self._open: list[tuple[str, int, int]] = []
        self._spans: list[Span] = []
        self._quote: int | None = None

    def run(self) -> tuple[str, list[Span]]:
        source = self._source
        while self._at < len(source):
            inside = self._open[-1][0] if self._open else ""
            if inside in ("`", "```"):
                self._code(inside)
                continue
            char = source[self._at]
            if char == "\\" and self._at + 1 < len(source) and "\x00" < source[self._at + 1] <= "~":
                self._emit(source[self._at + 1])
                self._at += 2
            elif self._quotes(char) or self._link() or self._mark():
                continue
            elif char in RESERVED:
                raise _broken(f"Character '{char}' is reserved and must be escaped with the preceding '\\'")
            else:
                self._emit(char)
                self._at += 1
        self._end_quote()
        if self._open:
            mark, _, begin = self._open[-1]
            name = "TextUrl" if mark == "[" else MARKS[mark][1]
            raise _broken(f"Can't find end of {name} entity at byte offset {_bytes(source, begin)}")
        return "".join(self._out), self._spans

    def _emit(self, text: str) -> None:
        self._out.append(text)
        self._length += len(text)

    def _quotes(self, char: str) -> bool:
        """A `>` at the beginning of a line; the quotation ends where a line begins without one."""
        at_line_start = self._at == 0 or self._source[self._at - 1] == "\n"
        if at_line_start and char == ">":
            if self._quote is None:
                self._quote = self._length
            self._at += 1
            return True
        if at_line_start:
            self._end_quote()
        return False

    def _end_quote(self) -> None:
        if self._quote is not None:
            self._spans.append((self._quote, self._length, {"type": "blockquote"}))
            self._quote = None

    def _link(self) -> bool:
        source = self._source
        if source[self._at] == "[":
            self._open.append(("[", self._length, self._at))
            self._at += 1
            return True
        if source[self._at] != "]" or not self._open or self._open[-1][0] != "[":
            return False
        _, start, _ = self._open.pop()
        self._at += 1
        url = "".join(self._out)[start:] if not source.startswith("(", self._at) else self._url()
        self._spans.append((start, self._length, {"type": "text_link", "url": url}))
        return True

    def _url(self) -> str:
        url: list[str] = []
        at = self._at + 1
        while at < len(self._source) and self._source[at] != ")":
            if self._source[at] == "\\" and at + 1 < len(self._source):
                at += 1
            url.append(self._source[at])
            at += 1
        if at >= len(self._source):
            raise _broken(f"Can't find end of a URL at byte offset {_bytes(self._source, self._at)}")
        self._at = at + 1
        return "".join(url)

    def _mark(self) -> bool:
        for mark, (kind, _) in MARKS.items():
            if not self._source.startswith(mark, self._at):
                continue
            if self._open and self._open[-1][0] == mark:
                _, start, _ = self._open.pop()
                self._spans.append((start, self._length, {"type": kind}))
            else:
                self._open.append((mark, self._length, self._at))
            self._at += len(mark)
            if mark == "```":
                self._language()
            return True
        return False

    def _language(self) -> None:
        """The word after three back-ticks, when a line break follows, is the language and not the text."""
        end = self._source.find("\n", self._at)
        word = self._source[self._at : end] if end >= 0 else ""
        if end >= 0 and all("!" <= char <= "~" and char != "`" for char in word):
            self._at = end + 1

    def _code(self, mark: str) -> None:
        """Inside code only the closing mark and a backslash before it mean anything."""
        source = self._source
        if source[self._at] == "\\" and source[self._at + 1 : self._at + 2] in ("`", "\\"):
            self._emit(source[self._at + 1])
            self._at += 2
        elif source.startswith(mark, self._at):
            _, start, _ = self._open.pop()
            self._spans.append((start, self._length, {"type": MARKS[mark][0]}))
            self._at += len(mark)
        else:
            self._emit(source[self._at])
            self._at += 1


def _bytes(source: str, at: int) -> int:
    return len(source[:at].encode("utf-8", "surrogatepass"))


def _broken(what: str) -> ApiError:
    return bad_request(f"can't parse entities: {what}")
