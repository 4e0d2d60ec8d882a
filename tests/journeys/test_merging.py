"""Two chats of one person: suggested with the evidence, merged by a lead, taken back, and whole after a kill."""

from __future__ import annotations

import signal

from sqlalchemy import select

from storage import tables
from tests.journeys.test_erasing import relaydesk
from tests.journeys.test_persons import shown
from tests.world import JONAS, MAYA, Card, World, eventually


async def press(world: World, card: Card, user: str, button: str) -> None:
    """Press a button of the customer's card that this person was shown last."""
    page = await world.look(f"slack/channel/{card.channel}")
    await card.presses(user, button, ts=page["ephemerals"][user][-1]["ts"])


async def links(world: World) -> list[tuple[str, str]]:
    """Who is one person with whom."""
    async with world.house.stores.database.read() as conn:
        query = select(tables.customer_links.c.one, tables.customer_links.c.other)
        return [(row.one, row.other) for row in await conn.execute(query)]


async def test_a_person_decides_who_is_one_person(both: World) -> None:
    """An agent sees why and may not; a kill in the middle leaves two people; a lead merges and takes it back."""
    world = both
    private, work = await world.customer("Ann"), await world.customer("Ann at work")
    for phone in (private, work):
        contact = {"first_name": "Ann", "phone_number": "491701234567", "user_id": phone.chat_id}
        await phone.says(content={"contact": contact})
        await phone.says("Where is my parcel?")
        await world.card(0 if phone is private else 1)  # those of one moment may be posted in any order
    card = await world.card()
    await world.house.keeper.turn()
    (suspect,) = await world.house.stores.links.suspects()
    await card.chooses(MAYA, "more", "Customer")
    seen = await shown(world, MAYA, card, "Maybe one person with", "the same verified phone number")
    assert "at work" not in seen
    await press(world, card, MAYA, "merge:0")
    await card.whispered(MAYA, "do not have the role")

    pair = (suspect.one, suspect.other)
    code, _, _ = await relaydesk(world, "customer", "merge", *pair, "--reason", "they said so", crash_at="in_merge")
    assert code == -signal.SIGKILL
    assert await links(world) == []
    code, out, _ = await relaydesk(world, "customer", "duplicates", "--json")
    assert (code, pair[0] in out) == (0, True), "it is still to be decided"

    await card.chooses(JONAS, "more", "Customer")
    await shown(world, JONAS, card, "Maybe one person with")
    await press(world, card, JONAS, "merge:0")
    await shown(world, JONAS, card, "One person with", "#1001", "#1002")
    assert await links(world) == [pair]
    assert await world.audited("customer.merge") == [f"agent:{JONAS}"]

    await press(world, card, JONAS, "unmerge:0")
    await eventually(lambda: _none(world), what="two people again")
    code, _, _ = await relaydesk(world, "customer", "distinct", *pair, "--reason", "brothers")
    assert code == 0
    assert await world.house.stores.links.suspects() == []


async def _none(world: World) -> bool:
    return await links(world) == []
