"""A desk whose language is Chinese: what agents do there reads Chinese, from the card to the transcript."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import world as worlds
from tests.world import LINA, Json, World, eventually

SECRET = "hunter2-Xy9"
NAMES = {"Telegram", "lina", "Relaydesk", "relaydesk", "hunter", "Xy"}
"""Latin words that stand in a Chinese desk as they are, and what an agent wrote."""


@pytest.fixture
async def chinese(tmp_path: Path) -> AsyncIterator[World]:
    """A desk in Chinese, in which an answer can be called back."""
    async with worlds.world(tmp_path, languages=["zh", "en"], desk={"language": "zh", "undo": "1s"}) as made:
        yield made


def said(block: Any) -> Iterator[str]:
    """Every text that people read in Block Kit, labels of menus and buttons too."""
    if isinstance(block, list):
        for one in block:
            yield from said(one)
    elif isinstance(block, dict):
        if isinstance(block.get("text"), str):
            yield block["text"]
        for one in block.values():
            yield from said(one) if isinstance(one, dict | list) else ()


def english(text: str) -> set[str]:
    """The English words of a text, without what is code, a mention, a date or an address."""
    return set(re.findall(r"[A-Za-z]{2,}", re.sub(r"`[^`]*`|<!date[^>]*>|<[^>|]*\|?|https?://\S+", " ", text))) - NAMES


async def test_what_is_done_at_a_chinese_desk_reads_chinese(chinese: World) -> None:
    """Taken, guarded, called back, answered, put off, moved, blocked, resolved: nothing of ours is English."""
    world = chinese
    phone = await world.customer("王芳", "zh-hans")
    await phone.says("您好，我想退货，怎么退款？")
    old = await world.card()
    await old.shows("王芳", "中文", "退货退款", "暂无负责人", "首次回复截止")
    await old.presses(LINA, "assign_me")
    await old.says_ours("已接手")
    await old.says(LINA, f"密码是 {SECRET}")
    await old.whispered(LINA, "先不发出：其中含有密码或密钥")
    await old.says(LINA, "王女士您好，退货申请已通过。")
    await old.whispered(LINA, "1 秒后发给客户")
    assert await eventually(phone.answers, what="the answer") == ["王女士您好，退货申请已通过。"]
    await old.shows("等待客户")
    await old.chooses(LINA, "more", "暂停 1 小时")
    await old.says_ours("状态", "已挂起")
    number = (await old.root())["text"].split()[0]
    await world.command(LINA, f"恢复 {number}", channel=old.channel)
    await old.whispered(LINA, "已办好")
    await phone.says("那我把东西寄到哪里？")
    await old.says_ours("寄到哪里")
    await old.chooses(LINA, "relabel", "技术支持")
    await old.says_ours("已转到", "新的消息列")
    new = await world.card_in("C0TECH")
    await new.shows("之前的消息列")
    await new.says_ours("队列", "账务", "技术支持", "退货申请已通过")
    await phone.does("block")
    await new.says_ours("联系不上客户", "客户屏蔽了机器人")
    await new.chooses(LINA, "more", "结束：客户撤回")
    await new.shows("重新打开", "客户撤回")
    await world.command("U0STRANGER", f"解决 {number}", channel=new.channel)
    await world.command(LINA, f"记录 {number}", channel=new.channel)
    await new.whispered(LINA, "会话记录会以私信发给您")

    pages = [await world.look(f"slack/channel/{channel}") for channel in (old.channel, new.channel)]
    whispers: list[Json] = [one for page in pages for one in page["ephemerals"].get(LINA, [])]
    posts = [post for card in (old, new) for post in (await card.root(), *await card.posts()) if post.get("bot_id")]
    assert len(posts) > 8
    assert len(whispers) > 3
    left = {text for one in (*posts, *whispers) for text in (one["text"], *said(one.get("blocks"))) if english(text)}
    assert left == set()
