"""A colleague looks at a customer: masked for everybody who may see, in the clear for who may reveal, with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from domain import events, profile
from domain.changes import Changes, DeliveryKind, Outgoing, Situation
from domain.links import LinkAct, LinkChange
from domain.model import Agent, Conversation
from domain.roles import Act, may
from domain.unfit import Unfit
from handlers import acts, commands, frame
from handlers.frame import Context

WORDS: Final = commands.called("customer")
REASONS: Final = ("to_answer", "to_identify", "data_request", "complaint", "law")
"""Why somebody wants to see the clear words: one of these is picked, and stands in the audit trail."""
LONGEST_REASON: Final = 300
_NUMBER = re.compile(r"#?(\d{1,9})")
_OURS = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")


def show(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """The button on a card: whose conversation it is, masked, to the one who asked."""
    thing = f"customer:{conversation.customer_id}"
    shown = _card(
        context,
        event.channel,
        event.thread_ts,
        event.agent_id,
        event.key,
        _held(situation),
        customer=conversation.customer_id,
    )
    return Changes(reason="customer_shown", outbox=(shown,), audit=(("customer.open", thing, "card"),))


def reveal(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """The menu under it: the clear words, once, to the one who asked and gave a reason."""
    reason, _, of = (event.value or "").partition(":")
    if reason not in REASONS or (of and not _OURS.fullmatch(of)):
        return Changes(reason="unknown_action")
    customer = of or conversation.customer_id  # whose card it is: another one, where several are one person
    thing = f"customer:{customer}"
    shown = _card(
        context,
        event.channel,
        event.thread_ts,
        event.agent_id,
        event.key,
        _held(situation),
        customer=customer,
        reveal="yes",
        reason=reason,
    )
    return Changes(reason="customer_revealed", outbox=(shown,), audit=(("customer.reveal", thing, reason),))


_LINKS: Final = {"merge": LinkAct.MERGE, "unmerge": LinkAct.UNMERGE, "not_same": LinkAct.REFUSE}


def link(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """A press that says whether two customers are one person; whoever pressed sees the card as it is then."""
    one, _, other = (event.value or "").partition(":")
    if not (_OURS.fullmatch(one) and _OURS.fullmatch(other)) or one == other:
        return Changes(reason="unknown_action")
    change = LinkChange(
        act=_LINKS[event.action],
        one=one,
        other=other,
        actor=f"agent:{event.agent_id}",
        reason="at the desk",
        at=context.now,
        ids=(context.new_id(), context.new_id(), context.new_id()),
    )
    named = {"customer": conversation.customer_id}
    shown = _card(context, event.channel, event.thread_ts, event.agent_id, event.key, _held(situation), **named)
    return Changes(reason=f"customer_{event.action}", links=(change,), outbox=(shown,))


def correct(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """What was entered in a field's window: so it is from now on, for a reason; what was before stays, as corrected."""
    name, _, given = (event.value or "").partition("=")
    field, reason = context.rules.profile.get(name), " ".join(event.note.split())[:LONGEST_REASON]
    if field is None:
        return Changes(reason="unknown_action")
    try:
        words = field.normal(given)
    except Unfit as error:  # it says what would do, without the value
        told = acts.tell(event, "not_a_value", context, unfit=error.code, **error.values)
        return Changes(reason="no_value", outbox=(told,))
    if not reason:
        return Changes(reason="no_reason", outbox=(acts.tell(event, "reason_missing", context),))
    who = acts.actor(event)
    value = profile.Value(value=words, source=profile.Source.AGENT, actor=str(who), at=event.at)
    said = profile.Said(
        entry_id=context.new_id(),
        customer_id=conversation.customer_id,
        name=name,
        value=value,
        reason=reason,
        by=who,
    )
    named = {"customer": conversation.customer_id}
    shown = _card(context, event.channel, event.thread_ts, event.agent_id, event.key, _held(situation), **named)
    return Changes(reason="corrected", said=(said,), outbox=(shown,))


def command(event: events.DeskCommand, rest: str, situation: Situation, context: Context) -> Changes:
    """`/relaydesk customer #1042`, or our id: the same card, to nobody else. Names are looked for where nobody logs."""
    agent = situation.agent or Agent(id=event.agent_id)
    if not may(agent.roles, Act.SEE):
        told = frame.whisper(context, event.channel, None, event.agent_id, "refused_action", event.key)
        return Changes(reason="refused", outbox=(told,), audit=(("refused", "command", "customer"),))
    words = rest.strip().upper()
    if found := _NUMBER.fullmatch(words):
        named, thing = {"number": found[1]}, f"conversation:#{found[1]}"
    elif _OURS.fullmatch(words):
        named, thing = {"customer": words}, f"customer:{words}"
    else:
        told = frame.whisper(context, event.channel, None, event.agent_id, "customer_how", event.key)
        return Changes(reason="customer_how", outbox=(told,))
    shown = _card(context, event.channel, None, event.agent_id, event.key, agent.roles, **named)
    return Changes(reason="customer_shown", outbox=(shown,), audit=(("customer.open", thing, "command"),))


def reveal_message(
    event: events.AgentAction, conversation: Conversation, _situation: Situation, context: Context
) -> Changes:
    """The menu under a masked message: its words, once, to the one who asked and gave a reason."""
    reason, _, entry = (event.value or "").partition(":")
    if reason not in REASONS or not _OURS.fullmatch(entry):
        return Changes(reason="unknown_action")
    key = f"revealed:{event.key or event.at.timestamp()}"
    told = frame.whisper(
        context,
        event.channel,
        event.thread_ts,
        event.agent_id,
        "revealed",
        key,
        conversation=conversation.id,
        entry=entry,
    )
    audit = ("message.reveal", f"customer:{conversation.customer_id}", f"{entry} {reason}")
    return Changes(reason="message_revealed", outbox=(told,), audit=(audit,))


def _held(situation: Situation) -> Iterable[str]:
    return situation.agent.roles if situation.agent else ()


def _card(
    context: Context, channel: str, thread: str | None, user: str, key: str, roles: Iterable[str], **named: str
) -> Outgoing:
    return Outgoing(
        id=context.new_id(),
        lane=f"whisper:{user}",
        bucket=f"slack:{channel}",
        kind=DeliveryKind.DESK_PERSON,
        idem_key=f"person:{key}"[:120],
        urgency=2,
        data={"place": channel, "thread": thread, "user": user, "roles": sorted(roles), **named},
    )
