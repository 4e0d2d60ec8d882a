"""Looking for people, conversations and messages over sealed rows: postings first, then the newest rows, opened.

Each word costs one statement whatever the number of messages: it finds in every segment the one block where the word
would stand. Which messages hold all words is computed here; rows are opened until enough of them pass the check that
hashes cannot make (phrases, Chinese of more than two characters).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, or_, select

from domain import search
from domain.model import Conversation
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
    select(search_segments.c.id, search_segments.c.last_seq)
    .where(search_segments.c.state == "live")
    .order_by(search_segments.c.last_seq.desc())
)
_NEWLY_WRITTEN = select(search_fresh.c.entry_id, search_fresh.c.words_sealed, timeline.c.seq).join(
    timeline, timeline.c.id == search_fresh.c.entry_id
)
_CHUNKS = select(search_documents.c.chunk, search_documents.c.documents_sealed).where(
    search_documents.c.segment == bindparam("b_segment"),
    search_documents.c.chunk.in_(bindparam("b_chunks", expanding=True)),
)

Choices = tuple[tuple[tuple[str, ...], ...], ...]
"""Of each term: sets of tokens, any of which a message must hold whole."""


class _Candidates(NamedTuple):
    """Numbers of messages that hold all words, newest first; `more`: there are older ones."""

    seqs: list[int]
    more: bool


class Search:
    """Implements `domain.ports.Finder`. Reads only; whoever shows what it finds writes the audit trail first."""

    def __init__(self, database: Database, keys: KeyStore, record: Record) -> None:
        self._db = database
        self._keys = keys
        self._record = record

    @property
    def _words(self) -> words.Words:
        return words.of(self._keys.purpose("index"))

    async def find(
        self, query: search.Query, *, limit: int = 20, queues: Collection[str] | None = None
    ) -> search.Found:
        """What the query asks for, at most `limit` of each, newest first; only of `queues` where they are given.

        With words, messages are looked for, and people where nothing else is asked; with filters alone, conversations.
        """
        narrowed = _conditions(query, queues)
        if not query.terms:
            asked = bool(query.numbers) or query.is_filtered
            return search.Found(conversations=await self._conversations(query, narrowed, limit) if asked else ())
        people = () if query.is_filtered or queues is not None else await self._people(query, limit)
        messages, more = await self._messages(query, narrowed, limit)
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

    async def _people(self, query: search.Query, limit: int) -> tuple[search.Person, ...]:
        found = await self._candidates(tuple(term.name_choices for term in query.terms), _PEOPLE_LOOKED_AT)
        owners = select(timeline.c.customer_id).where(timeline.c.seq.in_(found.seqs)).distinct()

        async def read(conn: Connection) -> set[str]:
            return set((await conn.execute(owners)).scalars())

        ids = await self._db.query(read) if found.seqs else set()
        known = await self._record.people(sorted(ids)[:limit])
        known += [one for one in await self._record.find_people(query.text) if one[0].id not in ids]
        return tuple(
            search.Person(customer=customer, identities=tuple(identities), conversations=count)
            for customer, identities, count in known[:limit]
            if customer.name  # an erased person has none
        )

    async def _messages(
        self, query: search.Query, narrowed: list[ColumnElement[bool]], limit: int
    ) -> tuple[tuple[search.Hit, ...], bool]:
        rows_of = (
            select(timeline, conversations.c.number, conversations.c.queue)
            .join(conversations, conversations.c.id == timeline.c.conversation_id)
            .where(*narrowed)
            .order_by(timeline.c.seq.desc())
        )
        if query.agents:
            agents = sorted(query.agents)
            rows_of = rows_of.where(or_(timeline.c.actor_id.in_(agents), conversations.c.assignee.in_(agents)))
        if query.after is not None:
            rows_of = rows_of.where(timeline.c.at >= stamp(query.after))
        if query.before is not None:
            rows_of = rows_of.where(timeline.c.at < stamp(query.before))
        choices = tuple(term.body_choices for term in query.terms)
        hits: list[search.Hit] = []
        looked_at: set[int] = set()
        # Most often the newest few pass; only where filters or phrases sort out many is it worth to list more.
        for most in (2 * limit, MOST_LOOKED_AT):
            found = await self._candidates(choices, most)
            left = [seq for seq in found.seqs if seq not in looked_at]
            for start in range(0, len(left), max(limit, _OPENED_AT_ONCE)):
                part = left[start : start + max(limit, _OPENED_AT_ONCE)]
                hits += await self._opened(query, rows_of.where(timeline.c.seq.in_(part)))
                looked_at.update(part)
                if len(hits) >= limit:
                    return tuple(hits[:limit]), len(hits) > limit or len(looked_at) < len(found.seqs) or found.more
            if not found.more:
                break
        return tuple(hits), found.more

    async def _opened(self, query: search.Query, rows_of: Select[Any]) -> list[search.Hit]:
        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(rows_of)).all()

        rows = await self._db.query(read)
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        opened = (
            search.Hit(entry=sealing.entry_of(keys[row.customer_id], row), number=row.number, queue=row.queue)
            for row in rows
            if row.customer_id in keys
        )
        return [hit for hit in opened if query.matches(hit.entry.body, *(file.name for file in hit.entry.attachments))]

    # ---- the index ----------------------------------------------------------------------------------------------

    async def _candidates(self, choices: Choices, most: int) -> _Candidates:
        """Messages that hold every term, by the index alone."""
        from storage import postings

        numbers = {token: self._words.number(token) for token in search.all_tokens(choices)}

        async def read(conn: Connection) -> _Candidates:
            blocks: dict[str, dict[int, Places]] = {}
            for token, number in numbers.items():
                held = {}
                for segment, first, blob in await conn.execute(_BLOCKS, {"b_token": number}):
                    places = postings.find(self._words.open(blob, "search_blocks", f"{segment}:{first}"), number)
                    if len(places):
                        held[segment] = places
                blocks[token] = held
            seqs = await self._fresh(conn, choices, numbers)
            more = False
            for segment, last_seq in (await conn.execute(_LIVE)).all():
                if len(seqs) >= most and last_seq <= sorted(seqs, reverse=True)[most - 1]:
                    more = True  # everything from here on is older
                    break
                places = _held({token: held.get(segment) for token, held in blocks.items()}, choices)
                if len(places):
                    more |= len(places) > most
                    seqs += await self._names(conn, segment, places[-most:])
            newest = sorted(set(seqs), reverse=True)
            return _Candidates(newest[:most], more or len(newest) > most)

        return await self._db.query(read)

    async def _fresh(self, conn: Connection, choices: Choices, numbers: Mapping[str, int]) -> list[int]:
        """Among what is not in a segment yet."""
        sought = {token: number.to_bytes(words.HASH_BYTES, "little") for token, number in numbers.items()}
        packed = [[[sought[token] for token in choice] for choice in term] for term in choices]
        found = []
        for entry, blob, seq in await conn.execute(_NEWLY_WRITTEN):
            held = self._words.open(blob, "search_fresh", entry)
            if all(any(all(_has(held, one) for one in choice) for choice in term) for term in packed):
                found.append(int(seq))
        return found

    async def _names(self, conn: Connection, segment: int, places: Places) -> list[int]:
        import numpy as np

        from storage import postings

        chunks = places // postings.CHUNK
        found = []
        wanted = np.unique(chunks).tolist()
        for chunk, blob in await conn.execute(_CHUNKS, {"b_segment": segment, "b_chunks": wanted}):
            names = postings.names(self._words.open(blob, "search_documents", f"{segment}:{chunk}"))
            found += names[places[chunks == chunk] % postings.CHUNK].tolist()
        return found


def _has(held: bytes, one: bytes) -> bool:
    """Whether packed hashes hold one, at the place of a hash."""
    at = held.find(one)
    while at >= 0 and at % words.HASH_BYTES:
        at = held.find(one, at + 1)
    return at >= 0


def _held(blocks: Mapping[str, Places | None], choices: Choices) -> Places:
    """The documents of one segment that hold every term."""
    import numpy as np

    from storage import postings

    nothing = np.empty(0, dtype=np.uint16)
    terms: list[Places] = []
    for term in choices:
        ways = [postings.meet(lists) for choice in term if (lists := _lists(blocks, choice))]
        if not ways:
            return nothing
        terms.append(postings.join(ways))
    return postings.meet(terms)


def _lists(blocks: Mapping[str, Places | None], choice: Iterable[str]) -> list[Places]:
    """The postings of all these tokens; none at all where one of them is missing."""
    found = [blocks[token] for token in choice]
    return [] if any(places is None for places in found) else [places for places in found if places is not None]


def _conditions(query: search.Query, queues: Collection[str] | None) -> list[ColumnElement[bool]]:
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
    return found if queues is None else [*found, it.queue.in_(sorted(queues))]
