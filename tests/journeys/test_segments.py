"""Segments at work: a rule asks for one, the card shows it, and time and tags move people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import select

from storage import tables
from tests import world as worlds
from tests.world import eventually

RULES: dict[str, Any] = {
    "segments": {"new": {"max_conversations": 1}, "vip": {"tag": "vip"}},
    "routing": [{"name": "newcomers", "when": {"segment": "new"}, "queue": "billing"}, {"queue": "support"}],
}


async def test_a_rule_asks_for_a_segment_from_the_first_message_on(tmp_path: Path) -> None:
    """Somebody new is routed by it and shown with it; a tag makes them a VIP with the next message."""
    async with worlds.world(tmp_path, **RULES) as world:
        phone = await world.customer("Ann")
        await phone.says("Where is my parcel?")
        card = await world.card()
        assert card.channel == "C0BILLING"
        await card.shows("new")
        stores = world.house.stores

        async def stored() -> str:
            async with stores.database.read() as conn:
                return str((await conn.execute(select(tables.customers.c.segments))).scalar_one())

        assert await stored() == '["new"]'
        async with stores.database.read() as conn:
            who = str((await conn.execute(select(tables.customers.c.id))).scalar_one())
        now = world.house.clock.now()
        await stores.segmentation.tag(who, add=["vip"], remove=[], actor="os:carol", reason="signed", now=now)
        await phone.says("And when?")

        async def both() -> bool:
            return await stored() == '["new", "vip"]'

        await eventually(both, what="a VIP in the record")
        await phone.says("Please answer.")
        await card.shows("new", "vip")
