"""How often a line is changed that somebody plays with."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.pace import AT_ONCE, EVERY, KEPT, Pace
from domain.errors import RetryLater

NOW = timedelta(hours=1)


def test_forty_changes_in_a_minute_are_a_handful_of_calls() -> None:
    """The first are shown as they come, later ones together; what is told to wait may go when it was told to."""
    pace, shown = Pace(), []
    again = NOW
    for number in range(41):
        now = NOW + timedelta(seconds=1.5 * number)
        try:
            if now >= again:
                pace.take("edit", now)
                shown.append(number)
        except RetryLater as error:
            again = now + (error.after or timedelta(0))
    assert shown[:AT_ONCE] == [0, 1]
    assert again - NOW < timedelta(seconds=60) + EVERY
    assert 3 <= len(shown) <= 5
    pace.take("edit", NOW + timedelta(minutes=5))
    pace.take("edit", NOW + timedelta(minutes=5))


def test_another_line_is_changed_at_once() -> None:
    """One customer's play is nobody else's wait, however many lines there are."""
    pace = Pace()
    for number in range(KEPT + 1):
        pace.take(f"edit:{number}", NOW)
    for _ in range(AT_ONCE - 1):
        pace.take("edit:7", NOW)
    with pytest.raises(RetryLater, match="changes_gathered"):
        pace.take("edit:7", NOW)
