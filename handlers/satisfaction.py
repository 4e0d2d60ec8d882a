"""How an answer was: the customer is asked once after a conversation was resolved, and one tap says it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from domain import events
from domain.changes import Changes, Outgoing
from domain.model import NOT_A_REQUEST, Actor, ActorKind, Conversation, Customer, Entry, EntryKind, Identity
from domain.sla import EventKind, SlaEvent
from handlers import frame
from handlers.frame import Context

ASK: Final = "satisfaction_ask"
"""The fixed text that asks."""
TAP: Final = "rate:"
RATINGS: Final = ("good", "partly", "bad")
"""What a tap says, the best first."""
NOT_ASKED: Final = ("withdrawn", "duplicate", NOT_A_REQUEST)
"""Ends about which there is nothing to say."""
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def choice(rating: str, conversation_id: str) -> str:
    """What a button carries."""
    return f"{TAP}{rating}:{conversation_id}"


def asked(
    conversation: Conversation,
    identity: Identity | None,
    sent: Collection[str],
    history: Iterable[SlaEvent],
    context: Context,
) -> tuple[tuple[Entry, ...], tuple[Outgoing, ...]]:
    """The question on its way, with its line: where the company asks, an answer has arrived, and it can arrive too.

    Once for each conversation, however often it is resolved: `sent` are the fixed texts that were sent in it.
    """
    if not context.rules.ask_satisfaction or identity is None or not identity.reachable:
        return (), ()
    if conversation.outcome in NOT_ASKED or ASK in sent:
        return (), ()
    if not any(event.kind is EventKind.AGENT_REPLY for event in history):
        return (), ()
    entry = frame.machine_entry(context, conversation, EntryKind.AUTOMATIC, text=ASK)
    language = conversation.language or identity.language
    key = f"{ASK}:{conversation.id}"
    item = frame.automatic(identity, entry, key, context, text=ASK, of=conversation.id, language=language)
    return (entry,), (item,)


def answered(event: events.CustomerChoice, customer: Customer, identity: Identity, context: Context) -> Changes | None:
    """The customer tapped how it was; None for a button that is not one of these. Their last word counts.

    Which conversation it is about is what the button says: whoever reads it looks for it among the customer's own.
    """
    rating, _, of = event.choice.removeprefix(TAP).partition(":")
    if not event.choice.startswith(TAP) or rating not in RATINGS or not _ULID.fullmatch(of):
        return None
    entry = Entry(
        id=context.new_id(),
        conversation_id=customer.id,
        customer_id=customer.id,
        kind=EntryKind.RATED,
        actor=Actor(kind=ActorKind.CUSTOMER),
        at=context.now,
        data={"of": of, "to": rating},
    )
    thanks = frame.tap_answer(event, identity, context, "satisfaction_thanks")
    return Changes(reason=f"rated_{rating}", entries=(entry,), outbox=(thanks,))
