"""The durable outbox: what is to be sent, once, in lanes, with a receipt or a reason."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, select, union_all, update

from domain.changes import DeliveryKind, Outgoing, Settle
from storage import joining, lanes, outgoing, paces, places
from storage.database import Database, insert_once
from storage.dead_letters import DeadLetter, dead_letter
from storage.engines import Connection, Work
from storage.tables import deliveries, maybe_unstamp, one_of, outbox, stamp, unstamp, word
from storage.tables import lanes as lanes_table

Pace = Mapping[str, float]  # seconds between two sends by one bucket, by platform

SIGNAL = "outbox"
PER_METHOD = frozenset({"slack-update"})
"""Platforms in whose buckets one limit holds for all of them together: Slack counts changes of posts by method."""

# Statements are built once: building one costs several times its execution.
_IDS = outbox.c.id.in_(bindparam("b_ids", expanding=True))
_LANES = outbox.c.lane.in_(bindparam("b_lanes", expanding=True))
_IS_OPEN = one_of(outbox.c.state, outgoing.OPEN)
_HEADS = select(outbox, lanes_table.c.urgency.label("lane_urgency")).where(
    outbox.c.seq.in_(select(func.min(outbox.c.seq)).where(_LANES, _IS_OPEN).group_by(outbox.c.lane)),
    one_of(lanes_table.c.side, ("out",)),
    lanes_table.c.lane == outbox.c.lane,
)
_IS_DEAD = one_of(outbox.c.state, ["dead"])
_COUNTS = union_all(
    *(select(outbox.c.state, func.count()).where(states).group_by(outbox.c.state) for states in (_IS_OPEN, _IS_DEAD))
)
_SENDING = (
    update(outbox)
    .where(outbox.c.seq.in_(bindparam("b_seqs", expanding=True)), outbox.c.state == "todo")
    .values(state="sending", attempts=outbox.c.attempts + 1, sending_at=bindparam("b_at"))
    .returning(outbox.c.seq)
)
_ASKED_AGAIN = (
    update(outbox).where(outbox.c.seq.in_(bindparam("b_seqs", expanding=True))).values(attempts=outbox.c.attempts + 1)
)
_ANSWERS = (
    select(outbox.c.id)
    .where(
        outbox.c.lane == bindparam("b_lane"),
        _IS_OPEN,
        outbox.c.conversation_id == bindparam("b_conversation"),
        outbox.c.entry_id != bindparam("b_entry"),
        one_of(outbox.c.kind, (DeliveryKind.CHAT_TEXT.value, DeliveryKind.CHAT_FILE.value)),
    )
    .limit(1)
)
OTHER_PARTS = select(outbox.c.state).where(
    outbox.c.entry_id == bindparam("b_entry"),
    outbox.c.id != bindparam("b_id"),
    one_of(outbox.c.kind, (DeliveryKind.CHAT_TEXT.value, DeliveryKind.CHAT_FILE.value)),
    func.coalesce(outbox.c.reason, "") != "taken_apart",
)
_SENT = update(outbox).where(_IDS).values(state="sent", reason=None, settled_at=bindparam("b_now"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """An outbox row that is to be sent. `unclear` means it was being sent when something broke off."""

    id: str
    seq: int
    lane: str
    bucket: str
    kind: DeliveryKind
    conversation_id: str | None
    identity_id: str | None
    entry_id: str | None
    part: int
    urgency: int
    attempts: int
    data: Mapping[str, Any]
    created_at: datetime
    sending_at: datetime | None
    unclear: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The head of a leased outbox lane, marked `sending`. Every write for it carries the fence.

    `company` are the rows behind it that go out in the same post, marked with it.
    """

    lane: str
    fence: int
    row: Waiting
    company: tuple[Waiting, ...] = ()

    @property
    def rows(self) -> tuple[Waiting, ...]:
        """All rows of the post, in their order."""
        return (self.row, *self.company)


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a claim leased. `due` is when the next lane is ready (seconds), not asked for when `full`."""

    claims: list[Claim]
    due: float | None
    full: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a claimed row.

    `state` is sent, todo (again, not before `not_before`), unclear, dead or cancelled. `park` stops the lane with a
    reason. `limit` closes a rate-limit bucket until a time.
    """

    claim: Claim
    state: str
    reason: str | None = None
    platform_id: str = ""
    place: str = ""
    at: datetime | None = None
    not_before: datetime | None = None
    park: str | None = None
    limit: tuple[str, datetime] | None = None
    signed: str | None = None  # the name that the customer's copy shows
    free: bool = False  # the attempt does not count (a rate limit, an access that was revoked)
    pieces: tuple[Outgoing, ...] = ()  # what takes its place in the lane, before all that waits there


async def mark_heads(
    conn: Connection, owner: str, fences: Mapping[str, int], now: datetime, pace: Pace | None = None
) -> list[Claim]:
    """Take the head of each leased lane and mark it `sending`; lanes whose head must wait are given back.

    `pace` spaces what leaves by one bucket: one head closes it, and those behind are given a time each.
    """
    if not fences:
        return []
    rows = (await conn.execute(_HEADS, {"b_lanes": list(fences)})).all()
    bare = await paces.without_card(conn, rows)
    closed = await paces.closed(conn, now)
    at = stamp(now)
    later: dict[str, datetime] = {}
    heads: list[Row[Any]] = []
    taking: dict[str, tuple[Row[Any], float]] = {}  # whose turn it is in a bucket, and until when it closes it
    spaced: dict[str, float] = {}  # when the next of a bucket may leave, as far as these heads go
    for row in sorted(rows, key=_most_urgent_first):
        platform = row.bucket.partition(":")[0]
        bucket = platform if platform in PER_METHOD else row.bucket
        apart = (pace or {}).get(platform, 0.0)
        wait = max(closed.get(row.bucket, 0.0), closed.get(platform, 0.0), spaced.get(bucket, 0.0))
        own = at + paces.card_after(at - row.created_at) if row.seq in bare else row.not_before
        if row.state != "sending" and own > max(wait, at):  # waiting for itself it takes nobody's turn
            later[row.lane] = unstamp(own)
            continue
        if row.state != "sending" and wait > at:
            later[row.lane] = unstamp(wait)
        else:
            heads.append(row)
            if apart > 0 and row.state == "sending":
                await paces.close(conn, bucket, unstamp(at + apart))
            elif apart > 0:
                taking[bucket] = (row, at + apart)
        if apart > 0:
            spaced[bucket] = max(wait, at) + apart
    taken_buckets = await paces.take(conn, {bucket: until for bucket, (_, until) in taking.items()}, now)
    for bucket, (row, until) in taking.items():
        if bucket not in taken_buckets:  # another process has just sent there
            heads.remove(row)
            later[row.lane] = unstamp(until)
    together = await joining.groups(conn, heads, now, paced=bool((pace or {}).get("slack")))
    claims = [_claim(row, fences[row.lane], together.get(row.lane, ())) for row in heads]
    fresh = [row.seq for claim in claims if not claim.row.unclear for row in claim.rows]
    if fresh:  # one that was cancelled since it was looked at is not taken: whoever writes first wins
        taken = set((await conn.execute(_SENDING, {"b_seqs": fresh, "b_at": at})).scalars())
        claims = [_still(claim, taken) for claim in claims if claim.row.unclear or claim.row.seq in taken]
    unclear = [row.seq for claim in claims if claim.row.unclear for row in claim.rows]
    if unclear:  # they keep the time of the call that broke off
        await conn.execute(_ASKED_AGAIN, {"b_seqs": unclear})
    idle = fences.keys() - {claim.lane for claim in claims}
    await lanes.release(conn, "out", owner, sorted(idle), now, at=later)
    return claims


async def settle(
    conn: Connection,
    owner: str,
    outcomes: Sequence[Outcome],
    now: datetime,
    *,
    take_next: bool = True,
    pace: Pace | None = None,
) -> list[Claim]:
    """Write what became of claimed rows and take the next of each lane; raises LeaseLost when a lease was lost.

    Without `take_next` the lanes are given back: whoever stops must not leave rows marked that were never called.
    """
    fences = {outcome.claim.lane: outcome.claim.fence for outcome in outcomes}
    await lanes.check(conn, "out", owner, fences)
    sent = [o for o in outcomes if o.state == "sent"]
    if sent:
        await conn.execute(_SENT, {"b_ids": [row.id for o in sent for row in o.claim.rows], "b_now": stamp(now)})
        rows = [_delivery(o, row, now) for o in sent for row in o.claim.rows if row.entry_id is not None]
        if rows:
            await conn.execute(insert_once(conn.dialect.name, deliveries), rows)
    for outcome in outcomes:
        if outcome.state == "sent":
            continue
        values: dict[str, Any] = {"state": outcome.state, "reason": word(outcome.reason or "", 200)}
        if outcome.not_before is not None:
            values["not_before"] = stamp(outcome.not_before)
        if outcome.state in ("dead", "cancelled"):
            values["settled_at"] = stamp(now)
        for row in outcome.claim.rows:
            attempts = {"attempts": row.attempts} if outcome.free else {}
            await conn.execute(update(outbox).where(outbox.c.id == row.id).values(**values, **attempts))
        if outcome.pieces:
            await outgoing.add(conn, outcome.pieces, now)
            row = outcome.claim.row
            await places.take(conn, row.lane, row.seq, {piece.id for piece in outcome.pieces})
    for bucket, until in (o.limit for o in outcomes if o.limit is not None):
        await paces.close(conn, bucket, until)
    parked = {o.claim.lane: o.park for o in outcomes if o.park is not None}
    for lane, reason in parked.items():
        await lanes.park(conn, "out", lane, reason)
    await lanes.release(conn, "out", owner, sorted(parked) if take_next else sorted(fences), now)
    if not take_next:
        return []
    return await mark_heads(conn, owner, {lane: f for lane, f in fences.items() if lane not in parked}, now, pace)


class Outbox:
    """Claiming rows and looking at them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def claim(self, owner: str, now: datetime, *, limit: int, parked: str | None = None) -> list[Claim]:
        """Lease up to `limit` lanes and mark their heads `sending`, committed. `now` is real time."""
        return (await self._db.write(self.claiming(owner, lambda: now, limit=limit, parked=parked))).claims

    def claiming(
        self,
        owner: str,
        clock: Callable[[], datetime],
        *,
        limit: int,
        parked: str | None = None,
        pace: Pace | None = None,
    ) -> Work[Found]:
        """The work that leases up to `limit` lanes and marks their heads, at the time that `clock` tells then."""

        async def work(conn: Connection) -> Found:
            now = clock()
            fences = await lanes.claim(conn, "out", owner, now, limit=limit, parked=parked)
            if parked is not None:
                for lane in fences:
                    await lanes.park(conn, "out", lane, None)
            claims = await mark_heads(conn, owner, fences, now, pace)
            full = len(fences) == limit
            return Found(claims=claims, due=None if full else await lanes.next_ready(conn, "out"), full=full)

        return work

    async def known(self, idem_keys: Collection[str]) -> frozenset[str]:
        """Those of these keys that were added, whatever has become of them."""
        query = select(outbox.c.idem_key).where(outbox.c.idem_key.in_(list(idem_keys)))
        async with self._db.read() as conn:
            return frozenset((await conn.execute(query)).scalars())

    async def states(self, idem_keys: Collection[str], *, apart: str) -> tuple[str, ...]:
        """The states of the rows with these keys, one row left out."""
        query = select(outbox.c.state).where(outbox.c.idem_key.in_(list(idem_keys)), outbox.c.id != apart)
        async with self._db.read() as conn:
            return tuple((await conn.execute(query)).scalars())

    async def other_parts(self, row: Waiting) -> tuple[str, ...]:
        """The states of the other parts of the same answer; what was taken apart stands there as its pieces."""
        wanted = {"b_entry": row.entry_id, "b_id": row.id}

        async def read(conn: Connection) -> tuple[str, ...]:
            return tuple((await conn.execute(OTHER_PARTS, wanted)).scalars())

        return await self._db.query(read)

    async def more_answers_wait(self, row: Waiting) -> bool:
        """Whether another answer of this row's conversation is still to leave in its lane."""
        wanted = {"b_lane": row.lane, "b_conversation": row.conversation_id, "b_entry": row.entry_id}

        async def read(conn: Connection) -> bool:
            return (await conn.execute(_ANSWERS, wanted)).first() is not None

        return await self._db.query(read)

    async def dead(self, limit: int = 100) -> list[DeadLetter]:
        """Deliveries that were set aside, oldest first."""
        query = select(outbox).where(_IS_DEAD).order_by(outbox.c.seq).limit(limit)
        async with self._db.read() as conn:
            return [dead_letter(row) for row in await conn.execute(query)]

    async def retry(self, outbox_id: str, now: datetime) -> bool:
        """Send a dead letter again; False when there is no such dead letter."""

        async def work(conn: Connection) -> bool:
            query = select(outbox.c.id).where(outbox.c.id == outbox_id, outbox.c.state == "dead")
            if (await conn.execute(query)).first() is None:
                return False
            await outgoing.settle_by_person(conn, Settle(outbox_id=outbox_id, again=True), now)
            return True

        return await self._db.write(work, wake=(SIGNAL,))

    async def drop(self, outbox_id: str, now: datetime) -> bool:
        """Give a dead letter up for good; False when there is no such dead letter."""

        async def work(conn: Connection) -> bool:
            result = await conn.execute(
                update(outbox)
                .where(outbox.c.id == outbox_id, outbox.c.state == "dead")
                .values(state="cancelled", settled_at=stamp(now))
            )
            return bool(result.rowcount)

        return await self._db.write(work)

    async def counts(self) -> dict[str, int]:
        """How many rows are waiting or set aside, by state."""
        async with self._db.read() as conn:
            return {state: count for state, count in await conn.execute(_COUNTS)}

    async def forget_limits(self, now: datetime) -> None:
        """Remove rate limits that have passed."""

        await self._db.write(lambda conn: paces.forget(conn, now))


def _most_urgent_first(row: Row[Any]) -> tuple[int, int]:
    """A lane is as urgent as the most urgent of what waits in it; of the others the one that waits longest."""
    return -row.lane_urgency, row.seq


def _claim(head: Row[Any], fence: int, behind: Sequence[Row[Any]]) -> Claim:
    company = tuple(_waiting(row) for row in behind)
    return Claim(lane=head.lane, fence=fence, row=_waiting(head), company=company)


def _still(claim: Claim, taken: Collection[int]) -> Claim:
    """A claim without what was cancelled while it was taken."""
    if claim.row.unclear or not claim.company:
        return claim
    return replace(claim, company=tuple(row for row in claim.company if row.seq in taken))


def _waiting(row: Row[Any]) -> Waiting:
    return Waiting(
        id=row.id,
        seq=row.seq,
        lane=row.lane,
        bucket=row.bucket,
        kind=DeliveryKind(row.kind),
        conversation_id=row.conversation_id,
        identity_id=row.identity_id,
        entry_id=row.entry_id,
        part=row.part,
        urgency=row.urgency,
        attempts=row.attempts,
        data=json.loads(row.data),
        created_at=unstamp(row.created_at),
        sending_at=maybe_unstamp(row.sending_at),
        unclear=row.state != "todo",
    )


def _delivery(outcome: Outcome, row: Waiting, now: datetime) -> dict[str, Any]:
    return {
        "outbox_id": row.id,
        "entry_id": row.entry_id,
        "conversation_id": row.conversation_id,
        "side": "chat" if row.kind.to_customer else "desk",
        "part": row.part,
        "place": outcome.place,
        "platform_id": outcome.platform_id,
        "at": stamp(outcome.at or now),
        "signed": outcome.signed,
    }
