"""A conversation goes to another team's channel: a new card there, the old thread closed, nothing on its way lost."""

from __future__ import annotations

from dataclasses import replace

from domain import events, routing
from domain.changes import Changes, DeliveryKind, Move, Outgoing
from domain.model import Conversation, Entry, EntryKind, Thread
from handlers import frame
from handlers.frame import Context

SHOWN_AGAIN = 25
"""So many posts of what nobody has answered, messages and their files, stand in the new thread too."""
ASKED_AGAIN = 100
"""So many open questions whether a line is to leave are asked anew there, and lead there where they stood."""


def follow(decided: Changes, context: Context) -> Changes:
    """Where a decision gave a conversation to a queue with other channels, it goes there; else it stays as it is.

    What was written to the customer and waits leaves all the same: it belongs to the chat, not to the thread.
    """
    conversation = decided.conversation
    queue = context.rules.queues.get(conversation.queue) if conversation else None
    change = next((entry for entry in decided.entries if entry.kind is EntryKind.QUEUE), None)
    if conversation is None or queue is None or change is None:
        return decided
    was, channel = conversation.thread, routing.shared_channel(queue, conversation.id)
    if channel == was.channel:
        return decided
    before = was.before if was.ts is None else f"{was.channel}:{was.ts}"
    there = replace(conversation, thread=Thread(channel=channel, before=before))
    ids = tuple(context.new_id() for _ in range(SHOWN_AGAIN + 2 * ASKED_AGAIN)) if was.ts else ()
    old, new = f"slack:{was.channel}", f"slack:{channel}"
    outbox = [replace(item, bucket=new) if item.bucket == old else item for item in decided.outbox]
    entries = decided.entries
    if was.ts is not None:
        entries = tuple(_moved(entry, before) for entry in entries)
        outbox += [_card(context, there, change), *_closed(context, there, was, change)]
    return replace(
        decided,
        conversation=there,
        entries=entries,
        outbox=tuple(outbox),
        move=Move(conversation_id=conversation.id, channel=channel, thread=was.ts, ids=ids),
    )


def elsewhere(
    event: events.AgentMessage, conversation: Conversation, context: Context, text: str = "thread_moved"
) -> Outgoing:
    """Whoever writes in a thread that a conversation has left is told where it goes on; nothing of it is sent."""
    thread = conversation.thread
    return frame.whisper(
        context,
        event.channel,
        event.thread_ts,
        event.agent_id,
        text,
        f"moved:{event.channel}:{event.ts}",
        number=str(conversation.number),
        goes_on=[thread.channel, thread.ts],
    )


def _moved(entry: Entry, before: str | None) -> Entry:
    if entry.kind is not EntryKind.QUEUE:
        return entry
    return replace(entry, data={**entry.data, "moved_from": before})


def _card(context: Context, conversation: Conversation, change: Entry) -> Outgoing:
    return Outgoing(
        id=context.new_id(),
        lane=f"root:{conversation.id}",  # behind nothing that waits for it
        bucket=f"slack:{conversation.thread.channel}",
        kind=DeliveryKind.DESK_CARD,
        idem_key=f"card:{conversation.id}:{change.id}",
        conversation_id=conversation.id,
        urgency=3,
    )


def _closed(context: Context, conversation: Conversation, was: Thread, change: Entry) -> list[Outgoing]:
    """The old card without its buttons, and a line under it: both name the new thread, so they wait for it."""
    return [
        Outgoing(
            id=context.new_id(),
            lane=f"moved:{conversation.id}",
            bucket=f"slack:{was.channel}",
            kind=DeliveryKind.DESK_MOVED,
            idem_key=f"moved:{change.id}:{part}",
            conversation_id=conversation.id,
            entry_id=change.id,
            part=part,
            data={"place": was.channel, "thread": was.ts},
        )
        for part in (0, 1)
    ]
