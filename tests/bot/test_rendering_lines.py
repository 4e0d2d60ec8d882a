"""What a customer changes again and again is one line: at most one for each stretch in which nothing else is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from bot import pace, times
from bot.unsent import NothingToSend
from domain import albums
from domain.changes import DeliveryKind
from domain.errors import RetryLater
from domain.model import MACHINE, Entry, EntryKind
from domain.ports import DeskDelivery
from storage import tables
from storage.engines import Connection
from tests.bot.test_rendering import Bench
from tests.contracts import storage_kit
from tests.contracts.storage_kit import new_id


@pytest.fixture
async def bench(make_database: Callable[[str], str]) -> AsyncIterator[Bench]:
    """A renderer, once on each engine, with a conversation of two messages."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        made = Bench(process)
        await made.opened("Where is my order?", "And the bill is wrong")
        await made.posted()
        yield made


async def messages(bench: Bench) -> list[Entry]:
    said = await bench.process.record.timeline(bench.story.conversation.id)
    return [entry for entry in said if entry.kind is EntryKind.INCOMING]


async def puts(bench: Bench, emoji: str, of: Entry, by: str = "Ann") -> Entry:
    fields: dict[str, Any] = {"data": {"of": of.id}, "reply_to": of.platform_id, "details": {"by": by}}
    return await bench.keeps(emoji, kind=EntryKind.REACTION, **fields)


async def changes(bench: Bench, text: str, of: Entry) -> Entry:
    return await bench.keeps(text, kind=EntryKind.INCOMING_EDIT, data={"of": of.id}, reply_to=of.platform_id)


async def stands(bench: Bench, entry: Entry, ts: str) -> None:
    """The line of a change was posted."""
    of = bench.story.conversation.id
    row = {"outbox_id": new_id(), "entry_id": entry.id, "conversation_id": of, "side": "desk", "part": 0}

    async def work(conn: Connection) -> None:
        await conn.execute(tables.deliveries.insert(), [row | {"place": "C0SUPPORT", "platform_id": ts, "at": 1.0}])

    await bench.process.db.write(work)


async def line(bench: Bench, entry: Entry) -> DeskDelivery:
    is_edit = entry.kind is EntryKind.INCOMING_EDIT
    kind = DeliveryKind.DESK_EDIT if is_edit else DeliveryKind.DESK_ENTRY
    return await bench.at_the_desk(bench.row(kind, entry))


async def waits(bench: Bench, entry: Entry) -> None:
    """A row of its own is to tell of a change: that of the one before it was being sent when this came."""
    row = bench.row(DeliveryKind.DESK_ENTRY, entry)
    values = {
        "id": new_id(),
        "lane": "l",
        "bucket": "b",
        "kind": row.kind.value,
        "idem_key": entry.id,
        "created_at": 1.0,
    }

    async def work(conn: Connection) -> None:
        await conn.execute(tables.outbox.insert(), [values | {"entry_id": entry.id, "state": "todo"}])

    await bench.process.db.write(work)


def shown(made: DeskDelivery) -> list[tuple[str, str]]:
    about = {entry.id: entry.body for entry in made.company}
    return [(one.body, about[one.data["of"]]) for one in made.told]


async def test_emoji_of_a_quiet_stretch_are_one_line(bench: Bench) -> None:
    """It shows what stands now, on every message and of everybody; behind another line it begins anew."""
    order, bill = await messages(bench)
    first = await puts(bench, "👍", order)
    assert (await line(bench, first)).line_ts is None
    await stands(bench, first, "5.0")
    await puts(bench, "🎉", order, "Ben")
    await puts(bench, "", order)
    second = await puts(bench, "❤", bill)
    made = await line(bench, second)
    assert made.line_ts == "5.0"
    assert shown(made) == [("🎉", order.body), ("", order.body), ("❤", bill.body)]

    await bench.keeps("Tomorrow", kind=EntryKind.NOTE, actor=MACHINE)
    third = await puts(bench, "👏", bill)
    made = await line(bench, third)
    assert made.line_ts is None
    assert shown(made) == [("👏", bill.body)]
    await stands(bench, third, "7.0")
    assert (await line(bench, second)).line_ts == "7.0", "a row that took a later change along tells of it at the end"


async def test_an_emoji_that_is_taken_off_is_taken_off_its_line(bench: Bench) -> None:
    """Never posted, nothing is; in an earlier stretch, its line is changed and no other posted."""
    order, bill = await messages(bench)
    await puts(bench, "👍", order)
    with pytest.raises(NothingToSend, match="taken_back"):
        await line(bench, await puts(bench, "", order))
    told = await puts(bench, "👍", bill)
    await stands(bench, told, "5.0")
    await bench.keeps("Tomorrow", kind=EntryKind.NOTE, actor=MACHINE)
    made = await line(bench, await puts(bench, "", bill))
    assert made.line_ts == "5.0"
    assert ("", bill.body) in shown(made)


async def test_edits_of_a_quiet_stretch_are_one_line(bench: Bench) -> None:
    """The words before the first of them and the newest; each message has its own line, and each part of an album."""
    order, bill = await messages(bench)
    album = await bench.keeps("The front\nThe back", platform_id="8", details={f"{albums.CAPTION}9": "The back"})
    late = await line(bench, await bench.keeps("The rear", kind=EntryKind.INCOMING_EDIT, reply_to="9"))
    assert (late.earlier and (late.earlier.id, late.earlier.body)) == (album.id, "The back")
    first = await changes(bench, "Where is order 7?", order)
    await stands(bench, first, "5.0")
    other = await changes(bench, "The bill is right", bill)
    second = await changes(bench, "Where is order 8?", order)
    made = await line(bench, second)
    assert (made.line_ts, made.entry and made.entry.body) == ("5.0", "Where is order 8?")
    assert made.earlier is not None
    assert made.earlier.body == order.body
    assert (await line(bench, other)).line_ts is None

    await bench.keeps("Tomorrow", kind=EntryKind.NOTE, actor=MACHINE)
    made = await line(bench, await changes(bench, "Where is order 9?", order))
    assert made.line_ts is None
    assert made.earlier is not None
    assert made.earlier.body == "Where is order 8?"


@pytest.mark.parametrize("same_stretch", [False, True], ids=["behind what was said", "in the same stretch, too"])
async def test_two_rows_tell_of_an_edit_once(bench: Bench, same_stretch: bool) -> None:
    """One was being sent when the customer changed the message again behind another line: that has a row of its own."""
    order, _ = await messages(bench)
    first = await changes(bench, "Where is order 7?", order)
    if same_stretch:
        second = await changes(bench, "Where is order 8?", order)
        await waits(bench, second)
    await bench.keeps("Tomorrow", kind=EntryKind.NOTE, actor=MACHINE)
    last = await changes(bench, "Where is order 9?", order)
    if not same_stretch:
        await waits(bench, last)
    with pytest.raises(NothingToSend, match="told_behind"):
        await line(bench, first)
    sought = bench.row(DeliveryKind.DESK_EDIT, first, unclear=True)
    assert (await bench.at_the_desk(sought)).entry is not None, "it may stand there: it is looked for first"
    made = await line(bench, second if same_stretch else last)
    assert made.entry is not None
    assert made.entry.body == "Where is order 9?"


async def test_two_rows_tell_of_an_emoji_once(bench: Bench) -> None:
    """What was put on another message before is left to the first of them; in one stretch the line is one anyway."""
    order, bill = await messages(bench)
    first = await puts(bench, "👍", order)
    await puts(bench, "🎉", bill)
    await waits(bench, await puts(bench, "❤", order))
    assert len(shown(await line(bench, first))) == 2
    await bench.keeps("Tomorrow", kind=EntryKind.NOTE, actor=MACHINE)
    await puts(bench, "👏", order)
    with pytest.raises(NothingToSend, match="told_behind"):
        await line(bench, first)


async def test_an_emoji_behind_what_was_said_is_told_of_by_its_own_row(bench: Bench) -> None:
    """The row before it tells of the other message alone, and of nothing where there is none."""
    order, bill = await messages(bench)
    first = await puts(bench, "👍", order)
    await puts(bench, "🎉", bill)
    await bench.keeps("Tomorrow", kind=EntryKind.NOTE, actor=MACHINE)
    last = await puts(bench, "❤", order)
    await waits(bench, last)
    assert shown(await line(bench, first)) == [("🎉", bill.body)]
    assert shown(await line(bench, last)) == [("❤", order.body)]
    await puts(bench, "", bill)
    with pytest.raises(NothingToSend, match="told_behind"):
        await line(bench, first)


async def test_who_plays_waits_seconds_though_the_clock_is_set_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How often a line is changed is counted by a clock that nobody sets."""
    message, _ = await messages(bench)
    edit = await changes(bench, "Where is it?", message)
    await stands(bench, edit, "2.0")
    row = bench.row(DeliveryKind.DESK_EDIT, edit, data={"changing": True})
    for _ in range(pace.AT_ONCE):
        await bench.at_the_desk(row)
    with pytest.raises(RetryLater, match="changes_gathered") as told:
        await bench.at_the_desk(row)
    now, steady = times.real() - timedelta(hours=1), times.steady() + (told.value.after or timedelta(0))
    monkeypatch.setattr(times, "real", lambda: now)
    monkeypatch.setattr(times, "steady", lambda: steady)
    assert (await bench.at_the_desk(row)).line_ts == "2.0"
