"""Databases of the embedded PostgreSQL that were used and can be lent again, which is much cheaper than making one.

Two kinds are kept: empty ones, and records at this release's schema. A record that a test leaves as it was made, but
for its rows, loses its rows and stays a record; anything else loses everything and is empty again.
"""

from __future__ import annotations

import secrets
from contextlib import suppress

import asyncpg

EMPTY: list[str] = []
"""Names of databases with nothing in them."""
RECORDS: list[str] = []
"""Names of databases as `seed` would make them."""
_shape: list[str] = []  # of a record as it was made, and the rows that it has then

_SHAPE = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
  SELECT concat_ws(' ', c.relkind, c.relpersistence, c.relname, c.reloptions::text) AS line
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
      a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
  UNION ALL
  SELECT concat_ws(' ', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', i.indisvalid, pg_get_indexdef(i.indexrelid))
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal
  UNION ALL
  SELECT concat_ws(' ', 'function', proname, prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS everything
"""

# What refers to a row goes before it without being asked; only tables that hold something are touched.
_TAKE_ROWS = """
SET session_replication_role = replica;
DO $$
DECLARE one text; filled boolean;
BEGIN
  FOR one IN SELECT c.oid::regclass::text FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' LOOP
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', one) INTO filled;
    IF filled THEN EXECUTE format('DELETE FROM %s', one); END IF;
  END LOOP;
  FOR one IN SELECT c.oid::regclass::text FROM pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S' LOOP
    PERFORM setval(one::regclass, 1, false);
  END LOOP;
END $$;
"""

_TAKE_ALL = """
SET client_min_messages = warning;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
"""

_GIVEN_BACK = """\\set ON_ERROR_STOP on
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}';
\\connect {name}
SET search_path = '';
SELECT ({shape}) IS NOT DISTINCT FROM '{made}' AS same \\gset
\\if :same
{take_rows}
{rows}
\\echo still a record
\\else
{take_all}
\\endif
"""


async def learn(connection: asyncpg.Connection, rows: str) -> None:
    """Remember how a record looks that has just been made; `rows` are the statements that write what it holds then."""
    if not _shape:
        await connection.execute("SET search_path = ''")  # names are written in full, wherever this is looked at
        _shape[:] = [str(await connection.fetchval(_SHAPE)), rows]


def emptying(name: str) -> str:
    """What `psql` is told to make the database one of the two kinds again; `returned` reads what it answers."""
    made, rows = _shape or ("", "")
    return _GIVEN_BACK.format(name=name, shape=_SHAPE, made=made, take_rows=_TAKE_ROWS, rows=rows, take_all=_TAKE_ALL)


def returned(name: str, answer: str) -> None:
    """Keep the database as what it has become."""
    (RECORDS if "still a record" in answer else EMPTY).append(name)


async def exchange(address: str) -> bool:
    """Let a kept record take the place of the empty database at this address; False where there is none."""
    if not RECORDS:
        return False
    base, _, last = address.partition("?")
    server, _, name = base.rpartition("/")
    connection = await asyncpg.connect(f"{server}/postgres?{last}")
    try:
        aside, record = f"test_{secrets.token_hex(6)}", RECORDS[-1]
        with suppress(asyncpg.ObjectInUseError):  # somebody is connected to one of them: the empty one is filled
            await connection.execute(f"ALTER DATABASE {record} RENAME TO {aside}")
            RECORDS[-1] = aside
            await connection.execute(f"ALTER DATABASE {name} RENAME TO {record}")
            EMPTY.append(record)
            await connection.execute(f"ALTER DATABASE {RECORDS.pop()} RENAME TO {name}")
            return True
    finally:
        await connection.close()
    return False
