"""Threads at the desk that have to be begun anew, because somebody deleted their first post."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import bindparam, exists, or_, select, update

from domain.changes import DeliveryKind, Outgoing
from domain.model import EntryKind
from storage import outbox
from storage.database import insert_once
from storage.engines import Connection
from storage.tables import conversations, moved_threads, timeline
from storage.tables import outbox as outbox_table

SHOWN_AGAIN = 5
"""Unanswered messages that stand in the new thread too: whoever looks there must not have to search."""
_PLACE = select(conversations.c.desk_channel, conversations.c.desk_thread, conversations.c.unanswered_since).where(
    conversations.c.id == bindparam("b_id"), conversations.c.desk_thread.is_not(None)
)
UNANSWERED = (
    select(timeline.c.id)
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        timeline.c.kind == EntryKind.INCOMING.value,
        timeline.c.at >= bindparam("b_since"),
        ~exists().where(  # what waits goes there by itself
            outbox_table.c.entry_id == timeline.c.id,
            or_(outbox_table.c.state == "todo", outbox_table.c.id == bindparam("b_finder")),
        ),
    )
    .order_by(timeline.c.seq.desc())
    .limit(SHOWN_AGAIN)
)
_GONE = (
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"), conversations.c.desk_thread == bindparam("b_thread"))
    .values(desk_thread=None, card_version=-1)
)


async def begin_anew(
    conn: Connection, conversation_id: str, thread: str, finder: str, new_id: Callable[[], str], now: datetime
) -> bool:
    """Forget that a conversation stands in `thread`, keep that it did, and have its card posted again, with what
    nobody has answered under it.

    `finder` is the delivery that found it gone. False when somebody else has begun it anew already. `now` is real time.
    """
    place = (await conn.execute(_PLACE, {"b_id": conversation_id})).first()
    if place is None or place.desk_thread != thread:
        return False
    gone = await conn.execute(_GONE, {"b_id": conversation_id, "b_thread": thread})
    if not gone.rowcount:
        return False
    was = {"desk_channel": place.desk_channel, "desk_thread": thread, "conversation_id": conversation_id}
    await conn.execute(insert_once(conn.dialect.name, moved_threads), [was])
    card = Outgoing(
        id=new_id(),
        lane=f"root:{conversation_id}",  # behind nothing that waits for it, in its thread or as a change of the card
        bucket=f"slack:{place.desk_channel}",
        kind=DeliveryKind.DESK_CARD,
        idem_key=f"card:{conversation_id}:{thread}",
        conversation_id=conversation_id,
        urgency=3,
        data={"was": thread},
    )
    again: list[str] = []
    if place.unanswered_since is not None:
        wanted = {"b_id": conversation_id, "b_since": place.unanswered_since, "b_finder": finder}
        again = list((await conn.execute(UNANSWERED, wanted)).scalars())[::-1]
    posts = [
        Outgoing(
            id=new_id(),
            lane=f"thread:{conversation_id}",
            bucket=f"slack:{place.desk_channel}",
            kind=DeliveryKind.DESK_ENTRY,
            idem_key=f"anew:{entry}:{thread}",
            conversation_id=conversation_id,
            entry_id=entry,
        )
        for entry in again
    ]
    await outbox.add(conn, [card, *posts], now)
    return True
