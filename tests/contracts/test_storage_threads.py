"""A thread whose first post was deleted is begun anew, once, and is still known by where it was."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from domain.changes import Changes, DeliveryKind, Move, Outgoing
from domain.errors import CardOnItsWay, Conflict
from domain.model import Entry, EntryKind, Status, Thread
from handlers import moving
from storage import outbox, record, tables, threads
from storage import outgoing as outgoing_rows
from storage.engines import Connection
from storage.wishes import Wanted
from tests.contracts.storage_kit import AGENT, Process, at, new_id, outgoing, story


async def test_a_thread_is_begun_anew_once_and_found_by_both_places(one: Process) -> None:
    """Of several who find it gone one posts the card again; the old place still leads to the conversation."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    await one.decide(ann.opening("where is it?"))
    conversation = ann.conversation.id
    began = await asyncio.gather(
        *(
            one.db.write(lambda conn: threads.begin_anew(conn, conversation, "17.1", new_id(), new_id, at(1)))
            for _ in range(5)
        )
    )
    assert sorted(began) == [False] * 4 + [True]
    card, again = sorted(await one.outbox.claim("me", at(2), limit=10), key=lambda claim: claim.row.seq)
    assert (card.row.kind, card.row.data) == (DeliveryKind.DESK_CARD, {"was": "17.1"})
    assert again.row.kind is DeliveryKind.DESK_ENTRY, "what nobody has answered stands in the new thread too"
    found = (await one.record.load([Wanted(key="old", thread=("C1", "17.1"))]))["old"].conversation
    assert found is not None
    assert (found.id, found.thread) == (conversation, Thread(channel="C1", ts=None, before="C1:17.1"))
    assert (await one.record.load([Wanted(key="k", thread=("C2", "17.1"))]))["k"].conversation is None


@pytest.mark.parametrize("moves", [True, False], ids=["moved", "begun anew"])
async def test_open_questions_go_where_the_conversation_goes(one: Process, moves: bool) -> None:
    """Each is asked anew there and leads there where it stood; what was settled, or waits to be asked, is not."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))

    def asked(line: str, **left: Any) -> tuple[Entry, Entry]:
        kept = ann.said("secret", kind=EntryKind.NOTE, actor=AGENT, platform_id=line, data={"kept": ["phone"]} | left)
        question = ann.said("", kind=EntryKind.HELD, data={"of": kept.id, "line": line, "kept": ["phone"]})
        return kept, question

    whispered, posted, settled, waits = asked("18.1"), asked("18.2"), asked("18.3"), asked("18.4")
    sent = ann.said("secret", seconds=1, kind=EntryKind.OUTGOING, actor=AGENT, platform_id="18.3")
    reworded = replace(posted[0], id=new_id(), data={"kept": ["late"], "edit_of": posted[0].id})
    changes = ann.opening("where is it?")
    post = {"bucket": "slack:C1", "kind": DeliveryKind.DESK_ENTRY, "entry_id": waits[1].id}
    lines = (*whispered, *posted, *settled, *waits, sent, reworded)
    entries = (*changes.entries, *lines)
    await one.decide(replace(changes, entries=entries, outbox=(outgoing("thread:t", **post),)))
    stood = {"outbox_id": "O1", "entry_id": posted[1].id, "side": "desk", "place": "C1", "platform_id": "19.5"}
    await one.db.write(lambda conn: conn.execute(tables.deliveries.insert().values(**stood, part=0, at=0.0)))
    conversation, ids = ann.conversation.id, tuple(new_id() for _ in range(225))
    if moves:
        move = Move(conversation_id=conversation, channel="C2", thread="17.1", ids=ids)
        await one.db.write(lambda conn: threads.move(conn, move, at(1)))
    else:
        await one.db.write(lambda conn: threads.begin_anew(conn, conversation, "17.1", "x", new_id, at(1)))
    rows = [row for row in await one.rows(tables.outbox) if row["idem_key"].startswith("asked:")]
    found = {(row["kind"], row["entry_id"], row["bucket"]): json.loads(row["data"]) for row in rows}
    new = "slack:C2" if moves else "slack:C1"
    assert found == {
        ("desk.entry", whispered[1].id, new): {"anew": True, "line": whispered[0].id},
        ("desk.entry", posted[1].id, new): {"anew": True, "line": reworded.id},
        ("desk.edit", posted[1].id, "slack:C1"): {"stood": ["C1", "19.5"], "line": reworded.id},
    }
    wanted = Wanted(key="k", conversation_id=conversation, held=True)
    held = (await one.record.load([wanted]))["k"].held
    assert [(line.id, line.body) for line in held] == [
        (whispered[0].id, "secret"),
        (waits[0].id, "secret"),
        (reworded.id, "secret"),
    ]


@pytest.mark.parametrize("moves", [True, False], ids=["moved", "begun anew"])
async def test_many_open_questions_are_all_asked_anew(one: Process, moves: bool) -> None:
    """However much is held in a thread, nothing of it is left where its button refuses."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    changes, lines = ann.opening("where is it?"), []
    for number in range(60):
        data = {"kept": ["phone"]}
        kept = ann.said("secret", kind=EntryKind.NOTE, actor=AGENT, platform_id=f"18.{number:02}", data=data)
        held = {"of": kept.id, "line": kept.platform_id, **data}
        lines += [kept, ann.said("", kind=EntryKind.HELD, data=held)]
    await one.decide(replace(changes, entries=(*changes.entries, *lines)))
    asked = [line.id for line in lines if line.kind is EntryKind.HELD]
    posts = [
        {"outbox_id": f"O{place}", "entry_id": entry, "side": "desk", "place": "C1", "platform_id": f"19.{place:02}"}
        | {"part": 0, "at": 0.0}
        for place, entry in enumerate(asked)
    ]
    await one.db.write(lambda conn: conn.execute(tables.deliveries.insert().values(posts)))
    conversation = ann.conversation.id
    if moves:
        ids = tuple(new_id() for _ in range(moving.SHOWN_AGAIN + 2 * moving.ASKED_AGAIN))
        move = Move(conversation_id=conversation, channel="C2", thread="17.1", ids=ids)
        await one.db.write(lambda conn: threads.move(conn, move, at(1)))
    else:
        await one.db.write(lambda conn: threads.begin_anew(conn, conversation, "17.1", "x", new_id, at(1)))
    rows = await one.rows(tables.outbox)
    for kind in ("desk.entry", "desk.edit"):
        made = [row["entry_id"] for row in rows if row["idem_key"].startswith("asked:") and row["kind"] == kind]
        assert sorted(made) == sorted(asked)
    assert [row["kind"] for row in rows if row["idem_key"].startswith("anew:")] == ["desk.entry"]


async def test_what_is_being_sent_meanwhile_is_shown_again_unless_it_got_there(one: Process) -> None:
    """A post on its way when the thread is found gone may land in the old one; what only waits goes to the new one."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    sent, waits = ann.said("are you there?"), ann.said("hello?")
    changes = ann.opening("where is it?")
    posts = [
        outgoing("thread:t", bucket="slack:C1", kind=DeliveryKind.DESK_ENTRY, entry_id=entry.id)
        for entry in (sent, waits)
    ]
    await one.decide(replace(changes, entries=(*changes.entries, sent, waits), outbox=tuple(posts)))
    (claimed,) = await one.outbox.claim("me", at(1), limit=10)
    assert claimed.row.entry_id == sent.id
    conversation = ann.conversation.id
    assert await one.db.write(lambda conn: threads.begin_anew(conn, conversation, "17.1", "x", new_id, at(2)))
    again = [row for row in await one.rows(tables.outbox) if row["idem_key"].startswith("anew:")]
    assert {row["entry_id"] for row in again} == {changes.entries[0].id, sent.id}
    assert all(json.loads(row["data"]) == {"anew": True} for row in again)


async def test_two_posts_of_one_conversation_are_both_known(one: Process) -> None:
    """Emoji on two messages of a thread are read together after a restart: neither is taken for somebody else's."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    changes = ann.opening("one", "two")
    await one.decide(changes)
    rows = [
        {"outbox_id": f"O{place}", "entry_id": entry.id, "conversation_id": ann.conversation.id, "side": "desk"}
        | {"part": 0, "place": "C1", "platform_id": f"18.{place}", "at": 0.0}
        for place, entry in enumerate(changes.entries[:2])
    ]
    await one.db.write(lambda conn: conn.execute(tables.deliveries.insert().values(rows)))
    found = await one.record.load([Wanted(key=ts, post=("C1", ts)) for ts in ("18.0", "18.1")])
    both = [situation.conversation.id for situation in found.values() if situation.conversation]
    assert both == [ann.conversation.id, ann.conversation.id]


async def test_the_newest_is_one_that_goes_on(one: Process) -> None:
    """Who writes again comes to the conversation that is open, or that theirs was joined into, however old; to a joined
    one only where there is no other.
    """
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    await one.decide(ann.opening("older"))
    newer = replace(ann.conversation, id=new_id(), opened_at=at(50), thread=Thread(channel="C1", ts="18.1"))
    await one.decide(Changes(reason="opened", conversation=newer))

    async def newest() -> str:
        wanted = Wanted(key="k", channel=ann.identity.channel, address=ann.identity.address)
        found = (await one.record.load([wanted]))["k"].conversation
        assert found is not None
        return found.id

    async def ended(*ids: str) -> None:
        query = tables.conversations.update().where(tables.conversations.c.id.in_(ids)).values(merged_into="somewhere")
        await one.db.write(lambda conn: conn.execute(query))

    assert await newest() == newer.id
    status = tables.conversations.update().where(tables.conversations.c.id == newer.id)
    await one.db.write(lambda conn: conn.execute(status.values(status=Status.DONE.value)))
    assert await newest() == ann.conversation.id, "it is open: a newer one that is done is not opened again beside it"
    beside = Wanted(key="beside", conversation_id=newer.id)
    wanted = Wanted(key="k", channel=ann.identity.channel, address=ann.identity.address)
    both = await one.record.load([beside, wanted])
    chosen = [situation.conversation for situation in (both["beside"], both["k"])]
    assert [conversation.id for conversation in chosen if conversation] == [newer.id, ann.conversation.id]
    at_hand = (await one.record.load([replace(beside, newest=True)]))["beside"]
    assert at_hand.conversation == both["k"].conversation, "asked for from the one that is done"
    await one.db.write(lambda conn: conn.execute(status.values(status=Status.OPEN.value)))
    await ended(newer.id)
    assert await newest() == ann.conversation.id
    await ended(ann.conversation.id)
    assert await newest() == newer.id


async def test_what_a_muted_customer_wrote_is_not_shown_again(one: Process) -> None:
    """It is recorded; the message before it, which waits for an answer, is what the new thread begins with."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    changes = ann.opening("where is it?")
    noise = [ann.said(f"noise {number}", data={"muted": True}) for number in range(9)]
    await one.decide(replace(changes, entries=(*changes.entries, *noise)))
    conversation = ann.conversation.id
    await one.db.write(lambda conn: threads.begin_anew(conn, conversation, "17.1", new_id(), new_id, at(1)))
    again = [row["entry_id"] for row in await one.rows(tables.outbox) if row["idem_key"].startswith("anew:")]
    assert again == [changes.entries[0].id]
    situation = (await one.record.load([Wanted(key="k", conversation_id=conversation)]))["k"]
    assert [entry.id for entry in situation.window] == [changes.entries[0].id]


async def test_the_new_card_stands_behind_nothing_that_waits_for_it(one: Process) -> None:
    """A change of the card that was written before the thread was found gone does not hold up the card it needs."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    await one.decide(ann.opening("where is it?"))
    conversation = ann.conversation.id
    change = Outgoing(
        id=new_id(),
        lane=f"card:{conversation}",
        bucket="slack:C1",
        kind=DeliveryKind.DESK_UPDATE,
        idem_key="update:1",
        conversation_id=conversation,
        collapse=True,
    )
    await one.db.write(lambda conn: outgoing_rows.add(conn, [change], at(1)))
    await one.db.write(lambda conn: threads.begin_anew(conn, conversation, "17.1", new_id(), new_id, at(1)))
    heads = {claim.row.kind for claim in await one.outbox.claim("me", at(2), limit=10)}
    assert heads >= {DeliveryKind.DESK_UPDATE, DeliveryKind.DESK_CARD}


async def test_files_stand_in_the_new_thread_too(one: Process) -> None:
    """Those of an unanswered message that stood in the old one come after its words; others come by themselves."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    said = ann.said("two pictures and a bill")
    changes = ann.opening("where is it?")
    rows = [
        outgoing(f"file:{part}", bucket="slack:C1", kind=DeliveryKind.DESK_FILE, entry_id=said.id, part=part)
        for part in range(3)
    ]
    await one.decide(replace(changes, entries=(*changes.entries, said), outbox=tuple(rows)))

    async def sent(conn: Connection) -> None:
        await conn.execute(update(tables.outbox).where(tables.outbox.c.part < 2).values(state="sent"))

    await one.db.write(sent)
    assert await one.db.write(lambda conn: threads.begin_anew(conn, ann.conversation.id, "17.1", "x", new_id, at(2)))
    again = [row for row in await one.rows(tables.outbox) if row["idem_key"].startswith("anew:")]
    own = sorted((row for row in again if row["entry_id"] == said.id), key=lambda row: row["seq"])
    shown = [(row["kind"], row["part"]) for row in own]
    file = DeliveryKind.DESK_FILE.value
    assert shown == [(DeliveryKind.DESK_ENTRY.value, 0), (file, 0), (file, 1)]


async def test_a_conversation_moves_to_another_channel_and_nothing_brings_it_back(one: Process) -> None:
    """What waited goes with it, the old place leads to it, and a receipt of the card it left changes nothing."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    await one.decide(ann.opening("where is it?"))
    conversation = ann.conversation.id
    goes = Move(conversation_id=conversation, channel="C2", thread="17.1", ids=tuple(new_id() for _ in range(15)))
    await one.db.write(lambda conn: threads.move(conn, goes, at(1)))
    late = record.CardShown(conversation_id=conversation, place="C1", thread="17.1", version=3, posted=False)
    await one.db.write(lambda conn: record.cards_shown(conn, [late]))
    loaded = await one.record.load([Wanted(key="old", thread=("C1", "17.1"))])
    found, is_elsewhere = loaded["old"].conversation, loaded["old"].elsewhere
    assert found is not None
    assert (found.thread, is_elsewhere) == (Thread(channel="C2", ts=None, before="C1:17.1"), True)
    again = [row for row in await one.rows(tables.outbox) if row["idem_key"].startswith("anew:")]
    assert {row["bucket"] for row in again} == {"slack:C2"}
    card = record.CardShown(conversation_id=conversation, place="C2", thread="18.1", version=3)
    await one.db.write(lambda conn: record.cards_shown(conn, [card]))
    now = (await one.record.load([Wanted(key="new", thread=("C2", "18.1"))]))["new"]
    assert now.conversation is not None
    assert not now.elsewhere
    with pytest.raises(Conflict):  # whoever decided on where it stood before decides again
        await one.db.write(lambda conn: threads.move(conn, goes, at(2)))


async def test_a_move_shows_no_more_than_it_has_ids_for(one: Process) -> None:
    """A message with many files is shown as far as the decision has foreseen."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    await one.decide(ann.opening("where is it?"))
    goes = Move(conversation_id=ann.conversation.id, channel="C2", thread="17.1", ids=())
    await one.db.write(lambda conn: threads.move(conn, goes, at(1)))
    assert not [row for row in await one.rows(tables.outbox) if row["idem_key"].startswith("anew:")]


async def test_a_conversation_does_not_move_while_its_card_is_being_posted(one: Process) -> None:
    """Whoever decided on a conversation without a thread decides again: queue and thread never say two things."""
    ann = story(thread=Thread(channel="C1", ts=None))
    conversation = ann.conversation.id
    card = outgoing(
        f"thread:{conversation}", bucket="slack:C1", kind=DeliveryKind.DESK_CARD, conversation_id=conversation
    )
    await one.decide(replace(ann.opening("where is it?"), outbox=(card,)))
    goes = Move(conversation_id=conversation, channel="C2", thread=None, ids=())
    (claimed,) = await one.outbox.claim("me", at(1), limit=10)
    with pytest.raises(CardOnItsWay):
        await one.db.write(lambda conn: threads.move(conn, goes, at(2)))
    again = outbox.Outcome(claim=claimed, state="todo", reason="not yet")
    await one.db.write(lambda conn: outbox.settle(conn, "me", [again], at(3), take_next=False))
    await one.db.write(lambda conn: threads.move(conn, goes, at(4)))
    (row,) = [row for row in await one.rows(tables.outbox) if row["id"] == card.id]
    (stands,) = await one.rows(tables.conversations)
    assert (row["bucket"], stands["desk_channel"], stands["desk_thread"]) == ("slack:C2", "C2", None)


async def test_a_card_that_was_found_where_it_is_no_more_leads_on(one: Process) -> None:
    """Nobody knew whether it was posted when the conversation got another channel: it may be written under, too."""
    ann = story(thread=Thread(channel="C1", ts=None))
    conversation = ann.conversation.id
    card = outgoing(
        f"thread:{conversation}", bucket="slack:C1", kind=DeliveryKind.DESK_CARD, conversation_id=conversation
    )
    await one.decide(replace(ann.opening("where is it?"), outbox=(card,)))
    (claimed,) = await one.outbox.claim("me", at(1), limit=10)
    unclear = outbox.Outcome(claim=claimed, state="unclear", reason="no_answer")
    await one.db.write(lambda conn: outbox.settle(conn, "me", [unclear], at(2), take_next=False))
    goes = Move(conversation_id=conversation, channel="C2", thread=None, ids=())
    await one.db.write(lambda conn: threads.move(conn, goes, at(3)))
    (again,) = await one.outbox.claim("me", at(4), limit=10)
    assert (again.row.unclear, again.row.bucket) == (True, "slack:C1")
    await one.db.write(lambda conn: threads.left_behind(conn, again.row, "C2", "17.1"))
    found = (await one.record.load([Wanted(key="old", thread=("C1", "17.1"))]))["old"]
    assert found.conversation is not None
    assert (found.conversation.id, found.elsewhere) == (conversation, True)
    assert {row["bucket"] for row in await one.rows(tables.outbox)} == {"slack:C2"}


async def test_what_a_thread_was_joined_into_is_loaded_beside_it(one: Process) -> None:
    """For a line that is written there, with the lines known there by that name; also where that was joined again."""
    ann = story(thread=Thread(channel="C1", ts="17.1"))
    await one.decide(ann.opening("first"))
    end = replace(ann.conversation, id=new_id(), thread=Thread(channel="C1", ts="19.1"))
    middle = replace(end, id=new_id(), thread=Thread(channel="C1", ts="18.1"), merged_into=end.id)
    kept = replace(ann.said("kept"), conversation_id=end.id, kind=EntryKind.NOTE, platform_id="17.5")
    await one.decide(Changes(reason="opened", conversation=end, entries=(kept,)))
    await one.decide(Changes(reason="opened", conversation=middle))
    line = Wanted(key="k", thread=("C1", "17.1"), messages=("17.5",))
    assert (await one.record.load([line]))["k"].other is None
    joined = tables.conversations.update().where(tables.conversations.c.id == ann.conversation.id)
    await one.db.write(lambda conn: conn.execute(joined.values(merged_into=middle.id)))
    found = (await one.record.load([line]))["k"]
    assert found.conversation is not None
    assert found.conversation.id == ann.conversation.id
    assert found.other is not None
    assert found.other.conversation is not None
    assert (found.other.conversation.id, found.other.known["17.5"].body) == (end.id, "kept")
    assert found.other.identity == found.identity
