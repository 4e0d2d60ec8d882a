"""The record takes decisions whole or not at all, gives back what was written, and is noise without its keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from domain import sla
from domain.changes import Changes, ClockRow, DeliveryKind
from domain.errors import Conflict
from domain.model import Agent, Attachment, EntryKind, Priority, Reach, Status, Thread
from domain.sla_history import in_order
from storage import audit, record, tables, views
from storage.record import CardShown
from storage.wishes import Wanted
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import AGENT, NOW, Process, Story, at, new_id, outgoing, story


def by_address(found: Story, **fields: Any) -> Wanted:
    return Wanted(key="k", channel="telegram", address=found.identity.address, **fields)


async def load(process: Process, wanted: Wanted) -> Any:
    return (await process.record.load([wanted]))[wanted.key]


def clock(found: Story, due: float, instance: int = 1, **fields: Any) -> ClockRow:
    values: dict[str, Any] = {
        "id": new_id(),
        "conversation_id": found.conversation.id,
        "metric": sla.Metric.FIRST_RESPONSE,
        "instance": instance,
        "state": sla.ClockState.RUNNING,
        "started_at": NOW,
        "due_at": at(due),
        "stopped_at": None,
        "next_alert_at": at(due),
        "alerts_done": frozenset({"warn"}),
    }
    return ClockRow(**(values | fields))


# Written and read back


async def test_a_first_decision_is_read_back_whole(start: Start) -> None:
    """Another process loads customer, identity, conversation and window exactly as they were decided."""
    ann = story(
        thread=Thread(channel="C0GENERAL"),
        priority=Priority.HIGH,
        assignee="U0MAYA",
        intent="order_status",
        assessment={"intent": "order_status", "scores": [0.5, 0.25]},
        delivery_state=Reach.WAITING,
        last_customer_at=at(0.123456),
    )
    await (await start("one")).decide(ann.opening("where is my parcel?", "hello?"))
    found = await load(await start("two"), by_address(ann))
    assert found.customer == ann.customer
    assert found.identity == ann.identity
    assert found.conversation == replace(ann.conversation, version=0, number=1001)
    assert [entry.body for entry in found.window] == ["where is my parcel?", "hello?"]


async def test_a_conversation_is_found_by_address_thread_and_id(one: Process) -> None:
    """Each event finds its conversation by what it knows."""
    ann, bo = story("Ann", "1", thread=Thread(channel="C1", ts="17.1")), story("Bo", "2")
    await one.decide(ann.opening(), bo.opening())
    found = await one.record.load(
        [
            Wanted(key="address", channel="telegram", address="1"),
            Wanted(key="thread", thread=("C1", "17.1")),
            Wanted(key="id", conversation_id=ann.conversation.id),
        ]
    )
    for situation in found.values():
        assert situation.conversation is not None
        assert situation.conversation.id == ann.conversation.id
        assert situation.customer == ann.customer
        assert situation.identity == ann.identity


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(key="k", channel="telegram", address="nobody"),
        Wanted(key="k", channel="e-mail", address="4711"),
        Wanted(key="k", thread=("C9", "1.1")),
        Wanted(key="k", conversation_id="01JDXQ7Z3V9K2M4N6P8R0S2T4V"),
        Wanted(key="k", outbox_id="unknown"),
        Wanted(key="k"),
    ],
    ids=["address", "channel", "thread", "id", "delivery", "nothing"],
)
async def test_what_is_not_there_is_an_empty_situation(one: Process, wanted: Wanted) -> None:
    """A stranger, a foreign thread or an unknown id is no error; the same address elsewhere is somebody else."""
    await one.decide(story(address="4711").opening("hello"))
    found = await load(one, wanted)
    assert (found.customer, found.identity, found.conversation, found.window, found.outbox) == (
        None,
        None,
        None,
        (),
        (),
    )


async def test_the_newest_conversation_of_a_customer_is_loaded(one: Process) -> None:
    """An old one is found by its thread or id only."""
    ann = story(status=Status.DONE)
    newer = replace(ann.conversation, id=new_id(), opened_at=at(60), status=Status.NEW, previous=ann.conversation.id)
    await one.decide(ann.opening("old"))
    await one.decide(Changes(reason="opened again", conversation=newer))
    found = await load(one, by_address(ann))
    assert found.conversation == replace(newer, version=0, number=1002)
    old = await load(one, by_address(ann, conversation_id=ann.conversation.id))
    assert old.conversation.id == ann.conversation.id


async def test_the_timeline_keeps_every_entry_as_it_was_written(one: Process) -> None:
    """In the order of writing, with its files, odd characters and all, whatever its own time is."""
    ann = story()
    file = Attachment(
        id=new_id(), kind="photo", platform_id="AgAD", name="r\u00e9sum\u00e9 \ud800.png", mime="image/png", size=1
    )
    entries = (
        ann.said(
            "Wo bleibt mein Paket? 我的包裹在哪里？ \x00 \ud800", seconds=9, platform_id="77", attachments=(file,)
        ),
        ann.said("an answer", kind=EntryKind.OUTGOING, actor=AGENT, seconds=1, data={"to": "x \x00 \ud800", "n": [1]}),
        ann.said("", kind=EntryKind.STATUS, actor=AGENT, seconds=5, reply_to="77"),
    )
    await one.decide(ann.opening(), Changes(reason="said", entries=entries))
    assert tuple(await one.record.timeline(ann.conversation.id)) == entries
    assert await one.record.entries([entries[0].id, "unknown"]) == {entries[0].id: entries[0]}
    assert await one.record.timeline("unknown") == []


async def test_numbers_count_up_and_are_given_once(start: Start) -> None:
    """Processes that open conversations at once share one row of numbers, from #1001 on."""
    processes = [await start(f"p{number}") for number in range(3)]
    stories = [story(address=str(number)) for number in range(12)]
    await asyncio.gather(*(processes[number % 3].decide(found.opening()) for number, found in enumerate(stories)))
    rows = await processes[0].rows(tables.conversations)
    assert sorted(row["number"] for row in rows) == list(range(1001, 1013))
    found = await processes[1].record.by_number(1005)
    assert found is not None
    assert found.number == 1005
    assert await processes[1].record.by_number(5) is None


# Compare and set


async def test_a_decision_on_an_old_version_writes_nothing(one: Process) -> None:
    """Not the conversation, not the entries, not what was to be sent."""
    ann = story()
    await one.decide(ann.opening("hello"))
    await one.decide(ann.changed(0, status=Status.OPEN))
    stale = replace(
        ann.changed(0, status=Status.DONE),
        entries=(ann.said("late"),),
        outbox=(outgoing("a"),),
        clocks=(clock(ann, 60),),
        audit=(("resolved", "x", "y"),),
    )
    with pytest.raises(Conflict):
        await one.decide(stale)
    found = await load(one, by_address(ann))
    assert (found.conversation.status, found.conversation.version) == (Status.OPEN, 1)
    assert [entry.body for entry in await one.record.timeline(ann.conversation.id)] == ["hello"]
    for table in (tables.outbox, tables.clocks, tables.audit):
        assert await one.rows(table) == []


async def test_of_two_processes_that_decide_at_once_one_wins(start: Start) -> None:
    """The other gets a conflict and decides again; no decision is half written."""
    processes = [await start(f"p{number}") for number in range(3)]
    ann = story()
    await processes[0].decide(ann.opening())
    for version in range(8):
        results = await asyncio.gather(
            *(
                process.decide(replace(ann.changed(version, queue=process.owner), entries=(ann.said(process.owner),)))
                for process in processes
            ),
            return_exceptions=True,
        )
        assert sum(result is None for result in results) == 1
        assert all(result is None or isinstance(result, Conflict) for result in results)
        found = await load(processes[0], by_address(ann))
        assert found.conversation.version == version + 1
        timeline = await processes[0].record.timeline(ann.conversation.id)
        assert len(timeline) == version + 1
        assert timeline[-1].body == found.conversation.queue


async def test_decisions_of_one_conversation_can_share_a_batch(one: Process) -> None:
    """Each made on the version the one before it writes; the last state stands, every entry is kept."""
    ann = story()
    await one.decide(
        ann.opening("one"),
        replace(ann.changed(0, status=Status.OPEN), entries=(ann.said("two", seconds=1),)),
        replace(ann.changed(1, status=Status.ON_HOLD), entries=(ann.said("three", seconds=2),)),
    )
    await one.decide(ann.changed(2, status=Status.OPEN), ann.changed(3, status=Status.DONE))
    found = await load(one, by_address(ann))
    assert (found.conversation.status, found.conversation.version) == (Status.DONE, 4)
    assert [entry.body for entry in found.window] == ["one", "two", "three"]


async def test_two_decisions_of_a_batch_on_one_version_are_a_conflict(one: Process) -> None:
    """The second did not know of the first: neither is written."""
    ann = story()
    await one.decide(ann.opening())
    with pytest.raises(Conflict):
        await one.decide(ann.changed(0, status=Status.OPEN), ann.changed(0, status=Status.DONE))
    assert (await load(one, by_address(ann))).conversation.version == 0


async def test_two_processes_cannot_make_one_person_twice(start: Start) -> None:
    """The same stranger, met by two processes at once, becomes one customer; the other decision fails whole."""
    one, two = await start("one"), await start("two")
    first, second = story("Ann", "4711"), story("Ann", "4711")
    results = await asyncio.gather(
        one.decide(first.opening("hi")), two.decide(second.opening("hi")), return_exceptions=True
    )
    assert sum(isinstance(result, IntegrityError) for result in results) == 1
    assert len(await one.rows(tables.customers)) == len(await one.rows(tables.conversations)) == 1
    assert len(await one.rows(tables.timeline)) == 1


async def test_where_a_card_stands_survives_decisions(one: Process) -> None:
    """Decisions made before the card was posted neither move it nor hide it; a card never goes back a version."""
    ann = story()
    await one.decide(ann.opening())
    conversation = ann.conversation.id
    assert (await one.views.load([conversation]))[conversation].card_version == -1

    async def show(thread: str, version: int) -> None:
        await one.db.write(
            lambda conn: record.cards_shown(
                conn, [CardShown(conversation_id=conversation, place="C1", thread=thread, version=version)]
            )
        )

    await show("17.1", 0)
    await one.decide(ann.changed(0, status=Status.OPEN))
    await show("17.1", 1)
    await show("99.9", 1)
    await show("17.1", 0)
    found = await load(one, Wanted(key="k", thread=("C1", "17.1")))
    assert found.conversation.thread == Thread(channel="C1", ts="17.1")
    assert (await one.views.load([conversation]))[conversation].card_version == 1
    assert [(place, thread) for place, thread, _ in await one.record.open_threads(9)] == [("C1", "17.1")]


# What a situation holds


async def test_the_window_holds_the_newest_unanswered_messages(one: Process) -> None:
    """Oldest first, five at most, none from before the last answer, the customer's own messages only."""
    ann = story(unanswered_since=at(10))
    entries = [ann.said(f"m{number}", seconds=number) for number in range(8, 17)]
    notes = (ann.said("note", seconds=18, kind=EntryKind.NOTE, actor=AGENT),)
    await one.decide(ann.opening(), Changes(reason="said", entries=(*entries, *notes)))
    found = await load(one, by_address(ann))
    assert [entry.body for entry in found.window] == ["m12", "m13", "m14", "m15", "m16"]
    await one.decide(ann.changed(0, unanswered_since=None))
    assert (await load(one, by_address(ann))).window == ()


async def test_the_history_is_what_clocks_are_computed_from(one: Process) -> None:
    """Every entry that a clock cares for, in the order of its own time, and nothing else."""
    ann = story()
    entries = (
        ann.said("later", seconds=9, data={"sla": "customer_message"}),
        ann.said("earlier", seconds=1, data={"sla": "customer_message"}),
        ann.said("", seconds=5, kind=EntryKind.PRIORITY, data={"sla": "priority", "to": "high"}),
        ann.said("note", seconds=6, kind=EntryKind.NOTE),
        ann.said("overtaken", seconds=2, data={"sla": "customer_message", "counts_from": at(20).isoformat()}),
    )
    await one.decide(ann.opening(), Changes(reason="said", entries=entries))
    history = in_order((await load(one, by_address(ann))).history)
    late = sla.SlaEvent(id=entries[-1].id, at=at(20), kind=sla.EventKind.CUSTOMER_MESSAGE, late=True)
    assert history[-1] == late
    assert [(item.id, item.kind.value, item.value) for item in history[:-1]] == [
        (entries[1].id, "customer_message", None),
        (entries[2].id, "priority", "high"),
        (entries[0].id, "customer_message", None),
    ]


async def test_named_messages_come_with_where_they_were_delivered(one: Process) -> None:
    """An edit or a reply by a platform's id finds its entry in its own conversation only."""
    ann, bo = story("Ann", "1"), story("Bo", "2")
    hers, his = ann.said("hers", platform_id="77"), bo.said("his", platform_id="77")
    await one.decide(ann.opening(), bo.opening(), Changes(reason="said", entries=(hers, his)))
    item = outgoing("thread", kind=DeliveryKind.DESK_ENTRY, conversation_id=ann.conversation.id, entry_id=hers.id)
    await one.decide(Changes(reason="send", outbox=(item,)))
    found = await load(one, by_address(ann, messages=("77", "99"), outbox_id=item.id))
    assert found.known == {"77": hers}
    assert [ref.id for ref in found.outbox] == [item.id]
    assert found.answer == hers, "the line of the delivery that is named"
    others = await load(one, by_address(bo, outbox_id=item.id))
    assert (others.outbox, others.answer) == ((), None), "a delivery of somebody else"


async def test_clocks_are_replaced_as_a_whole(one: Process) -> None:
    """What a decision says about clocks is all there is; what says nothing about them leaves them."""
    ann, bo = story("Ann", "1"), story("Bo", "2")
    old, hold = clock(ann, 60), clock(bo, 30)
    await one.decide(replace(ann.opening(), clocks=(old,)), replace(bo.opening(), clocks=(hold,)))
    new = (clock(ann, 90), clock(ann, 120, metric=sla.Metric.RESOLUTION, next_alert_at=None, alerts_done=frozenset()))
    await one.decide(replace(ann.changed(0), clocks=new))
    await one.decide(bo.changed(0))
    assert set((await load(one, by_address(ann))).clocks) == set(new)
    assert (await load(one, by_address(bo))).clocks == (hold,)
    await one.decide(replace(bo.changed(1), clocks=()))
    assert (await load(one, by_address(bo))).clocks == ()


async def test_the_clocks_with_the_nearest_alerts_come_first(one: Process) -> None:
    """Each with its conversation and its moment; none where no clock runs."""
    stories = [story(address=str(number)) for number in range(4)]
    assert await one.clocks.coming(9) == []
    for found, due in zip(stories, (30.0, 10.0, 20.0, 99.0), strict=True):
        await one.decide(replace(found.opening(), clocks=(clock(found, due),)))
    assert [(due.conversation_id, due.alert_at) for due in await one.clocks.coming(3)] == [
        (stories[1].conversation.id, at(10)),
        (stories[2].conversation.id, at(20)),
        (stories[0].conversation.id, at(30)),
    ]


async def test_the_team_comes_with_its_open_conversations(one: Process) -> None:
    """Assigning by load counts what is open, not what is done; an agent nobody has met is on duty."""
    maya = Agent(id="U0MAYA", languages=("en", "zh"), on_duty=True, last_assigned_at=NOW)
    await one.decide(Changes(reason="met", agent=replace(maya, on_duty=False)), Changes(reason="met", agent=maya))
    await one.decide(
        story(address="1", assignee="U0MAYA").opening(),
        story(address="2", assignee="U0MAYA", status=Status.DONE).opening(),
        story(address="3").opening(),
    )
    found = await load(one, Wanted(key="k", team=True, agent_id="U0MAYA"))
    assert found.team == (replace(maya, open_count=1),)
    assert found.agent == maya
    assert (await load(one, Wanted(key="k", agent_id="U0NEW"))).agent == Agent(id="U0NEW")


async def test_loading_many_takes_no_more_queries_than_loading_one(one: Process) -> None:
    """One query per table, however large the batch is."""
    stories = [story(address=str(number)) for number in range(30)]
    await one.decide(*(found.opening("hello") for found in stories))
    wanted = [
        Wanted(key=found.customer.id, channel="telegram", address=found.identity.address, messages=("1",), team=True)
        for found in stories
    ]
    counted: list[str] = []

    def count(*arguments: object) -> None:
        counted.append(str(arguments[2]))

    event.listen(Engine, "before_cursor_execute", count)
    try:
        await one.record.load(wanted[:1])
        alone = len(counted)
        counted.clear()
        found = await one.record.load(wanted)
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert len(counted) == alone
    assert all(len(found[item.customer.id].window) == 1 for item in stories)


async def test_a_view_is_the_newest_state(one: Process) -> None:
    """What the dispatcher renders: conversation, people, clocks and the customer's newest message."""
    ann = story()
    running = clock(ann, 60)
    await one.decide(replace(ann.opening("first", "second"), clocks=(running,)))
    note = ann.said("a note", kind=EntryKind.NOTE, actor=AGENT)
    await one.decide(replace(ann.changed(0, status=Status.OPEN), entries=(note,)))
    view = (await one.views.load([ann.conversation.id, "unknown"]))[ann.conversation.id]
    assert (view.customer, view.identity, view.clocks, view.card_version) == (
        ann.customer,
        ann.identity,
        (running,),
        -1,
    )
    assert view.latest is not None
    assert (view.latest.body, view.conversation.status) == ("second", Status.OPEN)
    assert await one.views.identities([ann.identity.id, "unknown"]) == {ann.identity.id: ann.identity}


async def test_of_what_was_changed_only_what_is_shown_is_read(one: Process) -> None:
    """A view has its newest message in its newest words, and reads no changes of the others, however many there are."""
    ann, bob = story(address="1"), story(address="2")
    changes = []
    for person in (ann, bob):
        said = [person.said(f"message {n}", seconds=n, platform_id=str(n)) for n in range(3)]
        edits = [person.edited(before, f"{before.body}, again {n}", seconds=3 + n) for before in said for n in range(2)]
        changes.append(replace(person.opening(), entries=(*said, *edits)))
    await one.decide(*changes)
    ids = [ann.conversation.id, bob.conversation.id]
    found = await one.views.load(ids)
    assert [view.latest and view.latest.body for view in found.values()] == ["message 2, again 1"] * 2
    async with one.db.read() as conn:
        read = (await conn.execute(views._LATEST, {"b_ids": ids})).all()
    assert sorted(row.reply_to or "" for row in read) == ["", "", "2", "2", "2", "2"]
    lately = await one.views.said_lately(ann.conversation.id)
    assert [entry.body for entry in lately] == [f"message {n}, again 1" for n in range(3)]


async def test_acts_are_audited_with_the_decision(one: Process) -> None:
    """In the same transaction, each with its own hash."""
    ann = story()
    await one.decide(replace(ann.opening(), audit=(("refused", "conversation:1", "no role"),)), actor="agent:U0JONAS")
    await one.decide(Changes(reason="read", audit=(("read", "x", ""), ("read", "y", ""))))
    rows = await one.rows(tables.audit)
    assert [(row["actor"], row["action"], row["object"]) for row in rows] == [
        ("agent:U0JONAS", "refused", "conversation:1"),
        ("machine", "read", "x"),
        ("machine", "read", "y"),
    ]
    async with one.db.read() as conn:
        report = await audit.verify(conn, one.record.audit_key)
    assert (report.problems, report.unsealed) == ((), 3)


async def test_a_card_under_way_is_known(one: Process) -> None:
    """A thread that is not known yet may be one that is being posted right now, in that channel only."""
    item = outgoing("card", kind=DeliveryKind.DESK_CARD, bucket="slack:C1")
    assert not await one.record.is_posting_cards("C1")
    await one.decide(Changes(reason="opened", outbox=(item,)))
    assert await one.record.is_posting_cards("C1")
    assert not await one.record.is_posting_cards("C2")
    await one.decide(Changes(reason="undo", cancel=(item.id,)))
    assert not await one.record.is_posting_cards("C1")


async def test_a_post_under_way_is_known_where_it_goes(one: Process) -> None:
    """From when it is handed over until its id is known, and only for who asks about a later moment."""
    await one.decide(Changes(reason="opened", outbox=(outgoing("card", bucket="slack:C1"),)))
    now = NOW + timedelta(hours=1)
    assert not await one.record.is_posting(["C1", "U1"], now + timedelta(hours=2))
    assert await one.outbox.claim("dispatcher", now, limit=1)
    assert await one.record.is_posting(["C1", "U1"], now + timedelta(hours=2))
    assert not await one.record.is_posting(["C1", "U1"], now - timedelta(hours=2))
    assert not await one.record.is_posting(["C2", "U1"], now + timedelta(hours=2))
