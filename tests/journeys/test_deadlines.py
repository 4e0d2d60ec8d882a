"""Asking about deadlines: "Why then?" on the card, `/relaydesk sla`, and one's own page at the desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests import world as worlds
from tests.world import LINA, MAYA, World, eventually

OFFICE: dict[str, Any] = {
    "sla": {
        "policies": {"standard": {"calendar": "office"}},
        "calendars": {"office": {"tz": "Europe/Berlin", "hours": {"mon-sun": ["00:00-11:00", "12:00-24:00"]}}},
    }
}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[World]:
    """A team that closes for an hour at noon only, so that any moment will do."""
    async with worlds.world(tmp_path, **OFFICE) as made:
        yield made


async def home_of(world: World, user: str) -> str:
    """What stands on somebody's page at the desk."""
    found = await world.look("slack/views", user=user)
    return str(found)


async def test_a_deadline_explains_itself(office: World) -> None:
    """Who asks is told, alone, what was promised under which terms, what it counts from, and what counted when."""
    phone = await office.customer("Ann")
    await phone.says("Where is my parcel? It should be here by now")
    card = await office.card()
    await card.shows("First answer due")
    await card.presses(MAYA, "why_then")
    told = await card.whispered(MAYA, "Why then?")
    assert "policy `standard`, version 1" in told
    assert "calendar `office` (Europe/Berlin)" in told
    assert "counted from the customer's message of <!date^" in told
    assert "counted, 4h 00m in all" in told
    assert "resolution due" in told, "the other clock stands below in a line"


async def test_who_waits_is_listed_for_who_asks(office: World) -> None:
    """Due soon, then overdue and mine; on the page at the desk the same as in the answer to the command."""
    phone = await office.customer("Ann")
    await phone.says("Where is my parcel? It should be here by now")
    card = await office.card()
    await card.shows("First answer due")
    await office.command(LINA, "sla")
    await whisper(office, LINA, "Nothing is overdue")
    await office.advance(hours=2)
    await office.command(MAYA, "sla")
    soon = await whisper(office, MAYA, "Due soon")
    assert "#1001" in soon
    assert "Mine" not in soon
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")
    await office.advance(hours=6)
    await card.shows("First answer was due")
    await office.command(LINA, "sla")
    overdue = await whisper(office, LINA, "*Overdue* (1)")
    assert "first answer <!date^" in overdue
    assert f"<@{MAYA}>" in overdue
    await office.control("slack/home", user=MAYA)

    async def shown() -> bool:
        page = await home_of(office, MAYA)
        return "*Overdue* (1)" in page and "*Mine* (2)" in page

    await eventually(shown, what="the page at the desk")


async def whisper(world: World, user: str, words: str) -> str:
    async def look() -> str | None:
        found = [said for said in await world.ephemerals("C0SUPPORT", user) if words in said]
        return found[-1] if found else None

    return str(await eventually(look, what=words))
