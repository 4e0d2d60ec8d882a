"""Facts from outside as decisions: about a customer who is known, or about somebody who is entered with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from domain import contacts, events, facts, text
from domain.changes import Changes, Outgoing, Situation
from domain.contacts import ContactKind, ContactPoint
from domain.facts import Fact
from domain.model import Actor, ActorKind, Customer, Entry, EntryKind, Identity
from domain.profile import Source
from domain.roles import Act, may
from domain.unfit import Unfit
from handlers import frame
from handlers.frame import Context

NO_CHAT: Final = "no_chat"
"""Why somebody who was entered by hand cannot be written to."""
BY_HAND: Final = "by_hand"
"""The channel of whoever never wrote: a place for their name, so that they are found by it."""


def by_hand(event: events.FactEntered, situation: Situation, context: Context) -> Changes:
    """A colleague noted it in a window; what is wrong with it is told to them, and nothing is kept then."""
    roles = situation.agent.roles if situation.agent else ()
    if event.is_stranger or not may(roles, Act.NOTE):
        told = _whisper(event, context, "refused_action")
        return Changes(reason="refused", outbox=(told,), audit=(("refused", "customer:fact", "fact without the role"),))
    actor = Actor(kind=ActorKind.AGENT, id=event.agent_id)
    try:
        fact = facts.read({**event.fact}, context.now)
        points = points_of(event, context.rules.contacts.region)
        name = text.clean_name(event.person.get("name", ""))
        if event.customer_id is None and not name:
            raise Unfit("fact_name", "name: say how they are called")
    except Unfit as error:
        told = _whisper(event, context, "fact_refused", unfit=error.code, **error.values)
        return Changes(reason="fact_refused", outbox=(told,))
    known = situation.reached if event.customer_id is None else (event.customer_id,)
    if len(known) > 1:
        told = _whisper(event, context, "fact_several", customers=", ".join(known))
        return Changes(reason="fact_refused", outbox=(told,))
    made = (
        also_known(known[0], situation.unheard, noted(known[0], fact, actor, context), actor, context)
        if known
        else entered(name, points, fact, actor, context)
    )
    said = "fact_noted" if event.customer_id is not None or not known else "fact_noted_known"
    told = _whisper(event, context, said, customer=made.entries[0].customer_id)
    return replace(made, outbox=(told,))


def reaching(event: events.FactEntered, region: str | None) -> tuple[tuple[ContactKind, str], ...]:
    """By what somebody who is noted as new may be known already; nothing where it cannot be read."""
    try:
        return tuple(points_of(event, region)) if event.customer_id is None else ()
    except Unfit:
        return ()


def points_of(event: events.FactEntered, region: str | None) -> list[tuple[ContactKind, str]]:
    """The contact points that were typed, in their one form. Raises Unfit."""
    given = event.person
    found = []
    if "phone" in given:
        found.append((ContactKind.PHONE, contacts.phone(given["phone"], region)))
    if "email" in given:
        found.append((ContactKind.EMAIL, contacts.email(given["email"])))
    return found


def _whisper(event: events.FactEntered, context: Context, text_key: str, **values: str) -> Outgoing:
    key = f"{event.key}:{text_key}"
    return frame.whisper(context, event.channel, None, event.agent_id, text_key, key, **values)


def noted(customer_id: str, fact: Fact, actor: Actor, context: Context) -> Changes:
    """A fact about a customer: one entry of their timeline, which belongs to no conversation."""
    entry = Entry(
        id=context.new_id(),
        conversation_id=customer_id,
        customer_id=customer_id,
        kind=EntryKind.FACT,
        actor=actor,
        at=fact.at,
        body=fact.body,
        data=fact.data,
    )
    audit = ("customer.fact", f"customer:{customer_id}", f"{fact.kind.value} from {fact.source}")
    return Changes(reason="fact", entries=(entry,), audit=(audit,))


def also_known(
    customer_id: str, points: Sequence[tuple[ContactKind, str]], told: Changes, actor: Actor, context: Context
) -> Changes:
    """What was noted about a customer with what they can be reached by beside: nothing that was typed is lost."""
    if not points:
        return told
    made, lines = _added(customer_id, points, actor, context)
    audit = [("customer.contact", f"customer:{customer_id}", f"{point.kind.value} added") for point in made]
    return replace(told, contacts=made, entries=(*told.entries, *lines), audit=(*told.audit, *audit))


def entered(
    name: str, points: Sequence[tuple[ContactKind, str]], fact: Fact, actor: Actor, context: Context
) -> Changes:
    """Somebody who came by phone or over the counter, with what they came for. Their numbers are not verified."""
    customer = Customer(id=context.new_id(), name=name, language=None, created_at=context.now)
    identity = Identity(
        id=context.new_id(),
        customer_id=customer.id,
        channel=BY_HAND,
        address=customer.id,
        name=name,
        reachable=False,
        unreachable_reason=NO_CHAT,
    )
    told = noted(customer.id, fact, actor, context)
    made, lines = _added(customer.id, points, actor, context)
    return Changes(
        reason="entered",
        customer=customer,
        identity=identity,
        contacts=made,
        enters=True,
        entries=(*told.entries, *lines),
        audit=(("customer.enter", f"customer:{customer.id}", f"from {fact.source}"), *told.audit),
    )


def _added(
    customer_id: str, points: Sequence[tuple[ContactKind, str]], actor: Actor, context: Context
) -> tuple[tuple[ContactPoint, ...], tuple[Entry, ...]]:
    """Contact points that nobody has made sure of, each with its line in the customer's own timeline."""
    made = tuple(
        ContactPoint(
            id=context.new_id(),
            customer_id=customer_id,
            kind=kind,
            value=value,
            type=contacts.type_of(kind, value),
            source=Source.AGENT,
            added_at=context.now,
        )
        for kind, value in points
    )
    lines = tuple(
        Entry(
            id=context.new_id(),
            conversation_id=customer_id,
            customer_id=customer_id,
            kind=EntryKind.CONTACT,
            actor=actor,
            at=context.now,
            body=point.value,
            data={"contact": point.id, "about": point.kind.value, "to": "added"},
        )
        for point in made
    )
    return made, lines
