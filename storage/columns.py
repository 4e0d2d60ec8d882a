"""What the tables of the record are made of: one metadata, and how times and words are kept."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    MetaData,
    literal_column,
)

metadata = MetaData()

# SQLite only numbers rows by itself in a column of its INTEGER type.
Sequence64 = BigInteger().with_variant(Integer, "sqlite")


def stamp(at: datetime) -> float:
    """An aware time as the database keeps it."""
    return at.timestamp()


def unstamp(value: float) -> datetime:
    """The aware time of a stored number."""
    return datetime.fromtimestamp(value, UTC)


def one_of(column: Column[str], words: Collection[str]) -> ColumnElement[bool]:
    """A condition on our own stable words, written out: SQLite uses a partial index only when it can read them."""
    written: list[ColumnElement[str]] = [literal_column(f"'{word}'") for word in words]
    return column == written[0] if len(written) == 1 else column.in_(written)


def word(text: str, limit: int) -> str:
    """A word from outside as both engines can keep it: cut, and without control and half characters."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[:limit])


def maybe_stamp(at: datetime | None) -> float | None:
    """`stamp`, passing None through."""
    return None if at is None else at.timestamp()


def maybe_unstamp(value: float | None) -> datetime | None:
    """`unstamp`, passing None through."""
    return None if value is None else datetime.fromtimestamp(value, UTC)
