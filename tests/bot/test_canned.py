"""The file of canned replies: read when it changes, kept whole when it is written, never half."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot import canned
from bot.canned import BadReplies, Canned, Written
from classifiers.similar import Similar
from domain.canned import Reply


def test_the_file_is_read_again_when_it_changes_and_survives_a_mistake(tmp_path: Path) -> None:
    """Somebody edits it by hand: what is right counts at once, what is wrong changes nothing."""
    path = tmp_path / "replies.yaml"
    book = Canned(path)
    assert book.book().get("password") is not None, "ours, while there is no file"
    path.write_text("replies: {hi: {title: {en: Hi}, text: {en: 'Hello {name}'}}}", encoding="utf-8")
    assert [one.id for one in book.book().replies] == ["hi"]
    path.write_text("replies: {hi: {title: {en: Hi}, text: {en: 'Hello {nam}'}}}", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert book.book().replies[0].texts["en"] == "Hello {name}"


def test_saving_replaces_one_and_keeps_the_others_and_the_links(tmp_path: Path) -> None:
    """What a lead changes in Slack stands in the file, readable; a wrong text leaves the file as it was."""
    book = Canned(tmp_path / "own" / "replies.yaml")
    before = book.book()
    written = Written(
        id="password",
        titles={"en": "Log in", "zh": ""},
        texts={"en": "Reset it, {name}", "zh": "{name}请重置"},
        of="password",
    )
    book.save(written)
    after = book.book()
    assert [one.id for one in after.replies] == [one.id for one in before.replies]
    assert after.links == before.links
    assert after.get("password") == Reply(
        id="password", titles={"en": "Log in"}, texts={"en": "Reset it, {name}", "zh": "{name}请重置"}
    )
    with pytest.raises(BadReplies, match="nobody"):
        book.save(Written(id="new", titles={"en": "New"}, texts={"en": "{nobody}"}))
    assert book.book() == after
    with pytest.raises(BadReplies, match=r"desk\.replies"):
        Canned(None).save(Written(id="x", titles={}, texts={"en": "x"}))


def test_a_file_that_became_unreadable_is_not_written_over(tmp_path: Path) -> None:
    """What stands in it beside the mistake may be somebody's work of an hour: it is left alone, and that is said."""
    path = tmp_path / "replies.yaml"
    path.write_text("replies: {hi: {title: {en: Hi}, text: {en: Hello}}}", encoding="utf-8")
    book = Canned(path)
    before = book.book()
    spoilt = "replies: {hi: {title: {en: Hi}, text: {en: Hello}}, new: {title: {en: New}, text: {en: Long"
    path.write_text(spoilt, encoding="utf-8")
    with pytest.raises(BadReplies, match="mend it first") as refused:
        book.save(Written(id="late", titles={"en": "Late"}, texts={"en": "It is late"}))
    assert [one.code for one in refused.value.mistakes] == ["reply_file_broken"]
    assert path.read_text(encoding="utf-8") == spoilt
    assert book.book() == before


def test_two_who_save_at_once_keep_both_replies(tmp_path: Path) -> None:
    """Each through a process's own reading of the file: nobody writes over what the other has just put in."""
    path, together = tmp_path / "replies.yaml", threading.Barrier(2)

    def lead(name: str) -> None:
        own = Canned(path)
        for number in range(10):
            together.wait()
            own.save(Written(id=f"{name}_{number}", titles={"en": name}, texts={"en": "Hello"}))

    with ThreadPoolExecutor(2) as leads:
        list(leads.map(lead, ("maya", "lina")))
    saved = {one.id for one in canned.read(path).replies}
    assert {f"{name}_{number}" for name in ("maya", "lina") for number in range(10)} <= saved


def test_a_name_that_another_reply_has_is_refused(tmp_path: Path) -> None:
    """Whoever opened one and saves it under the name of another would mix the two: neither is changed."""
    book = Canned(tmp_path / "replies.yaml")
    book.save(Written(id="delay", titles={"en": "Delay"}, texts={"en": "It is late"}))
    book.save(Written(id="refund", titles={"en": "Refund"}, texts={"en": "It is sent"}))
    before = book.book()
    with pytest.raises(BadReplies, match="another reply has this name") as refused:
        book.save(Written(id="delay", titles={"zh": "退款"}, texts={"zh": "已退"}, of="refund"))
    assert [one.code for one in refused.value.mistakes] == ["reply_taken"]
    assert book.book() == before
    book.save(Written(id="refund", titles={"zh": "退款"}, texts={"zh": "已退"}, of="refund"))
    assert book.book().get("refund") != before.get("refund")


def test_a_new_reply_takes_nobodys_name(tmp_path: Path) -> None:
    """A window that was opened on none writes over none, nor is an empty one called saved; the same twice is."""
    book = Canned(tmp_path / "replies.yaml")
    delay = Written(id="delay", titles={"en": "Delay"}, texts={"en": "It is late"})
    book.save(delay)
    before = book.book()
    empty = {"en": ""}
    for titles, texts in (
        ({"en": "Delay"}, {"en": "It is very late"}),
        ({"en": "Delay"}, {"zh": "晚了"}),
        ({"en": "Delay"}, empty),
        ({}, {}),
    ):
        with pytest.raises(BadReplies) as refused:
            book.save(Written(id="delay", titles=titles, texts=texts))
        assert [one.code for one in refused.value.mistakes] == ["reply_taken"]
        assert book.book() == before
    book.save(delay)
    assert book.book() == before


@pytest.mark.parametrize(
    "text", ["replies: [", "- a", "replies: {a: {text: {en: x}}}", "reply: {}", "replies: [a]"], ids=range(5)
)
def test_a_broken_file_is_refused_with_its_name(tmp_path: Path, text: str) -> None:
    """The message says which file, and what it needs."""
    path = tmp_path / "replies.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadReplies, match=r"replies\.yaml"):
        canned.read(path)


def test_without_an_encoder_shared_characters_say_what_is_near() -> None:
    """Chinese is compared by its characters, since the encoder cannot read it."""
    near = Similar().rank("我的退款什么时候到账", ["如何退货", "退款已办理，几天到账", "无法登录"], None)
    assert max(range(3), key=near.__getitem__) == 1


@pytest.mark.parametrize(
    ("question", "fits"),
    [
        ("你好，上周买的台灯想退款，还没拆封，请问怎么操作？", "refund_started"),
        ("登录不上，提示密码错误", "password"),
        ("同一个订单扣了我两次钱", "charged_twice"),
        ("订单什么时候到？物流三天没动了", "where_is_my_order"),
        ("商品坏了，我要退货", "how_to_return"),
        ("等了三天没人回复我", "sorry_delay"),
    ],
)
def test_what_all_replies_share_says_nothing_of_them(question: str, fits: str) -> None:
    """Greetings and common characters weigh nothing: of the replies that we ship the fitting one is first."""
    replies = canned.read(canned.STARTER).replies
    near = Similar().rank(question, [f"{one.titles['zh']}. {one.texts['zh']}" for one in replies], None)
    assert replies[max(range(len(replies)), key=near.__getitem__)].id == fits


def test_saving_keeps_the_languages_that_the_window_did_not_show(tmp_path: Path) -> None:
    """A third language outlives an edit of the others, also under another name; an emptied field takes its one away."""
    path = tmp_path / "replies.yaml"
    path.write_text(
        "replies: {hi: {title: {en: Hi, zh: 您好, fr: Salut}, text: {en: Hello, zh: 您好, fr: 'Bonjour {name}'}}}",
        encoding="utf-8",
    )
    book = Canned(path)
    book.save(Written(id="hi", titles={"en": "Hi!", "zh": ""}, texts={"en": "Hello!", "zh": ""}, of="hi"))
    after = canned.read(path).get("hi")
    assert after == Reply(id="hi", titles={"en": "Hi!", "fr": "Salut"}, texts={"en": "Hello!", "fr": "Bonjour {name}"})
    book.save(Written(id="hallo", titles={"en": "Hi"}, texts={"en": "Hallo"}, of="hi"))
    renamed = canned.read(path).get("hallo")
    assert renamed is not None
    assert renamed.texts == {"en": "Hallo", "fr": "Bonjour {name}"}
    assert canned.read(path).get("hi") == after, "the old one stays under its name"
