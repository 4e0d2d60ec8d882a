"""Open conversations that stand nowhere at the desk, or in a channel that is no queue's any more: shown anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, exists, or_, select, update

from domain.changes import DeliveryKind, Outgoing
from domain.model import EntryKind
from storage import lanes, outgoing
from storage.database import insert_once
from storage.engines import Connection
from storage.loading import IS_OPEN
from storage.tables import conversations, moved_threads, one_of, stamp, timeline
from storage.tables import outbox as outbox_table

SAID = (EntryKind.INCOMING.value, EntryKind.OUTGOING.value)
_CARD_WAITS = exists().where(
    outbox_table.c.conversation_id == conversations.c.id,
    outbox_table.c.kind == DeliveryKind.DESK_CARD.value,
    one_of(outbox_table.c.state, outgoing.OPEN),
)
_UNSHOWN = (
    select(
        conversations.c.id,
        conversations.c.number,
        conversations.c.queue,
        conversations.c.desk_channel,
        conversations.c.desk_thread,
    )
    .where(
        IS_OPEN,
        ~_CARD_WAITS,
        or_(
            conversations.c.desk_thread.is_(None),
            conversations.c.desk_channel.not_in(bindparam("b_places", expanding=True)),
        ),
    )
    .order_by(conversations.c.number)
)
_SAID_LAST = (
    select(timeline.c.id)
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        timeline.c.kind.in_(SAID),
        ~exists().where(  # what waits goes there by itself
            outbox_table.c.entry_id == timeline.c.id,
            outbox_table.c.kind == DeliveryKind.DESK_ENTRY.value,
            one_of(outbox_table.c.state, outgoing.OPEN),
        ),
    )
    .order_by(timeline.c.seq.desc())
    .limit(bindparam("b_limit"))
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Unshown:
    """An open conversation that nobody at the desk can see where they look. `channel` is where it is to be shown."""

    conversation_id: str
    number: int
    was: str
    thread: str | None
    channel: str


async def find(conn: Connection, places: Collection[str], channel_of: Mapping[str, str]) -> list[Unshown]:
    """Open conversations that stand nowhere, or not in one of `places`; `channel_of` names each queue's channel.

    One whose queue is configured no more stays where it was, where that is a place at all.
    """
    rows = await conn.execute(_UNSHOWN, {"b_places": sorted(places)})
    return [
        Unshown(
            conversation_id=row.id,
            number=row.number,
            was=row.desk_channel,
            thread=row.desk_thread,
            channel=row.desk_channel if row.desk_channel in places else channel_of.get(row.queue, row.desk_channel),
        )
        for row in rows
    ]


async def show(conn: Connection, found: Sequence[Unshown], last: int, new_id: Callable[[], str], now: datetime) -> None:
    """Have the cards of these posted, with the `last` things said under each, marked as history. `now` is real time.

    Run twice it shows each once: the rows have keys.
    """
    for one in found:
        identity = one.conversation_id
        if one.thread is not None:
            was = {"desk_channel": one.was, "desk_thread": one.thread, "conversation_id": identity}
            await conn.execute(insert_once(conn.dialect.name, moved_threads), [was])
        before = None if one.thread is None else f"{one.was}:{one.thread}"
        values = {"desk_channel": one.channel, "desk_thread": None, "card_version": -1}
        here = conversations.c.id == identity
        await conn.execute(update(conversations).where(here).values(**values, desk_before=before))
        asked = {"b_id": identity, "b_limit": last}
        said = list((await conn.execute(_SAID_LAST, asked)).scalars())[::-1]
        await outgoing.add(conn, _rows(one, said, new_id), now)
        for lane in (f"thread:{identity}", f"root:{identity}", f"card:{identity}"):  # the old channel may be archived
            await lanes.park(conn, "out", lane, None)
            await lanes.make_ready(conn, "out", {lane: (stamp(now), 0)})


def _rows(one: Unshown, said: Sequence[str], new_id: Callable[[], str]) -> list[Outgoing]:
    key = f"{one.conversation_id}:{one.thread or '-'}"
    card = Outgoing(
        id=new_id(),
        lane=f"root:{one.conversation_id}",
        bucket=f"slack:{one.channel}",
        kind=DeliveryKind.DESK_CARD,
        idem_key=f"fill:{key}:{new_id()}",
        conversation_id=one.conversation_id,
        data={"history": True},
    )
    posts = [
        Outgoing(
            id=new_id(),
            lane=f"thread:{one.conversation_id}",
            bucket=f"slack:{one.channel}",
            kind=DeliveryKind.DESK_ENTRY,
            idem_key=f"fill:{entry}:{card.id}",
            conversation_id=one.conversation_id,
            entry_id=entry,
            data={"history": True},
        )
        for entry in said
    ]
    return [card, *posts]
