"""Lanes and their leases: what must stay in order is worked on by one process at a time.

While a lane is leased its `ready_at` is the end of the lease, so that a process that died gives it back by itself.
Every write for a leased lane first checks its fence; a lease that was lost meanwhile undoes the whole transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Double, Executable, Table, Update, and_, bindparam, case, exists, func, null, or_, select, update

from domain.errors import LeaseLost
from storage.database import insert, insert_into
from storage.engines import Connection
from storage.tables import inbox, lanes, leases, one_of, outbox, stamp

LEASE = timedelta(seconds=30)
OPEN_STATES = {"in": ("new",), "out": ("todo", "sending", "unclear")}

# Statements are built once: building one costs several times its execution.
_SIDE = lanes.c.side == bindparam("b_side")
_OWN = lanes.c.owner == bindparam("b_owner")
_NAMED = lanes.c.lane.in_(bindparam("b_lanes", expanding=True))
_FREE = or_(lanes.c.lease_until.is_(None), lanes.c.lease_until <= bindparam("b_at"))
_CANDIDATES = (
    select(lanes.c.lane, lanes.c.fence)
    .where(_SIDE, _FREE, lanes.c.ready_at.is_not(None))
    .order_by(lanes.c.urgency.desc(), lanes.c.ready_at)
    .limit(bindparam("b_limit"))
    .with_for_update(skip_locked=True)
)
_READY = _CANDIDATES.where(lanes.c.parked.is_(None), lanes.c.ready_at <= bindparam("b_at"))
_PARKED = _CANDIDATES.where(lanes.c.parked == bindparam("b_parked"))
_TAKE = (
    update(lanes)
    .where(_SIDE, _NAMED)
    .values(
        owner=bindparam("b_owner"),
        lease_until=bindparam("b_until"),
        ready_at=bindparam("b_until"),
        fence=lanes.c.fence + 1,
    )
)
_HELD = select(lanes.c.lane, lanes.c.fence).where(_SIDE, _OWN, _NAMED).order_by(lanes.c.lane).with_for_update()
_GIVE_BACK_AT = (
    update(lanes).where(_SIDE, _OWN, _NAMED).values(owner=None, lease_until=None, ready_at=bindparam("b_ready"))
)
_NEXT = select(func.min(lanes.c.ready_at)).where(_SIDE, lanes.c.parked.is_(None), lanes.c.ready_at.is_not(None))


def _give_back(table: Table, states: Collection[str]) -> Update:
    waiting = exists().where(table.c.lane == lanes.c.lane, one_of(table.c.state, states))
    return (
        update(lanes)
        .where(_SIDE, _OWN, _NAMED)
        .values(
            owner=None,
            lease_until=None,
            ready_at=case((waiting, bindparam("b_now", type_=Double)), else_=null()),
            urgency=case((waiting, lanes.c.urgency), else_=0),
        )
    )


_GIVE_BACK = {"in": _give_back(inbox, OPEN_STATES["in"]), "out": _give_back(outbox, OPEN_STATES["out"])}


@cache
def _make_ready(dialect: str) -> Executable:
    statement = insert_into(dialect, lanes)
    new = statement.excluded
    earlier = or_(lanes.c.ready_at.is_(None), and_(lanes.c.ready_at > new.ready_at, lanes.c.lease_until.is_(None)))
    return statement.on_conflict_do_update(
        index_elements=["side", "lane"],
        set_={
            "ready_at": case((earlier, new.ready_at), else_=lanes.c.ready_at),
            "urgency": case((new.urgency > lanes.c.urgency, new.urgency), else_=lanes.c.urgency),
        },
    )


async def make_ready(conn: Connection, side: str, wanted: Mapping[str, tuple[float, int]]) -> None:
    """Make lanes ready at a time (seconds), at least as urgent as given; never later than they already are.

    A leased lane stays as it is: whoever gives it back looks for what came meanwhile.
    """
    rows = [
        {"side": side, "lane": lane, "ready_at": at, "urgency": urgency}
        for lane, (at, urgency) in sorted(wanted.items())
    ]
    if rows:
        await conn.execute(_make_ready(conn.dialect.name), rows)


async def claim(
    conn: Connection, side: str, owner: str, now: datetime, *, limit: int, parked: str | None = None
) -> dict[str, int]:
    """Lease ready lanes, most urgent and longest waiting first; returns lane -> fence.

    With `parked` it leases one lane that was parked for this reason, to try whether the reason has gone.
    """
    wanted = {"b_side": side, "b_at": stamp(now), "b_limit": limit}
    query = _READY if parked is None else _PARKED
    found_rows = await conn.execute(query, wanted if parked is None else {**wanted, "b_parked": parked})
    found = {lane: fence + 1 for lane, fence in found_rows}
    if found:
        lease = {"b_side": side, "b_lanes": list(found), "b_owner": owner, "b_until": stamp(now + LEASE)}
        await conn.execute(_TAKE, lease)
    return found


async def check(conn: Connection, side: str, owner: str, fences: Mapping[str, int]) -> None:
    """Raise LeaseLost unless `owner` still holds every one of these lanes with this fence.

    Locks the rows, in the order in which `make_ready` does: two processes wait for each other, never mutually.
    """
    if not fences:
        return
    wanted = {"b_side": side, "b_owner": owner, "b_lanes": list(fences)}
    held = {lane: fence for lane, fence in await conn.execute(_HELD, wanted)}
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
    held = {"b_side": side, "b_owner": owner}
    if plain:
        await conn.execute(_GIVE_BACK[side], {**held, "b_lanes": plain, "b_now": stamp(now)})
    for lane, when in at.items():
        await conn.execute(_GIVE_BACK_AT, {**held, "b_lanes": [lane], "b_ready": stamp(when)})


async def renew(
    conn: Connection, side: str, owner: str, now: datetime, *, only: Collection[str] | None = None
) -> frozenset[str]:
    """Extend every lease that `owner` holds on this side, or those of `only`; returns the lanes that it still holds."""
    until = stamp(now + LEASE)
    held = [lanes.c.side == side, lanes.c.owner == owner]
    if only is not None:
        held.append(lanes.c.lane.in_(list(only)))
    found = await conn.execute(select(lanes.c.lane).where(*held).order_by(lanes.c.lane).with_for_update())
    renewed = frozenset(found.scalars())
    await conn.execute(update(lanes).where(*held).values(lease_until=until, ready_at=until))
    return renewed


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


async def waiting(conn: Connection) -> dict[str, int]:
    """How many lanes have work that nobody has taken, per side."""
    query = select(lanes.c.side, func.count()).where(lanes.c.ready_at.is_not(None), lanes.c.owner.is_(None))
    found = {str(side): int(count) for side, count in await conn.execute(query.group_by(lanes.c.side))}
    return {"in": 0, "out": 0} | found


async def next_ready(conn: Connection, side: str) -> float | None:
    """When the next lane of this side becomes ready, in seconds; None when nothing waits."""
    due: float | None = (await conn.execute(_NEXT, {"b_side": side})).scalar()
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


async def leave(conn: Connection, owner: str, now: datetime) -> None:
    """Give every inbox lane of `owner` back at once, for a process that stops.

    What it was sending when it stopped keeps its lease: the platform may still be taking it in.
    """
    held = (lanes.c.side == "in", lanes.c.owner == owner)
    await conn.execute(update(lanes).where(*held).values(owner=None, lease_until=None, ready_at=stamp(now)))


async def is_held(conn: Connection, name: str) -> bool:
    """Whether a singleton's lease was never given back: whoever had it is at work, or was killed."""
    until = (await conn.execute(select(leases.c.until).where(leases.c.name == name))).scalar()
    return bool(until)


async def step_down(conn: Connection, owner: str) -> None:
    """Give every singleton's lease of `owner` back at once."""
    await conn.execute(update(leases).where(leases.c.owner == owner).values(until=0))
