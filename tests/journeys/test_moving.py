"""A conversation goes to another team while people are in the middle of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.changes import ANSWER_KINDS
from tests import world as worlds
from tests.journeys.test_leaving import echoed, the_window_ends
from tests.world import JONAS, LINA, MAYA, Card, Phone, World, eventually

WINDOW_S = 8.0


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[World]:
    """A world in which answers wait."""
    async with worlds.world(tmp_path, desk={"undo": f"{WINDOW_S:g}s"}) as made:
        yield made


async def test_it_goes_on_in_the_other_channel_and_nothing_is_lost_behind_it(patient: World) -> None:
    """New card with summary and backlink, old thread closed, an answer on its way arrives, a late one is refused."""
    world = patient
    phone = await world.customer("Ann")
    await phone.says("asdf qwer")
    old = await world.card()
    await old.says_ours("asdf qwer")
    await old.says(LINA, "// she is a regular")
    await old.says(MAYA, "Or call Bo: +49 171 7654321")
    await old.whispered(MAYA, "a phone number")
    waiting = await old.says(MAYA, "Let me ask a colleague")
    await old.whispered(MAYA, f"in {WINDOW_S:g} seconds")
    await old.chooses(MAYA, "change", "Technical support")
    assert old.channel == "C0TRIAGE"
    new = await world.card_in("C0TECH")
    await new.shows("earlier thread", f"p{old.ts.replace('.', '')}")
    await new.says_ours("Queue", "Technical support", "Maya", "she is a regular", "Let me ask a colleague")
    await new.says_ours("asdf qwer")
    question = await new.says_ours("Not sent", f"<@{MAYA}>", "goes on here", "a phone number", "Or call Bo")
    await old.presses_whispered(MAYA, "send_reply", "a phone number")
    await old.whispered(MAYA, "this is asked in <http")
    await new.presses(MAYA, "keep_note", ts=question["ts"])
    await new.says_ours(f"The answer of <@{MAYA}> that waited here was kept inside by <@{MAYA}>.")
    closed = await old.says_ours("Moved to", "Technical support", "Maya", "reaches nobody")
    assert new.ts.replace(".", "") in str(closed["blocks"])

    async def without_buttons() -> bool:
        root = await old.root()
        return "Moved to" in root["text"] and not any(b["type"] == "actions" for b in root["blocks"])

    await eventually(without_buttons, what="the old card is closed")
    await old.says(JONAS, "I can help")
    await old.whispered(JONAS, "goes on in <http")
    assert await eventually(phone.answers, what="the answer that waited") == ["Let me ask a colleague"]

    async def echoed() -> bool:
        return "white_check_mark" in await old.reactions(waiting)

    await eventually(echoed, what="the check mark where it was written")
    await phone.says("thank you so far, any news?")
    await new.says_ours("any news?")
    await new.says(LINA, "Yes, it works again")

    async def both() -> bool:
        return await phone.answers() == ["Let me ask a colleague", "Yes, it works again"]

    await eventually(both, what="the answer from the new thread")
    await new.chooses(LINA, "change", "Billing")
    third = await world.card_in("C0BILLING")
    summed = await third.says_ours("Queue", "Billing", "李娜")
    text = str(summed["blocks"])
    for words in ("Let me ask a colleague", "any news?", "(note)", "she is a regular"):
        assert words in text, "who comes new to it reads what was said"

    async def alone() -> bool:
        return [card.ts for card in await world.cards()] == [third.ts]

    await eventually(alone, what="the cards that were left are none any more")


async def test_what_was_written_before_it_moved_stays_in_its_authors_hands(tmp_path: Path) -> None:
    """Called back and sent after all from the thread that was left; changed and taken back two moves later, from there
    too: the customer's copy follows, and each sign stands where the line is.
    """
    async with worlds.world(tmp_path, desk={"undo": "60s"}) as world:
        phone = await world.customer("Ann")
        await phone.says("asdf qwer")
        first = await world.card()
        await first.says_ours("asdf qwer")
        monday = await first.says(MAYA, "It comes on Monday")
        await first.whispered(MAYA, "in 60 seconds")
        await first.chooses(MAYA, "change", "Technical support")
        second = await world.card_in("C0TECH")
        await first.presses_whispered(MAYA, "undo", "in 60 seconds")
        await echoed(first, monday, "leftwards_arrow_with_hook")
        await world.sent(*ANSWER_KINDS)
        assert await phone.answers() == []
        await first.presses_whispered(MAYA, "send_reply", "Called back")
        await the_window_ends(world)
        assert await eventually(phone.answers, what="what was sent after all") == ["It comes on Monday"]
        await echoed(first, monday, "white_check_mark")

        tuesday = await second.says(LINA, "Or on Tuesday")
        await second.whispered(LINA, "60 秒后发给客户")
        await the_window_ends(world)
        await echoed(second, tuesday, "white_check_mark")
        await second.chooses(LINA, "change", "Billing")
        third = await world.card_in("C0BILLING")
        await third.says_ours("Queue", "It comes on Monday", "Or on Tuesday")
        await world.control("slack/edit", user=MAYA, channel=first.channel, ts=monday, text="It comes on Sunday")
        await phone_has(phone, "It comes on Sunday", "Or on Tuesday")
        await world.control("slack/delete", user=LINA, channel=second.channel, ts=tuesday)
        await phone_has(phone, "It comes on Sunday")

        await phone.does("block")
        await third.says_ours("cannot be reached")
        await world.control("slack/edit", user=MAYA, channel=first.channel, ts=monday, text="It comes on Saturday")
        await third.says_ours("This change did not reach the customer")
        assert await phone.answers() == ["It comes on Sunday"]


async def phone_has(phone: Phone, *texts: str) -> None:
    """Wait until these are the answers in the chat."""

    async def there() -> bool:
        return await phone.answers() == list(texts)

    await eventually(there, what=f"{texts} on the phone")


async def test_the_channels_of_a_queue_share_its_conversations(tmp_path: Path) -> None:
    """In either of them one answers, corrects the topic and moves it away and back, and it stays in its own."""
    async with worlds.world(
        tmp_path, queues={"support": {"more_channels": ["C0RANDOM"]}}, desk={"undo": "0s"}
    ) as world:
        await world.control("slack/invite", channel="C0RANDOM", users=["U0SANDBOT"])
        phones: dict[str, Phone] = {}
        cards: list[Card] = []
        while {card.channel for card in cards} != {"C0SUPPORT", "C0RANDOM"} and len(cards) < 40:  # by chance
            name = f"Customer {len(cards)}."
            phones[name] = await world.customer(name)
            await phones[name].says("Where is my order?")
            await world.card(len(cards))
            cards = await world.cards()
        card = next(one for one in cards if one.channel == "C0RANDOM")
        root = str(await card.root())
        whose = next(name for name in phones if name in root)
        await card.chooses(MAYA, "change", "Delivery problem")
        await card.says_ours("Topic", "Delivery problem")
        await card.says(MAYA, "It comes tomorrow")
        assert await eventually(phones[whose].answers, what="the answer") == ["It comes tomorrow"]
        await card.chooses(MAYA, "change", "Technical support")
        away = await world.card_in("C0TECH")
        await away.chooses(MAYA, "change", "Support")

        async def back() -> Card | None:
            found = [one for one in await world.cards() if one.channel == "C0RANDOM" and one.ts not in known]
            return found[0] if found else None

        known = {one.ts for one in cards}
        again = await eventually(back, what="a card in the channel where it stood")
        assert whose in str(await again.root())
