"""The line about an answer that did not arrive, or not for certain: what happened, what helps, how it was settled."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from bot.desk import blocks, entries, words
from domain.model import Actor, ActorKind, Attachment, EntryKind
from tests.bot.desk.kit import CONVERSATION, MAYA, entry

SETTLING = "01JOUT:01JENTRY"  # the delivery, and the line that says what became of it


def settle_buttons(post: entries.Post) -> list[tuple[str, Any]]:
    """The buttons of a failed delivery with what they carry."""
    return [(one["action_id"], blocks.read_value(one["value"])) for one in post.blocks[-1]["elements"]]


def test_a_failed_answer_has_its_reason_and_a_retry() -> None:
    """What happened, what was kept, what to press."""
    made = entry(
        EntryKind.NOT_DELIVERED, data={"reason": "blocked", "outbox_id": "01JOUT", "state": "failed", "agent": MAYA}
    )
    post = entries.entry_post(made, lambda _: None)
    assert "the customer has blocked the bot" in post.text
    assert f"<@{MAYA}>, please press Retry" in post.text
    assert settle_buttons(post) == [("retry", (CONVERSATION, None, SETTLING))]


@pytest.mark.parametrize("reason", sorted(entries.HOPELESS))
def test_what_will_never_go_out_has_no_retry(reason: str) -> None:
    """A button that can only fail again is none: the agent reads what would help, and may copy the words."""
    failed = entry(EntryKind.NOT_DELIVERED, data={"reason": reason, "outbox_id": "01JOUT", "agent": MAYA})
    answer = entry(EntryKind.OUTGOING, body="Here it is", data={"spans": [[0, 4, "bold"]]})
    post = entries.entry_post(failed, lambda _: None, earlier=answer)
    assert ("shorter messages" if reason == "too_long" else "another file") in post.text
    assert settle_buttons(post) == [("copy", (CONVERSATION, None, SETTLING))], "not without its style either"


def test_words_that_show_nothing_are_to_be_written_again() -> None:
    """Of a text nobody is told to send another file."""
    data = {"reason": "empty", "outbox_id": "01JOUT", "sent_as": "chat.text"}
    post = entries.entry_post(entry(EntryKind.NOT_DELIVERED, data=data), lambda _: None)
    assert "write it again" in post.text
    assert "file" not in post.text


def test_an_unclear_answer_asks_the_agent() -> None:
    """Nobody knows whether it arrived: a person decides, nothing is sent blindly."""
    made = entry(EntryKind.NOT_DELIVERED, data={"reason": "timeout", "outbox_id": "01JOUT", "state": "unclear"})
    post = entries.entry_post(made, lambda _: None)
    wanted = (CONVERSATION, None, SETTLING)
    assert settle_buttons(post) == [("retry", wanted), ("mark_arrived", wanted)]


@pytest.mark.parametrize(
    ("state", "kind", "said"),
    [
        ("failed", EntryKind.STATUS, "Not delivered at first: the customer has blocked the bot. Sent again by Maya."),
        ("unclear", EntryKind.STATUS, "Not certain at first: the customer has blocked the bot. Sent again by Maya."),
        (
            "unclear",
            EntryKind.DELIVERED,
            "Not certain at first: the customer has blocked the bot. It arrived, says Maya.",
        ),
    ],
)
def test_a_failure_that_was_settled_is_one_grey_line(state: str, kind: EntryKind, said: str) -> None:
    """What was the matter and who did what about it, without its style, too: nothing is left to press."""
    failure = entry(EntryKind.NOT_DELIVERED, data={"reason": "blocked", "outbox_id": "01JOUT", "state": state})
    how = entry(kind, actor=Actor(kind=ActorKind.AGENT, id=MAYA))
    post = entries.settled_failure(failure, how, lambda _: "Maya")
    assert post.text == said
    assert [block["type"] for block in post.blocks] == ["context"]
    plain = entries.settled_failure(failure, replace(how, data={"plain": True}), lambda _: "Maya")
    assert ("as plain text by Maya" in plain.text) == (kind is EntryKind.STATUS)


def test_an_unclear_answer_is_quoted() -> None:
    """With several lines on their way, the agent sees which one is meant; a long one is cut."""
    made = entry(EntryKind.NOT_DELIVERED, data={"outbox_id": "01JOUT", "state": "unclear"})
    answer = entry(EntryKind.OUTGOING, body="Your refund is on its way. " * 20)
    quoted = json.dumps(entries.entry_post(made, lambda _: None, earlier=answer).blocks)
    assert "Your refund is on its way." in quoted
    assert len(quoted) < 1500


@pytest.mark.parametrize(("about", "shown"), [({}, False), ({"worded": True}, True)])
def test_a_file_that_was_not_delivered_is_named(about: dict[str, Any], shown: bool) -> None:
    """Of several the agent sees which; words that left before it are no part of it, those under it are."""
    data = {"reason": "too_large", "outbox_id": "01JOUT", "sent_as": "chat.file", "files": [1], **about}
    kept = [Attachment(id=n, kind="document", platform_id=n, name=f"{n}.pdf", mime="a/b") for n in "abc"]
    answer = replace(entry(EntryKind.OUTGOING, body="All of it"), attachments=tuple(kept))
    quoted = json.dumps(
        entries.entry_post(entry(EntryKind.NOT_DELIVERED, data=data), lambda _: None, earlier=answer).blocks
    )
    assert [name in quoted for name in ("a.pdf", "b.pdf", "c.pdf", "All of it")] == [False, True, False, shown]


@pytest.mark.parametrize(
    ("size", "en", "zh"),
    [
        (52_300_000, "it has 52.3 MB, the chat takes at most 50.0 MB", "文件 52.3 MB，聊天最多接受 50.0 MB"),
        (50_000_001, "it has 50,000,001 B, the chat takes at most 50,000,000 B", "50,000,001 B"),
        (None, "(the chat takes at most 50.0 MB)", "（聊天最多接受 50.0 MB）"),
    ],
)
def test_a_file_that_is_too_large_is_told_with_its_size_and_the_limit(size: int | None, en: str, zh: str) -> None:
    """Whoever sent it knows how much smaller it has to be; a byte too many is shown as one."""
    data = {"reason": "too_large", "outbox_id": "01JOUT", "files": [1], "limit": 50_000_000}
    kept = [Attachment(id=n, kind="video", platform_id=n, name=f"{n}.mp4", mime="a/b", size=size) for n in "ab"]
    answer = replace(entry(EntryKind.OUTGOING), attachments=tuple(kept))
    for language, wanted in (("en", en), ("zh", zh)):
        with words.reading(language):
            post = entries.entry_post(entry(EntryKind.NOT_DELIVERED, data=data), lambda _: None, earlier=answer)
        assert wanted in post.text
