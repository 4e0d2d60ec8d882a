"""Which language a message is in."""

from __future__ import annotations

import pytest

from classifiers import taxonomy
from classifiers.language import detect
from classifiers.normalise import normalise


@pytest.mark.parametrize(
    ("text", "hint", "code"),
    [
        ("我的快递三天没动静了", None, "zh"),
        ("iPhone 15 Pro Max 的 USB-C 充电器有货吗", "en", "zh"),  # brands in Latin letters
        ("退款", "en", "zh"),
        ("改 anna.smith@example.com", "en", "zh"),  # an address is in no language
        ("查 https://example.com/a/b", "en", "zh"),
        ("帮我 cancel 一下 order 谢谢", "en", "zh"),
        ("how do I get a 发票 for my order", "zh", "en"),
        ("我要 refund", "en", "zh"),
        ("Bonjour, 我的订单在哪里", None, "zh"),
        ("please send it to 北京", None, "en"),  # a place name does not make it Chinese
        ("注文した商品はどこですか", "zh", "ja"),  # Han with kana is Japanese
        ("주문한 상품이 어디에 있나요", None, "ko"),
        ("Где мой заказ?", "en", "ru"),
        ("أين طلبي", None, "ar"),
        ("¿Dónde está mi pedido? No lo veo en la página", "en", "es"),
        ("Wo ist meine Bestellung? Ich warte auf die Lieferung", "en", "de"),  # codespell:ignore
        ("Où est ma commande, je ne la vois pas", None, "fr"),
        ("Where is my order?", "de", "en"),  # clear words beat the phone's language
        ("Rechnung fehlt komplett", "de-AT", "de"),  # no everyday word: the hint
        ("parcel missing", None, "en"),
        ("ok", "zh-hans", "en"),  # Latin letters are not Chinese, whatever the hint
        ("ok", "fr", "fr"),
        ("12345", "zh_CN", "zh"),
        ("12345", None, "und"),
        ("👍", "es", "es"),
        ("", None, "und"),
        ("where is my order", "\ud800!!", "en"),
    ],
)
def test_languages_are_told_apart(text: str, hint: str | None, code: str) -> None:
    """Scripts first, then everyday words, then the hint."""
    assert detect(normalise(text), hint).code == code


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_starter_is_read_in_its_own_language(language: str) -> None:
    """Examples and golden sentences are taken for what they are, even with a wrong hint for Chinese; but for a few that
    mix languages on purpose.
    """
    sentences = [*taxonomy.read().examples, *taxonomy.golden()]
    wrong = [
        sentence.text
        for sentence in sentences
        if sentence.language == language and detect(normalise(sentence.text), "en").code != language
    ]
    assert len(wrong) <= 0.01 * sum(sentence.language == language for sentence in sentences), wrong
