"""What an erasure takes out of the record: hashes that point at a person, sealed words, waiting work.

Every function is one idempotent piece of a transaction that the caller holds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, delete, func, or_, select, update

from domain.errors import UnknownPerson
from domain.events import WRITTEN
from domain.model import EntryKind, Status
from domain.sla import ClockState
from storage import links
from storage.engines import Connection
from storage.tables import (
    clocks,
    contact_points,
    conversations,
    customers,
    fact_keys,
    holds,
    identities,
    inbox,
    likeness,
    moved_threads,
    one_of,
    stamp,
    timeline,
)
from storage.tables import outbox as outbox_table

NOTHING: Final = b""
LANE: Final = "erased"
ROWS_AT_ONCE: Final = 500
SETTLED: Final = inbox.c.state.in_(("done", "dropped"))
OWN_WORDS: Final = (EntryKind.OUTGOING.value, EntryKind.NOTE.value)  # what agents wrote in Slack themselves
RUNNING: Final = (ClockState.RUNNING.value, ClockState.PAUSED.value)


async def is_held(conn: Connection, customer_id: str) -> bool:
    """Whether a legal hold covers this customer now."""
    query = select(holds.c.id).where(holds.c.customer_id == customer_id, holds.c.released_at.is_(None))
    return (await conn.execute(query.limit(1))).first() is not None


async def locked(conn: Connection, customer_id: str) -> None:
    """Hold the customer's row to the end of the transaction. Raises UnknownPerson."""
    query = select(customers.c.id).where(customers.c.id == customer_id).with_for_update()
    if (await conn.execute(query)).first() is None:
        raise UnknownPerson(f"there is no customer {customer_id}")


def lanes(customer_id: str) -> Select[tuple[str]]:
    """The inbox lanes of a customer that still carry a hash of their address."""
    return select(conversations.c.lane).where(about(customer_id), conversations.c.lane != LANE).distinct()


def threads_of(customer_id: str) -> Select[tuple[str]]:
    """The ids of a customer's conversations, oldest first."""
    return select(conversations.c.id).where(conversations.c.customer_id == customer_id).order_by(conversations.c.id)


async def hide(conn: Connection, customer_id: str, erasure_id: str, now: datetime) -> None:
    """From now on nobody finds the customer, nothing is sent to them, and what is being decided about them fails."""
    at = stamp(now)
    people = identities.c.customer_id == customer_id
    who = list((await conn.execute(select(identities.c.id).where(people))).scalars())
    await conn.execute(
        update(customers)
        .where(customers.c.id == customer_id)
        .values(
            name_sealed=NOTHING,
            language=None,
            segments="[]",
            tags="[]",
            profile_sealed=None,
            region=None,
            training=None,
            consents="{}",
            notice=None,
            erased_at=func.coalesce(customers.c.erased_at, at),
        )
    )
    await conn.execute(
        update(identities)
        .where(people)
        .values(
            address_mac="erased:" + identities.c.id,
            address_sealed=NOTHING,
            name_sealed=NOTHING,
            name_mac=None,
            username_sealed=None,
            username_mac=None,
            language=None,
            topic=None,
            reachable=0,
            unreachable_reason="erased",
            erased_at=func.coalesce(identities.c.erased_at, at),
        )
    )
    for table in (contact_points, likeness, fact_keys):
        await conn.execute(delete(table).where(table.c.customer_id == customer_id))
    await links.forget(conn, customer_id)
    own = list((await conn.execute(threads_of(customer_id))).scalars())
    await conn.execute(
        update(conversations)
        .where(about(customer_id), conversations.c.changed_by != erasure_id)
        .values(
            status=Status.DONE.value,
            resolved_at=func.coalesce(conversations.c.resolved_at, at),
            assessment=None,
            unanswered_since=None,
            delivery_state=None,
            delivery_reason=None,
            version=conversations.c.version + 1,
            changed_by=erasure_id,
        )
    )
    for part in parts(own):
        await conn.execute(
            update(clocks)
            .where(clocks.c.conversation_id.in_(part), clocks.c.state.in_(RUNNING))
            .values(state=ClockState.CANCELLED.value, next_alert_at=None)
        )
        await conn.execute(update(clocks).where(clocks.c.conversation_id.in_(part)).values(next_alert_at=None))
    for part in parts(own + who):
        waiting = outbox_table.c.state.in_(("todo", "unclear"))
        of = or_(outbox_table.c.conversation_id.in_(part), outbox_table.c.identity_id.in_(part))
        stopped = {"state": "cancelled", "reason": "erased", "settled_at": at}
        await conn.execute(update(outbox_table).where(of, waiting).values(**stopped))


async def drop_waiting(conn: Connection, customer_id: str) -> None:
    """What the customer wrote and nobody has read yet goes too."""
    names = list((await conn.execute(lanes(customer_id))).scalars())
    dropped = {"state": "dropped", "payload_sealed": None, "reason": "erased"}
    for state in ("new", "dead"):  # apart: each has an index of its own
        waiting = inbox.c.lane.in_(names) & one_of(inbox.c.state, (state,))
        await conn.execute(update(inbox).where(waiting).values(**dropped))


async def rename(conn: Connection, *, ids: Sequence[int]) -> None:
    """Give settled inbox rows a lane that says nothing."""
    await conn.execute(update(inbox).where(inbox.c.id.in_(ids)).values(lane=LANE))


async def empty(conn: Connection, *, place: str) -> tuple[int, int]:
    """Take the sealed words and files' names out of a timeline, and the chat's numbers of messages and topics."""
    of = timeline.c.conversation_id == place
    sealed = or_(timeline.c.body_sealed.is_not(None), timeline.c.files_sealed.is_not(None))
    files = select(func.count()).where(of, timeline.c.files_sealed.is_not(None))
    count = int((await conn.execute(files)).scalar_one())
    emptied = await conn.execute(update(timeline).where(of, sealed).values(body_sealed=None, files_sealed=None))
    await conn.execute(
        update(timeline).where(of, timeline.c.kind.not_in(OWN_WORDS)).values(platform_id=None, reply_to=None)
    )
    told = select(timeline.c.id, timeline.c.data).where(of, timeline.c.data.contains('"topic"'))
    for line, data in (await conn.execute(told)).all():  # where in the chat they wrote
        kept = {name: value for name, value in json.loads(data).items() if name != "topic"}
        await conn.execute(update(timeline).where(timeline.c.id == line).values(data=json.dumps(kept)))
    return int(emptied.rowcount), count


def about(customer_id: str) -> ColumnElement[bool]:
    """The conversations of a customer, as a condition."""
    return conversations.c.customer_id == customer_id


def ours(erasure_id: str) -> Select[tuple[str, str | None, str]]:
    """The outbox rows that take our posts away."""
    key = outbox_table.c.idem_key
    columns = (outbox_table.c.state, outbox_table.c.reason, outbox_table.c.data)
    return select(*columns).where(key >= f"erase:{erasure_id}:", key < f"erase:{erasure_id};").order_by(key)


async def theirs(conn: Connection, customer_id: str) -> list[tuple[str, str]]:
    """What agents wrote themselves in the threads of this customer, by channel and time, in its order.

    Only they, or Slack's owners, can delete it. What they wrote in a window stands in a post of ours, which goes with
    the others.
    """
    threads: dict[str, list[tuple[str, str]]] = {}  # where each conversation stands and stood, by its root
    places: dict[str, list[str]] = {}
    columns = (conversations.c.id, conversations.c.desk_channel, conversations.c.desk_thread)
    moved = select(moved_threads.c.conversation_id, moved_threads.c.desk_channel, moved_threads.c.desk_thread)
    stand = [*await conn.execute(select(*columns).where(about(customer_id)))]
    stand += [
        *await conn.execute(moved.where(moved_threads.c.conversation_id.in_(threads_of(customer_id).order_by(None))))
    ]
    for conversation, channel, root in stand:
        places.setdefault(conversation, []).append(channel)
        if root is not None:
            threads.setdefault(conversation, []).append((root, channel))
    query = (
        select(timeline.c.conversation_id, timeline.c.platform_id)
        .where(
            timeline.c.conversation_id.in_(threads_of(customer_id).order_by(None)),
            timeline.c.kind.in_(OWN_WORDS),
            timeline.c.platform_id.is_not(None),
            ~timeline.c.platform_id.startswith(WRITTEN, autoescape=True),
        )
        .order_by(timeline.c.seq)
    )
    found: list[tuple[str, str]] = []
    for conversation, ts in await conn.execute(query):
        # A thread that was left takes no more lines: of those that had begun by then, it stands in the last.
        begun = [one for one in threads.get(conversation, ()) if one[0] < ts]
        own = [max(begun)[1]] if begun else places[conversation]
        found += [(channel, ts) for channel in own]
    return list(dict.fromkeys(found))  # a line that was changed is written down again


def read(rows: Sequence[Row[Any]]) -> list[tuple[str, str | None, str, str]]:
    """What `ours` found: state, reason, place, and the post or file."""
    found = []
    for row in rows:
        data = json.loads(row.data)
        found.append((row.state, row.reason, str(data["place"]), str(data.get("ts") or data.get("file"))))
    return found


def parts(ids: Sequence[str]) -> list[list[str]]:
    """Ids in slices that fit one statement."""
    return [list(ids[start : start + ROWS_AT_ONCE]) for start in range(0, len(ids), ROWS_AT_ONCE)]
