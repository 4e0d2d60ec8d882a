"""Facts from outside: read strictly, refused with words that help and never repeat what was given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from domain import facts
from domain.facts import FactKind

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
BOUGHT = {
    "kind": "purchase",
    "what": "Winter coat",
    "source": "shop",
    "amount": 129.90,
    "currency": "EUR",
    "reference": "B-77",
    "at": "2026-11-20T10:00:00+01:00",
}


def test_a_whole_fact_is_read_and_opened_again() -> None:
    """Kind and source stand in the clear, everything else is one sealed object; both make the fact again."""
    fact = facts.read(BOUGHT, NOW)
    assert (fact.kind, fact.amount, fact.at) == (FactKind.PURCHASE, "129.9", datetime(2026, 11, 20, 9, tzinfo=UTC))
    assert fact.data == {"fact": "purchase", "source": "shop"}
    assert json.loads(fact.body) == {
        "what": "Winter coat",
        "amount": "129.9",
        "currency": "EUR",
        "reference": "B-77",
    }
    assert facts.opened(fact.data["fact"], fact.data["source"], fact.body, fact.at) == fact
    assert facts.opened("purchase", "shop", "", fact.at) is None, "once its words are gone"


def test_little_is_enough() -> None:
    """What, of which kind, and who says so; then it is now."""
    assert facts.read({"kind": "call", "what": "asked for Ann", "source": "phone"}, NOW).at == NOW


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"kind": "divorce"}, "kind"),
        ({"kind": ["call"]}, "kind"),
        ({"kind": None}, "kind"),
        ({"what": "  "}, "what"),
        ({"what": 7}, "what"),
        ({"what": "x" * 201}, "what"),
        ({"note": "x" * 2001}, "note"),
        ({"source": "The Shop"}, "source"),
        ({"source": 1}, "source"),
        ({"amount": "much"}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": float("inf")}, "amount"),
        ({"amount": 10**12}, "amount"),
        ({"amount": "1e-999999999"}, "amount"),
        ({"amount": "0." + "1" * 60}, "amount"),
        ({"amount": None}, "together"),
        ({"currency": "euro"}, "currency"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-11-20T10:00:00"}, "offset"),
        ({"at": 1_700_000_000}, "at"),
        ({"at": "0001-01-01T00:00:00+00:00"}, "at"),
        ({"at": "0001-01-01T00:00:00+14:00"}, "at"),
        ({"at": (NOW + timedelta(days=2)).isoformat()}, "still to come"),
        ({"prise": 1}, "unknown field"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, object], word: str) -> None:
    """One sentence that names the field and what would do."""
    with pytest.raises(ValueError, match=word):
        facts.read(BOUGHT | change, NOW)
