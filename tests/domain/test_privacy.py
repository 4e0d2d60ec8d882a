"""Masks: enough to tell records apart, never enough to reach a person."""

from __future__ import annotations

import pytest

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
    ("number", "valid"), [("4111111111111111", True), ("4111111111111112", False), ("0" * 16, False)]
)
def test_a_card_is_told_by_its_check_digit(number: str, valid: bool) -> None:
    """A wrong check digit is another kind of number."""
    assert personal.is_card(number) is valid
