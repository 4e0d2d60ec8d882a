"""Searching at the desk: where it stands, masked, for one person, and nothing of what is hidden from them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from storage import tables
from tests.journeys.conftest import BOTH, Setting, cells, in_cell
from tests.journeys.test_persons import seen
from tests.world import JONAS, MAYA, STRANGER, World, eventually

PLACE = "C0SUPPORT"


@pytest.fixture(params=cells(BOTH))
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world in which only Jonas sees what goes to billing."""
    hidden = {"billing": {"seen_by": {"agents": [JONAS]}}}
    routing = [{"name": "b", "when": {"language": "zh"}, "queue": "billing"}, {"queue": "support"}]
    setting: Setting = request.param
    async for made in in_cell(request, tmp_path, setting, queues=hidden, routing=routing):
        yield made


async def told(world: World, user: str, *words: str) -> str:
    """Wait until somebody is whispered blocks or a text with all these words."""

    async def look() -> str | None:
        page = await world.look(f"slack/channel/{PLACE}")
        bodies = [json.dumps(one, ensure_ascii=False) for one in page["ephemerals"].get(user, [])]
        return next((one for one in reversed(bodies) if all(word in one for word in words)), None)

    return str(await eventually(look, what=f"{words} for {user}"))


async def test_a_search_shows_where_it_stands_and_to_nobody_else(desk: World) -> None:
    """Numbers lead to the thread; words and names are masked; a hidden queue's are not found; the trail has it all."""
    ann = await desk.customer("Annabelle")
    await ann.says("My parcel is late, my number is 0170 1234567")
    card = await desk.card()
    li = await desk.customer("李静", "zh")
    await li.says("我要退款，请尽快处理 parcel")
    await desk.card(1)

    await desk.command(MAYA, "search PARCEL", channel=PLACE)
    answer = await told(desk, MAYA, "*Messages*", "parcel is late")
    assert "[phone]" in answer
    assert "1234567" not in answer
    assert "退款" not in answer
    assert f"p{card.ts.replace('.', '')}" in answer or card.ts in answer
    assert await seen(desk, JONAS, PLACE) == []

    await desk.command(MAYA, "search 退款", channel=PLACE)
    await told(desk, MAYA, "Nothing was found")
    await desk.command(JONAS, "search 退款", channel=PLACE)
    await told(desk, JONAS, "退款", "#1002")
    await desk.command(MAYA, "search Annabelle", channel=PLACE)
    named = await told(desk, MAYA, "*People*", "/relaydesk customer")
    assert "Annabelle" not in named
    await desk.command(MAYA, "search #1001", channel=PLACE)
    await told(desk, MAYA, "*Conversations*", "#1001")
    await desk.command(MAYA, "search after:soon", channel=PLACE)
    await told(desk, MAYA, "is not a date", "Say what to look for")
    await desk.command(STRANGER, "search parcel", channel=PLACE)
    await told(desk, STRANGER, "do not have the role")

    assert set(await desk.audited("search")) == {f"agent:{MAYA}", f"agent:{JONAS}"}
    assert await desk.audited("refused") == [f"agent:{STRANGER}"]
    async with desk.house.stores.database.read() as conn:
        trail = (await conn.execute(select(tables.audit).where(tables.audit.c.action == "search"))).all()
        sent = (await conn.execute(select(tables.outbox.c.data))).scalars().all()
    assert all(row.digest for row in trail if row.object != "customer:none")
    for word in ("parcel", "退款", "Annabelle"):
        assert word not in str([row.detail for row in trail])
        assert word not in str(sent), "what was looked for is kept nowhere"
