"""What a person composes: markup becomes rich text as Slack's client sends it, and everything else stays text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.slack import composed

Json = dict[str, Any]


def words(value: object) -> str:
    """All text in a block, one after the other."""
    if isinstance(value, list):
        return "".join(words(one) for one in value)
    if isinstance(value, dict):
        return str(value.get("text") or value.get("url") or "") + words(value.get("elements", []))
    return ""


@pytest.mark.parametrize(
    ("typed", "element"),
    [
        ("*so*", {"type": "text", "text": "so", "style": {"bold": True}}),
        ("_*so*_", {"type": "text", "text": "so", "style": {"italic": True, "bold": True}}),
        ("`a_b_c`", {"type": "text", "text": "a_b_c", "style": {"code": True}}),
        ("a_b_c * d", {"type": "text", "text": "a_b_c * d"}),
        ("https://a.example/x_y_z", {"type": "link", "url": "https://a.example/x_y_z"}),
        ("<@U0MAYA>", {"type": "user", "user_id": "U0MAYA"}),
    ],
)
def test_inline_markup(typed: str, element: Json) -> None:
    """Stars, underscores and ticks around words are styles; inside words, addresses and code they are letters."""
    assert composed.blocks(typed) == [
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [element]}]}
    ]


def test_blocks_of_lines() -> None:
    """Lists with their depth and first number, quotations over several lines, and code in fences."""
    (block,) = composed.blocks("so:\n3. a\n4. b\n    - c\n> d\n> e\n```x\ny```\nend")
    kinds = [(one["type"], one.get("style"), one.get("indent"), one.get("offset")) for one in block["elements"]]
    assert kinds == [
        ("rich_text_section", None, None, None),
        ("rich_text_list", "ordered", 0, 2),
        ("rich_text_list", "bullet", 1, None),
        ("rich_text_quote", None, None, None),
        ("rich_text_preformatted", None, None, None),
        ("rich_text_section", None, None, None),
    ]
    assert words(block) == "so:\nabcd\nex\nyend"


@given(st.text(st.sampled_from("ab 您👍\n"), max_size=60))
def test_text_without_markup_is_kept_letter_by_letter(typed: str) -> None:
    """Nothing is lost or made up where nobody used markup."""
    assert words(composed.blocks(typed)) == typed


@given(st.text(st.sampled_from("ab*_~`>-1. \n<@U0|https://x.y"), max_size=60))
def test_any_markup_is_read(typed: str) -> None:
    """However broken, it becomes blocks."""
    assert composed.blocks(typed)[0]["type"] == "rich_text"
