"""A clock's next alert fell due: look again, and say it once."""

from __future__ import annotations

from dataclasses import replace

from domain import events, sla
from domain.changes import Changes, ClockRow, Situation
from domain.model import EntryKind
from handlers import frame
from handlers.frame import Context


def decide(event: events.ClockDue, situation: Situation, context: Context) -> Changes:
    """Give every alert of this conversation that is due now, each once; put the next ones in its place.

    The clocks are computed again from the whole history first: an answer that came meanwhile silences the alert.
    """
    conversation = situation.conversation
    if conversation is None or conversation.id != event.conversation_id:
        return Changes(reason="clock_of_unknown")
    policy = context.rules.policies.get(conversation.policy or "")
    if policy is None:
        return Changes(reason="no_policy", conversation=conversation, clocks=())
    calendar = context.rules.calendar_of(policy)
    queue = context.rules.queues.get(conversation.queue)
    segments = situation.customer.segments if situation.customer else ()
    team = frame.mention_by_rule(context, conversation, segments) or (queue.mention if queue else None)
    entries = []
    rows: list[ClockRow] = []
    before = {(row.metric, row.instance): row for row in frame.clocks(context, situation, conversation, ())}
    for clock in sla.evaluate(situation.history, policy, calendar, context.now):
        row = before[clock.metric, clock.instance]
        alert = sla.next_alert(clock, policy, calendar, row.alerts_done, context.now)
        if alert is not None and alert.at <= context.now:
            lead = context.rules.lead_mention if alert.kind == "breach" else None
            entries.append(
                frame.machine_entry(
                    context,
                    conversation,
                    EntryKind.CLOCK,
                    alert=alert.kind,
                    level=alert.level,
                    metric=clock.metric.value,
                    due_at=alert.due_at.isoformat(),
                    late=alert.late or None,
                    mention=lead or team,
                    assignee=conversation.assignee,
                )
            )
            given = row.alerts_done | {alert.key}
            coming = sla.next_alert(clock, policy, calendar, given, context.now)
            row = replace(row, alerts_done=given, next_alert_at=coming.at if coming else None)
        rows.append(row)
    if not entries:
        return Changes(reason="nothing_due", conversation=conversation, clocks=tuple(rows))
    outbox = [frame.show(context, conversation, entry) for entry in entries]
    return Changes(
        reason="alerted",
        conversation=conversation,
        entries=tuple(entries),
        outbox=(*outbox, frame.card_update(context, conversation)),
        clocks=tuple(rows),
    )
