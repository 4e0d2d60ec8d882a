"""Formatting from the composer to the phone and back: what the agent typed is what the customer reads."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from telegram import MessageEntity

from bot.channels import telegram_content, telegram_entities
from bot.desk import entries, rich
from domain import formatting, text
from domain.formatting import Span, Style
from domain.model import EntryKind
from tests.bot.desk import kit

Json = dict[str, Any]
Run = tuple[str, frozenset[str]]

WORDS = st.text(st.sampled_from("ab &<>_*~`|[](){}.!#@/:\\\n0é您订👍🏽👩‍👩‍👧🇩🇪\u200dx"), min_size=1, max_size=12)
STYLES = st.frozensets(st.sampled_from(["bold", "italic", "strike", "underline"]), max_size=3) | st.just(
    frozenset({"code"})
)
RUNS = st.lists(st.tuples(WORDS, STYLES), min_size=1, max_size=12)
TELEGRAM = {"bold": "bold", "italic": "italic", "strike": "strikethrough", "underline": "underline", "code": "code"}


def nobody(_id: str) -> None:
    """No name is known."""


def section(runs: list[Run], kind: str = "rich_text_section") -> Json:
    """Runs as Slack's composer sends them."""
    elements = [{"type": "text", "text": words, "style": dict.fromkeys(styles, True)} for words, styles in runs]
    return {"type": kind, "elements": elements}


def composed(*elements: Json) -> rich.Composed:
    """Rich text as it is read."""
    read = rich.read([{"type": "rich_text", "elements": list(elements)}], nobody)
    assert read is not None
    return read


def on_the_phone(read: rich.Composed, limit: int = 4096) -> tuple[str, list[set[str]]]:
    """What the customer reads: every character with the styles Telegram shows it in, all pieces one after the other."""
    letters, styles = "", []
    for start, end in text.split_places(read.text, limit):
        shown, found = telegram_entities.dressed(read.text[start:end], formatting.within(read.spans, start, end))
        assert text.utf16_len(shown) <= limit
        letters += shown
        styles += by_character(shown, found)
    return letters, styles


def by_character(shown: str, found: list[Json]) -> list[set[str]]:
    """The styles of every character, by the entities; each of these begins and ends between two characters."""
    units = shown.encode("utf-16-le", "surrogatepass")
    styles: list[set[str]] = [set() for _ in shown]
    for one in found:
        first = len(units[: 2 * one["offset"]].decode("utf-16-le", "surrogatepass"))
        inside = units[2 * one["offset"] : 2 * (one["offset"] + one["length"])].decode("utf-16-le", "surrogatepass")
        assert len(inside) > 0
        for place in range(first, first + len(inside)):
            styles[place].add(one["type"])
    return styles


@given(RUNS)
def test_every_letter_arrives_in_the_style_it_was_typed_in(runs: list[Run]) -> None:
    """Bold, italic, struck, underlined and code, alone and together, over emoji and Chinese, with any letter inside."""
    whole = [(letter, {TELEGRAM[style] for style in styles}) for words, styles in runs for letter in words]
    while whole and whole[-1][0] == "\n":
        whole.pop()
    read = composed(section(runs))
    if not read.text.strip():
        return
    letters, styles = on_the_phone(read)
    assert letters == "".join(letter for letter, _ in whole)
    kept = len({(span.start, span.style) for span in read.spans}) <= telegram_entities.MOST_ENTITIES
    assert not kept or styles == [wanted for _, wanted in whole]


@given(RUNS, st.integers(min_value=24, max_value=60))
def test_a_long_answer_keeps_its_styles_over_the_cuts(runs: list[Run], limit: int) -> None:
    """Each piece is dressed as its letters were; only white space at the cuts goes."""
    read = composed(section(runs))
    if not read.text.strip():
        return
    letters, styles = on_the_phone(read, limit)
    wanted = [
        (letter, {TELEGRAM[s] for s in styles_}) for words, styles_ in runs for letter in words if not letter.isspace()
    ]
    found = [(letter, style) for letter, style in zip(letters, styles, strict=True) if not letter.isspace()]
    assert found == wanted


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "elements", "text", "url", "style", "indent", "offset", "border", "unicode", "user_id"]
                ),
                x,
            )
        ),
    )
)
def test_odd_rich_text_is_read_or_left(value: object) -> None:
    """Whatever stands in a block, reading it raises nothing, and every span lies within the text."""
    for blocks in (value, [value], [{"type": "rich_text", "elements": value}]):
        read = rich.read(blocks, nobody)
        assert read is None or all(0 <= span.start < span.end <= len(read.text) for span in read.spans)


def test_lists_quotations_and_code_stand_as_they_were_composed() -> None:
    """Items keep their marks and depth, numbers go on where they stopped, code and quotations are marked as such."""

    def items(*words: str, **more: object) -> Json:
        return {"type": "rich_text_list", "elements": [section([(one, frozenset())]) for one in words], **more}

    read = composed(
        section([("Please:\n", frozenset())]),
        items("reset it", "wait", style="ordered", indent=0),
        items("a minute", style="bullet", indent=1),
        items("try again", style="ordered", indent=0, offset=2),
        section([("You wrote ", frozenset()), ("this", frozenset({"bold"}))]),
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "it broke"}]},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "x = 1\ny = 2"}]},
    )
    assert read.text == (
        "Please:\n1. reset it\n2. wait\n    ◦ a minute\n3. try again\nYou wrote this\nit broke\nx = 1\ny = 2"
    )
    marked = {read.text[span.start : span.end]: span.style for span in read.spans}
    assert marked == {"this": Style.BOLD, "it broke": Style.QUOTE, "x = 1\ny = 2": Style.PRE}


def test_a_link_is_its_label_on_the_phone_and_tells_its_address_everywhere_else() -> None:
    """The record, a search and a plain channel have both; Telegram links the label. Other schemes stay readable."""
    read = composed(
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "👍 see "},
                {
                    "type": "link",
                    "url": "https://shop.example/faq?a=1&b=(2)",
                    "text": "our FAQ",
                    "style": {"bold": True},
                },
                {"type": "text", "text": " or "},
                {"type": "link", "url": "https://shop.example"},
                {"type": "text", "text": ", "},
                {"type": "link", "url": "mailto:a@shop.example", "text": "write"},
                {"type": "text", "text": ", "},
                {"type": "link", "url": "javascript:alert(1)", "text": "this"},
            ],
        }
    )
    assert read.text == (
        "👍 see our FAQ (https://shop.example/faq?a=1&b=(2)) or https://shop.example, "
        "write (a@shop.example), this (javascript:alert(1))"
    )
    shown, found = telegram_entities.dressed(read.text, read.spans)
    assert shown == "👍 see our FAQ or https://shop.example, write (a@shop.example), this (javascript:alert(1))"
    assert found == [
        {"type": "bold", "offset": 7, "length": 7},
        {"type": "text_link", "offset": 7, "length": 7, "url": "https://shop.example/faq?a=1&b=(2)"},
    ]


@given(WORDS, st.integers(min_value=2, max_value=40))
def test_a_link_that_is_cut_is_plain_text(label: str, limit: int) -> None:
    """Where a label and its address do not fit one message, both are read as text in the pieces."""
    written, length = text.linked("https://shop.example/a", label)
    span = Span(style=Style.LINK, start=0, length=len(written), label=length)
    for start, end in text.split_places(written, limit):
        piece = formatting.within([span], start, end)
        assert not piece or (start, end) == (0, len(written))


def test_spans_are_kept_without_words() -> None:
    """What the record keeps of a dress are styles and places, and it reads back; anything else is left out."""
    spans = (Span(style=Style.BOLD, start=1, length=3), Span(style=Style.LINK, start=5, length=20, label=4))
    assert formatting.dump(spans) == [["bold", 1, 3], ["link", 5, 20, 4]]
    assert formatting.load(formatting.dump(spans)) == spans
    assert formatting.load([["bold", -1, 3], ["loud", 0, 1], ["bold"], 7, ["bold", 0, 0]]) == ()
    assert formatting.load(None) == ()


# ---- customers ----

ENTITY_TYPES = st.sampled_from([*(str(kind) for kind in MessageEntity.ALL_TYPES if kind != "text_mention")])


@given(WORDS, st.lists(st.tuples(ENTITY_TYPES, st.integers(-3, 30), st.integers(-3, 30)), max_size=6))
def test_no_style_of_a_customer_reaches_slack(words: str, drawn: list[tuple[str, int, int]]) -> None:
    """Whatever entities a customer's client sends, the post holds plain quoted text, and a link shows its target."""
    found = tuple(
        MessageEntity(
            type=kind, offset=offset, length=length, url="https://evil.example" if kind == "text_link" else None
        )
        for kind, offset, length in drawn
    )
    said = text.clean(telegram_content.with_links(words, found))
    entry = kit.entry(EntryKind.INCOMING, body=said, data={"kind": "text"})
    post = entries.entry_post(entry, nobody)
    leaves = list(_texts(post.blocks))
    assert {leaf["type"] for leaf in leaves} <= {"text", "mrkdwn"}
    assert all("style" not in leaf for leaf in leaves if leaf["type"] == "text")
    shown = "".join(leaf["text"] for leaf in leaves if leaf["type"] == "text")
    assert shown.split() == said.split()
    assert "<" not in post.text.replace("&lt;", "")
    length = text.utf16_len(words)
    for kind, offset, size in drawn:
        if kind == "text_link" and offset >= 0 and size > 0 and offset + size <= length:
            assert "(https://evil.example)" in shown


def _texts(value: object) -> Any:
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value
        for one in value.values():
            yield from _texts(one)
