"""Customers' and agents' files as they were relayed: sealed under the customer's key, piece by piece, in the record.

A file is cut into pieces of 128 KiB, so that memory stays bounded whatever its size. Each piece is AES-256-GCM under
the customer's own data key, bound to the name of its blob, its place and whether it is the last one: a piece that is
left out, added, exchanged or taken from another file does not open (the attacker is whoever can write to the database).
Destroying the key turns all of them to noise, in every backup too; erasing also takes the rows away.

Pieces are written in small transactions of their own, a few at a time, so that no message waits behind a large file;
the row that names a blob comes with its last pieces. What was broken off before is found by nobody and swept away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Row, bindparam, delete, func, select
from ulid import ULID

from domain import errors
from domain.model import Attachment, Entry
from domain.ports import File
from storage import crypto
from storage.database import Database, insert_once
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import attachment_pieces, attachments, customers, stamp, timeline, unstamp

log = structlog.get_logger()

PIECE_BYTES: Final = 128 * 1024
PIECES_AT_ONCE: Final = 2
"""So many are written in one transaction: a quarter of a megabyte, about as long as a batch of messages."""
TAKEN_AT_ONCE: Final = 16
BLOBS_AT_ONCE: Final = 20
ENTRIES_AT_ONCE: Final = 500
ABANDONED: Final = timedelta(days=1)
"""Pieces that nothing names for so long are of a process that died while it wrote them."""

KEPT: Final = select(attachments).where(
    attachments.c.entry_id == bindparam("b_entry"), attachments.c.part == bindparam("b_part")
)
PIECE: Final = select(attachment_pieces).where(
    attachment_pieces.c.blob == bindparam("b_blob"), attachment_pieces.c.place == bindparam("b_place")
)
_ALIVE: Final = select(customers.c.id).where(customers.c.id == bindparam("b_customer"), customers.c.erased_at.is_(None))
_OF_CUSTOMER: Final = (
    select(attachment_pieces.c.blob).where(attachment_pieces.c.customer_id == bindparam("b_customer")).distinct()
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """How many files are kept, how many bytes they have, and since when the oldest is there (None: there is none)."""

    files: int
    bytes: int
    oldest: datetime | None


Fetch = Callable[[], Awaitable[File]]
"""Asks a platform for a file. Raises DeliveryError."""


class _TooLarge(Exception):  # it never leaves this file
    """There is more of it than is kept."""


class Attachments:
    """Keeps files of up to `largest` bytes; None keeps none, and still gives what was kept. `now` is real time.

    `reached` is called when pieces are stored that nothing names yet.
    """

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        now: Callable[[], datetime],
        *,
        largest: int | None = None,
        reached: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = database
        self._keys = keys
        self._now = now
        self._largest = largest
        self._reached = reached
        self._swept: date | None = None

    async def find(self, entry: Entry, part: int, otherwise: Fetch | None = None) -> File | None:
        """A kept file, to be streamed; None where it is not here. Raises KeyDestroyed for an erased customer's.

        Streaming goes on with `otherwise`'s where ours is damaged, and raises what it does; without it NeverPossible.
        """
        row = await self._row(entry.id, part)
        if row is None:
            return None
        keys = await self._keys.data_keys([row.customer_id])
        if row.customer_id not in keys:
            raise errors.KeyDestroyed("the customer of this file was erased")
        about = entry.attachments[part]
        key = keys[row.customer_id]
        return File(
            name=about.name,
            mime=about.mime,
            size=row.size,
            open=lambda: self._read(row, key, otherwise),
            kind=about.kind,
        )

    async def through(self, entry: Entry, part: int, fetch: Callable[[Attachment], Awaitable[File]]) -> File:
        """The file as it is kept; fetched and kept the first time, so that a later try asks its platform for nothing.

        Raises what `fetch` raises, and what `keep` does.
        """
        about = entry.attachments[part]
        found = await self.find(entry, part, partial(fetch, about))
        return found if found is not None else await self.keep(entry, part, await fetch(about))

    async def keep(self, entry: Entry, part: int, file: File) -> File:
        """Read a file whole, keep it, and give it back as what was kept; one that is too large goes as it came.

        Raises what reading it raises, KeyDestroyed, or what the store raises: then nothing of it is kept.
        """
        if self._largest is None or (file.size is not None and file.size > self._largest):
            return file
        keys = await self._keys.data_keys([entry.customer_id])
        if entry.customer_id not in keys:
            raise errors.KeyDestroyed("the customer of this file was erased")
        blob = str(ULID.from_datetime(self._now()))
        try:
            await self._write(entry, part, file, blob, keys[entry.customer_id])
        except _TooLarge:
            await drop(self._db, [blob])
            return file
        except Exception:
            await drop(self._db, [blob])
            raise
        found = await self.find(entry, part)
        if found is None:  # its customer was erased at this moment
            raise errors.KeyDestroyed("the customer of this file was erased")
        return replace(found, name=file.name, mime=file.mime, kind=file.kind)

    async def used(self) -> Used:
        """What is kept of everybody."""
        query = select(func.count(), func.coalesce(func.sum(attachments.c.size), 0), func.min(attachments.c.kept_at))
        async with self._db.read() as conn:
            count, size, oldest = (await conn.execute(query)).one()
        return Used(files=count, bytes=int(size), oldest=None if oldest is None else unstamp(oldest))

    async def daily(self, now: datetime) -> None:
        """Sweep, once a day."""
        if self._swept != now.date():
            self._swept = now.date()
            await self.sweep()

    async def sweep(self) -> None:
        """Take away what a kill left: pieces never finished, and files whose message or customer was emptied."""
        before = str(ULID.from_datetime(self._now() - ABANDONED))
        named = select(attachments.c.blob).where(attachments.c.blob == attachment_pieces.c.blob)
        unfinished = select(attachment_pieces.c.blob).where(attachment_pieces.c.blob < before, ~named.exists())
        emptied = select(attachments.c.blob).join(timeline, timeline.c.id == attachments.c.entry_id)
        erased = select(attachments.c.blob).join(customers, customers.c.id == attachments.c.customer_id)
        for query in (
            unfinished.distinct(),
            emptied.where(timeline.c.files_sealed.is_(None)),
            erased.where(customers.c.erased_at.is_not(None)),
        ):
            is_more = True
            while is_more:
                async with self._db.read() as conn:
                    blobs = list((await conn.execute(query.limit(BLOBS_AT_ONCE))).scalars())
                await drop(self._db, blobs)
                is_more = len(blobs) == BLOBS_AT_ONCE

    # ---- pieces ---------------------------------------------------------------------------------------------

    async def _write(self, entry: Entry, part: int, file: File, blob: str, key: bytes) -> None:
        rows: list[dict[str, Any]] = []
        size, place = 0, 0
        held = bytearray()

        def seal(content: bytes, *, last: bool) -> None:
            rows.append(
                {
                    "blob": blob,
                    "place": place,
                    "last": int(last),
                    "customer_id": entry.customer_id,
                    "bytes_sealed": crypto.seal(key, content, bound(blob, place, last=last)),
                }
            )

        async for some in file.open():
            size += len(some)
            if self._largest is not None and size > self._largest:
                raise _TooLarge
            held += some
            while len(held) > PIECE_BYTES:  # never all of it: what is left is the last piece
                seal(bytes(held[:PIECE_BYTES]), last=False)
                del held[:PIECE_BYTES]
                place += 1
                if len(rows) == PIECES_AT_ONCE:
                    began = time.monotonic()
                    await self._add(rows)
                    self._reached()
                    rows.clear()
                    await asyncio.sleep(time.monotonic() - began)  # half of the writer's time is for messages
        seal(bytes(held), last=True)
        row = {
            "entry_id": entry.id,
            "part": part,
            "customer_id": entry.customer_id,
            "blob": blob,
            "size": size,
            "pieces": place + 1,
            "kept_at": stamp(self._now()),
        }
        if not await self._add(rows, row):  # another process was quicker, or the customer was erased
            await drop(self._db, [blob])

    async def _add(self, rows: list[dict[str, Any]], named: dict[str, Any] | None = None) -> bool:
        """Write pieces, with the last of them the row that names them; whether that row is ours."""
        pieces = list(rows)

        async def work(conn: Connection) -> bool:
            await conn.execute(insert_once(conn.dialect.name, attachment_pieces), pieces)
            if named is None:
                return True
            if (await conn.execute(_ALIVE, {"b_customer": named["customer_id"]})).first() is None:
                return False
            await conn.execute(insert_once(conn.dialect.name, attachments), [named])
            here = (await conn.execute(KEPT, {"b_entry": named["entry_id"], "b_part": named["part"]})).one()
            return bool(here.blob == named["blob"])

        return await self._db.write(work)

    async def _read(self, row: Row[Any], key: bytes, otherwise: Fetch | None) -> AsyncIterator[bytes]:
        given = 0
        for place in range(row.pieces):
            async with self._db.read() as conn:
                piece = (await conn.execute(PIECE, {"b_blob": row.blob, "b_place": place})).first()
            try:
                content = None if piece is None else _opened(piece, key, last=place + 1 == row.pieces)
            except errors.CannotDecrypt as error:
                log.error("attachment.damaged", file=row.blob, place=place, reason=str(error))
                content = None
            if content is None:
                if otherwise is None:
                    raise errors.NeverPossible("gone", "what was kept of it is taken away or damaged")
                async for some in _behind(await otherwise(), given, row.size):
                    yield some
                return
            yield content
            given += len(content)

    async def _row(self, entry_id: str, part: int) -> Row[Any] | None:
        async with self._db.read() as conn:
            return (await conn.execute(KEPT, {"b_entry": entry_id, "b_part": part})).first()


def _opened(piece: Row[Any], key: bytes, *, last: bool) -> bytes:
    return crypto.open_sealed(key, piece.bytes_sealed, bound(piece.blob, piece.place, last=last))


async def _behind(file: File, given: int, size: int) -> AsyncIterator[bytes]:
    """What comes behind the bytes that were given, of a file that must have this size."""
    seen = 0
    async for some in file.open():
        if rest := some[max(0, given - seen) :]:
            yield rest
        seen += len(some)
    if seen != size:
        raise errors.NeverPossible("gone", "the platform's is another file")


def bound(blob: str, place: int, *, last: bool) -> bytes:
    """What a piece is bound to."""
    return crypto.aad(attachment_pieces.name, "bytes", f"{blob}:{place}:{int(last)}")


async def forget(database: Database, customer_id: str) -> None:
    """Take away all that is kept of a customer's files."""
    async with database.read() as conn:
        blobs = list((await conn.execute(_OF_CUSTOMER, {"b_customer": customer_id})).scalars())
    await drop(database, blobs)


async def unname(conn: Connection, entries: Collection[str]) -> list[str]:
    """Let nobody find what is kept of these entries' files, within the caller's transaction; what is to be dropped."""
    named = attachments.c.entry_id.in_(sorted(entries))
    blobs = list((await conn.execute(select(attachments.c.blob).where(named))).scalars())
    await conn.execute(delete(attachments).where(named))
    return blobs


async def take(database: Database, entries: Sequence[str]) -> None:
    """Take away what is kept of these entries' files."""
    for start in range(0, len(entries), ENTRIES_AT_ONCE):
        some = entries[start : start + ENTRIES_AT_ONCE]
        async with database.read() as conn:
            query = select(attachments.c.blob).where(attachments.c.entry_id.in_(some))
            blobs = list((await conn.execute(query)).scalars())
        await drop(database, blobs)


async def drop(database: Database, blobs: Sequence[str]) -> None:
    """Take blobs away, the row that names each first; in steps, so that no message waits long."""
    for blob in blobs:
        await database.write(partial(_unname, blob=blob))
        while await database.write(partial(_take_some, blob=blob)):
            pass


async def _unname(conn: Connection, *, blob: str) -> None:
    await conn.execute(delete(attachments).where(attachments.c.blob == blob))


async def _take_some(conn: Connection, *, blob: str) -> bool:
    """Delete some pieces of a blob; whether there may be more."""
    some = select(attachment_pieces.c.place).where(attachment_pieces.c.blob == blob).limit(TAKEN_AT_ONCE)
    gone = await conn.execute(
        delete(attachment_pieces).where(attachment_pieces.c.blob == blob, attachment_pieces.c.place.in_(some))
    )
    return bool(gone.rowcount == TAKEN_AT_ONCE)
