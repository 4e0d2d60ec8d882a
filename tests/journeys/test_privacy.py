"""The customer's rights, told by a customer in the chat: notice, choices, and what becomes of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from domain.erasure import Step
from storage import tables
from tests import world as worlds
from tests.journeys.conftest import BOTH, Setting, cells, in_cell
from tests.world import JONAS, MAYA, Json, Phone, World, eventually

WORDS = {
    "en": ("About your data", "Slack", "Acme Ltd", "privacy@acme.example", "Learn from my messages", "yes", "no"),
    "zh": ("关于您的个人信息", "Slack", "Acme Ltd", "privacy@acme.example", "从我的消息中学习", "：同意", "：不同意"),
}


@pytest.fixture(params=cells(BOTH))
async def told(impatient: None, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world whose customers are sent the privacy notice, on both engines."""
    setting: Setting = request.param
    privacy = {"notice": True, "company": "Acme Ltd", "contact": "privacy@acme.example"}
    async for made in in_cell(request, tmp_path, setting, privacy=privacy, roles={"privacy_officer": [JONAS]}):
        yield made


async def from_us(phone: Phone) -> list[Json]:
    """Our messages in the chat, oldest first."""
    return [m for m in await phone.chat() if m["from"] == "bot" and not m["deleted"]]


async def labels(phone: Phone) -> list[str]:
    """What the buttons under our newest message say."""
    newest = (await from_us(phone))[-1]
    return [button["text"] for row in newest["keyboard"] for button in row]


async def consents(world: World) -> list[Json]:
    """What stands in the record about the customers' choices."""
    async with world.house.stores.database.read() as conn:
        query = select(tables.customers.c.training, tables.customers.c.consents, tables.customers.c.notice)
        return [dict(row._mapping) for row in await conn.execute(query)]


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_first_contact_brings_the_notice_and_privacy_the_choices(told: World, language: str) -> None:
    """Notice in the customer's language with the places text goes to; a tap changes the button and the record."""
    heading, slack, company, contact, learn, yes, no = WORDS[language]
    phone = await told.customer("Ann", language)
    await phone.says("Where is my parcel?" if language == "en" else "我的快递到哪里了？")
    (notice,) = await eventually(lambda: from_us(phone), what="the notice")
    for word in (heading, slack, company, contact, "/privacy"):
        assert word in notice["text"]
    assert notice["keyboard"] == []
    await phone.says("And when?" if language == "en" else "什么时候到？")

    await phone.says("/privacy")
    await eventually(lambda: _at_least(phone, 2), what="the choices")
    shown = (await from_us(phone))[-1]
    assert heading in shown["text"]
    assert len(await labels(phone)) == 8
    assert next(label for label in await labels(phone) if learn in label).endswith(no)

    await phone.does("press", message_id=shown["message_id"], data="consent:training:1")
    answers = await eventually(lambda: told.log(platform="telegram", kind="query_answer"), what="the tap answered")
    assert answers[0]["data"]["text"]

    async def changed() -> bool:
        return any(learn in label and label.endswith(yes) for label in await labels(phone))

    await eventually(changed, what="the button says yes")
    assert len(await from_us(phone)) == 2, "the message with the buttons was changed, not repeated"
    assert await consents(told) == [{"training": 1, "consents": "{}", "notice": "1"}]
    card = await told.card()
    await card.says(MAYA, "Tomorrow.")
    await eventually(lambda: _at_least(phone, 3), what="the agent's answer")


async def _at_least(phone: Phone, count: int) -> bool:
    return len(await from_us(phone)) >= count


async def test_taps_survive_a_restart(told: World) -> None:
    """A choice made while we are away is taken in when we are back, once."""
    phone = await told.customer("Ann")
    await phone.says("/privacy")
    await eventually(lambda: _at_least(phone, 1), what="the choices")
    shown = (await from_us(phone))[-1]
    assert await told.stop() == 0
    for choice in ("consent:outreach:1", "consent:analytics:0"):
        await phone.does("press", message_id=shown["message_id"], data=choice)
    await told.start()

    async def kept() -> bool:
        (found,) = await consents(told)
        return str(found["consents"]) == '{"outreach": true, "analytics": false}'

    await eventually(kept, what="both choices in the record")


async def test_nobody_is_told_twice_over_a_restart(tmp_path: Path) -> None:
    """Who was sent the notice stands in the record, not in memory."""
    async with worlds.world(tmp_path, privacy={"notice": True}) as world:
        phone = await world.customer("Ann")
        await phone.says("first")
        await eventually(lambda: _at_least(phone, 1), what="the notice")
        await world.stop()
        await world.start()
        await phone.says("second")
        card = await world.card()
        await card.says_ours("second")
        assert len(await from_us(phone)) == 1


GOT = {
    "en": ("Get a copy", "Erase my data", "Everything we keep about you", "This is our last message"),
    "zh": ("获取我的信息副本", "删除我的信息", "我们保存的与您有关的全部信息", "最后一条消息"),
}


async def case_post(world: World, word: str) -> Json:
    """The post in the officer's channel that says this, as it stands now."""

    async def look() -> Json | None:
        page = await world.look("slack/channel/C0LEADS")
        return next((m for m in page["messages"] if word in json.dumps(m.get("blocks"))), None)

    found: Json = await eventually(look, what=f"{word!r} for the privacy officer")
    return found


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_what_a_customer_asks_is_decided_and_done(told: World, language: str) -> None:
    """A copy comes into the chat once the officer grants it; what is wrong is seen to, settled, and told; then the
    customer is erased at their own wish.
    """
    _, _, copy_words, last_words = GOT[language]
    phone = await told.customer("Ann", language)
    await phone.says("Where is my parcel?" if language == "en" else "我的快递到哪里了？")
    card = await told.card()
    await phone.says("/privacy")
    await eventually(lambda: _at_least(phone, 2), what="the choices")
    shown = (await from_us(phone))[-1]

    await phone.does("press", message_id=shown["message_id"], data="ask:export")
    post = await case_post(told, "wants a copy of their data")
    assert "Ann" not in json.dumps(post["blocks"]), "no name where it is not needed"
    await told.control("slack/press", user=MAYA, channel="C0LEADS", ts=post["ts"], action_id="case_approve")
    await eventually(lambda: _whispered(told, MAYA), what="the agent is told that this is not theirs to decide")
    await told.control("slack/press", user=JONAS, channel="C0LEADS", ts=post["ts"], action_id="case_approve")
    copy = await eventually(lambda: _with_file(phone), what="the copy in the chat")
    assert copy_words in (copy["caption"] or "")
    content = await told.client.get(copy["file"]["url"])
    with zipfile.ZipFile(io.BytesIO(content.content)) as held:
        found = json.loads(held.read("customer.json"))
    assert found["consents"] == {}
    assert [one["number"] for one in found["conversations"]] == [1001]
    await case_post(told, "Granted and done")

    await phone.does("press", message_id=shown["message_id"], data="ask:correct")
    post = await case_post(told, "says that something in their data is wrong")
    await told.control("slack/press", user=JONAS, channel="C0LEADS", ts=post["ts"], action_id="case_take")
    await case_post(told, "sees to it")
    before = len(await from_us(phone))
    await told.control("slack/press", user=JONAS, channel="C0LEADS", ts=post["ts"], action_id="case_approve")
    await eventually(lambda: _at_least(phone, before + 1), what="the customer told that it is settled")
    assert await told.audited("privacy.take") == [f"agent:{JONAS}"]

    await phone.does("press", message_id=shown["message_id"], data="ask:erase")
    post = await case_post(told, "wants their data erased")
    await told.control("slack/press", user=JONAS, channel="C0LEADS", ts=post["ts"], action_id="case_approve")

    async def erased() -> bool:
        receipts = await told.house.stores.erasures.receipts()
        return bool(receipts) and receipts[0].step is Step.DONE

    await eventually(erased, what="the receipt")
    assert last_words in (await phone.answers())[-1]
    assert card.ts not in [other.ts for other in await told.cards()]


async def _whispered(world: World, user: str) -> bool:
    return any("do not have the role" in one for one in await world.ephemerals("C0LEADS", user))


async def _with_file(phone: Phone) -> Json | None:
    return next((m for m in await from_us(phone) if m["file"]), None)
