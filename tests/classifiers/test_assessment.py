"""Assessments as JSON, as they stand in the record."""

from __future__ import annotations

import json

import pytest

from domain.assessment import Assessment
from tests.classifiers import kit


def stored() -> dict[str, object]:
    """An assessment as read back from JSON."""
    loaded: dict[str, object] = json.loads(json.dumps(kit.ask(kit.ngrams(), "I was charged twice").to_json()))
    return loaded


def test_it_survives_json() -> None:
    """Written and read back it is equal."""
    answer = kit.ask(kit.ngrams(), "I was charged twice, please hurry")
    assert Assessment.from_json(json.loads(json.dumps(answer.to_json()))) == answer


def test_unknown_keys_are_left_out() -> None:
    """A row of a newer version can be read."""
    assert Assessment.from_json(stored() | {"mood": "new"}) == Assessment.from_json(stored())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"top": 3}, "unexpected shape"),
        ({"priority": "huge"}, "huge"),
        ({"confidence": "much"}, "much"),
    ],
)
def test_a_broken_row_is_named(change: dict[str, object], problem: str) -> None:
    """What is wrong with it is said."""
    with pytest.raises(ValueError, match=problem):
        Assessment.from_json(stored() | change)


def test_a_missing_field_is_named() -> None:
    """So is what is not there."""
    row = stored()
    del row["queues"]
    with pytest.raises(ValueError, match="without 'queues'"):
        Assessment.from_json(row)
