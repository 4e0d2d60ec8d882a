"""What only rare events need loaded: an agent's emoji, a group that has a new address, fixed texts sent so far, what is
open beside a conversation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable, Row, bindparam, func, select

from domain import links as persons
from domain.changes import ANSWER_KINDS
from domain.model import ActorKind, Conversation, EntryKind
from storage import links, sealing
from storage.engines import Connection
from storage.outgoing import OPEN
from storage.tables import conversations, identities, one_of, outbox, timeline

REACTIONS = (
    select(timeline)
    .where(
        timeline.c.conversation_id.in_(bindparam("b_ids", expanding=True)),
        timeline.c.kind == EntryKind.REACTION.value,
        timeline.c.actor_kind == ActorKind.AGENT.value,
    )
    .order_by(timeline.c.seq)
)
AUTOMATIC = select(timeline.c.conversation_id, timeline.c.data).where(
    timeline.c.conversation_id.in_(bindparam("b_ids", expanding=True)), timeline.c.kind == EntryKind.AUTOMATIC.value
)
MOST_SAID = 1000
"""So many of the newest wordings of each chat are looked through, which is years of writing for most."""
_CUSTOMERS_WORDS = timeline.c.kind.in_((EntryKind.INCOMING.value, EntryKind.INCOMING_EDIT.value))
_said = (
    select(
        timeline.c.seq,
        func.row_number().over(partition_by=conversations.c.identity_id, order_by=timeline.c.seq.desc()).label("place"),
    )
    .join(conversations, conversations.c.id == timeline.c.conversation_id)
    .where(conversations.c.customer_id.in_(bindparam("b_customers", expanding=True)), _CUSTOMERS_WORDS)
    .subquery()
)
SAID = (
    select(timeline)
    .where(timeline.c.seq.in_(select(_said.c.seq).where(_said.c.place <= MOST_SAID)))
    .order_by(timeline.c.seq)
)
HELD = select(timeline.c.conversation_id, timeline.c.data).where(
    timeline.c.conversation_id.in_(bindparam("b_ids", expanding=True)), timeline.c.kind == EntryKind.HELD.value
)
LINES = (
    select(timeline)
    .where(
        timeline.c.conversation_id.in_(bindparam("b_ids", expanding=True)),
        timeline.c.platform_id.in_(bindparam("b_lines", expanding=True)),
        timeline.c.kind.in_((EntryKind.NOTE.value, EntryKind.OUTGOING.value)),
    )
    .order_by(timeline.c.seq)
)
LEAVING = select(outbox.c.conversation_id, outbox.c.entry_id, outbox.c.state).where(
    outbox.c.lane.in_(bindparam("b_lanes", expanding=True)),
    one_of(outbox.c.state, OPEN),  # by their index
    outbox.c.conversation_id.in_(bindparam("b_ids", expanding=True)),
    outbox.c.kind.in_([kind.value for kind in ANSWER_KINDS]),
)
# Asked when a group becomes a supergroup, once in its life: no index is worth its price for that.
_IN_LANE = select(identities).where(
    identities.c.erased_at.is_(None),
    identities.c.id.in_(select(conversations.c.identity_id).where(conversations.c.lane == bindparam("b_lane"))),
)


async def reactions(conn: Connection, found: Sequence[Conversation]) -> dict[str, list[Row[Any]]]:
    """By conversation: the emoji that agents have put on its messages or taken back, in their order."""
    made: dict[str, list[Row[Any]]] = {}
    ids = sorted({one.id for one in found})
    for row in await conn.execute(REACTIONS, {"b_ids": ids}) if ids else ():
        made.setdefault(row.conversation_id, []).append(row)
    return made


async def said(conn: Connection, found: Sequence[Conversation]) -> dict[str, list[Row[Any]]]:
    """By customer: what they wrote in any chat of the person they are, and every change of it, in their order.

    Of each chat the newest `MOST_SAID`.
    """
    ids = {one.customer_id for one in found}
    own = await links.edges(conn, ids) if ids else set()
    whole = {one: persons.person(one, own) for one in ids}
    everyone = sorted({each for members in whole.values() for each in members})
    rows = list(await conn.execute(SAID, {"b_customers": everyone})) if everyone else []
    return {one: [row for row in rows if row.customer_id in whole[one]] for one in ids}


async def held(conn: Connection, found: Sequence[Conversation]) -> dict[str, list[Row[Any]]]:
    """By conversation: the lines that are kept inside with a question about each, as they stand now, in their order."""
    made: dict[str, list[Row[Any]]] = {}
    ids = sorted({one.id for one in found})
    asked = (await conn.execute(HELD, {"b_ids": ids})).all() if ids else ()
    lines = {(row.conversation_id, json.loads(row.data).get("line")) for row in asked}
    named = {"b_ids": ids, "b_lines": sorted(str(line) for _, line in lines)}
    newest = {(row.conversation_id, row.platform_id): row for row in await conn.execute(LINES, named)} if lines else {}
    for row in sorted((newest[one] for one in lines & newest.keys()), key=lambda one: one.seq):
        if row.kind == EntryKind.NOTE.value and json.loads(row.data).get("kept"):
            made.setdefault(row.conversation_id, []).append(row)
    return made


async def leaving(conn: Connection, found: Sequence[Conversation]) -> dict[str, dict[str, bool]]:
    """By conversation: its answers that have neither arrived nor failed nor been called back.

    True of those of which nobody knows whether they arrived.
    """
    made: dict[str, dict[str, bool]] = {}
    ids, lanes = sorted({one.id for one in found}), sorted({f"chat:{one.identity_id}" for one in found})
    for conversation, entry, state in await conn.execute(LEAVING, {"b_ids": ids, "b_lanes": lanes}) if ids else ():
        answers = made.setdefault(conversation, {})
        answers[entry] = answers.get(entry, False) or state == "unclear"
    return made


async def in_lane(conn: Connection, lane: str) -> list[Row[Any]]:
    """Everybody who has a conversation in this lane, by its stored name."""
    return list(await conn.execute(_IN_LANE, {"b_lane": lane}))


async def automatic(conn: Connection, found: Sequence[Conversation]) -> dict[str, frozenset[str]]:
    """By conversation: the names of the fixed texts that its customer was sent."""
    made: dict[str, frozenset[str]] = {}
    ids = sorted({one.id for one in found})
    for conversation, data in await conn.execute(AUTOMATIC, {"b_ids": ids}) if ids else ():
        made[conversation] = made.get(conversation, frozenset()) | {str(json.loads(data).get("text"))}
    return made


async def newest(
    conn: Connection, query: Executable, named: Mapping[str, Conversation]
) -> dict[str, Conversation | None]:
    """By wish: the conversation that the next message of whoever the named one is with belongs to."""
    ids = sorted({one.identity_id for one in named.values()})
    found = [sealing.conversation_of(row) for row in await conn.execute(query, {"b_ids": ids})] if ids else []
    of = {one.identity_id: one for one in found}
    return {key: of.get(one.identity_id) for key, one in named.items()}
