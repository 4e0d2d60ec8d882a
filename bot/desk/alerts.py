"""Alerts at the desk: one message for whoever must act, and the one line of a thread that says how its alerts stand.

What it reads from an alert's `Entry.data`: `alert` ("warning", "breach" or "escalation"), `metric`, `instance`,
`due_at` (ISO), `told` (ids, or "webhook"), `away` and `away_why` of whoever has it, `late`; from an excuse `metric`,
`instance` and `reason`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.desk import blocks, words
from bot.desk.blocks import Block
from bot.desk.entries import Names, Post, moment
from domain import text
from domain.changes import ClockRow
from domain.model import ActorKind, Entry, EntryKind
from domain.ports import CardView
from domain.sla import ClockState

SHOWN = 8
"""So many alerts stand in the line; of more, the newest."""


def alert_post(
    entry: Entry, mention: Iterable[str], card: CardView | None, link: str | None, *, in_thread: bool
) -> Post:
    """The message of one alert: what is due, who has it and is away, who is asked to do what."""
    data = entry.data
    metric = str(data.get("metric") or "")
    what = words.METRIC.get(metric, metric.replace("_", " ")).capitalize()
    due_at = moment(data.get("due_at"))
    due = blocks.date(due_at) if due_at else "soon"
    head = f"{what} is due {due}." if data.get("alert") == "warning" else f"*{what} is overdue*, it was due {due}."
    if not in_thread and card is not None:
        head = f"{_case(card, link)}: {head}"
    parts = [head, words.LATE_ALERT if data.get("late") else "", _absent(entry)]
    who = " ".join(blocks.mention(one) for one in mention)
    act = words.ALERT_ACT.get(metric, "have a look")
    if not in_thread:
        act = act.replace("this thread", "its thread")
    parts.append(f"{who}, please {act}." if who else f"Please {act}.")
    said = " ".join(part for part in parts if part)
    made: list[Block] = [{"type": "section", "text": blocks.mrkdwn(said[: blocks.SECTION_LIMIT])}]
    return Post(text=said, blocks=[*made, _buttons(entry)])


def status_post(told: Sequence[Entry], rows: Sequence[ClockRow], names: Names) -> Post:
    """The thread's line about the newest deadline that was spoken of: who was told when, who looks, how it went."""
    newest = next((entry for entry in reversed(told) if entry.kind is EntryKind.CLOCK), None)
    if newest is None:
        said = words.NO_ALERTS
        return Post(text=said, blocks=[blocks.context(said)])
    clock = (newest.data.get("metric"), newest.data.get("instance"))
    row = next((row for row in rows if (row.metric.value, row.instance) == clock), None)
    due_at = moment(newest.data.get("due_at"))
    metric = words.METRIC.get(str(clock[0]), str(clock[0])).capitalize()
    parts = [f"*Alerts*: {metric}, deadline {blocks.date(due_at)}" if due_at else f"*Alerts*: {metric}"]
    own = [entry for entry in told if entry.kind is EntryKind.ACKNOWLEDGED or _clock(entry) == clock]
    parts += [line for line in (_line(entry, names) for entry in own[-SHOWN:]) if line]
    parts.append(_outcome(row))
    said = blocks.SEPARATOR.join(part for part in parts if part)
    return Post(text=said, blocks=[blocks.context(said)])


def _clock(entry: Entry) -> tuple[object, object]:
    return entry.data.get("metric"), entry.data.get("instance")


def _line(entry: Entry, names: Names) -> str:
    when = f"<!date^{int(entry.at.timestamp())}^{{time}}|{entry.at:%H:%M} UTC>"
    if entry.kind is EntryKind.CLOCK:
        if not entry.data.get("alert"):
            return ""
        people = [_name(one, names) for place in entry.data.get("told") or () for one in str(place).split()]
        return f"told {', '.join(dict.fromkeys(people)) or 'this thread'} {when}"
    who = _actor(entry, names)
    if entry.kind is EntryKind.ACKNOWLEDGED:
        return f"{who} is looking, {when}"
    why = words.EXCUSES.get(str(entry.data.get("reason") or ""), "")
    return f"excused by {who}" + (f" ({text.escape_mrkdwn(why)})" if why else "")


def _outcome(row: ClockRow | None) -> str:
    if row is None or row.stopped_at is None:
        return ""
    when = f"<!date^{int(row.stopped_at.timestamp())}^{{time}}|{row.stopped_at:%H:%M} UTC>"
    return {
        ClockState.MET: f"done in time, {when}",
        ClockState.MET_LATE: f"done late, {when}",
    }.get(row.state, "over")


def _name(who: str, names: Names) -> str:
    """Somebody told, as words that call nobody again when the line is posted anew."""
    if who[:1] in ("U", "W"):
        return text.escape_mrkdwn(names(who) or "a colleague")
    if who[:1] == "S":
        return "the team"
    if who[:1] in ("C", "G") and who.isalnum():
        return f"<#{who}>"
    return "on-call" if who == "webhook" else ""


def _actor(entry: Entry, names: Names) -> str:
    actor = entry.actor
    if actor.kind is ActorKind.AGENT and actor.id:
        return text.escape_mrkdwn(names(actor.id) or "a colleague")
    return "the operator"


def _absent(entry: Entry) -> str:
    away = str(entry.data.get("away") or "")
    if not away:
        return ""
    why = words.ABSENT.get(str(entry.data.get("away_why") or ""), "is not there")
    return f"{blocks.mention(away)} has it and {why}."


def _case(card: CardView, link: str | None) -> str:
    number = f"#{card.conversation.number}"
    name = text.escape_mrkdwn(text.excerpt(card.customer_name, blocks.NAME_LIMIT))
    return f"<{link}|{number}> {name}" if link else f"Conversation {number}, {name}"


def _buttons(entry: Entry) -> Block:
    value = blocks.button_value(entry.conversation_id, None)
    elements: list[Block] = [blocks.button(words.ACKNOWLEDGE, "acknowledge", value)]
    if entry.data.get("alert") != "warning":
        options = [
            {
                "text": blocks.plain(said),
                "value": blocks.button_value(
                    entry.conversation_id,
                    None,
                    f"excuse={entry.data.get('metric')}:{entry.data.get('instance')}:{reason}",
                ),
            }
            for reason, said in words.EXCUSES.items()
        ]
        elements.append(
            {
                "type": "static_select",
                "action_id": "excuse",
                "placeholder": blocks.plain(words.EXCUSE),
                "options": options,
            }
        )
    return {"type": "actions", "block_id": f"alert:{entry.id}", "elements": elements}
