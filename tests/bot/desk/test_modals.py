"""Windows, as Block Kit: short, within Slack's limits, and odd ones do no harm."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace

import pytest

from bot.canned import STARTER, Written, read
from bot.desk import blocks, canned_window, forms, modals, payloads, words
from bot.desk.client import SlackApi
from bot.desk.directory import Directory
from bot.replying import Form
from domain.canned import Reply
from tests.bot.desk.kit import LINA, MAYA

BOOK = read(STARTER)
FORM = Form(
    entry_id="01JENTRY",
    conversation_id="01JCONVERSATION00000000001",
    number=1042,
    place="C0SUPPORT",
    thread_ts="1.0",
    language="zh",
    customer="<!channel> 王明",
    order="88123",
    newest="<@U0MAYA> 我的退款呢？",
    seen=3,
    assignee=MAYA,
    others=(LINA,),
    best=BOOK.replies[:3],
    rest=BOOK.replies[3:],
)


def test_a_reply_window_says_what_is_needed_and_calls_nobody() -> None:
    """The customer's words, who else is answering, the canned replies, and the field."""
    view = modals.reply_view(FORM, {LINA: "Lina", MAYA: "Maya"}.get)
    assert [block["type"] for block in view["blocks"]] == ["rich_text", "context", "input", "input"]
    assert len(view["title"]["text"]) <= 24
    said = json.dumps(view, ensure_ascii=False)
    assert "*Lina* is answering right now" in said
    assert "*Maya* has this conversation" in said
    mrkdwn = json.dumps(view["blocks"][1], ensure_ascii=False)
    assert "<!" not in mrkdwn
    assert "<@" not in mrkdwn
    assert payloads.read_form(view)["e"] == "01JENTRY"
    assert payloads.thread_of({"view": view}) == ("C0SUPPORT", "1.0"), "it goes the way of its conversation"


@pytest.mark.parametrize(
    ("reader", "customer", "listed_in"), [("en", "zh", "en"), ("zh", "en", "zh"), ("fr", "zh", "en")]
)
def test_canned_replies_are_listed_in_the_language_of_who_picks_one(reader: str, customer: str, listed_in: str) -> None:
    """A title is for the agent, whatever the customer speaks; in English where it has none in the agent's language."""
    with words.reading(reader):
        view = modals.reply_view(replace(FORM, language=customer), lambda _agent: None)
    groups = next(block for block in view["blocks"] if block.get("block_id") == modals.CANNED)["element"]
    listed = [option["text"]["text"] for group in groups["option_groups"] for option in group["options"]]
    assert listed == [one.titles[listed_in] for one in BOOK.replies]


@pytest.mark.parametrize("metadata", ["", "[", "[]", "{}", '{"c": 1, "p": "C", "t": "1.0", "e": "x"}', '{"c": "x"}'])
def test_a_window_that_is_not_ours_is_nobodys(metadata: str) -> None:
    """What it carries is read only where it is whole."""
    view = {"callback_id": payloads.REPLY, "private_metadata": metadata}
    assert payloads.read_form(view) == {}
    assert payloads.thread_of({"view": view}) is None


def test_a_reply_window_says_which_name_the_customer_reads() -> None:
    """Before it is sent, in the reader's language; nothing where answers are under no name."""
    view = modals.reply_view(replace(FORM, signed="Maya & Co"), {LINA: "Lina", MAYA: "Maya"}.get)
    assert "Signed for the customer: *Maya &amp; Co*" in view["blocks"][1]["elements"][0]["text"]
    with words.reading("zh"):
        alone = modals.reply_view(replace(FORM, signed="Maya", others=(), assignee=None), lambda _agent: None)
    assert alone["blocks"][1]["elements"][0]["text"] == "客户看到的署名：“Maya”"
    assert "Signed" not in json.dumps(modals.reply_view(FORM, lambda _agent: None))


def test_what_we_ship_can_be_used_as_it_is() -> None:
    """Every canned reply of ours has a title and a text in English and in Chinese."""
    assert all(set(one.titles) == set(one.texts) == {"en", "zh"} for one in BOOK.replies)
    view = canned_window.view(BOOK.replies[0], "", ("en", "zh"))
    assert [block["block_id"] for block in view["blocks"] if block["type"] == "input"] == [
        "name",
        "title_en",
        "text_en",
        "title_zh",
        "text_zh",
    ]


def test_a_canned_reply_is_edited_in_every_language_it_has() -> None:
    """The window shows the company's languages and the reply's others; one too long for a field is left as it is."""
    reply = Reply(
        id="hi", titles={"en": "Hi", "fr": "Salut"}, texts={"en": "Hello", "fr": "Bonjour", "de": "lang " * 700}
    )
    view = canned_window.view(reply, "", ("en", "ja"))
    shown = {block["block_id"]: block for block in view["blocks"] if block["type"] == "input"}
    assert list(shown) == ["name", "title_en", "text_en", "title_ja", "text_ja", "title_fr", "text_fr"]
    assert "German" in json.dumps([block for block in view["blocks"] if block["type"] == "context"])
    state = {
        name: {"text": {"type": "plain_text_input", "value": block["element"].get("initial_value")}}
        for name, block in shown.items()
    }
    state["text_fr"]["text"]["value"] = "Bonjour !"
    written = canned_window.read({**view, "state": {"values": state}})
    assert written == Written(
        id="hi",
        titles={"en": "Hi", "ja": "", "fr": "Salut"},
        texts={"en": "Hello", "ja": "", "fr": "Bonjour !"},
        of="hi",
    )


def test_a_window_for_a_new_reply_is_on_none() -> None:
    """Under whatever name it is opened: what is read from it is new, and what was refused stands in it again."""
    for name in ("", "hi"):
        view = canned_window.view(None, name, ("en",))
        assert view["private_metadata"] == ""
    written = Written(id="hi", titles={"en": "Hi", "fr": ""}, texts={"en": "Hello", "fr": "Bonjour"})
    shown = canned_window.again(written, "It was *not* saved", ("en",))
    assert shown["blocks"][0] == blocks.context("It was *not* saved")
    fields = {b["block_id"]: {"text": {"value": b["element"].get("initial_value")}} for b in shown["blocks"][1:-1]}
    assert canned_window.read({**shown, "state": {"values": fields}}) == written


@pytest.mark.parametrize(("language", "title"), [("en", "Hand over #1042"), ("zh", "转交 #1042")])
def test_a_window_says_which_conversation_it_is_about(language: str, title: str) -> None:
    """Somebody with thirty cards sees that they pressed the right one; a title that would not fit does without."""
    about = {"c": "01J", "v": 3, "p": "C0SUPPORT", "t": "1.0"}
    pressed = {
        "type": "block_actions",
        "user": {"id": "U0MAYA"},
        "trigger_id": "t",
        "container": {"channel_id": "C0SUPPORT", "message_ts": "1.0"},
        "message": {"text": "#1042 Ann (Telegram): #7 is broken"},
        "actions": [{"selected_option": {"value": "01J|3|form=handover"}}],
    }
    asked = forms.wanted(pressed)
    assert asked is not None
    assert asked.about == {**about, "f": None, "n": "1042"}
    with words.reading(language):
        assert forms.view(asked)["title"]["text"] == title
        for name in forms.WITH_A_FORM:
            long = replace(asked, name=name, about={**asked.about, "n": "123456789"})
            assert len(forms.view(long)["title"]["text"]) <= 24
            assert forms.view(replace(long, about=about))["title"]["text"] == words.say(f"form.{name}")


def test_a_long_answer_for_one_person_is_parted_between_lines() -> None:
    """Half a date or half an escaped character is no markup any more; what is too long for a window is said to be."""
    line = "&amp;" * 20 + " <!date^1767225600^{date_short} {time}|then>"
    said = "\n".join([line] * 60)
    pieces = [block["text"]["text"] for block in forms.telling(said)["blocks"]]
    assert len(pieces) > 1
    assert "\n".join(pieces) == said
    assert all(len(piece) <= blocks.SECTION_LIMIT for piece in pieces)
    in_one_line = [block["text"]["text"] for block in forms.telling(said.replace("\n", " "))["blocks"]]
    assert all(piece.count("<") == piece.count(">") and piece.count("&") == piece.count(";") for piece in in_one_line)
    whole = [block["text"]["text"] for block in forms.telling("\n".join([said] * 100))["blocks"]]
    assert len(whole) == forms.MOST_SECTIONS
    assert whole[-1] == words.say("form.told_more")
    assert [block["text"]["text"] for block in forms.telling("short")["blocks"]] == ["short"]


async def test_work_that_never_began_is_not_left_behind() -> None:
    """Where nobody's language can be asked for, the window does not open, and nothing waits for it any more."""
    api = SlackApi(base_url="http://127.0.0.1:1/", bot_token="xoxb-sandbox")

    class Broken(Directory):
        async def language_soon(self, user: str) -> str | None:
            raise RuntimeError(user)

    async def nowhere(channel: str, ts: str) -> str | None:
        return None

    async def window() -> None:
        raise AssertionError("it was opened")

    opened = window()
    await modals.Modals(api, Broken(api, {}), nowhere)._guarded(opened, {})
    assert inspect.getcoroutinestate(opened) == inspect.CORO_CLOSED
    await api.close()
