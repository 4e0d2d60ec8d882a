"""Kept files as lines of an export, and back: a file is one line, followed by its pieces, and is taken over as a whole.

They stand behind their customer's other lines, one file after the other, so that never more than one is in memory.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Select, select
from ulid import ULID

from domain.errors import CannotDecrypt
from storage import attachments, crypto, shapes
from storage.database import Database, insert_once
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import attachment_pieces, customers, timeline
from storage.tables import attachments as kept_files

PIECE: Final = shapes.BY_TYPE["file_piece"]
FILE: Final = shapes.BY_TYPE["file"]


async def lines(database: Database, keys: KeyStore, customer: str) -> AsyncIterator[shapes.Line]:
    """All that is kept of a customer's files. One that was erased meanwhile has none."""
    of = select(kept_files).where(kept_files.c.customer_id == customer).order_by(kept_files.c.entry_id, "part")
    async with database.read() as conn:
        files = [dict(row._mapping) for row in await conn.execute(of)]
    key = (await keys.data_keys([customer])).get(customer) if files else None
    for file in files if key is not None else ():
        pieces = []
        for place in range(file["pieces"]):
            piece = await _one(database, attachments.PIECE, {"b_blob": file["blob"], "b_place": place})
            if piece is None:
                break
            content = base64.b64encode(_opened(piece, key)).decode("ascii")
            pieces.append({**shapes.written(PIECE, piece, None), "bytes": content})
        if len(pieces) == file["pieces"]:
            yield shapes.written(FILE, file, None)
            for line in pieces:
                yield line
            continue
        here = await _one(database, attachments.KEPT, {"b_entry": file["entry_id"], "b_part": file["part"]})
        if here is not None and here["blob"] == file["blob"]:  # else it was erased or kept long enough meanwhile
            raise CannotDecrypt(f"piece {len(pieces)} of the file {file['blob']} is missing")


async def _one(database: Database, query: Select[Any], wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    async with database.read() as conn:
        row = (await conn.execute(query, wanted)).mappings().first()
    return None if row is None else dict(row)


def _opened(piece: dict[str, Any], key: bytes | None) -> bytes:
    assert key is not None  # noqa: S101  # the caller looked
    place = attachments.bound(piece["blob"], piece["place"], last=bool(piece["last"]))
    return crypto.open_sealed(key, piece["bytes_sealed"], place)


def check(group: Sequence[shapes.Line]) -> list[bytes]:
    """The pieces of a file, in their order. Raises BadLine where one is missing, cut or of another file."""
    file, pieces = group[0], group[1:]
    found: list[bytes] = []
    for place, piece in enumerate(pieces):
        mine = piece[shapes.WHAT] == PIECE.type and piece["blob"] == file["blob"]
        if not mine or piece["customer_id"] != file["customer_id"] or piece["place"] != place:
            raise shapes.BadLine("the pieces of this file are not its own, or not in their order")
        if piece["last"] != int(place + 1 == len(pieces)):
            raise shapes.BadLine("the last piece of this file is not the one that says so")
        try:
            found.append(base64.b64decode(piece.get("bytes") or "", validate=True))
        except (binascii.Error, ValueError):
            raise shapes.BadLine("file_piece.bytes is not base64") from None
    if len(found) != file["pieces"] or sum(map(len, found)) != file["size"]:
        raise shapes.BadLine("pieces of this file are missing, or cut: copy the export again")
    return found


async def preview(database: Database, group: Sequence[shapes.Line]) -> int:
    """What `take` would return, were the file's message here. Raises BadLine."""
    check(group)
    kept = {"b_entry": group[0]["entry_id"], "b_part": group[0]["part"]}
    async with database.read() as conn:
        return int((await conn.execute(attachments.KEPT, kept)).first() is None)


async def take(database: Database, keys: KeyStore, group: Sequence[shapes.Line]) -> int:
    """Take a file over, whole or not at all; 0 where it is here already. Raises BadLine.

    It gets a name of its own, under which nothing lies yet: that of the export may be in use here. As where files are
    kept, the row that names it comes last, so that no message waits behind a large one.
    """
    found, file = check(group), group[0]
    key = (await keys.data_keys([file["customer_id"]])).get(file["customer_id"])
    if key is None:
        raise shapes.BadLine("the customer of this file is not here: take their other lines over first")
    blob = str(ULID())
    row = {**shapes.stored(FILE, file, None), "blob": blob}
    pieces = [
        {
            **shapes.stored(PIECE, line, None),
            "blob": blob,
            "bytes_sealed": crypto.seal(key, content, attachments.bound(blob, line["place"], last=bool(line["last"]))),
        }
        for line, content in zip(group[1:], found, strict=True)
    ]
    of = select(timeline.c.id).join(customers, customers.c.id == timeline.c.customer_id)
    whose = of.where(
        timeline.c.id == file["entry_id"], customers.c.id == file["customer_id"], customers.c.erased_at.is_(None)
    )
    kept = {"b_entry": file["entry_id"], "b_part": file["part"]}

    async def is_wanted(conn: Connection) -> bool:
        if (await conn.execute(whose)).first() is None:
            raise shapes.BadLine("the message of this file is not here: take its customer's other lines over first")
        return (await conn.execute(attachments.KEPT, kept)).first() is None

    async def name(conn: Connection) -> bool:
        wanted = await is_wanted(conn)
        if wanted:
            await conn.execute(insert_once(conn.dialect.name, kept_files), [row])
        return wanted

    if not await database.query(is_wanted):
        return 0
    is_ours = False
    try:
        for start in range(0, len(pieces), attachments.PIECES_AT_ONCE):
            some = pieces[start : start + attachments.PIECES_AT_ONCE]
            began = time.monotonic()
            await database.write(partial(_add, pieces=some))
            await asyncio.sleep(time.monotonic() - began)  # half of the writer's time is for messages
        is_ours = await database.write(name)
    finally:
        if not is_ours:
            await attachments.drop(database, [blob])
    return int(is_ours)


async def _add(conn: Connection, *, pieces: Sequence[dict[str, Any]]) -> None:
    await conn.execute(insert_once(conn.dialect.name, attachment_pieces), list(pieces))
