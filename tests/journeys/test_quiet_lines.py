"""A customer who plays with emoji and corrects one message again and again fills no thread."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bot import pace
from tests import world as worlds
from tests.world import Card, World, eventually

Json = dict[str, Any]

EDITS = 40
CHANGING = 4
"""What such a customer changes at the desk: the message itself, the line below it, that of the emoji, and the card."""


async def test_emoji_and_edits_are_one_line_each(world: World) -> None:
    """One line for the emoji and one for the edits of a message, changed in place, while nothing else is said. Emoji
    are on a message as its customer left it.

    Behind something else a new line begins. Forty more edits make no further post, and few calls: what they change
    was changed twice just before, and is changed once in twenty seconds from then on.
    """
    phone = await world.customer("Ann")
    first = await phone.says("Where is order 1?")
    card = await world.card()
    second = await phone.says("And the bill?")
    await card.says_ours("And the bill?")

    await phone.does("react", message_id=first, reaction="👍")
    emoji = await card.says_ours("The customer put 👍 on “Where is order 1?”")
    await phone.does("edit", message_id=second, text="And the bill of May?")
    line = await card.says_ours("The customer changed a message", "And the bill?", "of May")
    await phone.does("react", message_id=second, reaction="❤")
    await _changed(card, emoji, "👍 on “Where is order 1?”", "❤ on “And the bill of May?”")
    await phone.does("edit", message_id=second, text="And the bill of June?")
    await _changed(card, line, "The customer changed a message", "And the bill?", "of June")

    calm, began = await _calls(world), time.monotonic()
    for number in range(EDITS):
        await phone.does("edit", message_id=second, text=f"And the bill {number}?")
    await phone.does("react", message_id=second, reaction="👏")
    await phone.says("That is all")
    await card.says_ours("That is all")
    busy, later = await _calls(world), (time.monotonic() - began) // pace.EVERY.total_seconds()
    assert busy["chat.postMessage"] - calm["chat.postMessage"] == 1, "what was said last"
    assert busy["chat.update"] - calm["chat.update"] <= CHANGING * (1 + later)
    await phone.does("edit", message_id=first, text="Where is order 2?")
    await card.says_ours("The customer changed a message", "order 1", "order 2")
    posts = await card.ours()
    assert len([one for one in posts if "The customer put" in one]) == 1
    assert len([one for one in posts if "The customer changed a message" in one]) == 2


async def test_the_same_lines_in_chinese(tmp_path: Path) -> None:
    """Where Chinese is read, the line of the emoji and the line of the edits are Chinese, and change in place."""
    async with worlds.world(tmp_path, languages=["zh", "en"], desk={"language": "zh"}) as world:
        phone = await world.customer("李静", language="zh-hans")
        first = await phone.says("我的订单到哪了？")
        card = await world.card()
        await card.says_ours("我的订单到哪了？")
        await phone.does("react", message_id=first, reaction="👍")
        emoji = await card.says_ours("客户用 👍 回应了“我的订单到哪了？”")
        await phone.does("edit", message_id=first, text="订单 123 到哪了？")
        line = await card.says_ours("客户修改了一条消息", "我的订单到哪了？", "订单 123 到哪了？")
        await phone.does("react", message_id=first, reaction="🙏")
        await _changed(card, emoji, "客户用 🙏 回应了“订单 123 到哪了？”")
        await phone.does("edit", message_id=first, text="订单 124 到哪了？")
        await _changed(card, line, "客户修改了一条消息", "我的订单到哪了？", "订单 124 到哪了？")
        assert len(await card.ours()) == 3, "the message, its emoji, its changes"


async def _calls(world: World) -> dict[str, int]:
    """How often Slack was called so far, by method."""
    counts = await world.look("log/counts")
    return dict(counts["requests"]["slack"])


async def _changed(card: Card, line: Json, *words: str) -> None:
    """Wait until this very post holds these words."""

    async def look() -> bool:
        now = next(one for one in await card.posts() if one["ts"] == line["ts"])
        return all(word in str(now["blocks"]) for word in words)

    await eventually(look, what=f"{words} where the line stands")
