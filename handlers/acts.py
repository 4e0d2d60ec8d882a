"""What every action at the desk is put together from: the word to whoever acted, the line, the clocks, the card."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from domain import events
from domain.changes import Changes, ClockRow, Outgoing, Situation
from domain.model import Actor, ActorKind, Agent, Conversation, Entry, EntryKind, Reach, Status
from domain.sla import EventKind
from handlers import frame
from handlers.frame import Context

NEVER = datetime.max.replace(tzinfo=UTC)
FREE = "free"
"""What the button of a card carries on which nobody has the conversation: who presses it takes it from nobody."""


def tell(event: events.AgentAction, text: str, context: Context, **values: Any) -> Outgoing:
    """Tell whoever acted, and nobody else."""
    key = f"{event.key or event.at.timestamp()}:{text}"
    if event.trigger:
        values["trigger"] = event.trigger
    return frame.whisper(context, event.channel, event.thread_ts, event.agent_id, text, key, **values)


def stale(event: events.AgentAction, conversation: Conversation, context: Context) -> Changes:
    """The card they saw no longer holds: say so, and bring the card up to date."""
    told = tell(event, "stale_button", context)
    return Changes(reason="stale", outbox=(told, frame.card_update(context, conversation)))


def is_unread(event: events.AgentAction, conversation: Conversation) -> bool:
    """Whether the customer has written since the card that was pressed was drawn: whoever pressed has not seen it."""
    return event.version is not None and event.version < conversation.customer_version


def unread(event: events.AgentAction, conversation: Conversation, context: Context) -> Changes:
    """Nothing is put away over what its customer has just written: say so, and bring the card up to date."""
    told = tell(event, "unread_message", context)
    return Changes(reason="unread", outbox=(told, frame.card_update(context, conversation)))


def actor(event: events.AgentAction) -> Actor:
    """Whoever acted, as a line names them."""
    return Actor(kind=ActorKind.AGENT, id=event.agent_id)


def changed(
    reason: str,
    conversation: Conversation,
    entries: tuple[Entry, ...],
    situation: Situation,
    context: Context,
    agent: Agent | None = None,
) -> Changes:
    """A conversation after an action: its lines, its clocks under the policy that holds now, its card."""
    promised: list[Entry] = []
    if conversation.snoozed_until is not None and conversation.status is not Status.ON_HOLD:
        conversation = replace(conversation, snoozed_until=None)
    if conversation.is_open:
        conversation = frame.under_policy(context, situation, conversation, promised, entries[-1].at)
        is_touch = entries[0].kind is not EntryKind.ASSIGNEE and entries[0].actor.kind is ActorKind.AGENT
        if is_touch and frame.awaits_touch(situation):
            who, touch = entries[0].actor, EventKind.TOUCHED.value
            promised.append(
                frame.machine_entry(
                    context, conversation, EntryKind.CLOCK, actor=who, at=entries[0].at, sla=touch, to=who.id
                )
            )
    clocks = frame.clocks(context, situation, conversation, (*entries, *promised))
    entries = _with_deadline(entries, situation.clocks, clocks)
    is_reopened = any(entry.kind is EntryKind.REOPENED for entry in entries)  # which says that it is open, too
    said = [entry for entry in entries if not (is_reopened and entry.kind is EntryKind.STATUS)]
    shown = [frame.show(context, conversation, entry) for entry in said]
    return Changes(
        reason=reason,
        conversation=conversation,
        entries=(*entries, *promised),
        outbox=(
            *shown,
            *frame.settled_line(context, situation, conversation, clocks),
            frame.card_update(context, conversation),
        ),
        clocks=clocks,
        agent=agent,
    )


def _with_deadline(
    entries: tuple[Entry, ...], before: tuple[ClockRow, ...], after: tuple[ClockRow, ...]
) -> tuple[Entry, ...]:
    """Say in the line about a priority or a queue which deadline it has moved, and where from."""
    first = entries[0]
    if first.kind not in (EntryKind.PRIORITY, EntryKind.QUEUE):
        return entries
    was = {(row.metric, row.instance): row.due_at for row in before if row.stopped_at is None and row.due_at}
    moved = [row for row in after if row.due_at and was.get((row.metric, row.instance), row.due_at) != row.due_at]
    nearest = min(moved, key=lambda row: row.due_at or NEVER, default=None)
    if nearest is None or nearest.due_at is None:
        return entries
    due_was = was[nearest.metric, nearest.instance]
    data = {
        "due_metric": nearest.metric.value,
        "due_was": due_was.isoformat() if due_was else None,
        "due": nearest.due_at.isoformat(),
    }
    return (replace(first, data={**first.data, **data}), *entries[1:])


def is_leaving(conversation: Conversation, situation: Situation) -> bool:
    """Whether an answer is on its way, or nobody knows whether one arrived."""
    return conversation.delivery_state in (Reach.WAITING, Reach.UNCLEAR) or bool(situation.leaving)


def is_unclear(conversation: Conversation, situation: Situation) -> bool:
    """Whether nobody knows of an answer whether it arrived: somebody is to say so first."""
    return conversation.delivery_state is Reach.UNCLEAR or bool(situation.unclear)


def line(
    event: events.AgentAction, conversation: Conversation, kind: EntryKind, context: Context, **data: Any
) -> Entry:
    """The line of what somebody did, at the time they did it."""
    return frame.machine_entry(context, conversation, kind, actor=actor(event), at=event.at, **data)


def status(
    event: events.AgentAction,
    conversation: Conversation,
    to: Status,
    context: Context,
    kind: EventKind = EventKind.STATUS,
) -> Entry:
    """The line of a change of status."""
    was = conversation.status.value
    slept = frame.slept(conversation)
    return line(event, conversation, EntryKind.STATUS, context, sla=kind.value, to=to.value, was=was, slept=slept)
