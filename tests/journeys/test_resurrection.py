"""Something of Slack goes away under us: a card, a channel, our place in it."""

from __future__ import annotations

import pytest

from bot.cli import desk
from tests.world import MAYA, Card, World, eventually, merged, said


async def test_a_deleted_card_is_posted_again_and_the_thread_goes_on(pairwise: World) -> None:
    """What comes next stands under one new card, nothing is left in the channel, and its answers reach the customer."""
    world = pairwise
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    card = await world.card()
    await card.says_ours("Where is my order?")
    await card.says(MAYA, "Let me look")
    await eventually(phone.answers, what="the first answer")
    await card.shows("Waiting for customer")
    await world.control("slack/delete", user="U0JONAS", channel=card.channel, ts=card.ts)
    await phone.says("Are you there?")
    await phone.says("Hello?")

    async def fresh() -> bool:
        return any(one.ts != card.ts for one in await world.cards())

    await eventually(fresh, what="a new card")
    anew = next(one for one in await world.cards() if one.ts != card.ts)
    await anew.says_ours("Are you there?")
    await anew.says_ours("Hello?")
    await anew.shows("Hello?", "|earlier thread>")
    page = await world.look(f"slack/channel/{card.channel}")
    stray = [m for m in page["messages"] if m.get("bot_id") and not m.get("text", "").startswith("#")]
    assert [m for m in stray if m.get("subtype") != "tombstone"] == [], "nothing stands in the channel by itself"
    assert len([one for one in await world.cards() if one.ts != card.ts]) == 1
    await anew.says(MAYA, "Yes, it is on its way")

    async def answered() -> bool:
        return await phone.answers() == ["Let me look", "Yes, it is on its way"]

    await eventually(answered, what="the answer from the new thread")


@pytest.mark.parametrize("what", ["archived", "removed"])
async def test_a_channel_that_is_gone_for_a_while_loses_nothing(impatient: None, world: World, what: str) -> None:
    """Its conversations wait in order, and go on when it is back; a rename changes nothing."""
    phone = await world.customer("Ann")
    await phone.says("one")
    card = await world.card()
    await card.says_ours("one")
    await world.control("slack/rename", channel=card.channel, name="support-renamed")
    gone, back = {
        "archived": ("slack/archive", "slack/unarchive"),
        "removed": ("slack/kick", "slack/invite"),
    }[what]
    bot = {"user": "U0SANDBOT"} if what == "removed" else {}
    members = {"users": ["U0SANDBOT"]} if what == "removed" else {}
    await world.control(gone, channel=card.channel, **bot)
    for words in ("two", "three"):
        await phone.says(words)
    notices = await eventually(lambda: _told(world), what="the operator is told")
    assert len(notices) >= 1
    await world.control(back, channel=card.channel, **members)
    await card.says_ours("three")
    shown = [said(post) for post in await card.posts() if post.get("bot_id")]
    places = [next(n for n, one in enumerate(shown) if f'"{words}"' in one) for words in ("one", "two", "three")]
    assert places == sorted(places)


async def _told(world: World) -> list[str]:
    page = await world.look("slack/channel/C0LEADS")
    return [m["text"] for m in page["messages"] if m.get("bot_id")]


async def test_open_conversations_are_shown_in_a_channel_that_was_connected(world: World) -> None:
    """The queue got another channel: its open conversations are posted there as history, once, and go on."""
    phone = await world.customer("Ann")
    await phone.says("Where is my order?")
    card = await world.card()
    await card.says_ours("Where is my order?")
    await card.says(MAYA, "Let me look")
    await eventually(phone.answers, what="the answer")
    await card.shows("Waiting for customer")
    await world.stop()
    world.overrides = merged(world.overrides, {"queues": {"support": {"channel": "C0LEADS"}}})
    only = await desk.fill(world.settings(), last=5, dry_run=True)
    assert [(one.was, one.channel) for one in only] == [(card.channel, "C0LEADS")]
    assert await desk.fill(world.settings(), last=5, dry_run=False) == only
    assert await desk.fill(world.settings(), last=5, dry_run=False) == [], "it is on its way already"
    await world.start()

    async def there() -> Card | None:
        return next((one for one in await world.cards() if one.channel == "C0LEADS"), None)

    new = await eventually(there, what="the card in the new channel")
    await new.says_ours("Earlier:", "Where is my order?")
    await new.says_ours("Earlier:", "Let me look")
    assert len(await phone.answers()) == 1, "what is shown again is not sent again"
    await new.says(MAYA, "It comes tomorrow")

    async def answered() -> bool:
        return await phone.answers() == ["Let me look", "It comes tomorrow"]

    await eventually(answered, what="the answer from the new channel")
    await phone.says("Thank you, where exactly?")
    await new.says_ours("where exactly?")
