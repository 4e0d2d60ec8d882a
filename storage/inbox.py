"""The durable inbox: what arrived, once, encrypted, in lanes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, bindparam, func, select, update

from domain.errors import CannotDecrypt
from domain.ports import Arrival
from storage import crypto, lanes
from storage.database import Database, insert_once
from storage.engines import Connection, Work
from storage.keys import KeyStore
from storage.tables import conversations, inbox, one_of, stamp, unstamp, word
from storage.wishes import IN_THREADS, named_threads

log = structlog.get_logger()

SIGNAL = "inbox"
KEY_KEPT = timedelta(days=3)  # dedupe needs no payload; a person may want to look at yesterday's dead letter
THREADS_REMEMBERED = 20_000
ROWS_PER_CLAIM = 128
ROWS_LOOKED_AT = 5000  # so far ahead something said earlier is looked for when there is more than one claim takes


# Statements are built once: building one costs several times its execution.
_IS_NEW, _IS_DEAD = one_of(inbox.c.state, ["new"]), one_of(inbox.c.state, ["dead"])
_KNOWN = select(inbox.c.source, inbox.c.event_mac).where(
    inbox.c.source.in_(bindparam("b_sources", expanding=True)),
    inbox.c.event_mac.in_(bindparam("b_macs", expanding=True)),
)
_THREADS = select(conversations.c.desk_channel, conversations.c.desk_thread, conversations.c.lane).where(IN_THREADS)
_WAITING = (
    select(inbox)
    .where(inbox.c.lane.in_(bindparam("b_lanes", expanding=True)), _IS_NEW)
    .order_by(inbox.c.id)
    .limit(bindparam("b_limit"))
)
_PLACES = (
    select(inbox.c.id, inbox.c.lane, inbox.c.source, inbox.c.position)
    .where(inbox.c.lane.in_(bindparam("b_lanes", expanding=True)), _IS_NEW)
    .order_by(inbox.c.id)
    .limit(bindparam("b_limit"))
)
_NAMED = select(inbox).where(inbox.c.id.in_(bindparam("b_ids", expanding=True))).order_by(inbox.c.id)
_EARLIER = (
    select(inbox.c.id)
    .where(
        inbox.c.lane == bindparam("b_lane"),
        _IS_NEW,
        inbox.c.source == bindparam("b_source"),
        inbox.c.position < bindparam("b_position"),
    )
    .limit(1)
)
_OLDEST = select(func.min(inbox.c.received_at))
_DONE = (
    update(inbox)
    .where(inbox.c.id.in_(bindparam("b_ids", expanding=True)))
    .values(state="done", done_at=bindparam("b_now"), payload_sealed=None)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """An inbox row, opened. `payload` is None when its key was destroyed before anybody read it, or it was altered."""

    id: int
    source: str
    kind: str
    lane: str
    payload: str | None
    attempts: int
    received_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A leased lane with its waiting rows, oldest first. Every write for it carries the fence."""

    lane: str
    fence: int
    rows: tuple[Stored, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a claim leased, still sealed. `due` is when the next lane is ready (seconds), not asked for when `full`."""

    fences: Mapping[str, int] = field(default_factory=dict)
    rows: Sequence[Row[Any]] = ()
    due: float | None = None
    full: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """An entry that was set aside, without its payload."""

    id: int
    source: str
    kind: str
    reason: str
    attempts: int
    received_at: datetime


class Inbox:
    """Storing, claiming and finishing what arrives."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys
        self._lane_of_thread: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._joined: OrderedDict[tuple[str, str], None] = OrderedDict()  # threads with nothing left in their own lane

    def lane(self, source: str, key: str) -> str:
        """The stored name of a lane: a keyed hash, since lane keys name people."""
        return lane_name(self._keys, source, key)

    def event_mac(self, source: str, key: str) -> str:
        """The stored name of a platform's event key."""
        return crypto.mac(self._keys.purpose("intake"), "event", source, key)

    async def put(self, arrivals: Sequence[Arrival], now: datetime) -> int:
        """Store arrivals in one durable transaction; returns how many were not there before.

        When this returns, they survive kill -9 and power loss; the platform may be told. `now` is real time.
        """
        if not arrivals:
            return 0
        key = await self._keys.intake_key(now.date())
        lane_of = await self._lanes_of([a.thread for a in arrivals if a.thread])
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        ready: dict[str, tuple[float, int]] = {}
        for arrival in arrivals:
            mac = self.event_mac(arrival.source, arrival.event_key)
            if (arrival.source, mac) in rows:
                continue
            lane = lane_of.get(arrival.thread) if arrival.thread else None
            if lane is None:
                lane = self.lane(arrival.source, ":".join(arrival.thread) if arrival.thread else arrival.lane_key)
            at = stamp(now) + arrival.settle_s
            ready[lane] = min(ready.get(lane, (at, 0)), (at, 0))
            payload = arrival.payload.encode("utf-8", "surrogatepass")
            rows[arrival.source, mac] = {
                "source": arrival.source,
                "event_mac": mac,
                "lane": lane,
                "kind": word(arrival.kind, 60),
                "received_at": stamp(now),
                "position": arrival.position,
                "payload_sealed": crypto.seal(key, payload, crypto.aad("inbox", "payload", mac)),
            }

        async def work(conn: Connection) -> int:
            named = {"b_sources": sorted({source for source, _ in rows}), "b_macs": [mac for _, mac in rows]}
            found = await conn.execute(_KNOWN, named)
            there = {(source, mac) for source, mac in found}
            new = [row for place, row in rows.items() if place not in there]
            if new:
                await conn.execute(insert_once(conn.dialect.name, inbox), new)
                await lanes.make_ready(conn, "in", {row["lane"]: ready[row["lane"]] for row in new})
            return len(new)

        return await self._db.write(work, wake=(SIGNAL,))

    async def _lanes_of(self, threads: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        known = {thread: self._lane_of_thread[thread] for thread in threads if thread in self._lane_of_thread}
        # A thread whose name no column could hold is none of ours, and a query for it would fail.
        unknown = {t for t in threads if all(word(part, 40) == part for part in t)} - known.keys()
        if unknown:
            async with self._db.read() as conn:
                for channel, thread, lane in await conn.execute(_THREADS, named_threads(unknown)):
                    if (channel, thread) in unknown:
                        known[channel, thread] = lane
                        self._lane_of_thread[channel, thread] = lane
            while len(self._lane_of_thread) > THREADS_REMEMBERED:
                self._lane_of_thread.popitem(last=False)
        return known

    async def claim(self, owner: str, now: datetime, *, limit: int) -> list[Claim]:
        """Lease up to `limit` ready lanes for `owner` and open their waiting rows. `now` is real time."""
        return await self.opened(await self._db.write(self.claiming(owner, lambda: now, limit=limit)))

    def claiming(self, owner: str, clock: Callable[[], datetime], *, limit: int) -> Work[Found]:
        """The work that leases up to `limit` ready lanes, at the time that `clock` tells when it is run."""

        async def work(conn: Connection) -> Found:
            now = clock()
            fences = await lanes.claim(conn, "in", owner, now, limit=limit)
            due = None if len(fences) == limit else await lanes.next_ready(conn, "in")
            if not fences:
                return Found(due=due)
            waiting = await conn.execute(_WAITING, {"b_lanes": list(fences), "b_limit": ROWS_PER_CLAIM})
            rows = list(waiting.all())
            if len(rows) >= ROWS_PER_CLAIM and any(row.position is not None for row in rows):
                rows = await _first_said(conn, list(fences))
            await lanes.release(conn, "in", owner, sorted(fences.keys() - {row.lane for row in rows}), now)
            return Found(fences=fences, rows=rows, due=due, full=len(fences) == limit)

        return work

    async def opened(self, found: Found) -> list[Claim]:
        """What was leased, with its payloads readable."""
        days = {unstamp(row.received_at).date() for row in found.rows}
        keys = await self._keys.intake_keys(sorted(days)) if days else {}
        rows: dict[str, list[Stored]] = {}
        for row in _in_platform_order(found.rows):
            rows.setdefault(row.lane, []).append(_open(row, keys))
        return [Claim(lane=lane, fence=found.fences[lane], rows=tuple(stored)) for lane, stored in rows.items()]

    async def is_first_said(self, source: str, thread: tuple[str, str], lane: str, position: float) -> bool:
        """False while something said earlier in a desk thread waits in another lane than this one.

        What was written before we knew whose thread it is waits in a lane of the thread's own, and what of that time
        was found only later in the lane of its conversation: either waits for the other.
        """
        own = self.lane(source, ":".join(thread))
        if own == lane:
            joined = (await self._lanes_of([thread])).get(thread, own)
            earlier = {"b_lane": joined, "b_source": source, "b_position": position}
            async with self._db.read() as conn:
                return joined == own or (await conn.execute(_EARLIER, earlier)).first() is None
        if thread in self._joined:
            return True
        query = select(inbox.c.position).where(inbox.c.lane == own, _IS_NEW)
        async with self._db.read() as conn:
            waiting = [float(p) for p in (await conn.execute(query)).scalars() if p is not None]
        if not waiting:
            self._joined[thread] = None
            while len(self._joined) > THREADS_REMEMBERED:
                self._joined.popitem(last=False)
        return all(place > position for place in waiting)

    async def dead(self, limit: int = 100) -> list[DeadLetter]:
        """Entries that were set aside, oldest first."""
        query = select(inbox).where(_IS_DEAD).order_by(inbox.c.id).limit(limit)
        async with self._db.read() as conn:
            return [_dead_letter(row) for row in await conn.execute(query)]

    async def count_dead(self) -> int:
        """How many entries wait for a person."""
        async with self._db.read() as conn:
            return int((await conn.execute(select(func.count()).select_from(inbox).where(_IS_DEAD))).scalar_one())

    async def payload(self, entry: int) -> str | None:
        """The stored payload of one entry (personal text: the caller audits the read); None when it is gone."""
        async with self._db.read() as conn:
            row = (await conn.execute(select(inbox).where(inbox.c.id == entry))).first()
        if row is None or row.payload_sealed is None:
            return None
        keys = await self._keys.intake_keys([unstamp(row.received_at).date()])
        return _open(row, keys).payload

    async def retry(self, entry: int, now: datetime) -> bool:
        """Put a dead letter back into its lane; False when there is no such dead letter."""

        async def work(conn: Connection) -> bool:
            found = (
                await conn.execute(select(inbox.c.lane).where(inbox.c.id == entry, inbox.c.state == "dead"))
            ).scalar()
            if found is None:
                return False
            await conn.execute(update(inbox).where(inbox.c.id == entry).values(state="new", attempts=0, reason=None))
            await lanes.make_ready(conn, "in", {found: (stamp(now), 0)})
            return True

        return await self._db.write(work, wake=(SIGNAL,))

    async def drop(self, entry: int, now: datetime) -> bool:
        """Give a dead letter up for good: its payload is destroyed, its key stays for dedupe."""

        async def work(conn: Connection) -> bool:
            result = await conn.execute(
                update(inbox)
                .where(inbox.c.id == entry, inbox.c.state == "dead")
                .values(state="dropped", payload_sealed=None, done_at=stamp(now))
            )
            return bool(result.rowcount)

        return await self._db.write(work)

    async def expire_keys(self, now: datetime) -> int:
        """Destroy the intake keys of days whose rows are all done; returns how many.

        A day with waiting or dead entries keeps its key until a person has decided about them.
        """
        async with self._db.read() as conn:
            waiting = [(await conn.execute(_OLDEST.where(state))).scalar() for state in (_IS_NEW, _IS_DEAD)]
        limit = min([now - KEY_KEPT, *(unstamp(oldest) for oldest in waiting if oldest is not None)])
        return await self._keys.destroy_intake_keys(limit.date())


async def finish(conn: Connection, ids: Sequence[int], now: datetime) -> None:
    """Mark rows done and destroy their payloads: what happened stands in the timeline now."""
    if ids:
        await conn.execute(_DONE, {"b_ids": list(ids), "b_now": stamp(now)})


async def fail(conn: Connection, entry: int, attempts: int, reason: str, *, dead: bool) -> None:
    """Count a failed attempt of one row; with `dead` set it aside, payload kept, with the reason."""
    values = {"attempts": attempts, "reason": word(reason, 200), "state": "dead" if dead else "new"}
    await conn.execute(update(inbox).where(inbox.c.id == entry).values(**values))


async def _first_said(conn: Connection, names: Sequence[str]) -> list[Row[Any]]:
    """As many rows as a claim takes, those first that were said first: a backlog may hold them far behind."""
    waiting = await conn.execute(_PLACES, {"b_lanes": names, "b_limit": ROWS_LOOKED_AT})
    chosen = [row.id for row in _in_platform_order(waiting.all())[:ROWS_PER_CLAIM]]
    return list((await conn.execute(_NAMED, {"b_ids": chosen})).all())


def _in_platform_order(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """Rows with a position, sorted by it among the places that rows of their lane and source hold; others stay put."""
    places: dict[tuple[str, str], list[int]] = {}
    for place, row in enumerate(rows):
        if row.position is not None:
            places.setdefault((row.lane, row.source), []).append(place)
    ordered = list(rows)
    for held in places.values():
        for place, row in zip(held, sorted((rows[i] for i in held), key=lambda r: float(r.position)), strict=True):
            ordered[place] = row
    return ordered


def _open(row: Row[Any], keys: Mapping[date, bytes]) -> Stored:
    received = unstamp(row.received_at)
    payload: str | None = None
    key = keys.get(received.date())
    if key is not None and row.payload_sealed is not None:
        try:
            raw = crypto.open_sealed(key, row.payload_sealed, crypto.aad("inbox", "payload", row.event_mac))
            payload = raw.decode("utf-8", "surrogatepass")
        except CannotDecrypt as error:  # one altered row must not keep the others from being read
            log.error("inbox.unreadable", entry=row.id, reason=str(error))
    return Stored(
        id=row.id,
        source=row.source,
        kind=row.kind,
        lane=row.lane,
        payload=payload,
        attempts=row.attempts,
        received_at=received,
    )


def _dead_letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        id=row.id,
        source=row.source,
        kind=row.kind,
        reason=row.reason or "",
        attempts=row.attempts,
        received_at=unstamp(row.received_at),
    )


def lane_name(keys: KeyStore, source: str, key: str) -> str:
    """The stored name of the lane that an adapter calls `key`: a keyed hash, since lane keys name people."""
    return crypto.mac(keys.purpose("intake"), "lane", source, key)[:64]
