"""A customer's data as they are given it: one format, published as JSON Schema, and the zip that carries it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from bot import export_page
from domain import text
from domain.errors import DeliveryError
from domain.model import Entry, EntryKind
from domain.ports import File
from domain.sla import EventKind
from storage.dossier import Dossier

FORMAT: Final = "relaydesk.customer/1"
SCHEMA_FILE: Final = "customer-export.schema.json"
LIMIT_BYTES: Final = 45_000_000
"""Of one zip: it is made in memory, and a chat platform must still take it."""
Moment = Annotated[datetime, Field(description="UTC.")]
OpenFile = Callable[[Entry, int], Awaitable[File]]
"""Opens a file of a message by its place among them. Raises a DeliveryError."""


class Part(BaseModel):
    """A part of the export."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FilePart(Part):
    """A file that came with a message. `path` is where it lies in the zip; without it `missing` says why not."""

    name: str
    kind: str
    mime: str
    size: int | None = Field(default=None, description="Bytes.")
    path: str | None = None
    missing: str | None = None


class EntryPart(Part):
    """One line of the history: a message, a note about the customer, or a change."""

    id: str
    kind: str = Field(description="What it is: incoming, outgoing, automatic, note, status, consent, ...")
    by: str = Field(description="customer, agent, machine or operator; agents are not named.")
    at: Moment
    text: str = ""
    about: dict[str, Any] = Field(default_factory=dict, description="States and reasons, no personal text.")
    files: tuple[FilePart, ...] = ()


class ConversationPart(Part):
    """A conversation with its whole history."""

    number: int
    channel: str
    status: str
    priority: str
    queue: str
    topic: str | None = None
    opened_at: Moment
    resolved_at: Moment | None = None
    history: tuple[EntryPart, ...] = ()


class IdentityPart(Part):
    """The customer on one chat platform."""

    channel: str
    address: str = Field(description="The platform's number of the chat.")
    name: str
    username: str | None = None
    language: str | None = None
    reachable: bool


class CopyPart(Part):
    """Where else a copy of some of it lies."""

    where: str
    what: str
    until: str


class ContactPart(Part):
    """A phone number or an e-mail address."""

    kind: str = Field(description="phone or email.")
    value: str
    type: str = Field(description="mobile, landline, home, work or other.")
    source: str = Field(description="customer, agent, crm, import or model.")
    added_at: Moment
    verified_at: Moment | None = None
    verified_how: str | None = Field(default=None, description="shared, confirmed or checked.")
    reachable: bool = True
    removed_at: Moment | None = None


class ValuePart(Part):
    """What was said about the customer: by whom, when, and until when it held if it was corrected."""

    field: str
    value: str
    source: str = Field(description="customer, agent, crm, import or model.")
    at: Moment
    until: Moment | None = None
    reason: str | None = None


class Export(Part):
    """Everything that is kept about one customer."""

    format: Literal["relaydesk.customer/1"] = FORMAT
    exported_at: Moment
    customer: str = Field(description="Our id of the customer.")
    name: str
    language: str | None = None
    segments: tuple[str, ...] = ()
    known_since: Moment
    consents: dict[str, bool] = Field(default_factory=dict, description="What the customer said last, by purpose.")
    notice: str | None = Field(default=None, description="The version of the privacy notice they were sent last.")
    identities: tuple[IdentityPart, ...] = ()
    conversations: tuple[ConversationPart, ...] = ()
    other: tuple[EntryPart, ...] = Field(default=(), description="What belongs to no conversation.")
    profile: tuple[ValuePart, ...] = Field(default=(), description="By field, oldest first; corrected values too.")
    contacts: tuple[ContactPart, ...] = Field(default=(), description="Those taken back too.")
    linked: tuple[Export, ...] = Field(default=(), description="Other records that were found to be the same person.")
    copies: tuple[CopyPart, ...] = ()


def schema() -> dict[str, Any]:
    """The JSON Schema of an export."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Export.model_json_schema()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A finished export: the zip's bytes, and how many files it holds and lacks."""

    content: bytes
    files: int
    missing: int


def copies(dossier: Dossier) -> tuple[CopyPart, ...]:
    """Where copies live, as far as we know."""
    threads = sorted(f"{c.thread.channel}/{c.thread.ts}" for c in dossier.conversations if c.thread.ts is not None)
    found = [
        CopyPart(where="Relaydesk's record", what="all of this, encrypted under a key of your own", until="erased"),
        CopyPart(where="backups of the record", what="the same, unreadable without the key", until="replaced"),
        CopyPart(where="backups of the key store", what="your key, encrypted", until="30 days after it is erased"),
    ]
    if threads:
        what = f"messages and files in the threads {', '.join(threads)}"
        found.append(CopyPart(where="Slack", what=what, until="erased, or as the workspace keeps messages"))
    found += [
        CopyPart(where=f"your chat ({channel})", what="the messages both sides sent", until="you delete them")
        for channel in sorted({identity.channel for identity in dossier.identities})
    ]
    return tuple(found)


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
        copies=copies(dossier),
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
