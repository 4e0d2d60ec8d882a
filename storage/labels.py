"""Labelled examples: written with the decision they belong to, read to train and to recalibrate.

The masked text is sealed under the customer's own key, so that it goes with the customer. A label whose words may not
be kept leaves a number in `label_counts` and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, func, select

from domain.labels import LabelKind, Labelled, LabelSource
from storage import sealing
from storage.database import Database, insert_into
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import label_counts, labels, maybe_stamp, stamp, unstamp, word

SIGNAL: Final = "labels"
"""Set when labels were written."""
IMPORTED: Final = "imported-labels"
"""Stands for the customer of what came from a file: a key of its own, so that it can be destroyed as a whole."""
TENTHS: Final = 10
READ_AT_ONCE: Final = 100

_FORGET = delete(labels).where(
    labels.c.conversation_id.in_(bindparam("b_ids", expanding=True)), labels.c.kind == bindparam("b_kind")
)
_FORGET_OF = delete(labels).where(labels.c.customer_id.in_(bindparam("b_ids", expanding=True)))
_NEWEST = (
    select(labels)
    .where(labels.c.kind == bindparam("b_kind"), labels.c.recorded_at >= bindparam("b_since"))
    .order_by(labels.c.recorded_at.desc(), labels.c.id.desc())
    .limit(bindparam("b_limit"))
)
_SINCE = select(func.count()).where(labels.c.recorded_at > bindparam("b_since"), labels.c.kind == bindparam("b_kind"))
_UNTIL = select(func.count()).where(labels.c.recorded_at <= bindparam("b_until"), labels.c.kind == bindparam("b_kind"))
_BY_ID = select(labels).where(labels.c.id.in_(bindparam("b_ids", expanding=True)))
_KEYS = [column.name for column in label_counts.primary_key.columns]


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """How many labels of one kind there were. `tenth` is the tenth that the machine's confidence lay in, 0 to 9;
    `sampled` says that they stand for the traffic as it is (abstained or of the audit sample).
    """

    language: str
    kind: LabelKind
    source: LabelSource
    label: str
    guess: str
    abstained: bool
    tenth: int
    sampled: bool
    count: int


@dataclass(kw_only=True, slots=True)
class Prepared:
    """Labels as rows, sealed before the transaction."""

    rows: dict[tuple[str | None, str], dict[str, Any]] = field(default_factory=dict)
    replaced: dict[str, set[str]] = field(default_factory=dict)  # kind to conversations
    counts: dict[tuple[Any, ...], int] = field(default_factory=dict)


def prepare(given: Iterable[Labelled], keys: Mapping[str, bytes], now: datetime) -> Prepared:
    """Seal labels under their customers' `keys`; of several about one conversation the last counts."""
    made = Prepared()
    for one in given:
        owner = one.customer_id or IMPORTED
        if one.conversation_id is not None:
            made.replaced.setdefault(one.kind.value, set()).add(one.conversation_id)
        place = (one.conversation_id or one.id, one.kind.value)
        made.rows.pop(place, None)
        if one.text:
            made.rows[place] = _row(keys[owner], one, owner, stamp(now))
        counted = _count_key(one)
        made.counts[counted] = made.counts.get(counted, 0) + 1
    return made


async def write(conn: Connection, prepared: Prepared) -> None:
    """Write prepared labels: an earlier label of the same conversation gives way."""
    dialect = conn.dialect.name
    for kind, conversations in sorted(prepared.replaced.items()):
        await conn.execute(_FORGET, {"b_ids": sorted(conversations), "b_kind": kind})
    if prepared.rows:
        statement = insert_into(dialect, labels)
        changed = {column.name: statement.excluded[column.name] for column in labels.c if column.name != "id"}
        await conn.execute(
            statement.on_conflict_do_update(index_elements=["id"], set_=changed), list(prepared.rows.values())
        )
    if prepared.counts:
        counted = insert_into(dialect, label_counts)
        more = {"count": label_counts.c.count + counted.excluded.count}
        # Sorted: two processes wait for each other, never mutually.
        rows = [dict(zip(_KEYS, key, strict=True)) | {"count": n} for key, n in sorted(prepared.counts.items())]
        await conn.execute(counted.on_conflict_do_update(index_elements=_KEYS, set_=more), rows)


async def forget(conn: Connection, customer_ids: Collection[str]) -> int:
    """Remove all that was kept of these customers' words; returns how many labels. Their numbers stay."""
    return int((await conn.execute(_FORGET_OF, {"b_ids": sorted(customer_ids)})).rowcount) if customer_ids else 0


class Labels:
    """Reads labels, and writes those that belong to no decision."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def newest(
        self, limit: int, *, kind: LabelKind = LabelKind.INTENT, since: datetime | None = None
    ) -> list[tuple[Labelled, datetime]]:
        """The newest labels with their texts and when they were recorded, newest first.

        Those of erased customers are left out: nothing of them can be read.
        """
        given = {"b_kind": kind.value, "b_since": maybe_stamp(since) or 0.0, "b_limit": limit}
        rows = await self._db.query(lambda conn: _all(conn, given))
        return [(one, unstamp(row.recorded_at)) for row, one in await self._opened(rows)]

    async def by_id(self, ids: Collection[str]) -> dict[str, Labelled]:
        """Labels by id; unknown and unreadable ones are absent."""
        if not ids:
            return {}

        async def read(conn: Connection) -> Sequence[Row[Any]]:
            return (await conn.execute(_BY_ID, {"b_ids": sorted(ids)})).all()

        return {one.id: one for _, one in await self._opened(await self._db.query(read))}

    async def count_since(self, at: datetime | None, kind: LabelKind = LabelKind.INTENT) -> int:
        """How many labels with text were recorded after `at`; all of them without it."""
        given = {"b_since": maybe_stamp(at) or 0.0, "b_kind": kind.value}

        async def read(conn: Connection) -> int:
            return int((await conn.execute(_SINCE, given)).scalar_one())

        return await self._db.query(read)

    async def count_until(self, at: datetime, kind: LabelKind = LabelKind.INTENT) -> int:
        """How many labels with text are left of those that were recorded up to `at`."""
        given = {"b_until": stamp(at), "b_kind": kind.value}

        async def read(conn: Connection) -> int:
            return int((await conn.execute(_UNTIL, given)).scalar_one())

        return await self._db.query(read)

    async def counts(self) -> list[Count]:
        """All that was ever counted, kept or not."""
        async with self._db.read() as conn:
            rows = (await conn.execute(select(label_counts).order_by(*label_counts.primary_key.columns))).all()
        return [
            Count(
                language=row.language,
                kind=LabelKind(row.kind),
                source=LabelSource(row.source),
                label=row.label,
                guess=row.guess,
                abstained=bool(row.abstained),
                tenth=row.tenth,
                sampled=bool(row.sampled),
                count=row._mapping["count"],
            )
            for row in rows
        ]

    async def add(self, given: Sequence[Labelled], now: datetime) -> None:
        """Write labels that came from a file; one that is there already (by its id) is replaced.

        All of them or none. Raises KeyError where one names a customer whose key was destroyed.
        """
        owners = {one.customer_id or IMPORTED for one in given}
        keys = await self._keys.data_keys(owners, create=True)
        prepared = prepare(given, keys, now)
        await self._db.write(lambda conn: write(conn, prepared), wake=(SIGNAL,))

    async def _opened(self, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], Labelled]]:
        keys = await self._keys.data_keys({row.customer_id for row in rows}, create=False)
        found = []
        for place, row in enumerate(rows):
            if place % READ_AT_ONCE == READ_AT_ONCE - 1:
                await asyncio.sleep(0)  # thousands are opened for a training: others want the loop, too
            if row.customer_id in keys and (one := _label(keys[row.customer_id], row)).text:
                found.append((row, one))
        return found


async def _all(conn: Connection, given: Mapping[str, Any]) -> Sequence[Row[Any]]:
    return (await conn.execute(_NEWEST, given)).all()


def _count_key(one: Labelled) -> tuple[Any, ...]:
    tenth = min(TENTHS - 1, max(0, int(one.confidence * TENTHS)))
    values = {
        "language": word(one.language, 12),
        "kind": one.kind.value,
        "source": one.source.value,
        "label": word(one.label, 60),
        "guess": word(one.guess or "", 60),
        "abstained": int(one.abstained),
        "tenth": tenth,
        "sampled": int(one.weight > 0),
    }
    return tuple(values[name] for name in _KEYS)


def _row(key: bytes, one: Labelled, owner: str, recorded_at: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "conversation_id": one.conversation_id,
        "customer_id": owner,
        "kind": one.kind.value,
        "source": one.source.value,
        "label": word(one.label, 60),
        "guess": None if one.guess is None else word(one.guess, 60),
        "is_right": int(one.right),
        "language": word(one.language, 12),
        "confidence": one.confidence,
        "abstained": int(one.abstained),
        "weight": one.weight,
        "version": word(one.version, 60),
        "at": stamp(one.at),
        "recorded_at": recorded_at,
        "text_sealed": sealing.seal_text(key, "labels", "text", one.id, one.text),
    }


def _label(key: bytes, row: Row[Any]) -> Labelled:
    return Labelled(
        id=row.id,
        conversation_id=row.conversation_id,
        customer_id=None if row.customer_id == IMPORTED else row.customer_id,
        kind=LabelKind(row.kind),
        source=LabelSource(row.source),
        label=row.label,
        guess=row.guess,
        right=bool(row.is_right),
        language=row.language,
        confidence=row.confidence,
        abstained=bool(row.abstained),
        weight=row.weight,
        version=row.version,
        at=unstamp(row.at),
        text=sealing.open_text(key, "labels", "text", row.id, row.text_sealed),
    )
