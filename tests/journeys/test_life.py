"""The life of a conversation: done, thanked, reopened, followed by another."""

from __future__ import annotations

from tests.world import LINA, MAYA, Card, Phone, World, eventually


async def resolved(world: World) -> tuple[Phone, Card]:
    """A conversation that was answered and resolved."""
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.says(MAYA, "It comes tomorrow")
    await card.shows("Waiting for customer")
    await card.presses(MAYA, "resolve")
    await card.shows("Done", "Reopen")
    return phone, card


async def test_a_message_soon_after_reopens_the_same_thread(both: World) -> None:
    """Within 72 hours the conversation goes on where it was; later there is a new one that points back to it."""
    phone, card = await resolved(both)
    await both.advance(hours=70)
    await phone.says("It has still not come")
    await card.says_ours("Reopened")
    await card.says_ours("It has still not come")
    await card.shows("#1001", "Resolve")
    assert len(await both.cards()) == 1
    await card.says(MAYA, "I will look into it")
    await card.shows("Waiting for customer")
    await card.presses(MAYA, "resolve")
    await card.shows("Done", "Reopen")
    await both.advance(hours=73)
    await phone.says("Now I have another question about an invoice")
    other = await both.card(1)
    await other.shows("#1002", "follows #1001")
    assert "another question" not in "".join(await card.ours())


async def test_thanks_reopen_nothing_but_offer_it(world: World) -> None:
    """A closing word is kept and offered: one press of Reopen makes the conversation open again."""
    phone, card = await resolved(world)
    await phone.says("Thank you, that is all!")
    post = await card.says_ours("Thank you, that is all!", "Reopen")
    assert "Done" in await card.text()
    await card.presses(LINA, "reopen", ts=post["ts"])
    await card.says_ours("Reopened")
    await card.shows("Resolve")
    await card.presses(LINA, "reopen", ts=post["ts"])
    await card.whispered(LINA, "本来就在处理中")


async def test_what_came_while_the_agent_looked_away_is_not_closed_over(world: World) -> None:
    """Resolve on a card from before the customer's newest words is refused, and says why."""
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.presses(MAYA, "assign_me")
    await card.shows('"action_id": "resolve"')
    await world.control("faults", platform="slack", method="chat.update", fault="delay", seconds=4, count=1)
    await phone.says("And please change the address to 5 Hill Road")
    await card.says_ours("change the address")
    await card.presses(MAYA, "resolve")  # the card lags behind: it still shows the first message
    await card.whispered(MAYA, "has written again")
    await card.shows("5 Hill Road")
    await card.presses(MAYA, "resolve")
    await card.shows("Done")


async def test_a_postscript_stays_closed(world: World) -> None:
    """An agent's word after Resolve reaches the customer and leaves the conversation done."""
    phone, card = await resolved(world)
    await card.says(MAYA, "P.S. the driver rings twice")

    async def arrived() -> bool:
        return "P.S. the driver rings twice" in await phone.answers()

    await eventually(arrived, what="the postscript")
    await card.shows("Done")
