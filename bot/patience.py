"""What an event waits for that is under way: raised as NotYet, so that it is decided a moment later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from bot import times
from bot.carried import Item
from domain import events
from domain.changes import Situation
from domain.errors import NotYet
from domain.model import EntryKind
from storage import lanes
from storage.inbox import Stored

JOINING = timedelta(milliseconds=50)
ORDER_PATIENCE = 4 * lanes.LEASE  # out of order beats not at all, but who was killed may have held what is due first
PARTS_PATIENCE = timedelta(seconds=30)
KNOWN_PATIENCE = timedelta(seconds=2)
LINE_PATIENCE = timedelta(seconds=10)  # a busy desk writes late, and what was called back must not leave
LINE_LATE = timedelta(seconds=1)
LOOKS = 4  # so often at least within the time in which an answer can be called back
CLOCKS_DIFFER = timedelta(seconds=1)  # those of two machines
LESS_OFTEN = 10  # looked for again after a tenth of how long it has been missed


class Waiting:
    """Since when rows have depended on something under way.

    Whoever is decided by another process, or given up, is never heard of again here: what is older than `kept` is
    forgotten when another one comes.
    """

    def __init__(self, kept: timedelta) -> None:
        self._kept = kept
        self._since: dict[int, timedelta] = {}  # by the steady clock; the oldest first

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, row_id: int) -> timedelta:
        """How long this row has waited: from now on where it did not before."""
        now = times.steady()
        while self._since and now - next(iter(self._since.values())) > self._kept:
            self._since.pop(next(iter(self._since)))
        return now - self._since.setdefault(row_id, now)

    def waited(self, row_id: int) -> timedelta:
        """How long this row has waited; zero where it does not."""
        now = times.steady()
        return now - self._since.get(row_id, now)

    def end(self, row_id: int) -> None:
        """It waits no longer."""
        self._since.pop(row_id, None)


def for_parts(row: Stored, event: events.Event, situation: Situation) -> None:
    """Raise NotYet while an answer that was changed is just leaving: what becomes of it decides what can be done.

    Also where this batch has made another wording of it, whose parts are not written yet, or has joined the
    conversation, or that in which it goes on, into another, which was not loaded with it.
    """
    end = (situation.other or situation).conversation  # what is loaded beside it is the end of the way
    if end is not None and end.merged_into is not None:
        msg = "its thread was joined into another just now"
        raise NotYet(msg, JOINING)
    before = situation.known.get(event.ts) if isinstance(event, events.AgentEdit) else None
    if before is None or before.kind is not EntryKind.OUTGOING:
        return
    states = {one.state for one in situation.outbox if one.entry_id == before.id}
    is_written = states or any(one.entry_id == before.id for one in situation.deliveries)
    may_come = abs(times.real() - row.received_at) < PARTS_PATIENCE  # the clock may have been set back since
    if "sending" in states or (may_come and not is_written):
        msg = "the answer that was changed is leaving just now"
        raise NotYet(msg, JOINING)


def for_line(event: events.AgentAction, situation: Situation, waited: timedelta, undo: timedelta) -> None:
    """Raise NotYet while the line that somebody calls back by an emoji may still be on its way to us.

    It is looked for some times within `undo`, the time in which it can be called back once it is there.
    """
    if event.action == "take_back" and situation.conversation is None and waited < LINE_PATIENCE:
        msg = "the line that is called back may not be written yet"  # nor ever, where it is none of ours
        late = min(LINE_LATE, max(undo / LOOKS, JOINING))
        raise NotYet(msg, less_often(waited, JOINING, late))


def less_often(waited: timedelta, soon: timedelta, late: timedelta) -> timedelta:
    """When something missed for so long is looked for again: `soon` at first, less and less often, at last `late`."""
    return min(late, max(soon, waited / LESS_OFTEN))


def pressed(row: Stored, event: events.AgentAction, situation: Situation) -> Situation:
    """The situation in which a button was pressed: without a delivery that was sent again since.

    Who presses "send again" twice, because nothing seems to happen, means the sending that they saw fail. The second
    press may be read after the next one, whose fate nobody has looked at. What was sent later than now was sent by a
    clock that has been set back since.
    """
    if event.action not in ("retry", "retry_plain"):
        return situation
    set_back = times.real() + CLOCKS_DIFFER
    waits = tuple(
        one
        for one in situation.outbox
        if one.sending_at is None or one.sending_at < row.received_at or one.sending_at > set_back
    )
    return situation if len(waits) == len(situation.outbox) else replace(situation, outbox=waits)


def said_at(event: events.AgentMessage | events.AgentEdit) -> float:
    """When a line was said or changed, in seconds: what its platform orders it by."""
    is_line = isinstance(event, events.AgentMessage) and event.entry_id is None
    return float(event.ts) if is_line else event.at.timestamp()


def newest_said(queues: Mapping[str, Sequence[Item]]) -> dict[str, float]:
    """When the newest line of an agent in each lane was said, of those lanes that have one."""
    newest: dict[str, float] = {}
    for lane, items in queues.items():
        for item in items:
            if isinstance(item.event, events.AgentMessage | events.AgentEdit):
                newest[lane] = max(newest.get(lane, 0.0), said_at(item.event))
    return newest
