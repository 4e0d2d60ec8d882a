"""Segments in the record: those something happened to soon, everybody at once, tags by hand, nobody who was erased."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import facts
from domain.changes import Changes
from domain.errors import UnknownPerson
from domain.links import LinkAct
from domain.model import EntryKind
from domain.segments import Segment
from storage import tables
from storage.links import Links
from storage.segmentation import Segmentation
from tests.contracts.storage_kit import NOW, Process, Story, story
from tests.contracts.test_storage_links import change
from tests.contracts.test_storage_profiles import changed, saying

RULES = (Segment(name="vip", tags=frozenset({"gold"})), Segment(name="known", min_conversations=1))


async def sorted_into(process: Process) -> dict[str, str]:
    """What stands in each customer's row."""
    return {row["id"]: row["segments"] for row in await process.rows(tables.customers)}


async def tagged(process: Process, person: Story, *words: str) -> tuple[str, ...]:
    """Somebody notes words by hand."""
    return await Segmentation(process.db, process.keys).tag(
        person.customer.id, add=words, remove=(), actor="os:carol", reason="bought much", now=NOW
    )


async def test_everybody_or_those_something_happened_to(one: Process) -> None:
    """The first look takes all; a later one takes whoever has new lines; unchanged ones are not written again."""
    making = Segmentation(one.db, one.keys)
    ann, bo = story("Ann", "1"), story("Bo", "2")
    await one.decide(ann.opening("hello"), bo.opening("hello"))
    line = await making.newest()
    assert await making.refresh(RULES, NOW) == 2
    assert await making.refresh(RULES, NOW) == 0
    assert await tagged(one, ann, "gold") == ("gold",)
    await tagged(one, bo, "gold")
    assert await making.refresh(RULES, NOW, after_line=await making.newest()) == 0
    await one.decide(Changes(reason="said", entries=(ann.said("again"),)))
    assert await making.refresh(RULES, NOW, after_line=line) == 1
    found = await sorted_into(one)
    assert (found[ann.customer.id], found[bo.customer.id]) == ('["vip", "known"]', '["known"]')


async def test_without_segments_nobody_is_in_one(one: Process) -> None:
    """Taken out of the configuration, they leave the customers too, and a quiet look changes nothing."""
    making = Segmentation(one.db, one.keys)
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    assert await making.refresh(RULES, NOW) == 1
    assert await making.refresh((), NOW, after_line=0) == 0
    assert await making.refresh((), NOW) == 1
    assert (await sorted_into(one))[ann.customer.id] == "[]"
    assert await making.refresh((), NOW) == 0


async def test_a_decision_does_not_undo_what_was_computed(one: Process) -> None:
    """A decision that was made on an older customer leaves segments and tags as they are."""
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    await tagged(one, ann, "gold")
    await Segmentation(one.db, one.keys).refresh(RULES, NOW)
    await one.decide(Changes(reason="notice", customer=ann.customer))
    (row,) = await one.rows(tables.customers)
    assert (row["segments"], row["tags"]) == ('["vip", "known"]', '["gold"]')


async def test_tags_are_noted_by_name_and_reason(one: Process) -> None:
    """Adding, removing and adding again; nobody unknown; the trail has it."""
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    making = Segmentation(one.db, one.keys)
    await tagged(one, ann, "gold", "press")
    left = await making.tag(ann.customer.id, add=(), remove=("press",), actor="os:carol", reason="x", now=NOW)
    assert left == ("gold",)
    with pytest.raises(UnknownPerson):
        await making.tag("nobody", add=("x",), remove=(), actor="os:carol", reason="x", now=NOW)
    assert [row["action"] for row in await one.rows(tables.audit)] == ["customer.tag"] * 2


async def test_regions_facts_and_the_whole_person_count(one: Process) -> None:
    """A country that somebody said, purchases of the last month, and all that one person did with either record."""
    rules = (
        Segment(name="german", regions=frozenset({"DE"})),
        Segment(name="buyer", facts=frozenset({"purchase"}), min_facts=2, facts_within_days=30),
        Segment(name="returning", min_conversations=2),
    )
    making = Segmentation(one.db, one.keys)
    ann, again = story("Ann", "1"), story("Ann", "2")
    await one.decide(ann.opening("hello"), again.opening("hello"))
    for person in (ann, again):
        bought = facts.read({"kind": "purchase", "what": "a coat", "source": "shop"}, NOW)
        said = person.said(bought.body, kind=EntryKind.FACT, data=bought.data)
        await one.decide(Changes(reason="fact", entries=(replace(said, conversation_id=person.customer.id),)))
    await changed(one, ann, saying("region", "DE"))
    await making.refresh(rules, NOW)
    assert await sorted_into(one) == {ann.customer.id: '["german"]', again.customer.id: "[]"}
    await Links(one.db, one.keys).decide(change(LinkAct.MERGE, ann, again))
    await making.refresh(rules, NOW)
    assert await sorted_into(one) == {
        ann.customer.id: '["german", "buyer", "returning"]',
        again.customer.id: '["buyer", "returning"]',
    }
    await changed(one, ann, lambda kept: kept.withdrawn("region", NOW, "moved"))
    await making.refresh(rules, NOW)
    assert "german" not in (await sorted_into(one))[ann.customer.id]
