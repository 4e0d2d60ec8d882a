"""Finding two words among a million sealed messages, and what the index costs; SQLite's FTS5 over plain text beside it.

Texts are drawn by Zipf's law from made-up vocabularies of 30,000 English and 20,000 Chinese words, with an order number
that occurs once in every sixth message. Half of the messages are Chinese.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest import mock

from ulid import ULID

from benchmarks import kit
from domain import search, text
from domain.changes import Changes
from domain.model import Actor, ActorKind, Conversation, Customer, Entry, EntryKind, Identity, Thread
from storage import flush, migrate, words
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore, MasterRing
from storage.record import Record
from storage.search import Search
from storage.segments import Segments

MESSAGES = 1_000_000
RATIO_SHARE = 10  # each language's ratio is measured on a tenth
PER_CONVERSATION = 20
PER_BATCH = 2_000
QUERIES = 400
TIMED = 2_000
TIMED_BATCH = 16
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
Texts = Callable[[], str]


def english(rng: random.Random) -> Texts:
    """Messages of about eighteen words."""
    parts = [
        "ba",
        "con",
        "de",
        "er",
        "fi",
        "gra",
        "ing",
        "lo",
        "men",
        "no",
        "per",
        "qui",
        "re",
        "sta",
        "ti",
        "un",
        "ver",
    ]
    vocabulary = list({"".join(rng.choices(parts, k=rng.randint(1, 4))) for _ in range(45_000)})[:30_000]
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(vocabulary))))

    def said() -> str:
        count = max(2, round(rng.lognormvariate(2.75, 0.55)))
        found = rng.choices(vocabulary, cum_weights=weights, k=count)
        order = f" #{rng.randrange(10**8):08d}" if rng.random() < 1 / 6 else ""
        return " ".join(found).capitalize() + order + "."

    return said


def chinese(rng: random.Random) -> Texts:
    """Messages of about twenty-five characters."""
    signs = [chr(0x4E00 + 3 * n) for n in range(3_500)]
    sign_weights = list(accumulate(1 / (rank + 5) for rank in range(len(signs))))
    vocabulary = [
        "".join(rng.choices(signs, cum_weights=sign_weights, k=rng.choice((1, 2, 2, 2, 3)))) for _ in range(20_000)
    ]
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(vocabulary))))

    def said() -> str:
        count = max(2, round(rng.lognormvariate(2.4, 0.5)))
        found = rng.choices(vocabulary, cum_weights=weights, k=count)
        found.insert(rng.randrange(len(found)), "，")
        order = f"，订单{rng.randrange(10**8):08d}" if rng.random() < 1 / 6 else ""
        return "".join(found) + order + "。"

    return said


class Store:
    """A record of its own, filled through the same path as the worker's."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self.database = database
        self.keys = keys
        self.record = Record(database, keys)
        self.search = Search(database, keys, self.record)
        self.segments = Segments(database, keys)
        self.at = NOW

    @classmethod
    async def open(cls, stack: AsyncExitStack, folder: Path) -> Store:
        """A new one."""
        keys = await KeyStore.open(f"sqlite:///{folder / 'keys.db'}", MasterRing.generate())
        stack.push_async_callback(keys.close)
        database = await stack.enter_async_context(Database.open(f"sqlite:///{folder / 'record.db'}"))
        await migrate.upgrade(database)
        return cls(database, keys)

    async def write(self, texts: Sequence[str]) -> None:
        """Conversations of twenty messages each, in one transaction."""
        decisions = []
        for start in range(0, len(texts), PER_CONVERSATION):
            customer = Customer(id=str(ULID()), name=f"Customer {start}", language="en", created_at=self.at)
            identity = Identity(
                id=str(ULID()), customer_id=customer.id, channel="telegram", address=str(ULID()), name=customer.name
            )
            conversation = Conversation(
                id=str(ULID()),
                number=0,
                customer_id=customer.id,
                identity_id=identity.id,
                channel="telegram",
                lane=str(ULID()),
                thread=Thread(channel="C0GENERAL"),
                queue="general",
                opened_at=self.at,
                version=-1,
            )
            entries = tuple(
                Entry(
                    id=str(ULID()),
                    conversation_id=conversation.id,
                    customer_id=customer.id,
                    kind=EntryKind.INCOMING,
                    actor=Actor(kind=ActorKind.CUSTOMER),
                    at=self.at,
                    body=said,
                )
                for said in texts[start : start + PER_CONVERSATION]
            )
            changes = Changes(
                reason="seed", customer=customer, identity=identity, conversation=conversation, entries=entries
            )
            decisions.append(flush.Decision(id=str(ULID()), changes=changes))
        self.at += timedelta(seconds=1)
        prepared = await self.record.prepare(decisions, self.at)
        await self.database.write(_flushing(prepared, self.record.audit_key))

    async def pack(self) -> None:
        """Bring what was written into segments, as the running product does."""
        while await self.segments.tidy():
            pass

    async def sizes(self) -> tuple[int, int]:
        """Bytes of the index with its pages, and of the sealed bodies."""
        async with self.database.read() as conn:
            pages = "SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'search_%' OR name LIKE 'sqlite_autoindex_search_%'"
            index = (await conn.exec_driver_sql(pages)).scalar_one()
            bodies = (await conn.exec_driver_sql("SELECT sum(length(body_sealed)) FROM timeline")).scalar_one()
        return int(index), int(bodies)


def _flushing(prepared: flush.Prepared, audit_key: bytes) -> Callable[[Connection], Awaitable[None]]:
    async def work(conn: Connection) -> None:
        await flush.write(conn, prepared, audit_key)

    return work


async def measure(folder: Path, scale: float) -> dict[str, Any]:
    """Every figure of docs/benchmarks.md, "Finding"."""
    figures: dict[str, Any] = {}
    count = int(MESSAGES * scale)
    rng = random.Random(7)
    says = {"en": english(rng), "zh": chinese(rng)}
    async with AsyncExitStack() as stack:
        figures["index_ratio_en"] = await _ratio(stack, folder / "en", says["en"], count // RATIO_SHARE)
        figures["index_ratio_zh"] = await _ratio(stack, folder / "zh", says["zh"], count // RATIO_SHARE)
        store = await Store.open(stack, folder / "both")
        samples, packing_s = await _fill(store, list(says.values()), count)
        figures["messages"] = count
        figures["packing_ms_per_message"] = round(packing_s * 1000 / count, 4)
        written = await _added(store, says["en"])
        figures["added_ms_per_message"] = round(written + packing_s * 1000 / count, 4)
        await store.pack()
        queries = [_two_words(rng, rng.choice(samples)) for _ in range(QUERIES)]
        took, spent = [], []
        for query in queries:
            started, cpu = time.perf_counter(), time.process_time()
            found = await store.search.find(query)
            took.append((time.perf_counter() - started) * 1000)
            spent.append((time.process_time() - cpu) * 1000)
            assert found.messages
        figures["p95_cpu_ms"] = round(kit.quantile(spent, 0.95), 2)
        figures["p50_ms"] = round(kit.quantile(took, 0.5), 2)
        figures["p95_ms"] = round(kit.quantile(took, 0.95), 2)
        figures |= _fts5(folder / "plain.db", count, queries)
    return figures


async def _ratio(stack: AsyncExitStack, folder: Path, say: Texts, count: int) -> float:
    """Bytes of the index over those of the sealed messages, in one language."""
    store = await Store.open(stack, folder)
    await _fill(store, [say], count)
    index, bodies = await store.sizes()
    return round(index / bodies, 3)


async def _fill(store: Store, says: Sequence[Texts], count: int) -> tuple[list[str], float]:
    """Write `count` messages; some of them, and the CPU seconds that packing took."""
    samples, packing_s = [], 0.0
    for start in range(0, count, PER_BATCH):
        texts = [says[n % len(says)]() for n in range(start, min(count, start + PER_BATCH))]
        samples.append(texts[start % len(texts)])
        await store.write(texts)
        before = time.process_time()
        await store.pack()
        packing_s += time.process_time() - before
    return samples, packing_s


async def _added(store: Store, say: Texts) -> float:
    """Milliseconds of CPU that writing what a message is found by adds to it, batches of sixteen, medians of five."""
    costs: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(10):
        is_indexed = turn % 2 == 0
        texts = [say() for _ in range(TIMED)]
        with nullcontext() if is_indexed else mock.patch.object(words, "rows", _nothing):
            before = time.process_time()
            for start in range(0, TIMED, TIMED_BATCH):
                await store.write(texts[start : start + TIMED_BATCH])
            costs[is_indexed].append((time.process_time() - before) * 1000 / TIMED)
    return sorted(costs[True])[2] - sorted(costs[False])[2]


def _nothing(_words: words.Words, _changes: Changes) -> list[dict[str, Any]]:
    return []


def _two_words(rng: random.Random, said: str) -> search.Query:
    """Two words of a message: English ones, or Chinese ones of two characters."""
    tokens = [token for token in text.words_and_bigrams(said) if not token.isdecimal() and len(token) > 1]
    return search.parse(" ".join(rng.sample(tokens, min(2, len(tokens)))))


def _fts5(file: Path, count: int, queries: Sequence[search.Query]) -> dict[str, Any]:
    """The same words and queries in FTS5, which keeps them in the clear."""
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE VIRTUAL TABLE plain USING fts5(body, content='', tokenize='unicode61')")
        rng = random.Random(7)
        says, plain = [english(rng), chinese(rng)], 0
        rows = []
        for n in range(count):
            said = says[n % 2]()
            plain += len(said.encode())
            rows.append((n, " ".join(text.words_and_bigrams(said))))
        started = time.process_time()
        db.executemany("INSERT INTO plain(rowid, body) VALUES (?, ?)", rows)
        db.commit()
        spent = time.process_time() - started
        took = []
        for query in queries:
            asked = " AND ".join(f'"{token}"' for term in query.terms for token in term.body_choices[0])
            started = time.perf_counter()
            db.execute("SELECT rowid FROM plain WHERE plain MATCH ? ORDER BY rowid DESC LIMIT 20", (asked,)).fetchall()
            took.append((time.perf_counter() - started) * 1000)
        pages = db.execute("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'plain_%'").fetchone()[0]
    return {
        "fts5_p95_ms": round(kit.quantile(took, 0.95), 2),
        "fts5_ratio": round(pages / plain, 3),
        "fts5_ms_per_message": round(spent * 1000 / count, 4),
    }


def main() -> None:
    """Measure and print."""
    options = kit.arguments("Finding two words among a million sealed messages.").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), options.scale))
    kit.show(figures, as_json=options.json)


if __name__ == "__main__":
    main()
