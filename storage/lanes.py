"""Lanes and their leases: what must stay in order is worked on by one process at a time.

While a lane is leased its `ready_at` is the end of the lease, so that a process that died gives it back by itself.
Every write for a leased lane first checks its fence; a lease that was lost meanwhile undoes the whole transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Table, case, exists, func, null, or_, select, update

from domain.errors import LeaseLost
from storage.database import insert
from storage.engines import Connection
from storage.tables import inbox, lanes, leases, outbox, stamp

LEASE = timedelta(seconds=30)
OPEN_STATES = {"in": ("new",), "out": ("todo", "sending", "unclear")}


async def make_ready(conn: Connection, side: str, wanted: Mapping[str, tuple[float, int]]) -> None:
    """Make lanes ready at a time (seconds), at least as urgent as given; never later than they already are."""
    rows = [
        {"side": side, "lane": lane, "ready_at": at, "urgency": urgency}
        for lane, (at, urgency) in sorted(wanted.items())
    ]
    if not rows:
        return
    statement = insert(conn, lanes)
    new = statement.excluded
    earlier = or_(lanes.c.ready_at.is_(None), lanes.c.ready_at > new.ready_at)
    await conn.execute(
        statement.on_conflict_do_update(
            index_elements=["side", "lane"],
            set_={
                "ready_at": case((earlier, new.ready_at), else_=lanes.c.ready_at),
                "urgency": case((new.urgency > lanes.c.urgency, new.urgency), else_=lanes.c.urgency),
            },
        ),
        rows,
    )


async def claim(
    conn: Connection, side: str, owner: str, now: datetime, *, limit: int, parked: str | None = None
) -> dict[str, int]:
    """Lease ready lanes, most urgent and longest waiting first; returns lane -> fence.

    With `parked` it leases one lane that was parked for this reason, to try whether the reason has gone.
    """
    at = stamp(now)
    free = or_(lanes.c.lease_until.is_(None), lanes.c.lease_until <= at)
    query = select(lanes.c.lane, lanes.c.fence).where(lanes.c.side == side, free, lanes.c.ready_at.is_not(None))
    if parked is None:
        query = query.where(lanes.c.parked.is_(None), lanes.c.ready_at <= at)
    else:
        query = query.where(lanes.c.parked == parked)
    query = query.order_by(lanes.c.urgency.desc(), lanes.c.ready_at).limit(limit).with_for_update(skip_locked=True)
    found = {lane: fence + 1 for lane, fence in await conn.execute(query)}
    if found:
        until = stamp(now + LEASE)
        await conn.execute(
            update(lanes)
            .where(lanes.c.side == side, lanes.c.lane.in_(list(found)))
            .values(owner=owner, lease_until=until, ready_at=until, fence=lanes.c.fence + 1)
        )
    return found


async def check(conn: Connection, side: str, owner: str, fences: Mapping[str, int]) -> None:
    """Raise LeaseLost unless `owner` still holds every one of these lanes with this fence.

    Locks the rows, in the order in which `make_ready` does: two processes wait for each other, never mutually.
    """
    if not fences:
        return
    query = select(lanes.c.lane, lanes.c.fence).where(
        lanes.c.side == side, lanes.c.owner == owner, lanes.c.lane.in_(list(fences))
    )
    held = {lane: fence for lane, fence in await conn.execute(query.order_by(lanes.c.lane).with_for_update())}
    if any(held.get(lane) != fence for lane, fence in fences.items()):
        msg = "another process holds the lane now"
        raise LeaseLost(msg)


async def release(
    conn: Connection,
    side: str,
    owner: str,
    done: Collection[str],
    now: datetime,
    *,
    at: Mapping[str, datetime] | None = None,
) -> None:
    """Give leases back. A lane with waiting entries is ready at once, or at the time named in `at`."""
    at = at or {}
    plain = [lane for lane in done if lane not in at]
    held = lanes.c.side == side, lanes.c.owner == owner
    if plain:
        table: Table = inbox if side == "in" else outbox
        waiting = exists().where(table.c.lane == lanes.c.lane, table.c.state.in_(OPEN_STATES[side]))
        await conn.execute(
            update(lanes)
            .where(*held, lanes.c.lane.in_(plain))
            .values(
                owner=None,
                lease_until=None,
                ready_at=case((waiting, stamp(now)), else_=null()),
                urgency=case((waiting, lanes.c.urgency), else_=0),
            )
        )
    for lane, when in at.items():
        await conn.execute(
            update(lanes).where(*held, lanes.c.lane == lane).values(owner=None, lease_until=None, ready_at=stamp(when))
        )


async def renew(conn: Connection, side: str, owner: str, now: datetime, *, only: Collection[str] | None = None) -> None:
    """Extend every lease that `owner` holds on this side, or those of `only`."""
    until = stamp(now + LEASE)
    held = [lanes.c.side == side, lanes.c.owner == owner]
    if only is not None:
        held.append(lanes.c.lane.in_(list(only)))
    await conn.execute(select(lanes.c.lane).where(*held).order_by(lanes.c.lane).with_for_update())
    await conn.execute(update(lanes).where(*held).values(lease_until=until, ready_at=until))


async def release_everything(conn: Connection, now: datetime) -> None:
    """Give back every lease: only where no other process can be alive (SQLite, under the process lock)."""
    await conn.execute(
        update(lanes).where(lanes.c.owner.is_not(None)).values(owner=None, lease_until=None, ready_at=stamp(now))
    )
    await conn.execute(update(leases).values(until=0))


async def park(conn: Connection, side: str, lane: str, reason: str | None) -> None:
    """Stop a lane until a person or a fix lets it go on; None lets it go on."""
    await conn.execute(update(lanes).where(lanes.c.side == side, lanes.c.lane == lane).values(parked=reason))


async def unpark_all(conn: Connection, side: str, reason: str, now: datetime) -> int:
    """Let every lane that was parked for this reason go on, in its own order; returns how many."""
    result = await conn.execute(
        update(lanes).where(lanes.c.side == side, lanes.c.parked == reason).values(parked=None, ready_at=stamp(now))
    )
    return int(result.rowcount)


async def parked_reasons(conn: Connection, side: str) -> dict[str, int]:
    """Why lanes are parked, and how many for each reason."""
    query = select(lanes.c.parked, func.count()).where(lanes.c.side == side, lanes.c.parked.is_not(None))
    return {str(reason): int(count) for reason, count in await conn.execute(query.group_by(lanes.c.parked))}


async def next_ready(conn: Connection, side: str) -> float | None:
    """When the next lane of this side becomes ready, in seconds; None when nothing waits."""
    query = select(func.min(lanes.c.ready_at)).where(
        lanes.c.side == side, lanes.c.parked.is_(None), lanes.c.ready_at.is_not(None)
    )
    due: float | None = (await conn.execute(query)).scalar()
    return due


async def lead(conn: Connection, name: str, owner: str, now: datetime, term: timedelta) -> bool:
    """Take or keep a singleton's lease (poller, sweep, reconciler); False while another process has it."""
    statement = insert(conn, leases).values(name=name, owner=owner, until=stamp(now + term), fence=1)
    mine = or_(leases.c.owner == owner, leases.c.until <= stamp(now))
    await conn.execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"owner": owner, "until": stamp(now + term), "fence": leases.c.fence + 1},
            where=mine,
        )
    )
    holder: str = (await conn.execute(select(leases.c.owner).where(leases.c.name == name))).scalar_one()
    return holder == owner


async def step_down(conn: Connection, owner: str) -> None:
    """Give every singleton's lease of `owner` back at once."""
    await conn.execute(update(leases).where(leases.c.owner == owner).values(until=0))
