"""What an assessment does to a conversation: label, priority, queue, assignee; never against a person's decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from domain import routing
from domain.assessment import Assessment
from domain.changes import Situation
from domain.model import Agent, Conversation, Customer, Entry, EntryKind, Priority, Thread
from domain.routing import AgentState
from domain.sla import EventKind
from handlers import feedback, frame
from handlers.frame import Context

TIER, REPEATED_CONTACT = "tier", "repeated_contact"
SPAM_LIKELY = 0.8  # an advert is not raised, however often it is sent
MACHINE_QUEUE_MOVES = 1  # a conversation that hops between teams has no owner


def apply(
    conversation: Conversation,
    assessment: Assessment | None,
    situation: Situation,
    customer: Customer,
    entries: list[Entry],
    context: Context,
    *,
    fresh: bool,
    at: datetime,
    read: tuple[str, ...] = (),
) -> Conversation:
    """Label, prioritise, route and assign; appends what changed to `entries`.

    `read` are the ids of the messages that the assessment is of.
    """
    reads = assessment is not None and (fresh or _is_read_again(conversation, assessment, situation, at, context))
    if assessment is not None and reads:
        conversation = _label(conversation, assessment, entries, context, read)
    if assessment is not None:
        proposed, reasons = _raised(assessment, situation, customer, at, context)
        conversation = _prioritise(conversation, proposed, reasons, entries, context)
    if fresh:
        conversation = replace(conversation, policy=frame.policy_for(context, conversation, customer.segments))
    if fresh or reads:
        conversation = _route(conversation, assessment, situation, customer, entries, context, fresh=fresh)
    if fresh:  # the route may have raised the priority, and a policy may ask for it
        conversation = replace(conversation, policy=frame.policy_for(context, conversation, customer.segments))
        promised = context.rules.reference(context.rules.policies[conversation.policy or ""], conversation.queue)
        entries.append(
            frame.machine_entry(context, conversation, EntryKind.CLOCK, at=at, sla=EventKind.POLICY.value, to=promised)
        )
    else:
        conversation = frame.under_policy(context, situation, conversation, entries, at)
    return feedback.check(conversation, entries, context) if reads else conversation


def _raised(
    assessment: Assessment, situation: Situation, customer: Customer, at: datetime, context: Context
) -> tuple[Priority, tuple[str, ...]]:
    """The assessed priority and its reasons, raised by what the words do not say: whose they are, and how often they
    wrote without an answer.
    """
    proposed, reasons = assessment.priority, assessment.priority_reasons
    if assessment.spam >= SPAM_LIKELY:
        return proposed, reasons
    found = [
        (context.rules.tiers[segment], f"{TIER}:{segment}")
        for segment in customer.segments
        if segment in context.rules.tiers
    ]
    limit = context.rules.repeated_contacts
    if limit and _contacts(situation, at, context) >= limit and assessment.closure < context.rules.closure_threshold:
        found.append((Priority.HIGH, REPEATED_CONTACT))
    for priority, reason in found:
        if priority.rank > Priority.NORMAL.rank:
            reasons = (*reasons, reason)
            proposed = max(proposed, priority, key=lambda one: one.rank)
    return proposed, reasons


def _contacts(situation: Situation, at: datetime, context: Context) -> int:
    """How often the customer turned to us without an answer; messages that are read together are one."""
    if situation.conversation is None or not situation.conversation.is_open:
        return 1
    times = [*(entry.at for entry in situation.window), at]
    return 1 + sum(later - earlier > context.rules.window_gap for earlier, later in pairwise(times))


def _is_read_again(
    conversation: Conversation, assessment: Assessment, situation: Situation, at: datetime, context: Context
) -> bool:
    """True while the assessment window that began with the conversation (or its reopening) is still open.

    A reading that abstains takes nothing back: an earlier one that was sure stands.
    """
    if conversation.touched_by_human or conversation.label_by_human:
        return False
    if assessment.abstain and conversation.intent is not None:
        return False
    times = [*(entry.at for entry in situation.window), at]
    return all(later - earlier <= context.rules.window_gap for earlier, later in pairwise(times))


def _label(
    conversation: Conversation, assessment: Assessment, entries: list[Entry], context: Context, read: tuple[str, ...]
) -> Conversation:
    if conversation.label_by_human:
        return conversation
    language = assessment.language if assessment.language_confidence > 0 else conversation.language
    asked = {name: value for name, value in (conversation.assessment or {}).items() if name == "audit"}
    entries.append(
        frame.machine_entry(
            context,
            conversation,
            EntryKind.ASSESSMENT,
            to=assessment.intent,
            confidence=round(assessment.confidence, 4),
            top=[[score.label, round(score.confidence, 4)] for score in assessment.top],
            abstained=assessment.reason if assessment.abstain else None,
            version=assessment.version,
            language=language or conversation.language,
        )
    )
    return replace(
        conversation,
        intent=assessment.intent,
        language=language or conversation.language,
        assessment=assessment.to_json() | {"read": list(read)} | asked,
    )


def _prioritise(
    conversation: Conversation, proposed: Priority, reasons: tuple[str, ...], entries: list[Entry], context: Context
) -> Conversation:
    """A machine only raises, and never after a person has chosen."""
    if conversation.priority_by_human or proposed.rank <= conversation.priority.rank:
        return conversation
    entries.append(
        frame.machine_entry(
            context,
            conversation,
            EntryKind.PRIORITY,
            sla=EventKind.PRIORITY.value,
            to=proposed.value,
            was=conversation.priority.value,
            why=", ".join(reasons) or "classifier",
        )
    )
    return replace(conversation, priority=proposed)


def _route(
    conversation: Conversation,
    assessment: Assessment | None,
    situation: Situation,
    customer: Customer,
    entries: list[Entry],
    context: Context,
    *,
    fresh: bool,
) -> Conversation:
    if not fresh and conversation.queue_moves >= MACHINE_QUEUE_MOVES:
        return conversation
    rules = context.rules
    known = frame.facts(context, conversation, customer.segments)
    intent = None if assessment is None or assessment.abstain else rules.intents.get(assessment.intent or "")
    fallback = rules.triage_queue if intent is None else intent.queue
    route = route_for(known, fallback, context)
    if not fresh and route.queue == conversation.queue:
        return conversation
    conversation = _prioritise(conversation, route.priority, (route.reason,), entries, context)
    entries.append(
        frame.machine_entry(
            context,
            conversation,
            EntryKind.QUEUE,
            to=route.queue,
            was=None if fresh else conversation.queue,
            why=route.reason if route.rule else "not sure" if fallback == rules.triage_queue else "intent",
        )
    )
    if not fresh:
        return replace(conversation, queue=route.queue, queue_moves=conversation.queue_moves + 1)
    channel = routing.channel_for(route, rules.queues[route.queue], conversation.id)
    conversation = replace(conversation, queue=route.queue, thread=Thread(channel=channel))
    team = [
        AgentState(
            id=agent.id,
            on_duty=agent.on_duty,
            languages=frozenset(agent.languages),
            open_count=agent.open_count,
            last_assigned_at=agent.last_assigned_at,
        )
        for agent in situation.team
    ]
    latest = max(
        (a for a in situation.team if a.last_assigned_at), key=lambda a: a.last_assigned_at or context.now, default=None
    )
    chosen = routing.pick_assignee(route.assign, team, conversation.language, latest.id if latest else None)
    if chosen is None:
        return conversation
    entries.append(
        frame.machine_entry(
            context,
            conversation,
            EntryKind.ASSIGNEE,
            sla=EventKind.ASSIGNED.value,
            to=chosen,
            why=route.assign.replace("_", " "),
        )
    )
    return replace(conversation, assignee=chosen)


def route_for(known: routing.Facts, fallback: str, context: Context) -> routing.Route:
    """Where the company's rules send what is known; `fallback` is the queue when no rule holds."""
    rules = context.rules
    route = routing.route(known, rules.rules, rules.queues, fallback)
    if fallback == rules.triage_queue and _is_rest(route.rule, context):
        # What nobody is sure about is for the triage team, not for whoever takes the rest.
        route = routing.route(known, (), rules.queues, fallback)
    return route


def _is_rest(name: str | None, context: Context) -> bool:
    return any(rule.name == name and rule.when.is_empty for rule in context.rules.rules)


def assigned(conversation: Conversation, situation: Situation, context: Context) -> Agent | None:
    """The agent who was just given this conversation, with the time, so that the next goes to somebody else."""
    before = situation.conversation
    if conversation.assignee is None or (before is not None and before.id == conversation.id):
        return None
    agent = next((a for a in situation.team if a.id == conversation.assignee), None)
    return None if agent is None else replace(agent, last_assigned_at=context.now, open_count=agent.open_count + 1)
