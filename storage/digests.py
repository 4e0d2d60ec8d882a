"""What a read was of, as the audit trail keeps it: the SHA-256 of the sealed values that somebody was shown.

The values may be gone one day, by retention or with their key; entry and digest stay, and whoever still has a copy can
tell whether it is what was read. Nothing can be learnt from it: it covers ciphertext alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Select, bindparam, select

from storage.engines import Connection
from storage.tables import contact_points, conversations, customers, identities, timeline

READS: Final = frozenset(
    {
        "customer.contacts",
        "customer.contacts.reveal",
        "customer.find",
        "customer.find.reveal",
        "customer.open",
        "customer.profile.open",
        "customer.profile.reveal",
        "customer.reveal",
        "explain",
        "explain.reveal",
        "message.reveal",
        "privacy.export",
        "reply.open",
        "search",
        "search.reveal",
        "show",
        "show.reveal",
        "sla.show",
        "transcript.download",
    }
)
"""Acts that read a person: their entries in the trail carry a digest."""
ONE_MESSAGE: Final = frozenset({"message.reveal", "reply.open"})
"""Read one entry of the timeline, whose id is the first word of their detail."""
_CUSTOMER, _CONVERSATION, _ENTRY = "customer:", "conversation:", "entry:"
_AT_ONCE: Final = 1_000

_OF_CUSTOMER: Final = tuple(
    select(*columns).where(owner == bindparam("b_id")).order_by(order)
    for columns, owner, order in (
        ((customers.c.name_sealed, customers.c.profile_sealed), customers.c.id, customers.c.id),
        (
            (identities.c.address_sealed, identities.c.name_sealed, identities.c.username_sealed),
            identities.c.customer_id,
            identities.c.id,
        ),
        ((contact_points.c.value_sealed,), contact_points.c.customer_id, contact_points.c.id),
    )
)
_PLACES: Final = select(conversations.c.id).where(conversations.c.customer_id == bindparam("b_id"))
_NUMBERED: Final = select(conversations.c.id).where(conversations.c.number == bindparam("b_number"))
_SAID: Final = (
    select(timeline.c.body_sealed, timeline.c.files_sealed)
    .where(timeline.c.conversation_id == bindparam("b_place"))
    .order_by(timeline.c.seq)
)
_ENTRIES: Final = (
    select(timeline.c.body_sealed, timeline.c.files_sealed)
    .where(timeline.c.id.in_(bindparam("b_ids", expanding=True)))
    .order_by(timeline.c.seq)
)


def subject(action: str, thing: str, detail: str) -> str | None:
    """What an act of the trail has read, as `of` takes it; None where it reads nobody."""
    if action not in READS:
        return None
    if action in ONE_MESSAGE:
        return f"{_ENTRY}{detail.partition(' ')[0]}"
    return thing if thing.startswith((_CUSTOMER, _CONVERSATION)) else None


async def of(conn: Connection, subjects: Iterable[str]) -> dict[str, str]:
    """By subject (`customer:<id>`, `conversation:<id>` or `conversation:#<number>`, `entry:<id>`): 64 hex digits.

    A subject of which nothing sealed is left, or that is not there, is absent.
    """
    found = {}
    for one in set(subjects):
        parts = await _parts(conn, one)
        if parts:
            found[one] = _digest(parts)
    return found


async def of_entries(conn: Connection, ids: Collection[str]) -> str:
    """Of some lines of the timeline together, in their order; empty where nothing sealed is left of them."""
    wanted, parts = sorted(ids), list[bytes]()
    for start in range(0, len(wanted), _AT_ONCE):
        parts += await _sealed(conn, _ENTRIES, b_ids=wanted[start : start + _AT_ONCE])
    return _digest(parts) if parts else ""


async def _parts(conn: Connection, one: str) -> list[bytes]:
    if one.startswith(_ENTRY):
        return await _sealed(conn, _ENTRIES, b_ids=[one.removeprefix(_ENTRY)])
    if one.startswith(_CONVERSATION):
        place = one.removeprefix(_CONVERSATION)
        if place.startswith("#"):
            if not place[1:].isdecimal():
                return []
            place = (await conn.execute(_NUMBERED, {"b_number": int(place[1:])})).scalar() or ""
        return await _sealed(conn, _SAID, b_place=place)
    customer = one.removeprefix(_CUSTOMER)
    parts = [part for query in _OF_CUSTOMER for part in await _sealed(conn, query, b_id=customer)]
    places = sorted((await conn.execute(_PLACES, {"b_id": customer})).scalars())
    for place in (*places, customer):
        parts += await _sealed(conn, _SAID, b_place=place)
    return parts


async def _sealed(conn: Connection, query: Select[Any], **values: object) -> list[bytes]:
    return [part for row in await conn.execute(query, values) for part in row if part is not None]


def _digest(parts: Iterable[bytes]) -> str:
    """Each part with its length before it, so that none can be moved into the next."""
    whole = sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()
