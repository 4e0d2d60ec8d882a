"""Erasing a customer: the key first, then what it sealed, then what others hold for us; each step can be done again.

Destroying the data key is the erasure: from then on every copy of the record, backups and replicas included, is noise
about this customer. The rest removes what could still point at a person (keyed hashes, the platform's message numbers)
and what lies in Slack. What counts for statistics stays: numbers, times, queues, topics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import delete, func, select, update

from domain.changes import DeliveryKind, Outgoing
from domain.erasure import Post, Receipt, Step
from domain.errors import LegalHold, UnknownPerson
from storage import attachments, audit, crypto, labels, links, outbox, outgoing, shelves, wiping
from storage import holds as legal
from storage.database import Database, insert
from storage.engines import Connection
from storage.keys import KeyStore
from storage.segments import Segments
from storage.tables import (
    conversations,
    customers,
    deliveries,
    erasures,
    holds,
    identities,
    inbox,
    lanes,
    maybe_unstamp,
    moved_threads,
    one_of,
    stamp,
    unstamp,
)
from storage.tables import outbox as outbox_table

log = structlog.get_logger()

_FILE: Final = "F"  # how Slack's file ids begin; a post's id is a time
LINGER: Final = timedelta(seconds=shelves.CACHE_AGE_S + 5)
"""So long after the beginning another process may still write what it had in hand: then it is swept once more."""


class Erasures:
    """Begins erasures, carries them on, and tells how far they are.

    `reached` is told each step just after it was committed (see `bot.crashpoints`).
    """

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        segments: Segments,
        new_id: Callable[[], str],
        reached: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        self._db = database
        self._keys = keys
        self._segments = segments
        self._new_id = new_id
        self._reached = reached

    async def begin(self, customer_id: str, *, actor: str, reason: str, now: datetime, alone: bool = False) -> str:
        """Note that a customer is to be erased, and hide them at once; returns the erasure's id.

        Whoever is one person with them is erased with them, in the same transaction; `alone` leaves those out. From
        the commit on nobody finds the customer: who writes again is somebody new. An erasure that began earlier is the
        same one. Raises UnknownPerson or LegalHold.
        """
        made: dict[str, str] = {}

        async def work(conn: Connection) -> str:
            whole = {customer_id} if alone else await _locked(conn, customer_id)
            found = {one: await begun(conn, one) for one in sorted(whole)}
            return found[customer_id]

        async def begun(conn: Connection, customer_id: str) -> str:
            await wiping.locked(conn, customer_id)  # alone it was not yet
            known = await conn.execute(select(erasures.c.id).where(erasures.c.customer_id == customer_id))
            if (earlier := known.scalar()) is not None:
                return str(earlier)
            if await wiping.is_held(conn, customer_id):
                raise LegalHold(
                    "a legal hold covers this customer: nothing is erased while it stands (relaydesk privacy holds)"
                )
            made.setdefault(customer_id, self._new_id())
            row = {
                "id": made[customer_id],
                "customer_id": customer_id,
                "requested_at": stamp(now),
                "actor": actor[:80],
                "reason": reason[:200],
                "step": Step.BEGUN.value,
            }
            await conn.execute(insert(conn, erasures), [row])
            await wiping.drop_waiting(conn, customer_id)
            await wiping.hide(conn, customer_id, made[customer_id], now)
            await audit.record(
                conn,
                self._keys.purpose("audit"),
                at=now,
                actor=actor,
                action="privacy.erase",
                object=f"customer:{customer_id}",
                detail=f"erasure {made[customer_id]}",
            )
            return made[customer_id]

        found = await self._db.write(work, wake=(outbox.SIGNAL,))
        if found in made.values():
            self._reached(Step.BEGUN)
        return found

    async def go_on(self, erasure_id: str, now: datetime) -> Receipt:
        """Do what is left of an erasure, as far as it goes now: the last step waits for Slack. Raises UnknownPerson."""
        receipt = await self.receipt(erasure_id)
        customer = receipt.customer_id
        if receipt.step is Step.BEGUN:
            await self._keys.destroy(customer, receipt.requested_at)
            await self._step(erasure_id, Step.KEYLESS)
        if (await self._at(erasure_id)) is Step.KEYLESS:
            counts = await self._wipe(customer, erasure_id, now)
            await self._step(erasure_id, Step.WIPED, counts)
        if (await self._at(erasure_id)) is Step.WIPED:
            await self._segments.take_out_customer(customer)
            await self._db.checkpoint()
            await self._step(erasure_id, Step.FORGOTTEN)
        if (await self._at(erasure_id)) is Step.FORGOTTEN:
            await attachments.forget(self._db, customer)  # also what was on its way here before,
            await self._take_all_away(customer, erasure_id, now)  # or to Slack
            receipt = await self.receipt(erasure_id)
            is_quiet = receipt.waiting == 0 and now - receipt.requested_at >= LINGER
            if is_quiet and not await self._is_sending(customer) and await self._keys.scrubbed():
                await self._finish(receipt, now)
        return await self.receipt(erasure_id)

    async def is_held(self, customer_id: str) -> bool:
        """Whether a legal hold covers this customer now, also by way of whom they are one person with."""
        return await self._db.query(lambda conn: _covers(conn, customer_id))

    async def unfinished(self) -> list[str]:
        """Erasures that are not done, oldest first."""
        query = select(erasures.c.id).where(erasures.c.finished_at.is_(None)).order_by(erasures.c.id)
        async with self._db.read() as conn:
            return [str(one) for one in (await conn.execute(query)).scalars()]

    async def receipts(self, limit: int = 1000) -> list[Receipt]:
        """All erasures, newest first."""
        query = select(erasures.c.id).order_by(erasures.c.id.desc()).limit(limit)
        async with self._db.read() as conn:
            ids = [str(one) for one in (await conn.execute(query)).scalars()]
        return [await self.receipt(one) for one in ids]

    async def receipt(self, erasure_id: str) -> Receipt:
        """How far an erasure is, and what it did. Raises UnknownPerson."""
        async with self._db.read() as conn:
            row = (await conn.execute(select(erasures).where(erasures.c.id == erasure_id))).one_or_none()
            if row is None:
                raise UnknownPerson(f"there is no erasure {erasure_id}")
            sent = (await conn.execute(wiping.ours(erasure_id))).all()
            written = await wiping.theirs(conn, row.customer_id)
        open_states = ("todo", "sending", "unclear")
        kept = [one for one in wiping.read(sent) if one[0] == "dead"]
        return Receipt(
            id=row.id,
            customer_id=row.customer_id,
            actor=row.actor,
            reason=row.reason,
            step=Step(row.step),
            requested_at=unstamp(row.requested_at),
            finished_at=maybe_unstamp(row.finished_at),
            counts=json.loads(row.counts),
            deleted=sum(1 for one in sent if one.state == "sent"),
            waiting=sum(1 for one in sent if one.state in open_states),
            refused=tuple(Post(place=place, ts=ts, why=str(reason)) for _, reason, place, ts in kept),
            theirs=tuple(Post(place=place, ts=ts, why="written by an agent") for place, ts in written),
            mac=row.mac,
        )

    def is_genuine(self, receipt: Receipt) -> bool:
        """Whether a finished receipt is as it was issued."""
        return receipt.mac is not None and receipt.mac == self._mac(receipt)

    def _mac(self, receipt: Receipt) -> str:
        at = receipt.finished_at
        return crypto.mac(
            self._keys.purpose("receipt"),
            "erasure",
            receipt.id,
            receipt.customer_id,
            receipt.actor,
            receipt.reason,
            repr(stamp(receipt.requested_at)),
            "" if at is None else repr(stamp(at)),
            json.dumps(dict(sorted(receipt.counts.items()))),
        )

    async def tombstones(self) -> dict[str, datetime]:
        """Everybody who was erased, and when it was asked for: what a restored backup must forget again."""
        query = select(erasures.c.customer_id, erasures.c.requested_at)
        async with self._db.read() as conn:
            return {customer: unstamp(at) for customer, at in await conn.execute(query)}

    async def replay(self, tombstones: Mapping[str, datetime], *, actor: str, now: datetime) -> int:
        """Erase everybody named here (again), after a restore of older data; returns how many that were.

        A customer that the restored record does not know loses the key alone. Holds of older data do not count: what
        was erased once stays so.
        """
        for customer_id, at in sorted(tombstones.items()):
            await self._keys.destroy(customer_id, at)
            async with self._db.read() as conn:
                query = select(customers.c.id).where(customers.c.id == customer_id)
                is_known = (await conn.execute(query)).first() is not None
            if is_known:
                await self._release(customer_id, actor, now)
                erasure = await self.begin(
                    customer_id, actor=actor, reason="erased before the restore", now=now, alone=True
                )
                await self.go_on(erasure, now)
        return len(tombstones)

    async def _release(self, customer_id: str, actor: str, now: datetime) -> None:
        still = holds.c.released_at.is_(None) & (holds.c.customer_id == customer_id)
        values = {"released_at": stamp(now), "released_by": actor[:80]}

        async def work(conn: Connection) -> None:
            await conn.execute(update(holds).where(still).values(**values))

        await self._db.write(work)

    async def _at(self, erasure_id: str) -> Step:
        async with self._db.read() as conn:
            return Step((await conn.execute(select(erasures.c.step).where(erasures.c.id == erasure_id))).scalar_one())

    async def _step(self, erasure_id: str, step: Step, counts: Mapping[str, int] | None = None) -> None:
        values: dict[str, Any] = {"step": step.value}
        if counts is not None:
            values["counts"] = json.dumps(dict(counts))

        async def work(conn: Connection) -> None:
            await conn.execute(update(erasures).where(erasures.c.id == erasure_id).values(**values))

        await self._db.write(work)
        self._reached(step)

    # ---- the record -----------------------------------------------------------------------------------------

    async def _wipe(self, customer_id: str, erasure_id: str, now: datetime) -> dict[str, int]:
        """Remove what the key sealed and what points at the person; ask for our posts to be taken away.

        A transaction per conversation, so that nobody else's message waits long.
        """
        async with self._db.read() as conn:
            own = list((await conn.execute(wiping.threads_of(customer_id))).scalars())
        counts = {"conversations": len(own), "entries": 0, "files": 0}
        for place in (*own, customer_id):
            entries, files = await self._db.write(partial(wiping.empty, place=place))
            counts["entries"] += entries
            counts["files"] += files
        await attachments.forget(self._db, customer_id)
        await self._take_all_away(customer_id, erasure_id, now)
        await self._forget_lanes(customer_id)

        async def rest(conn: Connection) -> dict[str, int]:
            gone = await labels.forget(conn, [customer_id])
            found = select(func.count()).select_from(identities).where(identities.c.customer_id == customer_id)
            return {"labels": gone, "identities": int((await conn.execute(found)).scalar_one())}

        return counts | await self._db.write(rest)

    async def _take_all_away(self, customer_id: str, erasure_id: str, now: datetime) -> None:
        async with self._db.read() as conn:
            own = list((await conn.execute(wiping.threads_of(customer_id))).scalars())
        for conversation in own:
            work = partial(self._take_away, erasure_id=erasure_id, conversation_id=conversation, now=now)
            await self._db.write(work, wake=(outbox.SIGNAL,))

    async def _is_sending(self, customer_id: str) -> bool:
        """Whether something of this customer is being called at a platform right now."""
        of = outbox_table.c.conversation_id.in_(wiping.threads_of(customer_id).order_by(None))
        async with self._db.read() as conn:
            query = select(outbox_table.c.id).where(one_of(outbox_table.c.state, outgoing.OPEN), of)
            return (await conn.execute(query.limit(1))).first() is not None

    async def _forget_lanes(self, customer_id: str) -> None:
        """Take the names of the customer's inbox lanes out of what was done: they are hashes of an address."""
        async with self._db.read() as conn:
            names = list((await conn.execute(wiping.lanes(customer_id))).scalars())
            done = list(
                (await conn.execute(select(inbox.c.id).where(inbox.c.lane.in_(names), wiping.SETTLED))).scalars()
            )
        for start in range(0, len(done), wiping.ROWS_AT_ONCE):
            part = done[start : start + wiping.ROWS_AT_ONCE]
            await self._db.write(partial(wiping.rename, ids=part))

        async def work(conn: Connection) -> None:
            idle = (lanes.c.side == "in") & lanes.c.owner.is_(None) & lanes.c.ready_at.is_(None)
            await conn.execute(delete(lanes).where(lanes.c.lane.in_(names), idle))
            await conn.execute(update(conversations).where(wiping.about(customer_id)).values(lane=wiping.LANE))

        await self._db.write(work)

    async def _take_away(self, conn: Connection, *, erasure_id: str, conversation_id: str, now: datetime) -> None:
        """Ask for our posts of a conversation to be deleted at the desk, its card last."""
        of = deliveries.c.conversation_id == conversation_id
        posts = select(deliveries.c.place, deliveries.c.platform_id).where(of, deliveries.c.side == "desk")
        found = [(place, post) for place, post in await conn.execute(posts.order_by(deliveries.c.outbox_id))]
        root = select(conversations.c.desk_channel, conversations.c.desk_thread)
        found += [
            (place, ts)
            for place, ts in await conn.execute(root.where(conversations.c.id == conversation_id))
            if ts is not None
        ]
        left = select(moved_threads.c.desk_channel, moved_threads.c.desk_thread)
        found += [
            (place, ts)
            for place, ts in await conn.execute(left.where(moved_threads.c.conversation_id == conversation_id))
        ]
        items = [
            self._deletion(erasure_id, conversation_id, place, post) for place, post in dict.fromkeys(found) if post
        ]
        await outgoing.add(conn, items, now)
        await conn.execute(delete(deliveries).where(of, deliveries.c.side == "chat"))

    def _deletion(self, erasure_id: str, conversation_id: str, place: str, post: str) -> Outgoing:
        what = "file" if post.startswith(_FILE) else "ts"
        return Outgoing(
            id=self._new_id(),
            lane=f"erase:{conversation_id}",
            bucket=f"slack:{place}",
            kind=DeliveryKind.DESK_DELETE,
            idem_key=f"erase:{erasure_id}:{place}:{post}",
            data={"place": place, what: post},
        )

    async def _finish(self, receipt: Receipt, now: datetime) -> None:
        """Sweep once more for what was being written while it began, then issue the receipt."""
        await self._segments.take_out_customer(receipt.customer_id)
        await self._forget_lanes(receipt.customer_id)

        async def work(conn: Connection) -> None:
            await wiping.hide(conn, receipt.customer_id, receipt.id, now)
            for place in (
                *(await conn.execute(wiping.threads_of(receipt.customer_id))).scalars(),
                receipt.customer_id,
            ):
                await wiping.empty(conn, place=str(place))
            done = Receipt(
                id=receipt.id,
                customer_id=receipt.customer_id,
                actor=receipt.actor,
                reason=receipt.reason,
                step=Step.DONE,
                requested_at=receipt.requested_at,
                finished_at=unstamp(stamp(now)),
                counts=receipt.counts,
            )
            values = {"step": Step.DONE.value, "finished_at": stamp(now), "mac": self._mac(done)}
            await conn.execute(update(erasures).where(erasures.c.id == receipt.id).values(**values))

        await self._db.write(work)
        await self._db.checkpoint()
        self._reached(Step.DONE)
        log.info("erasure.done", erasure=receipt.id, refused=len(receipt.refused), theirs=len(receipt.theirs))


async def _locked(conn: Connection, customer_id: str) -> set[str]:
    """Everybody who is one person with a customer, held to the end of the transaction: nobody is merged meanwhile."""
    whole: set[str] = set()
    while whole != (found := set(await links.members(conn, customer_id))):
        whole = found
        for each in sorted(whole):
            await wiping.locked(conn, each)
    return whole


async def _covers(conn: Connection, customer_id: str) -> bool:
    return customer_id in await legal.covered(conn)
