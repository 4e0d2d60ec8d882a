"""What was closed over an answer that waited is open again where that does not arrive after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from domain import sla
from domain.changes import Situation, events_of
from domain.model import MACHINE, Actor, Conversation, Entry, EntryKind, Status
from domain.sla import EventKind, SlaEvent
from handlers import frame
from handlers.frame import Context

UNDONE: Final = "undone"
_TURNED = (EventKind.STATUS, EventKind.SPAM)
_LAST: Final = "~"  # behind every id


def is_closed(conversation: Conversation) -> bool:
    """Whether it was resolved, and goes on nowhere else."""
    return conversation.status is Status.DONE and conversation.merged_into is None


def called_back(
    conversation: Conversation, situation: Situation, context: Context, answer: Entry, *, actor: Actor, at: datetime
) -> tuple[Conversation, tuple[Entry, ...]]:
    """As `not_arrived`, where that answer was called back and no other one is on its way to a question that is open."""
    now = frame.not_before(situation.history, context.now)
    opened = SlaEvent(id=_LAST, at=now, kind=EventKind.STATUS, value=Status.OPEN.value)
    if situation.leaving - {answer.id} or sla.open_question((*situation.history, opened)) is None:
        return conversation, ()
    return not_arrived(conversation, situation, context, answer, UNDONE, actor=actor, at=at)


def not_arrived(
    conversation: Conversation,
    situation: Situation,
    context: Context,
    answer: Entry,
    why: str,
    *,
    actor: Actor = MACHINE,
    at: datetime | None = None,
) -> tuple[Conversation, tuple[Entry, ...]]:
    """What was closed or put aside over an answer that waited, with the lines that open it again; the first is shown.

    Nothing where it was closed or put aside before that was written: it stays as it is.
    """
    turned = max((event.id for event in situation.history if event.kind in _TURNED), default="")
    if turned < frame.first_written(answer):
        return conversation, ()
    if is_closed(conversation):
        return again(conversation, situation, context, why, actor=actor, at=at)
    if conversation.status is not Status.ON_HOLD or conversation.snoozed_until is not None:
        return conversation, ()
    line = _status(conversation, situation, context, actor=actor, at=at, why=why)
    return replace(conversation, status=Status.OPEN), (line,)


def again(
    conversation: Conversation,
    situation: Situation,
    context: Context,
    why: str | None,
    *,
    actor: Actor = MACHINE,
    at: datetime | None = None,
) -> tuple[Conversation, tuple[Entry, Entry]]:
    """The conversation open again, with its two lines; the first is shown, and says that it is open, too."""
    at = frame.not_before(situation.history, at or context.now)
    reopened = frame.machine_entry(
        context, conversation, EntryKind.REOPENED, actor=actor, at=at, sla=EventKind.REOPENED.value, why=why
    )
    status = _status(conversation, situation, context, actor=actor, at=at)
    changed, told = taken_back(conversation, situation.history, status)
    return changed, (reopened, told)


def _status(
    conversation: Conversation,
    situation: Situation,
    context: Context,
    *,
    actor: Actor,
    at: datetime | None,
    why: str | None = None,
) -> Entry:
    """The line that it is open, behind the status before it, which Slack's clock may have put ahead of ours."""
    return frame.machine_entry(
        context,
        conversation,
        EntryKind.STATUS,
        actor=actor,
        at=frame.not_before(situation.history, at or context.now),
        sla=EventKind.STATUS.value,
        to=Status.OPEN.value,
        was=conversation.status.value,
        why=why,
    )


def taken_back(conversation: Conversation, history: Sequence[sla.SlaEvent], line: Entry) -> tuple[Conversation, Entry]:
    """The conversation as if it had not been closed: what nobody had answered is owed again, and its clocks run on.

    The line that it is open says since when that is.
    """
    changed = replace(conversation, status=Status.OPEN, resolved_at=None, outcome=None)
    question = sla.open_question((*history, *events_of((line,))))
    if question is None:
        return changed, line
    told = replace(line, data={**line.data, "since": question.at.isoformat()})
    return replace(changed, unanswered_since=question.at), told
