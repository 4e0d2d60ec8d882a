"""A Chinese operator, a lead and a privacy officer: what only they are told, and what becomes of what goes wrong."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.cli import desk as backfill
from tests import world as worlds
from tests.journeys import reading
from tests.journeys.test_chinese_desk import answered, begin
from tests.world import JONAS, LINA, MAYA, Card, Json, Phone, World, eventually, merged, said

LEADS = "C0LEADS"


@pytest.fixture
async def company(impatient: None, tmp_path: Path) -> AsyncIterator[World]:
    """A company in China that never closes, and whose lead answers for privacy too."""
    levels = [{"after": "15m", "to": "queue"}, {"after": "30m", "to": "leads"}]
    settings: Json = {
        "languages": ["zh", "en"],
        "desk": {"language": "zh", "undo": "0s", "ask_late": "15m"},
        "routing": [{"queue": "support"}],
        "roles": {"privacy_officer": [JONAS]},
        "sla": {"policies": {"standard": {"calendar": "always"}}},
        "alerts": {"fallback": LEADS, "levels": levels},
    }
    async with worlds.world(tmp_path, start=False, **settings) as made:
        for user in (MAYA, JONAS):
            await made.control("slack/user", id=user, locale="zh-CN")
        await begin(made)
        yield made


async def test_what_goes_wrong_is_told_in_chinese_and_goes_on(company: World) -> None:
    """Overdue, unreadable, archived, deleted, away over night, moved to another channel, asked for by law: each is told
    to whoever must act, and nothing of it is in another language."""
    world = company
    phone = await world.customer("王芳", "zh-hans")
    await phone.says("我的快递三天没动静了，能查一下吗")
    card = await world.card()
    await _is_overdue(world, card)
    await _cannot_be_read_or_shown(world, phone, card)
    card = await _is_deleted(world, phone, card)
    await _we_were_away(world, phone, card)
    await _asks_for_her_data(world, phone)
    assert await reading.misread(world, "zh", {}) == {}
    assert reading.only("zh", await reading.on_the_phone(world, phone.chat_id)) == {}


async def _is_overdue(world: World, card: Card) -> None:
    """Whoever has it does not want to be disturbed: the group is asked, then the queue, then the lead, who excuses."""
    await card.presses(MAYA, "assign_me")
    await card.shows(f"<@{MAYA}>")
    await world.control("slack/user", id=MAYA, dnd={"snooze_enabled": True, "snooze_endtime": 4_000_000_000})
    await world.advance(hours=3, minutes=1)
    warned = await card.says_ours("首次回复截止", f"<@{MAYA}> 负责这个会话，但开了免打扰", "请在这里回复客户")
    await card.presses(LINA, "acknowledge", ts=warned["ts"])
    await card.whispered(LINA, "大家会看到您正在查看")
    await card.says_ours("*提醒：* 首次回复", "李娜 正在查看")
    await world.advance(hours=1)
    breach = await card.says_ours("首次回复已超时", "豁免…")
    await world.advance(minutes=15)
    await told_in(world, card.channel, "首次回复已超时", "请到该会话里回复客户")
    await world.advance(minutes=15)
    await told_in(world, await _direct(world, JONAS), "首次回复已超时")
    menu = next(e for b in breach["blocks"] for e in b.get("elements", []) if e.get("action_id") == "excuse")
    await card.presses(JONAS, "excuse", ts=breach["ts"], value=menu["options"][0]["value"])
    await card.says_ours("超时已豁免", "Jonas", "受第三方耽误")
    await world.command(LINA, "时限", channel=card.channel)
    await card.whispered(LINA, "*已超时（1）*")


async def _cannot_be_read_or_shown(world: World, phone: Phone, card: Card) -> None:
    """Something unreadable is set aside, a channel is archived, the bot is taken out of it: each with what helps."""
    await world.control("telegram/raw", update={"update_id": 900_000_001, "message": "text"})
    await told_in(world, LEADS, "有一项内容无法处理", "relaydesk dead list")
    await world.control("slack/archive", channel=card.channel)
    await phone.says("有消息了吗")
    await told_in(world, LEADS, "已归档", "请取消归档")
    await world.control("slack/unarchive", channel=card.channel)
    await card.says_ours("有消息了吗")
    await world.control("slack/kick", channel=card.channel, user="U0SANDBOT")
    await phone.says("您好？")
    await told_in(world, LEADS, "机器人被移出了", "/invite @relaydesk")
    await world.control("slack/invite", channel=card.channel, users=["U0SANDBOT"])
    await card.says_ours("您好？")


async def _is_deleted(world: World, phone: Phone, card: Card) -> Card:
    """Somebody deletes the card: the next thing stands under a new one, with the way back."""
    await world.control("slack/delete", user=JONAS, channel=card.channel, ts=card.ts)
    await phone.says("请回复我")

    async def fresh() -> Card | None:
        return next((one for one in await world.cards() if one.ts != card.ts), None)

    anew: Card = await eventually(fresh, what="a new card")
    await anew.shows("请回复我", "|之前的消息列>")
    return anew


async def _we_were_away(world: World, phone: Phone, card: Card) -> None:
    """What was written in the night is asked about, and open conversations stand in the channel that was connected."""
    await world.stop()
    stale = await card.says(MAYA, "今天发货")
    other = await card.says(MAYA, "明天送到")
    assert stale != other
    await world.control("clock", advance_s=9 * 3600)
    await world.start()
    first = await card.says_ours("*尚未发出*", "今天发货", "我们现在才收到")
    second = await card.says_ours("*尚未发出*", "明天送到")
    await card.presses(LINA, "keep_note", ts=second["ts"])
    await card.says_ours("等待确认的回复已由", "留在内部")
    await card.presses(LINA, "send_reply", ts=first["ts"])
    await answered(phone, "今天发货")
    await card.says_ours("等待确认的回复已由", "发出。")
    await world.stop()
    world.overrides = merged(world.overrides, {"queues": {"support": {"channel": "C0TECH"}}})
    assert len(await backfill.fill(world.settings(), last=5, dry_run=False)) == 1
    await world.start()
    new = await world.card_in("C0TECH")
    await new.says_ours("此前：", "今天发货")
    await new.presses(LINA, "resolve")
    await new.shows("已结束")


async def _asks_for_her_data(world: World, phone: Phone) -> None:
    """A copy, a correction and the erasure are asked for in the chat, and decided by whoever answers for it."""
    await phone.says("/privacy")
    shown = await eventually(lambda: _choices(phone), what="the choices")
    for ask, words, action, after in (
        ("export", "想要一份自己的信息副本", "case_approve", "已同意并办妥"),
        ("correct", "说自己的信息有误", "case_refuse", "未同意"),
        ("erase", "要求删除自己的信息", "case_approve", "已同意"),
    ):
        await phone.does("press", message_id=shown["message_id"], data=f"ask:{ask}")
        post = await _case(world, words)
        assert "王芳" not in said(post), "no name where it is not needed"
        about = {"channel": LEADS, "ts": post["ts"]}
        for user in (MAYA, JONAS):  # an agent is told that this is not theirs
            await world.control("slack/press", user=user, action_id="case_take", **about)
        await told_in(world, LEADS, words, "由 <@U0JONAS> 负责")
        await world.control("slack/press", user=JONAS, action_id=action, **about)
        await told_in(world, LEADS, after)
    await _says(phone, "这是您要的、我们保存的与您有关的全部信息", "最后一条消息")
    copy = next(one for one in await phone.chat() if one["file"])
    content = await world.client.get(copy["file"]["url"])
    with zipfile.ZipFile(io.BytesIO(content.content)) as held:
        page = re.sub(r"<(style|head).*?</\1>|<[^>]+>", "\n", held.read("index.html").decode(), flags=re.DOTALL)
    assert "我的快递三天没动静了" in page
    assert reading.only("zh", page.splitlines(), ["relaydesk.customer", "customer.json", "C0TECH"]) == {}


async def _case(world: World, words: str) -> Json:
    async def look() -> Json | None:
        page = await world.look(f"slack/channel/{LEADS}")
        return next((m for m in page["messages"] if words in said(m)), None)

    found: Json = await eventually(look, what=f"{words} for the privacy officer")
    return found


async def _choices(phone: Phone) -> Json | None:
    return next((m for m in reversed(await phone.chat()) if m["from"] == "bot" and m.get("keyboard")), None)


async def _says(phone: Phone, *words: str) -> None:
    async def look() -> bool:
        read = "\n".join(await phone.answers())
        return all(one in read for one in words)

    await eventually(look, what=f"{words} on the phone")


async def _direct(world: World, user: str) -> str:
    """The direct messages with somebody, once there are any."""

    async def look() -> str | None:
        channels = (await world.look("slack/channels"))["channels"]
        return next((one["id"] for one in channels if one.get("im_user") == user), None)

    return str(await eventually(look, what=f"a direct message to {user}"))


async def told_in(world: World, channel: str, *words: str) -> None:
    """Wait until the channel itself, no thread of it, has a post with all these words."""

    async def look() -> bool:
        page = await world.look(f"slack/channel/{channel}")
        return any(all(one in said(m) for one in words) for m in page["messages"] if m.get("bot_id"))

    await eventually(look, what=f"{words} in {channel}")
