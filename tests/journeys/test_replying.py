"""Answering in a window: canned replies, who else is answering, and nothing that the customer was not meant to get."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot import canned
from tests import world as worlds
from tests.world import JONAS, LINA, MAYA, STRANGER, World, eventually


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[World]:
    """A desk with canned replies of its own."""
    file = tmp_path / "replies.yaml"
    file.write_text(canned.STARTER.read_text(encoding="utf-8"), encoding="utf-8")
    async with worlds.world(tmp_path, desk={"undo": "0s", "ask_unread": True, "replies": str(file)}) as made:
        yield made


async def window(world: World, user: str, what: str) -> dict[str, Any]:
    """The window that somebody has open with these words in it."""

    async def look() -> dict[str, Any] | None:
        views = (await world.look("slack/views", user=user))["views"]
        found = [view for view in views if view["type"] == "modal" and what in json.dumps(view, ensure_ascii=False)]
        return found[-1] if found else None

    return dict(await eventually(look, what=f"a window with {what!r}"))


def field(view: dict[str, Any]) -> dict[str, Any]:
    """The text field of a reply window."""
    return next(block for block in view["blocks"] if str(block.get("block_id", "")).startswith("text"))


async def send(world: World, user: str, view: dict[str, Any], text: str) -> None:
    """Press Send with this text in the field."""
    values = {field(view)["block_id"]: {"text": {"value": text}}}
    done = await world.control("slack/submit", user=user, view_id=view["id"], values=values)
    assert done["closed"]


async def test_an_answer_from_a_window(desk: World) -> None:
    """The fitting canned reply is offered on top and filled in; colleagues are told; the answer goes like any other."""
    phone = await desk.customer("Ann")
    await phone.says("Where is my order 4711-22? It should have come on Monday")
    card = await desk.card()
    await card.says_ours("4711-22")
    await card.presses(MAYA, "reply")
    opened = await window(desk, MAYA, "To Ann")
    groups = next(b for b in opened["blocks"] if b.get("block_id") == "canned")["element"]["option_groups"]
    assert "where_is_my_order" in [option["value"] for option in groups[0]["options"]], "among the three that fit best"
    await desk.control("slack/press", user=MAYA, view_id=opened["id"], action_id="canned", value="where_is_my_order")
    filled = await window(desk, MAYA, "order 4711-22 is on its way")
    written = field(filled)["element"]["initial_value"]
    assert written.startswith("Hello Ann, order 4711-22")

    await card.presses(LINA, "reply")
    second = await window(desk, LINA, "正在回复")
    await card.whispered(MAYA, "has opened a reply to")
    await desk.control("slack/close", user=LINA, view_id=second["id"])
    await card.presses(JONAS, "reply")
    third = json.dumps(await window(desk, JONAS, "is answering right now"), ensure_ascii=False)
    assert ("Maya" in third, "李娜" in third) == (True, False), "Lina has closed hers"
    await desk.control("slack/close", user=JONAS, view_id=(await window(desk, JONAS, "is answering"))["id"])
    await send(desk, MAYA, filled, written)

    async def answered() -> bool:
        return await phone.answers() == [written]

    await eventually(answered, what="the answer")
    post = await card.says_ours("Answer by", "4711-22")

    async def receipted() -> bool:
        return "white_check_mark" in await card.reactions(post["ts"])

    await eventually(receipted, what="the receipt on our post")
    await card.presses(LINA, "reply")
    alone = await window(desk, LINA, "这个会话由")
    assert "正在回复" not in json.dumps(alone, ensure_ascii=False), "Maya has sent hers"

    await desk.advance(seconds=2)  # Telegram tells seconds: within one of them nothing is newer
    await phone.says("And can I still change the address?")
    await card.says_ours("change the address")
    await send(desk, LINA, alone, "Anything else?")
    await card.whispered(LINA, "客户又来了消息")
    assert len(await phone.answers()) == 1
    await card.presses_whispered(LINA, "send_reply", "客户又来了消息")

    async def sent_after_all() -> bool:
        return (await phone.answers())[1:] == ["Anything else?"]

    await eventually(sent_after_all, what="the answer that was asked about")


async def test_an_answer_to_one_message(desk: World) -> None:
    """The shortcut on a customer's message opens the window for it, and the customer sees which one is answered."""
    phone = await desk.customer("Ann")
    asked = await phone.says("Where is my order 4711-22?")
    await phone.says("And do you sell mugs?")
    card = await desk.card()
    await card.says_ours("do you sell mugs")
    post = await card.says_ours("4711-22")
    about = {"user": MAYA, "callback_id": "relaydesk_reply", "channel": card.channel, "ts": post["ts"]}
    await desk.control("slack/shortcut", **about)
    await send(desk, MAYA, await window(desk, MAYA, "Where is my order 4711-22?"), "It comes tomorrow")

    async def named() -> bool:
        return [m["reply_to"] for m in await phone.chat() if m["text"] == "It comes tomorrow"] == [asked]

    await eventually(named, what="an answer that says which message it answers")


async def test_canned_replies_are_searched_shown_and_edited(desk: World) -> None:
    """By command, in both languages; only who may edits, a mistake changes nothing, and the guard holds here too."""
    phone = await desk.customer("王明", "zh")
    await phone.says("我的退款什么时候到账？订单 88123")
    card = await desk.card()
    await card.says_ours("88123")
    number = (await card.root())["text"].split()[0]
    await desk.command(MAYA, "reply 退款")
    told = await eventually(lambda: desk.ephemerals("C0SUPPORT", MAYA), what="a list")
    assert "refund_started" in told[-1]
    await desk.command(MAYA, f"回复 {number} 退款")
    opened = await window(desk, MAYA, "To 王明")
    assert "Refund is on its way" in json.dumps(opened), "titles are for who picks one"
    await desk.control("slack/press", user=MAYA, view_id=opened["id"], action_id="canned", value="refund_started")
    filled = await window(desk, MAYA, "订单 88123 的退款已经办理")
    await send(desk, MAYA, filled, "密码是 password: hunter2hunter2")
    await card.whispered(MAYA, "a password or a key")
    await card.says_ours("Note by", "hunter2")
    assert await phone.answers() == []

    await desk.command(STRANGER, "reply edit refund_started")
    await desk.command(MAYA, "reply edit refund_started")
    for user in (STRANGER, MAYA):
        await eventually(partial(_refused, desk, user), what="a refusal to whoever may not edit")
    await desk.command(JONAS, "reply edit refund_started")
    edit = await window(desk, JONAS, "Canned reply")
    before = {b["block_id"]: b["element"].get("initial_value", "") for b in edit["blocks"] if b["type"] == "input"}
    wrong = {
        name: {"text": {"value": value}} for name, value in {**before, "text_en": "Hello {nobody}"}.items() if value
    }
    await desk.control("slack/submit", user=JONAS, view_id=edit["id"], values=wrong)
    edit = await window(desk, JONAS, "was not saved")
    assert "Hello {nobody}" in json.dumps(edit), "the mistake is told, and nothing has to be written twice"
    right = {
        name: {"text": {"value": value}} for name, value in {**before, "text_zh": "{name}，钱已退。"}.items() if value
    }
    await desk.control("slack/submit", user=JONAS, view_id=edit["id"], values=right)
    await eventually(lambda: _direct(desk, JONAS, "is saved"), what="saved")
    await desk.command(JONAS, "reply edit")
    new = await window(desk, JONAS, "Canned reply")
    said = {"name": "Refund started", "text_en": "Over it"}
    values = {name: {"text": {"value": value}} for name, value in said.items()}
    await desk.control("slack/submit", user=JONAS, view_id=new["id"], values=values)
    refused = await window(desk, JONAS, "another reply is called")
    assert "Over it" in json.dumps(refused)
    path = desk.settings().desk.replies
    assert path is not None
    kept = yaml.safe_load(path.read_text(encoding="utf-8"))["replies"]["refund_started"]["text"]
    assert kept["zh"] == "{name}，钱已退。"
    assert kept["en"] == before["text_en"]

    await desk.command(JONAS, f"reply {number}")
    opened = await window(desk, JONAS, "To 王明")
    await desk.control("slack/user", id=JONAS, is_restricted=True)
    await desk.control("slack/press", user=JONAS, view_id=opened["id"], action_id="canned", value="refund_started")
    await card.whispered(JONAS, "do not have the role")  # whoever became a guest fills nothing in any more


async def _refused(world: World, user: str) -> bool:
    return any("do not have the role" in told for told in await world.ephemerals("C0SUPPORT", user))


async def _direct(world: World, user: str, words: str) -> bool:
    posts = await world.log(platform="slack", kind="post")
    return any(words in str(post["data"]["text"]) for post in posts)
