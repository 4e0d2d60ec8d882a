"""Somebody's own page at the desk: what is theirs, what waits for anybody, and how to begin."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot import homes
from tests import world as worlds
from tests.world import JONAS, LINA, MAYA, World, eventually


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


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_morning_on_ones_own_page(tmp_path: Path, language: str) -> None:
    """Before the team opens: when that is, what was promised, mine with the most overdue first, where to practise."""
    mine, promised, closed, is_open, practise, track = {
        "en": ("Yours (2)", "You promised", "opens <!date", "open now", "practice desk", "by 5 pm"),
        "zh": ("我的会话（2）", "您承诺过的", "开始办公", "办公中", "练习客服台", "今天下午5点前回复您"),
    }[language]
    desk = {"language": language, "undo": "0s", "practice": "https://practice.example"}
    async with worlds.world(tmp_path, languages=[language, "en"], desk=desk) as world:
        agent = MAYA if language == "en" else LINA
        zone = ZoneInfo("Europe/Berlin")
        morning = datetime.combine((await world.now()).astimezone(zone).date() + timedelta(days=1), time(7), zone)
        while morning.weekday() > 3:
            morning += timedelta(days=1)
        await world.advance_to(morning)
        cards = []
        for place, name in enumerate(("Ann", "Bob")):
            await (await world.customer(name, language=language)).says("Where is my order?")
            cards.append(await world.card(place))
            await cards[place].presses(agent, "assign_me")
            await cards[place].shows(f"<@{agent}>")
            await world.advance(minutes=1)
        shut = await page(world, agent, mine, closed, practise)
        assert is_open not in shut
        await cards[1].chooses(agent, "change", {"en": "High", "zh": "高"}[language])
        numbers = [(await card.root())["text"].split()[0] for card in cards]

        async def urgent_first() -> bool:
            shown = await page(world, agent, mine)
            return shown.index(numbers[1]) < shown.index(numbers[0])

        await eventually(urgent_first, what="what is due first on top")
        await world.advance_to(morning + timedelta(hours=3))
        await page(world, agent, mine, is_open)
        await cards[0].says(agent, f"I'll get back to you {track}." if language == "en" else f"我{track}。")
        asked = await cards[0].says_ours({"en": "Track this promise?", "zh": "要跟踪这个承诺吗"}[language])
        await cards[0].presses(agent, "promise", ts=asked["ts"])
        await page(world, agent, promised, numbers[0])
