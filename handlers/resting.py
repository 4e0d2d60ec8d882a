"""Snoozed until a time or until the customer writes, and woken by a row in the database; closed as no request."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from domain import events
from domain.calendar import Calendar
from domain.changes import Changes, Situation
from domain.model import NOT_A_REQUEST, Conversation, EntryKind, Status
from domain.sla import EventKind
from handlers import acts, frame
from handlers.frame import Context

CUSTOMER: Final = "customer"
"""Instead of a time: until the customer writes."""
MORNING: Final = time(9)
FARTHEST: Final = timedelta(days=366)
WAKES: Final = "snooze_over"
_SPAN: Final = re.compile(r"(\d{1,3})\s*个?\s*(m|h|d|min|分钟|分|小时|天)后?")
_UNITS: Final = {"m": 1, "min": 1, "分钟": 1, "分": 1, "h": 60, "小时": 60, "d": 1440, "天": 1440}
_HALF_AN_HOUR: Final = ("半小时", "半个小时", "半小时后", "半个小时后")
_DAYS: Final = {"tomorrow": 1, "明天": 1, "后天": 2, "monday": 0, "周一": 0, "下周一": 0}


def until(value: str, calendar: Calendar, now: datetime) -> datetime | None:
    """The time that a word means: `30m`, `2h`, `3d`, `tomorrow`, `monday`, a date and time, or `@` and seconds;
    None for none of these.

    Days begin at nine of the team's zone, or when it opens after that.
    """
    word = value.strip().casefold()
    if found := _SPAN.fullmatch(word):
        return now + timedelta(minutes=int(found[1]) * _UNITS[found[2]])
    if word in _HALF_AN_HOUR:
        return now + timedelta(minutes=30)
    zone = ZoneInfo(calendar.tz)
    here = now.astimezone(zone)
    if word in _DAYS:
        days = _DAYS[word] or (7 - here.weekday())
        morning = datetime.combine(here.date() + timedelta(days=days), MORNING, zone)
        return max(morning, calendar.next_open(morning)).astimezone(now.tzinfo)
    try:
        wanted = (
            datetime.fromtimestamp(int(word[1:]), UTC) if word[:1] == "@" else datetime.fromisoformat(value.strip())
        )
    except (ValueError, OverflowError, OSError):
        return None
    return (wanted if wanted.tzinfo else wanted.replace(tzinfo=zone)).astimezone(now.tzinfo)


def snooze(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """On hold until a time, or until the customer writes. Deadlines stand still only where the policy says so."""
    if not conversation.is_open:
        return acts.stale(event, conversation, context)
    if acts.is_unread(event, conversation):  # asleep it would have been woken by that
        return acts.unread(event, conversation, context)
    value, at = event.value or "", None
    if value != CUSTOMER:
        at = until(value, context.rules.calendar_of_queue(conversation.queue), context.now)
        if at is None or not context.now < at <= context.now + FARTHEST:
            return Changes(reason="no_time", outbox=(acts.tell(event, "snooze_how", context),))
    if conversation.status is Status.ON_HOLD and conversation.snoozed_until == at:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_snoozed", context),))
    line = acts.status(event, conversation, Status.ON_HOLD, context)
    line = replace(line, data={**line.data, "until": CUSTOMER if at is None else at.isoformat()})
    changed = frame.touched(conversation, status=Status.ON_HOLD, snoozed_until=at)
    return acts.changed("snoozed", changed, (line,), situation, context)


def wake(event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context) -> Changes:
    """Awake again before its time."""
    if conversation.status is not Status.ON_HOLD:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_open", context),))
    line = acts.status(event, conversation, Status.OPEN, context)
    return acts.changed("woken", frame.touched(conversation, status=Status.OPEN), (line,), situation, context)


def due(situation: Situation, context: Context) -> Changes | None:
    """What becomes of a conversation whose snooze has ended; None where none has."""
    conversation = situation.conversation
    if conversation is None or conversation.snoozed_until is None or conversation.snoozed_until > context.now:
        return None
    if not conversation.is_open:
        awake = replace(conversation, snoozed_until=None)
        return Changes(reason="woken", conversation=awake)
    line = frame.machine_entry(
        context,
        conversation,
        EntryKind.STATUS,
        at=context.now,
        sla=EventKind.STATUS.value,
        to=Status.OPEN.value,
        was=conversation.status.value,
        slept=frame.slept(conversation),
        why=WAKES,
        call=conversation.assignee,
    )
    return acts.changed("woken", replace(conversation, status=Status.OPEN), (line,), situation, context)


def not_a_request(
    event: events.AgentAction, conversation: Conversation, situation: Situation, context: Context
) -> Changes:
    """Closed without an answer, because nothing was asked: its deadlines count neither as met nor as missed."""
    if conversation.status is Status.DONE:
        return Changes(reason="already_so", outbox=(acts.tell(event, "already_resolved", context),))
    if not conversation.is_open:
        return acts.stale(event, conversation, context)
    if acts.is_unread(event, conversation):
        return acts.unread(event, conversation, context)
    line = acts.status(event, conversation, Status.DONE, context, EventKind.SPAM)
    line = replace(line, data={**line.data, "outcome": NOT_A_REQUEST})
    changed = frame.touched(
        conversation,
        status=Status.DONE,
        outcome=NOT_A_REQUEST,
        resolved_at=event.at,
        unanswered_since=None,
        assignee=conversation.assignee or event.agent_id,
    )
    return acts.changed("not_a_request", changed, (line,), situation, context)
