"""Two conversations of one customer become one: what is open in the one goes on in the other, deadlines included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from domain import events
from domain.changes import Changes, ClockRow, Outgoing, Situation
from domain.model import MERGED, Conversation, Entry, EntryKind, Status
from domain.sla import EventKind, Metric
from handlers import acts, frame, leaving, promises
from handlers.frame import Context


def join(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """`conversation` ends and goes on in the other one, whose thread is shown what was said here.

    What nobody has answered here is owed there, since when it is owed here. Whoever joins them may see both.
    """
    other = situation.other
    into = other.conversation if other else None
    roles = situation.agent.roles if situation.agent else ()
    if into is not None and not context.rules.sees(event.agent_id, roles, into.queue):
        audit = ("refused", f"conversation:{into.id}", f"{event.action} in {into.queue}")
        return Changes(reason="refused", outbox=(_told(event, "refused_queue", context),), audit=(audit,))
    why = _refused(conversation, into, situation)
    if why or other is None or into is None:
        return Changes(reason=why or "join_which", outbox=(_told(event, why or "join_which", context),))
    line = acts.status(event, conversation, Status.DONE, context, EventKind.MERGED)
    line = replace(line, data={**line.data, "outcome": MERGED, "into": into.number})
    ended = frame.touched(
        conversation,
        status=Status.DONE,
        outcome=MERGED,
        merged_into=into.id,
        resolved_at=event.at,
        unanswered_since=None,
        snoozed_until=None,
    )
    done = acts.changed("joined", ended, (line,), situation, context)
    lines, told = _gone_along(situation, ended, into, context)
    done = replace(done, entries=(*done.entries, *lines), outbox=(*done.outbox, *told))
    return replace(done, also=(_gone_on(event, conversation, into, situation, context),))


def _gone_along(
    situation: Situation, conversation: Conversation, into: Conversation, context: Context
) -> tuple[list[Entry], list[Outgoing]]:
    """What was kept inside here and is asked about, as it ends here: its question leads to where it goes on."""
    lines: list[Entry] = []
    told: list[Outgoing] = []
    for line in situation.held:
        ended = replace(line, id=context.new_id(), body="", data={"of": line.id, "into": into.number})
        lines.append(ended)
        told += leaving.followed(ended, line, conversation, context)
    return lines, told


def _asked_there(
    held: Iterable[Entry], conversation: Conversation, into: Conversation, context: Context
) -> tuple[list[Entry], list[Outgoing]]:
    """The lines that are asked about, in the conversation that goes on, with a question each that stands there."""
    lines: list[Entry] = []
    told: list[Outgoing] = []
    for line in held:
        why = tuple(line.data["kept"])
        here = replace(line, id=context.new_id(), conversation_id=into.id)
        (question,) = leaving.questions(here, into, why if leaving.ASKED & set(why) else (*why, leaving.LEFT), context)
        kept = {name: line.data[name] for name in ("spans", "quoted", "kept") if line.data.get(name)}
        place = line.data.get("place") or conversation.thread.channel
        there = {"place": place} if place != into.thread.channel else {}
        lines += [replace(here, data={**kept, **there, "asked": question.id}), question]
        told.append(frame.show(context, into, question))
    return lines, told


def _gone_on(
    event: events.AgentAction, conversation: Conversation, into: Conversation, situation: Situation, context: Context
) -> Changes:
    """The other conversation with what was open in the one that ended."""
    other, owed = situation.other, conversation.unanswered_since
    assert other is not None  # noqa: S101  # the caller looked
    lines = [
        frame.machine_entry(
            context,
            into,
            EntryKind.JOINED,
            actor=acts.actor(event),
            at=owed or event.at,
            sla=EventKind.CUSTOMER_MESSAGE.value if owed else None,
            counts_from=frame.counts_from(other.history, owed) if owed else None,
            of=conversation.id,
            number=conversation.number,
        )
    ]
    changed = frame.touched(into, customer_version=into.version + 1)
    if owed is not None:
        changed = replace(changed, unanswered_since=min(into.unanswered_since or owed, owed))
        if into.status in (Status.WAITING_CUSTOMER, Status.ON_HOLD):  # as if it were written there now
            lines.append(acts.status(event, into, Status.OPEN, context))
            changed = replace(changed, status=Status.OPEN)
    lines += _promised_there(event, into, situation, context)
    done = acts.changed("joined", changed, tuple(lines), other, context)
    asked, told = _asked_there(situation.held, conversation, into, context)
    return replace(done, entries=(*done.entries, *asked), outbox=(*done.outbox, *told))


def _promised_there(
    event: events.AgentAction, into: Conversation, situation: Situation, context: Context
) -> list[Entry]:
    """The time that the customer was given here, where nothing earlier is promised there: one answer keeps both."""
    other = situation.other
    here, there = _promised(situation.clocks), _promised(other.clocks if other else ())
    if here is None or here <= context.now or (there is not None and there <= here):
        return []
    return [promises.tracked(event, into, here, context)]


def _promised(clocks: Iterable[ClockRow]) -> datetime | None:
    """Until when an answer is promised, kept or broken by none so far."""
    return next((row.due_at for row in clocks if row.metric is Metric.PROMISE and row.stopped_at is None), None)


def _refused(conversation: Conversation, into: Conversation | None, situation: Situation) -> str | None:
    """Why they cannot become one, as the name of what the agent is told."""
    if conversation.merged_into is not None:
        return "already_joined"
    if into is None or into.id == conversation.id or not into.is_open:
        return "join_which"
    if into.customer_id != conversation.customer_id:
        return "join_others"
    if acts.is_leaving(conversation, situation):
        return "answer_on_its_way"
    return None


def _told(event: events.AgentAction, text: str, context: Context) -> Outgoing:
    return acts.tell(event, text, context)
