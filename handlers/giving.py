"""A conversation is given to a colleague: by a lead, or handed over by whoever has it, with a note."""

from __future__ import annotations

from dataclasses import replace

from domain import events
from domain.changes import Changes, Situation
from domain.model import Conversation, Entry, EntryKind, Status
from domain.sla import EventKind
from handlers import acts, frame
from handlers.frame import Context

NOTE_LIMIT = 3000
"""Characters of a note: what one text field of the desk takes."""


def assign(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Somebody gives it to a colleague. Only who answers customers can have a conversation."""
    wanted = event.value or ""
    if not conversation.is_open:
        return acts.stale(event, conversation, context)
    if wanted == conversation.assignee:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_theirs", context),))
    if all(agent.id != wanted for agent in situation.team):
        return Changes(reason="not_an_agent", outbox=(acts.tell(event, "not_an_agent", context),))
    line = acts.line(
        event,
        conversation,
        EntryKind.ASSIGNEE,
        context,
        sla=(EventKind.TAKEN if wanted == event.agent_id else EventKind.ASSIGNED).value,
        to=wanted,
        was=conversation.assignee,
    )
    changed = frame.touched(conversation, assignee=wanted)
    if changed.status is Status.NEW:
        changed = replace(changed, status=Status.OPEN)
    lines = (line, *_note(event, conversation, context))
    given = next(agent for agent in situation.team if agent.id == wanted)
    agent = replace(given, last_assigned_at=context.now, open_count=given.open_count + 1)
    return acts.changed("assigned", changed, lines, situation, context, agent)


def hand_over(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """The same with a note, which is what makes it no surprise."""
    if not event.note.strip():
        return Changes(reason="no_note", outbox=(acts.tell(event, "no_note", context),))
    return assign(event, conversation, situation, context)


def _note(event: events.AgentAction, conversation: Conversation, context: Context) -> tuple[Entry, ...]:
    body = event.note.strip()[:NOTE_LIMIT]
    if not body:
        return ()
    note = acts.line(event, conversation, EntryKind.NOTE, context)
    return (replace(note, body=body),)
