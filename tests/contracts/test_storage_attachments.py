"""Files are kept sealed, piece by piece, and nobody can cut, mix or read them without the customer's key."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from domain import errors
from domain.model import Attachment, Entry
from domain.ports import File
from domain.retention import Rule, What
from storage import attachments, shapes, tables
from storage.attachments import PIECE_BYTES, Attachments
from storage.erasures import Erasures
from storage.holds import Holds
from storage.porting import Porting
from storage.retention import Retention
from tests.contracts import storage_kit
from tests.contracts.storage_kit import NOW, Process, Story, at, new_id, story
from tests.contracts.test_storage_porting import Make

LARGEST = 3_000_000
BILL = Attachment(id="u1", kind="document", platform_id="f1", name="bill.pdf", mime="application/pdf")


def kept_by(one: Process, largest: int | None = LARGEST) -> Attachments:
    return Attachments(one.db, one.keys, lambda: NOW, largest=largest)


def streamed(content: bytes, *, size: int | None = None, broken: Exception | None = None) -> File:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 50_000):
            yield content[start : start + 50_000]
        if broken is not None:
            raise broken

    return File(name="bill.pdf", mime="application/pdf", size=size, open=pieces)


async def whole(file: File | None) -> bytes:
    assert file is not None
    return b"".join([piece async for piece in file.open()])


async def wrote(one: Process, address: str = "4711") -> tuple[Story, Entry]:
    ann = story(address=address)
    said = replace(ann.said("my bill"), attachments=(BILL,))
    await one.decide(replace(ann.opening(), entries=(said,)))
    return ann, said


@pytest.mark.parametrize(
    "size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 5 * PIECE_BYTES, LARGEST], ids=str
)
async def test_a_file_comes_back_as_it_came(one: Process, size: int) -> None:
    """Byte for byte, at the borders of pieces and at the limit, with its name, type and size; and only sealed."""
    _, said = await wrote(one)
    content = os.urandom(size)
    store = kept_by(one)
    given = await store.keep(said, 0, streamed(content))
    found = await kept_by(one, None).find(said, 0)
    assert found is not None
    assert await whole(given) == await whole(found) == content
    assert (found.name, found.mime, found.size) == ("bill.pdf", "application/pdf", size)
    used = await store.used()
    assert (used.files, used.bytes) == (1, size)
    pieces = await one.rows(tables.attachment_pieces)
    assert len(pieces) == max(1, -(-size // PIECE_BYTES))
    assert all(content[:100] not in row["bytes_sealed"] for row in pieces if size > 100)


async def test_what_is_too_large_goes_as_it_came(one: Process) -> None:
    """Said to be too large, or found to be: it is not kept, nothing of it is left, and it is relayed all the same."""
    _, said = await wrote(one)
    content = os.urandom(LARGEST + 1)
    for file in (streamed(content, size=len(content)), streamed(content)):
        assert await whole(await kept_by(one).keep(said, 0, file)) == content
    assert await whole(await kept_by(one, None).keep(said, 0, streamed(b"small"))) == b"small"
    assert await kept_by(one).find(said, 0) is None
    assert await one.rows(tables.attachment_pieces) == []


async def test_a_transfer_that_breaks_off_leaves_nothing(one: Process) -> None:
    """Half a file is nobody's file: the next try begins anew."""
    _, said = await wrote(one)
    content = os.urandom(2_000_000)
    with pytest.raises(errors.RetryLater):
        await kept_by(one).keep(said, 0, streamed(content, broken=errors.RetryLater("unreachable")))
    assert await one.rows(tables.attachment_pieces) == []
    assert await whole(await kept_by(one).keep(said, 0, streamed(content))) == content


async def test_a_file_that_was_cut_or_mixed_does_not_open(one: Process) -> None:
    """Whoever can write to the database cannot shorten a file, swap its pieces, or put another's in their place."""
    _, said = await wrote(one)
    _, other = await wrote(one, "4712")
    store, content = kept_by(one), os.urandom(3 * PIECE_BYTES)
    await store.keep(said, 0, streamed(content))
    await store.keep(other, 0, streamed(os.urandom(3 * PIECE_BYTES)))
    rows = {(row["blob"], row["place"]): row["bytes_sealed"] for row in await one.rows(tables.attachment_pieces)}
    mine = next(row["blob"] for row in await one.rows(tables.attachments) if row["entry_id"] == said.id)
    theirs = next(blob for blob, _ in rows if blob != mine)
    piece, named = tables.attachment_pieces, tables.attachments

    async def put(place: int, sealed: bytes) -> None:
        here = (piece.c.blob == mine) & (piece.c.place == place)
        await one.db.write(lambda conn: conn.execute(update(piece).where(here).values(bytes_sealed=sealed)))

    for wrong in (rows[mine, 1], rows[theirs, 0]):
        await put(0, wrong)
        with pytest.raises(errors.NeverPossible, match="gone"):
            await whole(await store.find(said, 0))
    await put(0, rows[mine, 0])
    assert await whole(await store.find(said, 0)) == content
    shorter = update(named).where(named.c.entry_id == said.id).values(pieces=2)
    await one.db.write(lambda conn: conn.execute(shorter))
    with pytest.raises(errors.NeverPossible, match="gone"):
        await whole(await store.find(said, 0))
    await one.db.write(lambda conn: conn.execute(update(named).values(pieces=3)))
    await one.db.write(lambda conn: conn.execute(delete(piece).where(piece.c.blob == mine, piece.c.place == 2)))
    with pytest.raises(errors.NeverPossible, match="gone"):
        await whole(await store.find(said, 0))


async def test_where_a_kept_file_is_damaged_the_platforms_goes_on(one: Process) -> None:
    """From the byte on where ours ends; what the platform says is told, and another file is none."""
    _, said = await wrote(one)
    store, content = kept_by(one), os.urandom(3 * PIECE_BYTES)
    await store.keep(said, 0, streamed(content))
    piece = tables.attachment_pieces
    damage = update(piece).where(piece.c.place == 1).values(bytes_sealed=b"\x01" + os.urandom(60))
    await one.db.write(lambda conn: conn.execute(damage))

    async def fetch(about: Attachment) -> File:
        assert about == BILL
        return streamed(theirs)

    async def away(_about: Attachment) -> File:
        raise errors.RetryLater("unreachable")

    theirs = content
    assert await whole(await store.through(said, 0, fetch)) == content
    theirs = content + b"!"
    with pytest.raises(errors.NeverPossible, match="gone"):
        await whole(await store.through(said, 0, fetch))
    with pytest.raises(errors.RetryLater):
        await whole(await store.through(said, 0, away))


async def test_an_erased_customers_files_are_noise_and_then_gone(one: Process) -> None:
    """Without the key nothing opens, nothing more is kept, and what was is taken away; others' files stay."""
    ann, said = await wrote(one)
    _, other = await wrote(one, "4712")
    store = kept_by(one)
    for entry in (said, other):
        await store.keep(entry, 0, streamed(os.urandom(300_000)))
    await one.keys.destroy(ann.customer.id, at(1))
    with pytest.raises(errors.KeyDestroyed):
        await store.find(said, 0)
    with pytest.raises(errors.KeyDestroyed):
        await store.keep(said, 0, streamed(b"more"))
    await attachments.forget(one.db, ann.customer.id)
    assert {row["entry_id"] for row in await one.rows(tables.attachments)} == {other.id}
    assert {row["customer_id"] for row in await one.rows(tables.attachment_pieces)} == {other.customer_id}


async def test_two_who_keep_the_same_file_keep_it_once(one: Process) -> None:
    """Whoever is second takes their own pieces away and gives the first one's."""
    _, said = await wrote(one)
    await kept_by(one).keep(said, 0, streamed(b"first"))
    assert await whole(await kept_by(one).keep(said, 0, streamed(b"second"))) == b"first"
    assert len(await one.rows(tables.attachment_pieces)) == 1


async def test_what_a_dead_process_left_is_swept_away(one: Process) -> None:
    """Pieces that nothing names for a day; not those that may still be being written."""
    _, said = await wrote(one)
    store = kept_by(one)
    await store.keep(said, 0, streamed(b"kept"))
    orphan = {"blob": "0" * 26, "place": 0, "last": 0, "customer_id": said.customer_id, "bytes_sealed": b"x"}
    young = {**orphan, "blob": "7" + "Z" * 25}
    await one.db.write(lambda conn: conn.execute(tables.attachment_pieces.insert().values([orphan, young])))
    await store.sweep()
    assert orphan["blob"] not in {row["blob"] for row in await one.rows(tables.attachment_pieces)}
    later = Attachments(one.db, one.keys, lambda: NOW + timedelta(days=2))
    await later.sweep()
    _, other = await wrote(one, "4712")
    await store.keep(other, 0, streamed(b"left by an erasure that knew no files"))
    erased = update(tables.customers).where(tables.customers.c.id == other.customer_id).values(erased_at=1.0)
    await one.db.write(lambda conn: conn.execute(erased))
    _, emptied = await wrote(one, "4713")
    await store.keep(emptied, 0, streamed(b"left by retention, which was killed"))
    nameless = update(tables.timeline).where(tables.timeline.c.id == emptied.id).values(files_sealed=None)
    await one.db.write(lambda conn: conn.execute(nameless))
    await later.sweep()
    blobs = {row["blob"] for row in await one.rows(tables.attachment_pieces)}
    named = {row["blob"] for row in await one.rows(tables.attachments)}
    assert blobs == {*named, young["blob"]}
    assert {row["entry_id"] for row in await one.rows(tables.attachments)} == {said.id}
    assert timedelta(days=1) == attachments.ABANDONED


async def test_kept_files_go_out_and_come_in_with_the_record(make_database: Make) -> None:
    """Out of one record, into another under keys of its own, the same bytes; what was cut or changed is refused."""
    content = os.urandom(2 * PIECE_BYTES + 5)
    async with (
        storage_kit.process(make_database("one"), make_database("one_keys")) as one,
        storage_kit.process(make_database("two"), make_database("two_keys")) as two,
    ):
        _, said = await wrote(one)
        await kept_by(one).keep(said, 0, streamed(content))
        out = Porting(one.db, one.keys, one.inbox)
        lines = [shapes.read(json.dumps(line)) async for line in out.everything(NOW)]
        units = [
            [line for _, _, line in unit if line is not None]
            for unit in shapes.units((number, "", line) for number, line in enumerate(lines))
        ]
        whole_customer, file = units
        into = Porting(two.db, two.keys, two.inbox)
        with pytest.raises(shapes.BadLine, match="not here"):
            await into.take(file)
        await into.take(whole_customer)
        short = {**file[-1], "bytes": file[-1]["bytes"][:-4]}
        for wrong in (file[:-1], [file[0], file[2], file[1], *file[3:]], [*file[:-1], short]):
            with pytest.raises(shapes.BadLine):
                await into.take(wrong)
        assert await two.rows(tables.attachment_pieces) == []
        assert [(await into.take(file)).new for _ in range(2)] == [{"file": 1}, {"file": 0}]
        assert await whole(await kept_by(two).find(said, 0)) == content
        again = [shapes.read(json.dumps(line)) async for line in Porting(two.db, two.keys, two.inbox).everything(NOW)]
        named = {line["blob"] for line in again if "blob" in line}
        assert named.isdisjoint(line["blob"] for line in file), "a name under which nothing lay"
        nameless = [{**line, "blob": None} if "blob" in line else line for line in lines]
        assert [{**line, "blob": None} if "blob" in line else line for line in again] == nameless


async def test_what_is_taken_away_during_an_export_is_left_out(one: Process) -> None:
    """An erasure or the end of a file's time does not end it; a piece that is missing by itself does."""
    _, said = await wrote(one)
    said = replace(said, attachments=(BILL, BILL))
    for part in (0, 1):
        await kept_by(one).keep(said, part, streamed(os.urandom(PIECE_BYTES + 1)))
    blobs = {row["part"]: row["blob"] for row in await one.rows(tables.attachments)}
    out, seen = Porting(one.db, one.keys, one.inbox), []
    async for line in out.everything(NOW):
        if line["row"] in shapes.OF_FILES:
            seen.append(line["blob"])
            await attachments.drop(one.db, [blobs[1]])
    assert seen == [blobs[0]] * 3
    await one.db.write(lambda conn: conn.execute(delete(tables.attachment_pieces)))
    with pytest.raises(errors.CannotDecrypt, match="missing"):
        [line async for line in out.everything(NOW)]


async def test_an_erasure_takes_the_bytes_away(one: Process) -> None:
    """The rows go with the key, those of others stay."""
    ann, said = await wrote(one)
    _, other = await wrote(one, "4712")
    for entry in (said, other):
        await kept_by(one).keep(entry, 0, streamed(b"x" * 1000))
    erasures = Erasures(one.db, one.keys, one.segments, new_id)
    erasure = await erasures.begin(ann.customer.id, actor="os:carol", reason="asked", now=at(1))
    await erasures.go_on(erasure, at(2))
    assert {row["customer_id"] for row in await one.rows(tables.attachment_pieces)} == {other.customer_id}
    assert {row["entry_id"] for row in await one.rows(tables.attachments)} == {other.id}


async def test_retention_takes_the_bytes_and_leaves_the_names(one: Process) -> None:
    """After so many days in a closed conversation; not of an open one, nor where a hold stands."""
    entries = []
    for address in ("4711", "4712", "4713"):
        ann, said = await wrote(one, address)
        await kept_by(one).keep(said, 0, streamed(b"x" * 1000))
        entries.append((ann, said))
    (done, said), (held, kept), (_, open_still) = entries
    closed = tables.conversations.c.id.in_([done.conversation.id, held.conversation.id])
    values = {"status": "done", "resolved_at": NOW.timestamp()}
    await one.db.write(lambda conn: conn.execute(update(tables.conversations).where(closed).values(**values)))
    await Holds(one.db, one.keys).place(held.customer.id, hold_id=new_id(), actor="os:c", reason="lawsuit", now=NOW)
    rule = Rule(what=What.ATTACHMENTS, age=timedelta(days=10))
    store = Retention(one.db, one.segments, Erasures(one.db, one.keys, one.segments, new_id))
    assert [taken.count for taken in await store.preview([rule], at(0))] == [0]
    later = NOW + timedelta(days=11)
    assert [taken.count for taken in await store.preview([rule], later)] == [1]
    assert [taken.count for taken in await store.apply([rule], later)] == [1]
    assert {row["entry_id"] for row in await one.rows(tables.attachments)} == {kept.id, open_still.id}
    (entry,) = (await one.record.entries([said.id])).values()
    assert entry.attachments == (BILL,)
