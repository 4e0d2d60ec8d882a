"""A conversation as plain text: who said what and when, and what was done, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from bot.desk import words
from domain import text
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

Names = Callable[[str], str | None]


def write(number: int, entries: Sequence[Entry], names: Names) -> bytes:
    """The file, in UTF-8. Times are UTC; lines of clocks and readings are left out."""
    head = words.say("transcript.head", number=number) + "\n"
    return "\n".join([head, *_lines(entries, names), ""]).encode("utf-8", "replace")


def name(number: int) -> str:
    """What the file is called."""
    return f"{number}.txt"


def file(number: int, entries: Sequence[Entry], names: Names) -> File:
    """The file as it is sent."""
    content = write(number, entries, names)

    async def stream() -> AsyncIterator[bytes]:
        yield content

    return File(name=name(number), mime="text/plain", size=len(content), open=stream)


def _lines(entries: Sequence[Entry], names: Names) -> Iterator[str]:
    for entry in entries:
        if (what := _what(entry, names)) is not None:
            yield f"{entry.at:%Y-%m-%d %H:%M:%S}  {what}"


def _what(entry: Entry, names: Names) -> str | None:
    who = _who(entry.actor, names)
    if entry.kind in _SAID:
        kind = words.say(f"transcript.{entry.kind.value}")
        named = words.say("transcript.said_by", what=kind, who=who) if entry.actor.kind is ActorKind.AGENT else kind
        files = "".join(f"\n    [{text.safe_filename(file.name)}]" for file in entry.attachments)
        said = words.say("transcript.said", who=named, words=f"{text.clean(entry.body) or _told(entry)}{files}")
        return said.replace("\n", "\n    ")
    if not words.has("transcript_done", entry.kind.value):
        return None
    change = " -> ".join(_end(entry.kind, entry.data[end]) for end in ("from", "to") if entry.data.get(end))
    kind = words.say(f"transcript_done.{entry.kind.value}")
    return f"[{kind}{f' {change}' if change else ''}, {who}]"


def _told(entry: Entry) -> str:
    """What a fixed text was about: its words stand in no timeline. Nothing for what people wrote."""
    if entry.kind is not EntryKind.AUTOMATIC:
        return ""
    about = str(entry.data.get("text") or "").partition("_")[0]
    return words.say(f"told.{about if words.has('told', about) else 'other'}")


def _end(kind: EntryKind, value: object) -> str:
    """What something was or became; ids stay as they are."""
    known = kind in (EntryKind.STATUS, EntryKind.PRIORITY) and words.has(kind.value, value)
    return words.say(f"{kind.value}.{value}") if known else str(value)


def _who(actor: Actor, names: Names) -> str:
    if actor.kind is ActorKind.AGENT and actor.id:
        return names(actor.id) or actor.id
    return words.named("actor", actor.kind.value)
