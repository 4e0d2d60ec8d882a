"""The audit trail: who read or changed what, chained so that an altered, moved or removed line shows.

Each line's hash covers the one before it, under a key of its own (the attacker is whoever can write to the database
but lacks that key). Lines cut off at the end leave a shorter chain that still holds: ship the trail elsewhere to
notice that.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import String, select
from sqlalchemy import text as sql

from storage import crypto
from storage.engines import Connection
from storage.tables import audit, stamp, word

# Any constant will do: it lets one transaction at a time add to the chain.
_CHAIN_LOCK: Final = 7_352_935_338
_LINES_PER_QUERY: Final = 1_000
_BEFORE_THE_FIRST: Final = ""


def entry_mac(
    key: bytes,
    *,
    seq: int,
    previous: str,
    at: float,
    actor: str,
    action: str,
    object: str,  # noqa: A002  # the column's name
    detail: str,
) -> str:
    """The hash of one line; `previous` is the hash of the line before, `at` in seconds since 1970."""
    return crypto.mac(key, "audit", str(seq), previous, repr(at), actor, action, object, detail)


async def record(
    conn: Connection,
    key: bytes,
    *,
    at: datetime,
    actor: str,
    action: str,
    object: str,  # noqa: A002  # the column's name
    detail: str,
) -> int:
    """Append one line within the caller's transaction and return its number.

    The words are kept to what the columns hold and cleaned of control characters; none of them is personal text.
    On PostgreSQL other transactions that audit wait until this one ends.
    """
    if conn.dialect.name == "postgresql":
        await conn.execute(sql("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CHAIN_LOCK})
    last = (await conn.execute(select(audit.c.seq, audit.c.mac).order_by(audit.c.seq.desc()).limit(1))).one_or_none()
    seq, previous = (1, _BEFORE_THE_FIRST) if last is None else (last.seq + 1, last.mac)
    given = {"actor": actor, "action": action, "object": object, "detail": detail}
    words = {name: word(text, _limit(name)) for name, text in given.items()}
    mac = entry_mac(key, seq=seq, previous=previous, at=stamp(at), **words)
    await conn.execute(audit.insert(), [{"seq": seq, "at": stamp(at), "mac": mac, **words}])
    return seq


async def first_broken(conn: Connection, key: bytes) -> int | None:
    """The number of the first line that was altered or follows a removed one; None when the whole chain holds."""
    seq, previous = 0, _BEFORE_THE_FIRST
    while True:
        query = select(audit).where(audit.c.seq > seq).order_by(audit.c.seq).limit(_LINES_PER_QUERY)
        rows = (await conn.execute(query)).all()
        if not rows:
            return None
        for row in rows:
            expected = entry_mac(
                key,
                seq=seq + 1,
                previous=previous,
                at=row.at,
                actor=row.actor,
                action=row.action,
                object=row.object,
                detail=row.detail,
            )
            if row.seq != seq + 1 or row.mac != expected:
                return int(row.seq)
            seq, previous = row.seq, row.mac


def _limit(column: str) -> int:
    kind = audit.c[column].type
    return (kind.length if isinstance(kind, String) else None) or 0
