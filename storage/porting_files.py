"""Kept files as lines of an export, and back: a file is one line, followed by its pieces, and is taken over as a whole.

They stand behind their customer's other lines, one file after the other, so that never more than one is in memory.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import select

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
        yield shapes.written(FILE, file, None)
        for place in range(file["pieces"]):
            wanted = {"b_blob": file["blob"], "b_place": place}
            async with database.read() as conn:
                piece = (await conn.execute(attachments.PIECE, wanted)).mappings().first()
            if piece is None:
                raise CannotDecrypt(f"piece {place} of the file {file['blob']} is missing")
            content = _opened(dict(piece), key)
            line = shapes.written(PIECE, dict(piece), None)
            yield {**line, "bytes": base64.b64encode(content).decode("ascii")}


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


async def take(database: Database, keys: KeyStore, group: Sequence[shapes.Line]) -> int:
    """Take a file over in one transaction; 0 where it is here already. Raises BadLine."""
    found, file = check(group), group[0]
    key = (await keys.data_keys([file["customer_id"]])).get(file["customer_id"])
    if key is None:
        raise shapes.BadLine("the customer of this file is not here: take their other lines over first")
    row = shapes.stored(FILE, file, None)
    pieces = [
        {
            **shapes.stored(PIECE, line, None),
            "bytes_sealed": crypto.seal(
                key, content, attachments.bound(line["blob"], line["place"], last=bool(line["last"]))
            ),
        }
        for line, content in zip(group[1:], found, strict=True)
    ]
    of = select(timeline.c.id).join(customers, customers.c.id == timeline.c.customer_id)
    whose = of.where(
        timeline.c.id == file["entry_id"], customers.c.id == file["customer_id"], customers.c.erased_at.is_(None)
    )
    here = {"b_entry": file["entry_id"], "b_part": file["part"]}

    async def work(conn: Connection) -> int:
        if (await conn.execute(whose)).first() is None:
            raise shapes.BadLine("the message of this file is not here: take its customer's other lines over first")
        if (await conn.execute(attachments.KEPT, here)).first() is not None:
            return 0
        await conn.execute(insert_once(conn.dialect.name, attachment_pieces), pieces)
        await conn.execute(insert_once(conn.dialect.name, kept_files), [row])
        return 1

    return await database.write(work)
