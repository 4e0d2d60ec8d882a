"""Threads at the desk that are begun anew: somebody deleted the first post, or the conversation changed its channel."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, exists, or_, select, update

from domain.changes import DeliveryKind, Move, Outgoing
from domain.errors import CardOnItsWay, Conflict
from domain.model import EntryKind
from storage import lanes, outbox, outgoing
from storage.database import insert_once
from storage.engines import Connection
from storage.loading import NOT_MUTED
from storage.tables import conversations, deliveries, moved_threads, one_of, stamp, timeline
from storage.tables import outbox as outbox_table

SHOWN_AGAIN = 5
"""Unanswered messages that stand in the new thread too: whoever looks there must not have to search."""
MOST_SHOWN = 25
"""Messages and files in all: five albums would bury the card under pictures."""
MOST_ASKED = 200
"""Rows about open questions, two for each: no line is left inside because a thread had many."""
_PLACE = select(conversations.c.desk_channel, conversations.c.desk_thread, conversations.c.unanswered_since).where(
    conversations.c.id == bindparam("b_id"), conversations.c.desk_thread.is_not(None)
)
UNANSWERED = (
    select(timeline.c.id)
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        timeline.c.kind == EntryKind.INCOMING.value,
        timeline.c.at >= bindparam("b_since"),
        NOT_MUTED,
        ~exists().where(  # what waits goes there by itself; what is being sent at this moment may not
            outbox_table.c.entry_id == timeline.c.id,
            outbox_table.c.kind == DeliveryKind.DESK_ENTRY.value,
            or_(outbox_table.c.state == "todo", outbox_table.c.id == bindparam("b_finder")),
        ),
    )
    .order_by(timeline.c.seq.desc())
    .limit(SHOWN_AGAIN)
)
# The files of these messages that stand in the old thread; those that still wait go to the new one by themselves.
FILES = (
    select(outbox_table.c.entry_id, outbox_table.c.part)
    .distinct()
    .where(
        outbox_table.c.entry_id.in_(bindparam("b_ids", expanding=True)),
        outbox_table.c.kind == DeliveryKind.DESK_FILE.value,
        outbox_table.c.state == "sent",
    )
    .order_by(outbox_table.c.entry_id, outbox_table.c.part)
)
# Questions about lines that were kept inside, but for those that wait to be posted, which go there by themselves.
QUESTIONS = (
    select(timeline.c.id, timeline.c.data)
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        timeline.c.kind == EntryKind.HELD.value,
        ~exists().where(
            outbox_table.c.entry_id == timeline.c.id,
            outbox_table.c.kind == DeliveryKind.DESK_ENTRY.value,
            or_(outbox_table.c.state == "todo", outbox_table.c.id == bindparam("b_finder")),
        ),
    )
    .order_by(timeline.c.seq)
)
LINES = (
    select(timeline.c.id, timeline.c.platform_id, timeline.c.kind, timeline.c.data)
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        timeline.c.platform_id.in_(bindparam("b_lines", expanding=True)),
        timeline.c.kind.in_((EntryKind.NOTE.value, EntryKind.OUTGOING.value)),
    )
    .order_by(timeline.c.seq)
)
STOOD = (
    select(deliveries.c.entry_id, deliveries.c.platform_id)
    .where(
        deliveries.c.entry_id.in_(bindparam("b_ids", expanding=True)),
        one_of(deliveries.c.side, ("desk",)),
        deliveries.c.place == bindparam("b_place"),
    )
    .order_by(deliveries.c.at)
)
_GONE = (
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"), conversations.c.desk_thread == bindparam("b_thread"))
    .values(desk_thread=None, card_version=-1, desk_before=bindparam("b_before"))
)
_STANDS = select(conversations.c.desk_channel, conversations.c.desk_thread, conversations.c.unanswered_since).where(
    conversations.c.id == bindparam("b_id")
)
# A card that is being posted at this moment: where it will stand is said already.
CARD_LEAVES = (
    select(outbox_table.c.id)
    .where(
        outbox_table.c.lane.in_(bindparam("b_lanes", expanding=True)),
        one_of(outbox_table.c.state, outgoing.OPEN),  # by their index
        outbox_table.c.state == "sending",
        outbox_table.c.kind == DeliveryKind.DESK_CARD.value,
    )
    .limit(1)
)
# One that may stand in the old channel keeps saying so, see `left_behind`.
_CARD_GOES = (
    update(outbox_table)
    .where(
        outbox_table.c.lane.in_(bindparam("b_lanes", expanding=True)),
        one_of(outbox_table.c.state, outgoing.OPEN),
        outbox_table.c.state == "todo",
        outbox_table.c.kind == DeliveryKind.DESK_CARD.value,
    )
    .values(bucket=bindparam("b_bucket"))
)
_LOOKED_UP = update(outbox_table).where(outbox_table.c.id == bindparam("b_id")).values(bucket=bindparam("b_bucket"))
_TO_CHANNEL = (
    update(conversations).where(conversations.c.id == bindparam("b_id")).values(desk_channel=bindparam("b_channel"))
)
# A post under the deleted root: it still stands, so the old thread can be opened by it. Files have ids of letters.
_UNDER = (
    select(deliveries.c.platform_id)
    .select_from(timeline.join(deliveries, timeline.c.id == deliveries.c.entry_id))
    .where(
        timeline.c.conversation_id == bindparam("b_id"),
        deliveries.c.place == bindparam("b_channel"),
        deliveries.c.platform_id.between(bindparam("b_thread"), "A"),
    )
    .order_by(deliveries.c.platform_id.desc())
    .limit(1)
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
    under = {"b_id": conversation_id, "b_channel": place.desk_channel, "b_thread": thread}
    still_there = (await conn.execute(_UNDER, under)).scalar() or thread
    gone = await conn.execute(
        _GONE, {"b_id": conversation_id, "b_thread": thread, "b_before": f"{place.desk_channel}:{still_there}"}
    )
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
    posts = await _shown_again(conn, conversation_id, place, thread, finder, new_id, place.desk_channel)
    asked = await _asked_again(conn, conversation_id, place.desk_channel, thread, finder, new_id, place.desk_channel)
    await outgoing.add(conn, [card, *posts, *asked], now)
    return True


async def move(conn: Connection, wanted: Move, now: datetime) -> None:
    """Leave a thread for another channel, in the transaction of the decision that says so; the decision posts the card.

    What nobody has answered is shown under it. What waited for the old channel goes to the new one. Raises Conflict
    where the conversation does not stand where the decision saw it, CardOnItsWay while its first card is being posted:
    whoever decides again then sees where it stands, so that queue and thread never say two things. `now` is real time.
    """
    identity = wanted.conversation_id
    place = (await conn.execute(_STANDS, {"b_id": identity})).one()
    if place.desk_thread != wanted.thread:
        msg = "the conversation stands in another thread than the decision saw"
        raise Conflict(msg)
    if wanted.thread is None:
        # The lane first: a dispatcher that takes the card waits for this commit and posts it in the new channel.
        await lanes.make_ready(conn, "out", {f"thread:{identity}": (stamp(now), 0)})
        lanes_of_card = [f"thread:{identity}", f"root:{identity}"]
        if (await conn.execute(CARD_LEAVES, {"b_lanes": lanes_of_card})).first() is not None:
            msg = "the conversation's card is being posted where it stood"
            raise CardOnItsWay(msg)
        await conn.execute(_CARD_GOES, {"b_lanes": lanes_of_card, "b_bucket": f"slack:{wanted.channel}"})
    else:
        was = {
            "desk_channel": place.desk_channel,
            "desk_thread": wanted.thread,
            "conversation_id": identity,
        }
        await conn.execute(insert_once(conn.dialect.name, moved_threads), [was])
        before = f"{place.desk_channel}:{wanted.thread}"
        await conn.execute(_GONE, {"b_id": identity, "b_thread": wanted.thread, "b_before": before})
        new_id = iter(wanted.ids).__next__
        asked = await _asked_again(
            conn,
            identity,
            place.desk_channel,
            wanted.thread,
            "",
            new_id,
            wanted.channel,
            most=len(wanted.ids) - MOST_SHOWN,
        )
        most = len(wanted.ids) - len(asked)
        again = await _shown_again(conn, identity, place, wanted.thread, "", new_id, wanted.channel, most=most)
        await outgoing.add(conn, [*again, *asked], now)
    await conn.execute(_TO_CHANNEL, {"b_id": identity, "b_channel": wanted.channel})
    for lane in (f"thread:{identity}", f"root:{identity}", f"card:{identity}"):  # the old channel may be archived
        await lanes.park(conn, "out", lane, None)
        await lanes.make_ready(conn, "out", {lane: (stamp(now), 0)})


async def left_behind(conn: Connection, card: outbox.Waiting, channel: str, thread: str | None) -> None:
    """A card of which nobody knew whether it stood in a channel that its conversation left meanwhile was looked up.

    Where it stands, in `thread`, it leads to the conversation; its row is for `channel` from now on.
    """
    if thread is not None:
        stood = card.bucket.partition(":")[2]
        was = {"desk_channel": stood, "desk_thread": thread, "conversation_id": card.conversation_id}
        await conn.execute(insert_once(conn.dialect.name, moved_threads), [was])
    await conn.execute(_LOOKED_UP, {"b_id": card.id, "b_bucket": f"slack:{channel}"})


async def _asked_again(
    conn: Connection,
    conversation_id: str,
    place: str,
    thread: str,
    finder: str,
    new_id: Callable[[], str],
    channel: str,
    *,
    most: int = MOST_ASKED,
) -> list[Outgoing]:
    """The open questions whether a line is to leave, for the new thread; where they stand they lead there, and no more.

    At most `most` rows, the newest questions first to be kept.
    """
    asked = (await conn.execute(QUESTIONS, {"b_id": conversation_id, "b_finder": finder})).all()
    about = {str(json.loads(row.data).get("line")): row.id for row in asked}
    if not about:
        return []
    lines = (await conn.execute(LINES, {"b_id": conversation_id, "b_lines": sorted(about)})).all()
    newest = {row.platform_id: row for row in lines}
    still = {about[ts]: row.id for ts, row in newest.items() if _is_open(row)}
    stood: dict[str, str] = {}
    for row in (await conn.execute(STOOD, {"b_ids": sorted(still), "b_place": place})) if still else ():
        stood[row.entry_id] = row.platform_id
    made: list[Outgoing] = []
    for question in sorted(still, reverse=True):
        rows = [("thread", channel, DeliveryKind.DESK_ENTRY, {"anew": True, "line": still[question]})]
        if question in stood:
            left = {"stood": [place, stood[question]], "line": still[question]}
            rows.append(("moved", place, DeliveryKind.DESK_EDIT, left))
        if len(made) + len(rows) > most:
            break
        made += [
            Outgoing(
                id=new_id(),
                lane=f"{lane}:{conversation_id}",
                bucket=f"slack:{where}",
                kind=kind,
                idem_key=f"asked:{lane}:{question}:{thread}",
                conversation_id=conversation_id,
                entry_id=question,
                data=data,
            )
            for lane, where, kind, data in rows
        ]
    return made


def _is_open(line: Row[Any]) -> bool:
    return line.kind == EntryKind.NOTE.value and bool(json.loads(line.data).get("kept"))


async def _shown_again(
    conn: Connection,
    conversation_id: str,
    place: Row[Any],
    thread: str,
    finder: str,
    new_id: Callable[[], str],
    channel: str,
    *,
    most: int | None = None,
) -> list[Outgoing]:
    """What nobody has answered, for the new thread, with its files; a message that stands there by then is not sent."""
    again: list[str] = []
    if place.unanswered_since is not None:
        wanted = {"b_id": conversation_id, "b_since": place.unanswered_since, "b_finder": finder}
        again = list((await conn.execute(UNANSWERED, wanted)).scalars())[::-1]
    files: dict[str, list[int]] = {}
    for entry, part in (await conn.execute(FILES, {"b_ids": again})) if again else ():
        files.setdefault(entry, []).append(part)
    shown = [
        (entry, kind, part)
        for entry in again
        for kind, part in (
            (DeliveryKind.DESK_ENTRY, 0),
            *((DeliveryKind.DESK_FILE, place) for place in files.get(entry, ())),
        )
    ]
    return [
        Outgoing(
            id=new_id(),
            lane=f"thread:{conversation_id}",
            bucket=f"slack:{channel}",
            kind=kind,
            idem_key=f"anew:{entry}:{thread}" if kind is DeliveryKind.DESK_ENTRY else f"anew:{entry}:{part}:{thread}",
            conversation_id=conversation_id,
            entry_id=entry,
            part=part,
            data={"anew": True} if kind is DeliveryKind.DESK_ENTRY else {},
        )
        for entry, kind, part in shown[: MOST_SHOWN if most is None else min(most, MOST_SHOWN)]
    ]
