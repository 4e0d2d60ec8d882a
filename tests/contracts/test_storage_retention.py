"""What was kept long enough goes, and only that; what a hold covers is never touched, whatever else happens."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from domain.changes import Changes
from domain.model import Attachment, Conversation, Status
from domain.retention import Rule, Stage, What
from storage import tables
from storage.engines import Connection
from storage.erasures import Erasures
from storage.holds import Holds
from storage.retention import Retention
from tests.contracts.storage_kit import NOW, Process, Story, new_id, story

YEAR = timedelta(days=365)
PHOTO = Attachment(id="A1", kind="photo", platform_id="f", name="a.jpg", mime="image/jpeg")


def retention(process: Process) -> Retention:
    """Retention over a process's stores."""
    return Retention(process.db, process.segments, Erasures(process.db, process.keys, process.segments, new_id))


async def wrote(
    process: Process, name: str, *, days: float, closed: bool = True, segments: tuple[str, ...] = ()
) -> Story:
    """Somebody wrote a message with a photo so many days ago; their conversation was closed a day later, or is open."""
    person, then = story(name, name), NOW - timedelta(days=days)
    state = {"status": Status.DONE, "resolved_at": then + timedelta(days=1)} if closed else {"status": Status.OPEN}
    conversation: Conversation = replace(person.conversation, opened_at=then, last_customer_at=then, **state)
    customer = replace(person.customer, created_at=then, segments=segments)
    person = replace(person, conversation=conversation, customer=customer)
    message = replace(person.said(f"words of {name}", attachments=(PHOTO,)), at=then)
    await process.decide(person.opening(), Changes(reason="said", entries=(message,)))
    return person


async def left(process: Process) -> dict[str, tuple[bool, bool]]:
    """By customer: are their words there, are their files."""
    rows = await process.rows(tables.timeline)
    return {row["customer_id"]: (row["body_sealed"] is not None, row["files_sealed"] is not None) for row in rows}


@pytest.mark.parametrize(
    ("what", "kept"),
    [(What.FILES, (True, False)), (What.MESSAGES, (False, False)), (What.CONVERSATIONS, (False, False))],
)
async def test_what_is_old_and_closed_goes(one: Process, what: What, kept: tuple[bool, bool]) -> None:
    """The young, the open and the held stay; the preview has said how many it would be."""
    old, young = await wrote(one, "old", days=400), await wrote(one, "young", days=300)
    open_, held = await wrote(one, "open", days=400, closed=False), await wrote(one, "held", days=400)
    await Holds(one.db, one.keys).place(held.customer.id, hold_id=new_id(), actor="os:carol", reason="lawsuit", now=NOW)
    rules = [Rule(what=what, age=YEAR)]
    (told,) = await retention(one).preview(rules, NOW)
    before = await left(one)
    assert told.count == 1
    assert before == {person.customer.id: (True, True) for person in (old, young, open_, held)}, (
        "a preview takes nothing"
    )
    (took,) = await retention(one).apply(rules, NOW)
    assert (took.count, took.oldest) == (1, told.oldest)
    assert await left(one) == before | {old.customer.id: kept}
    assert [again.count for again in await retention(one).apply(rules, NOW)] == [0]


async def test_people_who_are_long_gone_are_erased(one: Process) -> None:
    """Whoever has not written for so long is erased as a whole, with a receipt."""
    gone, here = await wrote(one, "gone", days=400), await wrote(one, "here", days=10)
    (took,) = await retention(one).apply([Rule(what=What.CUSTOMERS, age=YEAR)], NOW)
    assert took.count == 1
    assert await one.record.find_people("gone") == []
    assert [person.id for person, _, _ in await one.record.find_people("here")] == [here.customer.id]
    (receipt,) = await Erasures(one.db, one.keys, one.segments, new_id).receipts()
    assert (receipt.customer_id, receipt.actor) == (gone.customer.id, "retention")


async def test_a_rule_may_be_about_a_segment(one: Process) -> None:
    """Only customers of the segments it names; a name that is part of another does not count."""
    vip, near = await wrote(one, "a", days=400, segments=("vip",)), await wrote(one, "b", days=400, segments=("vip_x",))
    rule = Rule(what=What.MESSAGES, age=YEAR, segments=frozenset({"vip"}))
    (took,) = await retention(one).apply([rule], NOW)
    assert took.count == 1
    found = await left(one)
    assert (found[vip.customer.id][0], found[near.customer.id][0]) == (False, True)


async def test_what_was_taken_is_found_no_more(one: Process) -> None:
    """The search index loses the words with the record."""
    await wrote(one, "Ann", days=400)
    await one.segments.tidy(everything=True)
    assert (await one.segments.standing()).documents == 1
    await retention(one).apply([Rule(what=What.MESSAGES, age=YEAR)], NOW)
    standing = await one.segments.standing()
    assert (standing.documents, standing.fresh) == (0, 0)


async def test_stages_of_a_life(one: Process) -> None:
    """Collected, active, dormant, archived, destroyed: each customer is at one of them."""
    for name, days in (("active", 5.0), ("dormant", 200.0), ("archived", 400.0), ("destroyed", 900.0)):
        await wrote(one, name, days=days)
    new = story("collected", "5")
    await one.decide(Changes(reason="start", customer=new.customer, identity=new.identity))
    rules = [Rule(what=What.CUSTOMERS, age=2 * YEAR), Rule(what=What.MESSAGES, age=YEAR)]
    await retention(one).apply(rules, NOW)
    assert await retention(one).stages(NOW) == dict.fromkeys(Stage, 1)


@pytest.mark.parametrize("seed", range(6))
async def test_retention_never_touches_what_a_hold_covers(one: Process, seed: int) -> None:
    """Whatever the ages, states, segments and rules: every byte about a held customer is as it was before."""
    chance = random.Random(seed)
    people = [
        await wrote(
            one,
            f"p{number}",
            days=chance.uniform(0, 1000),
            closed=chance.random() < 0.8,
            segments=tuple(word for word in ("vip", "new") if chance.random() < 0.4),
        )
        for number in range(12)
    ]
    held = {person.customer.id for person in people if chance.random() < 0.5}
    for customer in held:
        await Holds(one.db, one.keys).place(customer, hold_id=new_id(), actor="os:carol", reason="law", now=NOW)
    rules = [
        Rule(
            what=chance.choice(list(What)),
            age=timedelta(days=chance.uniform(1, 800)),
            segments=frozenset(word for word in ("vip", "new") if chance.random() < 0.2),
        )
        for _ in range(5)
    ]
    before, others = await _about(one, held), {person.customer.id for person in people} - held
    previewed = await retention(one).preview(rules, NOW)
    took = await retention(one).apply(rules, NOW)
    assert await _about(one, held) == before
    assert took[0].count == previewed[0].count, "the first rule meets what the preview has seen"
    assert all(told.count == 0 for told in await retention(one).preview(rules, NOW))
    keys = await one.keys.data_keys(held | others, create=False)
    assert held <= keys.keys()


async def _about(process: Process, people: set[str]) -> list[dict[str, Any]]:
    found = []
    for table, column in (
        (tables.customers, "id"),
        (tables.identities, "customer_id"),
        (tables.conversations, "customer_id"),
        (tables.timeline, "customer_id"),
    ):
        found += [row for row in await process.rows(table) if row[column] in people]
    return sorted(found, key=lambda row: str(row["id"]))


async def test_a_hold_that_came_meanwhile_counts(one: Process) -> None:
    """Between looking and writing a hold was placed: the words stay."""
    person = await wrote(one, "Ann", days=400)
    making = retention(one)
    rule = Rule(what=What.MESSAGES, age=YEAR)
    (entry,) = [row["id"] for row in await one.rows(tables.timeline)]

    async def hold(conn: Connection) -> None:
        row = {"id": new_id(), "customer_id": person.customer.id, "placed_at": 1.0, "actor": "a", "reason": "r"}
        await conn.execute(tables.holds.insert(), [row])

    await one.db.write(hold)
    assert await making._take_entries(rule, [entry], NOW) == set()
    assert (await left(one))[person.customer.id] == (True, True)

    async def release(conn: Connection) -> None:
        await conn.execute(update(tables.holds).values(released_at=2.0))

    await one.db.write(release)
    assert await making._take_entries(rule, [entry], NOW) == {entry}
