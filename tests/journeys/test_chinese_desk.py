"""A Chinese desk: the working day of those who answer there, in which nothing of ours is in another language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bot import canned
from storage import tables
from tests import templates
from tests import world as worlds
from tests.journeys import reading
from tests.journeys.test_actions import _file as file_for
from tests.journeys.test_actions import form, shortcut
from tests.journeys.test_home import page
from tests.journeys.test_leaving import echoed, the_window_ends
from tests.journeys.test_persons import shown
from tests.journeys.test_replying import send, window
from tests.world import JONAS, LINA, MAYA, SLACK_PATIENCE_S, STRANGER, Card, Json, Phone, World, eventually

SECRET = "hunter2-Xy9"
OWN = (
    SECRET,
    "{name}",
    "{order}",
    "{谁}",
    "refund_started",
    "English",
    "agent、name、order、returns、status",
)
"""What is Latin since people called it so: a password, a field, variables, a canned reply, a language by its name."""
LINKS = {"order": {"prefix": "order-", "pattern": "[0-9]{3,8}"}}


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[World]:
    """A company in China: everybody reads Chinese, and an answer can be called back."""
    file = tmp_path / "replies.yaml"
    file.write_text(canned.STARTER.read_text(encoding="utf-8"), encoding="utf-8")
    settings: Json = {
        "languages": ["zh", "en"],
        "desk": {"language": "zh", "undo": "60s", "ask_unread": True, "replies": str(file)},
        "profile": {"order": {"type": "text"}},
        "queues": {"tech": {"leaves": "explicit"}},
        "learning": {"audit_share": 1.0, "keep_text": True},
        "sla": {"policies": {"standard": {"calendar": "always"}}},
    }
    async with worlds.world(tmp_path, start=False, **settings) as made:
        for user in (MAYA, JONAS):
            await made.control("slack/user", id=user, locale="zh-CN")
        made.overrides["telegram"]["links"] = LINKS
        await begin(made)
        yield made


async def begin(world: World) -> None:
    """Start a world that was made without, as one that starts by itself does."""
    patient = {"ack_timeout_s": SLACK_PATIENCE_S, "trigger_lifetime_s": SLACK_PATIENCE_S}
    await world.control("slack/settings", **patient)
    await templates.seed(f"sqlite:///{world.overrides['data_dir']}/relaydesk.db")
    await world.start()


async def number_of(card: Card) -> str:
    """The number of a conversation, as people type it."""
    return str((await card.root())["text"]).split()[0]


async def card_of(world: World, words: str) -> Card:
    """The newest card with these words on it; waits for it."""

    async def look() -> Card | None:
        cards = [one for one in reversed(await world.cards()) if words in await one.text()]
        return cards[0] if cards else None

    found: Card = await eventually(look, what=f"a card with {words}")
    return found


async def answered(phone: Phone, *texts: str) -> None:
    """Wait until the newest answers are these."""

    async def look() -> bool:
        return (await phone.answers())[-len(texts) :] == list(texts)

    await eventually(look, what=f"{texts} on the phone")


async def said_and_sent(world: World, card: Card, user: str, text: str) -> str:
    """Somebody answers, and the time to call it back is over; the post's ts."""
    ts = await card.says(user, text)
    await echoed(card, ts, "hourglass_flowing_sand")
    await the_window_ends(world)
    await echoed(card, ts, "white_check_mark")
    return ts


async def test_a_working_day_in_chinese(desk: World) -> None:
    """From the page in the morning to going off duty: whatever an agent does is done, and reads Chinese throughout."""
    phone = await desk.customer("王芳", "zh-hans")
    await phone.says("/start order-88123")
    await phone.says("您好，我想退货，怎么退款？订单 88123")
    card = await desk.card()
    await _begins(desk, card)
    await _answers(desk, phone, card)
    await _corrects(desk, phone, card)
    await _replies_from_a_window(desk, phone, card)
    await _puts_off_and_hands_over(desk, phone, card)
    card = await _moves(desk, phone, card)
    await _looks(desk, phone, card)
    await _ends(desk, phone, card)
    await _goes_home(desk)
    assert await reading.misread(desk, "zh", {STRANGER: "en"}, OWN) == {}
    assert reading.only("zh", await reading.on_the_phone(desk, phone.chat_id)) == {}


async def _begins(world: World, card: Card) -> None:
    """The page, the card, what the machine thought, and whose it is."""
    await page(world, LINA, "我的会话（0）", "您没有进行中的会话", "暂无负责人", "刚来？")
    await card.shows("王芳", "中文", "退货退款", "暂无负责人", "首次回复截止", "订单 88123")
    check = await card.says_ours("抽查：主题是", "退货退款")
    await card.presses(LINA, "confirm", ts=check["ts"])
    await card.says_ours("主题已确认")
    await card.presses(LINA, "confirm", ts=check["ts"])
    await card.whispered(LINA, "主题本来就是这样")
    await card.presses(LINA, "assign_me")
    await card.says_ours("已接手")
    await world.command(LINA, f"接手 {await number_of(card)}", channel=card.channel)
    await card.whispered(LINA, "已经由您负责")
    await world.command(STRANGER, f"解决 {await number_of(card)}", channel=card.channel)
    await world.command(LINA, "帮助", channel=card.channel)
    await card.whispered(LINA, "以 `//` 开头的只留在内部")


async def _answers(world: World, phone: Phone, card: Card) -> None:
    """A note stays inside, a password is asked about, one is called back and sent after all, one is changed before it
    leaves, one is never sent."""
    await card.says(LINA, "／／ 先查一下订单")
    await card.says(LINA, f"密码是 {SECRET}")
    await card.whispered(LINA, "先不发出：其中含有密码或密钥")
    ts = await card.says(LINA, "王女士您好，退货申请已通过。")
    await card.presses_whispered(LINA, "undo", "60 秒后发给客户")
    await echoed(card, ts, "leftwards_arrow_with_hook")
    await card.whispered(LINA, "已撤回，没有发送")
    await card.presses_whispered(LINA, "send_reply", "已撤回，没有发送")
    await echoed(card, ts, "hourglass_flowing_sand")
    gone = await card.says(LINA, "这条发错了")
    await echoed(card, gone, "hourglass_flowing_sand")
    await world.control("slack/delete", user=LINA, channel=card.channel, ts=gone)
    await world.control("slack/edit", user=LINA, channel=card.channel, ts=ts, text="王女士您好，退货申请通过了。")
    await the_window_ends(world)
    await answered(phone, "王女士您好，退货申请通过了。")
    assert await phone.answers() == [(await phone.answers())[0], "王女士您好，退货申请通过了。"], "after the greeting"
    await card.presses_whispered(LINA, "undo", "60 秒后发给客户")
    await card.whispered(LINA, "已经发出")
    await card.shows("等待客户")


async def _corrects(world: World, phone: Phone, card: Card) -> None:
    """A change and a deletion follow, or it is said that they did not; what did not arrive is copied, sent, settled."""
    price = await said_and_sent(world, card, LINA, "运费 20 元。")
    await world.control("slack/edit", user=LINA, channel=card.channel, ts=price, text="运费 25 元。")
    await answered(phone, "运费 25 元。")
    refusal = "Bad Request: message can't be edited"
    await world.control("faults", platform="telegram", method="editMessageText", fault="error", error=refusal, count=1)
    await world.control("slack/edit", user=LINA, channel=card.channel, ts=price, text="运费 30 元。")
    await card.says_ours("这次修改没有到达客户", "客户看到的仍是原来的内容")
    await world.control("slack/delete", user=LINA, channel=card.channel, ts=price)
    await answered(phone, "王女士您好，退货申请通过了。")

    await phone.does("block")
    await card.says_ours("联系不上客户", "客户屏蔽了机器人")
    await echoed(card, await card.says(LINA, "还有一件事"), "hourglass_flowing_sand")
    await the_window_ends(world)
    failed = await card.says_ours("这条回复未送达", "重试")
    await card.shows("上一条回复未送达")
    await card.presses(LINA, "copy", ts=failed["ts"])
    await card.whispered(LINA, "可供复制")
    await phone.does("unblock")
    await card.says_ours("客户又能联系上了")
    await card.presses(LINA, "retry", ts=failed["ts"])
    await card.says_ours("起初没有送达：", "李娜 已重新发送。")
    await answered(phone, "还有一件事")
    await world.control("faults", platform="telegram", method="sendMessage", fault="drop_after", count=1)
    await echoed(card, await card.says(LINA, "请保留外包装"), "hourglass_flowing_sand")
    await the_window_ends(world)
    asked = await card.says_ours("这条回复是否送达尚不确定")
    await world.command(LINA, f"解决 {await number_of(card)}", channel=card.channel)
    await card.whispered(LINA, "有一条回复是否送达尚不确定")
    await card.presses(LINA, "mark_arrived", ts=asked["ts"])
    await card.says_ours("起初不确定是否送达：", "李娜 确认已送达。")
    await card.shows("等待客户")
    await said_and_sent(world, card, LINA, "我明天上午回复您结果。")
    promise = await card.says_ours("要跟踪这个承诺吗")
    await card.presses(LINA, "promise", ts=promise["ts"])
    await card.says_ours("已跟踪承诺")


async def _replies_from_a_window(world: World, phone: Phone, card: Card) -> None:
    """The fitting canned reply is on top and filled in; a colleague is seen; what came meanwhile is asked about; a lead
    mends a reply."""
    await card.presses(LINA, "reply")
    opened = await window(world, LINA, "发给 王芳")
    groups = next(b for b in opened["blocks"] if b.get("block_id") == "canned")["element"]["option_groups"]
    assert [group["label"]["text"] for group in groups] == ["最合适的", "全部"]
    assert "refund_started" in [option["value"] for group in groups for option in group["options"]]
    await world.control("slack/press", user=LINA, view_id=opened["id"], action_id="canned", value="refund_started")
    filled = await window(world, LINA, "王芳您好，订单 88123")
    await card.presses(MAYA, "reply")
    second = await window(world, MAYA, "正在回复")
    await card.whispered(LINA, "也打开了")
    await world.control("slack/close", user=MAYA, view_id=second["id"])
    await world.advance(seconds=2)  # Telegram tells seconds: within one of them nothing is newer
    await phone.says("我可以换货吗？")
    await card.says_ours("我可以换货吗？")
    await send(world, LINA, filled, "王芳您好，已退款。")
    await card.whispered(LINA, "先不发出：客户又来了消息")
    await card.presses_whispered(LINA, "send_reply", "先不发出：客户又来了消息")
    kept = await card.says_ours("的备注：", "已退款")
    await echoed(card, kept["ts"], "hourglass_flowing_sand")
    await the_window_ends(world)
    await answered(phone, "王芳您好，已退款。")
    await world.command(LINA, "回复 退款", channel=card.channel)
    await card.whispered(LINA, "*快捷回复：*")
    await world.command(LINA, "回复 没有这样的", channel=card.channel)
    await card.whispered(LINA, "没有含这些词的快捷回复")
    await world.command(JONAS, "回复 编辑 refund_started", channel=card.channel)
    edit = await window(world, JONAS, "标题（中文）")
    values = {
        b["block_id"]: {"text": {"value": b["element"].get("initial_value", "")}}
        for b in edit["blocks"]
        if b["type"] == "input"
    }
    await world.control(
        "slack/submit", user=JONAS, view_id=edit["id"], values={**values, "text_zh": {"text": {"value": "{谁}您好"}}}
    )
    again = await window(world, JONAS, "快捷回复没有保存")
    await world.control(
        "slack/submit",
        user=JONAS,
        view_id=again["id"],
        values={**values, "text_zh": {"text": {"value": "{name}，钱已退。"}}},
    )


async def _puts_off_and_hands_over(world: World, phone: Phone, card: Card) -> None:
    """Urgent, put off by menu and by command, woken by the customer, handed over with a note, given by a lead."""
    number = await number_of(card)
    await card.chooses(LINA, "change", "紧急")
    await card.says_ours("优先级：普通 → *紧急*")
    await card.chooses(LINA, "more", "暂停 1 小时")
    await card.says_ours("状态", "*已暂停*", "到 <!date")
    await card.shows("恢复处理")
    await world.command(LINA, f"恢复 {number}", channel=card.channel)
    await card.whispered(LINA, f"已办好：{number} · 状态：已暂停 → *处理中*")
    await world.command(LINA, f"暂停 {number} 以后再说", channel=card.channel)
    await card.whispered(LINA, "请写明暂停到什么时候")
    await world.command(LINA, f"暂停 {number} 客户", channel=card.channel)
    await card.says_ours("到客户来消息为止")
    await phone.says("那我把东西寄到哪里？")
    await card.says_ours("状态", "*处理中*")
    await world.command(LINA, f"转交 {number} <@{MAYA}>", channel=card.channel)
    await card.whispered(LINA, "转交时请给接手的人写一句说明")
    await card.chooses(LINA, "more", "转交")
    assert (await form(world, LINA, who=MAYA, note="客户等地址"))["closed"] is True
    await card.says_ours("已指派给", MAYA)
    await card.says_ours("的备注：", "客户等地址")
    await world.command(LINA, f"指派 {number} <@{LINA}>", channel=card.channel)
    await card.whispered(LINA, "没有执行这项操作的权限")
    await shortcut(card, JONAS, "act")
    await form(world, JONAS, what="优先级 低")
    await card.says_ours("优先级：紧急 → *低*")


async def _moves(world: World, phone: Phone, old: Card) -> Card:
    """To another team: the summary, the way back, the closed thread; the card where it goes on."""
    number = await number_of(old)
    await old.chooses(LINA, "change", "技术支持")
    closed = await old.says_ours("已由 李娜 转到", "新的消息列", "在这里写的内容不会发给任何人")
    new = await world.card_in("C0TECH")
    await new.shows("之前的消息列")
    await new.says_ours("队列", "账务", "技术支持", "（备注）", "客户等地址")
    await new.says_ours("寄到哪里")
    assert closed
    await old.says(LINA, "请寄到仓库")
    await old.whispered(LINA, f"这里已关闭：{number} 转到了")
    await new.says(LINA, "请寄到仓库")
    await new.whispered(LINA, "先不发出：这个队列里，只有以 `>>` 开头")
    return new


async def _looks(world: World, phone: Phone, card: Card) -> None:
    """Why, why then, what is due, who it is, what was said: each for one person alone."""
    number = await number_of(card)
    await card.chooses(LINA, "more", "分类依据")
    await card.whispered(LINA, "*关键词：*")
    await card.presses(LINA, "why_then")
    await card.whispered(LINA, "*时限说明*")
    await world.command(LINA, "时限", channel=card.channel)
    await world.command(LINA, "搜索 退款", channel=card.channel)
    await shown(world, LINA, card, "*消息*")
    await world.command(LINA, "搜索 after:明天", channel=card.channel)
    await card.whispered(LINA, "不是日期")
    await world.command(LINA, f"客户{number}", channel=card.channel)
    await shown(world, LINA, card, "已遮盖", number)
    await world.command(JONAS, f"客户 {number}", channel=card.channel)
    await shown(world, JONAS, card, "显示原文")


async def _ends(world: World, phone: Phone, card: Card) -> None:
    """Resolved with its outcome, reopened, muted, nothing asked, joined, begun anew, taken away as a file."""
    number = await number_of(card)
    await card.chooses(LINA, "more", "结束：无法处理")
    await card.shows("已结束：无法处理")
    await card.presses(LINA, "reopen")
    await card.says_ours("已重新打开")
    await card.chooses(LINA, "more", "静音 1 小时")
    await card.shows("静音到", "取消静音")
    await phone.says("在吗")
    await phone.says("在吗在吗")
    await eventually(lambda: _kept(world, 2), what="what they wrote is in the record")
    await card.chooses(LINA, "more", "取消静音")
    await card.says_ours("已取消静音：其间有 2 条消息存入记录")
    await card.chooses(LINA, "more", "会话记录")
    await card.whispered(LINA, "会话记录会以私信发给您")
    transcript = await eventually(lambda: file_for(world, LINA), what="the transcript")
    assert "我想退货" in transcript
    assert reading.only("zh", transcript.splitlines(), [SECRET]) == {}

    other = await world.customer("李雷", "zh-hans")
    await other.says("在吗")
    asked = await card_of(world, "李雷")
    await asked.chooses(LINA, "more", "非请求")
    await asked.shows("已结束：非请求")

    await card.chooses(LINA, "more", "结束：已解决")
    await card.shows("已结束：已解决")
    await world.advance(hours=80)
    await phone.says("还有发票的事")
    second = await card_of(world, "还有发票的事")
    await second.says_ours("还有发票的事")
    await card.presses(LINA, "reopen")
    await card.shows('"action_id": "resolve"')
    await second.chooses(LINA, "more", "并入另一个会话")
    await form(world, LINA, number=number)
    await card.says_ours("已并入这里，那边说过的话见下", "还有发票的事")
    await second.shows("已结束：已合并")
    await second.says(LINA, "发票开好了")
    await second.whispered(LINA, "这个会话已并入另一个会话")
    joined = await number_of(second)
    await world.command(LINA, f"发起 {joined} 您的包裹退回来了。", card.channel)
    await card.whispered(LINA, "|它的消息列>")
    await world.command(LINA, f"解决{number}已答复", card.channel)
    await card.shows("已结束：已答复")
    await world.command(LINA, f"发起 {joined} 您的包裹退回来了。", card.channel)
    await card.whispered(LINA, "客户没有同意我们主动联系")
    await phone.says("/privacy")
    await eventually(lambda: _choices(phone), what="the choices")
    shown_ = await _choices(phone)
    assert shown_ is not None
    await phone.does("press", message_id=shown_["message_id"], data="consent:outreach:1")
    await eventually(lambda: _agreed(phone), what="the yes is in the record")
    await world.command(LINA, f"发起 {joined} 您的包裹退回来了。", card.channel)
    await card.whispered(LINA, "已写好，会出现一张新卡片")
    await the_window_ends(world)
    await answered(phone, "您的包裹退回来了。")


async def _kept(world: World, count: int) -> bool:
    async with world.house.stores.database.read() as conn:
        muted = tables.timeline.c.data.contains('"muted": true')
        return len((await conn.execute(select(tables.timeline.c.id).where(muted))).all()) == count


async def _choices(phone: Phone) -> Json | None:
    return next((m for m in reversed(await phone.chat()) if m["from"] == "bot" and m.get("keyboard")), None)


async def _agreed(phone: Phone) -> bool:
    shown_ = await _choices(phone)
    return shown_ is not None and "主动联系我：同意" in str(shown_["keyboard"])


async def _goes_home(world: World) -> None:
    """Off duty, and what the lead sees of the team."""
    await world.command(LINA, "下班")
    await page(world, LINA, "您不在岗")
    await page(world, JONAS, "*团队*", "不在岗")
