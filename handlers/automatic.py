"""The one automatic answer to a customer: the message has come, and when a person will answer or be there again.

Once for each first message, and once for each time the team is closed; never after a closure, never to spam, never
while somebody at the desk is in the middle of the conversation.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from domain import sla
from domain.assessment import Assessment
from domain.calendar import Calendar
from domain.changes import Outgoing, Situation
from domain.model import Conversation, Customer, Entry, Identity, Status
from domain.sla import EventKind, Metric
from handlers import frame, privacy
from handlers.frame import Context

RECEIVED, BY, CLOSED = "acknowledgement", "acknowledgement_by", "acknowledgement_closed"
SPAM, SPAM_DOUBT = "spam", 0.5
AGAIN_AFTER = timedelta(hours=1)
"""Whoever begins a new conversation sooner than this after being acknowledged was acknowledged just now."""
STILL_THERE = timedelta(minutes=30)
"""An agent who answered so lately is there, whatever the calendar says."""
QUARTER = timedelta(minutes=15)
FARTHEST = timedelta(days=7)
"""Beyond this a time promises more than anybody knows."""


def acknowledge(
    message: Entry,
    situation: Situation,
    conversation: Conversation,
    customer: Customer,
    identity: Identity,
    assessment: Assessment | None,
    context: Context,
    *,
    fresh: bool,
) -> tuple[Conversation, Entry, tuple[Entry, ...], tuple[Outgoing, ...]]:
    """The conversation and the message as they are then, and what is told; unchanged where nothing is to be said."""
    nothing = conversation, message, (), ()
    if context.rules.acknowledge == "never" or not _is_asked(message, situation, conversation, assessment, context):
        return nothing
    policy = context.rules.policies.get(conversation.policy or "")
    if policy is None:
        return nothing
    calendar = context.rules.calendar_of(policy, conversation.queue)
    opening = calendar.next_open(context.now)
    is_open = opening <= context.now
    if _was_told(situation, is_open=is_open, calendar=calendar, context=context):
        return nothing
    if is_open and (not fresh or context.rules.acknowledge == "closed"):
        return nothing
    until = _expected(message, policy, calendar, conversation, context) if is_open else opening
    if until is not None and until - context.now > FARTHEST:
        until = None
    text = RECEIVED if until is None else BY if is_open else CLOSED
    said = {"text": text, "at": None if until is None else until.isoformat()}
    entry = privacy.told(customer, conversation.id, context, **{name: word for name, word in said.items() if word})
    item = frame.automatic(
        identity,
        entry,
        f"acknowledge:{message.id}",
        context,
        **said,
        zone=calendar.tz,
        now=context.now.isoformat(),
        language=conversation.language or identity.language,
    )
    told = replace(message, data={**message.data, "told": said})
    return replace(conversation, acknowledged_at=context.now), told, (entry,), (item,)


def _is_asked(
    message: Entry, situation: Situation, conversation: Conversation, assessment: Assessment | None, context: Context
) -> bool:
    """Whether this message begins a wait that somebody has to end."""
    if message.data.get("sla") != EventKind.CUSTOMER_MESSAGE.value or conversation.status is Status.SPAM:
        return False
    before = situation.conversation
    if before is not None and before.id == conversation.id and before.unanswered_since is not None:
        return False
    if conversation.last_agent_at is not None and context.now - conversation.last_agent_at < STILL_THERE:
        return False
    if assessment is None:
        return True
    is_spam = assessment.spam >= SPAM_DOUBT or (assessment.intent == SPAM and not assessment.abstain)
    return not is_spam and assessment.closure < context.rules.closure_threshold


def _was_told(situation: Situation, *, is_open: bool, calendar: Calendar, context: Context) -> bool:
    """Whether this customer has been told already: in the hour before, or since the team was last open."""
    before = situation.conversation
    last = None if before is None else before.acknowledged_at
    if last is None:
        return False
    if context.now - last < AGAIN_AFTER and (is_open or not calendar.measure(last, context.now)):
        return True
    return not is_open and not calendar.measure(last, context.now)


def _expected(
    message: Entry, policy: sla.Policy, calendar: Calendar, conversation: Conversation, context: Context
) -> datetime | None:
    """When an answer may be expected: as long as four of five first answers have lately taken, else the deadline."""
    usual = context.answers.get(policy.name)
    if usual is not None:
        return _quarter(calendar.add(context.now, usual))
    target = policy.target(Metric.FIRST_RESPONSE, conversation.priority)
    return None if target is None else _quarter(calendar.add(message.at, target))


def _quarter(moment: datetime) -> datetime:
    """The next full quarter of an hour: people read it as "about then"."""
    over = timedelta(minutes=moment.minute % 15, seconds=moment.second, microseconds=moment.microsecond)
    return moment if not over else moment - over + QUARTER
