"""Everything that is kept about one customer, opened: for an export, for their card, for whoever must answer for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, select

from domain.contacts import ContactPoint
from domain.errors import UnknownPerson
from domain.model import Conversation, Customer, Entry, EntryKind, Identity
from domain.profile import Profile
from storage import contacts, links, profiles, sealing
from storage.database import Database
from storage.engines import Connection
from storage.keys import KeyStore
from storage.tables import contact_points, conversations, customers, identities, timeline

_Rows = Sequence[Row[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Dossier:
    """One customer with all that is theirs, oldest first. `entries` are by conversation, and by the customer's own id
    where they belong to none.
    """

    customer: Customer
    identities: tuple[Identity, ...]
    conversations: tuple[Conversation, ...]
    entries: Mapping[str, tuple[Entry, ...]]
    profile: Profile = field(default_factory=Profile)
    contacts: tuple[ContactPoint, ...] = ()  # those taken back too

    @property
    def former(self) -> tuple[str, ...]:
        """Names that their chats had before, oldest first."""
        own = self.entries.get(self.customer.id, ())
        return tuple(dict.fromkeys(one.body for one in own if one.kind is EntryKind.RENAMED and one.body))


class Dossiers:
    """Reads dossiers. A read of a person: the caller audits it."""

    def __init__(self, database: Database, keys: KeyStore) -> None:
        self._db = database
        self._keys = keys

    async def of(self, customer_id: str) -> Dossier:
        """Everything of a customer, in one snapshot. Raises UnknownPerson."""

        return await self._of(customer_id)

    async def person(self, customer_id: str) -> list[Dossier]:
        """The same for everybody who is one person with this customer, who comes first. Raises UnknownPerson."""
        whole = await self._db.query(lambda conn: links.members(conn, customer_id))
        return [await self._of(one) for one in whole]

    async def queues(self, customer_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """In which queues these customers' conversations are; of one who had none, nothing."""
        wanted = conversations.c.customer_id.in_(sorted(customer_ids))
        asked = select(conversations.c.customer_id, conversations.c.queue).where(wanted).distinct()

        async def read(conn: Connection) -> _Rows:
            return (await conn.execute(asked)).all()

        found: dict[str, set[str]] = {}
        for row in await self._db.query(read) if customer_ids else ():
            found.setdefault(row.customer_id, set()).add(row.queue)
        return {customer: frozenset(queues) for customer, queues in found.items()}

    async def _of(self, customer_id: str) -> Dossier:
        async def read(conn: Connection) -> tuple[_Rows, _Rows, _Rows, _Rows, _Rows]:
            people = (await conn.execute(select(customers).where(customers.c.id == customer_id))).all()
            own = identities.c.customer_id == customer_id
            addresses = (await conn.execute(select(identities).where(own).order_by(identities.c.id))).all()
            of = conversations.c.customer_id == customer_id
            cases = (await conn.execute(select(conversations).where(of).order_by(conversations.c.number))).all()
            places = [row.id for row in cases] + [customer_id]
            lines: list[Row[Any]] = []
            for place in places:
                said = select(timeline).where(timeline.c.conversation_id == place).order_by(timeline.c.seq)
                lines += (await conn.execute(said)).all()
            asked = contacts.OF_CUSTOMERS.order_by(contact_points.c.id)
            points = (await conn.execute(asked, {"b_ids": [customer_id]})).all()
            return people, addresses, cases, lines, points

        people, addresses, cases, lines, points = await self._db.query(read)
        if not people:
            raise UnknownPerson(f"there is no customer {customer_id}")
        key = (await self._keys.data_keys([customer_id], create=False)).get(customer_id)
        entries: dict[str, list[Entry]] = {}
        for row in lines:
            entry = sealing.entry_of(key, row)
            entries.setdefault(entry.conversation_id, []).append(entry)
        return Dossier(
            customer=sealing.customer_of(key, people[0]),
            identities=tuple(sealing.identity_of(key, row) for row in addresses),
            conversations=tuple(sealing.conversation_of(row) for row in cases),
            entries={place: tuple(found) for place, found in entries.items()},
            profile=profiles.opened(key, people[0]),
            contacts=tuple(contacts.of_row(key, row) for row in points),
        )
