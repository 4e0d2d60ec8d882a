"""What the decisions of one batch carry to those after them."""

from __future__ import annotations

from dataclasses import replace

from bot.carried import Carried, Item, second, wanted
from domain import events
from domain.changes import Situation
from domain.model import Status
from storage.inbox import Stored
from tests.contracts.storage_kit import NOW, new_id, story


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
        assert other.conversation == (begun if is_open else ended)
        carried.keep(item, replace(loaded, conversation=begun))
