"""The buttons beside an agent's own line: call an answer back before it leaves, or send what was kept inside."""

from __future__ import annotations

from dataclasses import replace

from domain import events, signs
from domain.changes import ANSWER_KINDS, Changes, DeliveryKind, Outgoing, Situation
from domain.model import Actor, ActorKind, Conversation, Entry, EntryKind
from handlers import frame, leaving, reopening, replies
from handlers.frame import Context

"""Why a line that was called back is kept inside."""
INSIDE = "inside"
"""What the sign of keeping a line inside says beside that of calling it back: it becomes a note."""


def take_back(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """A sign was put on a line, to call it back or to keep it as a note: meant on an answer of their own alone."""
    event = replace(event, value=event.thread_ts, thread_ts=conversation.thread.ts, channel=conversation.thread.channel)
    before = _line(event, situation)
    if before is None or before.kind is not EntryKind.OUTGOING or before.actor.id != event.agent_id:
        return Changes(reason="reaction")
    return (keep if event.note == INSIDE else undo)(event, conversation, situation, context)


def keep(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Call an answer back and keep it as a note: it was meant for colleagues. One that is asked about stays one."""
    before = _line(event, situation)
    if before is not None and (moved := _moved_on(event, before, conversation, context)) is not None:
        return moved
    if before is not None and before.kind is EntryKind.NOTE and before.data.get("kept"):
        return _stay(event, before, conversation, context)
    done = undo(event, conversation, situation, context)
    if done.reason != "undone":
        return done
    entry, *lines = done.entries
    entry = replace(entry, data={name: value for name, value in entry.data.items() if name != "kept"})
    shown = (DeliveryKind.DESK_ENTRY, DeliveryKind.DESK_UPDATE, DeliveryKind.DESK_EDIT)
    rest = tuple(one for one in done.outbox if one.kind in shown)
    told = leaving.told_kept(entry, conversation, event.agent_id, (), context)
    return replace(done, reason="called_back", entries=(entry, *lines), outbox=(*told, *rest))


def _moved_on(event: events.AgentAction, line: Entry, conversation: Conversation, context: Context) -> Changes | None:
    """What a question says that is pressed where nobody is asked any more: where it is asked now, and nothing else."""
    if (number := line.data.get("into")) is not None:
        told = _told(event, conversation, "asked_joined", context, number=str(number))
        return Changes(reason="asked_elsewhere", outbox=(told,))
    if not leaving.is_asked(line) or not leaving.is_elsewhere(event, line, conversation):
        return None
    thread = conversation.thread
    told = _told(event, conversation, "asked_elsewhere", context, goes_on=[thread.channel, thread.ts])
    return Changes(reason="asked_elsewhere", outbox=(told,))


def _stay(event: events.AgentAction, before: Entry, conversation: Conversation, context: Context) -> Changes:
    """What was kept inside is a note from now on, and can be sent no more; who said so stands in the record."""
    data = {**_dress(before), "kept_by": event.agent_id, "of": before.id}
    entry = replace(_again(before, event, context), actor=before.actor, data=data)
    told = (
        _told(event, conversation, "stays_inside", context),
        *leaving.followed(entry, before, conversation, context),
    )
    return Changes(reason="stays_inside", conversation=frame.touched(conversation), entries=(entry,), outbox=told)


def undo(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Call an answer back. Whether it has begun to leave is decided by the outbox: whoever writes first wins."""
    before = _line(event, situation)
    parts = [one for one in situation.outbox if before is not None and one.entry_id == before.id]
    waiting = tuple(one.id for one in parts if one.state == "todo" and one.kind in ANSWER_KINDS)
    if before is None or before.kind is not EntryKind.OUTGOING:
        return Changes(reason="already_so", outbox=(_told(event, conversation, "already_settled", context),))
    if not waiting or len(waiting) < len(parts):
        return Changes(reason="too_late", outbox=(_told(event, conversation, "undo_too_late", context),))
    entry = replace(
        _again(before, event, context),
        kind=EntryKind.NOTE,
        data={**_dress(before), "kept": [reopening.UNDONE], "kept_by": event.agent_id, "undone": before.id},
    )
    changed = frame.recalled(conversation, situation, before.id)
    changed, lines = reopening.called_back(changed, situation, context, before, actor=entry.actor, at=event.at)
    told = frame.whisper(
        context,
        event.channel,
        event.thread_ts,
        event.agent_id,
        "undone",
        f"undone:{entry.id}",
        conversation=conversation.id,
        buttons=[["send", "send_reply", str(before.platform_id)]],
    )
    echo = frame.react(
        context,
        conversation,
        str(before.platform_id),
        signs.UNDONE,
        f"undone:{entry.id}",
        remove=signs.WAITING,
        line=before.data,
    )
    return Changes(
        reason="undone",
        conversation=changed,
        entries=(entry, *lines),
        outbox=(
            told,
            echo,
            *leaving.followed(entry, before, conversation, context),
            *(frame.show(context, changed, one) for one in lines[:1]),
            frame.card_update(context, changed),
        ),
        clocks=frame.clocks(context, situation, changed, lines) if lines else None,
        cancel=waiting,
    )


def send(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Send what was kept inside, after all. Its author stays its author; who sent it stands in the record."""
    before, identity = _line(event, situation), situation.identity
    kept = () if before is None else tuple(before.data.get("kept") or ())
    if before is not None and (moved := _moved_on(event, before, conversation, context)) is not None:
        return moved
    if before is None or identity is None or before.kind is not EntryKind.NOTE or not kept:
        return Changes(reason="already_so", outbox=(_told(event, conversation, "already_settled", context),))
    queue = context.rules.queues.get(conversation.queue)
    if queue is not None and queue.leaves == "assignee" and conversation.assignee not in (None, event.agent_id):
        return Changes(reason="refused", outbox=(_told(event, conversation, "kept_assignee", context),))
    entry = replace(
        _again(before, event, context),
        kind=EntryKind.OUTGOING,
        actor=before.actor,
        data={**_dress(before), "sent_by": event.agent_id, "of": before.id},
    )
    was = signs.UNDONE if reopening.UNDONE in kept else signs.KEPT
    done = replies.leave(entry, conversation, identity, context, was=was)
    return replace(done, outbox=(*done.outbox, *leaving.followed(entry, before, conversation, context)))


def copy(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Show one person the words of an answer, to be taken elsewhere; they are looked up when they are shown."""
    ref = situation.outbox[0] if situation.outbox else None
    if ref is None or ref.entry_id is None:
        return Changes(reason="already_so", outbox=(_told(event, conversation, "already_settled", context),))
    place = event.channel or conversation.thread.channel
    key = f"{event.key or event.at.timestamp()}:copy"
    told = frame.whisper(context, place, event.thread_ts, event.agent_id, "copy", key, entry=ref.entry_id)
    return Changes(reason="copy", outbox=(told,))


def _line(event: events.AgentAction, situation: Situation) -> Entry | None:
    return frame.entry_known(situation, event.value or "", *replies.ANSWERS)


def _dress(before: Entry) -> dict[str, object]:
    return {name: before.data[name] for name in ("spans", "place", "asked") if name in before.data}


def _again(before: Entry, event: events.AgentAction, context: Context) -> Entry:
    """The same line once more, as what now becomes of it: nothing in the timeline is ever changed."""
    return replace(
        before, id=context.new_id(), at=event.at, actor=Actor(kind=ActorKind.AGENT, id=event.agent_id), data={}
    )


def _told(
    event: events.AgentAction, conversation: Conversation, text: str, context: Context, **values: object
) -> Outgoing:
    key = f"{event.key or event.at.timestamp()}:{text}"
    place = event.channel or conversation.thread.channel
    return frame.whisper(context, place, event.thread_ts, event.agent_id, text, key, **values)
