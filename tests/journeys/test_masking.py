"""A channel that must not have customers' words: they stay in the record, and come out one by one, for a reason."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import select

from storage import tables
from tests import world as worlds
from tests.journeys.conftest import cells, in_cell
from tests.world import JONAS, MAYA, World, eventually

QUEUES = ("support", "billing", "tech", "triage")


@pytest.fixture(params=cells([("polling", "socket", "sqlite"), ("webhook", "http", "postgres")]))
async def kept(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world on either engine, whose every queue keeps customers' words out of Slack."""
    masked = {name: {"mask": "everything"} for name in QUEUES}
    async for made in in_cell(request, tmp_path, request.param, queues=masked):
        yield made


async def test_words_stay_out_of_slack_until_a_lead_gives_a_reason(kept: World) -> None:
    """Card, posts and files carry nothing of the customer; an agent is refused, a lead reads it alone, and both are
    on record.
    """
    phone = await kept.customer("Annabelle", last_name="Leeward")
    await phone.says("My parcel is late, my number is 0170 1234567")
    card = await kept.card()
    await phone.says("and my second message")
    await card.says_ours("kept out of Slack", "reveal_message")
    posts = [post for post in await card.posts() if post.get("bot_id")]
    whole = json.dumps([await card.root(), posts], ensure_ascii=False)
    for word in ("parcel", "1234567", "Annabelle", "second message"):
        assert word not in whole

    where, menu = await _menu(card)
    value = next(one["value"] for one in menu["options"] if "to_answer" in one["value"])
    await card.presses(MAYA, menu["action_id"], ts=where, value=value)
    assert "role" in await card.whispered(MAYA, "role")
    await card.presses(JONAS, menu["action_id"], ts=where, value=value)
    told = await card.whispered(JONAS, "In the clear")
    assert "parcel" in told or "second message" in told
    assert [one for one in await kept.audited("message.reveal") if JONAS in one]
    assert await _digests(kept), "the digest of the message's ciphertext"
    refused = await eventually(lambda: kept.audited("refused"), what="the refusal in the audit trail")
    assert any(MAYA in one for one in refused)


async def _digests(world: World) -> list[str]:
    async with world.house.stores.database.read() as conn:
        query = select(tables.audit.c.digest).where(tables.audit.c.action == "message.reveal")
        sealed = (await conn.execute(select(tables.timeline.c.body_sealed))).scalars()
        known = {sha256(len(one).to_bytes(8, "big") + one).hexdigest() for one in sealed if one is not None}
        return [digest for digest in (await conn.execute(query)).scalars() if digest in known]


async def _menu(card: worlds.Card) -> tuple[str, worlds.Json]:
    for post in [await card.root(), *await card.posts()]:
        for block in post.get("blocks") or ():
            for element in block.get("elements") or ():
                if str(element.get("action_id", "")).startswith("reveal_message"):
                    return str(post["ts"]), element
    raise AssertionError("no message can be revealed")
