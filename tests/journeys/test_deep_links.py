"""Links that say what a customer comes about."""

from __future__ import annotations

from pathlib import Path

from tests import world as worlds
from tests.world import eventually

LINKS = {"order": {"prefix": "order-", "pattern": "[0-9]{3,8}"}}


async def test_a_link_fills_a_field_and_the_card_shows_it(tmp_path: Path) -> None:
    """Who comes by a link is greeted as ever, and the card says about what; a later link corrects it, a bad one not."""
    async with worlds.world(tmp_path, start=False, profile={"order": {"type": "text"}}) as world:
        world.overrides["telegram"]["links"] = LINKS
        await world.start()
        phone = await world.customer("Ann")
        await phone.says("/start order-12345")
        assert len(await eventually(phone.answers, what="the greeting")) == 1
        await phone.says("Where is it?")
        card = await world.card()
        await card.shows("order 12345")
        await phone.says("/start order-1;DROP")
        await phone.says("/start order-777")
        await card.shows("order 777")
        assert "12345" not in await card.text()
