"""A database with a million running clocks, for benchmarks: bulk inserts where nobody will ever look inside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bot.ids import new_id
from bot.opening import Stores
from domain.changes import Changes, Situation
from domain.events import CustomerMessage, CustomerRef
from domain.rulebook import Rulebook
from handlers import intake
from handlers.frame import Context
from storage import flush
from storage.engines import Connection
from storage.tables import clocks, conversations, stamp

PER_CONVERSATION = 2  # a first answer and a resolution
BATCH = 250
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


async def asked(stores: Stores, rules: Rulebook, moments: Sequence[datetime]) -> list[str]:
    """Customers who wrote at these moments, written as the worker writes them; the ids of their conversations."""
    ids: list[str] = []
    for first in range(0, len(moments), BATCH):
        decisions = []
        for place, at in enumerate(moments[first : first + BATCH], first):
            context = Context(rules=rules, now=at, new_id=new_id)
            ref = CustomerRef(channel="telegram", address=new_id(), name=f"Seed {place}", language="en")
            event = CustomerMessage(customer=ref, at=at, message_id=str(place), kind="text", text="Where is it?")
            decided: Changes = intake.decide(event, Situation(lane=new_id()), None, context)
            assert decided.conversation is not None  # it was just opened
            ids.append(decided.conversation.id)
            decisions.append(flush.Decision(id=new_id(), changes=_quiet(decided)))
        prepared = await stores.record.prepare(decisions, moments[-1])
        await stores.database.write(partial(_flush, prepared, stores.record.audit_key))
    return ids


def _quiet(decided: Changes) -> Changes:
    """The decision without what would be sent."""
    return Changes(
        reason=decided.reason,
        customer=decided.customer,
        identity=decided.identity,
        conversation=decided.conversation,
        entries=decided.entries,
        clocks=decided.clocks,
    )


async def _flush(prepared: flush.Prepared, audit_key: bytes, conn: Connection) -> None:
    await flush.write(conn, prepared, audit_key)


def ballast(path: Path, count: int, now: datetime) -> None:
    """`count` running clocks of open conversations that fall due within the next year, straight into SQLite.

    The indexes are dropped and built again at the end: filling them row by row takes several times as long.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for pragma in ("synchronous=OFF", "cache_size=-262144", "temp_store=MEMORY"):
            db.execute(f"PRAGMA {pragma}")
        tables = ("conversations", "clocks")
        kept = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN (?, ?)",
            tables,
        ).fetchall()
        for name, _ in kept:
            db.execute(f'DROP INDEX "{name}"')
        db.execute("BEGIN")
        many = count // PER_CONVERSATION
        model = _model(db, "conversations")
        _insert(db, "conversations", (_conversation(model, place, now) for place in range(many)))
        _insert(db, "clocks", (row for place in range(many) for row in _clocks(place, now)))
        for _, statement in kept:
            db.execute(statement)
        db.execute("COMMIT")
        db.execute("ANALYZE")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _model(db: sqlite3.Connection, table: str) -> dict[str, Any]:
    db.row_factory = sqlite3.Row
    row = dict(db.execute(f"SELECT * FROM {table} LIMIT 1").fetchone())
    db.row_factory = None
    return row


def _insert(db: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows)
    names = list(first)
    marks = ", ".join("?" * len(names))
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
    db.execute(statement, list(first.values()))
    db.executemany(statement, (list(row.values()) for row in rows))


def ident(kind: str, place: int) -> str:
    """An id as long as a ULID, spread like ULIDs of many moments."""
    spread, digits = (place * 2654435761) % 2**40, []
    for _ in range(8):
        spread, digit = divmod(spread, 32)
        digits.append(ALPHABET[digit])
    return f"01A{kind}{''.join(digits)}{place:014d}"


def _conversation(model: dict[str, Any], place: int, now: datetime) -> dict[str, Any]:
    opened = stamp(now) - place % 86_400
    return model | {
        conversations.c.id.name: ident("C", place),
        "number": 10_000_000 + place,
        "customer_id": ident("P", place),
        "identity_id": ident("I", place),
        "lane": f"{place:064x}",
        "desk_thread": f"{place}.000100",
        "opened_at": opened,
        "unanswered_since": opened,
        "last_customer_at": opened,
    }


def _clocks(place: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number, metric in enumerate(("first_response", "resolution")):
        due = stamp(now + timedelta(hours=2)) + (place * 7919 + number) % 31_536_000
        yield {
            clocks.c.id.name: ident("KL"[number], place),
            "conversation_id": ident("C", place),
            "metric": metric,
            "instance": 1,
            "state": "running",
            "started_at": stamp(now) - place % 86_400,
            "due_at": due,
            "stopped_at": None,
            "next_alert_at": due - 900,
            "alerts_done": "[]",
        }
