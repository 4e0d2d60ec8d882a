"""Taking facts in, whichever way they come: who is meant, whether it was said before, and one transaction for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bot import metrics
from bot.ids import new_id
from domain import contacts, text
from domain.changes import Changes
from domain.contacts import ContactKind
from domain.errors import Conflict, KeyDestroyed, RelaydeskError, UnknownPerson
from domain.facts import LONGEST_WHAT, Fact, opened
from domain.model import Actor, ActorKind, EntryKind
from domain.rulebook import Rulebook
from handlers import facts as deciding
from handlers.frame import Context
from storage import facts, flush
from storage.contacts import Contacts
from storage.database import Database
from storage.engines import Connection
from storage.facts import FactKeys
from storage.links import Links
from storage.record import Record

LONGEST_NAME: Final = 200
TRIES: Final = 3  # each further one follows somebody else's success
NAMED: Final = frozenset({"customer", "phone", "email", "channel", "address", "name"})
"""The fields that say whom a fact is about, where a program or a file tells it."""
_OURS: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_CHANNEL: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class KeyReused(RelaydeskError):
    """The same key came with another fact before: take a new key for a new fact."""


class NotOne(RelaydeskError):
    """Several people are meant: name one by our id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whom:
    """Who a fact is about: our id, else contact points, else an address on a channel.

    With a `name` whoever is not known is entered; without one they are refused.
    """

    customer_id: str | None = None
    points: Sequence[tuple[ContactKind, str]] = ()
    address: tuple[str, str] | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """What became of a fact: about whom, as which entry, and whether that is new."""

    customer_id: str
    entry_id: str
    is_new: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Takes facts in. `now` is product time."""

    database: Database
    record: Record
    contacts: Contacts
    links: Links
    keys: FactKeys
    rules: Rulebook | None
    now: Callable[[], datetime]

    async def note(
        self, whom: Whom, fact: Fact, actor: Actor, *, way: str, key: str | None = None, said: bytes = b""
    ) -> Noted:
        """Note a fact, once for each `key`. Raises UnknownPerson, NotOne, KeyReused, KeyDestroyed, or
        Conflict where others went on entering the same person: nothing was written then, and asking again will do.
        """
        if key is not None and (known := await self._known(key, said, way)) is not None:
            return known
        try:
            noted = await self._written(whom, fact, actor, key, said)
        except facts.TakenError:
            known = await self._known(str(key), said, way)
            if known is None:
                raise
            return known
        metrics.facts.labels(way=way, outcome="new").inc()
        return noted

    async def preview(self, whom: Whom, key: str, said: bytes) -> tuple[str | None, bool]:
        """Whom it would be about (None: somebody who would be entered), and whether it was noted before under this key.

        Writes nothing. Raises what `note` would.
        """
        found = await self.keys.known(key, said)
        if found is not None and not found.same:
            raise KeyReused("this key came with another fact before; take a new one")
        if found is not None:
            return found.customer_id, True
        customer_id = await self._meant(whom)
        if customer_id is None:
            _may_enter(whom)
        return customer_id, False

    async def alike(self, customer_id: str, fact: Fact) -> bool:
        """Whether one of the same kind with the same reference, or at the same time, stands with this person."""
        for one in await self.links.members(customer_id):
            for line in await self.record.timeline(one):
                told = opened(line.data.get("fact"), line.data.get("source"), line.body, line.at)
                if line.kind is not EntryKind.FACT or told is None or told.kind is not fact.kind:
                    continue
                if told.at == fact.at or (fact.reference is not None and told.reference == fact.reference):
                    return True
        return False

    async def _known(self, key: str, said: bytes, way: str) -> Noted | None:
        found = await self.keys.known(key, said)
        if found is None:
            return None
        if not found.same:
            raise KeyReused("this key came with another fact before; take a new one")
        metrics.facts.labels(way=way, outcome="repeated").inc()
        return Noted(customer_id=found.customer_id, entry_id=found.entry_id, is_new=False)

    async def _written(self, whom: Whom, fact: Fact, actor: Actor, key: str | None, said: bytes) -> Noted:
        """Write it about whoever is meant when it is written: somebody else may just be entering them."""
        for _ in range(TRIES):
            with suppress(Conflict):
                return await self._write(whom, fact, actor, key, said)
        return await self._write(whom, fact, actor, key, said)

    async def _write(self, whom: Whom, fact: Fact, actor: Actor, key: str | None, said: bytes) -> Noted:
        now = self.now()
        changes, is_entered = await self._decided(whom, fact, actor, now)
        entry = changes.entries[0]
        by = f"os:{actor.id}" if actor.kind is ActorKind.OPERATOR else str(actor)
        try:
            prepared = await self.record.prepare([flush.Decision(id=new_id(), changes=changes, actor=by)], now)
        except KeyDestroyed:
            raise UnknownPerson("this customer was erased: nothing more is kept about them") from None

        async def work(conn: Connection) -> None:
            if not is_entered:
                await facts.alive(conn, entry.customer_id, hold=True)
            if key is not None:
                await self.keys.take(conn, key, said, customer_id=entry.customer_id, entry_id=entry.id, now=now)
            await flush.write(conn, prepared, self.record.audit_key)

        await self.database.write(work)
        return Noted(customer_id=entry.customer_id, entry_id=entry.id, is_new=True)

    async def _decided(self, whom: Whom, fact: Fact, actor: Actor, now: datetime) -> tuple[Changes, bool]:
        context = Context(rules=_rules(self.rules), now=now, new_id=new_id)
        customer_id = await self._meant(whom)
        if customer_id is not None:
            return deciding.noted(customer_id, fact, actor, context), False
        return deciding.entered(_may_enter(whom), whom.points, fact, actor, context), True

    async def _meant(self, whom: Whom) -> str | None:
        """The customer who is meant, None where nobody is known. Raises NotOne."""
        if whom.customer_id is not None:
            customer_id = whom.customer_id
            await self.database.query(lambda conn: facts.alive(conn, customer_id))
            return customer_id
        found: list[str] = []
        if whom.address is not None:
            channel, address = whom.address
            found += [
                customer.id
                for customer, chats, _ in await self.record.find_people(address)
                if any((chat.channel, chat.address) == (channel, address) for chat in chats)
            ]
        for kind, value in whom.points:
            found += await self.contacts.owners(kind, value)
        if not found:
            return None
        if set(found) <= set(await self.links.members(found[0])):
            return found[0]
        raise NotOne("several people are known by this; name one by our id")


def _may_enter(whom: Whom) -> str:
    """The name under which somebody who is not known is entered. Raises UnknownPerson."""
    if whom.address is not None and not whom.points:
        raise UnknownPerson("nobody has written from this address; with a phone or e-mail they can be entered")
    if not whom.name:
        raise UnknownPerson("nobody is known by this; give a name, and they are entered")
    return whom.name[:LONGEST_NAME]


def named(given: Mapping[str, Any], region: str | None) -> Whom:
    """Who is meant, by these fields (`NAMED`). Raises ValueError that says what would do, without a value in it."""
    for name in NAMED & given.keys():
        if not isinstance(given[name], str) or not given[name].strip() or len(given[name]) > LONGEST_WHAT:
            raise ValueError(f"{name}: give a text of 1 to {LONGEST_WHAT} characters")
    if "customer" in given and not _OURS.fullmatch(given["customer"]):
        raise ValueError("customer: give our id, 26 characters")
    if "channel" in given and not _CHANNEL.fullmatch(given["channel"]):
        raise ValueError("channel: give the name of a channel, such as telegram")
    points = []
    if "phone" in given:
        points.append((ContactKind.PHONE, contacts.phone(given["phone"], region)))
    if "email" in given:
        points.append((ContactKind.EMAIL, contacts.email(given["email"])))
    if ("channel" in given) != ("address" in given):
        raise ValueError("channel and address go together; give both or none")
    if not points and "customer" not in given and "address" not in given and "name" not in given:
        raise ValueError("say who: customer, phone, email, or channel and address; name where they may be new")
    return Whom(
        customer_id=given.get("customer"),
        points=tuple(points),
        address=(given["channel"], given["address"].strip()) if "address" in given else None,
        name=text.clean_name(given["name"]) if "name" in given else None,
    )


def _rules(rules: Rulebook | None) -> Rulebook:
    """Noting a fact asks no rule; the command line has none."""
    return rules if rules is not None else _NO_RULES


_NO_RULES: Final = Rulebook(
    queues={},
    default_queue="",
    triage_queue="",
    rules=(),
    policies={},
    policy_rules=(),
    calendars={},
    intents={},
    channel_limits={},
)
