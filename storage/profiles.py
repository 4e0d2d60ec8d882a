"""Profiles as sealed JSON beside the customer's name, and each change of one as a line of the timeline."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Row, select, update

from domain.errors import KeyDestroyed, UnknownPerson
from domain.model import Actor, ActorKind, Entry, EntryKind
from domain.profile import Profile, Said, Source, Value
from storage import audit, lines, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import customers, stamp, unstamp

Change = Callable[[Profile], Profile]
REGION: Final = "region"
"""The field that says in which country somebody is; it counts more than what a phone number says."""
COUNTRY: Final = re.compile(r"[A-Z]{2}")


class Profiles:
    """Reads and changes profiles."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def of(self, customer_id: str) -> Profile:
        """A customer's profile (a read of a person: the caller audits it). Raises UnknownPerson."""
        async with self._db.read() as conn:
            row = await _row(conn, customer_id, lock=False)
        key = (await self._keys.data_keys([customer_id])).get(customer_id)
        return opened(key, row)

    async def change(
        self, customer_id: str, change: Change, *, entry_id: str, actor: Actor, reason: str, now: datetime
    ) -> Profile:
        """Change a profile, with its line in the timeline and the audit trail; returns what holds then.

        Fields that the change left alone are left out of both. Raises UnknownPerson or KeyDestroyed.
        """
        key = (await self._keys.data_keys([customer_id])).get(customer_id)
        if key is None:
            raise KeyDestroyed("the customer was erased: nothing more is kept about them")

        keys = Keys(own=key, index=self._keys.purpose("index"), audit=self._keys.purpose("audit"))
        who = _Who(customer_id=customer_id, entry_id=entry_id, actor=actor, reason=reason)
        return await self._db.write(lambda conn: _change(conn, keys, change, who, now))


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """What a change of a profile is sealed, found and audited under; `own` is the customer's."""

    own: bytes = field(repr=False)
    index: bytes = field(repr=False)
    audit: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Who:
    """Whose profile is changed, by whom, why, and by which line of the timeline."""

    customer_id: str
    entry_id: str
    actor: Actor
    reason: str


async def say(conn: Connection, keys: Keys, said: Said, now: datetime) -> None:
    """Write what a decision learnt, in its own transaction. Raises UnknownPerson where they were erased meanwhile."""
    actor = said.by or Actor(kind=ActorKind.CUSTOMER)
    who = _Who(customer_id=said.customer_id, entry_id=said.entry_id, actor=actor, reason=said.reason)
    await _change(conn, keys, lambda before: before.said(said.name, said.value, said.reason), who, now)


async def _change(conn: Connection, keys: Keys, change: Change, who: _Who, now: datetime) -> Profile:
    customer_id, actor, key = who.customer_id, who.actor, keys.own
    before = opened(key, await _row(conn, customer_id, lock=True))
    after = change(before)
    names = sorted(name for name in after.values if after.values[name] != before.values.get(name))
    if not names:
        return after
    sealed = sealing.seal_text(key, "customers", "profile", customer_id, _written(after))
    values: dict[str, Any] = {"profile_sealed": sealed}
    if REGION in names:  # segments ask for it, and nothing is to be opened for them
        region = after.current.get(REGION)
        values["region"] = region.value if region is not None and COUNTRY.fullmatch(region.value) else None
    await conn.execute(update(customers).where(customers.c.id == customer_id).values(**values))
    told = {name: [_plain(one) for one in after.values[name][-2:]] for name in names}
    entry = Entry(
        id=who.entry_id,
        conversation_id=customer_id,
        customer_id=customer_id,
        kind=EntryKind.PROFILE,
        actor=actor,
        at=now,
        body=json.dumps({"reason": who.reason, "fields": told}, ensure_ascii=False),
        data={"fields": names},
    )
    await lines.add(conn, key, keys.index, entry, stamp(now))  # found by the new values from now on
    by = actor.id or actor.kind.value
    await audit.record(
        conn,
        keys.audit,
        at=now,
        actor=f"os:{by}" if actor.kind is ActorKind.OPERATOR else f"{actor.kind.value}:{by}",
        action="customer.profile",
        object=f"customer:{customer_id}",
        detail=" ".join(names),
        digest=sha256(sealed).hexdigest(),
    )
    return after


def opened(key: bytes | None, row: Row[Any]) -> Profile:
    """A profile from a customer's row; empty once the key is gone."""
    found = sealing.open_text(key, "customers", "profile", row.id, row.profile_sealed)
    read: Mapping[str, list[dict[str, Any]]] = json.loads(found) if found else {}
    return Profile(values={name: tuple(value_of(one) for one in said) for name, said in read.items()})


async def _row(conn: Connection, customer_id: str, *, lock: bool) -> Row[Any]:
    query = select(customers.c.id, customers.c.profile_sealed).where(
        customers.c.id == customer_id, customers.c.erased_at.is_(None)
    )
    row = (await conn.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise UnknownPerson(f"there is no customer {customer_id}")
    return row


def _written(profile: Profile) -> str:
    return json.dumps({name: [_plain(one) for one in said] for name, said in profile.values.items()})


def _plain(one: Value) -> dict[str, Any]:
    return {
        "value": one.value,
        "source": one.source.value,
        "actor": one.actor,
        "at": stamp(one.at),
        "until": None if one.until is None else stamp(one.until),
        "reason": one.reason,
    }


def value_of(read: Mapping[str, Any]) -> Value:
    """One value of a profile as it is written in the record and in the timeline."""
    return Value(
        value=read["value"],
        source=Source(read["source"]),
        actor=read["actor"],
        at=unstamp(read["at"]),
        until=None if read["until"] is None else unstamp(read["until"]),
        reason=read["reason"],
    )
