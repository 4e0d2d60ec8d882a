"""Links between customers as rows: made, taken back and refused in one transaction each, with lines on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, Row, bindparam, delete, or_, select

from domain import links
from domain.errors import UnknownPerson
from domain.links import Evidence, LinkAct, LinkChange, Pair, Sign, Suspect
from domain.model import MACHINE, Actor, ActorKind, Entry, EntryKind
from storage import audit, sealing
from storage.database import Database, insert
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import customer_links, customers, duplicates, stamp, timeline, unstamp

SUGGESTED: Final = "suggested"
REFUSED: Final = "refused"
_IDS: BindParameter[Any] = bindparam("b_ids", expanding=True)
NEIGHBOURS: Final = select(customer_links.c.one, customer_links.c.other).where(
    or_(customer_links.c.one.in_(_IDS), customer_links.c.other.in_(_IDS))
)
_SUSPECTS: Final = select(duplicates).where(
    or_(duplicates.c.one.in_(_IDS), duplicates.c.other.in_(_IDS)), duplicates.c.state == SUGGESTED
)
_SAID: Final = {LinkAct.MERGE: "linked", LinkAct.UNMERGE: "unlinked", LinkAct.REFUSE: "refused"}


async def edges(conn: Connection, customer_ids: Collection[str]) -> set[Pair]:
    """Every link within the persons that these customers are part of."""
    found: set[Pair] = set()
    seen, frontier = set(customer_ids), set(customer_ids)
    while frontier:
        rows = {(row.one, row.other) for row in await conn.execute(NEIGHBOURS, {"b_ids": sorted(frontier)})}
        frontier = {each for both in rows for each in both} - seen
        seen |= frontier
        found |= rows
    return found


async def members(conn: Connection, customer_id: str) -> list[str]:
    """The customers who are this person: itself first."""
    whole = links.person(customer_id, await edges(conn, [customer_id]))
    return [customer_id, *sorted(whole - {customer_id})]


async def apply(
    conn: Connection, change: LinkChange, audit_key: bytes, reached: Callable[[], None] = lambda: None
) -> bool:
    """Write a decision about two customers within the caller's transaction; False where it changes nothing.

    A merge is one row, and so is all that an unmerge takes away. Raises UnknownPerson where one of them is not there
    any more.
    """
    one, other = change.pair
    for each in (one, other):  # in this order everywhere, so that nobody waits for each other
        alive = select(customers.c.id).where(customers.c.id == each, customers.c.erased_at.is_(None))
        if (await conn.execute(alive.with_for_update())).first() is None:
            raise UnknownPerson(f"there is no customer {each}")
    if not await _written(conn, change, one, other):
        return False
    reached()
    kind, _, who = change.actor.partition(":")
    named = {"agent": ActorKind.AGENT, "os": ActorKind.OPERATOR}.get(kind)
    actor = MACHINE if named is None else Actor(kind=named, id=who[:40])
    for entry_id, mine, theirs in ((change.ids[1], one, other), (change.ids[2], other, one)):
        entry = Entry(
            id=entry_id,
            conversation_id=mine,
            customer_id=mine,
            kind=EntryKind.LINK,
            actor=actor,
            at=change.at,
            data={"with": theirs, "to": _SAID[change.act]},
        )
        await conn.execute(timeline.insert(), [sealing.entry_row(b"", entry, stamp(change.at))])  # it has no body
    await audit.record(
        conn,
        audit_key,
        at=change.at,
        actor=change.actor,
        action=f"customer.{change.act.value}",
        object=f"customer:{one}",
        detail=f"{other}: {change.reason}"[: links.LONGEST_REASON],
    )
    return True


async def _written(conn: Connection, change: LinkChange, one: str, other: str) -> bool:
    if change.act is LinkAct.UNMERGE:
        own = (customer_links.c.one == one) & (customer_links.c.other == other)
        return int((await conn.execute(delete(customer_links).where(own))).rowcount) == 1
    if other in await members(conn, one):
        return False  # they are one person already: to say otherwise, take the link back
    if change.act is LinkAct.MERGE:
        row = {"id": change.ids[0], "one": one, "other": other, "at": stamp(change.at), "actor": change.actor[:80]}
        await conn.execute(insert(conn, customer_links), [row | {"reason": change.reason[: links.LONGEST_REASON]}])
        return True
    row = {"id": change.ids[0], "one": one, "other": other, "evidence": "[]", "found_at": stamp(change.at)}
    said = {"state": REFUSED, "decided_by": change.actor[:80], "decided_at": stamp(change.at)}
    statement = insert(conn, duplicates).values(row | said)
    differs = duplicates.c.state != REFUSED
    done = await conn.execute(
        statement.on_conflict_do_update(index_elements=["one", "other"], set_=said, where=differs)
    )
    return int(done.rowcount) == 1


async def forget(conn: Connection, customer_id: str) -> None:
    """Nobody is one person with somebody who was erased, and nobody is asked about them."""
    for table in (customer_links, duplicates):
        await conn.execute(delete(table).where(or_(table.c.one == customer_id, table.c.other == customer_id)))


class Links:
    """Looks at who is one person, and decides about it for the command line.

    `reached` is called between the two halves of a decision, before it is committed (see `bot.crashpoints`).
    """

    def __init__(self, database: Database, keys: KeyStore, reached: Callable[[], None] = lambda: None) -> None:
        self._db = database
        self._keys = keys
        self._reached = reached

    async def decide(self, change: LinkChange) -> bool:
        """Write a decision; False where it changes nothing. Raises UnknownPerson."""
        key = self._keys.purpose("audit")
        return await self._db.write(lambda conn: apply(conn, change, key, self._reached))

    async def members(self, customer_id: str) -> list[str]:
        """The customers who are this person: itself first."""
        return await self._db.query(lambda conn: members(conn, customer_id))

    async def of(self, customer_id: str) -> tuple[list[str], list[Pair], list[Suspect]]:
        """Who is this person, by which links, and who else may be."""

        async def read(conn: Connection) -> tuple[set[Pair], Sequence[Row[Any]]]:
            own = await edges(conn, [customer_id])
            whole = links.person(customer_id, own)
            return own, (await conn.execute(_SUSPECTS, {"b_ids": sorted(whole)})).all()

        own, rows = await self._db.query(read)
        whole = links.person(customer_id, own)
        suspects = [one for one in (_suspect(row) for row in rows) if not {one.one, one.other} <= whole]
        return [customer_id, *sorted(whole - {customer_id})], sorted(own), suspects

    async def suspects(self, limit: int = 200) -> list[Suspect]:
        """All pairs that somebody should look at, the newest first."""
        query = select(duplicates).where(duplicates.c.state == SUGGESTED).order_by(duplicates.c.found_at.desc())

        async def read(conn: Connection) -> list[Suspect]:
            found = [_suspect(row) for row in await conn.execute(query.limit(limit))]
            own = await edges(conn, {each for one in found for each in (one.one, one.other)})
            return [one for one in found if one.other not in links.person(one.one, own)]

        return await self._db.query(read)

    async def suggest(self, found: Sequence[tuple[str, Suspect]], gone: Sequence[Pair] = ()) -> int:
        """Note suspects with fresh ids, but for those that were noted or refused before; drop those that are `gone`."""

        async def work(conn: Connection) -> int:
            for one, other in gone:
                own = (duplicates.c.one == one) & (duplicates.c.other == other) & (duplicates.c.state == SUGGESTED)
                await conn.execute(delete(duplicates).where(own))
            rows = [_row(made, one) for made, one in found]
            if not rows:
                return 0
            statement = insert(conn, duplicates)
            new = {"evidence": statement.excluded.evidence}
            open_ones = duplicates.c.state == SUGGESTED
            await conn.execute(
                statement.on_conflict_do_update(index_elements=["one", "other"], set_=new, where=open_ones), rows
            )
            return len(rows)

        return await self._db.write(work)


def _row(made: str, one: Suspect) -> dict[str, Any]:
    evidence = [[each.sign.value, each.score] for each in one.evidence]
    found_at: datetime = one.found_at
    return {
        "id": made,
        "one": one.one,
        "other": one.other,
        "evidence": json.dumps(evidence),
        "found_at": stamp(found_at),
        "state": SUGGESTED,
    }


def _suspect(row: Row[Any]) -> Suspect:
    evidence = tuple(Evidence(sign=Sign(sign), score=int(score)) for sign, score in json.loads(row.evidence))
    return Suspect(one=row.one, other=row.other, evidence=evidence, found_at=unstamp(row.found_at))
