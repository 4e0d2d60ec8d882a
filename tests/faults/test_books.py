"""The judge's own looks into the product's tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from tests import outside
from tests.faults.books import Books

MEETS = """
CREATE FUNCTION meets(times integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE look bigint := nextval('looks');
BEGIN
  IF look <= times THEN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END IF;
  RETURN look;
END $$
"""


@pytest.mark.postgres
async def test_a_look_that_meets_an_upgrade_is_repeated(postgres_database: Callable[[], str]) -> None:
    """PostgreSQL may end a look that waits for a table which an upgrade has; that says nothing of the product."""
    books = Books(engine=outside.engine(postgres_database()))
    async with books.engine.begin() as connection:
        for line in ("CREATE SEQUENCE looks", MEETS):
            await connection.execute(text(line))
    assert await books.rows("SELECT meets(2)") == [(3,)]
    await books.close()
