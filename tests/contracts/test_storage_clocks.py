"""What the sweep asks a database, on both engines: what is due, who is away, what was said, what is still untouched."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.changes import Changes, ClockRow
from domain.errors import Conflict
from domain.model import Actor, ActorKind, Agent, Conversation, Entry, EntryKind, Thread
from domain.sla import ClockState, Metric
from storage import clocks, flush, record, tables
from storage.engines import Connection
from storage.wishes import Wanted
from tests import patience
from tests.contracts.storage_kit import AGENT, NOW, Process, Story, at, new_id, story

MACHINE = Actor(kind=ActorKind.MACHINE)


def row(conversation: str, **fields: object) -> ClockRow:
    """A running clock of a first answer, due in four hours."""
    known: dict[str, object] = {
        "id": new_id(),
        "conversation_id": conversation,
        "metric": Metric.FIRST_RESPONSE,
        "instance": 1,
        "state": ClockState.RUNNING,
        "started_at": NOW,
        "due_at": NOW + timedelta(hours=4),
        "stopped_at": None,
        "next_alert_at": NOW + timedelta(hours=3),
    }
    return ClockRow(**(known | fields))  # type: ignore[arg-type]


async def opened(one: Process, *rows: ClockRow, address: str = "1", **fields: Any) -> Story:
    """A conversation with these clocks."""
    made = story(address=address, policy="standard", **fields)
    own = tuple(replace(clock, conversation_id=made.conversation.id) for clock in rows)
    await one.decide(replace(made.opening("hello"), clocks=own))
    return made


async def stored(one: Process) -> dict[str, dict[str, object]]:
    return {str(clock["id"]): clock for clock in await one.rows(tables.clocks)}


async def test_the_nearest_alerts_come_first(one: Process) -> None:
    """Up to a limit; a clock without an alert is not among them."""
    for place, minutes in enumerate((30, 10, 20, None)):
        moment = None if minutes is None else at(minutes * 60)
        await opened(one, row("", next_alert_at=moment), address=str(place))
    assert [due.alert_at for due in await one.clocks.coming(9)] == [at(600), at(1200), at(1800)]
    assert len(await one.clocks.coming(2)) == 2


async def test_whoever_sleeps_is_woken_by_the_same_look(one: Process) -> None:
    """The end of a snooze stands among the alerts, by its time, until it is put away."""
    await opened(one, row("", next_alert_at=at(1200)), address="1")
    asleep = await opened(one, address="2", snoozed_until=at(600))
    coming = await one.clocks.coming(9)
    assert [(due.alert_at, due.clock_id == "") for due in coming] == [(at(600), True), (at(1200), False)]
    assert [due.alert_at for due in await one.clocks.coming(1)] == [at(600)]
    await one.clocks.put_away(asleep.conversation.id)
    assert [due.alert_at for due in await one.clocks.coming(9)] == [at(1200)]


async def test_clocks_are_written_where_they_changed_and_removed_where_they_are_no_more(one: Process) -> None:
    """All clocks of a conversation are given; those that stand as before are left alone, and others' too."""
    first, second = row(""), row("", metric=Metric.RESOLUTION)
    made, other = await opened(one, first, second), await opened(one, row(""), address="2")
    moved = replace(first, conversation_id=made.conversation.id, due_at=at(60), excused_by="agent:U0JONAS")
    third = row(made.conversation.id, metric=Metric.NEXT_RESPONSE)
    changed = replace(made.changed(0), clocks=(moved, third))
    await one.decide(changed)
    found = await stored(one)
    assert set(found) == {
        first.id,
        third.id,
        *(k for k, v in found.items() if v["conversation_id"] == other.conversation.id),
    }
    assert found[first.id]["excused_by"] == "agent:U0JONAS"
    assert found[first.id]["due_at"] == at(60).timestamp()
    await one.decide(replace(made.changed(1), clocks=()))
    assert len(await stored(one)) == 1


async def test_a_clock_that_comes_back_under_another_id_takes_its_place(one: Process) -> None:
    """One clock for each conversation, metric and instance, whoever named it."""
    first = row("")
    made = await opened(one, first)
    again = row(made.conversation.id)
    await one.decide(replace(made.changed(0), clocks=(again,)))
    assert set(await stored(one)) == {again.id}


async def test_untouched_is_what_nobody_changed(one: Process) -> None:
    """A conversation at another version is left out, one that does not exist too."""
    same, changed = await opened(one, row("")), await opened(one, row(""), address="2")
    await one.decide(changed.changed(0))
    expected = {same.conversation.id: 0, changed.conversation.id: 0, new_id(): 0}
    assert await one.db.write(lambda conn: clocks.untouched(conn, expected)) == {same.conversation.id}
    assert await one.db.write(lambda conn: clocks.untouched(conn, {})) == set()


@pytest.mark.postgres
@pytest.mark.usefixtures("unhurried")
async def test_what_somebody_is_writing_is_passed_over(one: Process) -> None:
    """The sweep waits for nobody: a conversation locked by a message is not among the untouched, the others are."""
    if one.db.is_sqlite:
        pytest.skip("one writer at a time: nothing is locked beside it")
    busy, free = await opened(one, row("")), await opened(one, row(""), address="2")
    expected = {busy.conversation.id: 0, free.conversation.id: 0}
    from storage.database import Database

    async with Database.open(one.db.url) as other:
        locked, done = asyncio.Event(), asyncio.Event()

        async def message(conn: Connection) -> None:
            await conn.execute(
                tables.conversations.update().where(tables.conversations.c.id == busy.conversation.id).values(queue="x")
            )
            locked.set()
            await done.wait()

        writing = asyncio.create_task(other.write(message))
        await asyncio.wait_for(locked.wait(), patience.LONG_S)
        found = await asyncio.wait_for(one.db.write(lambda conn: clocks.untouched(conn, expected)), patience.LONG_S)
        done.set()
        await writing
    assert found == {free.conversation.id}


async def test_clocks_that_are_put_away_are_never_due(one: Process) -> None:
    """Of an erased customer nothing is said any more; how the clocks stood is kept, and others' are untouched."""
    gone, other = await opened(one, row("")), await opened(one, row(""), address="2")
    await one.clocks.put_away(gone.conversation.id)
    assert [due.conversation_id for due in await one.clocks.coming(9)] == [other.conversation.id]
    assert {str(clock["state"]) for clock in (await stored(one)).values()} == {"running"}


async def test_who_is_off_duty_is_away(one: Process) -> None:
    """Whoever said so; the others, and those nobody knows, are there."""
    agents = [Agent(id="U0MAYA", on_duty=False), Agent(id="U0LINA")]
    await one.decide(*(Changes(reason="duty", agent=agent) for agent in agents))
    assert await one.clocks.away({"U0MAYA", "U0LINA", "U0JONAS"}) == {"U0MAYA"}
    assert await one.clocks.away(()) == frozenset()


def line(conversation: Conversation, kind: EntryKind, minutes: float, actor: Actor = MACHINE, **data: object) -> Entry:
    return Entry(
        id=new_id(),
        conversation_id=conversation.id,
        customer_id=conversation.customer_id,
        kind=kind,
        actor=actor,
        at=at(minutes * 60),
        body="a reason" if kind is EntryKind.EXCUSED else "",
        data=dict(data),
    )


async def test_what_was_said_of_clocks_is_found_in_its_order(one: Process) -> None:
    """Alerts, acknowledgements and excuses of these conversations; no messages, and no words that are sealed."""
    made, other = await opened(one, row("")), await opened(one, row(""), address="2")
    said = (
        line(made.conversation, EntryKind.CLOCK, 1, alert="warning"),
        line(made.conversation, EntryKind.ACKNOWLEDGED, 2, AGENT),
        line(made.conversation, EntryKind.EXCUSED, 3, AGENT),
    )
    await one.decide(replace(made.changed(0), entries=said))
    found = await one.clocks.alerts([made.conversation.id, other.conversation.id])
    assert [entry.kind for entry in found[made.conversation.id]] == [entry.kind for entry in said]
    assert all(entry.body == "" for entry in found[made.conversation.id])
    assert found[other.conversation.id] == []


async def test_first_answers_are_those_that_were_given(one: Process) -> None:
    """Met or late, with policy, question and answer; what still runs or ended otherwise says nothing."""
    moments: list[tuple[ClockState, datetime | None]] = [
        (ClockState.MET, at(60)),
        (ClockState.MET_LATE, at(90)),
        (ClockState.RUNNING, None),
        (ClockState.CANCELLED, at(5)),
    ]
    for place, (state, stopped) in enumerate(moments):
        await opened(one, row("", state=state, stopped_at=stopped), address=str(place))
    assert sorted(await one.clocks.first_answers()) == [("standard", NOW, at(60)), ("standard", NOW, at(90))]


async def test_a_post_of_ours_leads_to_its_conversation(one: Process) -> None:
    """A reaction names a post: on the card, or on anything that was posted under it; others lead nowhere."""
    made = await opened(one, row(""), thread=Thread(channel="C0SUPPORT"))
    card = record.CardShown(conversation_id=made.conversation.id, place="C0SUPPORT", thread="1.0", version=0)

    async def work(conn: Connection) -> None:
        await record.cards_shown(conn, [card])
        posted = {"outbox_id": new_id(), "entry_id": new_id(), "conversation_id": made.conversation.id, "part": 0}
        await conn.execute(
            tables.deliveries.insert(), [posted | {"side": "desk", "place": "C0LEADS", "platform_id": "2.0", "at": 1.0}]
        )

    await one.db.write(work)
    posts = {"card": ("C0SUPPORT", "1.0"), "alert": ("C0LEADS", "2.0"), "other": ("C0SUPPORT", "2.0")}
    found = await one.record.load([Wanted(key=key, post=post) for key, post in posts.items()])
    of = {key: situation.conversation and situation.conversation.id for key, situation in found.items()}
    assert of == {"card": made.conversation.id, "alert": made.conversation.id, "other": None}


async def test_prepared_apart_and_written_together(one: Process) -> None:
    """Decisions that were prepared one by one are one transaction; leaving one out leaves nothing of it."""
    made, other = await opened(one, row("")), await opened(one, row(""), address="2")
    parts = [
        await one.record.prepare([flush.Decision(id=new_id(), changes=story_.changed(0, queue="billing"))], NOW)
        for story_ in (made, other)
    ]
    await one.db.write(lambda conn: flush.write(conn, flush.joined(parts[:1], NOW), one.record.audit_key))
    found = {c["id"]: c["queue"] for c in await one.rows(tables.conversations)}
    assert found == {made.conversation.id: "billing", other.conversation.id: "general"}


async def test_two_parts_that_enter_one_person_are_not_joined() -> None:
    """Prepared apart as in one batch: somebody is entered once, and the second is decided anew."""
    parts = [flush.Prepared(now=NOW, entered=set(hashes)) for hashes in (("a", "b"), ("c",), ("b", "d"))]
    assert flush.joined(parts[:2], NOW).entered == {"a", "b", "c"}
    with pytest.raises(Conflict, match="same phone number"):
        flush.joined(parts, NOW)
