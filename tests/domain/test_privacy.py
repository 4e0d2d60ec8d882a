"""Masks: enough to tell records apart, never enough to reach a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import personal, privacy


@pytest.mark.parametrize(
    ("masked", "shown"),
    [
        (privacy.mask_phone("+49 170 1234567"), "+49 ••• 67"),
        (privacy.mask_phone("0086 139 1234 5678"), "+86 ••• 78"),
        (privacy.mask_phone("0170 1234567"), "••• 67"),
        (privacy.mask_phone("12345"), "•••"),
        (privacy.mask_email("anna.smith@example.com"), "a•••@e•••.com"),
        (privacy.mask_email("not an address"), "•••"),
        (privacy.mask_card("4111 1111 1111 1111"), "•••• 1111"),
        (privacy.mask_card("123"), "•••"),
        (privacy.mask_id("123456789"), "12•••89"),
        (privacy.mask_id("12345"), "•••"),
        (privacy.mask_name("Anna van Smith"), "A••• v••• S•••"),
        (privacy.mask_name(" "), "•••"),
    ],
)
def test_a_mask_shows_only_its_hint(masked: str, shown: str) -> None:
    """Each kind keeps a fixed hint, and nothing tells how long the hidden part is."""
    assert masked == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("Write to anna@example.com or +49 170 1234567!", "Write to a•••@e•••.com or +49 ••• 67!"),
        ("Card 4111-1111-1111-1111 please", "Card •••• 1111 please"),
        ("电话13912345678谢谢", "电话••• 78谢谢"),
        ("order #1042 of 3 items, 19.90 EUR", "order #1042 of 3 items, 19.90 EUR"),
    ],
)
def test_a_text_is_masked_where_it_is_personal(line: str, shown: str) -> None:
    """Addresses, cards and numbers are masked in place; an order number is not a phone number."""
    assert privacy.mask_text(line) == shown


@given(st.integers(10**7, 10**14).map(str))
def test_no_long_number_survives_in_a_text(digits: str) -> None:
    """Whatever number a customer writes, at most its last four digits are shown."""
    assert digits not in privacy.mask_text(f"call {digits} now")


@pytest.mark.parametrize(
    ("number", "valid"), [("4111111111111111", True), ("4111111111111112", False), ("0" * 16, False)]
)
def test_a_card_is_told_by_its_check_digit(number: str, valid: bool) -> None:
    """A wrong check digit is another kind of number."""
    assert personal.is_card(number) is valid
