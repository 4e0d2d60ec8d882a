"""Something of Slack goes away under us: a card, a channel, our place in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.cli import desk
from tests import templates
from tests import world as worlds
from tests.bot.test_hooks import Service, service
from tests.faults.story import tried_again
from tests.world import MAYA, Card, Phone, World, eventually, merged, said

__all__ = ["service"]


async def test_a_deleted_card_is_posted_again_and_the_thread_goes_on(both: World) -> None:
    """What comes next stands under one new card, nothing is left in the channel, and its answers reach the customer."""
    world = both
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
    await eventually(lambda: _told(world), what="the operator is told")
    await tried_again(world, "slack", "chat.postMessage")
    await world.control(back, channel=card.channel, **members)
    await card.says_ours("three")
    shown = [said(post) for post in await card.posts() if post.get("bot_id")]
    places = [next(n for n, one in enumerate(shown) if f'"{words}"' in one) for words in ("one", "two", "three")]
    assert places == sorted(places)
    fix = {"archived": "Unarchive it", "removed": "Type `/invite @relaydesk` there"}[what]

    async def news() -> list[str]:
        return [one for one in await _told(world) if fix in one]

    assert len(await eventually(news, what="what to do about it")) == 1
    met = [one for one in await _told(world) if "does not let us in any more" in one]
    assert met == [], "what the first refused post met is the same news"

    async def works() -> list[str]:
        return [one for one in await _told(world) if f"<#{card.channel}> works again" in one]

    assert len(await eventually(works, what="that it works again")) == 1


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


async def test_a_renewed_token_lets_everything_go_on_in_order(
    impatient: None, tmp_path: Path, service: Service
) -> None:
    """The access is gone, the on-call service hears of it once; with the new token all of it appears, nothing twice."""
    async with worlds.world(tmp_path, start=False, alerts={"webhook": service.url}) as world:
        await templates.seed(f"sqlite:///{world.overrides['data_dir']}/relaydesk.db")
        world.environment = {"RELAYDESK_ALERT_WEBHOOK_SECRET": "a-secret-of-the-two"}
        await world.start()
        phone, card = await _begun(world, "Ann")
        await world.control("slack/settings", revoke="xoxb-sandbox")
        for words in ("one", "two"):
            await phone.says(words)
        bob = await world.customer("Bob")
        await bob.says("Bob writes too")
        await eventually(lambda: service.requests, what="the call for help")
        await card.says(MAYA, "On its way")
        assert len(await world.cards()) == 1
        await world.stop()
        await world.control("slack/settings", bot_token="xoxb-renewed")
        world.environment["RELAYDESK_SLACK_BOT_TOKEN"] = "xoxb-renewed"
        await world.start()
        await card.says_ours("two")
        assert await eventually(phone.answers, what="what was written meanwhile") == ["On its way"]
        await eventually(lambda: _at_least(world, 2), what="Bob's card")
        shown = [said(post) for post in await card.posts() if post.get("bot_id")]
        assert [[words for words in ("Hello", "one", "two") if f'"{words}"' in one] for one in shown] == [
            ["Hello"],
            ["one"],
            ["two"],
        ]
        assert await phone.answers() == ["On its way"]
        await eventually(lambda: len(service.requests) == 2, what="that they need not come")
        told = [json.loads(body) for _, body in service.requests]
        assert [(one["event"], one["where"], one["reason"]) for one in told] == [
            ("access_revoked", "slack", "token_revoked"),
            ("access_restored", "slack", "token_revoked"),
        ]
        assert [sorted(one) for one in told] == [
            ["at", "event", "fix", "reason", "where"],
            ["at", "event", "reason", "where"],
        ]
        assert [one for one in await _told(world) if "works again" in one] == [], "nobody read there that it did not"


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_cannot_be_read_back_is_told_until_it_is(tmp_path: Path, language: str) -> None:
    """The app may not read the channels' history any more: what a colleague wrote while we were away lies unread."""
    unread, read = {
        "en": ("cannot be read back", "has been read back"),
        "zh": ("读不回来", "已经补读"),
    }[language]
    async with worlds.world(tmp_path, languages=[language, "en"], desk={"language": language}) as world:
        phone, card = await _begun(world, "Ann")
        await world.stop()
        await card.says(MAYA, "It comes tomorrow")
        tokens = (await world.look("slack/settings"))["tokens"]
        allowed = next(one["scopes"] for one in tokens if one["kind"] == "bot")
        await world.control("slack/settings", scopes=[one for one in allowed if not one.endswith(":history")])
        world.overrides["slack"]["fill_gaps_every"] = "1s"
        await world.start()

        async def lines(words: str) -> list[str]:
            return [one for one in await _told(world) if words in one]

        await eventually(lambda: lines(unread), what="that answers may lie unread")
        await world.control("slack/settings", scopes="all")
        await eventually(lambda: lines(read), what="that they are read")
        assert await eventually(phone.answers, what="the answer") == ["It comes tomorrow"]
        assert (len(await lines(unread)), len(await lines(read))) == (1, 1)


async def test_an_app_that_was_installed_anew_goes_on_with_its_conversations(impatient: None, world: World) -> None:
    """Another bot: threads of the old one still lead to their customers, its posts are nobody's answers, and its cards,
    which nobody can change or press any more, are followed by new ones."""
    (phone, card), (bobs_phone, bobs) = await _begun(world, "Ann"), await _begun(world, "Bob")
    await card.says(MAYA, "Let me look")
    await eventually(phone.answers, what="the answer")
    await card.shows("Waiting for customer")
    made = await world.control("slack/reinstall")
    await phone.says("Are you there?")
    await world.stop()
    world.environment = {
        "RELAYDESK_SLACK_BOT_TOKEN": made["bot_token"],
        "RELAYDESK_SLACK_APP_TOKEN": made["app_token"],
    }
    await world.start()

    async def after(old: Card) -> Card | None:
        """The card that has followed this one."""
        root = await old.root()
        number = root["text"].split()[0]
        found = [one for one in await world.cards() if (await one.root())["text"].split()[0] == number]
        return next((one for one in found if one.ts != old.ts), None)

    anns = await eventually(lambda: after(card), what="a card of the new bot")
    await anns.says_ours("Are you there?")
    await anns.shows("|earlier thread>")
    await anns.says(MAYA, "Yes, it is on its way")
    await bobs.says(MAYA, "Hello Bob")
    assert await eventually(bobs_phone.answers, what="the answer from the old thread") == ["Hello Bob"]
    new = await eventually(lambda: after(bobs), what="Bob's new card")
    await new.shows("Waiting for customer", "|earlier thread>")
    await new.presses(MAYA, "resolve")
    await new.shows("Done")

    async def both() -> bool:
        return len(await phone.answers()) == 2

    await eventually(both, what="the answer from the new thread")
    assert await phone.answers() == ["Let me look", "Yes, it is on its way"]
    assert await bobs_phone.answers() == ["Hello Bob"]


async def _begun(world: World, name: str) -> tuple[Phone, Card]:
    """A customer whose first words stand under a card."""
    place = len(await world.cards())
    phone = await world.customer(name)
    await phone.says("Hello")
    card = await world.card(place)
    await card.says_ours("Hello")
    return phone, card


async def _at_least(world: World, count: int) -> bool:
    return len(await world.cards()) >= count
