"""Erasing a customer: nothing that points at them is left, wherever it was interrupted, and it stays so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from domain import sla
from domain.calendar import ALWAYS, Duration
from domain.changes import Changes, DeliveryKind, Outgoing
from domain.erasure import Receipt, Step
from domain.errors import KeyDestroyed, LegalHold, UnknownPerson
from domain.events import WRITTEN
from domain.model import Attachment, EntryKind, Priority
from domain.sla import ClockState, EventKind, Metric, Policy
from storage import outbox, replay, sealing, shelves, tables
from storage.engines import Connection
from storage.erasures import LINGER, Erasures
from storage.outbox import Outcome
from storage.wishes import Wanted
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import AGENT, NOW, Process, Story, arrival, new_id, story

OFFICER = "os:carol"
LATER = NOW + LINGER
PROMISE = Policy(name="p", targets={Priority.LOW: {Metric.FIRST_RESPONSE: Duration(minutes=240)}})
TOPIC = "7700117"
PHOTO = Attachment(id="A1", kind="photo", platform_id="telegram-file", name="passport.jpg", mime="image/jpeg")


class Interrupted(Exception):
    """The process died here."""


def erasures(process: Process, dies_at: Step | None = None) -> Erasures:
    """Erasures of a process, which may die as soon as a step was committed."""

    def reached(step: Step) -> None:
        if step is dies_at:
            raise Interrupted(step)

    return Erasures(process.db, process.keys, process.segments, new_id, reached)


async def told(process: Process, person: Story) -> None:
    """A customer wrote with a photo, an agent answered, and the card, the message and the file stand in Slack."""
    message = person.said("my passport is attached", attachments=(PHOTO,), platform_id="17", data={"topic": TOPIC})
    answer = person.said("thank you Anna", kind=EntryKind.OUTGOING, actor=AGENT, platform_id="20.5")
    await process.decide(person.opening(), Changes(reason="said", entries=(message, answer)))

    async def stands(conn: Connection) -> None:
        of = tables.conversations.c.id == person.conversation.id
        await conn.execute(update(tables.conversations).where(of).values(desk_channel="C0", desk_thread="10.0"))
        for number, (place, post) in enumerate((("C0", "11.0"), ("C0", "F0FILE"))):
            row = {
                "outbox_id": f"O{number}{person.customer.id[-20:]}",
                "entry_id": message.id,
                "conversation_id": person.conversation.id,
                "side": "desk",
                "part": number,
                "place": place,
                "platform_id": post,
                "at": 1.0,
            }
            await conn.execute(tables.deliveries.insert(), [row])

    await process.db.write(stands)


async def sent_out(process: Process, *, refuse: str | None = None) -> list[dict[str, str]]:
    """The desk takes away what it is asked to, but for one post; what it was asked, in order."""
    asked = []
    while claims := await process.outbox.claim(process.owner, LATER, limit=50):
        for claim in claims:
            assert claim.row.kind is DeliveryKind.DESK_DELETE
            asked.append(dict(claim.row.data))
            state = "dead" if refuse in claim.row.data.values() else "sent"
            outcome = Outcome(claim=claim, state=state, reason="cant_delete_message" if state == "dead" else None)
            await _settled(process, outcome)
    return asked


async def _settled(process: Process, outcome: Outcome) -> None:
    await process.db.write(lambda conn: outbox.settle(conn, process.owner, [outcome], LATER, take_next=False))


async def erase(process: Process, customer_id: str, dies_at: Step | None = None) -> Receipt:
    """From the request to the receipt."""
    making = erasures(process, dies_at)
    erasure = await making.begin(customer_id, actor=OFFICER, reason="asked to", now=NOW)
    await making.go_on(erasure, NOW)
    await sent_out(process)
    return await making.go_on(erasure, LATER)


async def test_nothing_that_points_at_the_customer_is_left(one: Process) -> None:
    """Hashes, sealed cells, numbers of messages and topics, labels and waiting work are gone; statistics stay."""
    ann, bo = story("Anna Beispiel", "4711"), story("Bo", "4712")
    ann = replace(ann, identity=replace(ann.identity, topic=TOPIC))
    await told(one, ann)
    await one.decide(bo.opening("hello"))
    index = one.keys.purpose("index")
    mac = sealing.address_mac(index, "telegram", "4711")
    hashes = [
        mac,
        sealing.name_mac(index, "Anna Beispiel"),
        sealing.name_mac(index, "user_4711"),
        ann.conversation.lane,
        TOPIC,
    ]
    before = await one.dump()
    assert all(one.encode() in before for one in hashes)
    receipt = await erase(one, ann.customer.id)
    assert receipt.step is Step.DONE
    assert receipt.counts == {"conversations": 1, "entries": 2, "files": 1, "labels": 0, "identities": 1}
    stored = await one.dump()
    assert [word for word in hashes if word.encode() in stored] == []
    (own,) = [row for row in await one.rows(tables.customers) if row["id"] == ann.customer.id]
    assert (own["name_sealed"], own["language"], own["consents"]) == (b"", None, "{}")
    sealed = [
        row["customer_id"] for row in await one.rows(tables.timeline) if row["body_sealed"] or row["files_sealed"]
    ]
    assert sealed == [bo.customer.id]
    (case,) = [row for row in await one.rows(tables.conversations) if row["id"] == ann.conversation.id]
    assert (case["number"], case["queue"], case["status"]) == (1001, "general", "done")
    found = await one.record.find_people("Bo")
    assert [person.id for person, _, _ in found] == [bo.customer.id]
    assert await one.record.find_people("Anna Beispiel") == []


async def test_slack_is_asked_for_our_posts_and_the_receipt_names_what_stays(one: Process) -> None:
    """The card goes last; a post that Slack keeps and the agents' own are listed by place and time."""
    ann = story()
    await told(one, ann)
    making = erasures(one)
    erasure = await making.begin(ann.customer.id, actor=OFFICER, reason="asked to", now=NOW)
    waiting = await making.go_on(erasure, NOW)
    assert (waiting.step, waiting.waiting, waiting.deleted) == (Step.FORGOTTEN, 3, 0)
    asked = await sent_out(one, refuse="11.0")
    assert asked == [{"place": "C0", "ts": "11.0"}, {"place": "C0", "file": "F0FILE"}, {"place": "C0", "ts": "10.0"}]
    receipt = await making.go_on(erasure, LATER)
    assert (receipt.step, receipt.deleted, receipt.waiting) == (Step.DONE, 2, 0)
    assert [(post.place, post.ts, post.why) for post in receipt.refused] == [("C0", "11.0", "cant_delete_message")]
    assert [(post.place, post.ts) for post in receipt.theirs] == [("C0", "20.5")]
    assert making.is_genuine(receipt)


async def test_the_receipt_names_the_channel_in_which_an_agent_wrote(one: Process) -> None:
    """Also after a move, each line once; what was written in a window stands in a post of ours."""
    ann, bo = story(), story("Bo", "4712")
    lines = [
        person.said("words", kind=kind, actor=AGENT, platform_id=ts)
        for person, kind, ts in (
            (ann, EntryKind.OUTGOING, "20.5"),
            (ann, EntryKind.NOTE, "20.5"),  # changed before it had left
            (ann, EntryKind.OUTGOING, f"{WRITTEN}{new_id()}"),
            (ann, EntryKind.NOTE, "35.0"),
            (ann, EntryKind.OUTGOING, "41.0"),
            (bo, EntryKind.NOTE, "42.0"),
        )
    ]
    await one.decide(ann.opening(), bo.opening(), Changes(reason="said", entries=tuple(lines)))

    async def stands(conn: Connection) -> None:
        of = tables.conversations.c.id == ann.conversation.id
        await conn.execute(update(tables.conversations).where(of).values(desk_channel="C2", desk_thread="40.0"))
        for channel, thread in (("C1", "10.0"), ("C3", "30.0")):
            was = {"desk_channel": channel, "desk_thread": thread, "conversation_id": ann.conversation.id}
            await conn.execute(tables.moved_threads.insert(), [was])

    await one.db.write(stands)
    receipt = await erase(one, ann.customer.id)
    assert [(post.place, post.ts) for post in receipt.theirs] == [("C1", "20.5"), ("C3", "35.0"), ("C2", "41.0")]


async def test_a_transcript_is_taken_away_from_whoever_has_it(one: Process) -> None:
    """The file lies in a direct message, and its delivery says where."""
    ann = story()
    line = ann.said("", kind=EntryKind.TRANSCRIPT, actor=AGENT)
    file = Outgoing(
        id=new_id(),
        lane="file:U1",
        bucket="slack-user:U1",
        kind=DeliveryKind.DESK_TRANSCRIPT,
        idem_key="transcript",
        conversation_id=ann.conversation.id,
        entry_id=line.id,
        data={"place": "U1", "user": "U1", "number": 1001},
    )
    await one.decide(ann.opening(), Changes(reason="transcript", entries=(line,), outbox=(file,)))
    (claim,) = await one.outbox.claim(one.owner, LATER, limit=50)
    await _settled(one, Outcome(claim=claim, state="sent", place="D1", platform_id="F0TRANSCRIPT"))
    making = erasures(one)
    erasure = await making.begin(ann.customer.id, actor=OFFICER, reason="asked to", now=NOW)
    await making.go_on(erasure, NOW)
    assert await sent_out(one) == [{"place": "D1", "file": "F0TRANSCRIPT"}]
    assert (await making.go_on(erasure, LATER)).step is Step.DONE


async def test_a_receipt_that_was_changed_is_not_genuine(one: Process) -> None:
    """Whoever rewrites the reason or the counts cannot make the proof fit."""
    ann = story()
    await told(one, ann)
    receipt = await erase(one, ann.customer.id)

    async def forge(conn: Connection) -> None:
        await conn.execute(update(tables.erasures).values(counts=json.dumps({"entries": 0})))

    await one.db.write(forge)
    making = erasures(one)
    assert making.is_genuine(receipt)
    assert not making.is_genuine(await making.receipt(receipt.id))


@pytest.mark.parametrize("dies_at", list(Step))
async def test_it_goes_on_where_it_was_killed(one: Process, dies_at: Step) -> None:
    """After any step another process finishes, and the end is the same as without the interruption."""
    ann = story("Anna Beispiel", "4711")
    await told(one, ann)
    with pytest.raises(Interrupted):
        await erase(one, ann.customer.id, dies_at)
    other = erasures(one)
    for unfinished in await other.unfinished():
        await other.go_on(unfinished, NOW)
    await sent_out(one)
    for unfinished in await other.unfinished():
        await other.go_on(unfinished, LATER)
    (receipt,) = await other.receipts()
    assert (receipt.step, receipt.deleted, await other.unfinished()) == (Step.DONE, 3, [])
    assert other.is_genuine(receipt)
    assert receipt.counts["conversations"] == 1
    assert sealing.address_mac(one.keys.purpose("index"), "telegram", "4711").encode() not in await one.dump()


async def test_an_erasure_makes_no_breach(one: Process) -> None:
    """What was open when its customer was erased is owed to nobody: reports call it cancelled, not missed; what was
    missed before stays so.
    """
    asked = {"sla": EventKind.CUSTOMER_MESSAGE.value}
    ann, bo = story("Anna", "1"), story("Bo", "2", opened_at=NOW - timedelta(hours=9))
    late = replace(bo.said("hello", data=asked), at=NOW - timedelta(hours=9))
    await one.decide(
        replace(ann.opening(), entries=(ann.said("hello", data=asked),)), replace(bo.opening(), entries=(late,))
    )
    for person in (ann, bo):
        await erasures(one).begin(person.customer.id, actor=OFFICER, reason="asked to", now=LATER)
    found = [each async for page in replay.pages(one.db, NOW - timedelta(days=1)) for each in page]
    states = {
        each.conversation.customer_id: [
            clock.state for clock in sla.evaluate(each.history, PROMISE, ALWAYS, NOW + timedelta(days=9))
        ]
        for each in found
    }
    assert states == {ann.customer.id: [ClockState.CANCELLED], bo.customer.id: [ClockState.BREACHED]}


async def test_erasing_twice_is_one_erasure(one: Process) -> None:
    """The second request finds the first, and its receipt."""
    ann = story()
    await told(one, ann)
    receipt = await erase(one, ann.customer.id)
    again = await erasures(one).begin(ann.customer.id, actor="os:dave", reason="again", now=LATER)
    assert again == receipt.id
    assert (await erasures(one).receipt(again)).actor == OFFICER


async def test_whoever_writes_again_is_somebody_new(one: Process) -> None:
    """The address is free: the next message makes a customer without a past."""
    ann = story("Anna", "4711")
    await told(one, ann)
    await erase(one, ann.customer.id)
    wanted = Wanted(key="k", channel="telegram", address="4711")
    assert (await one.record.load([wanted]))["k"].customer is None
    again = story("Anna", "4711")
    await one.decide(again.opening("me again"))
    found = (await one.record.load([wanted]))["k"]
    assert found.customer is not None
    assert found.customer.id == again.customer.id


async def test_a_decision_under_way_does_not_bring_the_customer_back(one: Process, start: Start) -> None:
    """What another process had in hand when it began is refused or swept away; the address stays free."""
    ann = story("Anna", "4711")
    await told(one, ann)
    other = await start("two")
    loaded = (await other.record.load([Wanted(key="k", channel="telegram", address="4711")]))["k"]
    assert loaded.identity is not None
    making = erasures(one)
    erasure = await making.begin(ann.customer.id, actor=OFFICER, reason="asked to", now=NOW)
    await making.go_on(erasure, NOW)
    late = Changes(reason="late", customer=loaded.customer, identity=loaded.identity, entries=(ann.said("late words"),))
    await other.decide(late)  # it holds the key in memory for a while
    await sent_out(one)
    assert (await making.go_on(erasure, NOW)).step is Step.FORGOTTEN, "too early to be sure"
    receipt = await making.go_on(erasure, LATER)
    assert receipt.step is Step.DONE
    assert sealing.address_mac(one.keys.purpose("index"), "telegram", "4711").encode() not in await one.dump()
    assert all(row["body_sealed"] is None for row in await one.rows(tables.timeline))


async def test_a_process_that_still_holds_the_key_reads_an_erased_customer_as_such(one: Process, start: Start) -> None:
    """An agent writes where another process has erased somebody: that is read as nobody's thread, and fails nothing."""
    ann = story("Anna", "4711")
    await told(one, ann)
    other = await start("two")
    thread = Wanted(key="k", thread=("C0", "10.0"))
    before = (await other.record.load([thread]))["k"]
    assert before.identity is not None
    assert before.identity.address == "4711"
    await erase(one, ann.customer.id)
    after = (await other.record.load([thread]))["k"]
    assert after.customer is not None
    assert after.identity is not None
    assert (after.customer.name, after.identity.name, after.identity.address) == ("", "", "")


async def test_what_was_written_and_not_yet_read_goes_too(one: Process) -> None:
    """A message that waits in the inbox is dropped with its payload; others' stay."""
    ann, bo = story("Ann", "1"), story("Bo", "2")
    await one.inbox.put([arrival("1", "chat:ann"), arrival("2", "chat:bo")], NOW)
    lane = min(await one.rows(tables.inbox), key=lambda row: int(row["id"]))["lane"]
    ann = replace(ann, conversation=replace(ann.conversation, lane=lane))
    await one.decide(ann.opening("hello"), bo.opening("hello"))
    await erase(one, ann.customer.id)
    rows = sorted(await one.rows(tables.inbox), key=lambda row: int(row["id"]))
    assert [(row["state"], row["payload_sealed"] is None) for row in rows] == [("dropped", True), ("new", False)]
    assert rows[0]["lane"] == "erased"


async def test_nothing_more_is_sent_to_them(one: Process) -> None:
    """An answer that waits for Telegram is cancelled."""
    ann = story()
    item = Outgoing(
        id=new_id(),
        lane=f"chat:{ann.identity.id}",
        bucket="telegram:x",
        kind=DeliveryKind.CHAT_TEXT,
        idem_key="answer",
        conversation_id=ann.conversation.id,
        identity_id=ann.identity.id,
        entry_id=new_id(),
    )
    await one.decide(ann.opening("hello"), Changes(reason="answer", outbox=(item,)))
    await erase(one, ann.customer.id)
    states = {row["idem_key"]: row["state"] for row in await one.rows(tables.outbox)}
    assert states["answer"] == "cancelled"


async def test_a_hold_forbids_it(one: Process) -> None:
    """What the law wants kept is not erased, and nothing of it was touched."""
    ann = story()
    await told(one, ann)
    hold = {"id": new_id(), "customer_id": ann.customer.id, "placed_at": 1.0, "actor": OFFICER, "reason": "lawsuit"}

    async def place(conn: Connection) -> None:
        await conn.execute(tables.holds.insert(), [hold])

    await one.db.write(place)
    before = await one.dump()
    with pytest.raises(LegalHold):
        await erasures(one).begin(ann.customer.id, actor=OFFICER, reason="asked to", now=NOW)
    assert await one.dump() == before


async def test_nobody_cannot_be_erased(one: Process) -> None:
    """A misspelt id is an error, not an empty success."""
    with pytest.raises(UnknownPerson):
        await erasures(one).begin("nobody", actor=OFFICER, reason="asked to", now=NOW)
    with pytest.raises(UnknownPerson):
        await erasures(one).receipt("nothing")


async def test_older_copies_are_noise_and_a_restore_forgets_again(one: Process) -> None:
    """With the key gone an older copy of the record cannot be read; tombstones bring an older key store up to date."""
    ann = story("Anna", "4711")
    await told(one, ann)
    copies = {table: await one.rows(table) for table in (tables.customers, tables.identities, tables.timeline)}
    wrapped = await _key_row(one, ann.customer.id)
    receipt = await erase(one, ann.customer.id)
    stones = await erasures(one).tombstones()
    assert stones == {ann.customer.id: receipt.requested_at}
    keys = await one.keys.data_keys([ann.customer.id], create=True)
    assert keys == {}, "and no new key is ever made"
    assert (
        sealing.open_text(None, "customers", "name", ann.customer.id, copies[tables.customers][0]["name_sealed"]) == ""
    )

    await _restore(one, copies, wrapped)  # an older backup of both stores
    one.keys._data._cache.clear()
    one.keys._data._gone.clear()
    assert (await one.record.find_people("Anna"))[0][0].name == "Anna", "an older key store would bring her back"
    assert await erasures(one).replay(stones, actor="restore", now=NOW) == 1
    assert await one.record.find_people("Anna") == []
    with pytest.raises(KeyDestroyed):
        await one.decide(Changes(reason="said", entries=(ann.said("again"),)))


async def _key_row(process: Process, customer_id: str) -> dict[str, object]:
    table = shelves.data_keys
    async with process.keys._db.read() as conn:
        return dict((await conn.execute(select(table).where(table.c.customer_id == customer_id))).one()._mapping)


async def _restore(process: Process, copies: dict[Any, list[dict[str, Any]]], wrapped: dict[str, object]) -> None:
    async def record(conn: Connection) -> None:
        await conn.execute(tables.erasures.delete())
        for table, rows in copies.items():
            await conn.execute(table.delete())
            await conn.execute(table.insert(), rows)

    async def keys(conn: Connection) -> None:
        await conn.execute(shelves.data_keys.delete())
        await conn.execute(shelves.data_keys.insert(), [wrapped])

    await process.db.write(record)
    await process.keys._db.write(keys)


async def test_the_files_hold_no_byte_of_the_key_or_the_hashes(one: Process) -> None:
    """On SQLite the wrapped key, the hashes and the sealed words are gone from the bytes of both stores."""
    if not one.db.is_sqlite:
        pytest.skip("what PostgreSQL leaves in its files goes with its next vacuum; see docs/privacy.md")
    ann = story("Anna Beispiel", "4711")
    await told(one, ann)
    wrapped = (await _key_row(one, ann.customer.id))["wrapped"]
    assert isinstance(wrapped, bytes)
    mac = sealing.address_mac(one.keys.purpose("index"), "telegram", "4711")
    sealed = [row["body_sealed"] for row in await one.rows(tables.timeline) if row["body_sealed"]]
    cells = [wrapped, mac.encode(), *sealed]
    await one.db.checkpoint()
    assert all(any(cell in held for held in _files(one)) for cell in cells), "they were there"
    receipt = await erase(one, ann.customer.id)
    assert receipt.step is Step.DONE
    assert not any(cell in held for cell in cells for held in _files(one))


def _files(process: Process) -> list[bytes]:
    """Every byte on disk of record and key store, logs included."""
    found = []
    for path in (process.db.path, process.keys._db.path):
        assert path is not None
        found += [file.read_bytes() for file in path.parent.glob(f"{path.name}*")]
    return found
