"""What became of something sent to a customer: taken, refused for good, or unclear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain import signs
from domain.changes import Changes, DeliveryKind, Outgoing, Situation, events_of
from domain.model import ActorKind, Conversation, Entry, EntryKind, Reach, Status
from domain.sla import EventKind, SlaEvent
from handlers import frame, promises, reactions, reopening, satisfaction
from handlers.frame import Context

_CHANGES = {DeliveryKind.CHAT_EDIT: "edit", DeliveryKind.CHAT_DELETE: "delete"}
TOO_LARGE = "too_large"
UNREACHABLE = frozenset({"blocked", "deactivated", "kicked", "not_started", "not_member", "chat_not_found"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A settled or stopped chat delivery. `state` is sent, dead or unclear; `at` the platform's time when sent.

    `others` are the states of the other parts of the same answer: it has arrived when all of them have. `more_waits`
    says that another answer of the conversation is still to leave. `files` are the places of the files that it was,
    `worded` that the words of the answer were under them.
    """

    outbox_id: str
    kind: DeliveryKind
    entry: Entry
    state: str
    reason: str | None
    platform_id: str
    at: datetime
    others: tuple[str, ...] = ()
    more_waits: bool = False
    files: tuple[int, ...] = ()
    worded: bool = False


def decide(outcome: Outcome, situation: Situation, context: Context) -> Changes:
    """Record it, stop or mark the clocks, and say so at the desk.

    The first response stops at the platform's time of the last part, not when the agent pressed Enter.
    """
    conversation = situation.conversation
    if conversation is None or outcome.entry.kind is EntryKind.AUTOMATIC:
        return Changes(reason="automatic")
    if outcome.kind is DeliveryKind.CHAT_REACTION:
        if outcome.state != "dead":
            return Changes(reason="reaction_shown")
        return reactions.refused(outcome.entry, conversation, outcome.reason, context)
    if outcome.state == "sent":
        return _sent(outcome, conversation, situation, context)
    return _failed(outcome, conversation, situation, context)


def _sent(outcome: Outcome, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    if any(state != "sent" for state in outcome.others):
        return Changes(reason="part_sent")
    is_answer = outcome.entry.kind is EntryKind.OUTGOING and outcome.kind in (
        DeliveryKind.CHAT_TEXT,
        DeliveryKind.CHAT_FILE,
    )
    first = frame.first_written(outcome.entry)
    owed = frame.asked_after(situation, first, outcome.at) if is_answer else None
    taken = frame.machine_entry(
        context,
        conversation,
        EntryKind.DELIVERED,
        at=outcome.at,
        of=outcome.entry.id,
        first=None if first == outcome.entry.id else first,
        sla=EventKind.AGENT_REPLY.value if is_answer else None,
        to=None if owed is None else owed.id,
    )
    # Its number in the chat: what the customer answers or puts an emoji on is found by it.
    number = outcome.platform_id.partition(".")[0]  # of an album that of its first message
    entries = [replace(taken, platform_id=number or None) if is_answer else taken]
    changed = conversation
    if is_answer or conversation.delivery_state in (Reach.WAITING, Reach.UNCLEAR):
        state = Reach.WAITING if outcome.more_waits else Reach.SENT
        changed = replace(conversation, delivery_state=state, delivery_reason=None)
    question: tuple[Outgoing, ...] = ()
    if is_answer:
        changed = _answered(changed, outcome, owed, entries, situation.history, context)
        promised, question = promises.offered(outcome.entry, changed, context)
        entries += promised
        if reopening.is_closed(changed) and not outcome.more_waits:  # closed while this was on its way
            rating, asked = satisfaction.asked(
                changed,
                situation.identity,
                situation.automatic,
                (*situation.history, *events_of(tuple(entries))),
                context,
            )
            entries += rating
            question = (*question, *asked)
    written = tuple(entries)
    clocks = frame.clocks(context, situation, changed, written)
    outbox = [frame.card_update(context, changed), *_echo(outcome, conversation, signs.SENT, context), *question]
    outbox += frame.settled_line(context, situation, changed, clocks)
    return Changes(
        reason="delivered",
        conversation=changed,
        entries=written,
        outbox=tuple(outbox),
        clocks=clocks,
    )


def _answered(
    conversation: Conversation,
    outcome: Outcome,
    owed: SlaEvent | None,
    entries: list[Entry],
    history: Sequence[SlaEvent],
    context: Context,
) -> Conversation:
    asked_since = any(one.kind is EventKind.CUSTOMER_MESSAGE and one.at > outcome.at for one in history)
    unanswered = conversation.unanswered_since if asked_since else None
    unanswered = unanswered if owed is None else owed.at
    conversation = replace(conversation, unanswered_since=unanswered, last_agent_at=outcome.at)
    if unanswered is not None or conversation.status is Status.WAITING_CUSTOMER or not conversation.is_open:
        return conversation  # a word after done does not open it again
    if frame.stays_on_hold(conversation, history, frame.first_written(outcome.entry)):
        return conversation
    entries.append(
        frame.machine_entry(
            context,
            conversation,
            EntryKind.STATUS,
            at=frame.not_before(history, outcome.at),
            sla=EventKind.STATUS.value,
            to=Status.WAITING_CUSTOMER.value,
            was=conversation.status.value,
            why="answered",
        )
    )
    return replace(conversation, status=Status.WAITING_CUSTOMER)


def _failed(outcome: Outcome, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    unclear = outcome.state == "unclear"
    lines: tuple[Entry, ...] = ()
    is_change = outcome.kind in _CHANGES
    if outcome.entry.kind is EntryKind.OUTGOING and not is_change:
        why = "unclear" if unclear else "not_delivered"
        conversation, lines = reopening.not_arrived(conversation, situation, context, outcome.entry, why)
    entry = frame.machine_entry(
        context,
        conversation,
        EntryKind.NOT_DELIVERED,
        at=max((line.at for line in lines), default=context.now),
        of=outcome.entry.id,
        why=outcome.reason,
        state=(Reach.UNCLEAR if unclear else Reach.FAILED).value,
        what=_CHANGES.get(outcome.kind),
        sent_as=outcome.kind.value,
        files=list(outcome.files) or None,
        worded=outcome.worded or None,
        limit=_limit(outcome, situation, context),
        outbox_id=outcome.outbox_id,
        agent=outcome.entry.actor.id if outcome.entry.actor.kind is ActorKind.AGENT else None,
        sla=None if unclear or outcome.entry.kind is not EntryKind.OUTGOING else EventKind.REPLY_FAILED.value,
    )
    changed = conversation
    if unclear or not is_change or conversation.delivery_state in (Reach.WAITING, Reach.UNCLEAR):
        state = Reach.UNCLEAR if unclear else Reach.SENT if is_change else Reach.FAILED
        changed = replace(conversation, delivery_state=state, delivery_reason=outcome.reason)
    identity = None
    if not unclear and outcome.reason in UNREACHABLE and situation.identity is not None:
        identity = replace(situation.identity, reachable=False, unreachable_reason=outcome.reason)
    name = signs.UNCLEAR if unclear else signs.FAILED
    echo = _echo(outcome, conversation, name, context)
    return Changes(
        reason="unclear" if unclear else "not_delivered",
        identity=identity,
        conversation=changed,
        entries=(*lines, entry),  # first open again: what could not be delivered runs on as that
        outbox=(
            *(frame.show(context, changed, one) for one in (entry, *lines[:1])),
            frame.card_update(context, changed),
            *echo,
        ),
        clocks=frame.clocks(context, situation, changed, (*lines, entry)),
    )


def _limit(outcome: Outcome, situation: Situation, context: Context) -> int | None:
    """How many bytes of a file the chat takes, where that is why it did not arrive."""
    if outcome.reason != TOO_LARGE or outcome.kind is not DeliveryKind.CHAT_FILE or situation.identity is None:
        return None
    terms = context.rules.channel_files.get(situation.identity.channel)
    return None if terms is None else terms.upload_limit


def _echo(outcome: Outcome, conversation: Conversation, name: str, context: Context) -> tuple[Outgoing, ...]:
    ts = outcome.entry.platform_id
    if ts is None or outcome.entry.kind is not EntryKind.OUTGOING:
        return ()
    key = f"{name}:{context.new_id()}"  # it may fail, be sent again, and fail again
    line = outcome.entry.data
    return (frame.react(context, conversation, ts, name, key, remove=signs.WAITING, line=line),)
