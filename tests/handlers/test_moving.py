"""Another team's channel: what moves there, what is closed behind it, and what happens to whoever was in between."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from domain.alerts import Level
from domain.calendar import Duration
from domain.changes import DeliveryKind, Move
from domain.guard import Guard
from domain.model import EntryKind, Thread
from tests.handlers.kit import MAYA, Desk, kinds, noted, placed, rulebook, to_customer, whispers


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


def test_a_question_about_a_kept_answer_is_decided_where_the_conversation_is() -> None:
    """Pressed in the thread that was left, a button does nothing but say where it is asked now; there it works."""
    desk = in_thread()
    desk.rules = replace(desk.rules, guard=Guard())
    kept = desk.answers("Call Bo at +49 171 7654321")
    line, question = kept.entries
    assert (question.kind, question.data["of"], question.data["quiet"]) == (EntryKind.HELD, line.id, True)
    assert line.data["asked"] == question.id
    desk.presses("move", "billing")
    was = {"channel": "C0SUPPORT", "thread_ts": "1.0"}
    for ts in (None, "2.0"):
        thread = replace(desk.conversation.thread, ts=ts)
        desk.situation = replace(desk.situation, conversation=replace(desk.conversation, thread=thread))
        for button in ("send_reply", "keep_note"):
            refused = desk.presses(button, str(line.platform_id), **was)
            assert (refused.reason, whispers(refused), refused.entries) == ("asked_elsewhere", ["asked_elsewhere"], ())
            assert refused.outbox[0].data["goes_on"] == ["C0BILLING", ts]
    sent = desk.presses("send_reply", str(line.platform_id))
    assert len(to_customer(sent)) == 1
    assert [one.entry_id for one in sent.outbox if one.kind is DeliveryKind.DESK_EDIT] == [question.id]
    assert whispers(desk.presses("send_reply", str(line.platform_id), **was)) == ["already_settled"]


def test_where_a_thread_was_begun_anew_its_questions_are_decided_in_the_new_one() -> None:
    """The same channel, another root: what hangs under the old one is older than the new one."""
    desk = in_thread()
    desk.rules = replace(desk.rules, guard=Guard())
    line = desk.answers("Call Bo at +49 171 7654321").entries[0]
    anew = Thread(channel="C0SUPPORT", ts="7.0", before="C0SUPPORT:1.5")
    desk.situation = replace(desk.situation, conversation=replace(desk.conversation, thread=anew))
    assert whispers(desk.presses("send_reply", str(line.platform_id), thread_ts="1.0")) == ["asked_elsewhere"]
    assert len(to_customer(desk.presses("send_reply", str(line.platform_id)))) == 1


def test_what_the_way_of_a_queue_keeps_inside_is_no_question() -> None:
    """A line that nobody was asked about goes nowhere, and its author's own button still works."""
    desk = in_thread()
    queues = {name: replace(queue, leaves="explicit") for name, queue in desk.rules.queues.items()}
    desk.rules = replace(desk.rules, queues=queues)
    kept = desk.answers("On its way")
    assert [entry.kind for entry in kept.entries] == [EntryKind.NOTE]
    desk.presses("move", "billing")
    pressed = desk.presses("send_reply", str(kept.entries[0].platform_id), channel="C0SUPPORT", thread_ts="1.0")
    assert len(to_customer(pressed)) == 1


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
    undone = desk.presses("undo", str(answer.entries[0].platform_id), user=MAYA, channel="C0SUPPORT")
    assert undone.reason in ("undone", "too_late")
    told = next(item for item in undone.outbox if item.kind is DeliveryKind.DESK_WHISPER)
    assert (told.data["place"], told.data["thread"]) == ("C0SUPPORT", "1.0"), "where the button was pressed"


def shared(*, second: bool = True) -> Desk:
    """A conversation of a queue with two channels, whose card stands in the second, or first, of them."""
    rules = rulebook()
    queues = {name: replace(queue, more_channels=(f"{queue.slack_channel}2",)) for name, queue in rules.queues.items()}
    rules = rulebook(queues=queues)
    numbers = itertools.count(1)
    for _ in range(64):
        desk = Desk(rules=rules, numbers=numbers)
        desk.writes()
        if desk.conversation.thread.channel == ("C0SUPPORT2" if second else "C0SUPPORT"):
            desk.situation = replace(desk.situation, conversation=placed(desk.conversation))
            return desk
    raise AssertionError("the channels of a queue share its conversations")


@pytest.mark.parametrize("second", [True, False])
def test_a_topic_of_the_same_queue_moves_nothing_between_its_channels(second: bool) -> None:
    """Whoever corrected a topic in a queue's second channel was not heard: it was to move to the first."""
    desk = shared(second=second)
    stood = desk.conversation.thread
    decided = desk.presses("relabel", "order")  # which the machine had guessed: somebody says that it is right
    assert (decided.reason, decided.move, desk.conversation.thread) == ("relabelled", None, stood)


def test_another_queue_shares_its_channels_too() -> None:
    """Moved by hand and back, begun anew: always in the channel that is this conversation's."""
    places = set()
    for second in (True, False):
        desk = shared(second=second)
        stood = desk.conversation.thread.channel
        desk.presses("move", "tech")
        places.add(desk.conversation.thread.channel)
        desk.situation = replace(desk.situation, conversation=placed(desk.conversation))
        desk.presses("move", "support")
        assert desk.conversation.thread.channel == stood
    assert places <= {"C0TECH", "C0TECH2"}


def test_an_alert_for_the_channel_goes_where_the_conversation_stands() -> None:
    """Whoever reads the second channel has it before their eyes, the first one's readers have not."""
    desk = shared()
    levels = (Level(after=Duration(minutes=15), to="queue"),)
    desk.rules = replace(desk.rules, alerts=replace(desk.rules.alerts, levels=levels))
    sent = [item for _ in range(8) for item in desk.later(hours=4).sweep().outbox]
    assert {item.data["place"] for item in sent if item.data.get("way") == "channel"} == {"C0SUPPORT2"}
