"""Contacts of a list and histories of another program, taken into the record: the same again changes nothing.

Whoever comes from a list has a place of their own among the identities (`CHANNEL`), under the list's key: by it the
next import finds them. What is made here is named by what it is made of, so that a second run makes the same ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

from sqlalchemy import BindParameter, bindparam, select
from ulid import ULID

from domain import contacts as points
from domain.changes import Changes
from domain.contact_list import Contact
from domain.contacts import ContactPoint
from domain.errors import KeyDestroyed
from domain.model import (
    Actor,
    ActorKind,
    Attachment,
    Conversation,
    Customer,
    Entry,
    EntryKind,
    Identity,
    Status,
    Thread,
)
from domain.profile import Profile, Source, Value
from domain.telegram_export import Chat, Said
from storage import crypto, flush, sealing
from storage.contacts import Contacts
from storage.database import Database
from storage.inbox import Inbox
from storage.keys import KeyStore
from storage.profiles import Profiles
from storage.record import Record
from storage.tables import conversations, identities, timeline

CHANNEL: Final = "contacts"
NO_CHAT: Final = "no chat"
"""Why nothing can be sent there."""
AT_ONCE: Final = 400
"""Messages in one transaction."""
PROGRAM: Final = "telegram_desktop"
_IDS: BindParameter[str] = bindparam("b_ids", expanding=True)
_THERE = select(timeline.c.id).where(timeline.c.id.in_(_IDS))
NewId = Callable[[], str]


class Outcome(StrEnum):
    """What became of a line."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """Where imported conversations stand: the chat channel, the queue, its Slack channel, and until when after its end
    a conversation is opened again by whoever writes.
    """

    channel: str
    queue: str
    desk_channel: str
    reopen_window: timedelta


class Imports:
    """Takes over contacts and chats, one at a time. A write about a person: the caller audits it."""

    def __init__(
        self,
        database: Database,
        keys: KeyStore,
        record: Record,
        inbox: Inbox,
        reached: Callable[[], None] = lambda: None,
    ) -> None:
        self._reached = reached
        self._db = database
        self._keys = keys
        self._record = record
        self._inbox = inbox
        self._contacts = Contacts(database, keys)
        self._profiles = Profiles(database, keys)

    # ---- a list of contacts ------------------------------------------------------------------------------------------

    async def look_alikes(self, contact: Contact) -> list[str]:
        """Other customers with this phone number, e-mail address or whole name: a person may say that they are one."""
        found: list[str] = []
        for kind, value in contact.points:
            found += await self._contacts.owners(kind, value)
        if contact.name != contact.key:
            found += [customer.id for customer, _, _ in await self._record.find_people(contact.name)]
        own = await self._owner(CHANNEL, contact.key)
        return [one for one in dict.fromkeys(found) if one != own]

    async def preview(self, contact: Contact) -> Outcome:
        """Whether this contact would be new here."""
        return Outcome.NEW if await self._owner(CHANNEL, contact.key) is None else Outcome.SAME

    async def contact(self, contact: Contact, *, file: str, actor: Actor, now: datetime, new_id: NewId) -> Outcome:
        """Take over one contact. Raises KeyDestroyed where they were erased meanwhile."""
        owner = await self._owner(CHANNEL, contact.key)
        outcome = Outcome.SAME
        if owner is None:
            owner, outcome = new_id(), Outcome.NEW
            customer = Customer(id=owner, name=contact.name, language=contact.language, created_at=now)
            identity = Identity(
                id=new_id(),
                customer_id=owner,
                channel=CHANNEL,
                address=contact.key,
                name=contact.name,
                language=contact.language,
                reachable=False,
                unreachable_reason=NO_CHAT,
            )
            came = Entry(
                id=new_id(),
                conversation_id=owner,
                customer_id=owner,
                kind=EntryKind.PROFILE,
                actor=actor,
                at=now,
                body=json.dumps({"reason": file, "fields": {}}, ensure_ascii=False),
                data={"fields": [], "imported": CHANNEL},
            )
            await self._write(Changes(reason="imported", customer=customer, identity=identity, entries=(came,)), now)
            self._reached()
        changed = await self._notes(owner, contact, file=file, actor=actor, now=now, new_id=new_id)
        return Outcome.CHANGED if changed and outcome is Outcome.SAME else outcome

    async def _notes(
        self, owner: str, contact: Contact, *, file: str, actor: Actor, now: datetime, new_id: NewId
    ) -> bool:
        """What the list says about somebody, where it is not known yet."""
        known = (await self._contacts.of([owner])).get(owner, ())
        have = {(one.kind, one.value) for one in known}  # those taken back too: a list does not overrule a person
        fresh = [one for one in contact.points if one not in have]
        for kind, value in fresh:
            point = ContactPoint(
                id=new_id(),
                customer_id=owner,
                kind=kind,
                value=value,
                type=points.type_of(kind, value),
                source=Source.IMPORT,
                added_at=now,
            )
            await self._contacts.add(point, entry_id=new_id(), actor=actor, now=now)
        if not contact.values:
            return bool(fresh)
        before = await self._profiles.of(owner)

        def change(found: Profile) -> Profile:
            for name, value in contact.values.items():
                said = Value(value=value, source=Source.IMPORT, actor=str(actor), at=now)
                found = found.said(name, said, file)
            return found

        after = await self._profiles.change(owner, change, entry_id=new_id(), actor=actor, reason=file, now=now)
        return bool(fresh) or after != before

    # ---- a history ---------------------------------------------------------------------------------------------------

    async def chat(self, chat: Chat, home: Home, *, actor: Actor, now: datetime, dry_run: bool = False) -> int:
        """Take over a chat as one closed conversation; returns how many of its messages are new here.

        Some hundred messages a transaction: whoever dies amid it goes on with the next run. Raises KeyDestroyed.
        """
        if not chat.messages:
            return 0
        index = self._keys.purpose("index")

        def named(at: datetime, *words: str) -> str:
            seal = bytes.fromhex(crypto.mac(index, "import", PROGRAM, home.channel, chat.address, *words))
            milliseconds = int(at.timestamp() * 1000)
            return str(ULID.from_bytes(milliseconds.to_bytes(6, "big") + sha256(seal).digest()[:10]))

        begun = datetime.fromtimestamp(0, UTC)
        talk_id = named(begun, "conversation")
        customer, identity = await self._person(chat, home, named(begun, "customer"), named(begun, "identity"), now)
        owner = customer.id if customer else identity.customer_id
        entries = _entries(chat, home, talk_id, owner, actor, now, named)
        there: set[str] = set()
        ids = [entry.id for entry in entries]
        for start in range(0, len(ids), AT_ONCE):
            async with self._db.read() as conn:
                there |= set((await conn.execute(_THERE, {"b_ids": ids[start : start + AT_ONCE]})).scalars())
        fresh = [entry for entry in entries if entry.id not in there]
        new = sum(entry.kind in (EntryKind.INCOMING, EntryKind.OUTGOING) for entry in fresh)
        if not fresh or dry_run:
            return new
        talk = await self._talk(talk_id, chat, home, identity, owner, now)
        for start in range(0, len(fresh), AT_ONCE):
            part, is_first = tuple(fresh[start : start + AT_ONCE]), start == 0
            await self._write(
                Changes(
                    reason="imported",
                    customer=customer if is_first else None,
                    identity=identity if is_first and customer else None,
                    conversation=talk if is_first else None,
                    entries=part,
                ),
                now,
            )
            self._reached()
        return new

    async def _person(
        self, chat: Chat, home: Home, customer_id: str, identity_id: str, now: datetime
    ) -> tuple[Customer | None, Identity]:
        """Whose chat it is: somebody known there, or somebody new."""
        found = await self._identity(home.channel, chat.address)
        if found is not None:
            return None, found
        first = min(chat.messages[0].at, now)
        identity = Identity(
            id=identity_id, customer_id=customer_id, channel=home.channel, address=chat.address, name=chat.name
        )
        return Customer(id=customer_id, name=chat.name, language=None, created_at=first), identity

    async def _talk(
        self, talk_id: str, chat: Chat, home: Home, identity: Identity, owner: str, now: datetime
    ) -> Conversation:
        said = [one.at for one in chat.messages if one.by_customer]
        answered = [one.at for one in chat.messages if not one.by_customer]
        async with self._db.read() as conn:
            row = (await conn.execute(select(conversations).where(conversations.c.id == talk_id))).first()
        if row is not None:
            talk = sealing.conversation_of(row)
        else:
            talk = Conversation(
                id=talk_id,
                number=0,  # given by storage, in order
                customer_id=owner,
                identity_id=identity.id,
                channel=home.channel,
                lane=self._inbox.lane(home.channel, f"{home.channel}:{chat.address}"),
                thread=Thread(channel=home.desk_channel),
                status=Status.DONE,
                queue=home.queue,
                opened_at=chat.messages[0].at,
                resolved_at=_closed(chat, home, now),
                version=-1,
            )
        return replace(
            talk,
            last_customer_at=said[-1] if said else talk.last_customer_at,
            last_agent_at=answered[-1] if answered else talk.last_agent_at,
        )

    async def _write(self, changes: Changes, now: datetime) -> None:
        decision = flush.Decision(id=str(ULID()), changes=changes)
        prepared = await self._record.prepare([decision], now)
        await self._db.write(lambda conn: flush.write(conn, prepared, self._record.audit_key))

    async def _owner(self, channel: str, address: str) -> str | None:
        found = await self._identity(channel, address)
        return None if found is None else found.customer_id

    async def _identity(self, channel: str, address: str) -> Identity | None:
        mac = sealing.address_mac(self._keys.purpose("index"), channel, address)
        query = select(identities).where(
            identities.c.channel == channel, identities.c.address_mac == mac, identities.c.erased_at.is_(None)
        )
        async with self._db.read() as conn:
            row = (await conn.execute(query)).first()
        if row is None:
            return None
        key = (await self._keys.data_keys([row.customer_id])).get(row.customer_id)
        if key is None:
            raise KeyDestroyed("this customer was erased here: what was erased is not brought back")
        return sealing.identity_of(key, row)


def _closed(chat: Chat, home: Home, now: datetime) -> datetime:
    """When it counts as closed: with its last message, and so long ago that a new message begins a new conversation."""
    return min(chat.messages[-1].at, now - home.reopen_window - timedelta(hours=1))


def _entries(
    chat: Chat, home: Home, talk_id: str, owner: str, actor: Actor, now: datetime, named: Callable[..., str]
) -> list[Entry]:
    first = chat.messages[0].at

    def line(kind: EntryKind, at: datetime, data: Mapping[str, object]) -> Entry:
        return Entry(
            id=named(datetime.fromtimestamp(0, UTC), kind.value),
            conversation_id=talk_id,
            customer_id=owner,
            kind=kind,
            actor=actor,
            at=at,
            data={**data, "imported": PROGRAM},
        )

    closed = {"to": Status.DONE.value, "from": Status.NEW.value}
    return [
        line(EntryKind.OPENED, first, {}),
        line(EntryKind.QUEUE, first, {"to": home.queue}),
        *(_said(one, talk_id, owner, actor, named) for one in chat.messages),
        line(EntryKind.STATUS, _closed(chat, home, now), closed),
    ]


def _said(one: Said, talk_id: str, owner: str, actor: Actor, named: Callable[..., str]) -> Entry:
    files: Sequence[Attachment] = ()
    if one.file is not None:
        kind, name = one.file
        files = [Attachment(id="", kind=kind, platform_id="", name=name, mime="", problem="not_imported")]
    return Entry(
        id=named(one.at, "message", str(one.id)),
        conversation_id=talk_id,
        customer_id=owner,
        kind=EntryKind.INCOMING if one.by_customer else EntryKind.OUTGOING,
        actor=Actor(kind=ActorKind.CUSTOMER) if one.by_customer else actor,
        at=one.at,
        body=one.text,
        data={"imported": PROGRAM, "message": one.id} | ({} if one.reply_to is None else {"answers": one.reply_to}),
        attachments=tuple(files),
    )
