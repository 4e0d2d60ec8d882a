"""What a query asks for, and what holds it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import search, text

SPOKEN = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.text(
    "退款订单 abcABC.12+-()\n", max_size=80
)
TOO_MANY = " ".join(f"word{n}" for n in range(17))


@pytest.mark.parametrize(
    ("query", "said", "is_found"),
    [
        ("refund", "Where is my REFUND?", True),
        ("refund", "refunds are slow", False),
        ("退款", "我要退款，谢谢", True),
        ("退款申请", "退款的申请", False),
        ("退款申请", "我的退款申请呢", True),
        ('"not arrived"', "It has not\narrived yet", True),
        ('"not arrived"', "arrived, not lost", False),
        ("arrived not", "It has not arrived", True),
        ("订单123", "订单123可以开发票吗", True),
        ("ann@example.com", "write to Ann@Example.com please", True),
        ("ann@example.com", "ann from com, example", False),
        ("+7 912 345-67-89", "call 8 (912) 345 67 89", True),
        ("89123456789", "my number is +7 912 345-67-89", True),
        ("+7 912 345-67-89", "call 8 (913) 345 67 89", False),
        ("1234567", "order 1234567", True),
        ("ＲＥＦＵＮＤ", "refund", True),
    ],
)
def test_a_message_is_found_by_what_it_says(query: str, said: str, is_found: bool) -> None:
    """Words whole, Chinese anywhere, phrases in their order, phone numbers however they are written."""
    asked = search.parse(query)
    tokens = set(search.body_tokens(said))
    by_tokens = all(any(set(choice) <= tokens for choice in term.body_choices) for term in asked.terms)
    assert (by_tokens and asked.matches(said)) is is_found


@given(SPOKEN, st.data())
def test_every_part_of_a_message_finds_it(said: str, data: st.DataObject) -> None:
    """Whatever run of a message is looked for, tokens and check both say yes."""
    runs = text.word_runs(said)
    if not runs:
        return
    run, is_cjk = data.draw(st.sampled_from(runs))
    if is_cjk and len(run) > 2:
        start = data.draw(st.integers(0, len(run) - 2))
        run = run[start : start + 2]
    term = search.Term(runs=((run, is_cjk),))
    assert set(term.body_choices[0]) <= set(search.body_tokens(said)) or term.is_too_short
    assert term.matches(search.canonical(said), said)


@given(SPOKEN)
def test_plain_letters_are_read_as_all_others(said: str) -> None:
    """The short way for ASCII gives what the long way gives."""
    ascii_only = said.encode("ascii", "ignore").decode()
    assert [run for run, _ in text.word_runs(ascii_only + " é")][:-1] == [r for r, _ in text.word_runs(ascii_only)]


def test_filters_narrow_and_words_stay_words() -> None:
    """Known keys filter; addresses and other colons are words."""
    asked = search.parse('#1042 label:refund label:billing agent:U0MAYA on:2026-11-22 https://x.example "late parcel"')
    assert asked.numbers == {1042}
    assert asked.labels == {"refund", "billing"}
    assert asked.agents == {"U0MAYA"}
    assert asked.after == datetime(2026, 11, 22, tzinfo=UTC)
    assert asked.before == datetime(2026, 11, 23, tzinfo=UTC)
    assert [term.runs[0][0] for term in asked.terms] == ["https", "late"]
    assert asked.is_filtered
    assert search.parse("  ").is_empty


@pytest.mark.parametrize("wrong", ["after:tomorrow", "on:2026-13-01", TOO_MANY, "x" * 1001])
def test_a_query_that_cannot_be_read_says_why(wrong: str) -> None:
    """A date that is none, too many words, too long: a reason, not an empty result."""
    with pytest.raises(ValueError, match=r"at most|not a date"):
        search.parse(wrong)


def test_an_excerpt_shows_what_was_found() -> None:
    """The line begins a little before the hit."""
    said = "word " * 50 + "the refund is late " + "more " * 50
    shown = search.excerpt(said, search.parse("refund"), 80)
    assert "refund" in shown
    assert len(shown) <= 80
    assert search.excerpt("退款 please", search.parse("退款"), 80) == "退款 please"


def test_people_are_found_by_parts_of_their_names() -> None:
    """Any word of a name, one character of a Chinese one."""
    assert set(search.parse("wang").terms[0].name_choices[0]) <= set(search.name_tokens("Wang Xiaoming", None))
    assert set(search.parse("王").terms[0].name_choices[0]) <= set(search.name_tokens("王小明"))
