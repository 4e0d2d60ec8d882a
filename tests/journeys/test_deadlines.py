"""Asking about deadlines: "Why then?" on the card, `/relaydesk sla`, and one's own page at the desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import world as worlds
from tests.world import LINA, MAYA, World, eventually, said

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
    await office.control("slack/settings", trigger_lifetime_s=60)
    await card.presses(MAYA, "why_then")
    told = await card.whispered(MAYA, "Why then?")
    assert any(view["type"] == "modal" for view in (await office.look("slack/views", user=MAYA))["views"])
    assert "policy `standard`, version 1" in told
    assert "calendar `office` (Europe/Berlin)" in told
    assert "counted from the customer's message of <!date^" in told
    assert "counted, 4h 00m in all" in told
    assert "resolution due" in told, "the other clock stands below in a line"


async def test_who_waits_is_listed_for_who_asks(office: World) -> None:
    """Due soon, then overdue and mine; on the page at the desk, too, once on each."""
    await office.command(LINA, "sla")
    await whisper(office, LINA, "没有超时的会话")
    phone = await office.customer("Ann")
    await phone.says("Where is my parcel? It should be here by now")
    card = await office.card()
    await card.shows("First answer due")
    await office.advance(hours=2)
    await office.command(MAYA, "sla")
    soon = await whisper(office, MAYA, "Due soon")
    assert f"/p{card.ts.replace('.', '')}|#1001>" in soon, "the number leads to the thread"
    assert "Mine" not in soon
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")
    await office.advance(hours=6)
    await card.shows("First answer was due")
    await office.command(LINA, "sla")
    overdue = await whisper(office, LINA, "*已超时（1）*")
    assert "首次回复 <!date^" in overdue
    assert f"<@{MAYA}>" in overdue
    for user in (LINA, MAYA):
        await office.control("slack/home", user=user)

    async def shown() -> bool:
        hers, mine = await home_of(office, LINA), await home_of(office, MAYA)
        is_once = "Yours (1)" in mine and "*was due <!date^" in mine and "*Overdue*" not in mine
        return is_once and "*已超时（1）*" in hers

    await eventually(shown, what="on the page of whoever has it among their own, on others' among what is overdue")


async def whisper(world: World, user: str, words: str) -> str:
    async def look() -> str | None:
        found = [told for told in await world.ephemerals("C0SUPPORT", user) if words in told]
        return found[-1] if found else None

    return str(await eventually(look, what=words))


DAY = timedelta(days=1)


def _nine_to_five(closed: date, first: str = "4h") -> dict[str, Any]:
    """Nine to five every day but one, in UTC."""
    hours = {"tz": "UTC", "hours": {"mon-sun": ["09:00-17:00"]}, "holidays": {"add": [closed.isoformat()]}}
    policy = {"calendar": "team", "targets": {"normal": {"first_response": first}, "low": {}, "high": {}}}
    return {"sla": {"calendars": {"team": hours}, "policies": {"standard": policy}}}


async def test_a_week_with_a_holiday(tmp_path: Path) -> None:
    """What came in an hour before closing is due after the holiday; on the holiday nobody is bothered."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    eve, holiday = today + DAY, today + 2 * DAY
    async with worlds.world(tmp_path, **_nine_to_five(holiday.date())) as world:
        await world.advance_to(eve + timedelta(hours=16))
        phone = await world.customer("Ann")
        await phone.says("Where is my parcel? It should be here by now")
        card = await world.card()
        shown = await card.shows("First answer due")
        due = datetime.fromtimestamp(int(shown.partition("First answer due <!date^")[2].partition("^")[0]), UTC)
        assert abs(due - (holiday + DAY + timedelta(hours=12))) < timedelta(minutes=5)
        for hours in (10, 16, 30):
            await world.advance_to(holiday + timedelta(hours=hours))
            await world.swept()
            assert not [post for post in await card.posts() if "overdue" in said(post)]
        await card.presses(MAYA, "why_then")
        told = await card.whispered(MAYA, "Why then?")
        assert "outside business hours" in told
        await world.advance_to(due + timedelta(minutes=5))
        await card.says_ours("First answer is overdue")


async def test_an_edited_promise_holds_for_new_conversations(tmp_path: Path) -> None:
    """After a restart with a shorter target a running conversation keeps its four hours; the next one gets one."""
    never = (datetime.now(UTC) - 30 * DAY).date()
    async with worlds.world(tmp_path, **_nine_to_five(never)) as world:
        await world.advance_to(datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + DAY)
        ann, bob = await world.customer("Ann"), await world.customer("Bob")
        await ann.says("Where is my parcel? It should be here by now")
        first = await world.card()
        await first.shows("First answer due")
        await world.stop()
        world.overrides["sla"]["policies"]["standard"]["targets"]["normal"]["first_response"] = "1h"
        await world.start()
        await bob.says("My invoice is wrong, please look at it")
        second = await world.card(1)
        await second.shows("First answer due")
        for card, version, target in ((first, 1, "4h"), (second, 2, "1h")):
            await card.presses(MAYA, "why_then")
            told = await card.whispered(MAYA, f"version {version}")
            assert f"{target} of open time" in told
