"""What becomes of an answer: delivered, refused and tried again, changed, taken back."""

from __future__ import annotations

import asyncio

from tests.world import MAYA, Card, Phone, World, eventually, said


async def begun(world: World, text: str = "Where is my parcel?") -> tuple[Phone, Card]:
    """A customer has written, and the message stands in the thread."""
    phone = await world.customer("Ann")
    await phone.says(text)
    card = await world.card()
    await eventually(card.posts, what="the message in the thread")
    return phone, card


async def test_a_customer_who_blocked_the_bot(both: World) -> None:
    """The reason and a Retry stand in the thread and on the card; after unblocking one press delivers the answer."""
    phone, card = await begun(both)
    await phone.does("block")
    await card.says_ours("cannot be reached")
    ts = await card.says(MAYA, "It comes tomorrow")
    failed = await card.says_ours("not delivered", "blocked the bot", "Retry", f"<@{MAYA}>")
    await card.shows("last answer was not delivered", "blocked the bot")
    assert await phone.answers() == []
    assert await card.reactions(ts) == ["x"]
    await phone.does("unblock")
    await card.says_ours("can be reached again")
    await asyncio.gather(*(card.presses(MAYA, "retry", ts=failed["ts"]) for _ in range(2)))
    assert await eventually(phone.answers, what="the answer after unblocking") == ["It comes tomorrow"]
    await card.whispered(MAYA, "settled already")
    settled = await card.says_ours("Not delivered at first: the customer has blocked the bot. Sent again by Maya.")
    assert settled["ts"] == failed["ts"]
    assert "Retry" not in said(settled), "its buttons are done with"
    text = await card.shows("Waiting for customer")
    assert "not delivered" not in text
    await eventually(lambda: _is(card, ts, ["white_check_mark"]), what="the check mark")
    assert await phone.answers() == ["It comes tomorrow"], "a second press sends nothing"


async def _is(card: Card, ts: str, names: list[str]) -> bool:
    return await card.reactions(ts) == names


async def test_an_unclear_sending_is_shown_and_settled(world: World) -> None:
    """When Telegram's answer is lost nobody guesses: the agent is asked, and what waits behind it follows."""
    phone, card = await begun(world)
    await world.control("faults", platform="telegram", method="sendMessage", fault="drop_after", count=1)
    await card.says(MAYA, "first")
    asked = await card.says_ours("not certain that this answer arrived", "Send again", "It arrived")
    await card.says(MAYA, "second")
    await card.shows("certain that the last answer arrived")
    await card.presses(MAYA, "mark_arrived", ts=asked["ts"])
    settled = await card.says_ours("Not certain at first", "It arrived, says Maya.")
    assert settled["ts"] == asked["ts"]

    async def both() -> bool:
        return await phone.answers() == ["first", "second"]

    await eventually(both, what="each answer once, in order")
    stored = await world.log(platform="telegram", kind="bot_message")
    assert [record["data"]["text"] for record in stored] == ["first", "second"]


async def test_an_agents_edit_and_deletion_follow_to_the_phone(world: World) -> None:
    """What the agent corrects is corrected at the customer's; what the agent deletes goes there too."""
    phone, card = await begun(world)
    ts = await card.says(MAYA, "It costs 20.")
    await eventually(phone.answers, what="the answer")
    await world.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="It costs 25 & not 20.")

    async def corrected() -> bool:
        return await phone.answers() == ["It costs 25 & not 20."]

    await eventually(corrected, what="the correction on the phone")
    await world.control("slack/delete", user=MAYA, channel=card.channel, ts=ts)

    async def gone() -> bool:
        return await phone.answers() == []

    await eventually(gone, what="the deletion on the phone")


async def test_a_correction_that_came_too_late_says_so(world: World) -> None:
    """When the chat app refuses a change, the agent reads that the customer still sees the old words, and the card
    does not claim that the answer was not delivered."""
    phone, card = await begun(world)
    ts = await card.says(MAYA, "It costs 20.")
    await eventually(phone.answers, what="the answer")
    refusal = "Bad Request: message can't be edited"
    await world.control("faults", platform="telegram", method="editMessageText", fault="error", error=refusal, count=1)
    await world.control("slack/edit", user=MAYA, channel=card.channel, ts=ts, text="It costs 25.")
    await card.says_ours("This change did not reach the customer", "still see what was sent before", f"<@{MAYA}>")
    assert await phone.answers() == ["It costs 20."]
    assert "not delivered" not in await card.text()


async def test_a_customers_edit_shows_before_and_after(both: World) -> None:
    """A customer who corrects a message is seen to: the thread has both versions, the card the new one."""
    phone, card = await begun(both, "My order is 123")
    first = (await phone.chat())[-1]["message_id"]
    await phone.does("edit", message_id=first, text="My order is 124")
    await card.says_ours("changed a message", "My order is 123", "My order is 124")


async def test_an_answer_before_we_know_its_thread_is_not_overtaken(world: World) -> None:
    """Who answers a card whose posting Slack has not confirmed to us yet is heard, and in the order of writing."""
    await world.control(
        "faults", platform="slack", method="chat.postMessage", fault="delay_after", seconds=0.45, count=1
    )
    phone = await world.customer("Ann")
    await phone.says("Where is my parcel?")
    card = await world.card()
    for number in range(3):
        await card.says(MAYA, f"early {number}")

    async def known() -> bool:
        found = await world.house.stores.record.by_number(1001)
        return found is not None and found.thread.ts is not None

    await eventually(known, what="the card's place is known")
    for number in range(3):
        await card.says(MAYA, f"late {number}")

    async def all_there() -> bool:
        return len(await phone.answers()) == 6

    await eventually(all_there, what="all six answers")
    assert await phone.answers() == [f"{when} {number}" for when in ("early", "late") for number in range(3)]


async def test_a_long_answer_arrives_whole(world: World) -> None:
    """Over 4,096 UTF-16 units an answer leaves in parts, cut between sentences, nothing lost; one check mark."""
    phone, card = await begun(world)
    sentence = "This is sentence number {}, with a smile 😀 in it. "
    typed = "".join(sentence.format(number) for number in range(200)).strip()
    ts = await card.says(MAYA, typed)

    async def whole() -> bool:
        return " ".join(await phone.answers()) == typed

    await eventually(whole, what="all parts in order")
    parts = await phone.answers()
    assert len(parts) > 1
    assert all(len(part.encode("utf-16-le")) <= 2 * 4096 and part.endswith(".") for part in parts)
    await eventually(lambda: _is(card, ts, ["white_check_mark"]), what="one check mark")


async def test_a_long_message_is_shown_whole(world: World) -> None:
    """A customer who writes more than one message's worth is read to the end."""
    phone, card = await begun(world, "Here is the log:")
    typed = " ".join(f"line{number:05}😀" for number in range(700))
    await phone.says(typed)

    async def shown() -> bool:
        text = "".join(await card.ours())
        return "line00000" in text and "line00699" in text

    await eventually(shown, what="the first and the last line")
