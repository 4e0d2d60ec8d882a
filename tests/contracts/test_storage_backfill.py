"""Open conversations that stand nowhere are shown, once, with the last things said under them."""

from __future__ import annotations

from dataclasses import replace

from domain.changes import DeliveryKind
from domain.model import EntryKind, Status, Thread
from storage import backfill, tables
from storage import outgoing as outgoing_rows
from storage.backfill import Unshown
from storage.engines import Connection
from storage.wishes import Wanted
from tests.contracts.storage_kit import AGENT, Process, at, new_id, outgoing, story

PLACES, OF = {"C1", "C2"}, {story().conversation.queue: "C1"}


async def find(process: Process) -> list[Unshown]:
    async with process.db.read() as conn:
        return await backfill.find(conn, PLACES, OF)


async def test_what_stands_in_a_lost_channel_or_nowhere_is_shown_once(one: Process) -> None:
    """Its old place still leads to it; the newest things said come under the card; what is well is left alone."""
    lost = story(thread=Thread(channel="C9", ts="17.1"))
    await one.decide(lost.opening("first", "second", "third"))
    await one.decide(lost.changed(0, delivery_state=None))
    nowhere = story("Bob", "2", thread=Thread(channel="C2", ts=None))
    await one.decide(nowhere.opening("hello"))
    well = story("Cy", "3", thread=Thread(channel="C2", ts="18.1"))
    await one.decide(well.opening("fine"))
    closed = story("Di", "4", thread=Thread(channel="C9", ts="19.1"), status=Status.DONE)
    await one.decide(closed.opening("over"))
    waits = story("Eve", "5", thread=Thread(channel="C2", ts=None))
    await one.decide(waits.opening("soon"))
    card = outgoing("thread:e", kind=DeliveryKind.DESK_CARD, conversation_id=waits.conversation.id, bucket="slack:C2")
    await one.db.write(lambda conn: outgoing_rows.add(conn, [card], at(0)))

    found = await find(one)
    assert [(f.conversation_id, f.was, f.thread, f.channel) for f in found] == [
        (lost.conversation.id, "C9", "17.1", "C1"),
        (nowhere.conversation.id, "C2", None, "C2"),
    ]

    async def show(conn: Connection) -> None:
        await backfill.show(conn, await backfill.find(conn, PLACES, OF), 2, new_id, at(1))

    await one.db.write(show)
    await one.db.write(show)
    assert await find(one) == [], "their cards wait to be posted"
    rows = [row for row in await one.rows(tables.outbox) if row["conversation_id"] == lost.conversation.id]
    assert [row["kind"] for row in rows] == ["desk.card", "desk.entry", "desk.entry"]
    entries = await one.record.entries([row["entry_id"] for row in rows[1:]])
    assert [entries[row["entry_id"]].body for row in rows[1:]] == ["second", "third"]
    loaded = (await one.record.load([Wanted(key="old", thread=("C9", "17.1"))]))["old"].conversation
    assert loaded is not None
    assert loaded.thread == Thread(channel="C1", ts=None, before="C9:17.1")


async def test_answers_are_shown_and_notes_are_not(one: Process) -> None:
    """What was said to each other is history; what colleagues noted stays in the record."""
    lost = story(thread=Thread(channel="C9", ts="17.1"))
    said = [
        lost.said(words, seconds=place, kind=kind, actor=AGENT)
        for place, (words, kind) in enumerate([("answer", EntryKind.OUTGOING), ("note", EntryKind.NOTE)])
    ]
    opening = lost.opening("question")
    await one.decide(replace(opening, entries=(*opening.entries, *said)))
    found = await find(one)
    await one.db.write(lambda conn: backfill.show(conn, found, 5, new_id, at(1)))
    rows = [row for row in await one.rows(tables.outbox) if row["kind"] == "desk.entry"]
    entries = await one.record.entries([row["entry_id"] for row in rows])
    assert [entries[row["entry_id"]].body for row in rows] == ["question", "answer"]
