"""Customers and agents of several languages at one desk: each of them reads their own, whatever the other one reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from bot import texts
from bot.texts.catalogue import Catalogue
from tests import world as worlds
from tests.journeys import reading
from tests.journeys.test_chinese_desk import answered, begin, card_of, number_of
from tests.journeys.test_files import PNG, encoded
from tests.journeys.test_kinds import KINDS
from tests.journeys.test_persons import shown
from tests.world import LINA, MAYA, Card, Json, Phone, World, eventually

KINDS_IN_CHINESE = {
    "voice": "语音",
    "audio": "音频",
    "video": "视频",
    "video_note": "视频消息",
    "animation": "动图",
    "sticker": "贴纸",
    "location": "位置",
    "venue": "地点",
    "contact": "联系人",
    "poll": "投票",
    "dice": "骰子",
    "story": "动态",
    "game": "游戏",
    "paid_media": "付费内容",
    "checklist": "清单",
}
PAGE = b"<!DOCTYPE html><html><script>1</script></html>"
LARGE = {"file_id": "BQACAgQ", "file_unique_id": "AgAD", "file_name": "holiday.mov", "file_size": 48_000_000}
MARK = "¤"
"""Begins every text of the language that somebody has added."""
ANSWER = "Bonjour Pierre"
COMMANDS = ("start", "help", "privacy")
OWN: tuple[str, ...] = (
    "Acme Ltd",
    "privacy@acme.example",
    "order",
    "Café",
    "Hauptstr",
    "Ben Li",
    "Red or blue",
    "red",
    "blue",
    "Chess",
)
OWN += (
    "Two play",
    "To do",
    "call",
    "Ann",
    "look at this",
    "look",
    "王•••",
    "Pierre",
    "song",
    "broken",
    "Carla",
    "from a friend",
    "this one",
)
OWN += (
    "I want to return it and get my refund, please",
    "Hello Ann, it is on its way.",
    "My order is 123",
    "My order is 124",
)
OWN += (
    "王芳",
    "我忘记密码，登录不了账号，怎么办？",
    "王芳您好，请点“忘记密码”。",
    "还是登录不了",
    "王芳您好，我帮您重置。",
)


@pytest.fixture
async def mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """An English company, whose team for money is Chinese, and somebody has added a third language for customers."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for language in ("en", "zh"):
        source = texts.CUSTOMERS.folder.joinpath(f"{language}.yaml").read_text(encoding="utf-8")
        (folder / f"{language}.yaml").write_text(source, encoding="utf-8")
    added = {key: _marked(key, one) for key, one in texts.texts("en").items()}
    (folder / "fr.yaml").write_text(yaml.safe_dump(added, allow_unicode=True), encoding="utf-8")
    monkeypatch.setattr(texts, "CUSTOMERS", Catalogue(folder, "texts"))
    settings: Json = {
        "languages": ["en", "zh", "fr"],
        "queues": {"billing": {"language": "zh"}},
        "routing": [
            {"name": "money", "when": {"intent": ["return_refund", "refund_status"]}, "queue": "billing"},
            {"queue": "support"},
        ],
        "automatic": {"acknowledge": "always", "ask_satisfaction": True},
        "privacy": {"notice": True, "company": "Acme Ltd", "contact": "privacy@acme.example"},
        "sla": {"policies": {"standard": {"calendar": "always"}}},
    }
    async with worlds.world(tmp_path, start=False, **settings) as made:
        await begin(made)
        yield made


def _marked(key: str, template: str) -> str:
    """A text in a language that nobody reads, with the words that are filled in."""
    filled = " ".join(f"{{{word}}}" for word in sorted(texts.words(template)))
    return f"{MARK}{''.join(MARK if one.isalpha() else one for one in key)} {filled}".strip()


async def test_everybody_reads_their_own_language(mixed: World) -> None:
    """A Chinese customer of an English team, English and French ones of a Chinese team, and who answers them: no text
    of ours is in another language than its reader's, at the desk, in a window, on a phone."""
    wang, ann = await mixed.customer("王芳", "zh-hans"), await mixed.customer("Ann", "en")
    pierre = await mixed.customer("Pierre", "fr")
    english = await _a_chinese_customer_of_an_english_team(mixed, wang)
    chinese = await _an_english_customer_of_a_chinese_team(mixed, ann)
    await _a_customer_of_another_language(mixed, pierre)
    await _everything_that_can_be_sent(ann, chinese)
    await _what_only_one_of_them_sees(mixed, english, chinese)
    await _goes_to_the_other_team(mixed, wang, english)
    readers = {"C0BILLING": "zh", LINA: "zh"}
    assert await reading.misread(mixed, "en", readers, OWN) == {}
    for phone, language in ((wang, "zh"), (ann, "en")):
        assert reading.only(language, await reading.on_the_phone(mixed, phone.chat_id), OWN) == {}
    theirs = await reading.on_the_phone(mixed, pierre.chat_id) - {ANSWER}
    assert len(theirs) > 8
    assert {one for one in theirs if not one.startswith(MARK)} == set()
    told = {one["key"]: one["data"]["value"] for one in await mixed.log(platform="telegram", kind="bot_setting")}
    assert {
        key: reading.english(str(told[key]), ("command", "description", *COMMANDS))
        for key in told
        if key.endswith(":zh")
    } == {
        "commands:default::zh": set(),
        "description:zh": set(),
        "short_description:zh": set(),
    }
    assert "".join(str(told["description:fr"])).startswith(MARK)


async def _a_chinese_customer_of_an_english_team(world: World, phone: Phone) -> Card:
    """Greeted, told of her data and when somebody answers; answered, asked how it was, given her choices."""
    await phone.says("/start")
    await phone.says("/help")
    await phone.says("我忘记密码，登录不了账号，怎么办？")
    card = await world.card()
    await card.shows("王芳", "Chinese", "First answer due", "nobody yet")
    await card.says_ours("Told the customer automatically: an answer by")
    await _reads(
        phone, "您好。请直接在这里写下您的问题", "有什么需要", "关于您的个人信息", "您的消息已收到，会有同事在"
    )
    await card.presses(MAYA, "assign_me")
    await card.says_ours("Taken", "Maya")
    await card.says(MAYA, "王芳您好，请点“忘记密码”。")
    await answered(phone, "王芳您好，请点“忘记密码”。")
    await card.shows("Waiting for customer")
    await card.chooses(MAYA, "more", "Resolve: solved")
    await card.shows("Done: solved")
    await _reads(phone, "我们的答复对您有帮助吗？")
    await phone.does("press", message_id=await _keyboard(phone), data=await _button(phone, "有帮助"))
    await phone.says("/privacy")
    await _reads(phone, "以下由您决定")
    await phone.does("press", message_id=await _keyboard(phone), data="consent:training:1")
    await phone.does("press", message_id=await _keyboard(phone), data="ask:correct")
    await _answers_a_tap(phone, "请在这里写明哪里有误")
    return card


async def _an_english_customer_of_a_chinese_team(world: World, phone: Phone) -> Card:
    """Her card and thread read Chinese, what she reads is English, and a colleague who reads English is told so."""
    await phone.says("I want to return it and get my refund, please")
    card = await card_of(world, "my refund")
    assert card.channel == "C0BILLING"
    await card.shows("Ann", "英语", "首次回复截止", "暂无负责人")
    await card.says_ours("已自动告知客户：", "之前回复")
    await _reads(phone, "About your data", "A person will answer you here by")
    await card.presses(LINA, "assign_me")
    await card.says_ours("已接手")
    number = await number_of(card)
    await world.command(MAYA, f"priority {number} high", channel=card.channel)
    await card.whispered(MAYA, f"Done: {number}")
    await card.says_ours("优先级：普通 → *高*", "Maya")
    await card.says(LINA, "Hello Ann, it is on its way.")
    await answered(phone, "Hello Ann, it is on its way.")
    return card


async def _a_customer_of_another_language(world: World, phone: Phone) -> None:
    """Every fixed text is the one that was added; the team sees which language it is."""
    for words in ("/start", "/help", "Bonjour, je ne peux plus ouvrir mon compte depuis hier"):
        await phone.says(words)
    card = await card_of(world, "Bonjour")
    await card.shows("Pierre", "French")
    await card.says(MAYA, ANSWER)
    await answered(phone, ANSWER)
    await card.chooses(MAYA, "more", "Resolve: solved")
    await card.shows("Done: solved")
    await phone.says("/privacy")

    async def asked() -> bool:
        return sum(1 for one in await phone.chat() if one.get("keyboard")) == 2

    await eventually(asked, what="how it was, and the choices")


async def _everything_that_can_be_sent(phone: Phone, card: Card) -> None:
    """Whatever a customer sends or does, the Chinese thread says in Chinese what it is."""
    kinds = [KINDS[kind][0] for kind in KINDS_IN_CHINESE]
    pictures = [{"photo": encoded(PNG), "media_group_id": "7"} for _ in range(2)]
    everything = [{"chat_id": phone.chat_id, **one} for one in (*kinds, *pictures)]
    await phone.world.control("telegram/send_many", messages=everything)
    first = await phone.says("My order is 123")
    for line in (*KINDS_IN_CHINESE.values(), "多个文件"):
        await card.says_ours(f'客户发来：{line}"')
    await phone.says("this one", reply_to=first)
    await card.says_ours("回复这一条：My order is 123")
    await phone.does("edit", message_id=first, text="My order is 124")
    await card.says_ours("客户修改了一条消息，修改前后如下：", "My order is 124")
    origin = {"type": "hidden_user", "date": 1, "sender_user_name": "Carla"}
    await phone.says("from a friend", content={"forward_origin": origin})
    await card.says_ours("转发自 Carla")
    answer = next(one for one in await phone.chat() if one["text"] == "Hello Ann, it is on its way.")
    await phone.does("react", message_id=answer["message_id"], reaction="👍")
    await card.says_ours("客户用 👍 回应了“Hello Ann")
    await phone.says(content={"document": LARGE, "caption": "look at this"})
    await card.says_ours("holiday.mov（48.0 MB）", "无法显示：文件太大")
    await phone.says(document=encoded(PAGE), filename="bill.pdf", mime="application/pdf")
    await card.says_ours("bill.pdf", "实际上是网页，请勿打开")
    await phone.says(
        content={"contact": {"first_name": "Ann", "phone_number": "491701234567", "user_id": phone.chat_id}}
    )
    await card.says_ours("客户分享了自己的电话号码，已核实")
    other = await card.says_ours("记为该客户的号码")
    await card.presses(LINA, "note_contact", ts=other["ts"])
    await card.says_ours("已记下一个联系方式，尚未核实")
    await phone.does("block")
    await card.says_ours("联系不上客户", "客户屏蔽了机器人")
    await phone.does("unblock")
    await card.says_ours("客户又能联系上了")


async def _what_only_one_of_them_sees(world: World, english: Card, chinese: Card) -> None:
    """In either channel each is told in their own language, and the customer's card is in theirs."""
    await english.chooses(LINA, "more", "Why?")
    await english.whispered(LINA, "*关键词：*")
    await chinese.chooses(MAYA, "more", "分类依据")
    await chinese.whispered(MAYA, "*Words:*")
    for card in (english, chinese):
        number = await number_of(card)
        await world.command(LINA, f"客户{number}", channel=card.channel)
        await shown(world, LINA, card, "*会话*", number)
        await world.command(MAYA, f"customer {number}", channel=card.channel)
        await shown(world, MAYA, card, "*Conversations*", number)


async def _goes_to_the_other_team(world: World, phone: Phone, old: Card) -> None:
    """It is left in the language of those whom it leaves, and goes on in that of those whom it comes to."""
    number = await number_of(old)
    await phone.says("还是登录不了")
    await old.says_ours("Reopened")
    await world.command(MAYA, f"move {number} billing", channel=old.channel)
    await old.says_ours("Moved to *Billing*", "the new thread")
    new = await world.card_in("C0BILLING")
    await new.shows("王芳", "之前的消息列")
    await new.says_ours("队列：客服 → *账务*", "客户：", "Maya")
    await old.says(LINA, "我来看看")
    await old.whispered(LINA, "这里已关闭")
    await new.says(LINA, "王芳您好，我帮您重置。")
    await answered(phone, "王芳您好，我帮您重置。")


async def _reads(phone: Phone, *words: str) -> None:
    """Wait until all these words stand in the chat."""

    async def look() -> bool:
        read = "\n".join(await phone.answers())
        return all(one in read for one in words)

    await eventually(look, what=f"{words} on the phone")


async def _answers_a_tap(phone: Phone, words: str) -> None:
    """Wait until a tap was answered with these words."""

    async def look() -> bool:
        answers = await phone.world.log(platform="telegram", kind="query_answer")
        return any(words in str(one["data"].get("text")) for one in answers)

    await eventually(look, what=f"{words} over the chat")


async def _keyboard(phone: Phone) -> int:
    """The newest message with buttons."""
    return int(next(one["message_id"] for one in reversed(await phone.chat()) if one.get("keyboard")))


async def _button(phone: Phone, label: str) -> str:
    """What a button of the newest message with buttons sends."""
    rows = next(one["keyboard"] for one in reversed(await phone.chat()) if one.get("keyboard"))
    return str(next(button["callback_data"] for row in rows for button in row if button["text"] == label))
