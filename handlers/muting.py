"""A customer who floods the desk is muted for a while: what they write is recorded, and not shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from domain import events
from domain.changes import Changes, Situation
from domain.model import Actor, ActorKind, Conversation, Entry, EntryKind, Identity
from handlers import acts, frame, resting
from handlers.frame import Context

USUAL: Final = "1h"
LONGEST: Final = timedelta(days=30)


def mute(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Nothing they write is shown until then; the card says so, and when."""
    identity = situation.identity
    at = resting.until(event.value or USUAL, context.rules.calendar_of_queue(conversation.queue), context.now)
    if identity is None or at is None or not context.now < at <= context.now + LONGEST:
        return Changes(reason="no_time", outbox=(acts.tell(event, "snooze_how", context),))
    if is_muted(identity, context.now) and identity.muted_until == at:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_muted", context),))
    line = _line(conversation, context, acts.actor(event), event.at, to="on", until=at.isoformat())
    return _shown("muted", replace(identity, muted_until=at), conversation, line, context)


def unmute(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """What they write is shown again; the line says how much was not."""
    identity = situation.identity
    if identity is None or identity.muted_until is None:
        return Changes(reason="already_so", outbox=(acts.tell(event, "not_muted", context),))
    line = _line(conversation, context, acts.actor(event), event.at, to="off", count=identity.muted_count)
    return _shown("unmuted", heard(identity), conversation, line, context)


def is_muted(identity: Identity | None, at: datetime) -> bool:
    """Whether what somebody writes at a time is not to be shown."""
    return identity is not None and identity.muted_until is not None and at < identity.muted_until


def heard(identity: Identity) -> Identity:
    """The identity once it is muted no more."""
    return replace(identity, muted_until=None, muted_count=0)


def over(identity: Identity | None, conversation: Conversation, at: datetime, context: Context) -> tuple[Entry, ...]:
    """The line with which a mute that has run out is told, before the first message that is shown again."""
    if identity is None or identity.muted_until is None or at < identity.muted_until:
        return ()
    return (_line(conversation, context, None, at, to="off", count=identity.muted_count),)


def recorded(event: events.CustomerMessage, situation: Situation, identity: Identity, context: Context) -> Changes:
    """A message of somebody muted: kept with its files, told to nobody, no clock begins."""
    conversation, customer = situation.conversation, situation.customer
    place = conversation.id if conversation else identity.customer_id
    entry = Entry(
        id=context.new_id(),
        conversation_id=place,
        customer_id=customer.id if customer else identity.customer_id,
        kind=EntryKind.INCOMING,
        actor=Actor(kind=ActorKind.CUSTOMER),
        at=event.at,
        body=event.text,
        data={"kind": event.kind, "muted": True},
        platform_id=event.message_id,
        reply_to=event.reply_to,
        attachments=event.attachments,
        details=event.details,
    )
    counted = replace(identity, muted_count=identity.muted_count + 1)
    return Changes(reason="muted", identity=counted, entries=(entry,))


def _line(conversation: Conversation, context: Context, who: Actor | None, at: datetime, **data: Any) -> Entry:
    by = {} if who is None else {"actor": who}
    return frame.machine_entry(context, conversation, EntryKind.MUTED, at=at, **by, **data)


def _shown(reason: str, identity: Identity, conversation: Conversation, line: Entry, context: Context) -> Changes:
    changed = frame.touched(conversation)
    return Changes(
        reason=reason,
        identity=identity,
        conversation=changed,
        entries=(line,),
        outbox=(frame.show(context, changed, line), frame.card_update(context, changed)),
    )
