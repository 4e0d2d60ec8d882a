"""The question in a thread whether an answer that came in late is to leave."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bot.desk import blocks, entries, words
from bot.desk.slack import SlackDesk
from domain.changes import DeliveryKind
from domain.model import Entry, EntryKind
from handlers import leaving
from tests.bot.desk.kit import CONVERSATION, LINA, MAYA, Slack, card_view, delivery, entry

QUESTION = entry(EntryKind.HELD, id="01JASKED", data={"agent": MAYA, "line": "12.34", "kept": [leaving.LATE]})


def test_a_late_answer_is_asked_about_with_its_words_and_both_ways() -> None:
    """Its author is named, its words and their time are there, and one press sends it or keeps it inside."""
    kept = ["secret", leaving.LATE]
    answer = entry(EntryKind.NOTE, body="Tomorrow <at> nine", data={"kept": kept})
    about = {"agent": MAYA, "line": "12.34", "kept": kept, "overtaken": True}
    post = entries.entry_post(entry(EntryKind.HELD, data=about), lambda _id: None, earlier=answer)
    assert post.text.startswith(f"*Not sent:* <@{MAYA}> wrote this (<!date^")
    assert (
        "The customer has written again since. It carries a password or a key. Send it if it still holds." in post.text
    )
    assert "Tomorrow <at> nine" in json.dumps(post.blocks[1])
    pressed = {one["action_id"]: blocks.read_value(one["value"]) for one in post.blocks[2]["elements"]}
    assert pressed == dict.fromkeys(("send_reply", "keep_note"), (CONVERSATION, None, "12.34"))
    assert [one["text"]["text"] for one in post.blocks[2]["elements"]] == ["Send to customer", "Keep inside"]


def test_the_question_is_in_the_language_of_its_channel() -> None:
    """In Chinese it is Chinese; without the answer, which was erased, it still says what it can."""
    with words.reading("zh"):
        post = entries.entry_post(
            entry(EntryKind.HELD, data={"agent": MAYA, "line": "1", "kept": []}), lambda _id: None
        )
    assert post.text.startswith(f"*尚未发出* · <@{MAYA}> 写了这条回复（")
    assert "如果仍然合适" in post.text
    assert [one["text"]["text"] for one in post.blocks[-1]["elements"]] == ["发给客户", "留在内部"]


CHANGED = entry(EntryKind.NOTE, body="Tomorrow at ten", data={"edit_of": "01J", "kept": ["phone", leaving.LATE]})
SENT = entry(EntryKind.OUTGOING, body="Tomorrow at ten", data={"sent_by": LINA})
KEPT = entry(EntryKind.NOTE, body="Tomorrow at ten", data={"kept_by": LINA})
BACK = entry(EntryKind.NOTE, body="Tomorrow at ten", data={"kept": ["undone"]})
GONE = entry(EntryKind.NOTE, data={"deleted": "01J"})


@pytest.mark.parametrize(
    ("language", "line", "said"),
    [
        ("en", SENT, f"The answer of <@{MAYA}> that waited here was sent by <@{LINA}>."),
        ("zh", SENT, f"<@{MAYA}> 等待确认的回复已由 <@{LINA}> 发出。"),
        ("en", KEPT, f"The answer of <@{MAYA}> that waited here was kept inside by <@{LINA}>."),
        ("zh", KEPT, f"<@{MAYA}> 等待确认的回复已由 <@{LINA}> 留在内部。"),
        ("en", GONE, f"The answer of <@{MAYA}> that waited here was deleted; nothing was sent."),
        ("zh", GONE, f"<@{MAYA}> 等待确认的回复已被删除，没有发出任何内容。"),
    ],
)
def test_a_question_that_is_settled_says_how_and_asks_no_more(language: str, line: Entry, said: str) -> None:
    """One grey line stands where the buttons were: nobody presses what has no effect."""
    with words.reading(language):
        post = entries.question(QUESTION, line)
    assert post.text == said
    assert [block["type"] for block in post.blocks] == ["context"]


def test_an_answer_that_was_called_back_is_asked_about_again() -> None:
    """It is not sent, and whoever looks at the thread can still send it: not only whoever called it back."""
    post = entries.question(QUESTION, BACK)
    assert post.text.startswith(f"*Not sent:* <@{MAYA}> wrote this")
    assert [one["action_id"] for one in post.blocks[-1]["elements"]] == ["send_reply", "keep_note"]


@pytest.mark.parametrize(
    ("language", "begins", "carries"),
    [
        ("en", "wrote this while we were away, and has changed it since", "It carries a phone number"),
        ("zh", "在我们离线时写了这条回复，之后又改过", "其中含有"),
    ],
)
async def test_a_question_shows_the_words_that_would_be_sent(
    desk: SlackDesk, slack: Slack, language: str, begins: str, carries: str
) -> None:
    """The line was changed: what is asked about, and what speaks against it, is what stands there now; posted once."""
    root = await desk.deliver(delivery(DeliveryKind.DESK_CARD, card=card_view()))
    answer = entry(EntryKind.NOTE, body="Tomorrow at nine", data={"kept": [leaving.LATE]})
    asked = delivery(
        DeliveryKind.DESK_ENTRY, 2, thread_ts=root.platform_id, entry=QUESTION, earlier=answer, language=language
    )
    posted = await desk.deliver(asked)
    for number, line in enumerate((CHANGED, GONE), start=3):
        edit = replace(
            asked,
            id=f"01J{number}",
            kind=DeliveryKind.DESK_EDIT,
            earlier=line,
            message_ts=posted.platform_id,
        )
        assert (await desk.deliver(edit)).platform_id == posted.platform_id
        _, post = await slack.thread(root.platform_id)
        shown = json.dumps(post["blocks"], ensure_ascii=False)
        assert "at nine" not in shown
        if line is CHANGED:
            assert begins in shown
            assert carries in shown
            assert "Tomorrow at ten" in shown
        assert ("send_reply" in shown) is (line is CHANGED)
    await desk.deliver(delivery(DeliveryKind.DESK_DELETE, 9, data={"ts": posted.platform_id}))
    await desk.deliver(edit)
    assert len(await slack.thread(root.platform_id)) == 1, "a question that somebody deleted is not asked again"
