"""Somebody's own page at the desk: what is theirs, what waits for anybody, and how to begin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot import homes
from tests.world import JONAS, MAYA, World, eventually


async def page(world: World, user: str, *words: str) -> str:
    """Open one's page until it shows all these words; its text then."""

    async def look() -> str | None:
        await world.control("slack/home", user=user)
        views = (await world.look("slack/views", user=user))["views"]
        shown: list[dict[str, Any]] = [view for view in views if view["type"] == "home"]
        text = json.dumps(shown[-1]["blocks"], ensure_ascii=False) if shown else ""
        return text if all(word in text for word in words) else None

    return str(await eventually(look, what=f"{words} on the page of {user}"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages follow what changes without the pauses that people do not notice and tests do."""
    monkeypatch.setattr(homes, "EACH_S", 0.0)
    monkeypatch.setattr(homes, "WAIT_S", 0.05)


async def test_the_page_of_an_agent_and_of_a_lead(world: World) -> None:
    """Mine with the overdue first, what nobody has, the queues with their hours, duty with one press, the guide."""
    for name, text in (("Ann", "Where is my order 4711?"), ("Bob", "I was charged twice"), ("Cy", "asdf qwer")):
        await (await world.customer(name)).says(text)
    await world.card(2)  # until then another may come before
    cards = [await world.card(place) for place in range(3)]
    numbers = [(await card.root())["text"].split()[0] for card in cards]
    empty = await page(world, MAYA, "Yours (0)", "Nobody has these yet", *numbers)
    assert "Ann" not in empty, "no personal text"
    assert "The team" not in empty, "how much others have is for those who lead"
    for card in cards[:2]:
        await card.presses(MAYA, "assign_me")
        await card.shows("U0MAYA")
    mine = await page(world, MAYA, "Yours (2)", "(yours)", "New here?", "relaydesk demo")
    assert f"|{numbers[0]}>" in mine, "a number leads to its thread"
    assert mine.index(numbers[0]) < mine.index("Nobody has these yet") < mine.rindex(numbers[2])

    async def follows() -> bool:
        views = (await world.look("slack/views", user=MAYA))["views"]
        return any("Yours (1)" in json.dumps(view) for view in views if view["type"] == "home")

    await cards[1].chooses(MAYA, "more", "Put back")
    await eventually(follows, what="the page follows without being opened")
    await cards[1].shows("Assign to me")
    await cards[1].presses(MAYA, "assign_me")
    await cards[1].shows("U0MAYA")
    await world.advance(days=3)
    await page(world, MAYA, "was due")
    await page(world, JONAS, "The team", "<@U0MAYA>", "2 open")
    views = (await world.look("slack/views", user=MAYA))["views"]
    home = next(view for view in views if view["type"] == "home")
    block = next(block["block_id"] for block in home["blocks"] if '"on_duty"' in json.dumps(block))
    await page(world, MAYA, "was due")  # drawn anew: who still sees the one before presses that
    await world.control("slack/press", user=MAYA, view_id=home["id"], action_id="on_duty", block_id=block)

    async def off() -> bool:
        views = (await world.look("slack/views", user=MAYA))["views"]
        return any("Go on duty" in json.dumps(view) for view in views)

    await eventually(off, what="the page says so by itself")
    await page(world, JONAS, "off duty")
