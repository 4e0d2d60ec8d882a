"""Who is at work: duty, own hours, what the desk says; and an alert that waits for nobody's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from bot.presence import MOST, PATIENCE_S, Presence
from domain.alerts import Level, Plan
from domain.calendar import Duration
from domain.changes import Changes
from domain.errors import RetryLater
from domain.model import Agent
from tests import patience
from tests.contracts import storage_kit
from tests.contracts.storage_kit import Process
from tests.handlers.kit import OFFICE, rulebook

FRIDAY_NOON = datetime(2026, 6, 12, 12, tzinfo=UTC)
SATURDAY = datetime(2026, 6, 13, 12, tzinfo=UTC)
MAYA, LINA, JONAS = "U0MAYA", "U0LINA", "U0JONAS"


@pytest.fixture
async def one(make_database: Callable[[str], str]) -> AsyncIterator[Process]:
    """A storage."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        yield process


class Desk:
    """What the desk says of people, and how often it was asked."""

    def __init__(self, **words: str | Exception) -> None:
        self.words = words
        self.asked: list[str] = []
        self.slow = False

    async def absence(self, user: str) -> str | None:
        self.asked.append(user)
        if self.slow:
            await asyncio.sleep(3600)
        word = self.words.get(user)
        if isinstance(word, Exception):
            raise word
        return word

    async def leads(self) -> list[str]:
        word = self.words.get("leads")
        if isinstance(word, Exception):
            raise word
        return [JONAS]


def presence(one: Process, desk: Desk, now: datetime = FRIDAY_NOON, **plan: object) -> Presence:
    rules = rulebook(
        calendars={"office": OFFICE, **rulebook().calendars},
        alerts=Plan(**plan),  # type: ignore[arg-type]
    )
    return Presence(rules=rules, clocks=one.clocks, now=lambda: now, ask=desk.absence, leads=desk.leads)


async def test_each_reason_is_told(one: Process) -> None:
    """Off duty by their own word, out of their own hours, or what the desk says; the others are there."""
    await one.decide(Changes(reason="duty", agent=Agent(id=LINA, on_duty=False)))
    found = await presence(one, Desk(U0MAYA="dnd")).of([MAYA, LINA, JONAS])
    assert {person.id: person.why for person in found.values()} == {MAYA: "dnd", LINA: "off_duty", JONAS: None}
    weekend = await presence(one, Desk(), SATURDAY, hours={MAYA: "office"}).of([MAYA, JONAS])
    assert [weekend[one_].is_at_work for one_ in (MAYA, JONAS)] == [False, True]


async def test_the_desk_is_asked_once_a_minute(one: Process) -> None:
    """Thousands of alerts ask about the same few people."""
    desk = Desk()
    who = presence(one, desk)
    for _ in range(3):
        await who.of([MAYA])
    assert desk.asked == [MAYA]


async def test_whoever_cannot_be_asked_about_counts_as_there(one: Process) -> None:
    """An alert to somebody who may be away is better than none."""
    assert (await presence(one, Desk(U0MAYA=RetryLater("away"))).of([MAYA]))[MAYA].is_at_work


async def test_no_alert_waits_for_a_slow_desk(one: Process) -> None:
    """After a second it goes out, and the next does not wait again."""
    desk = Desk()
    desk.slow = True
    who = presence(one, desk)
    with patience.Own() as took:
        assert (await who.of([MAYA]))[MAYA].is_at_work
    assert took.seconds < PATIENCE_S + 1
    with patience.Own() as took:
        await who.of([MAYA])
    assert took.seconds < PATIENCE_S / 2


async def test_a_desk_that_grew_slow_is_asked_once_a_minute(one: Process) -> None:
    """Whoever was away when it last answered counts as there, and the alerts after the first wait no more."""
    desk = Desk(U0MAYA="dnd")
    who = presence(one, desk)
    assert not (await who.of([MAYA]))[MAYA].is_at_work
    desk.slow = True
    who._known[MAYA] = (float("-inf"), "dnd")  # a minute later
    for _ in range(3):
        assert (await who.of([MAYA]))[MAYA].is_at_work
    assert desk.asked == [MAYA, MAYA]


async def test_what_is_known_anew_of_somebody_forgets_nobody_else(one: Process) -> None:
    """However many are known, only one more takes the place of the oldest."""
    who = presence(one, Desk(U0MAYA="dnd", U0LINA="away"))
    who._known.update({f"U{number}": (0.0, None) for number in range(MOST - 1)})
    await who.of([MAYA])
    who._known[MAYA] = (float("-inf"), None)  # a minute later
    await who.of([MAYA])
    assert "U0" in who._known
    await who.of([LINA])
    assert "U0" not in who._known


async def test_leads_are_asked_for_where_a_level_wants_them(one: Process) -> None:
    """And the last known ones serve while the desk cannot say."""
    assert MAYA not in await presence(one, Desk()).of([])
    desk = Desk()
    who = presence(one, desk, levels=(Level(after=Duration(minutes=1), to="leads"),))
    assert set(await who.of([])) == {JONAS}
    assert who.leads == (JONAS,)
    desk.words["leads"] = RetryLater("away")
    who._led_at = float("-inf")  # a minute later
    assert set(await who.of([])) == {JONAS}
