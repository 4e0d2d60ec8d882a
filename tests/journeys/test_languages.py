"""Two languages, side by side: fixed texts, cards, and a conversation that is Chinese from end to end."""

from __future__ import annotations

from bot import texts
from tests.world import LINA, World, eventually


async def test_fixed_texts_come_in_the_customers_language(both: World) -> None:
    """/start, /help and /privacy are answered in English or Chinese, once each, and open no conversation."""
    for language in ("en", "zh"):
        phone = await both.customer("Ann", "zh-hans" if language == "zh" else "en")
        for command in ("/start", "/help", "/privacy", "/start shop_42"):
            await phone.says(command)
        start, help_, notice, choices = (texts.text(key, language) for key in ("start", "help", "notice", "privacy"))
        wanted = [start, help_, f"{notice}\n\n{choices}", start]

        async def answered(phone: object = phone, wanted: list[str] = wanted) -> bool:
            return await phone.answers() == wanted  # type: ignore[attr-defined,no-any-return]

        await eventually(answered, what=f"the fixed texts in {language}")
    assert await both.cards() == []
    assert texts.text("start", "zh", fallback=("en",)) != texts.text("start", "en", fallback=("en",))


async def test_a_conversation_in_chinese(both: World) -> None:
    """A Chinese question is understood, sorted and answered by a Chinese agent, without a character going wrong."""
    phone = await both.customer("王芳", "zh-hans")
    await phone.says("您好，我想退货，怎么退款？")
    card = await both.card()
    assert card.channel == "C0BILLING"
    await card.shows("王芳", "Chinese", "我想退货，怎么退款？", "Return or refund")
    await card.presses(LINA, "assign_me")
    await card.shows(f"<@{LINA}>")
    await card.says(LINA, "／／ 先查一下订单")
    await card.says(LINA, "王女士您好，退货申请已通过，退款三个工作日内原路退回。给您添麻烦了！")
    answers = await eventually(phone.answers, what="the answer on the phone")
    assert answers == ["王女士您好，退货申请已通过，退款三个工作日内原路退回。给您添麻烦了！"]
    await card.shows("Waiting for customer")
    await phone.says("好的，谢谢！")
    await card.says_ours("好的，谢谢！")
