"""Somebody wrote in a thread: an answer for the customer, an internal note, or a person who may not answer."""

from __future__ import annotations

from typing import Any

from domain import events, formatting, text
from domain.changes import Changes, DeliveryKind, Outgoing, Situation
from domain.model import Actor, ActorKind, Conversation, Entry, EntryKind, Identity, Reach, Status
from domain.roles import Act, may
from domain.sla import EventKind
from handlers import frame, promises
from handlers.frame import Context

ANSWERS = (EntryKind.OUTGOING, EntryKind.NOTE)


def decide(event: events.AgentMessage | events.AgentEdit, situation: Situation, context: Context) -> Changes:
    """What a message, an edit or a deletion in a thread changes."""
    if isinstance(event, events.AgentEdit):
        return _edit(event, situation, context)
    return _message(event, situation, context)


def _message(event: events.AgentMessage, situation: Situation, context: Context) -> Changes:
    conversation, identity = situation.conversation, situation.identity
    if conversation is None or identity is None:
        return Changes(reason="not_our_thread")
    if frame.entry_known(situation, event.ts, *ANSWERS):
        return Changes(reason="already_recorded")
    is_note, body = text.parse_note(event.text, context.rules.note_prefix)
    roles = situation.agent.roles if situation.agent else ()
    if event.is_stranger or not may(roles, Act.NOTE if is_note else Act.REPLY):
        refusal = frame.whisper(
            context, event.channel, event.thread_ts, event.agent_id, "refused_stranger", f"{event.channel}:{event.ts}"
        )
        audit = ("refused", f"conversation:{conversation.id}", "reply without the agent role")
        return Changes(reason="refused", outbox=(refusal,), audit=(audit,))
    if not body.strip() and not event.attachments:
        return Changes(reason="empty")
    touches = is_note and frame.awaits_touch(situation)
    entry = Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=EntryKind.NOTE if is_note else EntryKind.OUTGOING,
        actor=Actor(kind=ActorKind.AGENT, id=event.agent_id),
        at=event.at,
        body=body,
        data=({"sla": EventKind.TOUCHED.value, "to": event.agent_id} if touches else {})
        | ({} if is_note else _dressed(event.spans)),
        platform_id=event.ts,
        attachments=event.attachments,
    )
    if is_note:
        clocks = frame.clocks(context, situation, conversation, (entry,)) if touches else None
        return Changes(reason="note", conversation=frame.touched(conversation), entries=(entry,), clocks=clocks)
    entries = [entry]
    if conversation.assignee is None:
        entries.append(
            frame.machine_entry(
                context,
                conversation,
                EntryKind.ASSIGNEE,
                actor=entry.actor,
                sla=EventKind.TAKEN.value,
                to=event.agent_id,
                why="answered first",
            )
        )
    sending = _parts(entry, identity, conversation, context)
    changed = frame.touched(
        conversation,
        status=Status.OPEN if conversation.status is Status.NEW else conversation.status,
        assignee=conversation.assignee or event.agent_id,
        last_agent_at=event.at,
        delivery_state=Reach.WAITING,
        delivery_reason=None,
    )
    waiting = frame.react(context, conversation, event.ts, frame.REACTION_WAITING, "waiting")
    promised, question = promises.offered(entry, changed, context)
    return Changes(
        reason="reply",
        conversation=changed,
        entries=(*entries, *promised),
        outbox=(*sending, waiting, *question, frame.card_update(context, changed)),
    )


def _dressed(spans: tuple[formatting.Span, ...]) -> dict[str, Any]:
    """What an entry keeps of how its text is dressed: places only, no words."""
    return {"spans": formatting.dump(spans)} if spans else {}


def _parts(entry: Entry, identity: Identity, conversation: Conversation, context: Context) -> list[Outgoing]:
    """One outbox row per part of the text and per file, so that each has its own receipt."""
    limit = context.rules.channel_limits.get(identity.channel, 4096)
    pieces = text.split_utf16(entry.body, limit) if entry.body.strip() else []
    kinds = [DeliveryKind.CHAT_TEXT] * len(pieces) + [DeliveryKind.CHAT_FILE] * len(entry.attachments)
    return [
        Outgoing(
            id=context.new_id(),
            lane=f"chat:{identity.id}",
            bucket=f"{identity.channel}:{identity.id}",
            kind=kind,
            idem_key=frame.part_key(entry.id, part),
            conversation_id=conversation.id,
            identity_id=identity.id,
            entry_id=entry.id,
            part=part,
            urgency=frame.urgency(conversation.priority),
            data={"parts": len(kinds), "texts": len(pieces), "ts": entry.platform_id},
        )
        for part, kind in enumerate(kinds)
    ]


def _edit(event: events.AgentEdit, situation: Situation, context: Context) -> Changes:
    conversation, identity = situation.conversation, situation.identity
    before = frame.entry_known(situation, event.ts, *ANSWERS)
    if conversation is None or identity is None or before is None:
        return Changes(reason="edit_of_unknown")
    actor = Actor(kind=ActorKind.AGENT, id=event.agent_id)
    is_note, body = (False, "") if event.text is None else text.parse_note(event.text, context.rules.note_prefix)
    entry = Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=EntryKind.NOTE,
        actor=actor,
        at=event.at,
        body=body,
        data={"edit_of": before.id, **_dressed(event.spans)} if event.text is not None else {"deleted": before.id},
    )
    if before.kind is EntryKind.NOTE:
        # A note that loses its prefix stays a note: what was internal never leaves by an edit.
        return Changes(reason="note_edit", conversation=frame.touched(conversation), entries=(entry,))
    roles = situation.agent.roles if situation.agent else ()
    parts = [d for d in situation.deliveries if d.entry_id == before.id and d.side == "chat"]
    can_follow = may(roles, Act.REPLY) and len(parts) == 1 and not is_note
    if can_follow and event.text is not None:
        limit = context.rules.channel_limits.get(identity.channel, 4096)
        can_follow = 0 < text.utf16_len(body) <= limit
    if not can_follow:
        said = "edit_not_followed" if parts else "edit_before_sent"
        key = f"edit:{event.ts}:{entry.id}"
        told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, said, key)
        return Changes(reason="edit_refused", conversation=conversation, entries=(entry,), outbox=(told,))
    kind = DeliveryKind.CHAT_DELETE if event.text is None else DeliveryKind.CHAT_EDIT
    item = Outgoing(
        id=context.new_id(),
        lane=f"chat:{identity.id}",
        bucket=f"{identity.channel}:{identity.id}",
        kind=kind,
        idem_key=f"{kind.value}:{entry.id}",
        conversation_id=conversation.id,
        identity_id=identity.id,
        entry_id=entry.id,
        data={"message_id": parts[0].platform_id},
    )
    return Changes(reason="edit", conversation=frame.touched(conversation), entries=(entry,), outbox=(item,))
