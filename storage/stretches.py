"""Quiet stretches of a talk: what a customer changed again and again while nothing else was said stands in one line."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, exists, func, select

from domain.changes import DeliveryKind
from domain.model import ActorKind, Entry, EntryKind
from storage.database import Database
from storage.engines import Connection
from storage.outgoing import OPEN
from storage.tables import one_of, outbox, timeline

ENDING = (
    EntryKind.INCOMING,
    EntryKind.OUTGOING,
    EntryKind.NOTE,
    EntryKind.STATUS,
    EntryKind.PRIORITY,
    EntryKind.QUEUE,
    EntryKind.ASSIGNEE,
    EntryKind.LABEL,
    EntryKind.CHECK,
    EntryKind.REACHABLE,
    EntryKind.PROMISE,
    EntryKind.REOPENED,
    EntryKind.MUTED,
    EntryKind.JOINED,
    EntryKind.HELD,
    EntryKind.NOT_DELIVERED,
)
"""What stands in the thread as a line of its own: behind it another stretch begins."""
MOST = 400
"""So many of the newest changes are looked through: whoever makes more of them is read as they left it."""

_ME = select(timeline.c.seq).where(timeline.c.id == bindparam("b_entry")).scalar_subquery()
_LINES = (timeline.c.conversation_id == bindparam("b_of"), timeline.c.kind.in_([kind.value for kind in ENDING]))
BEGINS = select(func.max(timeline.c.seq)).where(*_LINES, timeline.c.seq < _ME)
ENDS = select(func.min(timeline.c.seq)).where(*_LINES, timeline.c.seq > _ME)
CHANGES = (
    select(timeline.c.id, timeline.c.seq, timeline.c.reply_to)
    .where(
        timeline.c.conversation_id == bindparam("b_of"),
        timeline.c.kind == bindparam("b_kind"),
        timeline.c.actor_kind == ActorKind.CUSTOMER.value,
    )
    .order_by(timeline.c.seq.desc())
    .limit(MOST)
)
WAITS = select(
    exists().where(
        outbox.c.entry_id == bindparam("b_message"),
        outbox.c.kind == DeliveryKind.DESK_ENTRY.value,
        one_of(outbox.c.state, OPEN),
    )
)
BEHIND = select(outbox.c.entry_id).where(
    outbox.c.entry_id.in_(bindparam("b_ids", expanding=True)),
    outbox.c.kind.in_([DeliveryKind.DESK_ENTRY.value, DeliveryKind.DESK_EDIT.value]),
    one_of(outbox.c.state, OPEN),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Ids of a customer's changes of one kind, oldest first.

    `here` are those of the stretch itself, `since` those and all later ones, `before` is the last one of the same
    message before it. `waits` says that the message it is about is not posted yet. `behind` are those later ones that
    have a row of their own on its way: each tells of itself and of all that came after it.
    """

    here: tuple[str, ...]
    since: tuple[str, ...]
    before: str | None = None
    waits: bool = False
    behind: frozenset[str] = frozenset()


class Stretches:
    """Finds the stretch that a change belongs to, in one snapshot."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def around(self, entry: Entry) -> Stretch:
        """The stretch around a change; of a changed message the changes of that message alone."""

        is_edit = entry.kind is EntryKind.INCOMING_EDIT

        async def read(conn: Connection) -> Stretch:
            named = {"b_of": entry.conversation_id, "b_entry": entry.id}
            begins = (await conn.execute(BEGINS, named)).scalar() or 0
            ends = (await conn.execute(ENDS, named)).scalar()
            rows = (await conn.execute(CHANGES, {"b_of": entry.conversation_id, "b_kind": entry.kind.value})).all()
            own = [row for row in rows[::-1] if not is_edit or row.reply_to == entry.reply_to]
            since = tuple(row.id for row in own if row.seq > begins) or (entry.id,)
            later = since[since.index(entry.id) + 1 :] if entry.id in since else ()
            behind = (await conn.execute(BEHIND, {"b_ids": later})).scalars() if later else ()
            waits = (await conn.execute(WAITS, {"b_message": str(entry.data.get("of", ""))})).scalar()
            before = (row.id for row in reversed(own) if row.seq <= begins and row.reply_to == entry.reply_to)
            return Stretch(
                here=tuple(row.id for row in own if begins < row.seq < (ends or row.seq + 1)) or (entry.id,),
                since=since,
                before=next(before, None),
                waits=bool(waits),
                behind=frozenset(str(one) for one in behind),
            )

        return await self._db.query(read)
