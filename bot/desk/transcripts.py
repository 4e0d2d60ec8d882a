"""A conversation as plain text: who said what and when, and what was done, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC
from typing import Final

from bot.desk import words
from bot.desk.changed import UNTITLED, Titles, moment
from bot.desk.words import Names
from domain import text
from domain.changes import RETRY
from domain.model import Actor, ActorKind, Entry, EntryKind
from domain.ports import File

_SAID = frozenset(
    {
        EntryKind.INCOMING,
        EntryKind.INCOMING_EDIT,
        EntryKind.OUTGOING,
        EntryKind.AUTOMATIC,
        EntryKind.NOTE,
        EntryKind.REACTION,
    }
)

"""Instead of a status: an answer goes out once more."""
_ON: Final = "on"
"""From then on nothing that a customer writes is shown."""


def write(number: int, entries: Sequence[Entry], names: Names, titles: Titles = UNTITLED) -> bytes:
    """The file, in UTF-8. Times are UTC; lines of clocks and readings are left out."""
    head = words.say("transcript.head", number=number) + "\n"
    return "\n".join([head, *_lines(entries, names, titles), ""]).encode("utf-8", "replace")


def name(number: int) -> str:
    """What the file is called."""
    return f"{number}.txt"


def file(number: int, entries: Sequence[Entry], names: Names, titles: Titles = UNTITLED) -> File:
    """The file as it is sent."""
    content = write(number, entries, names, titles)

    async def stream() -> AsyncIterator[bytes]:
        yield content

    return File(name=name(number), mime="text/plain", size=len(content), open=stream)


def _lines(entries: Sequence[Entry], names: Names, titles: Titles) -> Iterator[str]:
    for entry in entries:
        if entry.kind is EntryKind.NOTE and "into" in entry.data:  # said before; it goes on where its question does
            continue
        what = _said(entry, names) if entry.kind in _SAID else _done(entry, names, titles)
        if what is not None:
            yield f"{entry.at:%Y-%m-%d %H:%M:%S}  {what}"


def _said(entry: Entry, names: Names) -> str:
    kind, who = words.say(f"transcript.{entry.kind.value}"), _who(entry.actor, names)
    named = words.say("transcript.said_by", what=kind, who=who) if entry.actor.kind is ActorKind.AGENT else kind
    files = "".join(f"\n    [{text.safe_filename(file.name)}]" for file in entry.attachments)
    said = words.say("transcript.said", who=named, words=f"{text.clean(entry.body) or _told(entry)}{files}")
    return said.replace("\n", "\n    ")


def _done(entry: Entry, names: Names, titles: Titles) -> str | None:
    if not words.has("transcript_done", entry.kind.value):
        return None
    what, who = words.say(f"transcript_done.{entry.kind.value}"), _who(entry.actor, names)
    old, new = entry.data.get("from"), entry.data.get("to")
    if entry.kind is EntryKind.STATUS and new == RETRY:
        return words.say("transcript.done", what=words.say("transcript.sent_again"), who=who)
    if entry.kind is EntryKind.MUTED:
        what = what if new == _ON else words.say("transcript.heard_again")
        return words.say("transcript.done", what=what, who=who)
    ends = [old, new] if old != new else [new]
    if change := " → ".join(_end(entry.kind, end, names, titles) for end in ends if end):
        return words.say("transcript.changed", what=what, change=change, who=who)
    return words.say("transcript.done", what=what, who=who)


def _told(entry: Entry) -> str:
    """What a fixed text was about: its words stand in no timeline. Nothing for what people wrote."""
    if entry.kind is not EntryKind.AUTOMATIC:
        return ""
    said, at = str(entry.data.get("text") or ""), moment(entry.data.get("at"))
    if at is not None and words.has("told", said):
        return words.say(f"told.{said}", at=f"{at.astimezone(UTC):%Y-%m-%d %H:%M}")
    about = said.partition("_")[0]
    return words.say(f"told.{about if words.has('told', about) else 'other'}")


def _end(kind: EntryKind, value: object, names: Names, titles: Titles) -> str:
    """What something was or became, as people call it; what nobody has a name for stays as it is."""
    word = str(value)
    if kind in (EntryKind.STATUS, EntryKind.PRIORITY):
        return words.named(kind.value, word)
    called = names(word) if kind is EntryKind.ASSIGNEE else titles.get(kind.value, {}).get(word)
    return text.clean(called or word)


def _who(actor: Actor, names: Names) -> str:
    if actor.kind is ActorKind.AGENT and actor.id:
        return names(actor.id) or actor.id
    return words.named("actor", actor.kind.value)
