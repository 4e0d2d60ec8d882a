"""Requests about somebody's data: opened by the customer's tap, decided by the privacy officer's."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from domain import events
from domain.cases import Case, CaseKind, Ruling
from domain.changes import Changes, DeliveryKind, Outgoing, Situation
from domain.model import Actor, ActorKind, Customer, Entry, EntryKind, Identity
from domain.roles import Act, may
from handlers import frame
from handlers.frame import Context

ASK: Final = "ask:"
APPROVE, REFUSE, TAKE = "case_approve", "case_refuse", "case_take"
_WORDS: Final = {
    APPROVE: ("case_approved", True),
    REFUSE: ("case_refused", False),
    TAKE: ("case_taken", None),
}
"""Of each press: the reason of the decision, and what it rules."""
NEEDS: Final = {CaseKind.EXPORT: Act.EXPORT, CaseKind.ERASE: Act.ERASE}
"""Deciding on the others is correcting, too: whoever may correct may settle them."""


def opened(
    kind: CaseKind, customer: Customer, identity: Identity, situation: Situation, context: Context, days: int
) -> tuple[Case, Entry, Outgoing]:
    """A new case, its line in the timeline, and the post that asks for a decision."""
    made = Case(
        id=context.new_id(),
        customer_id=customer.id,
        identity_id=identity.id,
        kind=kind,
        opened_at=context.now,
        due_at=context.now + timedelta(days=days),
    )
    entry = Entry(
        id=context.new_id(),
        conversation_id=situation.conversation.id if situation.conversation else customer.id,
        customer_id=customer.id,
        kind=EntryKind.CASE,
        actor=Actor(kind=ActorKind.CUSTOMER),
        at=context.now,
        data={"case": made.id, "about": kind.value, "to": "open", "due_at": made.due_at.isoformat()},
    )
    return made, entry, post(made.id, context)


def post(case_id: str, context: Context) -> Outgoing:
    """Show a case as it stands where the privacy officer looks: posted once, then changed in place."""
    return posted(case_id, context.rules.privacy_channel or "", context.new_id())


def posted(case_id: str, place: str, identity: str) -> Outgoing:
    """The same, in this channel, as a delivery of this id."""
    return Outgoing(
        id=identity,
        lane=f"case:{case_id}",
        bucket=f"slack:{place}",
        kind=DeliveryKind.DESK_CASE,
        idem_key=f"case:{identity}",
        entry_id=case_id,
        urgency=1,
        collapse=True,
        data={"place": place},
    )


def decide(event: events.AgentAction, situation: Situation, context: Context) -> Changes:
    """A press of Approve, Refuse or Take on. It counts if the person may, and only the first decision does."""
    kind, _, case_id = (event.value or "").partition(":")
    roles = situation.agent.roles if situation.agent else ()
    act = NEEDS.get(CaseKind(kind), Act.CORRECT) if kind in list(CaseKind) else None
    if act is None or not case_id:
        return Changes(reason="unknown_action")
    if event.is_stranger or not may(roles, act):
        key = f"{event.key}:refused_action"
        told = frame.whisper(context, event.channel, event.thread_ts, event.agent_id, "refused_action", key)
        audit = ("refused", f"case:{case_id}", f"{event.action} without the role")
        return Changes(reason="refused", outbox=(told,), audit=(audit,))
    reason, granted = _WORDS[event.action]
    ruling = Ruling(case_id=case_id, granted=granted, by=f"agent:{event.agent_id}", at=context.now)
    return Changes(
        reason=reason,
        rulings=(ruling,),
        outbox=(post(case_id, context),),
        audit=((ruling.word, f"case:{case_id}", kind),),
    )
