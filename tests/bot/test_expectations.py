"""How long customers wait here: measured in business time, and only where there is enough to speak of a habit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.expectations import ENOUGH, Expectations
from domain.sla import ClockState
from tests.contracts import storage_kit
from tests.contracts.storage_kit import Process
from tests.contracts.test_storage_clocks import opened, row
from tests.handlers.kit import OFFICE, rulebook

FRIDAY = datetime(2026, 6, 12, 16, tzinfo=UTC)  # an hour before closing


@pytest.fixture
async def one(make_database: Callable[[str], str]) -> AsyncIterator[Process]:
    """A storage."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        yield process


async def answered(one: Process, count: int, *, first: int = 0) -> None:
    """So many customers asked on Friday at four; some were answered then, the others on Monday from seven on."""
    for place in range(first, first + count):
        waited = timedelta(minutes=10 * place) if place <= 6 else timedelta(days=2, hours=15, minutes=10 * place)
        clock = row("", state=ClockState.MET, started_at=FRIDAY, stopped_at=FRIDAY + waited)
        await opened(one, clock, address=str(place))


def expectations(one: Process) -> Expectations:
    standard = rulebook().policies["standard"]
    office = {"office": OFFICE, **rulebook().calendars}
    policies = {"standard": replace(standard, calendar="office")}
    return Expectations(clocks=one.clocks, rules=rulebook(policies=policies, calendars=office))


async def test_a_few_answers_are_no_habit(one: Process) -> None:
    """Below twenty nothing is said, and nothing fails on an empty record."""
    usual = expectations(one)
    await usual.look()
    assert usual.usual() == {}
    await answered(one, ENOUGH - 1)
    await usual.look()
    assert usual.usual() == {}


async def test_four_of_five_had_their_answer_by_then(one: Process) -> None:
    """Nights and weekends do not count: what was answered on Monday took what was open in between."""
    await answered(one, ENOUGH)
    usual = expectations(one)
    await usual.look()
    # The seventeenth of twenty: asked on Friday at 16:00, answered on Monday at 9:40.
    assert usual.usual() == {"standard": timedelta(hours=1, minutes=40)}
