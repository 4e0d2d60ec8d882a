"""Another team's channel: what moves there, what is closed behind it, and what happens to whoever was in between."""

from __future__ import annotations

from dataclasses import replace

from domain.changes import DeliveryKind, Move
from domain.model import EntryKind, Thread
from tests.handlers.kit import MAYA, Desk, kinds, noted, placed, to_customer, whispers


def in_thread() -> Desk:
    """A conversation whose card stands in the support channel."""
    desk = Desk()
    desk.writes()
    desk.situation = replace(desk.situation, conversation=placed(desk.conversation))
    return desk


def test_a_queue_with_another_channel_takes_the_conversation_there() -> None:
    """A new card in a lane of its own, the old one closed; customer, number and clocks go on as they were."""
    desk = in_thread()
    before = desk.conversation
    clocks = desk.clocks()
    decided = desk.presses("move", "billing")
    assert desk.conversation.thread == Thread(channel="C0BILLING", ts=None, before="C0SUPPORT:1.0")
    assert decided.move == Move(
        conversation_id=before.id, channel="C0BILLING", thread="1.0", ids=decided.move.ids if decided.move else ()
    )
    by_kind = {item.kind: item for item in decided.outbox}
    assert by_kind[DeliveryKind.DESK_CARD].lane == f"root:{before.id}"
    assert by_kind[DeliveryKind.DESK_CARD].bucket == "slack:C0BILLING"
    closing = [item for item in decided.outbox if item.kind is DeliveryKind.DESK_MOVED]
    assert [(item.part, item.data) for item in closing] == [
        (part, {"place": "C0SUPPORT", "thread": "1.0"}) for part in (0, 1)
    ]
    assert noted(decided, EntryKind.QUEUE)[0].data["moved_from"] == "C0SUPPORT:1.0"
    assert (desk.conversation.number, desk.conversation.customer_id) == (before.number, before.customer_id)
    assert [(clock.metric, clock.due_at) for clock in desk.clocks()] == [
        (clock.metric, clock.due_at) for clock in clocks
    ]


def test_a_topic_of_another_team_moves_it_too() -> None:
    """Sorting by topic and moving by hand lead to the same place."""
    desk = in_thread()
    assert desk.presses("relabel", "billing").move is not None
    assert desk.conversation.thread.channel == "C0BILLING"
    assert desk.presses("relabel", "billing").reason == "already_so"


def test_a_card_that_is_not_posted_yet_is_posted_there() -> None:
    """Nothing is left behind where nothing stands yet."""
    desk = Desk()
    desk.writes()
    decided = desk.presses("move", "billing")
    assert decided.move is not None
    assert decided.move.thread is None
    assert not {DeliveryKind.DESK_CARD, DeliveryKind.DESK_MOVED} & set(kinds(decided))


def test_what_is_written_in_the_old_thread_never_leaves() -> None:
    """Whoever writes where it stood is told where it goes on, before and after the new card is there."""
    desk = in_thread()
    desk.presses("move", "billing")
    decided = desk.answers("On its way", channel="C0SUPPORT", thread_ts="1.0")
    assert (decided.reason, whispers(decided), to_customer(decided)) == ("thread_moved", ["thread_moved"], [])
    there = replace(desk.conversation, thread=replace(desk.conversation.thread, ts="2.0"))
    desk.situation = replace(desk.situation, conversation=there)
    told = desk.answers("On its way", channel="C0SUPPORT", thread_ts="1.0")
    assert told.outbox[0].data["goes_on"] == ["C0BILLING", "2.0"]
    back = desk.presses("move", "support")
    assert back.move is not None
    desk.situation = replace(desk.situation, elsewhere=True)
    assert desk.answers("Still here?", channel="C0SUPPORT", thread_ts="1.0").reason == "thread_moved", (
        "the same channel"
    )
    desk.situation = replace(desk.situation, elsewhere=False)
    assert desk.answers("Here", channel="C0SUPPORT", thread_ts="3.0").reason == "reply"


def test_an_answer_that_waits_leaves_all_the_same_and_can_be_called_back() -> None:
    """The undo window belongs to the chat: moving the thread neither loses the answer nor takes the button away."""
    desk = in_thread()
    answer = desk.answers("On its way", thread_ts="1.0")
    moved = desk.presses("move", "billing")
    assert moved.cancel == ()
    assert to_customer(answer)[0].lane.startswith("chat:")
    undone = desk.presses("undo", str(answer.entries[0].platform_id), user=MAYA)
    assert undone.reason in ("undone", "too_late")
    told = next(item for item in undone.outbox if item.kind is DeliveryKind.DESK_WHISPER)
    assert (told.data["place"], told.data["thread"]) == ("C0SUPPORT", "1.0"), "where the button was pressed"
