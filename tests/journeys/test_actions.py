"""What agents do with a conversation: by the card, a form, a message shortcut and the command, over real sockets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from storage import tables
from tests.world import JONAS, LINA, MAYA, STRANGER, Card, World, eventually


async def form(world: World, user: str, **values: Any) -> dict[str, Any]:
    """Wait until this person sees a form, fill it in and send it."""

    async def look() -> dict[str, Any] | None:
        views = (await world.look("slack/views", user=user))["views"]
        return next((view for view in views if view["type"] == "modal" and view["submit"]), None)

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
    await card.says_ours("Assigned to", LINA, "Maya")
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
    await card.says_ours("Reopened", "李娜")
    await card.whispered(LINA, f"已办好：{number} · 已重新打开")
    await world.command(LINA, f"解决 {number} 无法处理", card.channel)
    await card.shows("Done: could not be helped")
    await card.whispered(LINA, f"已办好：{number} · 状态：处理中 → *已结束* · 无法处理。")
    await world.command(MAYA, f"reopen {number}", card.channel)
    await card.whispered(MAYA, f"Done: {number} · Reopened.")
    await world.command(MAYA, f"snooze {number} 2h", card.channel)
    await card.whispered(MAYA, f"Done: {number} · Status: open → *snoozed* · until <!date")
    await world.command(MAYA, f"move {number} billing", card.channel)
    await card.whispered(MAYA, f"Done: {number} · Queue: Support → *Billing*.")
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
    await card.says_ours("Status", "snoozed", "until <!date", "Maya")
    await world.stop()
    await world.start()
    await world.advance(hours=1)
    woken = await card.says_ours("Status: snoozed → *open*", "its snooze is over")
    assert f"<@{MAYA}>" in str(woken["blocks"])
    await card.chooses(MAYA, "more", "Snooze until they write")
    await card.says_ours("until the customer writes")
    await phone.says("It has come, thank you. One more question")
    await card.shows("One more question", "Snooze 1 hour")
    overs = [one for one in await card.ours() if "its snooze is over" in one]
    assert len(overs) == 1


async def test_muted_joined_written_to_and_taken_away(world: World) -> None:
    """A flood is kept off the desk; two conversations become one; the desk writes first; a file goes to one person."""
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    first = await world.card()
    await first.says_ours("Where is my order?")
    await first.chooses(MAYA, "more", "Mute for 1 hour")
    await first.shows("muted until", "Unmute")
    await phone.says("answer me")
    await phone.says("answer me!!")
    await first.chooses(MAYA, "more", "Transcript")
    await first.whispered(MAYA, "direct message")
    text = await eventually(lambda: _file(world, MAYA), what="the transcript")
    assert "Where is my order?" in text
    assert await world.audited("transcript.download") == [f"agent:{MAYA}"]

    async def kept() -> int:
        async with world.house.stores.database.read() as conn:
            muted = tables.timeline.c.data.contains('"muted": true')
            return len((await conn.execute(select(tables.timeline.c.id).where(muted))).all())

    async def both() -> bool:
        return await kept() == 2

    await eventually(both, what="what they wrote is in the record")
    assert not any("answer me" in one for one in await first.ours())
    await first.chooses(MAYA, "more", "Unmute")
    await first.says_ours("Heard again: 2 messages")
    await first.presses(MAYA, "assign_me")
    await first.chooses(MAYA, "more", "Resolve: solved")
    await first.shows("Done: solved")
    await world.advance(hours=80)
    await phone.says("And my invoice?")
    second = await world.card(1)
    await second.says_ours("And my invoice?")
    await first.presses(MAYA, "reopen")
    await first.says_ours("Reopened")
    numbers = [(await card.root())["text"].split()[0] for card in (first, second)]
    await second.chooses(MAYA, "more", "Join into")
    await form(world, MAYA, number=numbers[0])
    await first.says_ours(f"{numbers[1]} goes on here", "And my invoice?")
    await second.shows("Done: merged")
    await second.says(LINA, "here it is")
    await second.whispered(LINA, "没有发送")
    await world.command(MAYA, f"start {numbers[1]} Your parcel is back.", first.channel)
    assert "|its thread>" in await first.whispered(MAYA, "with this customer is open")
    await world.command(MAYA, f"resolve {numbers[0]}", first.channel)
    await first.shows("Done")
    await world.command(MAYA, f"start {numbers[1]} Your parcel is back.", first.channel)
    await first.whispered(MAYA, "has not agreed")
    assert "Your parcel is back." not in await phone.answers()
    await phone.says("/privacy")

    async def choices() -> dict[str, Any] | None:
        return next((m for m in reversed(await phone.chat()) if m["from"] == "bot" and m.get("keyboard")), None)

    shown = await eventually(choices, what="the choices")
    await phone.does("press", message_id=shown["message_id"], data="consent:outreach:1")

    async def agreed() -> bool:
        async with world.house.stores.database.read() as conn:
            said = (await conn.execute(select(tables.customers.c.consents))).scalars()
            return any("outreach" in one for one in said)

    await eventually(agreed, what="the yes is in the record")
    await world.command(MAYA, f"start {numbers[1]} Your parcel is back.", first.channel)
    await first.whispered(MAYA, "Written")

    async def written() -> bool:
        return "Your parcel is back." in await phone.answers()

    await eventually(written, what="the customer reads it")
    third = await world.card(2)
    await third.says_ours("Your parcel is back.")


async def _file(world: World, user: str) -> str:
    """The newest file in the direct message with somebody, as text."""
    for channel in (await world.look("slack/channels"))["channels"]:
        if channel["im_user"] == user:
            page = await world.look(f"slack/channel/{channel['id']}")
            for message in reversed(page["messages"]):
                for file in message.get("files", []):
                    answer = await world.client.get(
                        file["url_private"], headers={"Authorization": "Bearer xoxb-sandbox"}
                    )
                    return answer.text
    return ""


async def test_every_shortcut_on_a_message(world: World) -> None:
    """Each of those that Slack's own menu has, on the card of a conversation: at once, or by its form."""
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    card = await world.card()
    await card.says_ours("Where is my order?")
    await shortcut(card, MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")
    await shortcut(card, MAYA, "handover")
    await form(world, MAYA, who=LINA, note="She calls back at four.")
    await card.shows(f"<@{LINA}>")
    until = int((await world.now()).timestamp()) + 7200
    await shortcut(card, LINA, "snooze")
    await form(world, LINA, until={"selected_date_time": until})
    await card.shows("Wake up", f"<!date^{until}^")
    await shortcut(card, MAYA, "transcript")
    await card.whispered(MAYA, "direct message")
    assert "Where is my order?" in await eventually(lambda: _file(world, MAYA), what="the transcript")
    await shortcut(card, LINA, "not_a_request")
    await card.shows("Done: not a request")
    await shortcut(card, MAYA, "start")
    await form(world, MAYA, note="Hello again")
    await card.whispered(MAYA, "has not agreed")
    assert "Hello again" not in await phone.answers()
    await world.advance(hours=80)
    await phone.says("And my invoice?")
    second = await world.card(1)
    await second.says_ours("And my invoice?")
    number = (await card.root())["text"].split()[0]
    await world.command(MAYA, f"reopen {number}", card.channel)
    await card.says_ours("Reopened")
    await shortcut(second, MAYA, "join")
    await form(world, MAYA, number=number)
    await second.shows("Done: merged")
