"""A clock's next alert fell due: look again, and say it once, to somebody who is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from domain import alerts, deadlines, events, promises, sla
from domain.alerts import Address, Goal, Person, Way
from domain.changes import Changes, ClockRow, DeliveryKind, Outgoing, Situation
from domain.model import Conversation, Entry, EntryKind, Reach
from domain.sla import Metric
from handlers import frame, resting
from handlers.frame import Context

ON_ITS_WAY = timedelta(minutes=2)
"""How long an answer that was written holds back the alert that asks for it; then something is wrong with it."""
NOBODY: Mapping[str, Person] = {}


def decide(
    event: events.ClockDue,
    situation: Situation,
    context: Context,
    people: Mapping[str, Person] = NOBODY,
    leads: Sequence[str] = (),
) -> Changes:
    """Give every alert of this conversation that is due now, each once; put the next ones in its place.

    The clocks are computed again from the whole history first: an answer that came meanwhile silences the alert.
    `people` says of those who could be named whether they are at work; who is not in it counts as there. `leads` are
    the desk users who lead.
    """
    conversation = situation.conversation
    if conversation is None or conversation.id != event.conversation_id:
        return Changes(reason="clock_of_unknown")
    if (awake := resting.due(situation, context)) is not None:
        return awake  # its alerts are looked at next
    found = deadlines.standing(context.rules, conversation.policy, situation.history, context.now)
    if found is None:
        put_away = frame.clocks(context, situation, conversation, ())
        return Changes(reason="no_policy", conversation=conversation, clocks=put_away)
    levels = context.rules.alerts.levels
    team = _team(situation, conversation, context, people, leads)
    entries: list[Entry] = []
    outbox: list[Outgoing] = []
    rows: list[ClockRow] = []
    known = {(row.metric, row.instance): row for row in situation.clocks}
    for clock, row in zip(found.clocks, frame.rows(context, conversation, found, known), strict=True):
        terms = promises.terms(clock, found.policy, found.calendar)
        alert = alerts.coming(clock, *terms, levels, row.alerts_done, context.now)
        if alert is not None and alert.at <= context.now:
            if held := _held(conversation, clock, context):
                rows.append(replace(row, next_alert_at=held))
                continue
            given, sent = _give(alert, clock, row, conversation, team, context)
            entries.append(given)
            outbox += sent
            done = row.alerts_done | {alert.key}
            if alert.kind == "escalation":  # which says the breach, too, where nobody has
                done |= {sla.alert_key(clock, alerts.BREACH, alert.due_at)}
            following = alerts.coming(clock, *terms, levels, done, context.now)
            row = replace(row, alerts_done=done, next_alert_at=following.at if following else None)
        rows.append(row)
    if not entries:
        return Changes(reason="nothing_due", conversation=conversation, clocks=tuple(rows))
    line = frame.status_line(context, conversation, tuple(rows))
    decided = Changes(
        reason="alerted",
        conversation=conversation,
        entries=tuple(entries),
        outbox=(*outbox, *line, frame.card_update(context, conversation)),
        clocks=tuple(rows),
    )
    is_left = any((entry.data.get("metric"), entry.data.get("alert")) == (Metric.RETURN, "breach") for entry in entries)
    return _returned(decided, situation, conversation, context) if is_left and conversation.assignee else decided


def _returned(decided: Changes, situation: Situation, conversation: Conversation, context: Context) -> Changes:
    """Who was given it has done nothing: it goes back to the queue, and the thread says so."""
    entry = frame.machine_entry(
        context,
        conversation,
        EntryKind.ASSIGNEE,
        at=context.now,
        sla=sla.EventKind.TAKEN.value,
        was=conversation.assignee,
        why="untouched",
    )
    free = replace(conversation, assignee=None)
    after = replace(situation, clocks=decided.clocks or ())
    return replace(
        decided,
        conversation=free,
        entries=(*decided.entries, entry),
        outbox=(*decided.outbox, frame.show(context, free, entry)),
        clocks=frame.clocks(context, after, free, (entry,)),
    )


def _held(conversation: Conversation, clock: sla.Clock, context: Context) -> datetime | None:
    """Until when an alert waits for an answer that was written and is on its way."""
    written = conversation.last_agent_at
    if clock.metric is Metric.RESOLUTION or conversation.delivery_state is not Reach.WAITING or written is None:
        return None
    until = written + ON_ITS_WAY
    return until if until > context.now else None


def _team(
    situation: Situation,
    conversation: Conversation,
    context: Context,
    people: Mapping[str, Person],
    leads: Sequence[str],
) -> alerts.Team:
    queue, stands_in = context.rules.queues.get(conversation.queue), conversation.thread.channel
    segments = situation.customer.segments if situation.customer else ()
    group = frame.mention_by_rule(context, conversation, segments) or (queue.mention if queue else None)
    has_it = conversation.assignee
    return alerts.Team(
        channel=queue.slack_channel if queue and stands_in not in queue.more_channels else stands_in,
        assignee=None if has_it is None else people.get(has_it, Person(id=has_it)),
        group=group,
        lead=context.rules.lead_mention,
        leads=tuple(people.get(lead, Person(id=lead)) for lead in leads),
        people=people,
    )


def _give(
    alert: sla.Alert,
    clock: sla.Clock,
    row: ClockRow,
    conversation: Conversation,
    team: alerts.Team,
    context: Context,
) -> tuple[Entry, list[Outgoing]]:
    """The timeline's line about an alert, and one message for each place where it is said."""
    plan = context.rules.alerts
    level = next((one for one in plan.levels if one.name == alert.level), None)
    goal = Goal.THREAD if level is None else level.to
    told = list(alerts.addressed(goal, team, plan, is_breach=alert.kind == "breach"))
    unsaid = alert.kind == "escalation" and sla.alert_key(clock, alerts.BREACH, alert.due_at) not in row.alerts_done
    if unsaid and goal != Goal.THREAD:
        # We were away when the deadline passed: whoever opens the thread must find it said there, too.
        told = [*alerts.addressed(Goal.THREAD, team, plan, is_breach=True), *told]
    away = team.assignee if team.assignee and not team.assignee.is_at_work else None
    entry = frame.machine_entry(
        context,
        conversation,
        EntryKind.CLOCK,
        alert=alert.kind,
        level=alert.level,
        metric=clock.metric.value,
        instance=clock.instance,
        due_at=alert.due_at.isoformat(),
        late=alert.late or unsaid or None,
        told=[address.way.value if address.way is Way.WEBHOOK else _who(address) for address in told],
        away=None if away is None else away.id,
        away_why=None if away is None else away.why,
        at=context.now,
    )
    return entry, [_message(entry, address, alert, clock, conversation, context) for address in told]


def _who(address: Address) -> str:
    return " ".join(address.mention) or address.place


def _message(
    entry: Entry,
    address: Address,
    alert: sla.Alert,
    clock: sla.Clock,
    conversation: Conversation,
    context: Context,
) -> Outgoing:
    due = int(alert.due_at.timestamp())
    place = conversation.thread.channel if address.way is Way.THREAD else address.place
    is_hook = address.way is Way.WEBHOOK
    once = f"alert:{conversation.id}:{clock.metric}:{clock.instance}:{alert.level}:{due}:{address.way}:{place}"
    return Outgoing(
        id=context.new_id(),
        lane=f"alert:{place or address.way}" if address.way is not Way.THREAD else f"alert:{conversation.id}",
        bucket="hook:alerts" if is_hook else f"slack:{place}",
        kind=DeliveryKind.HOOK_ALERT if is_hook else DeliveryKind.DESK_ALERT,
        idem_key=once[:120],
        conversation_id=conversation.id,
        entry_id=entry.id,
        urgency=3,
        data={
            "way": address.way.value,
            "place": place,
            "mention": list(address.mention),
            "fallback": context.rules.alerts.fallback,
        },
    )
