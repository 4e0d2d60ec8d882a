"""What was closed over an answer that waited is open again where that does not arrive after all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from domain import sla
from domain.changes import Situation, events_of
from domain.model import MACHINE, Actor, Conversation, Entry, EntryKind, Status
from domain.sla import EventKind
from handlers import frame
from handlers.frame import Context

_TURNS = (EventKind.CUSTOMER_MESSAGE, EventKind.AGENT_REPLY)


def is_closed(conversation: Conversation) -> bool:
    """Whether it was resolved, and goes on nowhere else."""
    return conversation.status is Status.DONE and conversation.merged_into is None


def is_owed(conversation: Conversation, situation: Situation, answer: str) -> bool:
    """Whether a resolved conversation is left without an answer where this one is called back."""
    if not is_closed(conversation) or situation.leaving - {answer}:
        return False
    turns = sorted((one for one in situation.history if one.kind in _TURNS), key=lambda one: (one.at, one.id))
    return bool(turns) and turns[-1].kind is EventKind.CUSTOMER_MESSAGE


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
    reopened = frame.machine_entry(
        context, conversation, EntryKind.REOPENED, actor=actor, at=at, sla=EventKind.REOPENED.value, why=why
    )
    status = frame.machine_entry(
        context,
        conversation,
        EntryKind.STATUS,
        actor=actor,
        at=at,
        sla=EventKind.STATUS.value,
        to=Status.OPEN.value,
        was=conversation.status.value,
    )
    changed, (told,) = taken_back(conversation, situation.history, (status,))
    return changed, (reopened, told)


def taken_back(
    conversation: Conversation, history: Sequence[sla.SlaEvent], lines: tuple[Entry, ...]
) -> tuple[Conversation, tuple[Entry, ...]]:
    """The conversation as if it had not been closed: what nobody had answered is owed again, and its clocks run on.

    The first of `lines`, which says that it is open, says since when that is.
    """
    changed = replace(conversation, status=Status.OPEN, resolved_at=None, outcome=None)
    question = sla.open_question((*history, *events_of(lines)))
    if question is None:
        return changed, lines
    status, *others = lines
    told = replace(status, data={**status.data, "since": question.at.isoformat()})
    return replace(changed, unanswered_since=question.at), (told, *others)
