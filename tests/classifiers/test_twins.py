"""Near-duplicates: found where they are, and only there."""

from __future__ import annotations

import pytest

from classifiers import twins


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my order?", "where is my order"),
        ("I want to cancel my subscription", "i want to cancel my subscriptions please"),
        ("我的快递已经三天没有动静了", "我的快递已经五天没有动静了"),
        ("ok", "OK!"),
    ],
)
def test_they_are_found(one: str, other: str) -> None:
    """A letter, a mark or a polite word more makes no other sentence."""
    assert [pair[:2] for pair in twins.pairs([one, other])] == [(0, 1)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Where is my order?", "Where is your shop?"),
        ("我要退货", "我要换货吗还是算了"),
        ("", ""),
        ("🙏", "👍"),
        ("ok", "no"),
    ],
)
def test_others_are_not(one: str, other: str) -> None:
    """Sharing a word is no likeness, and texts without letters are compared elsewhere."""
    assert twins.pairs([one, other]) == []
