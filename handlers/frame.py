"""What every decision is built from: the context it may use, and the small pieces it puts together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from domain import alerts, changes, deadlines, events, promises, routing, sla, text
from domain.changes import ClockRow, DeliveryKind, Outgoing, Situation
from domain.model import CLOSED, MACHINE, Actor, Conversation, Entry, EntryKind, Identity, Priority, Reach, Status
from domain.rulebook import Rulebook

_SAID = (sla.EventKind.CUSTOMER_MESSAGE, sla.EventKind.CLOSURE_MESSAGE)
_WAITS = (sla.Metric.FIRST_RESPONSE, sla.Metric.NEXT_RESPONSE)
_OUR_TURN = (Status.NEW, Status.OPEN)
WORTH_A_LINE = 2
"""Alerts after which a thread gets its line: the first alert says everything itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a decision may use beside what was loaded: the company's rules, product time, and fresh ids (ULIDs)."""

    rules: Rulebook
    now: datetime
    new_id: Callable[[], str]
    answers: Mapping[str, timedelta] = field(default_factory=dict)  # how long a first answer usually takes, by policy
    speed: float = 1.0  # how many seconds of product time pass in a real one; else than 1 in the sandbox alone


def machine_entry(
    context: Context,
    conversation: Conversation,
    kind: EntryKind,
    *,
    actor: Actor = MACHINE,
    at: datetime | None = None,
    **data: Any,
) -> Entry:
    """A timeline line without personal text: what changed (`was`, `to`), and why."""
    named = {
        {"was": "from", "why": "reason"}.get(name, name): value for name, value in data.items() if value is not None
    }
    return Entry(
        id=context.new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=kind,
        actor=actor,
        at=at or context.now,
        data=named,
    )


def slept(conversation: Conversation) -> bool | None:
    """What a line of its next status says of where it was: on hold until a time. None where it was not."""
    return True if conversation.snoozed_until is not None else None


_STATUSES = (sla.EventKind.STATUS, sla.EventKind.SPAM)


def counts_from(history: Sequence[sla.SlaEvent], at: datetime) -> str | None:
    """From when a question of `at` that comes to us only now is waited for, in ISO format; None for `at` itself.

    An answer that had left before it came was not to it, though it was written before: it counts from that answer.
    What was written while the conversation was closed counts from when that was taken back.
    """
    answered = [event.at for event in history if event.kind is sla.EventKind.AGENT_REPLY]
    statuses = sorted((event for event in history if event.kind in _STATUSES), key=lambda one: (one.at, one.id))
    opened = [after.at for before, after in pairwise(statuses) if before.value in CLOSED and after.value not in CLOSED]
    since = max((*answered, *opened), default=at)
    return since.isoformat() if since > at else None


def first_written(answer: Entry) -> str:
    """The id under which an answer was first written: a change before it left gives it another one.

    Ids grow: what has a larger one was not known to whoever wrote the answer. That a typo was mended says no more.
    """
    return str(answer.data.get("first") or answer.id)


def asked_after(situation: Situation, answer: str, until: datetime) -> sla.SlaEvent | None:
    """The oldest unanswered question that came after an answer was written and counts no later than `until`.

    Whoever wrote it had not read that: it is still owed when the answer arrives, which may wait for a while.
    """
    conversation = situation.conversation
    if conversation is None or (since := conversation.unanswered_since) is None:
        return None
    asked = (one for one in situation.history if one.kind is sla.EventKind.CUSTOMER_MESSAGE and one.id > answer)
    return min((one for one in asked if since <= one.at <= until), key=lambda one: (one.at, one.id), default=None)


def stays_on_hold(conversation: Conversation, history: Sequence[sla.SlaEvent], answer: str) -> bool:
    """Whether what is on hold stays so when an answer arrives: until its time, or put there after that was written."""
    if conversation.status is not Status.ON_HOLD:
        return False
    set_at = max((event.id for event in history if event.kind is sla.EventKind.STATUS), default="")
    return conversation.snoozed_until is not None or set_at > answer


def not_before(history: Sequence[sla.SlaEvent], at: datetime) -> datetime:
    """`at`, or when the last status began: chats count whole seconds, and what is late was written before it.

    Deadlines are read from the timeline in the order of its times, and would stand still with that status for ever.
    """
    return max([at, *(event.at for event in history if event.kind in _STATUSES)])


def urgency(priority: Priority) -> int:
    """How a lane is preferred: 0 to 3."""
    return priority.rank


def card(context: Context, conversation: Conversation) -> Outgoing:
    """Post the card of a new conversation: the root of its thread, first in the thread's lane."""
    return Outgoing(
        id=context.new_id(),
        lane=f"thread:{conversation.id}",
        bucket=f"slack:{conversation.thread.channel}",
        kind=DeliveryKind.DESK_CARD,
        idem_key=f"card:{conversation.id}",
        conversation_id=conversation.id,
        urgency=urgency(conversation.priority),
    )


def card_update(context: Context, conversation: Conversation) -> Outgoing:
    """Bring the card up to date; collapses with an update that is already waiting."""
    identity = context.new_id()
    return Outgoing(
        id=identity,
        lane=f"card:{conversation.id}",
        bucket=f"slack-update:{conversation.thread.channel}",  # a change takes no post's turn
        kind=DeliveryKind.DESK_UPDATE,
        idem_key=f"update:{identity}",
        conversation_id=conversation.id,
        collapse=True,
    )


def show(
    context: Context,
    conversation: Conversation,
    entry: Entry,
    kind: DeliveryKind = DeliveryKind.DESK_ENTRY,
    *,
    part: int = 0,
) -> Outgoing:
    """Show a timeline entry in the thread. A customer's message may be joined with those around it (`joins`)."""
    joins = kind is DeliveryKind.DESK_ENTRY and entry.kind is EntryKind.INCOMING and "offer_reopen" not in entry.data
    return Outgoing(
        id=context.new_id(),
        lane=f"thread:{conversation.id}",
        bucket=f"slack:{conversation.thread.channel}",
        kind=kind,
        idem_key=f"{kind.value}:{entry.id}:{part}",
        conversation_id=conversation.id,
        entry_id=entry.id,
        part=part,
        urgency=urgency(conversation.priority),
        data={"joins": text.utf16_len(entry.body)} if joins else {},
    )


def changing(
    context: Context, conversation: Conversation, entry: Entry, kind: DeliveryKind, of: str | None = None
) -> Outgoing:
    """A line that is changed in place while nothing else is said: one that waits shows all that came meanwhile.

    It has a lane of its own, so that nothing waits behind it. `of` is the message it is about; None for all.
    """
    plain = show(context, conversation, entry, kind)
    lane = f"reactions:{conversation.id}" if of is None else f"edit:{conversation.id}:{of}"[:64]
    return replace(plain, lane=lane, collapse=True, data={"changing": True})


def tap_answer(event: events.CustomerChoice, identity: Identity, context: Context, text: str) -> Outgoing:
    """The word that shows up where the finger is; without it the button keeps turning."""
    return Outgoing(
        id=context.new_id(),
        lane=f"chat:{identity.id}",
        bucket=f"{identity.channel}:{identity.id}",
        kind=DeliveryKind.CHAT_ANSWER,
        idem_key=f"answer:{identity.channel}:{event.query_id}"[:120],
        identity_id=identity.id,
        urgency=2,
        data={"query": event.query_id, "text": text, "language": identity.language},
    )


def automatic(identity: Identity, entry: Entry | None, key: str, context: Context, **data: str | None) -> Outgoing:
    """A fixed text on its way to a customer, once for each `key`."""
    return Outgoing(
        id=context.new_id(),
        lane=f"chat:{identity.id}",
        bucket=f"{identity.channel}:{identity.id}",
        kind=DeliveryKind.CHAT_AUTOMATIC,
        idem_key=key[:120],
        identity_id=identity.id,
        entry_id=None if entry is None else entry.id,
        data={"language": identity.language, **data},
    )


def is_erased(situation: Situation) -> bool:
    """Whether the customer was erased: their conversation is still known by its thread, and nothing of it is kept."""
    return situation.identity is not None and not situation.identity.address


def whisper(
    context: Context, place: str, thread: str | None, user: str, text: str, key: str, **values: Any
) -> Outgoing:
    """Tell one person at the desk something nobody else sees. `text` names a fixed text, `values` fill it."""
    return Outgoing(
        id=context.new_id(),
        lane=f"whisper:{user}",
        bucket=f"slack-user:{user}",
        kind=DeliveryKind.DESK_WHISPER,
        idem_key=f"whisper:{key}",
        data={"place": place, "thread": thread, "user": user, "text": text, **values},
    )


def status_line(context: Context, conversation: Conversation, rows: Iterable[ClockRow]) -> tuple[Outgoing, ...]:
    """Bring the thread's line about its alerts up to date, once there is more to say than the first alert said."""
    if sum(len(row.alerts_done) for row in rows) < WORTH_A_LINE:
        return ()
    return (alert_line(context, conversation),)


def settled_line(
    context: Context, situation: Situation, conversation: Conversation, rows: Iterable[ClockRow]
) -> tuple[Outgoing, ...]:
    """Bring the thread's line up to date where a clock that was spoken of has just ended."""
    ran = {(row.metric, row.instance) for row in situation.clocks if row.stopped_at is None}
    known = tuple(rows)
    if not any(row.stopped_at and row.alerts_done and (row.metric, row.instance) in ran for row in known):
        return ()
    return status_line(context, conversation, known)


def alert_line(context: Context, conversation: Conversation) -> Outgoing:
    """Bring the thread's line about its alerts up to date."""
    identity = context.new_id()
    return Outgoing(
        id=identity,
        lane=f"alert:{conversation.id}",
        bucket=f"slack:{conversation.thread.channel}",
        kind=DeliveryKind.DESK_STATUS,
        idem_key=f"status:{identity}",
        conversation_id=conversation.id,
        entry_id=conversation.id,  # its receipts stand under the conversation: there is one such line
        collapse=True,
    )


def recalled(conversation: Conversation, situation: Situation, answer: str) -> Conversation:
    """A conversation of which an answer was called back: while another is on its way it waits for that one."""
    if not situation.leaving - {answer}:
        return touched(conversation, delivery_state=Reach.CANCELLED, delivery_reason=None)
    if conversation.delivery_state is Reach.UNCLEAR:  # what nobody knows of the other one is still to be settled
        return touched(conversation)
    return touched(conversation, delivery_state=Reach.WAITING, delivery_reason=None)


def settled_failure(context: Context, conversation: Conversation, entry: Entry, outbox_id: str) -> Outgoing:
    """Have the line that says what became of a delivery say how somebody settled it: its buttons are done with."""
    return Outgoing(
        id=context.new_id(),
        lane=f"thread:{conversation.id}",  # behind the line itself
        bucket=f"slack-update:{conversation.thread.channel}",
        kind=DeliveryKind.DESK_EDIT,
        idem_key=f"settled:{entry.id}",
        conversation_id=conversation.id,
        entry_id=entry.id,
        data={"settled": outbox_id},
    )


def react(
    context: Context,
    conversation: Conversation,
    ts: str,
    name: str,
    key: str,
    *,
    remove: str | Sequence[str] | None = None,
    line: Mapping[str, Any] | None = None,
) -> Outgoing:
    """Echo a delivery state on an agent's message; `remove` takes the earlier echo away, or those it may be.

    `line` is what was noted of that message: one that was written elsewhere than in the thread says where (`place`).
    """
    place = line.get("place") if line is not None else None
    return Outgoing(
        id=context.new_id(),
        lane=f"reaction:{conversation.id}",
        bucket=f"slack-reaction:{place or conversation.thread.channel}",
        kind=DeliveryKind.DESK_REACTION,
        idem_key=f"reaction:{ts}:{key}",
        conversation_id=conversation.id,
        data={"ts": ts, "name": name, "remove": remove if remove is None or isinstance(remove, str) else list(remove)}
        | ({"place": place} if place else {}),
    )


def policy_for(context: Context, conversation: Conversation, segments: Iterable[str]) -> str:
    """The name of the SLA policy a conversation gets: the first rule whose condition holds."""
    known = facts(context, conversation, segments)
    place = routing.first_match([rule.when for rule in context.rules.policy_rules], known)
    rule = context.rules.policy_rules[-1 if place is None else place]
    return rule.policy


def facts(context: Context, conversation: Conversation, segments: Iterable[str]) -> routing.Facts:
    """What routing and policy rules may ask about this conversation."""
    policy = context.rules.policies.get(conversation.policy or "")
    if policy is None:
        calendar = context.rules.calendar_of_queue(conversation.queue)
    else:
        calendar = context.rules.calendar_of(policy, conversation.queue)
    return routing.Facts(
        intent=conversation.intent,
        labels=frozenset({conversation.intent} if conversation.intent else ()),
        priority=conversation.priority,
        language=conversation.language,
        channel=conversation.channel,
        segments=frozenset(segments),
        queue=conversation.queue,
        business_hours=calendar.is_open(context.now),
    )


def mention_by_rule(context: Context, conversation: Conversation, segments: Iterable[str]) -> str | None:
    """Whom the first routing rule that holds for this conversation wants to be named, if it names anybody."""
    place = routing.first_match([rule.when for rule in context.rules.rules], facts(context, conversation, segments))
    return None if place is None else context.rules.rules[place].mention


def clocks(
    context: Context,
    situation: Situation,
    conversation: Conversation,
    entries: tuple[Entry, ...],
    *,
    fresh: bool = False,
) -> tuple[ClockRow, ...]:
    """The clocks of a conversation after these entries: computed from its whole history, never accumulated.

    A clock keeps its id and the alerts it gave; `fresh` starts a conversation without a history.
    """
    history = (() if fresh else situation.history) + changes.events_of(entries)
    before = {} if fresh else {(row.metric, row.instance): row for row in situation.clocks}
    found = deadlines.standing(context.rules, conversation.policy, history, context.now)
    if found is None:
        return tuple(_put_away(row, context.now) for row in before.values())
    return rows(context, conversation, found, before)


def leaves_clocks(situation: Situation, conversation: Conversation, entries: tuple[Entry, ...]) -> bool:
    """True when what a customer wrote changes no clock: a wait runs already, and it counts from its oldest message.

    Most messages of somebody who writes several are such; their clocks need neither be computed nor written.
    """
    said = [entry for entry in entries if entry.data.get("sla") is not None]
    if any(entry.data["sla"] not in _SAID for entry in said) or conversation.status not in _OUR_TURN:
        return False
    asked = changes.events_of(tuple(said))
    times = [event.at for event in asked if event.kind is sla.EventKind.CUSTOMER_MESSAGE]
    if any(row.state is sla.ClockState.UNDELIVERABLE for row in situation.clocks):
        return False
    waiting = (row.started_at for row in situation.clocks if row.metric in _WAITS and row.stopped_at is None)
    since = next(waiting, None)
    return not times or (since is not None and since <= min(times))


def rows(
    context: Context,
    conversation: Conversation,
    found: deadlines.Standing,
    before: Mapping[tuple[sla.Metric, int], ClockRow],
) -> tuple[ClockRow, ...]:
    """Computed clocks as rows, with what the rows before them know: their ids, the alerts given, an excuse."""
    made = []
    levels, policy, calendar = context.rules.alerts.levels, found.policy, found.calendar
    for clock in found.clocks:
        known = before.get((clock.metric, clock.instance))
        given = known.alerts_done if known else frozenset()
        alert = alerts.coming(clock, *promises.terms(clock, policy, calendar), levels, given, context.now)
        made.append(
            ClockRow(
                id=known.id if known else context.new_id(),
                conversation_id=conversation.id,
                metric=clock.metric,
                instance=clock.instance,
                state=clock.state,
                started_at=clock.started_at,
                due_at=clock.due_at,
                stopped_at=clock.stopped_at,
                next_alert_at=alert.at if alert else None,
                alerts_done=given,
                excused_by=known.excused_by if known else None,
            )
        )
    return tuple(made)


def _put_away(row: ClockRow, now: datetime) -> ClockRow:
    """A clock whose policy is configured no more: it alarms nobody; what it had come to stays on record."""
    if row.stopped_at is not None:
        return row
    state = row.state if row.state is sla.ClockState.BREACHED else sla.ClockState.CANCELLED
    return replace(row, state=state, stopped_at=now, next_alert_at=None)


def under_policy(
    context: Context, situation: Situation, conversation: Conversation, entries: list[Entry], at: datetime
) -> Conversation:
    """Choose the policy again after something it may depend on has changed; appends the change to `entries`.

    The deadlines keep their start. While the same policy holds, the version that was promised stays.
    """
    rules = context.rules
    current = sla.policy_named(situation.history) or conversation.policy or ""
    segments = situation.customer.segments if situation.customer else ()
    name = policy_for(replace_now(context, conversation.opened_at), conversation, segments)
    known = rules.terms(current) if name == conversation.policy else None
    policy = known[0] if known else rules.policies[name]
    wanted = rules.reference(policy, conversation.queue)
    if wanted == (current if "@" in current else f"{current}@1"):
        return conversation
    line = machine_entry(
        context, conversation, EntryKind.CLOCK, at=at, sla=sla.EventKind.POLICY.value, to=wanted, was=current or None
    )
    entries.append(line)
    return replace(conversation, policy=name)


def awaits_touch(situation: Situation) -> bool:
    """True while an assignee who has done nothing yet may lose the conversation to its queue."""
    return any(row.metric is sla.Metric.RETURN and row.stopped_at is None for row in situation.clocks)


def replace_now(context: Context, now: datetime) -> Context:
    """The same context at another moment: whether it was in business hours is asked of a conversation's beginning."""
    return replace(context, now=now)


def part_key(entry_id: str, part: int) -> str:
    """What makes one part of an answer be sent once."""
    return f"answer:{entry_id}:{part}"


def touched(conversation: Conversation, **fields: Any) -> Conversation:
    """The conversation after a person at the desk dealt with it."""
    return replace(conversation, touched_by_human=True, **fields)


def entry_known(situation: Situation, platform_id: str, *kinds: EntryKind) -> Entry | None:
    """The entry this platform message was recorded as, if it was."""
    entry = situation.known.get(platform_id)
    return entry if entry is not None and entry.kind in kinds else None
