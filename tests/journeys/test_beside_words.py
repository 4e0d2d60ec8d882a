"""What passes between an agent and a customer beside words: an emoji, what a message answers, that one is typing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests import world as worlds
from tests.world import MAYA, STRANGER, Card, Phone, World, eventually

Json = dict[str, Any]


async def test_an_emoji_a_reply_and_typing_reach_the_phone(tmp_path: Path) -> None:
    """An agent's emoji appears on the customer's message and goes again; a quoted line becomes Telegram's own reply.

    While the answer waits to leave the customer sees typing. What the chat refuses is told once; our own receipts and
    strangers' emoji never reach the customer.
    """
    async with worlds.world(tmp_path, desk={"undo": "1500ms"}) as world:
        phone = await world.customer("Ann")
        first = await phone.says("Where is my order?")
        card = await world.card()
        second = await phone.says("And the bill is wrong")
        post = await card.says_ours("the bill is wrong")
        await _reacts(world, card, STRANGER, post["ts"], "+1")
        await _reacts(world, card, MAYA, post["ts"], "heart")
        await eventually(lambda: _stands(phone, second, ["❤"]), what="the emoji on the message")
        await _reacts(world, card, MAYA, post["ts"], "+1")
        await eventually(lambda: _stands(phone, second, ["👍"]), what="the newer one")
        await _reacts(world, card, MAYA, post["ts"], "+1", verb="unreact")
        await eventually(lambda: _stands(phone, second, ["❤"]), what="the one that still stands")
        await _reacts(world, card, MAYA, post["ts"], "heart", verb="unreact")
        await eventually(lambda: _stands(phone, second, []), what="none")

        quoted = "Where is my order?\nTomorrow"
        blocks = [
            {"type": "rich_text_quote", "elements": [{"type": "text", "text": "Where is my order?"}]},
            {"type": "rich_text_section", "elements": [{"type": "text", "text": "Tomorrow"}]},
        ]
        await card.says(MAYA, quoted, blocks=[{"type": "rich_text", "elements": blocks}])
        await eventually(lambda: _acts(world, phone, "typing"), what="typing while it waits")
        (answer,) = await eventually(lambda: _from_bot(phone), what="the answer")
        assert (answer["text"], answer["reply_to"]) == ("Tomorrow", first)

        error = "Bad Request: REACTION_INVALID"
        await world.control(
            "faults", platform="telegram", method="setMessageReaction", fault="error", count=2, error=error
        )
        await _reacts(world, card, MAYA, post["ts"], "tada")
        await card.whispered(MAYA, "Your emoji did not reach the customer")
        await _reacts(world, card, MAYA, post["ts"], "pray")
        await phone.says("thanks")
        await card.says_ours("thanks")
        told = [one for one in await world.ephemerals(card.channel, MAYA) if "did not reach" in one]
        assert len(told) == 1
        assert {one["bot"] for one in await _reactions(phone)} == {()}, "neither ours nor a stranger's"


async def _reacts(world: World, card: Card, user: str, ts: str, emoji: str, *, verb: str = "react") -> None:
    await world.control(f"slack/{verb}", user=user, channel=card.channel, ts=ts, emoji=emoji)


async def _stands(phone: Phone, message_id: int, emoji: list[str]) -> bool:
    message = next(one for one in await phone.chat() if one["message_id"] == message_id)
    return bool(message["reactions"]["bot"] == emoji)


async def _reactions(phone: Phone) -> list[dict[str, tuple[str, ...]]]:
    return [{"bot": tuple(one["reactions"]["bot"])} for one in await phone.chat()]


async def _acts(world: World, phone: Phone, action: str) -> bool:
    return bool((await world.look(f"telegram/chat/{phone.chat_id}"))["action"] == action)


async def _from_bot(phone: Phone) -> list[Json]:
    return [message for message in await phone.chat() if message["from"] == "bot"]
