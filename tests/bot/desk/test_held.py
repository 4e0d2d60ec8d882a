"""The question in a thread whether an answer that came in late is to leave."""

from __future__ import annotations

import json

from bot.desk import blocks, entries, words
from domain.model import EntryKind
from handlers import leaving
from tests.bot.desk.kit import CONVERSATION, MAYA, entry


def test_a_late_answer_is_asked_about_with_its_words_and_both_ways() -> None:
    """Its author is named, its words and their time are there, and one press sends it or keeps it inside."""
    answer = entry(EntryKind.NOTE, body="Tomorrow <at> nine")
    about = {"agent": MAYA, "line": "12.34", "kept": ["secret", leaving.LATE], "overtaken": True}
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
