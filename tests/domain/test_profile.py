"""Profile fields: one form for each type, clear refusals without the value, and a history that loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.profile import Field, FieldType, Profile, Source, Value

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "given", "kept"),
    [
        (FieldType.TEXT, "  Acme\u202e Ltd ", "Acme Ltd"),
        (FieldType.NUMBER, "1 250.50", "1250.5"),
        (FieldType.NUMBER, "1e3", "1000"),
        (FieldType.DATE, "1990-05-17", "1990-05-17"),
        (FieldType.PHONE, "0170 1234567", "+491701234567"),
        (FieldType.PHONE, "+86 138 1234 5678", "+8613812345678"),
        (FieldType.EMAIL, "Ann.Lee@Example.COM", "ann.lee@example.com"),
        (FieldType.LANGUAGE, "ZH", "zh"),
        (FieldType.TIME_ZONE, "Asia/Shanghai", "Asia/Shanghai"),
        (FieldType.CHOICE, "GOLD", "gold"),
    ],
)
def test_a_value_has_one_form(kind: FieldType, given: str, kept: str) -> None:
    """However it was typed."""
    assert Field(name="f", type=kind, choices=("gold", "silver"), region="DE").normal(given) == kept


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (FieldType.TEXT, "  "),
        (FieldType.NUMBER, "many"),
        (FieldType.NUMBER, "NaN"),
        (FieldType.NUMBER, "1e400"),
        (FieldType.DATE, "17.5.1990"),
        (FieldType.DATE, "1990-02-30"),
        (FieldType.PHONE, "88"),
        (FieldType.PHONE, "secret"),
        (FieldType.EMAIL, "bob@"),
        (FieldType.LANGUAGE, "Chinese"),
        (FieldType.TIME_ZONE, "../etc/passwd"),
        (FieldType.TIME_ZONE, "Mars/Base"),
        (FieldType.CHOICE, "bronze"),
    ],
)
def test_what_does_not_fit_is_refused_without_repeating_it(kind: FieldType, given: str) -> None:
    """The message says what would do; the value is personal and stays out of it."""
    with pytest.raises(ValueError, match=r"^f: ") as raised:
        Field(name="f", type=kind, choices=("gold", "silver"), region="DE").normal(given)
    assert not given.strip() or given not in str(raised.value)


@given(st.text(max_size=600), st.sampled_from(list(FieldType)))
def test_any_text_is_kept_in_one_form_or_refused(words: str, kind: FieldType) -> None:
    """Normalising what was normalised changes nothing, whatever was typed."""
    field = Field(name="f", type=kind, choices=("gold",), region="DE")
    try:
        kept = field.normal(words)
    except ValueError:
        return
    assert field.normal(kept) == kept


def said(value: str, minutes: int = 0, source: Source = Source.AGENT) -> Value:
    """What somebody said so many minutes later."""
    return Value(value=value, source=source, actor="os:carol", at=NOW + timedelta(minutes=minutes))


def test_a_correction_keeps_the_wrong_value() -> None:
    """Old and new stand side by side; the old one says until when it held and why it does not."""
    profile = (
        Profile().said("company", said("Acne Ltd"), "first").said("company", said("Acme Ltd", 5), "a typing error")
    )
    old, new = profile.values["company"]
    assert (old.value, old.until, old.reason) == ("Acne Ltd", NOW + timedelta(minutes=5), "a typing error")
    assert (new.value, new.until) == ("Acme Ltd", None)
    assert profile.current == {"company": new}


def test_saying_the_same_again_changes_nothing() -> None:
    """Who said it first stays the source."""
    profile = Profile().said("tier", said("gold"), "x")
    assert profile.said("tier", said("gold", 9, Source.CRM), "y") is profile


def test_a_value_can_be_taken_back_and_said_again() -> None:
    """In between nothing holds; all three are history."""
    profile = Profile().said("tier", said("gold"), "x").withdrawn("tier", NOW + timedelta(minutes=1), "left")
    assert profile.current == {}
    assert profile.withdrawn("tier", NOW + timedelta(minutes=2), "again") == profile
    again = profile.said("tier", said("gold", 3), "back")
    assert [one.until is None for one in again.values["tier"]] == [False, True]
