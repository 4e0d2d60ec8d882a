"""Making the search index from the record again: after an upgrade to it, and after a restore, whose backups lack it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, or_, select

from storage import sealing, segments, words
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import (
    conversations,
    identities,
    search_blocks,
    search_documents,
    search_fresh,
    search_segments,
    timeline,
)

if TYPE_CHECKING:
    from storage.postings import Postings

_earlier = timeline.alias("earlier")
_IS_FIRST = ~(
    select(_earlier.c.seq)
    .where(_earlier.c.conversation_id == timeline.c.conversation_id, _earlier.c.seq < timeline.c.seq)
    .exists()
)


class Reindex:
    """Reads old messages into the index, some at a time, while new ones come in. Only for the holder of the lease."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys
        self._segments = segments.Segments(database, keys)

    async def start_over(self) -> int:
        """Empty the index and note that every message is to be read again; returns how many entries that are."""

        async def work(conn: Connection) -> int:
            for table in (search_segments, search_blocks, search_documents, search_fresh):
                await conn.execute(delete(table))
            top = (await conn.execute(select(func.max(timeline.c.seq)))).scalar() or 0
            await segments.note(conn, (0, top, 0) if top else None)
            return int(top)

        return await self._db.write(work)

    async def catch_up(self, limit: int = segments.PACK_AT) -> int:
        """Read some of the messages that are noted as not in the index yet; returns how many entries are left."""
        from storage import postings

        hashed = words.of(self._keys.purpose("index"))
        noted = await self._db.query(segments.todo)
        if noted is None:
            return 0
        after, last, _ = noted
        query = (
            select(timeline)
            .where(timeline.c.seq > after, timeline.c.seq <= last)
            .where(or_(timeline.c.body_sealed.is_not(None), timeline.c.files_sealed.is_not(None), _IS_FIRST))
            .order_by(timeline.c.seq)
            .limit(limit)
        )

        async def read(conn: Connection) -> tuple[Sequence[Any], dict[str, Any]]:
            rows = (await conn.execute(query)).all()
            firsts = select(func.min(timeline.c.seq), timeline.c.conversation_id).group_by(timeline.c.conversation_id)
            some = sorted({row.conversation_id for row in rows})
            opening = {
                seq: chat for seq, chat in await conn.execute(firsts.where(timeline.c.conversation_id.in_(some)))
            }
            who = select(conversations.c.id.label("conversation"), identities).join(
                identities, identities.c.id == conversations.c.identity_id
            )
            wanted = sorted({opening[row.seq] for row in rows if row.seq in opening})
            people = {row.conversation: row for row in await conn.execute(who.where(conversations.c.id.in_(wanted)))}
            return rows, {row.id: people.get(row.conversation_id) for row in rows if row.seq in opening}

        rows, people = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)

        def read_them() -> tuple[list[int], Postings]:
            seqs, packed = [], []
            for row in rows:
                key = keys.get(row.customer_id)
                tokens = words.tokens_of(sealing.entry_of(key, row))
                if key is not None and (who := people.get(row.id)) is not None:
                    tokens += words.names_of(sealing.identity_of(key, who))
                if tokens:
                    seqs.append(int(row.seq))
                    packed.append(hashed.pack(tokens))
            return seqs, postings.Postings.of(packed)

        seqs, whole = await asyncio.to_thread(read_them)
        reached = int(rows[-1].seq) if len(rows) == limit else last

        async def advance(conn: Connection) -> None:
            if await segments.todo(conn) != noted:
                raise segments.MovedError
            await segments.note(conn, (reached, last, 0) if reached < last else None)

        done = await self._segments.make(seqs, whole, finish=advance)
        return last - reached if done else last - after
