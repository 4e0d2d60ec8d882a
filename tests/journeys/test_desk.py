"""The card and its buttons, commands, and who is given what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from storage import loading
from tests import world as worlds
from tests.world import JONAS, LINA, MAYA, Card, World, eventually

ROUND_ROBIN: dict[str, Any] = {
    "queues": {"support": {"assign": "round_robin"}},
    "routing": [{"name": "the rest", "queue": "support"}],
    "triage_queue": "support",
}


async def test_the_buttons_of_a_card(world: World) -> None:
    """Assign, priority, topic, queue, hold, resolve and reopen: each is seen on the card and told in the thread."""
    phone = await world.customer("Ann")
    await phone.says("asdf qwer")
    card = await world.card()
    text = await card.shows("Not sure", "nobody yet", "Triage")
    guesses = [e for b in (await card.root())["blocks"] for e in b.get("elements", []) if e.get("type") == "button"]
    assert [guess["action_id"] for guess in guesses] == [
        "assign_me",
        "reply",
        "relabel:1",
        "relabel:2",
        "relabel:3",
        "why_then",
    ], text
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>", '"action_id": "resolve"')
    await card.says_ours("Taken", "Maya")
    await card.chooses(MAYA, "change", "Urgent")
    await card.shows("Urgent")
    await card.says_ours("Priority", "normal", "urgent", "Maya")
    await card.chooses(LINA, "change", "Billing or payment")
    card = await world.card_in("C0BILLING")
    await card.shows("*Billing or payment*", "Billing", "earlier thread")
    await card.says_ours("Topic", "Billing or payment", "李娜")
    await card.chooses(LINA, "change", "Technical support")
    card = await world.card_in("C0TECH")
    await card.says_ours("Queue", "Technical support")
    await card.chooses(MAYA, "more", "On hold")
    await card.shows("On hold")
    await phone.says("are you there?")
    await card.says_ours("Status", "on hold", "open")
    await card.shows("are you there?")
    await card.chooses(JONAS, "more", "Put back")
    await card.shows("nobody yet")
    await card.chooses(JONAS, "more", "Resolve")
    await card.shows("Done", "Reopen")
    await card.presses(JONAS, "reopen")
    await card.says_ours("Reopened", "Jonas")
    assert await phone.answers() == [], "not one of these concerns the customer"


async def test_the_best_guess_is_one_press(world: World) -> None:
    """Where the classifier is not sure its three best guesses are buttons; one press labels and sorts."""
    phone = await world.customer("Ann")
    await phone.says("asdf qwer")
    card = await world.card()
    await card.shows("Not sure")
    name = next(
        e["text"]["text"].rpartition(" ")[0]  # how sure it is stands behind it
        for b in (await card.root())["blocks"]
        for e in b.get("elements", [])
        if e.get("action_id") == "relabel:1"
    )
    await card.presses(MAYA, "relabel:1")
    card = await eventually(lambda: _not(world, card), what="the card where it goes on")
    text = await card.shows(f"*{name}*")
    assert "Not sure" not in text
    await card.says_ours("Topic", name)


async def test_commands_are_told_to_one_person(both: World) -> None:
    """`/relaydesk` explains itself, takes people on and off duty, and refuses who has no duty."""
    for text, told in (
        ("help", "Answer"),
        ("off", "off duty"),
        ("on", "on duty"),
        ("", "Answer"),
        ("下班", "off duty"),
    ):
        await both.command(MAYA, text)

        async def heard(words: str = told) -> bool:
            return any(words in one for one in (await both.ephemerals("C0SUPPORT", MAYA))[-1:])

        await eventually(heard, what=f"/relaydesk {text}")
    await both.command("U0STRANGER", "on")

    async def refused() -> bool:
        return any("do not have the role" in one for one in await both.ephemerals("C0SUPPORT", "U0STRANGER"))

    await eventually(refused, what="the refusal")
    posts = await both.log(platform="slack", kind="post")
    assert posts == [], "nothing of it is for the channel"


@pytest.fixture
async def shared_out(tmp_path: Path) -> AsyncIterator[World]:
    """A world that gives new conversations out in turn."""
    async with worlds.world(tmp_path, **ROUND_ROBIN) as made:
        yield made


async def test_new_conversations_are_given_out_in_turn(shared_out: World) -> None:
    """Agents get new conversations in turn before anybody has clicked; not off duty, and not when they have left."""
    world = shared_out

    async def known() -> bool:
        return {agent.id for agent in (await _team(world))} == {MAYA, LINA}

    await eventually(known, what="the agents are known")
    phones = [await world.customer(f"C{place}") for place in range(4)]
    await world.control(
        "telegram/send_many", messages=[{"chat_id": p.chat_id, "text": "Where is my order?"} for p in phones]
    )
    await world.card(3)
    assert sorted([await _assignee(card) for card in await world.cards()]) == [LINA, LINA, MAYA, MAYA]
    await world.command(LINA, "下班")

    async def off() -> bool:
        return any("您已下班" in one for one in await world.ephemerals("C0SUPPORT", LINA))

    await eventually(off, what="off duty")
    for place in (4, 5):
        await (await world.customer(f"C{place}")).says("Where is my order?")
        assert await _assignee(await world.card(place)) == MAYA
    await world.command(LINA, "on")
    await world.control("slack/usergroup", id="S0AGENTS", users=[LINA])

    async def on() -> bool:
        return any("您已上班" in one for one in await world.ephemerals("C0SUPPORT", LINA))

    await eventually(on, what="on duty")
    for place in (6, 7):
        await (await world.customer(f"C{place}")).says("Where is my order?")
        assert await _assignee(await world.card(place)) == LINA


async def _not(world: World, left: Card) -> Card | None:
    """The card of a channel where a conversation goes on, or the one it has while it has not moved."""
    cards = await world.cards()
    return next((one for one in cards if one.ts != left.ts), left if "Not sure" not in await left.text() else None)


async def _team(world: World) -> tuple[Any, ...]:
    async with world.house.stores.database.read() as conn:
        return tuple(await loading.team(conn))  # what routing is given


async def _assignee(card: Card) -> str:
    text = await card.text()
    return next((user for user in (MAYA, LINA, JONAS) if f"<@{user}>" in text), "")
