"""Segments: each condition alone and together, and whoever objects is in none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import segments
from domain.model import Customer
from domain.segments import Deed, Episode, Segment

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


def customer(days: float = 100, **fields: Any) -> Customer:
    """Known for so many days."""
    given: dict[str, Any] = {"id": "C1", "name": "", "language": "zh", "created_at": NOW - timedelta(days=days)}
    return Customer(**(given | fields))


def episode(days: float, intent: str | None = None, channel: str = "telegram") -> Episode:
    """A conversation so many days ago."""
    then = NOW - timedelta(days=days)
    return Episode(channel=channel, opened_at=then, last_customer_at=then, intent=intent)


TWO = (episode(90, "order"), episode(10, "complaint"))


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"languages": frozenset({"zh", "de"})}, True),
        ({"languages": frozenset({"en"})}, False),
        ({"channels": frozenset({"telegram"})}, True),
        ({"channels": frozenset({"web"})}, False),
        ({"tags": frozenset({"vip"})}, True),
        ({"tags": frozenset({"press"})}, False),
        ({"min_conversations": 2}, True),
        ({"min_conversations": 3}, False),
        ({"max_conversations": 1}, False),
        ({"known_min_days": 100}, True),
        ({"known_max_days": 99}, False),
        ({"quiet_min_days": 10}, True),
        ({"quiet_min_days": 11}, False),
        ({"quiet_max_days": 9}, False),
        ({"intents": frozenset({"complaint"})}, True),
        ({"intents": frozenset({"complaint"}), "within_days": 9}, False),
        ({"intents": frozenset({"complaint", "order"}), "times": 2}, True),
        ({"intents": frozenset({"complaint"}), "times": 2}, False),
        ({"languages": frozenset({"zh"}), "min_conversations": 3}, False),
    ],
)
def test_conditions(condition: dict[str, Any], holds: bool) -> None:
    """All that are given must hold; of a set one is enough."""
    assert Segment(name="s", **condition).holds(customer(tags=("vip",)), TWO, NOW) is holds


DEEDS = (
    Deed(kind="purchase", at=NOW - timedelta(days=5)),
    Deed(kind="purchase", at=NOW - timedelta(days=50)),
    Deed(kind="call", at=NOW - timedelta(days=1)),
)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"regions": frozenset({"DE", "AT"})}, True),
        ({"regions": frozenset({"CN"})}, False),
        ({"facts": frozenset({"purchase"}), "min_facts": 2}, True),
        ({"facts": frozenset({"purchase"}), "min_facts": 2, "facts_within_days": 30}, False),
        ({"facts": frozenset({"visit"}), "max_facts": 0}, True),
        ({"facts": frozenset({"purchase"}), "max_facts": 0}, False),
        ({"min_facts": 3}, True),
    ],
)
def test_where_somebody_is_and_what_happened_elsewhere(condition: dict[str, Any], holds: bool) -> None:
    """The country that is known, and facts by kind and age; nobody is anywhere until somebody says so."""
    segment = Segment(name="s", **condition)
    assert segment.holds(customer(region="DE"), TWO, NOW, DEEDS) is holds
    assert not Segment(name="s", regions=frozenset({"DE"})).holds(customer(), TWO, NOW, DEEDS)


def test_the_usual_segments() -> None:
    """New, returning, dormant and at risk, as a company would write them, each for whom it is meant."""
    rules = (
        Segment(name="new", max_conversations=1, known_max_days=30),
        Segment(name="returning", min_conversations=2),
        Segment(name="dormant", quiet_min_days=180),
        Segment(name="at_risk", intents=frozenset({"complaint", "cancel"}), within_days=90, times=2),
    )
    told = {
        "first": segments.of(rules, customer(1), (episode(1),), NOW),
        "regular": segments.of(rules, customer(400), TWO, NOW),
        "gone": segments.of(rules, customer(400), (episode(300),), NOW),
        "angry": segments.of(rules, customer(50), (episode(40, "complaint"), episode(3, "cancel")), NOW),
        "silent": segments.of(rules, customer(400), (), NOW),
    }
    assert told == {
        "first": ("new",),
        "regular": ("returning",),
        "gone": ("dormant",),
        "angry": ("returning", "at_risk"),
        "silent": ("dormant",),
    }


def test_whoever_objects_is_in_none() -> None:
    """Sorting people is statistics about them; a no counts at once."""
    rule = (Segment(name="all", min_conversations=0),)
    assert segments.of(rule, customer(), TWO, NOW) == ("all",)
    assert segments.of(rule, customer(consents={"analytics": False}), TWO, NOW) == ()
