"""Looking for people, conversations and messages over sealed rows: postings first, then the newest rows, opened.

Each word costs one statement whatever the number of messages: it finds in every segment the one block where the word
would stand. Which messages hold all words is computed here; rows are opened until enough of them pass the check that
hashes cannot make (phrases, Chinese of more than two characters).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, or_, select, tuple_

from domain import search
from domain.model import Conversation, Thread
from storage import sealing, words
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.record import Record
from storage.tables import (
    conversations,
    search_blocks,
    search_documents,
    search_fresh,
    search_segments,
    stamp,
    timeline,
)

if TYPE_CHECKING:
    from storage.postings import Places

MOST_LOOKED_AT: Final = 4_000
"""Messages that hold all words and are opened, newest first, before a search gives up looking further back."""
_OPENED_AT_ONCE: Final = 24
_PEOPLE_LOOKED_AT: Final = 400

_nearest = (
    select(func.max(search_blocks.c.first))
    .where(search_blocks.c.segment == search_segments.c.id, search_blocks.c.first <= bindparam("b_token"))
    .correlate(search_segments)
    .scalar_subquery()
)
_BLOCKS = (
    select(search_blocks.c.segment, search_blocks.c.first, search_blocks.c.block_sealed)
    .join(search_segments, search_segments.c.id == search_blocks.c.segment)
    .where(search_segments.c.state == "live", search_blocks.c.first == _nearest)
)
_LIVE = (
    select(search_segments.c.id, search_segments.c.first_seq, search_segments.c.last_seq)
    .where(search_segments.c.state == "live")
    .order_by(search_segments.c.last_seq.desc())
)
_NEWLY_WRITTEN = select(search_fresh.c.entry_id, search_fresh.c.words_sealed, timeline.c.seq).join(
    timeline, timeline.c.id == search_fresh.c.entry_id
)
_CHUNKS = select(search_documents.c.segment, search_documents.c.chunk, search_documents.c.documents_sealed).where(
    # Both columns apart let SQLite use the index; pairs alone would read the whole table.
    search_documents.c.segment.in_(bindparam("b_segments", expanding=True)),
    search_documents.c.chunk.in_(bindparam("b_chunks", expanding=True)),
    tuple_(search_documents.c.segment, search_documents.c.chunk).in_(bindparam("b_pairs", expanding=True)),
)

Choices = tuple[tuple[tuple[str, ...], ...], ...]
"""Of each term: sets of tokens, any of which a message must hold whole."""


class _Segment(NamedTuple):
    """A live segment and the numbers of its first and last message."""

    id: int
    first_seq: int
    last_seq: int


class _Asked(NamedTuple):
    """A question to the index, and how many answers are worth listing."""

    choices: Choices
    most: int


class _Candidates(NamedTuple):
    """Numbers of messages that hold all words, newest first; `more`: there are older ones."""

    seqs: list[int]
    more: bool


class Search:
    """Looks for people, conversations and messages. Whoever shows what it finds writes the audit trail first."""

    def __init__(self, database: Database, keys: KeyStore, record: Record) -> None:
        self._db = database
        self._keys = keys
        self._record = record

    @property
    def _words(self) -> words.Words:
        return words.of(self._keys.purpose("index"))

    async def find(self, query: search.Query, *, limit: int = 20, hidden: Collection[str] = ()) -> search.Found:
        """What the query asks for, at most `limit` of each, newest first; nothing of the queues that are `hidden`.

        With words, messages are looked for, and people where nothing else is asked; with filters alone, conversations.
        Who was only in hidden queues is not found either.
        """
        narrowed = _conditions(query, hidden)
        if not query.terms:
            asked = bool(query.numbers) or query.is_filtered
            return search.Found(conversations=await self._conversations(query, narrowed, limit) if asked else ())
        in_messages = _Asked(tuple(term.body_choices for term in query.terms), 2 * limit)
        in_names = _Asked(query.name_choices, _PEOPLE_LOOKED_AT)
        known, *named = await self._candidates(in_messages, *([] if query.is_filtered else [in_names]))
        people = await self._people(named[0].seqs, limit, hidden) if named and named[0].seqs else ()
        messages, more = await self._messages(query, _narrowed(query, narrowed), in_messages, known, limit)
        return search.Found(people=people, messages=messages, more=more)

    async def _conversations(
        self, query: search.Query, narrowed: list[ColumnElement[bool]], limit: int
    ) -> tuple[Conversation, ...]:
        chosen = select(conversations).where(*narrowed).order_by(conversations.c.number.desc()).limit(limit)
        if query.agents:
            chosen = chosen.where(conversations.c.assignee.in_(sorted(query.agents)))
        if query.after is not None:
            chosen = chosen.where(conversations.c.opened_at >= stamp(query.after))
        if query.before is not None:
            chosen = chosen.where(conversations.c.opened_at < stamp(query.before))

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(chosen)).all()

        return tuple(sealing.conversation_of(row) for row in await self._db.query(read))

    async def _people(self, seqs: Sequence[int], limit: int, hidden: Collection[str]) -> tuple[search.Person, ...]:
        """Whom these entries were written with the names of."""
        owners = select(timeline.c.customer_id).where(timeline.c.seq.in_(seqs)).distinct()

        async def read(conn: Connection) -> set[str]:
            found = set((await conn.execute(owners)).scalars())
            return await _seen(conn, found, hidden) if hidden and found else found

        people = await self._record.people(sorted(await self._db.query(read)), hidden=hidden)
        return tuple(
            search.Person(customer=customer, identities=tuple(identities), conversations=count)
            for customer, identities, count in people
            if customer.name  # an erased person has none
        )[:limit]

    async def _messages(
        self, query: search.Query, rows_of: Select[Any], asked: _Asked, known: _Candidates, limit: int
    ) -> tuple[tuple[search.Hit, ...], bool]:
        """Open candidates, newest first, until enough of them pass; then list more of them, once."""
        hits: list[search.Hit] = []
        done: set[int] = set()
        step = max(limit, _OPENED_AT_ONCE)
        while True:
            left = [seq for seq in known.seqs if seq not in done]
            for part in (left[start : start + step] for start in range(0, len(left), step)):
                hits += await self._opened(query, rows_of.where(timeline.c.seq.in_(part)))
                done.update(part)
                if len(hits) >= limit:
                    return tuple(hits[:limit]), len(hits) > limit or len(done) < len(known.seqs) or known.more
            if not known.more or asked.most >= MOST_LOOKED_AT:
                return tuple(hits), known.more
            asked = asked._replace(most=MOST_LOOKED_AT)
            (known,) = await self._candidates(asked)

    async def _opened(self, query: search.Query, rows_of: Select[Any]) -> list[search.Hit]:
        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(rows_of)).all()

        rows = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        opened = (
            search.Hit(
                entry=sealing.entry_of(keys[row.customer_id], row),
                number=row.number,
                queue=row.queue,
                thread=Thread(channel=row.desk_channel, ts=row.desk_thread),
            )
            for row in rows
            if row.customer_id in keys
        )
        return [hit for hit in opened if query.matches(hit.entry.body, *(file.name for file in hit.entry.attachments))]

    # ---- the index ----------------------------------------------------------------------------------------------

    async def _candidates(self, *asked: _Asked) -> list[_Candidates]:
        """By question: messages that hold every term, by the index alone, in one snapshot."""
        tokens = search.all_tokens(term for one in asked for term in one.choices)
        numbers = {token: self._words.number(token) for token in tokens}

        async def read(conn: Connection) -> list[_Candidates]:
            blocks = {token: await self._blocks(conn, number) for token, number in numbers.items()}
            live = [_Segment(*row) for row in await conn.execute(_LIVE)]
            fresh = await self._fresh(conn, [one.choices for one in asked], numbers)
            return [await self._newest(conn, one, seqs, live, blocks) for one, seqs in zip(asked, fresh, strict=True)]

        return await self._db.query(read)

    async def _blocks(self, conn: Connection, number: int) -> dict[int, Places]:
        """By segment: the documents that hold a token."""
        from storage import postings

        held = {}
        for segment, first, blob in await conn.execute(_BLOCKS, {"b_token": number}):
            places = postings.find(self._words.open(blob, "search_blocks", f"{segment}:{first}"), number)
            if len(places):
                held[segment] = places
        return held

    async def _newest(
        self,
        conn: Connection,
        asked: _Asked,
        seqs: list[int],
        live: Sequence[_Segment],
        blocks: Mapping[str, Mapping[int, Places]],
    ) -> _Candidates:
        """The newest answers to one question; `seqs` are those that are in no segment yet."""
        held: dict[int, Places] = {}
        count, oldest, more = 0, 0, False
        for segment in live:
            if count >= asked.most and segment.last_seq < oldest:
                more = True  # everything from here on is older
                break
            having = {token: found[segment.id] for token, found in blocks.items() if segment.id in found}
            places = _held(having, asked.choices)
            if len(places):
                more |= len(places) > asked.most
                held[segment.id] = places[-asked.most :]
                count += len(held[segment.id])
                oldest = min(segment.first_seq, oldest or segment.first_seq)
        if held:
            seqs = seqs + await self._names(conn, held)
        newest = sorted(set(seqs), reverse=True)
        return _Candidates(newest[: asked.most], more or len(newest) > asked.most)

    async def _fresh(self, conn: Connection, asked: Sequence[Choices], numbers: Mapping[str, int]) -> list[list[int]]:
        """By question: messages among what is not in a segment yet."""
        sought = {token: number.to_bytes(words.HASH_BYTES, "little") for token, number in numbers.items()}
        packed = [[[[sought[token] for token in choice] for choice in term] for term in one] for one in asked]
        found: list[list[int]] = [[] for _ in asked]
        for entry, blob, seq in await conn.execute(_NEWLY_WRITTEN):
            held = self._words.open(blob, "search_fresh", entry)
            for terms, answers in zip(packed, found, strict=True):
                if all(any(all(_has(held, one) for one in choice) for choice in term) for term in terms):
                    answers.append(int(seq))
        return found

    async def _names(self, conn: Connection, held: Mapping[int, Places]) -> list[int]:
        """The numbers of the documents at these places, by segment."""
        import numpy as np

        from storage import postings

        chunks = {segment: places // postings.CHUNK for segment, places in held.items()}
        wanted = [(segment, chunk) for segment, own in chunks.items() for chunk in np.unique(own).tolist()]
        found: list[int] = []
        named = {"b_segments": list(held), "b_chunks": sorted({chunk for _, chunk in wanted}), "b_pairs": wanted}
        for segment, chunk, blob in await conn.execute(_CHUNKS, named):
            names = postings.names(self._words.open(blob, "search_documents", f"{segment}:{chunk}"))
            found += names[held[segment][chunks[segment] == chunk] % postings.CHUNK].tolist()
        return found


def _has(held: bytes, one: bytes) -> bool:
    """Whether packed hashes hold one, at the place of a hash."""
    at = held.find(one)
    while at >= 0 and at % words.HASH_BYTES:
        at = held.find(one, at + 1)
    return at >= 0


def _held(blocks: Mapping[str, Places], choices: Choices) -> Places:
    """The documents of one segment that hold every term, by the documents that hold each token."""
    import numpy as np

    from storage import postings

    terms: list[Places] = []
    for term in choices:
        ways = [[blocks[token] for token in choice] for choice in term if all(token in blocks for token in choice)]
        if not ways:
            return np.empty(0, dtype=np.uint16)
        terms.append(postings.join([postings.meet(lists) for lists in ways]))
    return postings.meet(terms)


async def _seen(conn: Connection, owners: set[str], hidden: Collection[str]) -> set[str]:
    """Those of these customers who had no conversation, or one in a queue that is not hidden."""
    asked = select(conversations.c.customer_id, conversations.c.queue).where(conversations.c.customer_id.in_(owners))
    had = {(customer, queue in hidden) for customer, queue in await conn.execute(asked.distinct())}
    return {one for one in owners if (one, False) in had or (one, True) not in had}


def _conditions(query: search.Query, hidden: Collection[str]) -> list[ColumnElement[bool]]:
    """What narrows conversations down, for both statements."""
    it = conversations.c
    chosen = [
        (it.number, query.numbers),
        (it.intent, query.labels),
        (it.queue, query.queues),
        (it.status, query.statuses),
        (it.channel, query.channels),
        (it.customer_id, query.customers),
    ]
    found: list[ColumnElement[bool]] = [column.in_(sorted(values)) for column, values in chosen if values]
    return [*found, it.queue.not_in(sorted(hidden))] if hidden else found


def _narrowed(query: search.Query, conditions: list[ColumnElement[bool]]) -> Select[Any]:
    """Entries with their conversation's number and queue, newest first, of those that the filters let through."""
    rows_of = (
        select(
            timeline,
            conversations.c.number,
            conversations.c.queue,
            conversations.c.desk_channel,
            conversations.c.desk_thread,
        )
        .join(conversations, conversations.c.id == timeline.c.conversation_id)
        .where(*conditions)
        .order_by(timeline.c.seq.desc())
    )
    if query.agents:
        agents = sorted(query.agents)
        rows_of = rows_of.where(or_(timeline.c.actor_id.in_(agents), conversations.c.assignee.in_(agents)))
    if query.after is not None:
        rows_of = rows_of.where(timeline.c.at >= stamp(query.after))
    if query.before is not None:
        rows_of = rows_of.where(timeline.c.at < stamp(query.before))
    return rows_of
