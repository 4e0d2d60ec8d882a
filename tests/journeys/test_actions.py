"""What agents do with a conversation: by the card, a form, a message shortcut and the command, over real sockets."""

from __future__ import annotations

from typing import Any

from tests.world import JONAS, LINA, MAYA, STRANGER, Card, World, eventually


async def form(world: World, user: str, **values: Any) -> dict[str, Any]:
    """Wait until this person sees a form, fill it in and send it."""

    async def look() -> dict[str, Any] | None:
        views = (await world.look("slack/views", user=user))["views"]
        return next((view for view in views if view["type"] == "modal"), None)

    view = await eventually(look, what=f"a form for {user}")
    entered = {block: {block: value} for block, value in values.items()}
    return await world.control("slack/submit", user=user, view_id=view["id"], values=entered)


async def shortcut(card: Card, user: str, name: str) -> None:
    """Somebody uses a shortcut on the card."""
    await card.world.control(
        "slack/shortcut", user=user, callback_id=f"relaydesk_{name}", channel=card.channel, ts=card.ts
    )


async def test_by_form_by_shortcut_and_by_command(world: World) -> None:
    """Handed over with a note, resolved by shortcut, reopened by command: each is seen, told, and refused to others."""
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    card = await world.card()
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")
    await card.chooses(MAYA, "more", "Hand over")
    assert (await form(world, MAYA, who=LINA, note="She calls back at four."))["closed"] is True
    await card.shows(f"<@{LINA}>")
    await card.says_ours("Assigned to", LINA, "maya")
    await card.says_ours("Note by", "She calls back at four.")
    await card.chooses(MAYA, "more", "Assign to...")
    await form(world, MAYA, who=MAYA)
    await card.whispered(MAYA, "do not have the role")
    await shortcut(card, JONAS, "act")
    await form(world, JONAS, what="priority urgent")
    await card.shows("Urgent")
    await shortcut(card, MAYA, "resolve")
    await card.shows("Done", "Reopen")
    await shortcut(card, MAYA, "resolve")
    await card.whispered(MAYA, "resolved already")
    number = (await card.root())["text"].split()[0]
    await world.command(STRANGER, f"reopen {number}", card.channel)
    await world.command(LINA, f"reopen {number}", card.channel)
    await card.says_ours("Reopened", "lina")
    await card.whispered(LINA, f"Done: {number}")
    await world.command(LINA, f"resolve {number} cannot help", card.channel)
    await card.shows("Done: could not be helped")
    assert await phone.answers() == [], "not one of these concerns the customer"


async def test_a_snooze_is_a_row_in_the_database(world: World) -> None:
    """It outlives the process, wakes at its time once, calls whoever has it; the customer's word ends another early."""
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    card = await world.card()
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")
    await card.chooses(MAYA, "more", "Snooze 1 hour")
    await card.shows("Wake up")
    await card.says_ours("Status", "on hold", "until <!date", "maya")
    await world.stop()
    await world.start()
    await world.advance(hours=1)
    woken = await card.says_ours("its snooze is over")
    assert f"<@{MAYA}>" in str(woken["blocks"])
    await card.chooses(MAYA, "more", "Snooze until they write")
    await card.says_ours("until the customer writes")
    await phone.says("It has come, thank you. One more question")
    await card.shows("One more question", "Snooze 1 hour")
    overs = [one for one in await card.ours() if "its snooze is over" in one]
    assert len(overs) == 1
