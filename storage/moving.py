"""Moving a store from its SQLite file to an empty PostgreSQL database, verified, and gone on with after a crash.

Tables are copied in the order of their primary keys, some thousand rows a transaction, so that the number of rows that
are there says where to go on. Nothing counts before everything was read back from both sides: per table the number of
rows and a hash over all their values. Until then the target says that it is half a move, and nothing runs over it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from sqlalchemy import Connection as SyncConnection
from sqlalchemy import Double, Float, MetaData, Row, Table, func, select
from sqlalchemy.engine import make_url

from domain.errors import CannotMove, RefusedToStart
from storage import engines, migrate, shelves, tables
from storage.database import Database

RECORD, KEYS = "record", "keys"
_MARKS: Final = "relaydesk_move"
AT_ONCE: Final = 2_000
LARGE: Final = {tables.attachment_pieces.name: 32}
"""Tables whose rows are large, and how many of them are held at a time: a few megabytes."""

Told = Callable[[float], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What was moved: rows by table, of one store."""

    kind: str
    rows: dict[str, int]


class Sums:
    """A hash over rows in any order: the sum of the hashes of each."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, values: Sequence[object]) -> None:
        """Count a row in."""
        told = hashlib.blake2b(digest_size=16)
        for value in values:
            data = _plain(value)
            told.update(struct.pack(">Q", len(data)) + data)
        self.count += 1
        self._sum = (self._sum + int.from_bytes(told.digest(), "big")) % 2**128

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sums) and (self.count, self._sum) == (other.count, other._sum)

    __hash__ = None  # type: ignore[assignment]  # it changes


def _plain(value: object) -> bytes:
    """A value as bytes, the same from either engine."""
    if value is None:
        return b"n"
    if isinstance(value, bytes):
        return b"b" + value
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, float):
        return b"f" + struct.pack(">d", value)
    if isinstance(value, int):
        return b"i" + str(int(value)).encode()
    raise CannotMove(f"a value of the kind {type(value).__name__} is not known here")


def _row(table: Table, row: Row[Any]) -> tuple[object, ...]:
    """A row of SQLite, whose floats may be whole numbers and whose numbers are of any kind."""
    return tuple(
        float(value) if isinstance(column.type, (Double, Float)) and value is not None else value
        for column, value in zip(table.columns, row, strict=True)
    )


@contextmanager
def _source(url: str) -> Iterator[SyncConnection]:
    """The file, locked: nobody writes into it while it is moved."""
    engine = engines.sqlite_engine(make_url(url), writer=True, pool_size=1)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _in_order(table: Table, connection: SyncConnection, skip: int = 0) -> Iterator[list[tuple[object, ...]]]:
    """Its rows by primary key, some at a time."""
    query = select(table).order_by(*table.primary_key.columns).offset(skip)
    held = LARGE.get(table.name, AT_ONCE)
    streaming = connection.execution_options(yield_per=held)
    for part in streaming.execute(query).partitions(held):
        yield [_row(table, row) for row in part]


def _tables(kind: str) -> list[Table]:
    known: MetaData = tables.metadata if kind == RECORD else shelves.metadata
    return list(known.sorted_tables)


def _count(table: Table, connection: SyncConnection) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _own_mark(kind: str, source: str, connection: SyncConnection) -> str:
    """What tells this move from any other: the store's own secret, hashed, and the file's place."""
    own = (
        select(tables.meta.c.value).where(tables.meta.c.name == migrate.CANARY)
        if kind == RECORD
        else select(shelves.store.c.id)
    )
    found = str(connection.execute(own).scalar_one_or_none())
    return hashlib.blake2b(f"{source}\0{found}".encode(), digest_size=16).hexdigest()


async def move(
    kind: str, source: str, target: str, *, told: Told = lambda _share: None, reached: Callable[[], None] = lambda: None
) -> Moved:
    """Move one store (RECORD or KEYS), or go on with a move that was broken off. The file stays as it is.

    `told` hears the share that is done; `reached` is called after each transaction. Raises CannotMove when the target
    holds anything that is not of this very move, or when both sides differ in the end.
    """
    with _source(source) as connection:
        counts = {table: _count(table, connection) for table in _tables(kind)}
        conn = await engines.connect(make_url(target))
        try:
            await _begin(kind, target, conn, _own_mark(kind, source, connection))
            steps = _Steps(2 * sum(counts.values()), told)
            for table in counts:
                await _copy(table, connection, conn, steps, reached)
                await _number_on(table, connection, conn)
            for table in counts:
                await _compare(table, connection, conn, steps)
            await _note(conn, "verified")
        finally:
            await conn.close()
    return Moved(kind=kind, rows={table.name: count for table, count in counts.items()})


async def finish(target: str) -> None:
    """Take the mark away: from now on the database is a store like any other."""
    conn = await engines.connect(make_url(target))
    try:
        await conn.execute(f"DROP TABLE IF EXISTS {_MARKS}")
    finally:
        await conn.close()


async def refuse_half(database: Database) -> None:
    """Raise RefusedToStart where half of a move is; nothing may run over it."""
    if database.is_sqlite:
        return
    async with database.read() as conn:
        if (await conn.exec_driver_sql(f"SELECT to_regclass('{_MARKS}')")).scalar_one() is not None:
            msg = "A move to this database was broken off: run `relaydesk db move` again, it goes on where it was."
            raise RefusedToStart(msg)


class _Steps:
    """How much is done of everything."""

    def __init__(self, everything: int, told: Told) -> None:
        self._everything = max(1, everything)
        self._told = told
        self._done = 0

    def add(self, rows: int) -> None:
        self._done += rows
        self._told(min(1.0, self._done / self._everything))


async def _state(conn: asyncpg.Connection[asyncpg.Record]) -> str | None:
    if await conn.fetchval("SELECT to_regclass($1)", _MARKS) is None:
        return None
    return str(await conn.fetchval(f"SELECT state FROM {_MARKS}"))  # noqa: S608  # our own name


async def _begin(kind: str, target: str, conn: asyncpg.Connection[asyncpg.Record], mark: str) -> None:
    """Make the tables in an empty database, and mark it; a database with our own mark is gone on with."""
    state = await _state(conn)
    if state is None:
        if await conn.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"):
            raise CannotMove(f"the target database of the {kind} is not empty; give one without tables")
        async with conn.transaction():
            await conn.execute(f"CREATE TABLE {_MARKS} (mark text NOT NULL, state text NOT NULL)")
            await conn.execute(f"INSERT INTO {_MARKS} VALUES ($1, 'made')", mark)  # noqa: S608
        state = "made"
    elif await conn.fetchval(f"SELECT mark FROM {_MARKS}") != mark:  # noqa: S608
        raise CannotMove(f"the target database of the {kind} holds half of another move; give one without tables")
    if state == "made":
        async with Database.open(target, readers=1) as database:
            if kind == RECORD:
                await migrate.upgrade(database)
            else:
                await database.write(lambda one: one.run_sync(shelves.metadata.create_all))
        async with conn.transaction():
            if kind == RECORD:  # what the upgrade noted comes with the copy, too
                await conn.execute(f"DELETE FROM {tables.meta.name}")  # noqa: S608
            await _note(conn, "copying")


async def _note(conn: asyncpg.Connection[asyncpg.Record], state: str) -> None:
    await conn.execute(f"UPDATE {_MARKS} SET state = $1", state)  # noqa: S608  # our own name


async def _copy(
    table: Table,
    connection: SyncConnection,
    conn: asyncpg.Connection[asyncpg.Record],
    steps: _Steps,
    reached: Callable[[], None],
) -> None:
    """Copy what is not there yet. Each part is a transaction, so that what is there is the beginning of the whole."""
    there = int(await conn.fetchval(f"SELECT count(*) FROM {_quoted(table)}"))  # noqa: S608  # our own names
    steps.add(there)
    names = [column.name for column in table.columns]
    for rows in _in_order(table, connection, there):
        try:
            await conn.copy_records_to_table(table.name, records=rows, columns=names)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            msg = f"rows {there} and following of {table.name} were refused ({type(error).__name__})"
            raise CannotMove(msg) from None
        there += len(rows)
        steps.add(len(rows))
        reached()


async def _number_on(table: Table, connection: SyncConnection, conn: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let numbers that the database gives go on behind those that were ever given."""
    column = table.autoincrement_column
    if column is None:
        return
    sequence = await conn.fetchval("SELECT pg_get_serial_sequence($1, $2)", _quoted(table), column.name)
    if sequence is None:
        return
    newest = int(connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one())
    if table.dialect_options["sqlite"]["autoincrement"]:
        given = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table.name,)).scalar()
        newest = max(newest, int(given or 0))
    await conn.fetchval("SELECT setval($1::regclass, $2, $3)", sequence, max(1, newest), newest > 0)


async def _compare(
    table: Table, connection: SyncConnection, conn: asyncpg.Connection[asyncpg.Record], steps: _Steps
) -> None:
    """Read a table back from both sides. Raises CannotMove where they differ."""
    ours, theirs = Sums(), Sums()
    for rows in _in_order(table, connection):
        for row in rows:
            ours.add(row)
        steps.add(len(rows))
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    held = LARGE.get(table.name, AT_ONCE)
    async with conn.transaction(readonly=True):
        async for record in conn.cursor(f"SELECT {names} FROM {_quoted(table)}", prefetch=held):  # noqa: S608
            theirs.add(tuple(record))
    if ours != theirs:
        raise CannotMove(
            f"{table.name} differs: {ours.count} rows here, {theirs.count} there; empty the target and begin anew"
        )


def _quoted(table: Table) -> str:
    return f'"{table.name}"'
