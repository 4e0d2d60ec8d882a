"""Keeping the search index: what was just written is packed into segments, small segments are joined into large ones.

A log-structured merge (O'Neil and others, 1996) in three sizes, so that a message costs one short row in its own
transaction and a query looks into few places. A segment is made whole under its own number and takes the place of what
it was made from in one transaction; where that changed meanwhile (an erasure) it is thrown away. Whoever dies amid the
work leaves rows that nobody reads, and that the next one removes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import Row, Table, bindparam, delete, func, insert, or_, select, update

from storage import words
from storage.database import Database
from storage.database import insert as insert_of
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import (
    conversations,
    meta,
    search_blocks,
    search_documents,
    search_fresh,
    search_segments,
    timeline,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from storage.postings import Postings

log = structlog.get_logger()

LEASE: Final = "search"
"""Who holds it packs and joins; nobody else may."""
BACKLOG: Final = "search.todo"
"""Row of `meta`: messages from before that are not in the index yet, as [after this number, up to this one]."""
PACK_AT: Final = 1_024
"""So many fresh rows become a segment."""
PACKED_AT_ONCE: Final = 8_192
JOINED: Final = 8
"""So many segments of one size become one of the next: 1,024, 8,192, 65,536 documents."""
_SIZES: Final = (PACK_AT, PACK_AT * JOINED)
_ROWS_PER_WRITE: Final = 32  # about 128 KB: a message that waits for the writer waits a few milliseconds
_IDS_PER_QUERY: Final = 5_000

_FRESH = (
    select(search_fresh.c.entry_id, search_fresh.c.words_sealed, timeline.c.seq)
    .outerjoin(timeline, timeline.c.id == search_fresh.c.entry_id)
    .order_by(search_fresh.c.entry_id)
    .limit(bindparam("b_limit"))
)
_LIVE = (
    select(search_segments)
    .where(search_segments.c.state == "live")
    .order_by(search_segments.c.first_seq, search_segments.c.id)
)
_BLOCKS = (
    select(search_blocks.c.first, search_blocks.c.block_sealed)
    .where(search_blocks.c.segment == bindparam("b_segment"))
    .order_by(search_blocks.c.first)
)
DOCUMENTS = (
    select(search_documents.c.chunk, search_documents.c.documents_sealed)
    .where(search_documents.c.segment == bindparam("b_segment"))
    .order_by(search_documents.c.chunk)
)


class MovedError(Exception):
    """What a segment was made from is no longer what it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How the index stands: rows of each kind, and how many messages from before are still to be read."""

    fresh: int
    segments: int
    documents: int
    to_do: int


class Segments:
    """Packs, joins and takes out. Only the holder of the lease calls `clear_up` and `tidy`."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    @property
    def _words(self) -> words.Words:
        return words.of(self._keys.purpose("index"))

    async def standing(self) -> Standing:
        """Count what is there."""

        async def read(conn: Connection) -> Standing:
            fresh = (await conn.execute(select(func.count()).select_from(search_fresh))).scalar_one()
            sums = select(func.count(), func.coalesce(func.sum(search_segments.c.documents), 0))
            segments, documents = (await conn.execute(sums.where(search_segments.c.state == "live"))).one()
            left = await todo(conn)
            to_do = 0 if left is None else left[1] - left[0]
            return Standing(fresh=fresh, segments=segments, documents=int(documents), to_do=to_do)

        return await self._db.query(read)

    async def clear_up(self) -> None:
        """Remove what somebody left who died amid the work. For whoever has just got the lease."""

        async def work(conn: Connection) -> None:
            await conn.execute(delete(search_segments).where(search_segments.c.state != "live"))
            known = select(search_segments.c.id)
            await conn.execute(delete(search_blocks).where(search_blocks.c.segment.not_in(known)))
            await conn.execute(delete(search_documents).where(search_documents.c.segment.not_in(known)))

        await self._db.write(work)

    async def tidy(self, *, everything: bool = False) -> bool:
        """Pack or join once; True when there may be more to do. `everything` packs however little there is."""
        return await self._pack(everything=everything) or await self._join()

    async def _pack(self, *, everything: bool) -> bool:
        from storage import postings

        async def read(conn: Connection) -> list[tuple[str, bytes, int | None]]:
            return [(one, blob, seq) for one, blob, seq in await conn.execute(_FRESH, {"b_limit": PACKED_AT_ONCE})]

        if not everything and not await self._has_enough():
            return False
        found = await self._db.query(read)
        if not found:
            return False
        known = sorted((seq, entry, blob) for entry, blob, seq in found if seq is not None)

        def opened() -> Postings:
            return postings.Postings.of([self._words.open(blob, "search_fresh", entry) for _, entry, blob in known])

        whole = await asyncio.to_thread(opened)
        await self.make([seq for seq, _, _ in known], whole, fresh=[entry for entry, _, _ in found])
        return True

    async def _has_enough(self) -> bool:
        some = select(search_fresh.c.entry_id).limit(PACK_AT).subquery()

        async def read(conn: Connection) -> int:
            return int((await conn.execute(select(func.count()).select_from(some))).scalar_one())

        return await self._db.query(read) >= PACK_AT

    async def _join(self) -> bool:
        live = await self._live()
        for size in _SIZES:
            smaller = size // JOINED if size > PACK_AT else 0
            alike = [row for row in live if smaller < row.documents <= size][:JOINED]
            if len(alike) == JOINED:
                await self._rewrite([row.id for row in alike], without=frozenset())
                return True
        return False

    async def take_out(self, seqs: Collection[int], entry_ids: Collection[str]) -> None:
        """Remove messages from the index for good, whatever else is going on. When it returns, no row names them.

        Call it after the customer's key was destroyed or their texts were removed, and before their rows in the
        timeline go. On SQLite the bytes are overwritten; see `KeyStore.destroy`.
        """
        gone = frozenset(seqs)
        for part in _slices(sorted(entry_ids), _IDS_PER_QUERY):
            await self._db.write(_removing_fresh(part))
        await self._db.write(_disturb)
        while touched := [segment for segment in await self._live() if await self._holds(segment, gone)]:
            for segment in touched:
                await self._rewrite([segment.id], without=gone)

    async def _holds(self, segment: Row[Any], seqs: frozenset[int]) -> bool:
        if not any(segment.first_seq <= seq <= segment.last_seq for seq in seqs):
            return False
        return not seqs.isdisjoint((await self._names(segment.id)).tolist())

    async def take_out_customer(self, customer_id: str) -> int:
        """Remove everything of a customer, also what stands in no conversation; returns how many lines that were."""
        own = select(conversations.c.id).where(conversations.c.customer_id == customer_id)
        of = timeline.c.conversation_id
        query = select(timeline.c.seq, timeline.c.id).where(or_(of.in_(own), of == customer_id))

        async def read(conn: Connection) -> list[tuple[int, str]]:
            return [(seq, entry) for seq, entry in await conn.execute(query)]

        found = await self._db.query(read)
        await self.take_out([seq for seq, _ in found], [entry for _, entry in found])
        return len(found)

    # ---- making -------------------------------------------------------------------------------------------------

    async def _live(self) -> Sequence[Any]:
        async def read(conn: Connection) -> Sequence[Any]:
            return (await conn.execute(_LIVE)).all()

        return await self._db.query(read)

    async def _names(self, segment: int) -> NDArray[np.int64]:
        import numpy as np

        from storage import postings

        async def read(conn: Connection) -> Sequence[Any]:
            return (await conn.execute(DOCUMENTS, {"b_segment": segment})).all()

        rows = await self._db.query(read)
        parts = [postings.names(self._words.open(blob, "search_documents", f"{segment}:{n}")) for n, blob in rows]
        return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)

    async def _postings(self, segment: int) -> Postings:
        from storage import postings

        async def read(conn: Connection) -> Sequence[Any]:
            return (await conn.execute(_BLOCKS, {"b_segment": segment})).all()

        rows = await self._db.query(read)

        def opened() -> Postings:
            return postings.read(self._words.open(blob, "search_blocks", f"{segment}:{first}") for first, blob in rows)

        return await asyncio.to_thread(opened)

    async def _rewrite(self, sources: Sequence[int], *, without: frozenset[int]) -> bool:
        """Make one segment of several, some messages left out. False when they changed meanwhile."""
        import numpy as np

        from storage import postings

        every = [await self._names(segment) for segment in sources]
        parts = [await self._postings(segment) for segment in sources]

        def merged() -> tuple[NDArray[np.int64], Postings]:
            offsets = np.cumsum([0, *(len(names) for names in every)])
            names = np.concatenate(every)
            whole = postings.Postings.joined(parts, offsets[:-1].tolist())
            # Ascending, whatever overlaps; what is left out has no place.
            order = np.argsort(names, kind="stable")
            left = order[~np.isin(names[order], np.fromiter(without, dtype=np.int64, count=len(without)))]
            places = np.full(len(names), -1, dtype=np.int64)
            places[left] = np.arange(len(left))
            return names[left], whole.renumbered(places)

        names, whole = await asyncio.to_thread(merged)
        return await self.make(names.tolist(), whole, sources=sources)

    async def make(
        self,
        seqs: list[int],
        whole: Postings,
        *,
        sources: Sequence[int] = (),
        fresh: Sequence[str] = (),
        finish: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> bool:
        """Write a segment (`seqs` ascending, by their places) and let it take the place of `sources` and `fresh`.

        False when those changed meanwhile: nothing is different then.
        """
        segment = None if not seqs else await self._write(seqs, whole)

        async def switch(conn: Connection) -> None:
            live = (search_segments.c.id.in_(sources), search_segments.c.state == "live")
            gone = await conn.execute(delete(search_segments).where(*live).returning(search_segments.c.id))
            if len(gone.all()) != len(sources):
                raise MovedError
            for part in _slices(fresh, _IDS_PER_QUERY):
                ids = search_fresh.c.entry_id.in_(part)
                taken = await conn.execute(delete(search_fresh).where(ids).returning(search_fresh.c.entry_id))
                if len(taken.all()) != len(part):
                    raise MovedError
            if segment is not None:
                mine = update(search_segments).where(search_segments.c.id == segment).values(state="live")
                if len((await conn.execute(mine.returning(search_segments.c.id))).all()) != 1:
                    raise MovedError
            if finish is not None:
                await finish(conn)

        try:
            await self._db.write(switch)
        except MovedError:
            log.info("search.made_again", segment=segment)
            if segment is not None:
                await self._drop([segment])
            return False
        await self._drop(sources)
        return True

    async def _write(self, seqs: list[int], whole: Postings) -> int:
        import numpy as np

        from storage import postings

        values = {"documents": len(seqs), "first_seq": seqs[0], "last_seq": seqs[-1], "state": "making"}

        async def number(conn: Connection) -> int:
            made = await conn.execute(insert(search_segments).values(values).returning(search_segments.c.id))
            return int(made.scalar_one())

        segment = await self._db.write(number)
        hashed = self._words

        def sealed() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
            made = [
                {
                    "segment": segment,
                    "first": first,
                    "block_sealed": hashed.seal(block, "search_blocks", f"{segment}:{first}"),
                }
                for first, block in postings.blocks(whole)
            ]
            packed = postings.chunks(np.array(seqs, dtype=np.int64))
            return made, [
                {
                    "segment": segment,
                    "chunk": n,
                    "documents_sealed": hashed.seal(chunk, "search_documents", f"{segment}:{n}"),
                }
                for n, chunk in enumerate(packed)
            ]

        blocks, documents = await asyncio.to_thread(sealed)
        for table, rows in ((search_blocks, blocks), (search_documents, documents)):
            for part in _slices(rows, _ROWS_PER_WRITE):
                await self._db.write(_inserting(table, part))
        return segment

    async def _drop(self, segments: Sequence[int]) -> None:
        """Remove the rows of segments that nobody reads any more."""
        for segment in segments:

            async def work(conn: Connection, segment: int = segment) -> None:
                for table in (search_blocks, search_documents):
                    await conn.execute(delete(table).where(table.c.segment == segment))
                making = (search_segments.c.id == segment, search_segments.c.state != "live")
                await conn.execute(delete(search_segments).where(*making))

            await self._db.write(work)


async def todo(conn: Connection) -> tuple[int, int, int] | None:
    """Messages that are to be read yet: after this number, up to this one; and how often that was disturbed."""
    found = (await conn.execute(select(meta.c.value).where(meta.c.name == BACKLOG))).scalar()
    if found is None:
        return None
    after, last, *disturbed = json.loads(found)
    return int(after), int(last), int(sum(disturbed))


async def note(conn: Connection, left: tuple[int, int, int] | None) -> None:
    """Write what is to be read yet."""
    if left is None:
        await conn.execute(delete(meta).where(meta.c.name == BACKLOG))
        return
    value = json.dumps(list(left))
    statement = insert_of(conn, meta).values(name=BACKLOG, value=value)
    await conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


async def _disturb(conn: Connection) -> None:
    """Make whoever is reading messages from before read those again that are not in the index yet."""
    left = await todo(conn)
    if left is not None:
        after, last, times = left
        await note(conn, (after, last, times + 1))


def _removing_fresh(part: Sequence[str]) -> Callable[[Connection], Awaitable[None]]:
    async def work(conn: Connection) -> None:
        await conn.execute(delete(search_fresh).where(search_fresh.c.entry_id.in_(part)))

    return work


def _inserting(table: Table, rows: Sequence[dict[str, Any]]) -> Callable[[Connection], Awaitable[None]]:
    async def work(conn: Connection) -> None:
        await conn.execute(insert(table), list(rows))

    return work


def _slices(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
