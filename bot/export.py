"""A customer's data as they are given it: the zip with its files, its page and its `customer.json`."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bot import export_page, texts
from bot.export_format import (
    SCHEMA_FILE,
    ContactPart,
    ConversationPart,
    CopyPart,
    EntryPart,
    Export,
    FilePart,
    IdentityPart,
    ValuePart,
    schema,
)
from domain import text
from domain.errors import DeliveryError
from domain.model import Entry, EntryKind
from domain.ports import File
from domain.sla import EventKind
from storage.dossier import Dossier

LIMIT_BYTES: Final = 45_000_000
"""Of one zip: it is made in memory, and a chat platform must still take it."""
OpenFile = Callable[[Entry, int], Awaitable[File]]
"""Opens a file of a message by its place among them. Raises a DeliveryError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A finished export: the zip's bytes, and how many files it holds and lacks."""

    content: bytes
    files: int
    missing: int


def _copies(dossier: Dossier) -> tuple[CopyPart, ...]:
    """Where copies live, as far as we know, in the customer's language."""
    threads = sorted(f"{c.thread.channel}/{c.thread.ts}" for c in dossier.conversations if c.thread.ts is not None)
    channels = sorted({identity.channel for identity in dossier.identities})

    def copy(name: str, **values: str) -> CopyPart:
        said = (f"export_copy_{name}", f"export_copy_{name}_what", f"export_copy_{name}_until")
        where, what, until = (texts.text(key, dossier.customer.language, **values) for key in said)
        return CopyPart(where=where, what=what, until=until)

    return (
        *(copy(name) for name in ("record", "backups", "keys")),
        *([copy("slack", threads=", ".join(threads))] if threads else []),
        *(copy("chat", channel=channel.capitalize()) for channel in channels),
    )


async def build(
    dossier: Dossier, now: datetime, open_file: OpenFile | None, *, linked: Sequence[Dossier] = ()
) -> Package:
    """The zip: `customer.json`, its schema, `index.html` to read, and the files.

    Without `open_file` files are named only. A file that cannot be had, or that would make the zip too large, is
    listed with the reason. `linked` are the other records of the same person: they are in the same zip.
    """
    packer = _Packer(open_file)
    others = tuple([await _whole(one, now, packer) for one in linked])
    export = (await _whole(dossier, now, packer)).model_copy(update={"linked": others})
    packer.add("customer.json", export.model_dump_json(indent=2).encode())
    packer.add(SCHEMA_FILE, json.dumps(schema(), indent=2, ensure_ascii=False).encode())
    packer.add("index.html", export_page.render(export).encode())
    return packer.finish()


async def _whole(dossier: Dossier, now: datetime, packer: _Packer) -> Export:
    own = tuple(
        [
            ConversationPart(
                number=one.number,
                channel=one.channel,
                status=one.status.value,
                priority=one.priority.value,
                queue=one.queue,
                topic=one.intent,
                opened_at=one.opened_at,
                resolved_at=one.resolved_at,
                history=await packer.entries(dossier.entries.get(one.id, ())),
            )
            for one in dossier.conversations
        ]
    )
    customer = dossier.customer
    return Export(
        exported_at=now.astimezone(UTC),
        customer=customer.id,
        name=customer.name,
        language=customer.language,
        segments=customer.segments,
        known_since=customer.created_at,
        consents=dict(customer.consents),
        notice=customer.notice,
        identities=tuple(
            IdentityPart(
                channel=one.channel,
                address=one.address,
                name=one.name,
                username=one.username,
                language=one.language,
                reachable=one.reachable,
            )
            for one in dossier.identities
        ),
        conversations=own,
        other=await packer.entries(dossier.entries.get(customer.id, ())),
        profile=tuple(
            ValuePart(
                field=name,
                value=one.value,
                source=one.source.value,
                at=one.at,
                until=one.until,
                reason=one.reason,
            )
            for name, said in sorted(dossier.profile.values.items())
            for one in said
        ),
        contacts=tuple(
            ContactPart(
                kind=one.kind.value,
                value=one.value,
                type=one.type,
                source=one.source.value,
                added_at=one.added_at,
                verified_at=one.verified_at,
                verified_how=None if one.verified_how is None else one.verified_how.value,
                reachable=one.reachable,
                removed_at=one.removed_at,
            )
            for one in dossier.contacts
        ),
        copies=_copies(dossier),
    )


class _Packer:
    """The zip as it grows."""

    def __init__(self, open_file: OpenFile | None) -> None:
        self._open = open_file
        self._buffer = io.BytesIO()
        self._zip = zipfile.ZipFile(self._buffer, "w", zipfile.ZIP_DEFLATED)
        self._count = 0
        self._missing = 0

    async def entries(self, found: Sequence[Entry]) -> tuple[EntryPart, ...]:
        return tuple(
            [
                EntryPart(
                    id=entry.id,
                    kind=entry.kind.value,
                    by=entry.actor.kind.value,
                    at=entry.at,
                    text=entry.body,
                    about=_shown(entry),
                    files=tuple([await self._file(entry, place) for place in range(len(entry.attachments))]),
                )
                for entry in found
            ]
        )

    async def _file(self, entry: Entry, place: int) -> FilePart:
        attachment = entry.attachments[place]
        part = FilePart(name=attachment.name, kind=attachment.kind, mime=attachment.mime, size=attachment.size)
        try:
            content = await self._content(entry, place)
        except DeliveryError as error:
            self._missing += 1
            return part.model_copy(update={"missing": error.code})
        self._count += 1
        path = f"files/{self._count:04}-{text.safe_filename(attachment.name)}"
        self.add(path, content)
        return part.model_copy(update={"path": path, "size": len(content)})

    async def _content(self, entry: Entry, place: int) -> bytes:
        if self._open is None:
            raise DeliveryError("not_asked_for")
        file = await self._open(entry, place)
        held = bytearray()
        async for piece in _pieces(file):
            held += piece
            if self._buffer.tell() + len(held) > LIMIT_BYTES:
                raise DeliveryError("zip_too_large")
        return bytes(held)

    def add(self, name: str, content: bytes) -> None:
        self._zip.writestr(name, content)

    def finish(self) -> Package:
        self._zip.close()
        return Package(content=self._buffer.getvalue(), files=self._count, missing=self._missing)


async def _pieces(file: File) -> AsyncIterator[bytes]:
    async for piece in file.open():
        yield piece


_INTERNAL: Final = frozenset(
    {"sla", "of", "agent", "outbox_id", "told", "read", "instance", "line", "place"}
    | {"signed", "sent_by", "kept_by", "call"}
)
"""What in an entry points at our own rows or at colleagues."""
_OF_A_COLLEAGUE: Final = frozenset({EventKind.TAKEN.value, EventKind.TOUCHED.value})
"""Here `from` and `to` say who had the conversation, or who has it."""


def _shown(entry: Entry) -> dict[str, Any]:
    names_somebody = entry.kind is EntryKind.ASSIGNEE or entry.data.get("sla") in _OF_A_COLLEAGUE
    hidden = _INTERNAL | ({"from", "to"} if names_somebody else set())
    return {name: value for name, value in entry.data.items() if name not in hidden}
