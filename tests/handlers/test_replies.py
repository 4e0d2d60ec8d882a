"""Somebody writes in a thread: what goes to the customer, what stays inside, and who is refused."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from domain.changes import Delivered, DeliveryKind, Situation
from domain.files import Terms
from domain.model import EntryKind, Reach
from domain.sla import ClockState, Metric
from tests.handlers.kit import (
    JONAS,
    LINA,
    MAYA,
    PHOTO,
    STRANGER,
    Desk,
    kinds,
    noted,
    rulebook,
    to_customer,
    whispers,
)


def opened() -> Desk:
    desk = Desk()
    desk.writes()
    return desk


def test_an_answer_goes_to_the_customer() -> None:
    """An agent's words are recorded, sent, echoed as under way, and whoever answers first has the conversation."""
    desk = opened()
    decided = desk.answers("On its way.")
    assert decided.reason == "reply"
    assert decided.entries[0].body == "On its way."
    assert noted(decided, EntryKind.ASSIGNEE)[0].data["to"] == MAYA
    assert kinds(decided) == [DeliveryKind.CHAT_TEXT, DeliveryKind.DESK_REACTION, DeliveryKind.DESK_UPDATE]
    assert desk.conversation.delivery_state is Reach.WAITING
    assert desk.clock(Metric.FIRST_RESPONSE).state is ClockState.RUNNING, "pressing Enter answers nobody yet"


def test_the_assignee_stays_when_a_colleague_answers() -> None:
    """A colleague may step in; the conversation stays whose it is."""
    desk = opened()
    desk.answers(user=MAYA)
    desk.answers(user=LINA)
    assert desk.conversation.assignee == MAYA


@pytest.mark.parametrize(
    "text", ["// check the stock", "  // check the stock", "／／ check the stock", "/／ check", "//check"]
)
def test_a_note_stays_inside(text: str) -> None:
    """However the prefix was typed, a note reaches no customer, stops no clock and claims nothing."""
    desk = opened()
    decided = desk.answers(text)
    assert decided.reason == "note"
    assert decided.entries[0].kind is EntryKind.NOTE
    assert decided.entries[0].body.startswith("check")
    assert to_customer(decided) == []
    assert desk.conversation.assignee is None


@pytest.mark.parametrize("text", ["https://example.com // see", "/help", "a // b"])
def test_what_only_looks_like_a_note_is_sent(text: str) -> None:
    """Slashes elsewhere are words like any other, and arrive as they were typed."""
    decided = opened().answers(text)
    assert decided.reason == "reply"
    assert decided.entries[0].body == text


@pytest.mark.parametrize(
    ("user", "is_stranger"),
    [(STRANGER, False), (MAYA, True), (STRANGER, True)],
    ids=["no role", "not one of us", "neither"],
)
@pytest.mark.parametrize("text", ["Hello customer", "// only a note"])
def test_a_stranger_is_refused(user: str, is_stranger: bool, text: str) -> None:
    """Nobody without the role, no guest and no other company reaches the customer; they are told, and it is audited."""
    desk = opened()
    version = desk.conversation.version
    decided = desk.answers(text, user, is_stranger=is_stranger)
    assert decided.reason == "refused"
    assert whispers(decided) == ["refused_stranger"]
    assert (decided.entries, to_customer(decided)) == ((), [])
    assert decided.audit[0][0] == "refused"
    assert desk.conversation.version == version


def test_a_lead_may_answer() -> None:
    """A lead is an agent too."""
    assert opened().answers(user=JONAS).reason == "reply"


def test_a_message_in_no_thread_of_ours_is_left_alone() -> None:
    """People talk in the same channel about other things."""
    desk = Desk()
    decided = desk.answers()
    assert decided.reason == "not_our_thread"
    assert (decided.entries, decided.outbox) == ((), ())


def test_the_same_message_twice_is_one_answer() -> None:
    """An event that Slack repeats is recognised by its ts."""
    desk = opened()
    desk.answers(ts="5.0")
    assert desk.answers(ts="5.0").reason == "already_recorded"
    desk.answers("// n", ts="6.0")
    assert desk.answers("// n", ts="6.0").reason == "already_recorded"


def test_nothing_is_not_sent() -> None:
    """Blank words without a file are no answer."""
    assert opened().answers("  \n ").reason == "empty"


def test_a_long_answer_leaves_in_parts_and_with_its_files() -> None:
    """Each part and each file is a row of its own, in order, in the customer's one lane."""
    desk = opened()
    decided = desk.answers("word " * 2000, attachments=(PHOTO,))
    rows = to_customer(decided)
    assert [row.kind for row in rows] == [DeliveryKind.CHAT_TEXT] * 3 + [DeliveryKind.CHAT_FILE]
    assert [row.part for row in rows] == [0, 1, 2, 3]
    assert {row.data["parts"] for row in rows} == {4}
    assert {row.data["texts"] for row in rows} == {3}
    assert len({row.lane for row in rows}) == 1
    assert len({row.idem_key for row in rows}) == 4


def where(entry_id: str, parts: int = 1) -> tuple[Delivered, ...]:
    return tuple(
        Delivered(entry_id=entry_id, side="chat", part=part, place="", platform_id=f"{40 + part}")
        for part in range(parts)
    )


def test_an_edit_changes_the_customers_copy() -> None:
    """An answer that was delivered in one piece is edited there; both versions stay in the record."""
    desk = opened()
    answer = desk.answers("It costs 20.").entries[0]
    desk.settles(answer)
    decided = desk.edits(answer, "It costs 25.", deliveries=where(answer.id))
    assert kinds(decided) == [DeliveryKind.CHAT_EDIT]
    assert decided.outbox[0].data["message_id"] == "40"
    assert (decided.entries[0].body, decided.entries[0].data) == ("It costs 25.", {"edit_of": answer.id})


def test_a_deletion_takes_the_customers_copy_away() -> None:
    """An answer that the agent deletes is deleted at the customer's too; the record keeps it."""
    desk = opened()
    answer = desk.answers().entries[0]
    decided = desk.edits(answer, None, deliveries=where(answer.id))
    assert kinds(decided) == [DeliveryKind.CHAT_DELETE]
    assert decided.entries[0].data == {"deleted": answer.id}


@pytest.mark.parametrize("case", ["not sent yet", "became a note", "grew too long", "became empty", "lost the role"])
def test_an_edit_that_cannot_follow_says_so(case: str) -> None:
    """Where the customer's copy cannot be changed the agent is told, and nothing goes out."""
    desk = opened()
    answer = desk.answers().entries[0]
    parts = {"not sent yet": 0}.get(case, 1)
    text = {"became a note": "// hidden", "grew too long": "x" * 5000, "became empty": ""}.get(case, "other")
    user = STRANGER if case == "lost the role" else MAYA
    decided = desk.edits(answer, text, user, deliveries=where(answer.id, parts))
    assert whispers(decided) == ["edit_not_followed" if parts else "edit_before_sent"]
    assert to_customer(decided) == []
    assert len(decided.entries) == 1, "the record has it"


def test_the_parts_of_a_long_answer_follow_one_by_one() -> None:
    """Each part of a changed answer takes the place of one, what is over goes; a longer one cannot follow."""
    desk = opened()
    answer = desk.answers("x" * 8000).entries[0]
    decided = desk.edits(answer, "y" * 5000, deliveries=where(answer.id, 2))
    assert [(one.kind, one.part, one.data["message_id"]) for one in decided.outbox] == [
        (DeliveryKind.CHAT_EDIT, 0, "40"),
        (DeliveryKind.CHAT_EDIT, 1, "41"),
    ]
    decided = desk.edits(answer, "short", deliveries=where(answer.id, 2))
    assert kinds(decided) == [DeliveryKind.CHAT_EDIT, DeliveryKind.CHAT_DELETE]
    assert kinds(desk.edits(answer, None, deliveries=where(answer.id, 2))) == [DeliveryKind.CHAT_DELETE] * 2
    assert whispers(desk.edits(answer, "z" * 9000, deliveries=where(answer.id, 2))) == ["edit_not_followed"]


@pytest.mark.parametrize("text", ["without the prefix", "// still a note", None])
def test_a_note_never_leaves_by_an_edit(text: str | None) -> None:
    """A note that loses its prefix, or is deleted, stays inside."""
    desk = opened()
    note = desk.answers("// inside").entries[0]
    decided = desk.edits(note, text, deliveries=where(note.id))
    assert decided.reason == "note_edit"
    assert decided.outbox == ()


def test_an_edit_of_something_unknown_changes_nothing() -> None:
    """What was refused or never seen has no copy to change."""
    desk = opened()
    answer = desk.answers().entries[0]
    desk.situation = Situation(conversation=desk.conversation, identity=desk.situation.identity)
    assert desk.edits(answer, "other").reason == "edit_of_unknown"


def test_every_key_is_used_once() -> None:
    """No two deliveries of a lively conversation share a key, so none swallows another."""
    desk = opened()
    for _ in range(3):
        desk.delivered()
        desk.later(minutes=5).writes("more")
        desk.presses("resolve")
        desk.later(minutes=5).writes("again")
    keys = [item.idem_key for item in desk.outbox]
    assert not [key for key, group in itertools.groupby(sorted(keys)) if len(list(group)) > 1]


TELEGRAM = Terms(caption_limit=1024, most_together=10, upload_limit=50_000_000)
LIMIT = 50_000_000


@pytest.mark.parametrize("kind", ["photo", "document", "video", "audio", "voice", "animation"])
@pytest.mark.parametrize("count", [1, 2, 10])
@pytest.mark.parametrize("size", [1, LIMIT, LIMIT + 1])
def test_each_file_is_sent_together_with_those_it_may_stand_with(kind: str, count: int, size: int) -> None:
    """1, 2 and 10 files of each kind at the limit: every one is in exactly one delivery, and none is left out."""
    desk = Desk(rules=rulebook(channel_files={"telegram": TELEGRAM}))
    desk.writes()
    files = tuple(replace(PHOTO, id=f"A{n}", kind=kind, size=size) for n in range(count))
    decided = desk.answers("Here they are.", attachments=files)
    rows = [one for one in decided.outbox if one.kind.to_customer]
    sent = [place for row in rows for place in row.data.get("files", [])]
    assert sent == list(range(count))
    alone = kind in ("voice", "animation") or size > LIMIT
    assert [len(row.data["files"]) for row in rows if "files" in row.data] == ([1] * count if alone else [count])
    captions = [row.data.get("caption", False) for row in rows]
    assert captions == ([False] * (1 + count) if size > LIMIT else [True, *[False] * (len(rows) - 1)])
    assert {row.data["parts"] for row in rows} == {len(rows)}


def test_words_too_long_for_a_caption_go_before_the_files() -> None:
    """Telegram takes 1,024 units under a file: what is longer is a message of its own, and a bad file an own row."""
    desk = Desk(rules=rulebook(channel_files={"telegram": TELEGRAM}))
    desk.writes()
    large = replace(PHOTO, id="A2", size=LIMIT + 1)
    decided = desk.answers("🍷" * 513, attachments=(PHOTO, large, PHOTO, PHOTO))
    rows = [one for one in decided.outbox if one.kind.to_customer]
    assert [row.kind for row in rows] == [DeliveryKind.CHAT_TEXT, *[DeliveryKind.CHAT_FILE] * 3]
    assert [row.data["files"] for row in rows[1:]] == [[0], [1], [2, 3]]
