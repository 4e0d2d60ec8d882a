"""The format in which customers get their data: published as JSON Schema, and kept compatible within its version."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = "relaydesk.customer/1"
SCHEMA_FILE: Final = "customer-export.schema.json"
Moment = Annotated[datetime, Field(description="UTC.")]


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
