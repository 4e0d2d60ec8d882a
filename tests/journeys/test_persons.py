"""Colleagues look at a customer: masked for all, in the clear for who may, and every look stands in the trail."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.conftest import Setting, cells, in_cell
from tests.journeys.test_actions import form
from tests.world import JONAS, LINA, MAYA, Card, World, eventually

CELLS = [("polling", "socket", "sqlite"), ("webhook", "http", "postgres")]
PEOPLE = {
    "en": ("Anna", "Where is my parcel?", "// call her on +49 170 1234567"),
    "zh": ("李静", "我的快递到哪里了？", "// 电话 13812345678"),
}


@pytest.fixture(params=cells(CELLS))
async def here(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world on either engine."""
    setting: Setting = request.param
    async for made in in_cell(request, tmp_path, setting):
        yield made


async def seen(world: World, user: str, channel: str) -> list[str]:
    """What only this person sees in a channel, blocks included."""
    page = await world.look(f"slack/channel/{channel}")
    return [json.dumps(body.get("blocks"), ensure_ascii=False) for body in page["ephemerals"].get(user, [])]


async def shown(world: World, user: str, card: Card, *words: str) -> str:
    """Wait until this person is shown a card with all these words; its blocks."""

    async def look() -> str | None:
        found = await seen(world, user, card.channel)
        return next((one for one in reversed(found) if all(word in one for word in words)), None)

    return str(await eventually(look, what=f"{words} for {user}"))


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_customer_is_masked_until_somebody_may_and_says_why(here: World, language: str) -> None:
    """An agent sees the masked card and may not reveal; a lead reveals with a reason; the trail has all of it."""
    name, words, note = PEOPLE[language]
    phone = await here.customer(name, language)
    await phone.says(words)
    card = await here.card()
    await card.says(MAYA, note)
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")

    await card.chooses(MAYA, "more", "Customer")
    masked = await shown(here, MAYA, card, "#1001", "[phone]")
    assert name not in masked
    assert str(phone.chat_id) not in masked
    assert await seen(here, LINA, card.channel) == [], "nobody else sees it"

    conversation = json.loads(masked)[-1]["elements"][0]["options"][0]["value"]
    page = await here.look(f"slack/channel/{card.channel}")
    ts = page["ephemerals"][MAYA][-1]["ts"]
    await here.control("slack/press", user=MAYA, channel=card.channel, ts=ts, action_id="reveal", value=conversation)
    await card.whispered(MAYA, "do not have the role")

    await here.command(JONAS, "customer #1001", channel=card.channel)
    await shown(here, JONAS, card, "#1001", "[phone]")
    page = await here.look(f"slack/channel/{card.channel}")
    ts = page["ephemerals"][JONAS][-1]["ts"]
    await here.control("slack/press", user=JONAS, channel=card.channel, ts=ts, action_id="reveal", value=conversation)
    await shown(here, JONAS, card, name, str(phone.chat_id))
    assert await here.audited("customer.open") == [f"agent:{MAYA}", f"agent:{JONAS}"]
    assert await here.audited("customer.reveal") == [f"agent:{JONAS}"]
    assert await here.audited("refused") == [f"agent:{MAYA}"]


async def test_a_profile_is_corrected_from_the_card(world: World) -> None:
    """A window asks for value and reason; the card shows what is so, and what was thought before, struck through."""
    await (await world.customer("Ann")).says("Where is my parcel?")
    card = await world.card()
    for company, reason in (("Acne Ltd", "she said so"), ("Acme Ltd", "misheard it")):
        await card.chooses(JONAS, "more", "Customer")
        await shown(world, JONAS, card, "form=correct:company")
        page = await world.look(f"slack/channel/{card.channel}")
        told = [one for one in page["ephemerals"][JONAS] if "form=correct:company" in json.dumps(one.get("blocks"))][-1]
        elements = [element for block in told["blocks"] for element in block.get("elements") or ()]
        menu = next(element for element in elements if element.get("action_id") == "correct")
        value = next(one["value"] for one in menu["options"] if one["value"].endswith("company"))
        await card.presses(JONAS, "correct", ts=told["ts"], value=value)
        await form(world, JONAS, what={"value": company}, note={"value": reason})
        await eventually(lambda: world.audited("customer.profile"), what="the change in the audit trail")

    async def noted() -> bool:
        return len(await world.audited("customer.profile")) == 2

    await eventually(noted, what="both changes")
    await card.chooses(JONAS, "more", "Customer")
    menu = await shown(world, JONAS, card, "Reveal...")
    await _reveal(world, card)
    clear = await shown(world, JONAS, card, "Acme Ltd", "~Acne Ltd~", "misheard it")
    assert "Acme Ltd" not in menu
    assert clear


async def _reveal(world: World, card: Card) -> None:
    page = await world.look(f"slack/channel/{card.channel}")
    told = [one for one in page["ephemerals"][JONAS] if "Reveal..." in json.dumps(one.get("blocks"))][-1]
    elements = [element for block in told["blocks"] for element in block.get("elements") or ()]
    menu = next(element for element in elements if element.get("action_id") == "reveal")
    await card.presses(JONAS, "reveal", ts=told["ts"], value=menu["options"][0]["value"])
