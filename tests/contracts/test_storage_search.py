"""Finding people, conversations and messages over sealed rows, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from domain import search
from domain.changes import Changes
from domain.errors import CannotDecrypt
from domain.model import Attachment, EntryKind, Status
from domain.profile import Said, Source, Value
from storage import segments, tables
from storage.engines import Connection
from tests.contracts import storage_kit
from tests.contracts.storage_kit import NOW, Process, Story, new_id, story

Start = Callable[[str], Awaitable[Process]]


async def found(one: Process, query: str, **options: object) -> list[str]:
    """The texts of the messages that a query finds, newest first."""
    result = await one.search.find(search.parse(query), **options)  # type: ignore[arg-type]
    return [hit.entry.body for hit in result.messages]


async def tell(one: Process, *texts: str, name: str = "Ann Example", **fields: object) -> Story:
    it = story(name, storage_kit.new_id(), **fields)
    await one.decide(it.opening(*texts))
    return it


async def packed(one: Process) -> None:
    while await one.segments.tidy(everything=True):
        pass


@pytest.mark.parametrize("is_packed", [False, True], ids=["just written", "packed"])
async def test_messages_are_found_by_their_words(one: Process, is_packed: bool) -> None:
    """Words, Chinese of two and more characters, phrases, phone numbers and files, newest first."""
    it = await tell(
        one, "My parcel has not arrived", "我要退款，订单有问题", "Call +7 912 345-67-89", "parcel arrived, thank you"
    )
    photo = Attachment(id="a", kind="document", platform_id="p", name="invoice 77.pdf", mime="application/pdf")
    file = replace(it.changed(0), entries=(it.said("", seconds=9, attachments=(photo,)),))
    await one.decide(file)
    if is_packed:
        await packed(one)
        assert await one.rows(tables.search_fresh) == []
    assert await found(one, "PARCEL arrived") == ["parcel arrived, thank you", "My parcel has not arrived"]
    assert await found(one, '"not arrived"') == ["My parcel has not arrived"]
    assert await found(one, "退款") == ["我要退款，订单有问题"]
    assert await found(one, "要退款") == ["我要退款，订单有问题"]
    assert await found(one, "款订") == []
    assert await found(one, "8 (912) 345 67 89") == ["Call +7 912 345-67-89"]
    assert len((await one.search.find(search.parse("invoice"))).messages) == 1
    assert await found(one, "parcel", limit=1) == ["parcel arrived, thank you"]
    assert (await one.search.find(search.parse("parcel"), limit=1)).more
    assert await found(one, "nothing of this") == []


async def test_filters_narrow_what_is_found(one: Process) -> None:
    """Numbers, topics, queues, states, agents, days; alone they find conversations."""
    first = await tell(one, "refund please", intent="refund", assignee="U0MAYA")
    await tell(one, "refund at once", intent="billing", queue="vip", status=Status.OPEN)
    assert await found(one, "refund label:refund") == ["refund please"]
    assert await found(one, "refund queue:vip status:open") == ["refund at once"]
    assert await found(one, "refund agent:U0MAYA") == ["refund please"]
    assert await found(one, "refund #1002") == ["refund at once"]
    assert await found(one, f"refund customer:{first.customer.id}") == ["refund please"]
    assert await found(one, "refund on:2026-11-22") == ["refund at once", "refund please"]
    assert await found(one, "refund after:2026-11-23") == []
    assert await found(one, "refund", hidden=["general"]) == ["refund at once"]
    by_number = await one.search.find(search.parse("#1001"))
    assert [it.id for it in by_number.conversations] == [first.conversation.id]
    assert [it.number for it in (await one.search.find(search.parse("on:2026-11-22"))).conversations] == [1002, 1001]
    assert (await one.search.find(search.parse(""))).conversations == ()


async def test_people_are_found_by_parts_of_names_and_by_whole_addresses(one: Process) -> None:
    """A surname, one Chinese character, a chat id; a former name still leads to who it was."""
    it = await tell(one, "hello", name="Ann Example")
    await tell(one, "您好", name="王小明")
    await packed(one)

    async def people(query: str) -> list[str]:
        return [person.customer.name for person in (await one.search.find(search.parse(query))).people]

    assert await people("example") == ["Ann Example"]
    assert await people("王") == ["王小明"]
    assert await people(it.identity.address) == ["Ann Example"]
    married = replace(it.identity, name="Ann Other")
    known = replace(it.customer, name="Ann Other")
    await one.decide(replace(it.changed(0), identity=married, customer=known, entries=(it.said("hi", seconds=5),)))
    assert await people("example") == ["Ann Other"]
    assert await people("other") == ["Ann Other"]
    aside = replace(it.conversation, id=new_id(), number=0, queue="vip", version=-1)
    await one.decide(Changes(reason="opened", conversation=aside))
    counts = [
        (await one.search.find(search.parse("other"), hidden=hidden)).people[0].conversations
        for hidden in ((), ("vip",))
    ]
    assert counts == [2, 1], "how many, of those that may be seen"


@pytest.mark.parametrize("how", ["just written", "packed", "made again"])
async def test_who_came_by_a_link_is_found_by_what_it_said(one: Process, how: str) -> None:
    """By the value, by the link's words and by those of the card; by the field's name alone nobody. Nobody who may see
    none of their queues finds them, and nobody does once they are erased.
    """
    for name, order, queue in (("Ann", "12345", "general"), ("Bo", "7654321", "vip")):
        it = story(name, new_id(), queue=queue)
        value = Value(value=order, source=Source.CUSTOMER, actor="customer", at=NOW)
        said = Said(entry_id=new_id(), customer_id=it.customer.id, name="order", value=value, reason="came by a link")
        first = Changes(reason="command", customer=it.customer, identity=it.identity, said=(said,))
        await one.decide(first, it.opening("hello"))
    if how == "made again":
        await one.reindex.start_over()
        while await one.reindex.catch_up(limit=2):
            pass
    if how != "just written":
        await packed(one)

    async def people(query: str, **options: object) -> list[str]:
        result = await one.search.find(search.parse(query), **options)  # type: ignore[arg-type]
        return [person.customer.name for person in result.people]

    for query in ("12345", "order-12345", "Order 12345", "12345 order", '"order 12345"'):
        assert await people(query) == ["Ann"], query
    for query in ("7654321", "order-7654321", "order 7654321"):
        assert await people(query) == ["Bo"], query
        assert await people(query, hidden=["vip"]) == []
    for query in ("order", "order 1234", "order 12345 hello"):
        assert await people(query) == [], query
    await one.segments.take_out_customer(it.customer.id)
    assert (await people("7654321"), await people("order 7654321"), await people("12345")) == ([], [], ["Ann"])
    assert b"12345" not in await one.dump()


async def test_the_index_names_no_word(one: Process) -> None:
    """Neither what was written nor whose it is stands in its rows, before and after packing."""
    await tell(one, "Xylophone refund", name="Quintessa Example")
    before = await one.dump()
    await packed(one)
    for dump in (before, await one.dump()):
        assert not any(word in dump for word in (b"ylophone", b"efund", b"uintessa"))


async def test_small_segments_are_joined_and_nothing_is_lost(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all sizes each message is found exactly once, and few segments remain."""
    monkeypatch.setattr(segments, "PACK_AT", 4)
    monkeypatch.setattr(segments, "JOINED", 2)
    monkeypatch.setattr(segments, "_SIZES", (4, 8))
    for turn in range(5):
        await tell(one, *(f"common word{turn}x{n}" for n in range(4)))
        while await one.segments.tidy():
            pass
    standing = await one.segments.standing()
    assert (standing.fresh, standing.documents) == (0, 20)
    assert standing.segments <= 3
    assert len(await found(one, "common", limit=50)) == 20
    assert await found(one, "word3x2") == ["common word3x2"]
    assert {row["segment"] for row in await one.rows(tables.search_blocks)} == {
        row["id"] for row in await one.rows(tables.search_segments)
    }


@pytest.mark.parametrize("is_packed", [False, True], ids=["just written", "packed"])
async def test_what_is_taken_out_is_in_no_row(one: Process, is_packed: bool) -> None:
    """An erased customer's messages are found no more; everybody else's are."""
    gone = await tell(one, "secret word", "another")
    await tell(one, "secret too", name="Bo Other")
    if is_packed:
        await packed(one)
    assert await one.segments.take_out_customer(gone.customer.id) == 2
    assert await found(one, "secret") == ["secret too"]
    standing = await one.segments.standing()
    assert standing.fresh + standing.documents == 1
    assert await one.search.find(search.parse("example")) == search.Found()


async def test_taking_out_wins_over_packing_at_the_same_time(one: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment made of rows that are gone meanwhile is thrown away."""
    gone = await tell(one, "secret word")
    await tell(one, "open word")
    make = segments.Segments.make
    erased = asyncio.Event()

    async def slow(self: segments.Segments, *args: object, **options: object) -> bool:
        if not erased.is_set():
            erased.set()
            await one.segments.take_out_customer(gone.customer.id)
        return await make(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(segments.Segments, "make", slow)
    await packed(one)
    assert await found(one, "word") == ["open word"]
    assert (await one.segments.standing()).documents == 1


async def test_an_index_is_made_again_from_the_record(one: Process) -> None:
    """After a restore, step by step, with new messages coming in between; names too."""
    await tell(one, "first message", "second message", name="Ann Example")
    await tell(one, "third message", name="Bo Other")
    await packed(one)
    await one.reindex.start_over()
    assert await found(one, "message") == []
    assert await one.reindex.catch_up(limit=1) > 0
    await tell(one, "fourth message")
    while await one.reindex.catch_up(limit=2):
        pass
    await packed(one)
    assert sorted(await found(one, "message")) == sorted(
        ["first message", "second message", "third message", "fourth message"]
    )
    assert [p.customer.name for p in (await one.search.find(search.parse("other"))).people] == ["Bo Other"]


async def test_what_a_dead_process_left_is_cleared_up(one: Process) -> None:
    """A segment that was never finished is not searched, and goes."""
    await tell(one, "a message")

    async def half(conn: Connection) -> None:
        values = {"documents": 1, "first_seq": 1, "last_seq": 1, "state": "making"}
        await conn.execute(insert(tables.search_segments).values(values))
        rows = [{"segment": n, "first": 1, "block_sealed": b"x"} for n in (1, 77)]
        await conn.execute(insert(tables.search_blocks), rows)

    await one.db.write(half)
    assert await found(one, "message") == ["a message"]
    await one.segments.clear_up()
    assert await one.rows(tables.search_segments) == await one.rows(tables.search_blocks) == []


async def test_an_altered_row_of_the_index_is_noticed(one: Process) -> None:
    """Whoever moves a row of the index elsewhere makes the search fail, not lie."""
    await tell(one, "a message", "b message")
    async with one.db.read() as conn:
        first, second = (await conn.execute(select(tables.search_fresh.c.entry_id))).scalars().all()
        blob = (
            await conn.execute(
                select(tables.search_fresh.c.words_sealed).where(tables.search_fresh.c.entry_id == first)
            )
        ).scalar_one()

    async def swap(conn: Connection) -> None:
        moved = update(tables.search_fresh).where(tables.search_fresh.c.entry_id == second).values(words_sealed=blob)
        await conn.execute(moved)

    await one.db.write(swap)
    with pytest.raises(CannotDecrypt):
        await found(one, "message")


async def test_notes_and_answers_are_found_and_marks_are_not(one: Process) -> None:
    """Whatever has words; a change of state has none."""
    it = await tell(one, "hello")
    note = it.said("look at the warehouse", seconds=1, kind=EntryKind.NOTE)
    mark = it.said("", seconds=2, kind=EntryKind.STATUS)
    await one.decide(replace(it.changed(0), entries=(note, mark)), now=NOW + timedelta(seconds=3))
    assert await found(one, "warehouse") == ["look at the warehouse"]
    assert len(await one.rows(tables.search_fresh)) == 2
