"""The whole conversation as a file, to the one who asked; who did stands in the audit trail."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from domain import events
from domain.changes import Changes, DeliveryKind, Outgoing, Situation
from domain.model import Conversation, EntryKind
from handlers import acts, frame
from handlers.frame import Context

ONCE_S: Final = 30
"""Seconds in which somebody is sent a conversation once, however often they press."""


def marks(agent_id: str, at: datetime) -> tuple[str, str]:
    """What the line of this person's asking is found by, now or a moment before: a second click falls on either."""
    place = int(at.timestamp()) // ONCE_S
    return f"transcript:{agent_id}:{place}", f"transcript:{agent_id}:{place - 1}"


def ask(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Made when it is sent, from the record as it is then; it comes as a direct message, for nobody else.

    The line of it holds where the file went: an erasure takes it away from there.
    """
    mark, before = marks(event.agent_id, event.at)
    if any(frame.entry_known(situation, one, EntryKind.TRANSCRIPT) for one in (mark, before)):
        return Changes(reason="already_so", outbox=(acts.tell(event, "transcript_coming", context),))
    line = replace(acts.line(event, conversation, EntryKind.TRANSCRIPT, context), platform_id=mark)
    file = Outgoing(
        id=context.new_id(),
        lane=f"file:{event.agent_id}",
        bucket=f"slack-user:{event.agent_id}",
        kind=DeliveryKind.DESK_TRANSCRIPT,
        idem_key=f"transcript:{conversation.id}:{event.key}"[:120],
        conversation_id=conversation.id,
        entry_id=line.id,
        data={"place": event.agent_id, "user": event.agent_id, "number": conversation.number},
    )
    return Changes(
        reason="transcript",
        entries=(line,),
        outbox=(file, acts.tell(event, "transcript", context)),
        audit=(("transcript.download", f"conversation:{conversation.id}", "desk"),),
    )
