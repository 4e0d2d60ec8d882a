"""A change of a conversation in one line: what it was, what it is, who did it, and why."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bot.desk import blocks, words
from bot.desk.words import Names
from domain import text
from domain.changes import RETRY
from domain.model import ActorKind, Entry, EntryKind
from domain.ports import CardView

PRODUCT: Final = "Relaydesk"

Titles = Mapping[str, Mapping[str, str]]
"""What queues (under "queue") and topics (under "label") are called, by their ids."""
UNTITLED: Final[Titles] = {}


def titles_of(card: CardView | None) -> Titles:
    """The names that a card's view knows."""
    return UNTITLED if card is None else {"queue": dict(card.queues), "label": dict(card.intents)}


def line(entry: Entry, names: Names, titles: Titles, *, is_named: bool = True) -> str:
    """One line: what, from, to, who unless not `is_named`, why; mrkdwn, escaped."""
    data = entry.data
    why = words.excuse if entry.kind is EntryKind.EXCUSED else words.why
    old = _shown(entry.kind, data.get("from"), names, titles)
    new = _shown(entry.kind, data.get("to"), names, titles)
    if entry.kind is EntryKind.STATUS:  # as on its card
        old = words.say("change.snoozed") if data.get("slept") else old
        new = words.say("change.snoozed") if data.get("until") else new
    if entry.kind is EntryKind.ASSIGNEE:
        said = _assignee(entry, new)
    elif entry.kind is EntryKind.STATUS and data.get("to") == RETRY:
        said = words.say("change.answer_again")
    elif entry.kind is EntryKind.LABEL and old and old == new:
        said = words.say("change.topic_confirmed", new=new)
    elif entry.kind in _CHANGED:
        what, new = words.say(f"change.{_CHANGED[entry.kind]}"), new or words.say("change.none")
        said = words.say("change.from_to" if old else "change.to", what=what, old=old, new=new)
    elif entry.kind is EntryKind.MUTED:
        said = _muted(data)
    elif entry.kind is EntryKind.JOINED:
        said = words.say("change.joined", number=data.get("number"))
    elif entry.kind is EntryKind.REACHABLE:
        reached = bool(data.get("to", data.get("reachable")))
        said = words.say("change.reachable" if reached else "change.unreachable")
    elif entry.kind is EntryKind.CONTACT:
        said = words.say(f"contact.{data.get('to') if words.has('contact', data.get('to')) else 'added'}")
    else:
        said = words.say(f"change.{entry.kind.value if words.has('change', entry.kind.value) else 'other'}")
    tail = [
        _until(data),
        text.escape_mrkdwn(words.named("outcome", data["outcome"])) if data.get("outcome") else "",
        words.say("change.into", number=data["into"]) if data.get("into") else "",
        _moved(data),
        blocks.mention(str(data.get("call") or "")),
        words.say("thread.by", who=who(entry, names)) if is_named and _is_worth_naming(entry) else "",
        "" if data.get("to") == RETRY else text.escape_mrkdwn(why(data.get("reason") or data.get("why"))),
    ]
    return blocks.SEPARATOR.join(part for part in (said, *tail) if part)


def _muted(data: Mapping[str, Any]) -> str:
    if data.get("to") == "on":
        return words.say("change.muted")
    count = data.get("count", 0)
    return words.say("change.unmuted", count=count) if count else words.say("change.unmuted_none")


def _is_worth_naming(entry: Entry) -> bool:
    """Whether the line does not say who it was: whom one cannot reach and whose number it is, it names anyway."""
    told = entry.kind in (EntryKind.REACHABLE, EntryKind.CONTACT) and entry.actor.kind is ActorKind.CUSTOMER
    return entry.actor.kind is not ActorKind.MACHINE and not told


def _until(data: Mapping[str, Any]) -> str:
    """Until when something is on hold."""
    if data.get("until") == "customer":
        return words.say("change.until_customer")
    until = moment(data.get("until"))
    return "" if until is None else words.say("change.until", until=blocks.date(until))


def _moved(data: Mapping[str, Any]) -> str:
    """The deadline that a change has moved, and where it was."""
    due, due_was = data.get("due"), data.get("due_was")
    if not due:
        return ""
    metric, at = data.get("due_metric"), blocks.date(datetime.fromisoformat(str(due)))
    what = words.named("metric", metric) if metric else words.say("change.deadline")
    if not due_was:
        return words.say("change.due", what=what, at=at)
    return words.say("change.due_was", what=what, at=at, was=blocks.date(datetime.fromisoformat(str(due_was))))


_CHANGED = {
    EntryKind.STATUS: "status",
    EntryKind.PRIORITY: "priority",
    EntryKind.QUEUE: "queue",
    EntryKind.LABEL: "label",
    EntryKind.CLOCK: "clock",
}


def _assignee(entry: Entry, new: str) -> str:
    if not new:
        return words.say("change.put_back")
    took_it = entry.actor.kind is ActorKind.AGENT and entry.actor.id == entry.data.get("to")
    if took_it:
        return words.say("change.taken")
    return words.say("change.assigned", who=blocks.mention(str(entry.data.get("to"))))


def _shown(kind: EntryKind, value: object, names: Names, titles: Titles) -> str:
    word = str(value or "")
    if not word:
        return ""
    if kind is EntryKind.ASSIGNEE:
        return text.escape_mrkdwn(names(word) or word)
    if kind in (EntryKind.STATUS, EntryKind.PRIORITY):
        return text.escape_mrkdwn(words.named(kind.value, word))
    known = titles.get("label" if kind is EntryKind.LABEL else "queue", {})
    return text.escape_mrkdwn(known.get(word, word.replace("_", " ")))


def who(entry: Entry, names: Names) -> str:
    """What whoever did it is called, escaped."""
    actor = entry.actor
    if actor.kind is ActorKind.AGENT and actor.id:
        return text.escape_mrkdwn(names(actor.id) or words.say("thread.an_agent"))
    key = {ActorKind.CUSTOMER: "the_customer", ActorKind.OPERATOR: "the_operator"}.get(actor.kind)
    return words.say(f"thread.{key}") if key else PRODUCT


def moment(value: object) -> datetime | None:
    """A time in an entry's data, None where there is none."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return None
