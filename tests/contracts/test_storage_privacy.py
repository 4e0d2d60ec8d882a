"""Whoever copies or changes the record without its keys learns nothing and moves nothing unnoticed."""

from __future__ import annotations

import pytest

from domain.changes import Changes, Situation
from domain.errors import CannotDecrypt, KeyDestroyed
from domain.model import Attachment
from storage import tables
from storage.engines import Connection
from storage.wishes import Wanted
from tests.contracts.storage_kit import NOW, Process, Story, new_id, story


async def load_one(process: Process, person: Story) -> Situation:
    wanted = Wanted(key="k", channel="telegram", address=person.identity.address)
    return (await process.record.load([wanted]))["k"]


async def test_nothing_personal_is_stored_in_the_clear(one: Process) -> None:
    """Names, addresses, user names, texts and file names: a copy of the database shows none of them."""
    ann = story("Anna Beispiel", "address-4711")
    file = Attachment(id=new_id(), kind="document", platform_id="secret-file", name="Rezept.pdf", mime="x/y")
    await one.decide(
        ann.opening("Meine Kontonummer ist DE02"), Changes(reason="said", entries=(ann.said("", attachments=(file,)),))
    )
    stored = await one.dump()
    for word in (b"Anna", b"Beispiel", b"address-4711", b"Kontonummer", b"DE02", b"Rezept", b"secret-file"):
        assert word not in stored


async def test_an_erased_customer_reads_as_empty_and_is_not_recorded_again(one: Process) -> None:
    """With the key goes every text; what is left loads without an error, and nothing new is written."""
    ann, bo = story("Ann", "1"), story("Bo", "2")
    await one.decide(ann.opening("hello"), bo.opening("hello too"))
    await one.keys.destroy(ann.customer.id, NOW)
    found = await load_one(one, ann)
    assert found.customer is not None
    assert found.identity is not None
    assert (found.customer.name, found.identity.name, found.identity.address) == ("", "", "")
    assert found.identity.username == ""
    assert [entry.body for entry in found.window] == [""]
    assert [entry.body for entry in await one.record.timeline(ann.conversation.id)] == [""]
    with pytest.raises(KeyDestroyed):
        await one.decide(Changes(reason="said", entries=(ann.said("again"),)))
    assert [entry.body for entry in (await load_one(one, bo)).window] == ["hello too"]


@pytest.mark.parametrize("column", ["body_sealed", "files_sealed"])
async def test_a_text_moved_to_another_entry_is_refused(one: Process, column: str) -> None:
    """Whoever can write to the database cannot put one message in the place of another."""
    ann = story()
    file = Attachment(id=new_id(), kind="photo", platform_id="p", name="n", mime="m")
    entries = (ann.said("one", attachments=(file,)), ann.said("two", attachments=(file,)))
    await one.decide(ann.opening(), Changes(reason="said", entries=entries))
    stolen = (await one.rows(tables.timeline))[0][column]

    async def move(conn: Connection) -> None:
        await conn.execute(tables.timeline.update().values({column: stolen}))

    await one.db.write(move)
    with pytest.raises(CannotDecrypt):
        await one.record.timeline(ann.conversation.id)


@pytest.mark.parametrize("text", ["ann example", "  ANN   Example ", "@user_4711", "User_4711", "4711"], ids=repr)
async def test_a_person_is_found_by_the_whole_of_a_name_or_address(one: Process, text: str) -> None:
    """Whatever its case and spacing; with all identities and how many conversations there are."""
    ann = story("Ann Example", "4711")
    await one.decide(ann.opening(), story("Bo", "2").opening())
    assert await one.record.find_people(text) == [(ann.customer, [ann.identity], 1)]


@pytest.mark.parametrize("text", ["Ann", "471", "", "@", "nobody", "\x00", "\ud800", "%"], ids=repr)
async def test_a_part_of_a_name_finds_nobody(one: Process, text: str) -> None:
    """The index holds keyed hashes of whole values: nothing to browse, and nothing that breaks it."""
    await one.decide(story("Ann Example", "4711").opening())
    assert await one.record.find_people(text) == []
