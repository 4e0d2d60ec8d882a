"""One person behind several customers: suggested, decided by a person, taken back exactly, erased as a whole."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.duplicates import Duplicates
from domain.changes import Changes
from domain.contacts import ContactKind, ContactPoint, How
from domain.errors import LegalHold, UnknownPerson
from domain.links import LinkAct, LinkChange, Sign, person
from domain.model import Attachment, EntryKind, Status
from domain.profile import Source
from domain.retention import Rule, What
from storage import tables
from storage.attachments import Attachments
from storage.contacts import Contacts
from storage.dossier import Dossiers
from storage.engines import Connection
from storage.erasures import Erasures
from storage.holds import Holds
from storage.likeness import Likeness
from storage.links import Links, apply
from storage.retention import Retention
from storage.reviews import Reviews
from tests.contracts import storage_kit
from tests.contracts.storage_kit import NOW, Process, Story, at, new_id, story
from tests.contracts.test_storage_attachments import streamed
from tests.contracts.test_storage_contacts import CAROL

KEPT = (tables.customers, tables.identities, tables.conversations, tables.contact_points, tables.customer_links)


def change(act: LinkAct, one: Story, other: Story) -> LinkChange:
    """Carol says so."""
    return LinkChange(
        act=act,
        one=one.customer.id,
        other=other.customer.id,
        actor="os:carol",
        reason="they called",
        at=at(1),
        ids=(new_id(), new_id(), new_id()),
    )


def links(process: Process) -> Links:
    """The store under test."""
    return Links(process.db, process.keys)


async def known(process: Process, *names: str) -> list[Story]:
    """Customers with a conversation each."""
    found = [story(name, str(place)) for place, name in enumerate(names)]
    await process.decide(*(one.opening("hello") for one in found))
    return found


async def kept(process: Process) -> list[list[dict[str, object]]]:
    """All that is kept of people, as it is stored."""
    return [sorted(await process.rows(table), key=lambda row: str(row["id"])) for table in KEPT]


async def test_merging_and_taking_back_are_inverse(one: Process) -> None:
    """Any merges and unmerges in any order: who is who is as the links say, and without links all is as it was."""
    people = await known(one, *"ABCDE")
    before = await kept(one)
    dice = random.Random(7)  # which pairs does not matter
    for _ in range(30):
        both = dice.sample(people, 2)
        whole = await links(one).members(both[0].customer.id)
        is_one = both[1].customer.id in whole
        made = await links(one).decide(change(LinkAct.MERGE, *both))
        assert made is not is_one
        if made:
            _, edges, _ = await links(one).of(both[0].customer.id)
            assert set(await links(one).members(both[1].customer.id)) == person(both[1].customer.id, edges)
        if dice.random() < 0.6:
            await links(one).decide(change(LinkAct.UNMERGE, *dice.sample(people, 2)))
    for row in await one.rows(tables.customer_links):
        ends = {story.customer.id: story for story in people}
        assert await links(one).decide(change(LinkAct.UNMERGE, ends[row["one"]], ends[row["other"]]))
    assert await kept(one) == before
    lines = [row for row in await one.rows(tables.timeline) if row["kind"] == EntryKind.LINK.value]
    trail = [row for row in await one.rows(tables.audit) if row["action"] in ("customer.merge", "customer.unmerge")]
    assert len(lines) == 2 * len(trail), "each decision stands on both sides and in the audit trail"


async def test_a_merge_and_its_end_are_in_the_trail_of_both(one: Process) -> None:
    """Whoever answers for one of them finds both acts, each once, also now that they are two again; others do not."""
    ann, bo, cy = await known(one, "Ann", "Bo", "Cy")
    for act in (LinkAct.MERGE, LinkAct.UNMERGE):
        await links(one).decide(change(act, ann, bo))
    reviews = Reviews(one.db)
    found = {
        whose: [entry.action for entry in await reviews.about(people) if entry.action.startswith("customer.")]
        for whose, people in {
            "Ann's": [ann.customer.id],
            "Bo's": [bo.customer.id],
            "both": [ann.customer.id, bo.customer.id],
        }.items()
    }
    acts = ["customer.unmerge", "customer.merge"]
    assert found == {"Ann's": acts, "Bo's": acts, "both": acts}
    assert await reviews.about([cy.customer.id]) == []


async def test_a_failure_in_the_middle_leaves_nothing(one: Process) -> None:
    """A merge is whole or it is not there."""
    ann, again = await known(one, "Ann", "Ann")
    before = await kept(one)

    def fail() -> None:
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        await Links(one.db, one.keys, fail).decide(change(LinkAct.MERGE, ann, again))
    assert await kept(one) == before
    assert [row for row in await one.rows(tables.timeline) if row["kind"] == EntryKind.LINK.value] == []
    assert await links(one).decide(change(LinkAct.MERGE, ann, again))


async def test_a_person_is_shown_and_exported_as_one(one: Process) -> None:
    """All records of them, the one that was asked for first."""
    ann, again, bob = await known(one, "Ann", "Ann", "Bob")
    await one.decide(Changes(reason="merged", links=(change(LinkAct.MERGE, ann, again),)))
    found = await Dossiers(one.db, one.keys).person(again.customer.id)
    assert [dossier.customer.id for dossier in found] == [again.customer.id, ann.customer.id]
    assert await links(one).members(bob.customer.id) == [bob.customer.id]


async def test_an_erasure_takes_the_whole_person(one: Process) -> None:
    """Begun together or not at all; a hold on one of them covers all; one alone goes where that is asked for."""
    ann, again, third = await known(one, "Ann", "Ann", "Ann")
    await links(one).decide(change(LinkAct.MERGE, ann, again))
    await links(one).decide(change(LinkAct.MERGE, again, third))
    erasures, holds = Erasures(one.db, one.keys, one.segments, new_id), Holds(one.db, one.keys)
    await holds.place(third.customer.id, actor="os:carol", reason="lawsuit", now=NOW, hold_id=new_id())
    with pytest.raises(LegalHold):
        await erasures.begin(ann.customer.id, actor="os:carol", reason="asked to", now=NOW)
    assert await one.rows(tables.erasures) == []
    await holds.release(third.customer.id, actor="os:carol", reason="settled", now=NOW)
    await erasures.begin(ann.customer.id, actor="os:carol", reason="asked to", now=NOW)
    for erasure in await erasures.unfinished():
        await erasures.go_on(erasure, NOW)
    gone = {row["customer_id"] for row in await one.rows(tables.erasures)}
    assert gone == {ann.customer.id, again.customer.id, third.customer.id}
    assert set(await one.keys.destroyed()) == gone
    assert await one.rows(tables.customer_links) == []
    with pytest.raises(UnknownPerson):
        await links(one).decide(change(LinkAct.MERGE, ann, again))


async def test_a_person_is_kept_or_goes_as_a_whole(one: Process) -> None:
    """Retention leaves an old record of somebody who is active with another; a tombstone of one erases that one."""
    old, young, gone = story("Ann", "1"), story("Ann", "2"), story("Bob", "3")
    late = NOW + timedelta(days=400)
    young = replace(young, conversation=replace(young.conversation, last_customer_at=late))
    for each in (old, young, gone):
        closed = replace(each.conversation, status=Status.DONE, resolved_at=NOW)
        await one.decide(replace(each, conversation=closed).opening("hello"))
    await links(one).decide(change(LinkAct.MERGE, old, young))
    erasures = Erasures(one.db, one.keys, one.segments, new_id)
    rule = Rule(what=What.CUSTOMERS, age=timedelta(days=365))
    await Retention(one.db, one.segments, erasures).apply([rule], late)
    assert {row["customer_id"] for row in await one.rows(tables.erasures)} == {gone.customer.id}
    await erasures.replay({old.customer.id: NOW}, actor="restore", now=late)
    assert young.customer.id not in {row["customer_id"] for row in await one.rows(tables.erasures)}


def noted(person: Story, *, sure: bool) -> Changes:
    """The same phone number for whoever it is."""
    point = ContactPoint(
        id=new_id(),
        customer_id=person.customer.id,
        kind=ContactKind.PHONE,
        value="+491701234567",
        type="mobile",
        source=Source.CUSTOMER,
        added_at=NOW,
        verified_at=NOW if sure else None,
        verified_how=How.SHARED if sure else None,
    )
    return Changes(reason="shared", contacts=(point,), entries=(person.said("shared", kind=EntryKind.CONTACT),))


async def test_duplicates_are_suggested_and_a_refusal_is_remembered(one: Process) -> None:
    """By an equal verified number; nothing is merged; what was refused, or is one person, is not asked again."""
    ann, other, bob = await known(one, "Ann", "Somebody", "Bob")
    looking = Duplicates(Likeness(one.db, one.keys), links(one))
    assert await looking.look(NOW) == 0
    await one.decide(noted(ann, sure=True), noted(other, sure=True), noted(bob, sure=False))
    await looking.look(NOW)
    (suspect,) = await links(one).suspects()
    assert {suspect.one, suspect.other} == {ann.customer.id, other.customer.id}
    assert [each.sign for each in suspect.evidence] == [Sign.VERIFIED_PHONE]
    assert await one.rows(tables.customer_links) == [], "a person decides"
    _, _, shown = await links(one).of(other.customer.id)
    assert shown == [suspect]

    await links(one).decide(change(LinkAct.MERGE, ann, other))
    assert await links(one).suspects() == []
    await links(one).decide(change(LinkAct.UNMERGE, ann, other))
    assert await links(one).suspects() == [suspect], "as it was before"

    assert await links(one).decide(change(LinkAct.REFUSE, other, ann))
    assert not await links(one).decide(change(LinkAct.REFUSE, ann, other))
    await one.decide(noted(ann, sure=True))
    await looking.look(NOW)
    assert await links(one).suspects() == []
    dump = await one.dump()
    assert b"+491701234567" not in dump


async def test_what_speaks_for_it_no_more_is_not_asked(one: Process) -> None:
    """The number was taken back: the suggestion goes."""
    ann, other = await known(one, "Ann", "Somebody")
    looking = Duplicates(Likeness(one.db, one.keys), links(one))
    await one.decide(noted(ann, sure=True), noted(other, sure=True))
    await looking.look(NOW)
    assert len(await links(one).suspects()) == 1
    contacts = Contacts(one.db, one.keys)
    (point,) = (await contacts.of([ann.customer.id]))[ann.customer.id]
    await contacts.remove(point, entry_id=new_id(), actor=CAROL, now=NOW)
    await looking.look(NOW)
    assert await links(one).suspects() == []


@pytest.mark.parametrize("what", [What.MESSAGES, What.ATTACHMENTS])
async def test_a_hold_covers_the_whole_person_against_retention(one: Process, what: What) -> None:
    """One chat is held: what the same person wrote in another is not taken either, and the preview says so."""
    ann, again, bo = [await _wrote_long_ago(one, name) for name in ("Ann", "Ann at work", "Bo")]
    assert await links(one).decide(change(LinkAct.MERGE, ann, again))
    await Holds(one.db, one.keys).place(ann.customer.id, hold_id=new_id(), actor="os:c", reason="law", now=NOW)
    made = Retention(one.db, one.segments, Erasures(one.db, one.keys, one.segments, new_id))
    rule = Rule(what=what, age=timedelta(days=365))
    before = await _held_lines(one, {ann.customer.id, again.customer.id})
    (told,) = await made.preview([rule], NOW)
    (took,) = await made.apply([rule], NOW)
    assert (told.count, took.count) == (1, 1), "Bo alone"
    assert await _held_lines(one, {ann.customer.id, again.customer.id}) == before
    assert await _held_lines(one, {bo.customer.id}) != before
    assert await links(one).decide(change(LinkAct.UNMERGE, ann, again))
    assert (await made.apply([rule], NOW))[0].count == 1, "two people again: the other one is not held"


async def _wrote_long_ago(one: Process, name: str) -> Story:
    """A message with a file that is kept, in a conversation that was closed long ago."""
    then = NOW - timedelta(days=500)
    person = story(name, name)
    closed: dict[str, Any] = {"status": Status.DONE, "resolved_at": then, "opened_at": then, "last_customer_at": then}
    person = replace(person, conversation=replace(person.conversation, **closed))
    photo = Attachment(id="A1", kind="photo", platform_id="f", name="a.jpg", mime="image/jpeg")
    said = replace(person.said(f"words of {name}", attachments=(photo,)), at=then)
    await one.decide(person.opening(), Changes(reason="said", entries=(said,)))
    await Attachments(one.db, one.keys, lambda: NOW, largest=1_000).keep(said, 0, streamed(b"bytes"))
    return person


async def _held_lines(one: Process, people: set[str]) -> list[dict[str, object]]:
    """What is kept of these people's words and files."""
    found: list[dict[str, object]] = []
    for table in (tables.timeline, tables.attachments, tables.attachment_pieces):
        found += [row for row in await one.rows(table) if row["customer_id"] in people and row.get("kind") != "link"]
    return found


@pytest.mark.postgres
@pytest.mark.usefixtures("unhurried")
async def test_whoever_is_merged_while_an_erasure_begins_goes_too(postgres_database: Callable[[], str]) -> None:
    """A merge that nobody sees yet is waited for, and whom it adds is erased as well."""
    urls = postgres_database(), postgres_database()
    async with storage_kit.process(*urls, "one") as here, storage_kit.process(*urls, "two") as there:
        ann, bo = await known(here, "Ann", "Bo")
        written, may_end = asyncio.Event(), asyncio.Event()

        async def merging(conn: Connection) -> None:
            assert await apply(conn, change(LinkAct.MERGE, ann, bo), there.record.audit_key)
            written.set()
            await may_end.wait()

        merge = asyncio.create_task(there.db.write(merging))
        await written.wait()
        erasures = Erasures(here.db, here.keys, here.segments, new_id)
        begin = asyncio.create_task(erasures.begin(ann.customer.id, actor="os:carol", reason="asked to", now=NOW))
        while not await _waits(here):
            assert not begin.done(), "it did not wait"
        may_end.set()
        await asyncio.gather(merge, begin)
        assert {row["customer_id"] for row in await here.rows(tables.erasures)} == {ann.customer.id, bo.customer.id}
        assert await here.rows(tables.customer_links) == []


@pytest.mark.postgres
@pytest.mark.usefixtures("unhurried")
async def test_a_hold_that_is_being_placed_on_whom_they_are_one_with_is_waited_for(
    postgres_database: Callable[[], str],
) -> None:
    """Retention has found somebody's lines when a hold on the linked record is written: nothing of them is taken."""
    urls = postgres_database(), postgres_database()
    async with storage_kit.process(*urls, "one") as here, storage_kit.process(*urls, "two") as there:
        ann, bo = await _wrote_long_ago(here, "Ann"), await _wrote_long_ago(here, "Bo")
        await links(here).decide(change(LinkAct.MERGE, ann, bo))
        written, may_end = asyncio.Event(), asyncio.Event()
        row = {"id": new_id(), "customer_id": bo.customer.id, "placed_at": 1.0, "actor": "os:carol", "reason": "law"}

        async def placing(conn: Connection) -> None:
            own = select(tables.customers.c.id).where(tables.customers.c.id == bo.customer.id)
            await conn.execute(own.with_for_update())
            await conn.execute(tables.holds.insert(), [row])
            written.set()
            await may_end.wait()

        place = asyncio.create_task(there.db.write(placing))
        await written.wait()
        before = await _held_lines(here, {ann.customer.id})
        retention = Retention(here.db, here.segments, Erasures(here.db, here.keys, here.segments, new_id))
        rule = Rule(what=What.CONVERSATIONS, age=timedelta(days=365))
        taking = asyncio.create_task(retention._take_entries(rule, [ann.conversation.id], NOW))
        while not await _waits(here):
            assert not taking.done(), "it did not wait"
        may_end.set()
        await place
        assert await taking == set()
        assert await _held_lines(here, {ann.customer.id}) == before


async def _waits(process: Process) -> bool:
    """Whether somebody waits for a lock of somebody else's."""
    async with process.db.read() as conn:
        return bool((await conn.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted")).scalar_one())
