"""What was typed where no thread holds it: in a window, in a command. Whatever happens meanwhile, it is not lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain import events
from domain.changes import DeliveryKind
from domain.guard import Guard
from domain.model import Attachment, EntryKind, Thread
from tests.handlers.kit import STRANGER, to_customer, whispers
from tests.handlers.test_leaving import late, refs
from tests.handlers.test_replies import where


@pytest.mark.parametrize("how", ["moved", "joined"])
def test_an_answer_from_a_window_is_not_lost_when_its_conversation_goes_elsewhere(how: str) -> None:
    """No thread holds what was typed: it is kept and asked about where the conversation goes on, and its author is told
    where that is. Nothing leaves before somebody says so; a note is a note there.
    """
    desk, there = late(), late()
    if how == "moved":
        desk.presses("move", "billing")
        changed = replace(desk.conversation, thread=Thread(channel="C0BILLING", ts="2.0"))
        desk.situation, there = replace(desk.situation, conversation=changed), desk
    else:
        into = replace(there.conversation, id="INTO", thread=Thread(channel="C0BILLING", ts="2.0"))
        there.situation = replace(there.situation, conversation=into)
        joined = replace(desk.conversation, merged_into="INTO")
        desk.situation = replace(desk.situation, conversation=joined, other=there.situation)
    window: dict[str, Any] = {"channel": "C0SUPPORT", "thread_ts": "1.0", "seen": desk.conversation.version}
    decided = desk.answers("Typed with care", ts=f"{events.WRITTEN}E1", **window)
    (decided,) = decided.also or (decided,)
    (question,) = [one for one in decided.entries if one.kind is EntryKind.HELD]
    assert question.data["kept"] == ["left"]
    assert to_customer(decided) == []
    assert whispers(decided) == ["answer_waits"]
    shown = [one for one in decided.outbox if one.kind is DeliveryKind.DESK_ENTRY]
    assert [(one.entry_id, one.bucket) for one in shown] == [
        ("E1", "slack:C0BILLING"),
        (question.id, "slack:C0BILLING"),
    ]
    if how == "joined":
        there.keep(decided)
    sent = there.presses("send_reply", question.data["line"], conversation_id=there.conversation.id)
    assert len(to_customer(sent)) == 1
    note = desk.answers("// call them", ts=f"{events.WRITTEN}E2", **window)
    (note,) = note.also or (note,)
    assert (note.entries[0].kind, whispers(note)) == (EntryKind.NOTE, [])


@pytest.mark.parametrize("begun", [False, True], ids=["known", "in the same moment"])
def test_what_was_written_to_a_customer_who_has_just_written_is_kept_beside_their_words(begun: bool) -> None:
    """A new conversation was asked for, and one is open: the words wait in it, and one press sends them there."""
    desk, there = late(), late()
    open_one = replace(there.conversation, id="BESIDE", number=0 if begun else 7, thread=Thread(channel="C0BILLING"))
    there.situation = replace(there.situation, conversation=open_one)
    desk.presses("resolve")
    decided = desk.presses("start", note="Your parcel is back.", other=there.situation)
    assert (decided.conversation, decided.entries, decided.outbox) == (None, (), ())
    (kept,) = decided.also
    line, question = kept.entries
    assert (line.body, line.kind, question.kind) == ("Your parcel is back.", EntryKind.NOTE, EntryKind.HELD)
    assert to_customer(kept) == []
    assert whispers(kept) == ["start_begun" if begun else "start_open"]
    there.keep(kept)
    sent = there.presses("send_reply", question.data["line"], conversation_id="BESIDE")
    assert [one.conversation_id for one in to_customer(sent)] == ["BESIDE"]
    desk.rules = replace(desk.rules, guard=Guard())
    (kept,) = desk.presses("start", note="Your password: Xk29-qqLm", other=there.situation).also
    assert [one.data["kept"] for one in kept.entries] == [["secret", "left"]] * 2, "the question says what it carries"


def test_nothing_is_recorded_for_a_customer_who_was_erased_and_whoever_tries_is_told() -> None:
    """Their thread may still be open before somebody: a line, a window, a change, a button, an emoji, a deletion."""
    desk = late()
    entry = desk.answers("On its way").entries[0]
    identity = desk.situation.identity
    assert identity is not None
    desk.situation = replace(desk.situation, identity=replace(identity, address="", name=""))
    for decided in (
        desk.answers("Hello?"),
        desk.answers("Typed before", ts=f"{events.WRITTEN}E9"),
        desk.edits(entry, "On its way, mended"),
        desk.presses("reopen"),
        desk.presses("start", note="Hello"),
    ):
        assert (decided.reason, whispers(decided)) == ("erased", ["customer_erased"])
        assert (decided.conversation, decided.entries) == (None, ())
    gone = desk.edits(entry, None)
    assert (gone.reason, gone.outbox, gone.entries) == ("erased", (), ())
    for refused in (desk.answers("Hello?", user=STRANGER), desk.presses("reopen", user=STRANGER)):
        assert (refused.reason, len(refused.audit)) == ("refused", 1), "whoever may not learns nothing of it"
    look = desk.presses("acknowledge", value="reaction", thread_ts="1.0")
    assert (look.reason, look.outbox) == ("erased", ()), "nothing was asked"


def test_a_file_that_was_taken_away_does_not_leave_or_its_author_is_told_that_the_customer_has_it() -> None:
    """While it waits the right one leaves alone; once it has left the customer keeps it, which is not passed over."""
    wrong, right = (
        Attachment(id=name, kind="document", platform_id=name, name=f"{name}.pdf", mime="application/pdf", size=9)
        for name in ("F1", "F2")
    )
    files, desk = (wrong, right), late()
    sent = desk.answers("Here it is", attachments=files)
    waiting = desk.edits(sent.entries[0], "Here it is", lost=frozenset({"F1"}), outbox=refs(sent))
    assert [entry.attachments for entry in waiting.entries] == [(right,)]
    assert set(waiting.cancel) == {one.id for one in to_customer(sent)}
    desk = late()
    sent = desk.answers("Here it is", attachments=files)
    left: dict[str, Any] = {
        "lost": frozenset({"F1"}),
        "outbox": refs(sent, "sent"),
        "deliveries": where(sent.entries[0].id),
    }
    changed = desk.edits(sent.entries[0], "Here it was", **left)
    assert (changed.reason, whispers(changed), len(to_customer(changed))) == ("edit", ["file_not_followed"], 1)
    gone = desk.edits(sent.entries[0], "Here it is", stand=True, **left)
    assert (gone.reason, whispers(gone)) == ("edit", ["file_not_followed"])
    assert (to_customer(gone), gone.entries) == ([], ()), "its words were not changed"
    desk = desk.later(hours=49)
    for text in ("Here it is", None):
        cleared = desk.edits(sent.entries[0], text, stand=text is not None, **left)
        assert (cleared.reason, cleared.outbox, cleared.entries) == ("old_files", (), ()), "the desk cleared up"
