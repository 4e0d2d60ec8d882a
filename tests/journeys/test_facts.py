"""What happened elsewhere over real sockets: noted in a window at the desk, posted by a program, shown on the card."""

from __future__ import annotations

import json
import time

import httpx

from bot.settings_secrets import SANDBOX
from bot.web.facts import signature
from tests.journeys.test_merging import press
from tests.journeys.test_persons import shown
from tests.world import JONAS, MAYA, Json, World, eventually


async def window(world: World, user: str) -> Json:
    """The window that this person has open."""

    async def look() -> Json | None:
        views = (await world.look("slack/views", user=user))["views"]
        modals = [view for view in views if view["type"] == "modal"]
        return modals[-1] if modals else None

    found: Json = await eventually(look, what="a window")
    return found


async def test_facts_come_by_hand_and_by_program(both: World) -> None:
    """An agent notes a call from the card and enters somebody new; a shop posts a purchase, once for its key."""
    world = both
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    await card.chooses(MAYA, "more", "Customer")
    await shown(world, MAYA, card, "Note what happened")
    await press(world, card, MAYA, "fact")
    view = await window(world, MAYA)
    await world.control(
        "slack/submit", user=MAYA, view_id=view["id"], values={"what": {"value": "asked for an invoice"}}
    )
    await card.whispered(MAYA, "Noted.")

    conversation = await world.house.stores.record.by_number(1001)
    assert conversation is not None
    body = json.dumps(
        {
            "kind": "purchase",
            "what": "Winter coat",
            "source": "shop",
            "amount": 129.9,
            "currency": "EUR",
            "channel": "telegram",
            "address": str(phone.chat_id),
        }
    ).encode()
    signed = signature(SANDBOX["facts_secret"], int(time.time()), "B-77", body)
    async with httpx.AsyncClient(base_url=world.address) as client:
        headers = {"Relaydesk-Signature": signed, "Idempotency-Key": "B-77"}
        answers = [await client.post("/api/facts", content=body, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["customer"] == conversation.customer_id
    await card.chooses(JONAS, "more", "Customer")
    await shown(world, JONAS, card, "asked for an invoice (phone)", "Purchase: Winter coat, 129.9 EUR (shop)")

    await world.command(MAYA, "fact", channel=card.channel)
    view = await window(world, MAYA)
    values = {"name": {"value": "Bo Miller"}, "phone": {"value": "+49 30 123456"}, "what": {"value": "came by"}}
    await world.control("slack/submit", user=MAYA, view_id=view["id"], values=values)

    async def entered() -> list[str]:
        return [person.id for person, _, _ in await world.house.stores.record.find_people("Bo Miller")]

    assert await eventually(entered, what="somebody new")
    assert await world.audited("customer.enter") == [f"agent:{MAYA}"]
