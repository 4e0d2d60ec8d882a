"""The whole conversation as a file, to the one who asked; who did stands in the audit trail."""

from __future__ import annotations

from domain import events
from domain.changes import Changes, DeliveryKind, Outgoing, Situation
from domain.model import Conversation, EntryKind
from handlers import acts
from handlers.frame import Context


def ask(event: events.AgentAction, conversation: Conversation, _situation: Situation, context: Context) -> Changes:
    """Made when it is sent, from the record as it is then; it comes as a direct message, for nobody else.

    The line of it holds where the file went: an erasure takes it away from there.
    """
    line = acts.line(event, conversation, EntryKind.TRANSCRIPT, context)
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
