"""The customer's rights in the chat: the notice at first contact, `/privacy`, and the taps on what it offers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from domain import consent, events
from domain.cases import CaseKind
from domain.changes import Changes, Outgoing, Situation
from domain.model import MACHINE, Actor, ActorKind, Customer, Entry, EntryKind, Identity
from handlers import cases, contacts, frame, satisfaction
from handlers.frame import Context

CUSTOMER: Final = Actor(kind=ActorKind.CUSTOMER)
NOTICE: Final = "notice"
CHOICES: Final = "privacy"
_CONSENT: Final = "consent:"


def choice(purpose: consent.Purpose, *, agreed: bool) -> str:
    """What the button carries that agrees to a purpose or refuses it; a second tap of it changes nothing."""
    return f"{_CONSENT}{purpose.value}:{int(agreed)}"


def inform(
    customer: Customer, identity: Identity, place: str, context: Context
) -> tuple[Customer, tuple[Entry, ...], tuple[Outgoing, ...]]:
    """The notice in force for somebody who was not sent it yet: the customer as they are then, and what tells them.

    `place` is the conversation it happens in, or the customer's own id. Nothing where they know it already.
    """
    version = context.rules.notice
    if version is None or customer.notice == version:
        return customer, (), ()
    informed = replace(customer, notice=version)
    entry = told(informed, place, context, text=NOTICE, version=version)
    item = frame.automatic(identity, entry, f"notice:{customer.id}:{version}", context, text=NOTICE)
    return informed, (entry,), (item,)


def told(customer: Customer, place: str, context: Context, **data: str) -> Entry:
    """The timeline line of a fixed text."""
    return Entry(
        id=context.new_id(),
        conversation_id=place,
        customer_id=customer.id,
        kind=EntryKind.AUTOMATIC,
        actor=MACHINE,
        at=context.now,
        data=dict(data),
    )


def decide(event: events.CustomerChoice, situation: Situation, context: Context) -> Changes:
    """What a tap on a button under one of our messages changes."""
    customer, identity = situation.customer, situation.identity
    if customer is None or identity is None:
        return Changes(reason="choice_of_unknown")
    if event.choice.startswith(_CONSENT):
        return _consent(event, customer, identity, situation, context)
    if (checked := contacts.answered(event, customer, identity, situation, context)) is not None:
        return checked
    if (rated := satisfaction.answered(event, customer, identity, context)) is not None:
        return rated
    asked = event.choice.removeprefix(cases.ASK)
    if event.choice.startswith(cases.ASK) and asked in list(CaseKind):
        return _asked(CaseKind(asked), event, customer, identity, situation, context)
    return Changes(reason="unknown_choice", outbox=(frame.tap_answer(event, identity, context, "choice_unknown"),))


def _consent(
    event: events.CustomerChoice, customer: Customer, identity: Identity, situation: Situation, context: Context
) -> Changes:
    word, _, said = event.choice.removeprefix(_CONSENT).partition(":")
    if word not in list(consent.Purpose) or said not in ("0", "1"):
        return Changes(reason="unknown_choice", outbox=(frame.tap_answer(event, identity, context, "choice_unknown"),))
    purpose, agreed = consent.Purpose(word), said == "1"
    text = f"{'agreed' if agreed else 'refused'}_{purpose.value}"
    answer = frame.tap_answer(event, identity, context, text)
    if customer.consents.get(purpose.value) == agreed:
        return Changes(reason="already_so", outbox=(answer,))
    changed = replace(customer, consents={**customer.consents, purpose.value: agreed})
    entry = Entry(
        id=context.new_id(),
        conversation_id=situation.conversation.id if situation.conversation else customer.id,
        customer_id=customer.id,
        kind=EntryKind.CONSENT,
        actor=CUSTOMER,
        at=context.now,  # a tap comes without a time
        data={"purpose": purpose.value, "to": agreed, "how": "chat", "notice": customer.notice},
    )
    shown = frame.automatic(
        identity, entry, f"choices:{identity.id}:{event.query_id}", context, text=CHOICES, message_id=event.message_id
    )
    return Changes(
        reason="agreed" if agreed else "refused_purpose",
        customer=changed,
        entries=(entry,),
        outbox=(answer, *((shown,) if event.message_id else ())),
    )


def _asked(
    kind: CaseKind,
    event: events.CustomerChoice,
    customer: Customer,
    identity: Identity,
    situation: Situation,
    context: Context,
) -> Changes:
    """A request about their data becomes a case; storage keeps one open case of a kind, so that taps do not add up."""
    made, entry, shown = cases.opened(kind, customer, identity, situation, context, context.rules.answer_days)
    answer = frame.tap_answer(event, identity, context, f"asked_{kind.value}")
    return Changes(reason="case_opened", cases=(made,), entries=(entry,), outbox=(answer, shown))
