"""Segments in the record: those something happened to soon, everybody at once, tags by hand, nobody who was erased."""

from __future__ import annotations

import pytest

from domain.changes import Changes
from domain.errors import UnknownPerson
from domain.segments import Segment
from storage import tables
from storage.segmentation import Segmentation
from tests.contracts.storage_kit import NOW, Process, Story, story

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
