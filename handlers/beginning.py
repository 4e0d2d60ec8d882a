"""The desk writes first: a conversation with a customer we know, where they agreed to that and can be reached."""

from __future__ import annotations

from dataclasses import replace

from domain import consent, events, guard, routing
from domain.changes import Changes, Situation
from domain.consent import Purpose
from domain.model import Conversation, Customer, Entry, EntryKind, Identity, Reach, Status, Thread
from domain.sla import EventKind
from handlers import acts, frame, leaving, replies
from handlers.frame import Context

NOT_NOW = frozenset({"start_no_consent", "start_unreachable", "start_no_queue", "start_guard"})
"""Why words that somebody typed in a command or a window do not leave, and are kept as a note."""
KEPT = NOT_NOW | {"start_open"}
"""How the words were kept that nobody was written: whoever asked for more is told so, not that it is done."""


def start(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """A new conversation with whoever the named one was with; its first message is the agent's."""
    customer, identity, body = situation.customer, situation.identity, event.note.strip()
    beside = _open(conversation, situation)
    roles = situation.agent.roles if situation.agent else ()
    if beside is not None and not context.rules.sees(event.agent_id, roles, beside.queue):
        audit = ("refused", f"conversation:{beside.id}", f"{event.action} in {beside.queue}")
        if body:  # what they may not bring there stays where they may be
            return replace(
                _noted(event, body, "refused_queue", conversation, context), reason="refused", audit=(audit,)
            )
        return Changes(reason="refused", outbox=(acts.tell(event, "refused_queue", context),), audit=(audit,))
    why = _refused(body, conversation, customer, identity, context)
    if body and beside is not None:
        return _kept_there(event, body, beside, situation, context)
    if why in NOT_NOW:
        return _noted(event, body, why, conversation, context)
    if why or customer is None or identity is None:
        return Changes(reason=why or "start_unknown", outbox=(acts.tell(event, why or "customer_unknown", context),))
    queue = context.rules.queues[conversation.queue]
    begun_id = context.new_id()
    begun = Conversation(
        id=begun_id,
        number=0,  # given by storage, in order
        customer_id=customer.id,
        identity_id=identity.id,
        channel=identity.channel,
        lane=conversation.lane,
        thread=Thread(channel=routing.shared_channel(queue, begun_id)),
        status=Status.OPEN,
        queue=queue.name,
        assignee=event.agent_id,
        intent=conversation.intent,
        language=conversation.language,
        label_by_human=conversation.label_by_human,
        touched_by_human=True,
        opened_at=event.at,
        last_agent_at=event.at,
        last_customer_at=conversation.last_customer_at,
        delivery_state=Reach.WAITING,
        previous=conversation.id,
        acknowledged_at=conversation.acknowledged_at,
        version=-1,
    )
    begun = replace(begun, policy=frame.policy_for(context, begun, customer.segments))
    promised = context.rules.reference(context.rules.policies[begun.policy or ""], begun.queue)
    who, at = acts.actor(event), event.at
    said = frame.machine_entry(context, begun, EntryKind.OUTGOING, actor=who, at=at)
    said = leaving.signed(replace(said, body=body), begun, context)
    entries: tuple[Entry, ...] = (
        frame.machine_entry(context, begun, EntryKind.OPENED, actor=who, at=at, previous=begun.previous),
        frame.machine_entry(context, begun, EntryKind.CLOCK, at=at, sla=EventKind.POLICY.value, to=promised),
        frame.machine_entry(
            context, begun, EntryKind.ASSIGNEE, actor=who, at=at, sla=EventKind.TAKEN.value, to=event.agent_id
        ),
        said,
    )
    told = acts.tell(event, "started", context)
    return Changes(
        reason="started",
        conversation=begun,
        entries=entries,
        outbox=(
            frame.card(context, begun),
            frame.show(context, begun, said),
            *replies.parts_of(said, identity, begun, context),
            told,
        ),
        clocks=(),
    )


def _open(conversation: Conversation, situation: Situation) -> Conversation | None:
    """What is open with them: the one that is named, or another."""
    other = situation.other.conversation if situation.other else None
    return next((one for one in (conversation, other) if one is not None and one.is_open), None)


def _kept_there(
    event: events.AgentAction, body: str, beside: Conversation, situation: Situation, context: Context
) -> Changes:
    """What was written waits in the open conversation and is asked about there: a second one beside it would part what
    belongs together, and no thread holds it. The very words that it was begun with in the same moment say nothing more.
    """
    thread, is_new = beside.thread, not beside.number  # its number is given when it is written
    text = "start_begun" if is_new else "start_open"
    told = acts.tell(event, text, context, number=str(beside.number), stands=[thread.channel, thread.ts])
    if situation.other is not None and situation.other.begun == body:
        return Changes(reason="start_open", outbox=(told,))
    line = frame.machine_entry(context, beside, EntryKind.NOTE, actor=acts.actor(event), at=event.at)
    line = replace(line, body=body, platform_id=f"{events.WRITTEN}{line.id}")
    why = (*_findings(body, situation, context), leaving.LEFT)
    questions, asked = leaving.asked(line, beside, why, context, is_overtaken=False)
    line = replace(line, data={"kept": list(why), "asked": questions[0].id})
    kept = Changes(
        reason="start_open",
        conversation=frame.touched(beside),
        entries=(line, *questions),
        outbox=(frame.show(context, beside, line), *asked, told),
    )
    return kept if beside is situation.conversation else Changes(reason="start_open", also=(kept,))


def _findings(body: str, situation: Situation, context: Context) -> tuple[str, ...]:
    """What the words carry that is asked about before they leave, but for what the customer wrote in what is open."""
    both = (situation, situation.other) if situation.other else (situation,)
    said = [entry.body for one in both for entry in one.window]
    return guard.findings(body, context.rules.guard, mentions=False, said=said)


def _noted(event: events.AgentAction, body: str, why: str, conversation: Conversation, context: Context) -> Changes:
    """What may not leave is a note in the conversation that was named, since no thread holds what was typed."""
    line = replace(acts.line(event, conversation, EntryKind.NOTE, context), body=body)
    thread = conversation.thread
    told = acts.tell(event, why, context, number=str(conversation.number), stands=[thread.channel, thread.ts])
    return Changes(
        reason=why,
        conversation=frame.touched(conversation),
        entries=(line,),
        outbox=(frame.show(context, conversation, line), told),
    )


def _refused(
    body: str, conversation: Conversation, customer: Customer | None, identity: Identity | None, context: Context
) -> str | None:
    """Why nothing may be written to them now, as the name of what the agent is told."""
    if not body:
        return "start_how"
    if conversation.queue not in context.rules.queues:
        return "start_no_queue"
    if customer is None or identity is None:
        return "customer_unknown"
    if not consent.allowed(customer.consents, Purpose.OUTREACH):
        return "start_no_consent"
    window = context.rules.reply_windows.get(identity.channel)
    last = conversation.last_customer_at
    if not identity.reachable or (window is not None and (last is None or context.now - last > window)):
        return "start_unreachable"
    if guard.findings(body, context.rules.guard, mentions=False, said=[]):
        return "start_guard"
    return None
