"""A day of clocks, on the fast clock: who is told, when, and how often; and when silence is right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests import world as worlds
from tests.journeys.test_leaving import the_window_ends
from tests.world import MAYA, Card, World, eventually, said

LEADS, AGENTS = "<!subteam^S0LEADS>", "<!subteam^S0AGENTS>"
BERLIN = ZoneInfo("Europe/Berlin")  # where the shipped configuration keeps office hours
ALWAYS: dict[str, Any] = {"sla": {"policies": {"standard": {"calendar": "always"}}}}


@pytest.fixture
async def round_the_clock(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose business never closes, so that any moment will do."""
    async with worlds.world(tmp_path, **ALWAYS) as made:
        yield made


async def alerts(card: Card) -> list[str]:
    """The alerts in the thread, oldest first."""
    posts = [said(post) for post in await card.posts() if post.get("bot_id")]
    return [post for post in posts if "is due" in post or "is overdue" in post]


async def quiet(card: Card, count: int) -> None:
    """Nothing more is said, even after the sweep has looked again."""
    await card.world.swept()
    assert len(await alerts(card)) == count


async def test_a_day_of_clocks(round_the_clock: World) -> None:
    """A warning to the team, a breach to the lead, each once, on the card too; an answer ends it and all is quiet."""
    world = round_the_clock
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel? It should be here by now")
    card = await world.card()
    await card.shows("First answer due", "<!date^")
    await world.advance(hours=2, minutes=55)
    await quiet(card, 0)
    await world.advance(minutes=6)
    warned = said(await card.says_ours("First answer is due", "please answer in this thread"))
    assert AGENTS in warned
    assert LEADS not in warned
    await world.advance(minutes=30)
    await quiet(card, 1)
    await world.advance(minutes=31)
    breached = said(await card.says_ours("First answer is overdue", "please answer in this thread"))
    assert LEADS in breached
    await card.shows("⏰", "First answer was due")
    for _ in range(3):
        await world.advance(minutes=40)
    await quiet(card, 2)
    await card.says(MAYA, "It is on its way, sorry for the delay")
    await card.shows("Waiting for customer")
    assert "overdue" not in await card.text()
    await world.advance(hours=30)
    await quiet(card, 2)
    found = await world.house.stores.record.by_number(1001)
    assert found is not None
    clocks = (await world.house.stores.views.load([found.id]))[found.id].clocks
    assert {clock.metric.value: clock.state.value for clock in clocks} == {
        "first_response": "met_late",
        "resolution": "paused",
    }


async def test_an_answer_in_time_is_met_in_silence(round_the_clock: World) -> None:
    """Who is answered in time is never mentioned; the next question has a clock of its own."""
    world = round_the_clock
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.says(MAYA, "Tomorrow")
    await card.shows("Waiting for customer")
    await world.advance(hours=5)
    await quiet(card, 0)
    await phone.says("It has still not come")
    await card.shows("Next answer due")
    await world.advance(hours=3, minutes=1)
    await card.says_ours("Next answer is due", f"<@{MAYA}>")
    await quiet(card, 1)


async def test_a_question_that_an_answer_overtook_is_watched(round_the_clock: World) -> None:
    """Telegram lets us in late: what was written before the answer left was not answered by it, and falls due."""
    world = round_the_clock
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.says_ours("Where is my parcel?")
    await world.control("faults", platform="telegram", method="getUpdates", fault="500", count=1000)
    await eventually(lambda: refused(world), what="Telegram lets us in no more")
    await phone.says("And where is my invoice?")
    await world.advance(minutes=1)
    await card.says(MAYA, "Tomorrow")
    await card.shows("Waiting for customer")
    await world.client.delete("/control/faults")
    await card.says_ours("And where is my invoice?")
    await card.shows("Next answer due")
    await world.advance(hours=3, minutes=1)
    await card.says_ours("Next answer is due", f"<@{MAYA}>")


async def test_what_is_asked_while_an_answer_waits_is_not_answered_by_it(tmp_path: Path) -> None:
    """Whoever wrote it had not read that: when the window ends and it leaves, the newer question has a clock."""
    async with worlds.world(tmp_path, **ALWAYS, desk={"undo": "60s"}) as world:
        phone = await world.customer("Ann")
        await phone.says("Where is my parcel?")
        card = await world.card()
        await card.says_ours("Where is my parcel?")
        await card.says(MAYA, "Tomorrow")
        await card.whispered(MAYA, "in 60 seconds")
        await phone.says("And where is my invoice?")
        await card.says_ours("And where is my invoice?")
        await the_window_ends(world)
        await card.shows("Next answer due")
        assert await phone.answers() == ["Tomorrow"]
        await world.advance(hours=3, minutes=1)
        await card.says_ours("Next answer is due", f"<@{MAYA}>")
        await card.says(MAYA, "With the parcel")
        await card.whispered(MAYA, "in 60 seconds")
        await the_window_ends(world)
        await card.shows("Waiting for customer")


async def refused(world: World) -> bool:
    """Whether the product has asked for messages in vain, and so asks for nothing else now."""
    return bool(await world.log(platform="telegram", kind="fault"))


async def test_nobody_is_woken_at_night(world: World) -> None:
    """Outside business hours no clock runs: what comes in on Friday evening is due on Monday, and only then said."""
    office = world.house.rules.calendars["office"]
    monday = (await world.now()).astimezone(BERLIN).replace(hour=8, minute=0, second=0, microsecond=0)
    monday += timedelta(days=4)
    while monday.weekday() != 0 or not office.is_open(monday.replace(hour=10)):
        monday += timedelta(days=1)
    await world.advance_to(monday - timedelta(hours=60))
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.shows("First answer due")
    for hours in (48, 24, 1):
        await world.advance_to(monday - timedelta(hours=hours))
    await world.advance_to(monday)
    await quiet(card, 0)
    await world.advance_to(monday.replace(hour=12, minute=5))  # three of four hours since nine, lunch comes after
    await card.says_ours("First answer is due", AGENTS)
    await world.advance_to(monday.replace(hour=13, minute=35))
    await card.says_ours("First answer is overdue", LEADS)
    await quiet(card, 2)


async def test_alerts_are_given_after_a_restart(round_the_clock: World) -> None:
    """What fell due while nobody was running is said once after the start, and says that it is late."""
    world = round_the_clock
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.shows("First answer due")
    assert await world.stop() == 0
    await world.control("clock", advance_s=5 * 3600)
    await world.start()
    post = said(await card.says_ours("First answer is overdue"))
    assert "This alert is late" in post
    await quiet(card, 1)


async def test_the_clock_runs_as_fast_as_the_sandbox_says(round_the_clock: World) -> None:
    """At six hundred times the speed a breach four hours away comes within half a minute, by itself."""
    world = round_the_clock
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.shows("First answer due")
    await world.advance(hours=2, minutes=50)
    await world.control("clock", speed=600)
    await card.says_ours("First answer is due")
    await eventually(lambda: _breached(card), what="the breach, at six hundred times the speed")
    await world.control("clock", speed=1)


async def _breached(card: Card) -> bool:
    return any("overdue" in alert for alert in await alerts(card))
