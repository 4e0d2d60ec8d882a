"""What people say to alerts: "I am looking", and that a breach is excused."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from domain import alerts, deadlines, events, promises
from domain.changes import Changes, ClockRow, Outgoing, Situation
from domain.model import Actor, ActorKind, Conversation, EntryKind
from domain.sla import ClockState, Metric
from handlers import frame
from handlers.frame import Context

REACTION = "reaction"
"""The value of an acknowledgement that was a reaction: nobody is told that it was taken, the line shows it."""
REASONS = frozenset({"third_party", "outage", "customer_agreed", "wrong_deadline", "not_a_request"})
"""Why a breach may be excused with one press; in other words on the command line."""
OVERDUE = (ClockState.BREACHED, ClockState.MET_LATE)


def acknowledge(
    event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context
) -> Changes:
    """Silence the alerts of every clock that runs until its next level, and show who is looking."""
    found = deadlines.standing(context.rules, conversation.policy, situation.history, context.now)
    by_reaction = event.value == REACTION
    if found is None or not conversation.is_open:
        return _nothing(event, context, "nothing_to_acknowledge", quiet=by_reaction)
    levels = context.rules.alerts.levels
    rows: list[ClockRow] = []
    spoken_of = False
    before = {(row.metric, row.instance): row for row in frame.clocks(context, situation, conversation, ())}
    for clock in found.clocks:
        row = before[clock.metric, clock.instance]
        if clock.is_active and row.alerts_done:
            spoken_of = True
            terms = promises.terms(clock, found.policy, found.calendar)
            done = row.alerts_done | alerts.silenced(clock, *terms, levels, context.now)
            following = alerts.coming(clock, *terms, levels, done, context.now)
            row = replace(row, alerts_done=done, next_alert_at=following.at if following else None)
        rows.append(row)
    if not spoken_of:
        return _nothing(event, context, "nothing_to_acknowledge", quiet=by_reaction)
    entry = frame.machine_entry(
        context, conversation, EntryKind.ACKNOWLEDGED, actor=Actor(kind=ActorKind.AGENT, id=event.agent_id), at=event.at
    )
    told = () if by_reaction else (_tell(event, context, "acknowledged"),)
    return Changes(
        reason="acknowledged",
        conversation=frame.touched(conversation),
        entries=(entry,),
        outbox=(*told, frame.alert_line(context, conversation)),
        clocks=tuple(rows),
    )


def excuse(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Excuse a breach, in the name of the lead who says so. The breach stays what it was."""
    metric, _, rest = (event.value or "").partition(":")
    instance, _, reason = rest.partition(":")
    if metric not in list(Metric) or not instance.isdecimal() or reason not in REASONS:
        return _nothing(event, context, "nothing_to_excuse")
    actor = Actor(kind=ActorKind.AGENT, id=event.agent_id)
    changes = excused(
        conversation, situation, context, metric=Metric(metric), instance=int(instance), actor=actor, why=reason
    )
    if changes is None:
        return _nothing(event, context, "nothing_to_excuse")
    return replace(changes, outbox=(*changes.outbox, _tell(event, context, "excused")))


def excused(
    conversation: Conversation,
    situation: Situation,
    context: Context,
    *,
    metric: Metric,
    instance: int | None,
    actor: Actor,
    why: str,
    words: str = "",
) -> Changes | None:
    """Note that a breach is excused; None where there is none that is not excused yet.

    `why` is one of `REASONS` or `other`, then with `words`, which are kept sealed. Without `instance` the newest.
    """
    rows = situation.clocks
    found = [
        row
        for row in rows
        if row.metric is metric
        and (instance is None or row.instance == instance)
        and row.excused_by is None
        and _is_overdue(row, context.now)
    ]
    if not found:
        return None
    row = found[-1]
    entry = frame.machine_entry(
        context,
        conversation,
        EntryKind.EXCUSED,
        actor=actor,
        metric=metric.value,
        instance=row.instance,
        why=why,
    )
    entry = replace(entry, body=words)
    kept = tuple(replace(one, excused_by=str(actor)[:80]) if one is row else one for one in rows)
    shown = frame.show(context, conversation, entry)
    return Changes(
        reason="excused",
        conversation=conversation,
        entries=(entry,),
        outbox=(shown, *frame.status_line(context, conversation, kept)),
        clocks=kept,
        audit=(("sla.excused", f"conversation:{conversation.id}", f"{metric.value}:{row.instance} {why}"),),
    )


def _is_overdue(row: ClockRow, now: datetime) -> bool:
    """Whether a clock's deadline passed unanswered; that the sweep has not said so yet changes nothing."""
    passed = row.state is ClockState.RUNNING and row.due_at is not None and row.due_at <= now
    return row.state in OVERDUE or passed


def _tell(event: events.AgentAction, context: Context, text: str) -> Outgoing:
    key = f"{event.key or event.at.timestamp()}:{text}"
    return frame.whisper(context, event.channel, event.thread_ts, event.agent_id, text, key)


def _nothing(event: events.AgentAction, context: Context, text: str, *, quiet: bool = False) -> Changes:
    return Changes(reason="already_so", outbox=() if quiet else (_tell(event, context, text),))
