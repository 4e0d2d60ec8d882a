"""The rules, as tables of what fires and what must not."""

from __future__ import annotations

import re

import pytest

from classifiers import lexicon, rules, taxonomy
from classifiers.normalise import spell
from domain.model import Priority


def read(text: str) -> rules.Signals:
    """Apply the rules to a text as written."""
    return rules.read(spell(text), text)


@pytest.mark.parametrize(
    ("text", "reason", "priority"),
    [
        ("The charger caught fire last night", "safety", Priority.URGENT),
        ("插座冒烟了，差点触电", "safety", Priority.URGENT),
        ("My account was hacked", "fraud", Priority.URGENT),
        ("账号被盗了，有人盗刷", "fraud", Priority.URGENT),
        ("your site is down", "outage", Priority.URGENT),
        ("系统崩了，全公司都用不了", "outage", Priority.URGENT),
        ("I was charged twice", "payment", Priority.HIGH),
        ("怎么扣了我两次钱", "payment", Priority.HIGH),
        ("my lawyer will contact you", "legal", Priority.HIGH),
        ("再不解决我就打12315", "legal", Priority.HIGH),
        ("this is a GDPR request", "privacy", Priority.HIGH),
        ("I need it ASAP", "wording", Priority.HIGH),
        ("很急，马上处理", "wording", Priority.HIGH),
        ("this is the third time I am writing to you", "repeated_contact", Priority.HIGH),
        ("still no reply from anyone", "repeated_contact", Priority.HIGH),
        ("You keep ignoring me", "repeated_contact", Priority.HIGH),
        ("这是我第三次联系你们了", "repeated_contact", Priority.HIGH),
        ("问了好几遍都没人回", "repeated_contact", Priority.HIGH),
        ("怎麼重複扣了我兩次錢", "payment", Priority.HIGH),  # as it is written in Taiwan
        ("帳號被盜了", "fraud", Priority.URGENT),
        ("it was not me who ordered this", "fraud", Priority.URGENT),
        ("煤气味很重", "safety", Priority.URGENT),
        ("WHERE IS MY ORDER ANSWER ME", "shouting", Priority.HIGH),
        ("HELP!!!", "shouting", Priority.HIGH),
    ],
)
def test_alarms_fire(text: str, reason: str, priority: Priority) -> None:
    """Each alarm raises to its priority and leaves its id as the reason."""
    signals = read(text)
    assert reason in signals.priority_reasons
    assert signals.priority is priority


@pytest.mark.parametrize(
    "text",
    [
        "it's not urgent, take your time",
        "不着急，慢慢来",
        "Where is my order?",
        "我的订单到哪了",
        "Do you sell fireplaces?",
        "USB-C",
        "nobody can tell me which size to take",
        "great!!!",
        "太好了！！！",
        "order A-12315",
        "how many times can I use the code",
        "the third item is missing",
        "is anyone there",
        "第三件商品少了",
        "有人吗",
    ],
)
def test_calm_messages_raise_nothing(text: str) -> None:
    """Near misses stay calm."""
    signals = read(text)
    assert signals.priority is None
    assert signals.priority_reasons == ()


def test_the_most_pressing_alarm_wins() -> None:
    """Several alarms: the highest priority, every reason."""
    signals = read("My lawyer says it is urgent: the heater exploded")
    assert signals.priority is Priority.URGENT
    assert set(signals.priority_reasons) == {"safety", "legal", "wording"}


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("thanks", 0.9, 1.0),
        ("Thank you so much for your help!", 0.9, 1.0),
        ("thx 👍", 0.9, 1.0),
        ("👍🏽", 0.9, 1.0),
        ("谢谢", 0.9, 1.0),
        ("好的，明白了，谢谢您", 0.9, 1.0),
        ("ok", 0.7, 0.8),
        ("好的", 0.7, 0.8),
        ("嗯嗯，行", 0.7, 0.8),
        ("謝謝", 0.9, 1.0),
        ("3q", 0.9, 1.0),
        ("tks!", 0.9, 1.0),
        ("🙌🫶", 0.9, 1.0),
        ("thanks but it is still broken", 0.0, 0.0),
        ("谢谢，但是还没收到", 0.0, 0.0),
        ("ok?", 0.0, 0.0),
        ("thanks, where is my order", 0.0, 0.0),
        ("you", 0.0, 0.0),
        ("你好", 0.0, 0.0),
        ("您好！", 0.0, 0.0),
        ("的", 0.0, 0.0),
        ("", 0.0, 0.0),
        ("😡", 0.0, 0.0),
    ],
)
def test_goodbyes(text: str, least: float, most: float) -> None:
    """Thanks and thumbs count, agreement counts less, a question or a "but" counts not at all."""
    assert least <= read(text).closure <= most


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Can I talk to a real person?", True),
        ("agent", True),
        ("I don't want to talk to a bot", True),
        ("转人工", True),
        ("人工人工人工", True),
        ("别让机器人回我", True),
        ("請轉人工客服", True),
        ("Get me a human!", True),
        ("找个人跟我说", True),
        ("I will talk to you later", False),
        ("my travel agent booked it", False),
        ("人工智能功能怎么用", False),
        ("Is this made by humans?", False),
    ],
)
def test_the_wish_for_a_person(text: str, *, wanted: bool) -> None:
    """Asking for a human is heard, mentioning one is not."""
    assert (read(text).wants_person > 0.9) is wanted


def test_adverts_are_suspected_and_customers_are_not() -> None:
    """No example of another intent looks like an advert; most adverts of the starter's examples do."""
    sentences = [*taxonomy.read().examples, *taxonomy.golden()]
    suspected = {one.id: read(one.text).spam > 0.0 for one in sentences}
    adverts = [suspected[one.id] for one in taxonomy.read().examples if one.intent == "spam"]
    assert [one.text for one in sentences if one.intent != "spam" and suspected[one.id]] == []
    assert sum(adverts) >= 0.5 * len(adverts)  # the experts learn the others from these very examples


def test_a_text_in_ascii_misses_nothing_that_it_is_spared() -> None:
    """Patterns for Chinese adverts are not tried on ASCII texts: none of them finds anything in one."""
    content = taxonomy.read()
    texts = [one.text for one in (*content.examples, *taxonomy.golden())] + [*content.strangers["en"]]
    plain = [spelled for spelled in map(spell, texts) if spelled.isascii()]
    chinese = [re.compile(pattern) for pattern in lexicon.SPAM if re.search("[\u4e00-\u9fff]", pattern)]
    assert len(plain) > 900
    assert len(chinese) >= 10
    assert not [spelled for spelled in plain if any(pattern.search(spelled) for pattern in chinese)]
