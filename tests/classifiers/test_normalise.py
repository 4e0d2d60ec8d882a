"""One spelling of what means the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.normalise import KEEP_CHARS, normalise, spell


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("  Where   is\n my ORDER?  ", "where is my order?"),
        ("ｏｒｄｅｒ　１２", "order 12"),  # full width
        ("ﬁle", "file"),  # ligature
        ("my order 2023-0918-77 please", "my order 0000 please"),
        ("单号20230918", "单号0000"),
        ("call +49 170 1234567", "call 0000"),  # a number hidden is any number
        ("我住在北京市朝阳区建国路88号", "我住在 0000"),
        ("see https://example.com/a?b=c now", "see url now"),
        ("write to jane.doe@example.com", "write to email"),
        ("o\u200br\u200bd\ufeffe\u00adr", "order"),
        ("a\u202eb", "ab"),
        ("\ud800a\udfff", "a"),
        ("\x00a\x07b", "ab"),
        ("\u200b\u200d", ""),
        ("room 101", "room 101"),  # short numbers may mean something
    ],
)
def test_spellings_meet(written: str, expected: str) -> None:
    """Case, width, spaces, invisible characters and whose number it is make no difference."""
    assert normalise(written) == expected


def test_rules_still_see_numbers() -> None:
    """What the rules read keeps its numbers: 12315 is a hotline, not an order."""
    assert spell("我要打12315") == "我要打12315"


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_is_safe_to_encode(text: str) -> None:
    """Whatever comes in, what comes out is UTF-8 on one line within the limit."""
    normal = normalise(text)
    assert len(normal.encode("utf-8")) >= len(normal)
    assert len(normal) <= KEEP_CHARS + len(" email ")
    assert "\n" not in normal
    assert normal == normal.strip()


def test_a_long_text_is_cut() -> None:
    """The beginning of a very long text stands for it."""
    assert len(normalise("word " * 100_000)) <= KEEP_CHARS
