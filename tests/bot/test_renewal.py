"""Who is asked by itself whether a contact point still holds: only who agreed, a day once, while the team is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.renewal import Renewal
from domain.changes import Changes
from domain.contacts import ContactKind, ContactPoint, ContactRules
from domain.profile import Source
from storage import tables
from storage.contacts import Contacts
from tests.contracts import storage_kit
from tests.contracts.storage_kit import NOW, Process, Story, new_id, story
from tests.handlers.kit import OFFICE, rulebook

LATER = NOW + timedelta(days=400)  # a Monday at nine, like the office


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Process]:
    """A record on SQLite."""
    async with storage_kit.process(f"sqlite:///{tmp_path / 'r.db'}", f"sqlite:///{tmp_path / 'k.db'}") as opened:
        yield opened


async def known(process: Process, name: str, address: str, **consents: bool) -> Story:
    """Somebody with an old phone number."""
    person = story(name, address)
    opening = person.opening("hello")
    customer = replace(person.customer, consents=consents)
    point = ContactPoint(
        id=new_id(),
        customer_id=customer.id,
        kind=ContactKind.PHONE,
        value=f"+4917012345{address}",
        type="mobile",
        source=Source.CUSTOMER,
        added_at=NOW,
    )
    await process.decide(replace(opening, customer=customer), Changes(reason="noted", contacts=(point,)))
    return person


def renewal(process: Process, rules: ContactRules | None = None) -> Renewal:
    """It, with an office from nine to five."""
    known = rulebook(contacts=rules or ContactRules(), calendars={"always": OFFICE}, default_calendar="always")
    return Renewal(process.db, process.record, Contacts(process.db, process.keys), known)


async def test_only_who_agreed_is_asked_and_once(one: Process) -> None:
    """The others are left to the agents; a second look on the same day, or in a new process, asks nobody again."""
    ann = await known(one, "Ann", "67", outreach=True)
    await known(one, "Bob", "68")
    await known(one, "Cy", "69", outreach=False)
    open_at = LATER.replace(hour=10)
    while open_at.weekday() > 4:
        open_at += timedelta(days=1)
    assert await renewal(one, ContactRules(ask="nobody")).daily(open_at) == 0
    assert await renewal(one).daily(open_at.replace(hour=3)) == 0
    at_work = renewal(one)
    assert await at_work.daily(open_at) == 1
    assert await at_work.daily(open_at + timedelta(hours=1)) == 0
    assert await renewal(one).daily(open_at + timedelta(hours=2)) == 0
    (row,) = await one.rows(tables.outbox)
    assert (row["identity_id"], row["kind"]) == (ann.identity.id, "chat.automatic")
    assert "+49" not in row["data"]
