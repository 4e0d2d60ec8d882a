"""Canned replies: filled in, found, and checked."""

from __future__ import annotations

import pytest

from domain import canned
from domain.canned import Book, Reply

REFUND = Reply(
    id="refund_started",
    titles={"en": "Refund is on its way", "zh": "退款已办理"},
    texts={"en": "Hello {name}, order {order}: {status}", "zh": "{name}您好，订单 {order} 的退款已办理"},
)
LOGIN = Reply(id="password", titles={"en": "Cannot log in"}, texts={"en": "Reset the password, then a refund if due"})


def test_what_is_not_known_is_left_to_be_seen() -> None:
    """Nobody sends "order " with nothing behind it without noticing; a brace that is no variable stays."""
    values = {"name": "Ann", "order": "", "status": "https://x.example"}
    assert canned.fill(REFUND.texts["en"], values) == "Hello Ann, order …: https://x.example"
    assert canned.fill("{} {a b} {name}", {"name": "{order}"}) == "{} {a b} {order}", "what a customer is called stays"


@pytest.mark.parametrize(
    ("said", "order"),
    [
        (["order 4711 please", "I mean A-20260211"], "A-20260211"),
        (["订单88123呢"], "88123"),
        (["Hello", "it cost 12 euros"], ""),
        (["call +49 170 1234567"], "1234567"),
        (["4711", "thanks"], "4711"),
    ],
)
def test_the_order_number_is_the_one_written_last(said: list[str], order: str) -> None:
    """Numbers of three digits and more, with letters in front or not; amounts are none."""
    assert canned.order_in(said) == order


def test_replies_are_found_by_title_first_then_by_text_in_any_language() -> None:
    """A word's beginning is enough, all words count, Chinese needs no spaces; nothing typed lists all."""
    book = [LOGIN, REFUND]
    assert canned.search(book, "refu") == [REFUND, LOGIN]
    assert canned.search(book, "refund way") == [REFUND]
    assert canned.search(book, "退款") == [REFUND]
    assert canned.search(book, "nothing like it") == []
    assert canned.search(book, " ") == book


def test_the_language_is_the_customers_else_the_companys() -> None:
    """A tag counts by its first part."""
    assert canned.in_language(REFUND.titles, "zh-Hant", "en") == "退款已办理"
    assert canned.in_language(REFUND.titles, "fr", "en") == "Refund is on its way"
    assert canned.in_language(LOGIN.titles, "zh") == "Cannot log in"


def test_a_mistake_is_named_with_its_fix() -> None:
    """An unknown variable and an empty text are found before anybody uses them."""
    bad = Reply(id="bad", titles={}, texts={"en": "Hello {nobody}", "zh": " "})
    found = canned.problems(Book(replies=(REFUND, bad), links={"status": "https://x.example"}))
    assert len(found) == 2
    assert "{nobody}" in str(found[1])
