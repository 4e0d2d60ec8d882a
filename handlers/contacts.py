"""Contact points in the chat and at the desk: shared by the customer, noted by an agent, made sure of with one tap."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final

from domain import contacts, events
from domain.changes import Changes, Outgoing, Situation
from domain.contacts import Checked, ContactKind, ContactPoint, How
from domain.model import MACHINE, Actor, ActorKind, Conversation, Customer, Entry, EntryKind, Identity
from domain.profile import Source
from handlers import frame
from handlers.frame import Context

CUSTOMER: Final = Actor(kind=ActorKind.CUSTOMER)
PHONE: Final = "contact_phone"
OWN: Final = "contact_own"
"""Details of a message with a contact: the number as the platform gives it, and "yes" where it is the sender's own."""
TAP: Final = "contact:"
CHECK: Final = "contact_check"
SHARE: Final = "contact_share"
"""The fixed texts that ask whether a contact point still holds, and for another one."""
NOTE: Final = "note_contact"
ASK: Final = "ask_contact"


def choice(contact_id: str, *, right: bool) -> str:
    """What the button carries that says whether a contact point is still theirs."""
    return f"{TAP}{'yes' if right else 'no'}:{contact_id}"


def noted(
    event: events.CustomerMessage, customer: Customer, place: str, context: Context
) -> tuple[tuple[ContactPoint, ...], tuple[Entry, ...]]:
    """The customer's own contact, shared by themselves, as a verified contact point with its line.

    Somebody else's contact is none of theirs: an agent may note it (see `note`).
    """
    if event.details.get(OWN) != "yes":
        return (), ()
    point = _point(event.details.get(PHONE, ""), event.customer.channel, customer.id, Source.CUSTOMER, context)
    if point is None:
        return (), ()
    point = replace(point, verified_at=context.now, verified_how=How.SHARED)
    return (point,), (_line(point, How.SHARED.value, CUSTOMER, place, context),)


def renamed(
    before: Identity | None, identity: Identity, place: str, at: datetime, context: Context
) -> tuple[Entry, ...]:
    """The line that a chat had another name before, where it had one."""
    if before is None or (before.name, before.username) == (identity.name, identity.username):
        return ()
    return (
        Entry(
            id=context.new_id(),
            conversation_id=place,
            customer_id=identity.customer_id,
            kind=EntryKind.RENAMED,
            actor=CUSTOMER,
            at=at,
            body=f"{before.name} @{before.username}" if before.username else before.name,
            data={"identity": identity.id},
        ),
    )


def note(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """An agent notes a contact that the customer sent as one of the customer's, which nobody made sure of yet."""
    entry = situation.known.get(event.value or "")
    given = "" if entry is None else entry.details.get(PHONE, "")
    point = _point(given, conversation.channel, conversation.customer_id, Source.AGENT, context)
    if point is None:
        told = frame.whisper(
            context, event.channel, event.thread_ts, event.agent_id, "contact_unreadable", f"{event.key}:{NOTE}"
        )
        return Changes(reason="contact_unreadable", outbox=(told,))
    actor = Actor(kind=ActorKind.AGENT, id=event.agent_id)
    line = _line(point, "added", actor, conversation.id, context)
    audit = ("customer.contact", f"customer:{conversation.customer_id}", "phone added")
    shown = frame.show(context, conversation, line)
    return Changes(reason="contact_noted", contacts=(point,), entries=(line,), outbox=(shown,), audit=(audit,))


def ask(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """An agent has the customer asked in the chat whether a contact point still holds."""
    identity = situation.identity
    if identity is None or not identity.reachable or not event.value:
        key = f"{event.key}:{ASK}"
        told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, "contact_not_asked", key)
        return Changes(reason="contact_not_asked", outbox=(told,))
    entry, item = asking(event.value, identity, conversation.id, context, actor=event.agent_id)
    asked = asked_now(event.value, identity.customer_id, context)
    audit = ("customer.contact", f"customer:{conversation.customer_id}", "asked")
    told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, "contact_asked", f"{event.key}:{ASK}")
    return Changes(reason="contact_asked", entries=(entry,), outbox=(item, told), audit=(audit,), checked=(asked,))


def asked_now(contact_id: str, customer_id: str, context: Context) -> Checked:
    """That somebody was asked about it: nobody is asked about the same one again soon."""
    return Checked(contact_id=contact_id, customer_id=customer_id, right=None, how=How.CONFIRMED, at=context.now)


def asking(
    contact_id: str, identity: Identity, place: str, context: Context, actor: str | None = None
) -> tuple[Entry, Outgoing]:
    """The question whether a contact point still holds, on its way to a chat: once a day at most."""
    entry = Entry(
        id=context.new_id(),
        conversation_id=place,
        customer_id=identity.customer_id,
        kind=EntryKind.AUTOMATIC,
        actor=MACHINE if actor is None else Actor(kind=ActorKind.AGENT, id=actor),
        at=context.now,
        data={"text": CHECK, "contact": contact_id},
    )
    key = f"{CHECK}:{contact_id}:{context.now:%Y-%m-%d}"
    item = frame.automatic(identity, entry, key, context, text=CHECK, contact=contact_id)
    return entry, item


def answered(
    event: events.CustomerChoice, customer: Customer, identity: Identity, situation: Situation, context: Context
) -> Changes | None:
    """The customer tapped whether a contact point is still theirs; None for a button that is not one of these."""
    word, _, contact_id = event.choice.removeprefix(TAP).partition(":")
    if not event.choice.startswith(TAP) or word not in ("yes", "no") or not contact_id:
        return None
    right = word == "yes"
    checked = Checked(
        contact_id=contact_id,
        customer_id=customer.id,
        right=right,
        how=How.CONFIRMED,
        at=context.now,
        spare=context.new_id(),
    )
    entry = Entry(
        id=context.new_id(),
        conversation_id=situation.conversation.id if situation.conversation else customer.id,
        customer_id=customer.id,
        kind=EntryKind.CONTACT,
        actor=CUSTOMER,
        at=context.now,
        data={"contact": contact_id, "to": How.CONFIRMED.value if right else "not_theirs"},
    )
    answer = frame.tap_answer(event, identity, context, "contact_thanks" if right else "contact_gone")
    key = f"{SHARE}:{identity.channel}:{event.query_id}"
    share = () if right else (frame.automatic(identity, None, key, context, text=SHARE, contact=contact_id),)
    return Changes(
        reason="contact_confirmed" if right else "contact_gone",
        checked=(checked,),
        entries=(entry,),
        outbox=(answer, *share),
    )


def _point(given: str, channel: str, customer_id: str, source: Source, context: Context) -> ContactPoint | None:
    try:
        value = contacts.phone(given, context.rules.contacts.region_of(channel), with_country=True)
    except ValueError:
        return None
    return ContactPoint(
        id=context.new_id(),
        customer_id=customer_id,
        kind=ContactKind.PHONE,
        value=value,
        type=contacts.type_of(ContactKind.PHONE, value),
        source=source,
        added_at=context.now,
    )


def _line(point: ContactPoint, to: str, actor: Actor, place: str, context: Context) -> Entry:
    return Entry(
        id=context.new_id(),
        conversation_id=place,
        customer_id=point.customer_id,
        kind=EntryKind.CONTACT,
        actor=actor,
        at=context.now,
        body=point.value,
        data={"contact": point.id, "about": point.kind.value, "to": to},
    )
