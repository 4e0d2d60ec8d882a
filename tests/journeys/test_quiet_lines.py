"""A customer who plays with emoji and corrects one message again and again fills no thread."""

from __future__ import annotations

from typing import Any

from tests.world import Card, World, eventually

Json = dict[str, Any]


async def test_emoji_and_edits_are_one_line_each(world: World) -> None:
    """One line for the emoji and one for the edits of a message, changed in place, while nothing else is said. Emoji
    are on a message as its customer left it.

    Behind something else a new line begins. Forty more edits make no further post.
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

    for number in range(40):
        await phone.does("edit", message_id=second, text=f"And the bill {number}?")
    await phone.does("react", message_id=second, reaction="👏")
    await phone.says("That is all")
    await card.says_ours("That is all")
    await phone.does("edit", message_id=first, text="Where is order 2?")
    await card.says_ours("The customer changed a message", "order 1", "order 2")
    posts = await card.ours()
    assert len([one for one in posts if "The customer put" in one]) == 1
    assert len([one for one in posts if "The customer changed a message" in one]) == 2


async def _changed(card: Card, line: Json, *words: str) -> None:
    """Wait until this very post holds these words."""

    async def look() -> bool:
        now = next(one for one in await card.posts() if one["ts"] == line["ts"])
        return all(word in str(now["blocks"]) for word in words)

    await eventually(look, what=f"{words} where the line stands")
