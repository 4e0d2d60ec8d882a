"""What somebody wrote, in any of their chats: it is theirs, and an answer may carry it without a question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domain.changes import Changes
from domain.links import LinkAct, LinkChange
from domain.model import EntryKind
from storage import links, rare
from storage.wishes import Wanted
from tests.contracts.storage_kit import AGENT, NOW, Process, Story, new_id, story


def wish(of: Story) -> Wanted:
    return Wanted(key=of.customer.name, channel="telegram", address=of.identity.address, said=True)


async def said(process: Process, *of: Story) -> dict[str, list[Any]]:
    """By name: what is read of these people at once."""
    found = await process.record.load([wish(each) for each in of])
    return {name: [entry.body for entry in situation.said] for name, situation in found.items()}


async def link(process: Process, act: LinkAct, one: Story, other: Story) -> None:
    """Carol says who is one person."""
    ids, pair = (new_id(), new_id(), new_id()), {"one": one.customer.id, "other": other.customer.id}
    change = LinkChange(act=act, **pair, actor="os:carol", reason="they called", at=NOW, ids=ids)
    assert await process.db.write(lambda conn: links.apply(conn, change, process.record.audit_key))


async def test_all_that_a_customer_wrote_is_read_where_it_is_asked_for(one: Process) -> None:
    """Their messages of every conversation and each change of them, in order; nobody else's, no notes."""
    ann, bo = story("Ann", "1"), story("Bo", "2")
    first = ann.said("first", platform_id="77", data={})
    changed = ann.said("changed", seconds=1, kind=EntryKind.INCOMING_EDIT, data={"of": first.id})
    note = ann.said("note", seconds=2, kind=EntryKind.NOTE, actor=AGENT)
    await one.decide(
        ann.opening(), bo.opening(), Changes(reason="said", entries=(first, changed, note, bo.said("his")))
    )
    assert await said(one, ann) == {"Ann": ["first", "changed"]}
    found = await one.record.load([replace(wish(ann), said=False)])
    assert found["Ann"].said == ()


async def test_what_one_person_wrote_in_any_of_their_chats_is_theirs(one: Process) -> None:
    """Chats that were linked are one person's, along any links, until one is taken back; nobody else's words are."""
    ann, anna, third, _ = people = [story(name, str(place)) for place, name in enumerate(("Ann", "Anna", "A.", "Bo"))]
    await one.decide(ann.opening("early", "late"), *(each.opening(f"I am {each.customer.name}") for each in people[1:]))
    await link(one, LinkAct.MERGE, ann, anna)
    await link(one, LinkAct.MERGE, third, anna)
    theirs = ["early", "late", "I am Anna", "I am A."]
    assert await said(one, *people) == {"Ann": theirs, "Anna": theirs, "A.": theirs, "Bo": ["I am Bo"]}
    await link(one, LinkAct.UNMERGE, ann, anna)
    assert await said(one, ann, third) == {"Ann": ["early", "late"], "A.": ["I am Anna", "I am A."]}
    await one.keys.destroy(anna.customer.id, NOW)
    assert await said(one, third) == {"A.": ["", "I am A."]}, "words whose key is gone stay noise"


async def test_of_each_chat_the_newest_words_are_read(one: Process) -> None:
    """So many that years of writing are among them: a busy chat takes no place away from a quiet one."""
    ann, anna = story("Ann", "1"), story("Anna", "2")
    many = tuple(ann.said(f"m{number}", seconds=number) for number in range(rare.MOST_SAID))
    await one.decide(anna.opening("my number"), ann.opening("hello"))
    await one.decide(Changes(reason="said", entries=many))
    await link(one, LinkAct.MERGE, ann, anna)
    assert await said(one, ann) == {"Ann": ["my number", *(entry.body for entry in many)]}
