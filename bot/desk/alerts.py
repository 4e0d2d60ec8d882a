"""Alerts at the desk: one message for whoever must act, and the one line of a thread that says how its alerts stand.

What it reads from an alert's `Entry.data`: `alert` ("warning", "breach" or "escalation"), `metric`, `instance`,
`due_at` (ISO), `told` (ids, or "webhook"), `away` and `away_why` of whoever has it, `late`; from an excuse `metric`,
`instance` and `reason`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bot.desk import blocks, words
from bot.desk.blocks import Block
from bot.desk.changed import moment
from bot.desk.entries import Post
from bot.desk.words import Names
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
    head = _head(entry, words.upper(words.named("metric", metric)))
    if not in_thread and card is not None:
        head = words.say("alert.of", case=_case(card, link), said=head)
    parts = [head, words.say("alert.late") if data.get("late") else "", _absent(entry)]
    who = " ".join(blocks.mention(one) for one in mention)
    acts = "act" if in_thread else "act_elsewhere"
    act = words.say(f"{acts}.{metric}") if words.has(acts, metric) else words.say("alert.look")
    parts.append(words.say("ask.named", who=who, act=act) if who else words.say("ask.plain", act=act))
    said = words.say("list.space").join(part for part in parts if part)
    made: list[Block] = [{"type": "section", "text": blocks.mrkdwn(said[: blocks.SECTION_LIMIT])}]
    return Post(text=said, blocks=[*made, _buttons(entry)])


def status_post(told: Sequence[Entry], rows: Sequence[ClockRow], names: Names) -> Post:
    """The thread's line about the newest deadline that was spoken of: who was told when, who looks, how it went."""
    newest = next((entry for entry in reversed(told) if entry.kind is EntryKind.CLOCK), None)
    if newest is None:
        said = words.say("alert.none")
        return Post(text=said, blocks=[blocks.context(said)])
    clock = (newest.data.get("metric"), newest.data.get("instance"))
    row = next((row for row in rows if (row.metric.value, row.instance) == clock), None)
    due_at = moment(newest.data.get("due_at"))
    metric = words.upper(words.named("metric", clock[0]))
    parts = [
        words.say("alert.status_due", what=metric, at=blocks.date(due_at))
        if due_at
        else words.say("alert.status", what=metric)
    ]
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
        who = words.listed(dict.fromkeys(people)) or words.say("alert.this_thread")
        return words.say("alert.told", who=who, at=when)
    who = _actor(entry, names)
    if entry.kind is EntryKind.ACKNOWLEDGED:
        return words.say("alert.looking", who=who, at=when)
    why = entry.data.get("reason")
    if not words.has("excuse", why):
        return words.say("alert.excused", who=who)
    return words.say("alert.excused_why", who=who, why=words.say(f"excuse.{why}"))


def _outcome(row: ClockRow | None) -> str:
    if row is None or row.stopped_at is None:
        return ""
    when = f"<!date^{int(row.stopped_at.timestamp())}^{{time}}|{row.stopped_at:%H:%M} UTC>"
    key = {ClockState.MET: "in_time", ClockState.MET_LATE: "done_late"}.get(row.state, "over")
    return words.say(f"alert.{key}", at=when)


def _name(who: str, names: Names) -> str:
    """Somebody told, as words that call nobody again when the line is posted anew."""
    if who[:1] in ("U", "W"):
        return text.escape_mrkdwn(names(who) or words.say("alert.colleague"))
    if who[:1] == "S":
        return words.say("alert.team")
    if who[:1] in ("C", "G") and who.isalnum():
        return f"<#{who}>"
    return words.say("alert.on_call") if who == "webhook" else ""


def _actor(entry: Entry, names: Names) -> str:
    actor = entry.actor
    if actor.kind is ActorKind.AGENT and actor.id:
        return text.escape_mrkdwn(names(actor.id) or words.say("alert.colleague"))
    return words.say("thread.the_operator")


def _absent(entry: Entry) -> str:
    away = str(entry.data.get("away") or "")
    if not away:
        return ""
    why = entry.data.get("away_why")
    said = words.say(f"absent.{why if words.has('absent', why) else 'unknown'}")
    return words.say("alert.absent", who=blocks.mention(away), why=said)


def _head(entry: Entry, what: str) -> str:
    """What is due, or overdue, and how long it still is."""
    due_at, is_warning = moment(entry.data.get("due_at")), entry.data.get("alert") == "warning"
    if due_at is None:
        return words.say("alert.due_soon" if is_warning else "alert.overdue_plain", what=what)
    at = blocks.date(due_at)
    if not is_warning:
        return words.say("alert.overdue", what=what, at=at)
    left = "" if entry.data.get("late") else words.left(due_at - entry.at)
    return (
        words.say("alert.due_left", what=what, at=at, left=left) if left else words.say("alert.due", what=what, at=at)
    )


def _case(card: CardView, link: str | None) -> str:
    number = f"#{card.conversation.number}"
    name = text.inert_mrkdwn(text.excerpt(card.customer_name, blocks.NAME_LIMIT))
    return f"<{link}|{number}> {name}" if link else words.say("alert.conversation", number=number, name=name)


def _buttons(entry: Entry) -> Block:
    value = blocks.button_value(entry.conversation_id, None)
    elements: list[Block] = [blocks.button(words.say("alert.acknowledge"), "acknowledge", value)]
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
            for reason, said in words.group("excuse").items()
        ]
        elements.append(
            {
                "type": "static_select",
                "action_id": "excuse",
                "placeholder": blocks.plain(words.say("alert.excuse")),
                "options": options,
            }
        )
    return {"type": "actions", "block_id": f"alert:{entry.id}", "elements": elements}
