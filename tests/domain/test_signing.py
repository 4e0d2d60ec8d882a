"""The name above an answer: nothing in it leads anywhere, and it takes no more room than is kept for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import signing, text
from domain.formatting import Span, Style


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Maya", "Maya"),
        ("  Maya\n\tOrtiz ", "Maya Ortiz"),
        ("J.R. Smith", "J. R. Smith"),
        ("maya.example.com", "maya. example. com"),
        ("@maya #1 /stop", "maya 1 stop"),
        ("<b>Maya</b>", "b Maya b"),
        ("\u202eayaM", "ayaM"),
        ("https://evil.example", "https: evil. example"),
        ("王小明", "王小明"),
        ("@", ""),
        ("", ""),
    ],
)
def test_a_name_is_one_line_that_leads_nowhere(raw: str, shown: str) -> None:
    """What a chat makes a link, a mention, a tag or a command of is taken out; what is left may be nothing."""
    assert signing.name(raw) == shown


@given(st.text(max_size=300))
def test_any_name_is_short_and_stays_as_it_is(raw: str) -> None:
    """However long or odd: sixty characters on one line, and made safe twice it is the same."""
    made = signing.name(raw)
    assert len(made) <= signing.NAME_LIMIT
    assert text.utf16_len(made) + len("：\n") <= signing.ROOM
    assert "\n" not in made
    assert signing.name(made) == made


def test_the_name_stands_above_the_words_and_moves_their_dress_along() -> None:
    """What was bold is bold; a file without words has the name alone."""
    said, (head, below) = signing.headed("Maya:", "all good", (Span(style=Style.ITALIC, start=4, length=4),))
    assert (said, said[: head.end], head.style) == ("Maya:\nall good", "Maya:", Style.BOLD)
    assert (said[below.start : below.end], below.style) == ("good", Style.ITALIC)
    assert signing.headed("Maya:", "", ()) == ("Maya:", (Span(style=Style.BOLD, start=0, length=5),))


def test_what_an_entry_notes_is_read_again() -> None:
    """A signed entry keeps room for the name in every piece, any other is parted as ever; odd notes are none."""
    data = signing.noted("agent", "support")
    assert signing.read(data) == ("agent", "support")
    assert signing.limit(4096, data) == 4096 - signing.ROOM
    assert signing.limit(40, data) == 20
    assert signing.noted("none", "support") == {}
    for odd in ({}, {"signed": "agent"}, {"signed": {"as": "boss"}}):
        assert signing.read(odd) == ("none", "")
        assert signing.limit(4096, odd) == 4096
