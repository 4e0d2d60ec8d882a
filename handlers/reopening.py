"""What was closed over an answer that waited is open again where that does not arrive after all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from domain.changes import Situation
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
    conversation: Conversation, context: Context, why: str, *, actor: Actor = MACHINE, at: datetime | None = None
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
    return replace(conversation, status=Status.OPEN, resolved_at=None, outcome=None), (reopened, status)
