"""Writing decisions: sealed beforehand, then one statement per table in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Executable, Table, bindparam, delete, or_, select, update

from domain.cases import Ruling
from domain.changes import Changes, Move, Outgoing, Settle
from domain.contacts import Checked
from domain.errors import Conflict, KeyDestroyed, UnknownPerson
from domain.links import LinkChange
from domain.model import Entry
from domain.profile import Said
from storage import audit, cases, contacts, digests, labels, links, outgoing, profiles, sealing, threads, words
from storage.database import insert, insert_into
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import (
    agents,
    clocks,
    conversations,
    counters,
    customers,
    identities,
    maybe_stamp,
    search_fresh,
    stamp,
    timeline,
)

# Columns a decision never changes: its name, and where it stands at the desk, which the receipt of the card writes.
KEPT = frozenset({"id", "number", "desk_channel", "desk_thread", "desk_before", "card_version"})
CLOCKS_SIGNAL = "clocks"
FIRST_NUMBER = 1000  # so that the first conversation is #1001: a number people can quote


# Statements are built once: building one costs several times its execution.
_CHANGED = tuple(column.name for column in conversations.c if column.name not in KEPT)
_COMPARE_AND_SET = (
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"), conversations.c.version == bindparam("b_expected"))
    .values({name: bindparam(f"b_{name}") for name in _CHANGED})
)
_CHANGED_BY = select(conversations.c.id, conversations.c.changed_by).where(
    conversations.c.id.in_(bindparam("b_ids", expanding=True))
)
FORGET_CLOCKS = delete(clocks).where(
    clocks.c.conversation_id.in_(bindparam("b_ids", expanding=True)),
    clocks.c.id.not_in(bindparam("b_kept", expanding=True)),
)
# What a clock is never changes, only how it stands.
_CLOCK = frozenset({"id", "conversation_id", "metric", "instance"})

# Segments, tags, region and profile are written by those who compute and note them; a decision only reads them.
_PERSON = frozenset({"id", "created_at", "erased_at", "segments", "tags", "profile_sealed", "region"})


@cache
def _insert(dialect: str, table: Table) -> Executable:
    return insert_into(dialect, table)


@cache
def _replacing(dialect: str, table: Table, kept: frozenset[str]) -> Executable:
    statement = insert_into(dialect, table)
    columns = {column.name: statement.excluded[column.name] for column in table.c if column.name not in kept}
    # Whoever was erased while this was being decided is not brought back.
    alive = table.c.erased_at.is_(None) if "erased_at" in table.c else None
    return statement.on_conflict_do_update(index_elements=["id"], set_=columns, where=alive)


@cache
def _reschedule(dialect: str) -> Executable:
    """Write clocks where they stand otherwise than before: a message leaves most clocks as they are."""
    statement = insert_into(dialect, clocks)
    columns = {column.name: statement.excluded[column.name] for column in clocks.c if column.name not in _CLOCK}
    differs = or_(*(clocks.c[name].is_distinct_from(new) for name, new in columns.items()))
    return statement.on_conflict_do_update(index_elements=["id"], set_=columns, where=differs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """A decision on its way to the database. `id` is a ULID that stands in the version it writes."""

    id: str
    changes: Changes
    actor: str = "machine"


@dataclass(kw_only=True, slots=True)
class Prepared:
    """Decisions as rows: everything that takes time was done before the transaction."""

    now: datetime
    cases: list[dict[str, Any]] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    contacts: list[dict[str, Any]] = field(default_factory=list)
    regions: list[tuple[str, str]] = field(default_factory=list)
    entered: set[str] = field(default_factory=set)  # the contact points that people are entered with, by their hashes
    checked: list[Checked] = field(default_factory=list)
    links: list[LinkChange] = field(default_factory=list)
    said: list[tuple[bytes, bytes, Said]] = field(default_factory=list)
    actor_acts: list[tuple[str, tuple[str, str, str]]] = field(default_factory=list)
    customers: dict[str, dict[str, Any]] = field(default_factory=dict)
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)
    opened: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: dict[str, dict[str, Any]] = field(default_factory=dict)
    expected: dict[str, int] = field(default_factory=dict)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    clocks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    outbox: list[Outgoing] = field(default_factory=list)
    cancel: list[str] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    settle: list[Settle] = field(default_factory=list)
    agents: dict[str, dict[str, Any]] = field(default_factory=dict)
    labels: labels.Prepared | None = None
    digests: dict[str, str] = field(default_factory=dict)  # of what its audited acts have read, by subject

    @property
    def read(self) -> set[str]:
        """What the audited acts of these decisions have read, as `digests.of` takes it."""
        found = (digests.subject(*act) for _, act in self.actor_acts)
        return {one for one in found if one is not None}


async def prepare(decisions: Sequence[Decision], keys: KeyStore, now: datetime) -> Prepared:
    """Seal everything that these decisions write. A new customer's key is durable before this returns.

    Decisions of one conversation are given in their order. Raises KeyDestroyed where a customer was erased meanwhile.
    """
    everyone = [d.changes for d in decisions]
    owners = {c.customer.id for c in everyone if c.customer} | {c.identity.customer_id for c in everyone if c.identity}
    owners |= {entry.customer_id for c in everyone for entry in c.entries}
    owners |= {point.customer_id for c in everyone for point in c.contacts}
    owners |= {one.customer_id for c in everyone for one in c.said}
    owners |= {one.customer_id for c in everyone for one in c.moved}
    taught = [one for c in everyone for one in c.labels]
    owners |= {one.customer_id for one in taught if one.customer_id}
    ring = await keys.data_keys(owners, create=True) if owners else {}
    if len(ring) < len(owners):
        msg = "the customer's key was destroyed: nothing more is recorded for them"
        raise KeyDestroyed(msg)
    index_key = keys.purpose("index")
    hashed = words.of(index_key)
    prepared = Prepared(now=now)
    for decision in decisions:
        changes = decision.changes
        if changes.customer is not None:
            prepared.customers[changes.customer.id] = sealing.customer_row(ring[changes.customer.id], changes.customer)
        if changes.identity is not None:
            row = sealing.identity_row(ring[changes.identity.customer_id], index_key, changes.identity)
            prepared.identities[changes.identity.id] = row
        for one in changes.moved:
            prepared.identities[one.id] = sealing.identity_row(ring[one.customer_id], index_key, one)
        if changes.conversation is not None:
            _add_conversation(prepared, decision)
        prepared.timeline += [sealing.entry_row(ring[e.customer_id], e, stamp(now)) for e in changes.entries]
        prepared.words += words.rows(hashed, changes)
        if changes.clocks is not None and changes.conversation is not None:
            prepared.clocks[changes.conversation.id] = [sealing.clock_row(clock) for clock in changes.clocks]
        if changes.agent is not None:
            prepared.agents[changes.agent.id] = {
                "id": changes.agent.id,
                "languages": json.dumps(list(changes.agent.languages)),
                "on_duty": int(changes.agent.on_duty),
                "last_assigned_at": maybe_stamp(changes.agent.last_assigned_at),
            }
        prepared.outbox += changes.outbox
        prepared.cancel += changes.cancel
        prepared.settle += changes.settle
        prepared.moves += [changes.move] if changes.move is not None else []
        prepared.cases += [cases.row_of(one) for one in changes.cases]
        prepared.rulings += changes.rulings
        points = [contacts.row_of(ring[one.customer_id], index_key, one) for one in changes.contacts]
        prepared.contacts += points
        if changes.enters:
            _enter(prepared, {row["value_mac"] for row in points})
        prepared.regions += contacts.regions_of(changes.contacts)
        prepared.checked += changes.checked
        prepared.links += changes.links
        prepared.said += [(ring[one.customer_id], index_key, one) for one in changes.said]
        prepared.actor_acts += [(decision.actor, act) for act in changes.audit]
    if taught:
        prepared.labels = labels.prepare(taught, ring, now)
    return prepared


async def add_claims(prepared: Prepared, claimed: Sequence[Entry], keys: KeyStore) -> None:
    """Add the lines of what somebody confirmed that is another's (see `claims`)."""
    if not claimed:
        return
    ring = await keys.data_keys({line.customer_id for line in claimed}, create=False)
    for line in claimed:
        if (key := ring.get(line.customer_id)) is not None:  # erased meanwhile: nothing more is kept of them
            prepared.timeline.append(sealing.entry_row(key, line, stamp(prepared.now)))


def _enter(prepared: Prepared, hashed: set[str]) -> None:
    if not hashed.isdisjoint(prepared.entered):
        msg = "two decisions of one batch enter somebody with the same phone number or e-mail address"
        raise Conflict(msg)
    prepared.entered |= hashed


def _add_conversation(prepared: Prepared, decision: Decision) -> None:
    conversation = decision.changes.conversation
    assert conversation is not None  # noqa: S101  # the caller looked
    row = sealing.conversation_row(conversation, decision.id)
    if conversation.version < 0 or conversation.id in prepared.opened:
        prepared.opened[conversation.id] = row
        return
    before = prepared.changed.get(conversation.id)
    if before is not None and before["version"] != conversation.version:
        msg = "two decisions of one batch were made on the same version of a conversation"
        raise Conflict(msg)
    prepared.expected.setdefault(conversation.id, conversation.version)
    prepared.changed[conversation.id] = row


async def write(conn: Connection, prepared: Prepared, audit_key: bytes) -> None:
    """Write prepared decisions. Raises Conflict when a conversation is not at the version it was decided on, or where
    somebody has a contact point by now that a person is entered with.
    """
    dialect = conn.dialect.name
    await contacts.claim(conn, prepared.entered)  # before anything is locked that the one who is waited for may want
    if prepared.customers:
        await conn.execute(_replacing(dialect, customers, _PERSON), list(prepared.customers.values()))
        refused = [row["id"] for row in prepared.customers.values() if row["training"] == 0]
        await labels.forget(conn, refused)
    if prepared.identities:
        await conn.execute(_replacing(dialect, identities, _PERSON), list(prepared.identities.values()))
    if prepared.opened:
        await _open(conn, prepared)
    if prepared.changed:
        await _change(conn, prepared)
    if prepared.timeline:
        await conn.execute(_insert(dialect, timeline), prepared.timeline)
    if prepared.words:
        await conn.execute(_insert(dialect, search_fresh), prepared.words)
    if prepared.clocks:
        await reschedule(conn, prepared.clocks)
    if prepared.agents:
        await conn.execute(_replacing(dialect, agents, frozenset({"id"})), list(prepared.agents.values()))
    if prepared.labels is not None:
        await labels.write(conn, prepared.labels)
    idle = [(one.by, one.word, f"case:{one.case_id}") for one in await _write_rights(conn, prepared, audit_key)]
    await outgoing.cancel(conn, prepared.cancel, prepared.now)
    for decision in prepared.settle:
        await outgoing.settle_by_person(conn, decision, prepared.now)
    await outgoing.add(conn, prepared.outbox, prepared.now)
    for wanted in prepared.moves:
        await threads.move(conn, wanted, prepared.now)
    for actor, (action, thing, detail) in prepared.actor_acts:
        if (actor, action, thing) in idle:  # nothing came of it
            idle.remove((actor, action, thing))
            continue
        await audit.record(
            conn,
            audit_key,
            at=prepared.now,
            actor=actor,
            action=action,
            object=thing,
            detail=detail,
            digest=prepared.digests.get(digests.subject(action, thing, detail) or "", ""),
        )


async def _write_rights(conn: Connection, prepared: Prepared, audit_key: bytes) -> list[Ruling]:
    """What is rare in a decision: cases, and contact points. Returns the rulings on cases that changed nothing."""
    idle: list[Ruling] = []
    if prepared.cases or prepared.rulings:
        idle = await cases.write(conn, prepared.cases, prepared.rulings)
    if prepared.contacts or prepared.checked:
        await contacts.write(conn, prepared.contacts, prepared.checked, prepared.regions)
    for key, index_key, one in prepared.said:
        with suppress(UnknownPerson):  # erased meanwhile: nothing more is kept of them
            await profiles.say(conn, profiles.Keys(own=key, index=index_key, audit=audit_key), one, prepared.now)
    for link in prepared.links:
        with suppress(UnknownPerson):  # one of them was erased meanwhile: there is nothing left to decide
            await links.apply(conn, link, audit_key)
    return idle


async def reschedule(conn: Connection, found: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Write all clocks of these conversations, as rows by conversation; those that are no more are removed."""
    rows = [row for own in found.values() for row in own]
    await conn.execute(FORGET_CLOCKS, {"b_ids": list(found), "b_kept": [row["id"] for row in rows]})
    if rows:
        await conn.execute(_reschedule(conn.dialect.name), rows)


def joined(parts: Iterable[Prepared], now: datetime) -> Prepared:
    """Decisions of different conversations that were prepared apart, as one.

    Raises Conflict where two of them enter somebody with the same contact point, as for those of one batch.
    """
    whole = Prepared(now=now)
    for part in parts:
        _enter(whole, part.entered)
        for one in fields(Prepared):
            mine, theirs = getattr(whole, one.name), getattr(part, one.name)
            if isinstance(mine, dict):
                mine.update(theirs)
            elif isinstance(mine, list):
                mine.extend(theirs)
    return whole


async def _open(conn: Connection, prepared: Prepared) -> None:
    count = len(prepared.opened)
    statement = insert(conn, counters).values(name="conversation", value=FIRST_NUMBER + count)
    top = await conn.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": counters.c.value + count}).returning(
            counters.c.value
        )
    )
    first = int(top.scalar_one()) - count + 1
    for number, row in enumerate(prepared.opened.values(), first):
        row["number"] = number
    await conn.execute(insert(conn, conversations), list(prepared.opened.values()))


async def _change(conn: Connection, prepared: Prepared) -> None:
    rows = [
        {f"b_{name}": row[name] for name in _CHANGED} | {"b_id": identity, "b_expected": prepared.expected[identity]}
        for identity, row in sorted(prepared.changed.items())
    ]
    await conn.execute(_COMPARE_AND_SET, rows)
    found = await conn.execute(_CHANGED_BY, {"b_ids": list(prepared.changed)})
    written = {identity: decision for identity, decision in found}
    if any(written.get(identity) != row["changed_by"] for identity, row in prepared.changed.items()):
        msg = "the conversation changed while it was being decided"
        raise Conflict(msg)
