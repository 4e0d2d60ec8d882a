"""Windows, as Block Kit: short, within Slack's limits, and odd ones do no harm."""

from __future__ import annotations

import json

import pytest

from bot.canned import STARTER, read
from bot.desk import modals, payloads
from bot.replying import Form
from tests.bot.desk.kit import LINA, MAYA, NOON

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
    seen=NOON,
    assignee=MAYA,
    others=(LINA,),
    best=BOOK.replies[:3],
    rest=BOOK.replies[3:],
)


def test_a_reply_window_says_what_is_needed_and_calls_nobody() -> None:
    """The customer's words, who else is answering, the canned replies in their language, and the field."""
    view = modals.reply_view(FORM, {LINA: "Lina", MAYA: "Maya"}.get)
    assert [block["type"] for block in view["blocks"]] == ["rich_text", "context", "input", "input"]
    assert len(view["title"]["text"]) <= 24
    said = json.dumps(view, ensure_ascii=False)
    assert "*Lina* is answering right now" in said
    assert "*Maya* has this conversation" in said
    assert '"正在为您查询"' in said
    mrkdwn = json.dumps(view["blocks"][1], ensure_ascii=False)
    assert "<!" not in mrkdwn
    assert "<@" not in mrkdwn
    assert payloads.read_form(view)["e"] == "01JENTRY"
    assert payloads.thread_of({"view": view}) == ("C0SUPPORT", "1.0"), "it goes the way of its conversation"


@pytest.mark.parametrize("metadata", ["", "[", "[]", "{}", '{"c": 1, "p": "C", "t": "1.0", "e": "x"}', '{"c": "x"}'])
def test_a_window_that_is_not_ours_is_nobodys(metadata: str) -> None:
    """What it carries is read only where it is whole."""
    view = {"callback_id": payloads.REPLY, "private_metadata": metadata}
    assert payloads.read_form(view) == {}
    assert payloads.thread_of({"view": view}) is None


def test_what_we_ship_can_be_used_as_it_is() -> None:
    """Every canned reply of ours has a title and a text in English and in Chinese."""
    assert all(set(one.titles) == set(one.texts) == {"en", "zh"} for one in BOOK.replies)
    view = modals.edit_view(BOOK.replies[0], "")
    assert [block["block_id"] for block in view["blocks"] if block["type"] == "input"] == [
        "name",
        "title_en",
        "text_en",
        "title_zh",
        "text_zh",
    ]
