"""A profile is corrected from the desk: a value in its one form, a reason, and who may."""

from __future__ import annotations

import pytest

from domain.profile import Field, FieldType, Source
from tests.handlers.kit import JONAS, MAYA, STRANGER, Desk, rulebook, whispers

FIELDS = {"company": Field(name="company"), "birthday": Field(name="birthday", type=FieldType.DATE)}


@pytest.fixture
def desk() -> Desk:
    """A customer who wrote, and a profile of two fields."""
    made = Desk(rules=rulebook(profile=FIELDS))
    made.writes()
    return made


@pytest.mark.parametrize("who", [MAYA, JONAS])
def test_a_value_is_noted_with_who_said_it_and_why(desk: Desk, who: str) -> None:
    """Of the conversation's customer, by the one who pressed; they see the card as it is then."""
    decided = desk.presses("correct", "company=Acme & Co", who, note="  they wrote\nso ")
    [said] = decided.said
    assert (said.customer_id, said.name, said.value.value) == (
        desk.conversation.customer_id,
        "company",
        "Acme & Co",
    )
    assert (said.value.source, said.value.actor, said.reason) == (Source.AGENT, f"agent:{who}", "they wrote so")
    assert said.by is not None
    assert said.by.id == who
    assert [item.data.get("customer") for item in decided.outbox] == [desk.conversation.customer_id]


@pytest.mark.parametrize(
    ("value", "note", "told"),
    [
        ("birthday=17.5.90", "they wrote so", ["not_a_value"]),
        ("company=", "they wrote so", ["not_a_value"]),
        ("company=Acme", " ", ["reason_missing"]),
        ("shoe=42", "they wrote so", []),
        (None, "they wrote so", []),
    ],
)
def test_what_does_not_fit_is_told_and_not_noted(desk: Desk, value: str | None, note: str, told: list[str]) -> None:
    """A date that is none, an empty value, no reason, a field that is not configured."""
    decided = desk.presses("correct", value, MAYA, note=note)
    assert decided.said == ()
    assert whispers(decided) == told
    assert "17.5.90" not in str([item.data for item in decided.outbox])


def test_who_does_not_work_here_corrects_nothing(desk: Desk) -> None:
    """Refused, and audited."""
    decided = desk.presses("correct", "company=Acme", STRANGER, note="because")
    assert (decided.reason, decided.said) == ("refused", ())
    assert decided.audit
