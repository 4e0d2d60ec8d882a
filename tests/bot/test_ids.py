"""Ids are in the order in which they were made."""

from __future__ import annotations

import time

import pytest
from ulid import ULID

from bot.ids import Ids


def test_what_is_made_later_has_the_larger_id() -> None:
    """Hundreds fall into one millisecond."""
    ids = Ids()
    made = [ids.fresh() for _ in range(2000)]
    assert made == sorted(set(made))
    assert all(str(ULID.from_str(one)) == one for one in made)


def test_a_clock_that_is_set_back_turns_no_order_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine woke, and its clock was set right: a question would count as older than the answer before it."""
    ids = Ids()
    before = ids.fresh()
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3_600_000_000_000)
    monkeypatch.setattr(time, "time", lambda: real() / 1e9 - 3600)
    assert str(ULID()) < before, "the clock is back"
    assert ids.fresh() > before
