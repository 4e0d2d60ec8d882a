"""Contact points in the record: sealed, one of a value each, found by an equal one, gone with the customer."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain import search
from domain.changes import Changes
from domain.contacts import Checked, ContactKind, ContactPoint, Freshness, How
from domain.errors import KeyDestroyed, UnknownPerson
from domain.links import LinkAct, LinkChange
from domain.model import Actor, ActorKind, EntryKind
from domain.profile import Source
from storage import tables
from storage.contacts import Contacts
from storage.dossier import Dossiers
from storage.erasures import Erasures
from storage.wishes import Wanted
from tests.contracts.storage_kit import NOW, Process, Story, at, new_id, story

CAROL = Actor(kind=ActorKind.OPERATOR, id="carol")
PHONE, EMAIL = "+491701234567", "ann@example.com"


def noted(person: Story, value: str = PHONE, **fields: object) -> ContactPoint:
    """A contact point of a customer."""
    kind = ContactKind.EMAIL if "@" in value else ContactKind.PHONE
    given = {"id": new_id(), "customer_id": person.customer.id, "kind": kind, "value": value, "type": "mobile"}
    return ContactPoint(**(given | {"source": Source.CUSTOMER, "added_at": NOW} | fields))  # type: ignore[arg-type]


def stored(process: Process) -> Contacts:
    """The store under test."""
    return Contacts(process.db, process.keys)


async def of(process: Process, person: Story) -> list[ContactPoint]:
    """A customer's contact points."""
    return list((await stored(process).of([person.customer.id])).get(person.customer.id, ()))


async def test_it_is_sealed_found_and_exported(one: Process) -> None:
    """No value stands in the clear; an equal one finds the customer, however it is written, and so does the search."""
    ann, bob = story("Ann", "1"), story("Bob", "2")
    await one.decide(ann.opening("hello"), bob.opening("hello"))
    for value in (PHONE, EMAIL):
        await stored(one).add(noted(ann, value), entry_id=new_id(), actor=CAROL, now=NOW)
    dump = await one.dump()
    assert not [value for value in (PHONE, "1701234567", EMAIL) if value.encode() in dump]
    for words in ("+49 170 1234567", "Ann@Example.com"):
        assert [customer.id for customer, _, _ in await one.record.find_people(words)] == [ann.customer.id]
    assert await stored(one).owners(ContactKind.PHONE, PHONE) == [ann.customer.id]
    found = await one.search.find(search.parse("+49 170 1234567"))
    assert [person.customer.id for person in found.people] == [ann.customer.id]
    named = ((ContactKind.PHONE, PHONE), (ContactKind.PHONE, "+491709999999"))
    known = (await one.record.load([Wanted(key="x", reached=named)]))["x"]
    assert (known.reached, known.unheard) == ((ann.customer.id,), named[1:]), "and what nobody is known by"
    dossier = await Dossiers(one.db, one.keys).of(ann.customer.id)
    assert [point.value for point in dossier.contacts] == [PHONE, EMAIL]
    lines = [entry for entry in await one.record.timeline(ann.customer.id) if entry.kind is EntryKind.CONTACT]
    assert [(entry.body, entry.data["to"]) for entry in lines] == [(PHONE, "added"), (EMAIL, "added")]
    trail = [(row["actor"], row["action"], row["detail"]) for row in await one.rows(tables.audit)]
    assert trail == [
        ("os:carol", "customer.contact", "phone added"),
        ("os:carol", "customer.contact", "email added"),
    ]


async def test_one_of_a_value_is_kept_and_only_gains(one: Process) -> None:
    """The same number again is the same contact point; what was made sure of stays so, and the country is known."""
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    sure = noted(ann, verified_at=at(5), verified_how=How.SHARED)
    await one.decide(Changes(reason="shared", contacts=(sure,)))
    await one.decide(Changes(reason="noted", contacts=(noted(ann),)))
    (point,) = await of(one, ann)
    assert (point.id, point.value, point.verified_at, point.verified_how) == (sure.id, PHONE, at(5), How.SHARED)
    assert [row["region"] for row in await one.rows(tables.customers)] == ["DE"]
    await one.decide(Changes(reason="renamed", customer=ann.customer))
    assert [row["region"] for row in await one.rows(tables.customers)] == ["DE"]


async def test_what_was_said_of_it_counts_for_its_owner_alone(one: Process) -> None:
    """A tap that names somebody else's contact point changes nothing."""
    ann, bob = story("Ann", "1"), story("Bob", "2")
    await one.decide(ann.opening("hello"), bob.opening("hello"))
    point = noted(ann)
    await one.decide(Changes(reason="noted", contacts=(point,)))

    def said(person: Story, *, right: bool | None) -> Changes:
        by = Checked(contact_id=point.id, customer_id=person.customer.id, right=right, how=How.CONFIRMED, at=at(9))
        return Changes(reason="said", checked=(by,))

    await one.decide(said(bob, right=True))
    assert [(known.verified_at, known.reachable) for known in await of(one, ann)] == [(None, True)]
    await one.decide(said(ann, right=None), said(ann, right=True))
    (known,) = await of(one, ann)
    assert (known.verified_at, known.verified_how, known.asked_at) == (at(9), How.CONFIRMED, at(9))
    await one.decide(said(ann, right=False))
    assert [(known.reachable, known.reason) for known in await of(one, ann)] == [(False, "not_theirs")]
    assert await stored(one).owners(ContactKind.PHONE, PHONE) == [], "what is said of it is about somebody else"
    await stored(one).remove(point, entry_id=new_id(), actor=CAROL, now=at(10))
    assert [known.removed_at for known in await of(one, ann)] == [at(10)]
    assert await stored(one).owners(ContactKind.PHONE, PHONE) == []


@pytest.mark.parametrize("right", [True, False])
async def test_any_chat_of_a_person_answers_for_all_of_them(one: Process, right: bool) -> None:
    """Asked in the chat in which they wrote last, about what stands at the other; not any more once they are two.

    Then a yes is a line of their own without the value, each one, and neither a yes nor a no says anything of the
    other's: whoever was linked wrongly never learns what they were shown masked.
    """
    ann, work = story("Ann", "1"), story("Ann at work", "2")
    await one.decide(ann.opening("hello"), work.opening("hello"))
    point = noted(ann)
    await one.decide(Changes(reason="noted", contacts=(point,)))

    def linked(act: LinkAct) -> Changes:
        pair = {"one": ann.customer.id, "other": work.customer.id}
        ids = (new_id(), new_id(), new_id())
        return Changes(
            reason="said", links=(LinkChange(act=act, **pair, actor="os:carol", reason="", at=NOW, ids=ids),)
        )

    def said(*, right: bool | None) -> Changes:
        by = Checked(
            contact_id=point.id,
            customer_id=work.customer.id,
            right=right,
            how=How.CONFIRMED,
            at=at(9),
            spare=new_id(),
        )
        return Changes(reason="said", checked=(by,))

    await one.decide(linked(LinkAct.MERGE))
    await one.decide(said(right=None), said(right=right))
    (known,) = await of(one, ann)
    assert (known.asked_at, known.reachable, known.verified_at) == (at(9), right, at(9) if right else None)
    await one.decide(linked(LinkAct.UNMERGE))
    before = len(await one.record.timeline(work.customer.id))
    await one.decide(said(right=not right), said(right=not right))
    assert await of(one, ann) == [known]
    assert await of(one, work) == []
    lines = [(line.kind, line.body, line.data) for line in (await one.record.timeline(work.customer.id))[before:]]
    line = (EntryKind.CONTACT, "", {"about": "phone", "to": "of_another"})
    assert lines == ([] if right else [line, line])
    assert work.customer.id not in {person.id for person, _, _ in await one.record.find_people(PHONE)}


async def test_old_ones_are_found_by_age_and_activity(one: Process) -> None:
    """Of who writes after a quarter, of others after half a year, the oldest first."""
    later = NOW + timedelta(days=200)
    active, idle, fresh = story("Ann", "1", last_customer_at=later), story("Bob", "2"), story("Cy", "3")
    await one.decide(*(person.opening("hello") for person in (active, idle, fresh)))
    points = [
        noted(active, added_at=NOW + timedelta(days=100)),
        noted(idle, added_at=NOW),
        noted(fresh, added_at=NOW + timedelta(days=30)),
    ]
    await one.decide(Changes(reason="noted", contacts=tuple(points)))
    due = await stored(one).due(Freshness(), later)
    assert [point.customer_id for point in due] == [idle.customer.id, active.customer.id]
    assert [point.value for point in due] == [PHONE, PHONE]
    pages = [await stored(one).due(Freshness(), later, limit=1, offset=offset) for offset in range(3)]
    assert pages == [[due[0]], [due[1]], []]
    for person in (active, idle, fresh):
        one_of_many = replace(person.customer, consents={"outreach": person is idle, "analytics": True})
        await one.decide(Changes(reason="said", customer=one_of_many))
    assert [point.customer_id for point in await stored(one).due(Freshness(), later, to_be_asked=True)] == [
        idle.customer.id
    ]


async def test_an_erasure_takes_them(one: Process) -> None:
    """Nothing of them is left, nobody is found by them, and nothing can be noted any more."""
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    point = noted(ann)
    await stored(one).add(point, entry_id=new_id(), actor=CAROL, now=NOW)
    erasures = Erasures(one.db, one.keys, one.segments, new_id)
    erasure = await erasures.begin(ann.customer.id, actor="os:carol", reason="asked to", now=NOW)
    with pytest.raises(UnknownPerson):
        await stored(one).add(point, entry_id=new_id(), actor=CAROL, now=NOW)
    await erasures.go_on(erasure, NOW)
    assert await one.rows(tables.contact_points) == []
    assert await one.record.find_people(PHONE) == []
    assert [row["region"] for row in await one.rows(tables.customers)] == [None]
    with pytest.raises(KeyDestroyed):
        await stored(one).add(point, entry_id=new_id(), actor=CAROL, now=NOW)
