"""Contact points: one form of every number, what a number says of itself, and when it is to be made sure of again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain import contacts
from domain.contacts import ContactKind, ContactPoint, ContactRules, Freshness, How
from domain.profile import Source

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def point(**fields: object) -> ContactPoint:
    """A phone number that was noted today."""
    given = {"id": "P", "customer_id": "C", "kind": ContactKind.PHONE, "value": "+491701234567", "type": "mobile"}
    return ContactPoint(**(given | {"source": Source.AGENT, "added_at": NOW} | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "region", "with_country", "kept"),
    [
        ("+49 170 1234567", None, False, "+491701234567"),
        ("0170 1234567", "DE", False, "+491701234567"),
        ("131 2345 6789", "CN", False, "+8613123456789"),  # without a plus it is no number in Chicago
        ("13123456789", "CN", False, "+8613123456789"),
        ("491701234567", "CN", True, "+491701234567"),  # a chat platform leaves the plus out
        ("8613123456789", None, True, "+8613123456789"),
        ("4155552671", "US", True, "+14155552671"),
    ],
)
def test_a_number_has_one_form(given: str, region: str | None, with_country: bool, kept: str) -> None:
    """However it was written, an equal number is equal."""
    assert contacts.phone(given, region, with_country=with_country) == kept


@pytest.mark.parametrize("given", ["", "12", "0170 1234567", "no number", "+49", "١٢٣"])
def test_what_is_no_number_is_refused_without_repeating_it(given: str) -> None:
    """The message says what would do; what was typed is not in it."""
    with pytest.raises(ValueError, match="phone") as refused:
        contacts.phone(given, None, with_country=True)
    assert len(given) < 4 or given not in str(refused.value)


def test_a_number_says_what_and_where_it_is() -> None:
    """Type and country come from the number itself; an e-mail has neither."""
    assert contacts.read(" Ann@Example.com ", None) == (ContactKind.EMAIL, "ann@example.com")
    assert contacts.type_of(ContactKind.PHONE, "+491701234567") == "mobile"
    assert contacts.type_of(ContactKind.PHONE, "+4930123456") == "landline"
    assert contacts.type_of(ContactKind.EMAIL, "ann@example.com") == "other"
    assert contacts.region_of(ContactKind.PHONE, "+8613123456789") == "CN"
    assert contacts.region_of(ContactKind.PHONE, "+80012345678") is None
    assert contacts.region_of(ContactKind.EMAIL, "ann@example.com") is None


def test_a_channel_has_a_country_of_its_own() -> None:
    """Else the company's."""
    rules = ContactRules(region="DE", regions={"telegram": "CN"})
    assert (rules.region_of("telegram"), rules.region_of("web")) == ("CN", "DE")


@pytest.mark.parametrize(
    ("age", "quiet", "due"),
    [(90, 0, False), (91, 0, True), (91, 91, True), (91, 92, False), (181, 92, False), (182, 92, True)],
)
def test_active_customers_are_asked_sooner(age: int, quiet: int, due: bool) -> None:
    """Every quarter while they write, every half year otherwise; counted from when it was last made sure of."""
    old = point(added_at=NOW - 400 * DAY, verified_at=NOW - age * DAY, verified_how=How.SHARED)
    assert Freshness().is_due(old, NOW - quiet * DAY, NOW) is due


@pytest.mark.parametrize(
    "fields",
    [{"removed_at": NOW}, {"reachable": False}, {"asked_at": NOW - 29 * DAY}],
)
def test_nobody_is_asked_in_vain(fields: dict[str, object]) -> None:
    """Not about what was taken back, cannot be reached, or was asked about this month."""
    old = point(added_at=NOW - 400 * DAY)
    assert Freshness().is_due(old, NOW, NOW)
    assert not Freshness().is_due(point(added_at=NOW - 400 * DAY, **fields), NOW, NOW)
