"""What stands in a thread that was left, and at the beginning of the one that goes on: short, and nobody's markup."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.desk import moves, transcripts, words
from domain.model import Actor, ActorKind, EntryKind, Thread
from tests.bot.desk.kit import MAYA, card_view, entry

LINK = "https://acme.slack.com/archives/C0BILLING/p20"


def names(user: str) -> str | None:
    """The names of colleagues."""
    return {MAYA: "maya *the great*"}.get(user)


def test_the_card_that_was_left_holds_no_words_of_the_customer() -> None:
    """Number and place, no button; and without an address it still says where."""
    view = card_view(queue_title="Billing <!here>", excerpt="my secret")
    closed = moves.closed_card(view, LINK)
    assert closed.text == f"*#{view.conversation.number}* · Moved to *Billing &lt;!here&gt;*: <{LINK}|the new thread>"
    assert [block["type"] for block in closed.blocks] == ["context"]
    assert moves.closed_card(view, None).text.endswith("the new thread")


def test_the_last_line_of_the_old_thread_says_who_moved_it() -> None:
    """Colleagues are named by escaped words, never called."""
    change = entry(EntryKind.QUEUE, actor=Actor(kind=ActorKind.AGENT, id=MAYA))
    said = moves.closed_line(change, card_view(), names, LINK).text
    assert said.endswith("by maya *the great*. What is written here reaches nobody.")


def test_the_summary_is_a_few_lines_that_nobody_can_style() -> None:
    """Who said what, cut short, in rich text; nothing said before: the line alone."""
    history = [
        entry(EntryKind.INCOMING, body="<!channel> *help* " * 40),
        entry(EntryKind.NOTE, body="a regular", actor=Actor(kind=ActorKind.AGENT, id=MAYA)),
        entry(EntryKind.INCOMING, body="", data={"kind": "voice"}),
    ]
    post = moves.summary("Queue: a → *b*", history, names)
    line, quoted = post.blocks
    assert line["type"] == "context"
    (quote,) = quoted["elements"]
    texts = [element["text"] for element in quote["elements"]]
    assert texts[0] == "Customer: "
    assert len(texts[1]) <= moves.LINE + 1
    assert texts[2] == "maya *the great* (note): "
    assert texts[-1] == "a voice message"
    assert {element["type"] for element in quote["elements"]} == {"text"}
    assert len(moves.summary("x", [], names).blocks) == 1


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            "en",
            [
                "customer: Help",
                "automatic: told that the message has come",
                "automatic: told that an answer comes by 2026-03-02 16:00",
                "automatic: told that somebody is there again 2026-03-02 16:00",
                "automatic: a fixed text",
                "customer: ",
            ],
        ),
        (
            "zh",
            [
                "客户：Help",
                "自动：已告知消息收到",
                "自动：已告知 2026-03-02 16:00 之前回复",
                "自动：已告知 2026-03-02 16:00 恢复办公",
                "自动：固定文字",
                "客户：",
            ],
        ),
    ],
)
def test_a_transcript_says_what_the_customer_was_told_automatically(language: str, lines: list[str]) -> None:
    """The words of a fixed text stand in no timeline; what it was about is said, and nothing of what is not known."""
    said = [
        entry(EntryKind.INCOMING, body="Help"),
        entry(EntryKind.AUTOMATIC, data={"text": "acknowledgement_closed"}),
        entry(EntryKind.AUTOMATIC, data={"text": "acknowledgement_by", "at": "2026-03-02T17:00:00+01:00"}),
        entry(EntryKind.AUTOMATIC, data={"text": "acknowledgement_closed", "at": "2026-03-02T16:00:00+00:00"}),
        entry(EntryKind.AUTOMATIC, data={"text": "of tomorrow"}),
        entry(EntryKind.NOTE, body="Help", data={"into": 1043}),
        entry(EntryKind.INCOMING),
    ]
    with words.reading(language):
        written = transcripts.write(1042, said, names).decode()
    shown = [line.split("  ", 1)[1] for line in written.splitlines()[2:]]
    assert shown == [line.rstrip("\n") for line in lines]


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        (
            "en",
            [
                "[status new → open, maya]",
                "[queue Billing → Tech, machine]",
                "[label refund, maya]",
                "[assignee maya, machine]",
                "[answer sent again, maya]",
                "[muted, maya]",
                "[heard again, maya]",
                "[delivered, machine]",
            ],
        ),
        (
            "zh",
            [
                "[状态：新会话 → 处理中，maya]",
                "[队列：Billing → Tech，系统]",
                "[主题：refund，maya]",
                "[负责人：maya，系统]",
                "[重新发出回复，maya]",
                "[静音，maya]",
                "[取消静音，maya]",
                "[已送达，系统]",
            ],
        ),
    ],
)
def test_a_transcript_says_what_was_done_as_people_call_it(language: str, lines: list[str]) -> None:
    """Queues, topics and people by their names and not by our ids; a topic that was confirmed stands there once."""
    maya, machine = Actor(kind=ActorKind.AGENT, id="U0MAYA"), Actor(kind=ActorKind.MACHINE)
    done: list[tuple[EntryKind, Actor, dict[str, str]]] = [
        (EntryKind.STATUS, maya, {"from": "new", "to": "open"}),
        (EntryKind.QUEUE, machine, {"from": "billing", "to": "tech"}),
        (EntryKind.LABEL, maya, {"from": "refund", "to": "refund"}),
        (EntryKind.ASSIGNEE, machine, {"to": "U0MAYA"}),
        (EntryKind.STATUS, maya, {"to": "retry"}),
        (EntryKind.MUTED, maya, {"to": "on"}),
        (EntryKind.MUTED, maya, {"to": "off"}),
        (EntryKind.DELIVERED, machine, {}),
    ]
    said = [replace(entry(kind), actor=actor, data=data) for kind, actor, data in done]
    with words.reading(language):
        written = transcripts.write(
            1042, said, {"U0MAYA": "maya"}.get, {"queue": {"billing": "Billing", "tech": "Tech"}}
        ).decode()
    assert [line.split("  ", 1)[1] for line in written.splitlines()[2:]] == lines


def test_where_it_stood_before() -> None:
    """Noted as channel and thread; anything else is nowhere."""
    assert moves.place_of("C1:17.1") == Thread(channel="C1", ts="17.1")
    assert {moves.place_of(odd) for odd in (None, "", "C1", ":1")} == {None}
