"""A conversation as plain text: who said what and when, and what was done, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from domain import text
from domain.model import Actor, ActorKind, Entry, EntryKind
from domain.ports import File

_SAID = {
    EntryKind.INCOMING: "customer",
    EntryKind.INCOMING_EDIT: "customer, changed",
    EntryKind.OUTGOING: "answer",
    EntryKind.AUTOMATIC: "automatic",
    EntryKind.NOTE: "note",
    EntryKind.REACTION: "reaction",
}
_DONE = frozenset(
    {
        EntryKind.OPENED,
        EntryKind.REOPENED,
        EntryKind.STATUS,
        EntryKind.PRIORITY,
        EntryKind.QUEUE,
        EntryKind.ASSIGNEE,
        EntryKind.LABEL,
        EntryKind.DELIVERED,
        EntryKind.NOT_DELIVERED,
        EntryKind.JOINED,
        EntryKind.MUTED,
    }
)

Names = Callable[[str], str | None]


def write(number: int, entries: Sequence[Entry], names: Names) -> bytes:
    """The file, in UTF-8. Times are UTC; lines of clocks and readings are left out."""
    head = f"Conversation #{number}. All times are UTC.\n"
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
    if (kind := _SAID.get(entry.kind)) is not None:
        named = kind if entry.actor.kind is not ActorKind.AGENT else f"{kind} by {who}"
        files = "".join(f"\n    [{text.safe_filename(file.name)}]" for file in entry.attachments)
        return f"{named}: {text.clean(entry.body)}{files}".replace("\n", "\n    ")
    if entry.kind not in _DONE:
        return None
    change = " -> ".join(str(entry.data[end]) for end in ("from", "to") if entry.data.get(end))
    return f"[{entry.kind.value}{f' {change}' if change else ''}, {who}]"


def _who(actor: Actor, names: Names) -> str:
    if actor.kind is ActorKind.AGENT and actor.id:
        return names(actor.id) or actor.id
    return actor.kind.value
