"""Profiles in the record: sealed, changed one at a time, a line of the timeline each, gone with the key."""

from __future__ import annotations

import json

import pytest

from domain.changes import Changes
from domain.errors import KeyDestroyed, UnknownPerson
from domain.model import Actor, ActorKind, EntryKind
from domain.profile import Profile, Source, Value
from storage import tables
from storage.profiles import Change, Profiles
from tests.contracts.storage_kit import NOW, Process, Story, new_id, story

CAROL = Actor(kind=ActorKind.OPERATOR, id="carol")


def saying(name: str, value: str) -> Change:
    """Somebody says that a field is this."""
    new = Value(value=value, source=Source.CUSTOMER, actor="os:carol", at=NOW)
    return lambda profile: profile.said(name, new, "they wrote so")


async def changed(process: Process, person: Story, change: Change) -> Profile:
    """One change by Carol."""
    return await Profiles(process.db, process.keys).change(
        person.customer.id, change, entry_id=new_id(), actor=CAROL, reason="they wrote so", now=NOW
    )


async def test_what_is_said_is_kept_sealed_with_its_history(one: Process) -> None:
    """Nothing of it stands in the clear; what is read back is what was said, corrections included."""
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    await changed(one, ann, saying("company", "Acne Ltd"))
    await changed(one, ann, saying("company", "Acme Ltd"))
    found = await Profiles(one.db, one.keys).of(ann.customer.id)
    assert [(said.value, said.reason) for said in found.values["company"]] == [
        ("Acne Ltd", "they wrote so"),
        ("Acme Ltd", None),
    ]
    stored = await one.dump()
    assert b"Acne" not in stored
    assert b"they wrote so" not in stored
    lines = [entry for entry in await one.record.timeline(ann.customer.id) if entry.kind is EntryKind.PROFILE]
    assert [entry.data for entry in lines] == [{"fields": ["company"]}] * 2
    assert json.loads(lines[1].body)["reason"] == "they wrote so"
    actions = [(row["actor"], row["action"], row["detail"]) for row in await one.rows(tables.audit)]
    assert actions == [("os:carol", "customer.profile", "company")] * 2


async def test_what_changes_nothing_leaves_no_line(one: Process) -> None:
    """The same value again is neither a line nor an audit entry; a decision does not undo what was noted."""
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    await changed(one, ann, saying("tier", "gold"))
    await changed(one, ann, saying("tier", "gold"))
    await one.decide(Changes(reason="notice", customer=ann.customer))
    assert len(await one.rows(tables.audit)) == 1
    assert list((await Profiles(one.db, one.keys).of(ann.customer.id)).current) == ["tier"]


async def test_nothing_is_noted_about_who_is_unknown_or_erased(one: Process) -> None:
    """A destroyed key, an id that is none."""
    ann = story("Ann", "1")
    await one.decide(ann.opening("hello"))
    await changed(one, ann, saying("tier", "gold"))
    await one.keys.destroy(ann.customer.id, NOW)
    assert (await Profiles(one.db, one.keys).of(ann.customer.id)).current == {}
    with pytest.raises(KeyDestroyed):
        await changed(one, ann, saying("tier", "silver"))
    with pytest.raises(UnknownPerson):
        await Profiles(one.db, one.keys).of("nobody")
