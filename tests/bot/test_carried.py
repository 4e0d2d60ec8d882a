"""What the decisions of one batch carry to those after them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.carried import Carried, Item, second, wanted
from domain import changes, events
from domain.changes import Situation
from domain.model import Agent, EntryKind, Status, Thread
from handlers import frame, replies
from storage.inbox import Stored
from tests.contracts.storage_kit import NOW, new_id, story
from tests.handlers.kit import MAYA, rulebook


def test_what_this_very_batch_opened_is_open_to_whoever_would_begin_another() -> None:
    """Two who write anew to the same customer at once: the second is shown what the first has begun."""
    ann = story()
    ended = replace(ann.conversation, number=1042, status=Status.DONE)
    begun = replace(ended, id=new_id(), number=0, status=Status.OPEN, previous=ended.id)
    carried = Carried()
    for number, is_open in ((1, False), (2, True)):
        event = events.DeskCommand(agent_id="U0MAYA", at=NOW, channel="C0", text="start #1042 Hello", key=str(number))
        row = Stored(
            id=number, source="slack", lane=f"command:{number}", kind="command", payload="", received_at=NOW, attempts=0
        )
        item = Item(row=row, event=event, wanted=wanted(row, event, with_team=False), other=second(row, event))
        assert item.other is not None
        assert (item.other.number, item.other.newest) == (1042, True)
        loaded = Situation(identity=ann.identity, conversation=ended)
        item.situation = replace(loaded, other=loaded)
        other = carried.into(item).other
        assert other is not None
        assert (other.conversation, other.begun) == ((begun, "Hello") if is_open else (ended, None))
        first = replace(ann.said("Hello"), kind=EntryKind.OUTGOING)
        made = changes.Changes(
            reason="started", conversation=replace(begun, version=begun.version - 1), entries=(first,)
        )
        carried.keep(item, changes.apply(item.situation, made))


@pytest.mark.parametrize("is_joined", [False, True], ids=["its own thread", "a thread that was joined into another"])
def test_a_held_line_is_known_to_what_changes_it_in_the_same_batch(is_joined: bool) -> None:
    """Written while we were away, changed and deleted before anybody looked: each sees what the one before made."""
    ann = story()
    here = replace(ann.conversation, thread=Thread(channel="C0SUPPORT", ts="1.0"))
    into = replace(ann.conversation, id="INTO", thread=Thread(channel="C0BILLING", ts="2.0"))
    agent = Agent(id=MAYA, roles=("agent",))
    there = Situation(identity=ann.identity, conversation=into if is_joined else here, agent=agent)
    ended = replace(here, merged_into="INTO")
    loaded = replace(there, conversation=ended, other=there) if is_joined else there
    rules = rulebook(asks_late=timedelta(minutes=15))
    said: dict[str, Any] = {"agent_id": MAYA, "channel": "C0SUPPORT", "thread_ts": "1.0", "ts": "3.0"}
    lines: tuple[events.AgentMessage | events.AgentEdit, ...] = (
        events.AgentMessage(at=NOW - timedelta(hours=9), text="Tomorrow at nine", **said),
        events.AgentEdit(at=NOW, text="Tomorrow at ten", **said),
        events.AgentEdit(at=NOW, text=None, **said),
    )
    carried, words, versions = Carried(), [], []
    for number, event in enumerate(lines):
        row = Stored(
            id=number, source="slack", lane="memory:1", kind="message", payload="", received_at=NOW, attempts=0
        )
        item = Item(row=row, event=event, wanted=wanted(row, event, with_team=False))
        item.situation = replace(loaded, lane=row.lane)
        item.situation = carried.into(item)
        made = replies.decide(event, item.situation, frame.Context(rules=rules, now=NOW, new_id=new_id))
        carried.keep(item, changes.apply(item.situation, made))
        decided = made.also[0] if is_joined else made
        words.append(decided.entries[0].body)
        assert decided.conversation is not None
        versions.append(decided.conversation.version)
    assert words == ["Tomorrow at nine", "Tomorrow at ten", ""]
    assert versions == [here.version + number for number in range(3)], "each is written on the one before"
