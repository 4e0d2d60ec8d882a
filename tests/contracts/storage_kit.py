"""One process's view of a storage, and the values that storage tests write."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from ulid import ULID

from domain.changes import Changes, DeliveryKind, Outgoing
from domain.model import Actor, ActorKind, Conversation, Customer, Entry, EntryKind, Identity, Thread
from domain.ports import Arrival
from storage import flush, lanes, migrate, tables
from storage import inbox as inbox_rows
from storage.clocks import Clocks
from storage.database import Database
from storage.engines import Connection
from storage.inbox import Claim, Inbox
from storage.keys import KeyStore, MasterRing
from storage.outbox import Outbox
from storage.record import Record
from storage.reindex import Reindex
from storage.search import Search
from storage.segments import Segments
from storage.views import Views
from tests import templates

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
RING = MasterRing(keys={"k-test": bytes(range(32))}, active="k-test")
CUSTOMER = Actor(kind=ActorKind.CUSTOMER)
AGENT = Actor(kind=ActorKind.AGENT, id="U0MAYA")


def new_id() -> str:
    return str(ULID())


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process with its stores. `owner` is the name under which it leases."""

    owner: str
    db: Database
    keys: KeyStore
    inbox: Inbox
    outbox: Outbox
    record: Record
    views: Views
    clocks: Clocks
    search: Search
    segments: Segments
    reindex: Reindex

    async def claim(self, now: datetime = NOW, *, limit: int = 100) -> list[Claim]:
        return await self.inbox.claim(self.owner, now, limit=limit)

    async def finish(self, claims: list[Claim], now: datetime = NOW) -> None:
        """End the work on claimed lanes as the worker does: fence, rows, lease, in one transaction."""

        async def work(conn: Connection) -> None:
            await lanes.check(conn, "in", self.owner, {claim.lane: claim.fence for claim in claims})
            await inbox_rows.finish(conn, [row.id for claim in claims for row in claim.rows], now)
            await lanes.release(conn, "in", self.owner, [claim.lane for claim in claims], now)

        await self.db.write(work)

    async def decide(self, *changes: Changes, now: datetime = NOW, actor: str = "machine") -> None:
        """Write decisions in one transaction."""
        decisions = [flush.Decision(id=new_id(), changes=one, actor=actor) for one in changes]
        prepared = await self.record.prepare(decisions, now)
        await self.db.write(lambda conn: flush.write(conn, prepared, self.record.audit_key))

    async def rows(self, table: Any) -> list[dict[str, Any]]:
        """Everything a table holds, as it is stored."""
        async with self.db.read() as conn:
            return [dict(row._mapping) for row in await conn.execute(select(table))]

    async def dump(self) -> bytes:
        """Every stored cell of the record, for looking for words in it."""
        found: list[bytes] = []
        for table in tables.metadata.sorted_tables:
            for row in await self.rows(table):
                found += [cell if isinstance(cell, bytes) else str(cell).encode() for cell in row.values()]
        return b"\n".join(found)


@asynccontextmanager
async def process(database_url: str, keys_url: str, owner: str = "one") -> AsyncIterator[Process]:
    """A process on these databases; brings them to this release's schema."""
    await templates.seed(database_url)
    keys = await KeyStore.open(keys_url, RING)
    try:
        async with Database.open(database_url) as db:
            await migrate.upgrade(db)
            record = Record(db, keys)
            yield Process(
                owner=owner,
                db=db,
                keys=keys,
                inbox=Inbox(db, keys),
                outbox=Outbox(db),
                record=record,
                views=Views(db, keys),
                clocks=Clocks(db),
                search=Search(db, keys, record),
                segments=Segments(db, keys),
                reindex=Reindex(db, keys),
            )
    finally:
        await keys.close()


def arrival(key: str, lane: str = "chat:1", *, source: str = "telegram", **fields: Any) -> Arrival:
    return Arrival(
        source=source, event_key=key, lane_key=lane, **({"payload": f'{{"n": "{key}"}}', "kind": "text"} | fields)
    )


def outgoing(lane: str, key: str = "", **fields: Any) -> Outgoing:
    identity = new_id()
    values: dict[str, Any] = {"kind": DeliveryKind.CHAT_TEXT, "bucket": f"telegram:{lane}"}
    return Outgoing(id=identity, lane=lane, idem_key=key or identity, **(values | fields))


def sending(*items: Outgoing) -> Changes:
    return Changes(reason="test", outbox=items)


@dataclass(frozen=True, kw_only=True)
class Story:
    """A customer with one conversation, and what is written about them."""

    customer: Customer
    identity: Identity
    conversation: Conversation

    def opening(self, *texts: str) -> Changes:
        """The first decision about this customer."""
        return Changes(
            reason="opened",
            customer=self.customer,
            identity=self.identity,
            conversation=self.conversation,
            entries=tuple(
                self.said(text, seconds=place, platform_id=str(1 + place)) for place, text in enumerate(texts)
            ),
        )

    def edited(self, before: Entry, text: str, *, seconds: float = 0) -> Entry:
        """A change that this customer made of a message."""
        fields: dict[str, Any] = {"data": {"of": before.id}, "reply_to": before.platform_id}
        return self.said(text, kind=EntryKind.INCOMING_EDIT, seconds=seconds, **fields)

    def changed(self, version: int, **fields: Any) -> Changes:
        """A decision made on this version of the conversation."""
        return Changes(reason="changed", conversation=replace(self.conversation, version=version, **fields))

    def said(self, text: str, *, seconds: float = 0, **fields: Any) -> Entry:
        """A message of this customer."""
        values: dict[str, Any] = {"kind": EntryKind.INCOMING, "actor": CUSTOMER, "at": at(seconds), "body": text}
        return Entry(
            id=new_id(),
            conversation_id=self.conversation.id,
            customer_id=self.customer.id,
            **(values | fields),
        )


def story(name: str = "Ann Example", address: str = "4711", **fields: Any) -> Story:
    """A new customer on Telegram with a conversation that was never written."""
    customer = Customer(id=new_id(), name=name, language="en", created_at=NOW)
    identity = Identity(
        id=new_id(), customer_id=customer.id, channel="telegram", address=address, name=name, username=f"user_{address}"
    )
    values: dict[str, Any] = {
        "id": new_id(),
        "number": 0,
        "customer_id": customer.id,
        "identity_id": identity.id,
        "channel": "telegram",
        "lane": new_id(),
        "thread": Thread(channel="C0GENERAL"),
        "queue": "general",
        "opened_at": NOW,
        "unanswered_since": NOW,
        "version": -1,
    }
    return Story(customer=customer, identity=identity, conversation=Conversation(**(values | fields)))
