"""Contact points over real sockets: shared by the customer, noted by an agent, asked about when they are old."""

from __future__ import annotations

from tests.journeys.test_persons import shown
from tests.world import MAYA, Json, World, eventually

OWN = "+491701234567"


async def test_a_contact_is_shared_shown_and_asked_about(both: World) -> None:
    """The customer's own is verified at once, a foreign one when an agent says so; the old one is asked about."""
    world = both
    phone = await world.customer("Ann")
    contact = {"first_name": "Ann", "phone_number": OWN[1:], "user_id": phone.chat_id}
    await phone.says(content={"contact": contact})
    card = await world.card()
    await card.says_ours("shared their own phone number")
    await phone.says(content={"contact": {"first_name": "Bo", "phone_number": "+49 30 123456"}})
    post = await card.says_ours("Note as this customer")
    await card.presses(MAYA, "note_contact", ts=post["ts"])
    await card.says_ours("A contact point was noted")

    await world.advance(days=200)
    await card.chooses(MAYA, "more", "Customer")
    seen = await shown(
        world, MAYA, card, "mobile: +49 ••• 67 (verified", "landline: +49 ••• 56 (not verified, to be asked"
    )
    assert OWN not in seen
    page = await world.look(f"slack/channel/{card.channel}")
    ts = page["ephemerals"][MAYA][-1]["ts"]
    await card.presses(MAYA, "ask_contact:0", ts=ts)

    async def asked() -> Json | None:
        found = [one for one in await phone.chat() if one["from"] == "bot" and "+49 ••• 67" in str(one["text"])]
        return found[-1] if found else None

    question = await eventually(asked, what="the question in the chat")
    gone = question["keyboard"][0][1]["callback_data"]
    assert gone.startswith("contact:no:")
    await phone.does("press", message_id=question["message_id"], data=gone)
    await eventually(lambda: world.log(platform="telegram", kind="query_answer"), what="the tap answered")

    async def told() -> bool:
        return any("another number" in one for one in await phone.answers())

    await eventually(told, what="the question for another number")
    await card.chooses(MAYA, "more", "Customer")
    await shown(world, MAYA, card, "+49 ••• 67 (theirs no more)")
