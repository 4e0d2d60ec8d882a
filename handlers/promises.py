"""An agent gave the customer a time: the thread asks whether to track it, and a press makes it a clock."""

from __future__ import annotations

from datetime import UTC, datetime

from domain import events, promise_words
from domain.changes import Changes, Outgoing, Situation
from domain.model import Actor, ActorKind, Conversation, Entry, EntryKind
from domain.sla import EventKind
from handlers import frame
from handlers.frame import Context


def offered(
    answer: Entry, conversation: Conversation, context: Context
) -> tuple[tuple[Entry, ...], tuple[Outgoing, ...]]:
    """The question whether to track what this answer, which has arrived, promises.

    Nothing where it promises nothing clear, or what was over before it arrived. What was called back, changed before it
    left or never arrived has promised nobody anything.
    """
    policy = context.rules.policies.get(conversation.policy or "")
    if policy is None or not answer.body or not conversation.is_open:
        return (), ()
    calendar = context.rules.calendar_of(policy, conversation.queue)
    due = promise_words.find(answer.body, answer.at, calendar)
    if due is None or due <= context.now:
        return (), ()
    entry = frame.machine_entry(context, conversation, EntryKind.PROMISE, of=answer.id, due_at=due.isoformat())
    return (entry,), (frame.show(context, conversation, entry),)


def track(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Make the promise a clock of its own; `event.value` is the moment it names, in seconds since 1970."""
    due = _moment(event.value)
    if due is None or due <= context.now or not conversation.is_open:
        return _told(event, context, "promise_over")
    if any(one.kind is EventKind.PROMISE and one.value == due.isoformat() for one in situation.history):
        return _told(event, context, "promise_tracked")
    entry = tracked(event, conversation, due, context)
    changed = frame.touched(conversation)
    return Changes(
        reason="promise",
        conversation=changed,
        entries=(entry,),
        outbox=(frame.show(context, changed, entry), frame.card_update(context, changed)),
        clocks=frame.clocks(context, situation, changed, (entry,)),
    )


def tracked(event: events.AgentAction, conversation: Conversation, due: datetime, context: Context) -> Entry:
    """The line that from now on an answer is due at the time that the customer was given."""
    return frame.machine_entry(
        context,
        conversation,
        EntryKind.PROMISE,
        actor=Actor(kind=ActorKind.AGENT, id=event.agent_id),
        at=event.at,
        sla=EventKind.PROMISE.value,
        to=due.isoformat(),
    )


def _moment(value: str | None) -> datetime | None:
    if value is None or not value.isdecimal() or len(value) > 11:
        return None
    return datetime.fromtimestamp(int(value), UTC)


def _told(event: events.AgentAction, context: Context, text: str) -> Changes:
    key = f"{event.key or event.at.timestamp()}:{text}"
    whisper = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, text, key)
    return Changes(reason="already_so", outbox=(whisper,))
