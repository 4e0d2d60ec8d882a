"""The audit trail: who read or changed what, chained so that an altered, moved or removed entry shows.

An entry carries a hash of itself from the transaction that it belongs to. Later one process chains what was
committed, hundreds of entries at a time: each link covers the one before it. Both hashes are under a key of their own
(the attacker is whoever can write to the database but lacks that key). What was cut off at the end shows only against a
head that was kept elsewhere: that is what posting the day's head is for. Entries that are not chained yet cannot be
altered unseen, but they can be removed: `verify` says how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import String, bindparam, func, insert, select, update

from storage import crypto
from storage.engines import Connection
from storage.tables import audit, stamp, unstamp, word

LEASE: Final = "audit"
"""Who holds it chains; nobody else may."""
SEALED_AT_ONCE: Final = 500
_ENTRIES_PER_QUERY: Final = 1_000
_MOST_PROBLEMS: Final = 100
_BEFORE_THE_FIRST: Final = ""
_FORMAT: Final = 2
_NONCE_BYTES: Final = 8

_INSERT = insert(audit)
_LAST = select(audit.c.place, audit.c.chain).where(audit.c.place.is_not(None)).order_by(audit.c.place.desc()).limit(1)
_UNSEALED = (
    select(audit.c.seq, audit.c.mac).where(audit.c.place.is_(None)).order_by(audit.c.seq).limit(bindparam("b_limit"))
)
_SEAL = (
    update(audit)
    .where(audit.c.seq == bindparam("b_seq"), audit.c.place.is_(None))
    .values(place=bindparam("b_place"), chain=bindparam("b_chain"))
)


def entry_mac(key: bytes, row: Mapping[str, Any]) -> str:
    """The hash of one entry by its own columns."""
    at = repr(float(row["at"]))
    words = (row["actor"], row["action"], row["object"], row["detail"], row["digest"])
    return crypto.mac(key, "audit entry", str(row["nonce"]), at, *words)


def link(key: bytes, *, place: int, seq: int, previous: str, mac: str) -> str:
    """The hash that chains an entry at its place to the one before."""
    return crypto.mac(key, "audit link", str(place), str(seq), previous, mac)


def _old_mac(key: bytes, row: Mapping[str, Any], previous: str) -> str:
    """The hash of format 1, which chained each entry as it was written."""
    words = (row["actor"], row["action"], row["object"], row["detail"])
    return crypto.mac(key, "audit", str(row["place"]), previous, repr(float(row["at"])), *words)


async def record(
    conn: Connection,
    key: bytes,
    *,
    at: datetime,
    actor: str,
    action: str,
    object: str,  # noqa: A002  # the column's name
    detail: str,
    digest: str = "",
) -> None:
    """Append one entry within the caller's transaction. Nobody waits for anybody.

    The words are kept to what the columns hold and cleaned of control characters; none of them is personal text.
    `digest` is the SHA-256 of the sealed payload that the entry is about (64 hex digits): the payload may go one day.
    """
    given = {"actor": actor, "action": action, "object": object, "detail": detail, "digest": digest}
    row: dict[str, Any] = {name: word(text, _limit(name)) for name, text in given.items()}
    row |= {"at": stamp(at), "nonce": os.urandom(_NONCE_BYTES).hex(), "format": _FORMAT}
    await conn.execute(_INSERT, [row | {"mac": entry_mac(key, row)}])


async def seal(conn: Connection, key: bytes, limit: int = SEALED_AT_ONCE) -> int:
    """Chain the next committed entries, in their order; returns how many. Only for the holder of the lease."""
    waiting = (await conn.execute(_UNSEALED, {"b_limit": limit})).all()
    if not waiting:
        return 0
    last = (await conn.execute(_LAST)).one_or_none()
    place, chain = (0, _BEFORE_THE_FIRST) if last is None else (int(last.place), str(last.chain))
    links = []
    for seq, mac in waiting:
        place += 1
        chain = link(key, place=place, seq=seq, previous=chain, mac=mac)
        links.append({"b_seq": seq, "b_place": place, "b_chain": chain})
    await conn.execute(_SEAL, links)
    return len(links)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """The newest link: how long the chain is, and its hash. Kept elsewhere it shows what was cut off later."""

    place: int
    chain: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is not as it was written: `place` in the chain, None for an entry that is not chained yet."""

    place: int | None
    seq: int
    what: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a check found. `problems` are the first hundred; none means that the chain holds."""

    head: Head | None
    unsealed: int
    oldest_unsealed: datetime | None
    problems: tuple[Problem, ...]


ALTERED: Final = "altered"
REMOVED: Final = "entries before it are gone"
MOVED: Final = "altered in its link, or moved here from elsewhere"
TWICE: Final = "a copy of another entry"
CUT: Final = "the chain was cut or written anew: a head that was kept elsewhere is not in it"


async def head(conn: Connection) -> Head | None:
    """The newest link; None while nothing is sealed."""
    last = (await conn.execute(_LAST)).one_or_none()
    return None if last is None else Head(place=int(last.place), chain=str(last.chain))


async def verify(conn: Connection, key: bytes, heads: Sequence[Head] = ()) -> Report:
    """Check the whole trail, and that `heads` that were kept elsewhere are in it."""
    problems: list[Problem] = []
    expected = {one.place: one.chain for one in heads}
    seen: set[int] = set()
    place, previous = 0, _BEFORE_THE_FIRST
    while len(problems) < _MOST_PROBLEMS:
        query = select(audit).where(audit.c.place > place).order_by(audit.c.place).limit(_ENTRIES_PER_QUERY)
        rows = (await conn.execute(query)).all()
        if not rows:
            break
        for row in rows:
            if what := wrong(key, row._asdict(), place + 1, previous):
                problems.append(Problem(place=int(row.place), seq=int(row.seq), what=what))
            place, previous = int(row.place), str(row.chain)
            if place in expected:
                seen.add(place)
                if expected[place] != previous:
                    problems.append(Problem(place=place, seq=int(row.seq), what=CUT))
    if len(problems) < _MOST_PROBLEMS:
        problems += [Problem(place=one, seq=0, what=CUT) for one in sorted(expected.keys() - seen)]
        problems += await _loose(conn, key) + await _copies(conn)
    unsealed = select(func.count(), func.min(audit.c.at)).where(audit.c.place.is_(None))
    count, oldest = (await conn.execute(unsealed)).one()
    return Report(
        head=Head(place=place, chain=previous) if place else None,
        unsealed=int(count),
        oldest_unsealed=None if oldest is None else unstamp(oldest),
        problems=tuple(problems[:_MOST_PROBLEMS]),
    )


def wrong(key: bytes, row: Mapping[str, Any], place: int, previous: str) -> str | None:
    """What is wrong with a chained entry that should stand at `place`, after the link `previous`; None: nothing."""
    if row["place"] != place:
        return REMOVED
    if row["format"] != _FORMAT:
        is_bare = row["format"] == 1 and not row["digest"] and not row["nonce"] and row["seq"] == place
        return None if is_bare and row["mac"] == row["chain"] == _old_mac(key, row, previous) else MOVED
    if row["mac"] != entry_mac(key, row):
        return ALTERED
    expected = link(key, place=place, seq=row["seq"], previous=previous, mac=row["mac"])
    return None if row["chain"] == expected else MOVED


async def _loose(conn: Connection, key: bytes) -> list[Problem]:
    """Entries that are not chained yet and were altered all the same."""
    found: list[Problem] = []
    seq = 0
    while True:
        query = select(audit).where(audit.c.place.is_(None), audit.c.seq > seq).order_by(audit.c.seq)
        rows = (await conn.execute(query.limit(_ENTRIES_PER_QUERY))).all()
        if not rows:
            return found
        for row in rows:
            seq = int(row.seq)
            if row.chain is not None or row.format != _FORMAT or row.mac != entry_mac(key, row._asdict()):
                found.append(Problem(place=None, seq=seq, what=ALTERED))


async def _copies(conn: Connection) -> list[Problem]:
    query = (
        select(func.max(audit.c.seq), func.max(audit.c.place))
        .where(audit.c.nonce != "")
        .group_by(audit.c.nonce)
        .having(func.count() > 1)
        .limit(_MOST_PROBLEMS)
    )
    return [Problem(place=place, seq=int(seq), what=TWICE) for seq, place in await conn.execute(query)]


def _limit(column: str) -> int:
    kind = audit.c[column].type
    return (kind.length if isinstance(kind, String) else None) or 0
