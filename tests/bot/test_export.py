"""What a customer is given: complete, readable, valid by the published schema, and harmless to open."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot import export, export_format
from domain.errors import DeliveryError, NeverPossible
from domain.model import Attachment, Entry, EntryKind, Thread
from domain.ports import File
from storage.dossier import Dossier
from tests.contracts.storage_kit import AGENT, NOW, Story, story

SCHEMA = Path(__file__).parents[2] / "docs" / export_format.SCHEMA_FILE
EVIL = '<script>alert("x")</script>'


def file(name: str, size: int | None = 3, **fields: str) -> Attachment:
    """A file of a message."""
    return Attachment(id=name, kind="document", platform_id=name, name=name, mime="text/plain", size=size, **fields)


def dossier(ann: Story, *entries: Entry) -> Dossier:
    """Ann's, with one conversation in a thread."""
    return Dossier(
        customer=replace(ann.customer, consents={"training": True}, notice="1"),
        identities=(ann.identity,),
        conversations=(replace(ann.conversation, number=1042, thread=Thread(channel="C0GENERAL", ts="1.5")),),
        entries={ann.conversation.id: entries},
    )


async def opened(entry: Entry, part: int) -> File:
    """Every file holds who sent it."""
    attachment = entry.attachments[part]
    side = "agent" if entry.kind is EntryKind.OUTGOING else "customer"
    if attachment.problem is not None:
        raise DeliveryError(attachment.problem)
    if attachment.name == "gone.txt":
        raise NeverPossible("file_gone")

    async def read() -> AsyncIterator[bytes]:
        yield side.encode()

    return File(name=attachment.name, mime=attachment.mime, size=None, open=read)


async def unzipped(given: Dossier, *, with_files: bool = True) -> tuple[export.Package, dict[str, bytes]]:
    """The finished zip and what lies in it."""
    package = await export.build(given, NOW, opened if with_files else None)
    with zipfile.ZipFile(io.BytesIO(package.content)) as held:
        return package, {name: held.read(name) for name in held.namelist()}


async def test_it_holds_everything_and_reads_back_the_same() -> None:
    """Messages, notes, consents, identities and copies; what is read back is what was written."""
    ann = story("Anna Beispiel", "4711")
    said = ann.said("Where is my parcel? 我的包裹呢？", attachments=(file("a.txt"),))
    pressed = {"sent_by": AGENT.id, "kept_by": AGENT.id, "call": AGENT.id}
    answer = ann.said("Here.", kind=EntryKind.OUTGOING, actor=AGENT, attachments=(file("b.txt"),), data=pressed)
    touched = {"sla": "touched", "to": AGENT.id}
    note = ann.said("seems upset", kind=EntryKind.NOTE, actor=AGENT, data=touched)
    package, held = await unzipped(dossier(ann, said, answer, note))
    assert set(held) == {
        "customer.json",
        export_format.SCHEMA_FILE,
        "index.html",
        "files/0001-a.txt",
        "files/0002-b.txt",
    }
    assert (held["files/0001-a.txt"], held["files/0002-b.txt"]) == (b"customer", b"agent")
    assert (package.files, package.missing) == (2, 0)
    found = export_format.Export.model_validate_json(held["customer.json"])
    assert json.loads(found.model_dump_json()) == json.loads(held["customer.json"])
    assert (found.name, found.notice, found.consents) == ("Anna Beispiel", "1", {"training": True})
    (thread,) = found.conversations
    assert [(one.kind, one.by, one.text) for one in thread.history] == [
        ("incoming", "customer", said.body),
        ("outgoing", "agent", "Here."),
        ("note", "agent", "seems upset"),
    ]
    assert any("C0GENERAL/1.5" in copy.what for copy in found.copies)
    assert AGENT.id is not None
    assert AGENT.id.encode() not in held["customer.json"], "colleagues are not named"


async def test_a_file_that_cannot_be_had_is_listed_with_the_reason() -> None:
    """Gone at the platform, never fetched, or not wanted: the export goes on."""
    ann = story()
    said = ann.said("x", attachments=(file("gone.txt"), file("big.bin", problem="too_large"), file("a.txt")))
    package, held = await unzipped(dossier(ann, said))
    found = export_format.Export.model_validate_json(held["customer.json"])
    files = found.conversations[0].history[0].files
    assert [(one.name, one.missing) for one in files] == [
        ("gone.txt", "file_gone"), ("big.bin", "too_large"), ("a.txt", None)
    ]  # fmt: skip
    assert (package.files, package.missing) == (1, 2)
    _, held = await unzipped(dossier(ann, said), with_files=False)
    assert not any(name.startswith("files/") for name in held)


async def test_a_zip_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would make it too large for a chat is named instead."""
    monkeypatch.setattr(export, "LIMIT_BYTES", 4)
    ann = story()
    _, held = await unzipped(dossier(ann, ann.said("x", attachments=(file("a.txt"),))))
    found = export_format.Export.model_validate_json(held["customer.json"])
    assert found.conversations[0].history[0].files[0].missing == "zip_too_large"


async def test_the_page_is_harmless_and_in_the_customers_language() -> None:
    """Nobody's words become markup; file names lead nowhere else; there is no script at all."""
    ann = story(EVIL, "1")
    said = ann.said(f"{EVIL} & <b>", attachments=(file('../../"><img src=x onerror=alert(1)>.txt'),))
    _, held = await unzipped(dossier(replace(ann, customer=replace(ann.customer, language="zh")), said))
    page = held["index.html"].decode()
    assert "<script" not in page
    assert "onerror=" not in re.sub(r">[^<]*<", "><", page), "as text only"
    assert "您的个人信息" in page
    assert '<html lang="zh">' in page
    assert all(".." not in name and not name.startswith("/") for name in held)


def test_the_schema_is_published_as_it_is() -> None:
    """Whoever builds on docs/ gets what the product writes."""
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == export_format.schema()


async def test_times_are_utc() -> None:
    """A moment says its zone."""
    ann = story()
    _, held = await unzipped(dossier(ann, ann.said("x")))
    found = export_format.Export.model_validate_json(held["customer.json"])
    assert found.exported_at.utcoffset() == timedelta(0)
