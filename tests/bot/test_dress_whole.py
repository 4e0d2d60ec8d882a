"""Whole messages from the composer to the phone, against a second, plainer reading of them; and customers' links to the
desk. What Telegram takes is judged by the sandbox's own reading of entities.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from telegram import MessageEntity

from bot.channels import telegram_content, telegram_entities
from bot.desk import rich
from domain import formatting, text
from sandbox.telegram import entities
from sandbox.telegram.params import Params
from tests.bot.test_dress import TELEGRAM, by_character

Json = dict[str, Any]
Letter = tuple[str, frozenset[str], str]
"""A character, the styles it is shown in, and the address behind it."""

LETTERS = "ab &<>_*~`|[](){}.!#@/:\\\n\t\u00a0é您订𠮷𝒳👍🏽👩‍👩‍👧🇩🇪❤️שלוםمرحبا\u200f\u200d\u0301x"
WORDS = st.text(st.sampled_from(LETTERS), min_size=1, max_size=10) | st.sampled_from(
    [
        "<@U0MAYA>",
        "<!channel>",
        "&lt;b&gt;",
        "&amp;",
        "```",
        "*b*",
        "_i_",
        "https://a.example/b",
        "@here",
        "> a",
        "• a",
        "1. a",
    ]
)
STYLES = st.frozensets(st.sampled_from(["bold", "italic", "strike", "underline", "code"]), max_size=3)
LABELS = WORDS.map(lambda words: words.rstrip("\n") or "x")
URLS = st.sampled_from(
    ["https://a.example/x?y=1&z=(2)", "http://b.example", "https://c.example/ü/%20#d", "tel:+4930", "mailto:a@b.c"]
)
NAMES = {"U0MAYA": "Maya", "S0AGENTS": "Support", "C0SUPPORT": "support"}


def run(kind: str, styles: frozenset[str], **fields: object) -> Json:
    """One element as Slack sends it."""
    return {"type": kind, **fields, **({"style": dict.fromkeys(styles, True)} if styles else {})}


INLINE = st.one_of(
    st.builds(lambda words, styles: run("text", styles, text=words), WORDS, STYLES),
    st.builds(lambda url, label, styles: run("link", styles, url=url, text=label), URLS, LABELS, STYLES),
    st.builds(lambda url, styles: run("link", styles, url=url), URLS, STYLES),
    st.builds(lambda user, styles: run("user", styles, user_id=user), st.sampled_from(["U0MAYA", "U0NOBODY"]), STYLES),
    st.builds(lambda styles: run("usergroup", styles, usergroup_id="S0AGENTS"), STYLES),
    st.builds(lambda styles: run("channel", styles, channel_id="C0SUPPORT"), STYLES),
    st.builds(
        lambda range_: run("broadcast", frozenset(), range=range_), st.sampled_from(["here", "channel", "everyone"])
    ),
    st.builds(
        lambda points, styles: run("emoji", styles, name="x", unicode=points),
        st.sampled_from(["1f44d-1f3fd", "2764-fe0f"]),
        STYLES,
    ),
    st.just(run("emoji", frozenset(), name="our_logo")),
)
LINE = st.lists(INLINE, min_size=1, max_size=4)
SECTION = LINE.map(lambda line: {"type": "rich_text_section", "elements": line})
LIST = st.builds(
    lambda items, ordered, indent, offset, border: {
        "type": "rich_text_list",
        "style": "ordered" if ordered else "bullet",
        "indent": indent,
        "offset": offset,
        "border": border,
        "elements": items,
    },
    st.lists(SECTION, min_size=1, max_size=3),
    st.booleans(),
    st.integers(0, 3),
    st.integers(0, 12),
    st.integers(0, 1),
)
QUOTE = LINE.map(lambda line: {"type": "rich_text_quote", "elements": line})
PRE = LINE.map(lambda line: {"type": "rich_text_preformatted", "elements": line})
MESSAGE = st.lists(SECTION | LIST | QUOTE | PRE, min_size=1, max_size=5)


@dataclass
class Reading:
    """The plain reading: letter by letter, each with its dress."""

    letters: list[Letter] = field(default_factory=list)
    links: int = 0

    def whole(self, message: list[Json]) -> list[Letter]:
        """All of a message."""
        for block in message:
            self.line_end()
            start = len(self.letters)
            if block["type"] == "rich_text_list":
                for number, item in enumerate(block["elements"], 1 + block["offset"]):
                    self.line_end()
                    mark = f"{number}." if block["style"] == "ordered" else "•◦▪"[block["indent"] % 3]
                    self.plain("    " * block["indent"] + f"{mark} ")
                    self.inline(item["elements"])
            else:
                self.inline(block["elements"], verbatim=block["type"] == "rich_text_preformatted")
            around = {"rich_text_quote": "blockquote", "rich_text_preformatted": "pre"}.get(block["type"])
            if around or block.get("border"):
                self.letters[start:] = [
                    (letter, styles | {around or "blockquote"}, url) for letter, styles, url in self.letters[start:]
                ]
        return self.letters

    def inline(self, elements: list[Json], *, verbatim: bool = False) -> None:
        """A run of elements."""
        for one in elements:
            styles = frozenset(one.get("style", {}))
            dress = frozenset({"code"}) if "code" in styles else frozenset(TELEGRAM[style] for style in styles)
            url, label = one.get("url", ""), one.get("text", "")
            address = url.removeprefix("mailto:").removeprefix("tel:")
            if one["type"] != "link":
                self.plain(self.words(one), frozenset() if verbatim else dress)
            elif (
                not text.clean(label).strip()
                or label == address
                or label.rstrip("/") == address.removeprefix("https://").removeprefix("http://")
            ):
                self.plain(address, frozenset() if verbatim else dress)
            elif verbatim or not url.startswith("http"):
                self.plain(f"{label} ({address})", frozenset() if verbatim else dress)
            else:
                dress = frozenset(TELEGRAM[style] for style in styles - {"code"})  # a link is a link first
                self.letters += [(letter, dress | {"text_link"}, url) for letter in label]
                self.links += 1

    @staticmethod
    def words(one: Json) -> str:
        """What stands for an element that is no link."""
        match one["type"]:
            case "text":
                return str(one["text"])
            case "user":
                return f"@{NAMES.get(one['user_id'], 'someone')}"
            case "usergroup":
                return "Support"
            case "channel":
                return "#support"
            case "broadcast":
                return str(one["range"])
            case _:
                return {"1f44d-1f3fd": "👍🏽", "2764-fe0f": "❤️"}.get(one.get("unicode", ""), f":{one['name']}:")

    def plain(self, words: str, dress: frozenset[str] = frozenset()) -> None:
        """Letters without an address."""
        self.letters += [(letter, dress, "") for letter in words]

    def line_end(self) -> None:
        """The next block or item begins on a line of its own."""
        if self.letters and self.letters[-1][0] != "\n":
            self.plain("\n")


def composed(message: list[Json]) -> rich.Composed:
    """A message as the product reads it."""
    read = rich.read([{"type": "rich_text", "elements": message}], NAMES.get)
    assert read is not None
    return read


def shown(piece: str, spans: tuple[formatting.Span, ...]) -> list[Letter]:
    """What a phone shows of one message."""
    words, found = telegram_entities.dressed(piece, spans)
    units = words.encode("utf-16-le")
    addresses = [""] * len(words)
    for one in found:
        if one["type"] == "text_link":
            start = len(units[: 2 * one["offset"]].decode("utf-16-le"))
            size = len(units[2 * one["offset"] : 2 * (one["offset"] + one["length"])].decode("utf-16-le"))
            addresses[start : start + size] = [one["url"]] * size
    styles = by_character(words, found)
    return [(letter, frozenset(dress), url) for letter, dress, url in zip(words, styles, addresses, strict=True)]


@given(MESSAGE)
def test_a_whole_message_is_on_the_phone_what_it_was_in_the_composer(message: list[Json]) -> None:
    """Sections, lists, quotations, code, links, people and emoji, in any order and dress, beside a second reading."""
    read, reading = composed(message), Reading()
    wanted = reading.whole(message)
    assume("".join(letter for letter, _, _ in wanted).strip())
    assert unclosed(shown(read.text, read.spans)) == unclosed(wanted)


def unclosed(letters: list[Letter]) -> list[Letter]:
    """Without the line ends that only close a message."""
    while letters and letters[-1][0] == "\n":
        letters.pop()
    return letters


@given(MESSAGE, st.integers(min_value=24, max_value=90))
def test_every_piece_is_taken_and_tells_what_the_record_holds(message: list[Json], limit: int) -> None:
    """Telegram takes each piece; with the addresses back behind their labels it is the text of the record."""
    read = composed(message)
    for start, end in text.split_places(read.text, limit):
        words, found = telegram_entities.dressed(read.text[start:end], formatting.within(read.spans, start, end))
        again, kept = entities.read(Params({"text": words, "entities": json.dumps(found)}), "text")
        assert again == words.strip()
        assert words != again or all(one in kept for one in found)
        assert "".join(unlinked(words, found)) == read.text[start:end]
        for one in found:
            assert one["length"] > 0
            assert one["offset"] + one["length"] <= text.utf16_len(words)


def unlinked(words: str, found: list[Json]) -> Iterator[str]:
    """The words with the address of each link behind it again."""
    behind: dict[int, str] = {}
    for one in found:
        if one["type"] == "text_link":
            behind[one["offset"] + one["length"]] = f" ({one['url'].removeprefix('mailto:')})"
    unit = 0
    for letter in words:
        unit += 1 if letter <= "\uffff" else 2
        yield letter + behind.get(unit, "")


# ---- customers' links ----

TYPED = st.text(st.sampled_from(LETTERS), max_size=24)


@given(TYPED, st.lists(st.tuples(st.integers(-2, 40), st.integers(-2, 40)), max_size=5))
def test_a_customers_hidden_links_show_where_they_lead_and_lose_no_letter(
    words: str, places: list[tuple[int, int]]
) -> None:
    """Side by side, nested, overlapping, false ones, and ones that begin in half a character."""
    found = tuple(
        MessageEntity(type="text_link", offset=offset, length=length, url=f"https://{number}.example")
        for number, (offset, length) in enumerate(places)
    )
    said = telegram_content.with_links(words, found)
    size = text.utf16_len(words)
    left = said.encode("utf-16-le", "surrogatepass")
    for number, (offset, length) in enumerate(places):
        behind = f" (https://{number}.example)".encode("utf-16-le")
        if 0 <= offset < offset + length <= size:
            assert behind in left
            left = left.replace(behind, b"")
    assert left == words.encode("utf-16-le", "surrogatepass")
    text.clean(said).encode("utf-8")
