"""Who may look at whom at the command line: roles, queues that are hidden from some, and people named by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot import times
from bot.cli.stores import os_user
from bot.opening import Stores
from domain.contacts import ContactKind, ContactPoint
from domain.links import Evidence, Sign, Suspect
from domain.profile import Source
from storage import flush, tables
from tests.bot.cli.conftest import Place
from tests.contracts.storage_kit import new_id, story

LONG_AGO = times.real() - timedelta(days=400)
ANN = story("Ann Example", "4711", queue="support")
BO = story("Bo Hidden", "4712", queue="billing")
LOOKS = {
    "show": ("show", "1002"),
    "clocks": ("sla", "show", "1002"),
    "find": ("customer", "find", "Bo Hidden"),
    "profile": ("customer", "profile", BO.customer.id),
    "contacts": ("customer", "contacts", BO.customer.id),
    "search": ("search", "secret"),
    "search for the person": ("search", "Bo Hidden"),
}
"""What would show something of Bo, who wrote to billing alone."""


async def _written(stores: Stores) -> None:
    point = ContactPoint(
        id=new_id(),
        customer_id=BO.customer.id,
        kind=ContactKind.PHONE,
        value="+491701234567",
        type="mobile",
        source=Source.CUSTOMER,
        added_at=LONG_AGO,
    )
    decisions = [ANN.opening("hello"), replace(BO.opening("a secret parcel"), contacts=(point,))]
    prepared = await stores.record.prepare(
        [flush.Decision(id=new_id(), changes=one) for one in decisions], times.real()
    )
    await stores.database.write(lambda conn: flush.write(conn, prepared, stores.record.audit_key))
    alike = Evidence(sign=Sign.NAME, score=95)
    pair = Suspect(
        one=min(ANN.customer.id, BO.customer.id),
        other=max(ANN.customer.id, BO.customer.id),
        evidence=(alike,),
        found_at=times.real(),
    )
    await stores.links.suggest([(new_id(), pair)])


async def _refused(stores: Stores) -> int:
    async with stores.database.read() as conn:
        rows = await conn.execute(tables.audit.select().where(tables.audit.c.action == "refused"))
        return len(rows.all())


@pytest.fixture
def desk(place: Place) -> Place:
    """Only leads see billing."""
    place.change(clock=None)
    place.make_key()
    place.with_stores(_written)
    hidden(place, roles=["lead"])
    return place


def hidden(place: Place, **seen_by: list[str]) -> None:
    """Billing is for these alone."""
    place.change(queues={"billing": {"channel": "C0BILLING", "seen_by": seen_by}})


def am(place: Place, role: str) -> None:
    """Whoever runs this test has this role."""
    place.change(roles={"command_line": {os_user(): [role]}})


def given(place: Place) -> set[str]:
    """Which of the looks show something."""
    return {name for name, words in LOOKS.items() if place.run(*words).exit_code == 0}


def test_a_hidden_queue_is_hidden_at_the_command_line_too(desk: Place) -> None:
    """From agents by every way to look, until they are named; from leads by none. Refusals are audited."""
    assert given(desk) == set(LOOKS), "without roles whoever can open the stores sees all"
    am(desk, "agent")
    assert given(desk) == set()
    assert desk.with_stores(_refused) == 4, "what is not found at all is no refusal"
    assert desk.run("show", "1001").exit_code == 0
    for words in (("customer", "stale"), ("customer", "duplicates")):
        assert BO.customer.id not in desk.run(*words).stdout
    hidden(desk, roles=["lead"], agents=[f"os:{os_user()}"])
    assert given(desk) == set(LOOKS)
    for words in (("customer", "stale"), ("customer", "duplicates")):
        assert BO.customer.id in desk.run(*words).stdout
    hidden(desk, roles=["lead"])
    am(desk, "lead")
    assert given(desk) == set(LOOKS)


@pytest.mark.parametrize(("role", "code"), [("agent", 1), ("lead", 0), ("privacy_officer", 0), ("admin", 1)])
def test_the_clear_takes_the_role_that_may_reveal(desk: Place, role: str, code: int) -> None:
    """The same one as at the desk; everybody with a role may look at what is masked."""
    am(desk, role)
    assert desk.run("show", "1001").exit_code == 0
    revealed = desk.run("show", "1001", "--reveal")
    assert (revealed.exit_code, "hello" in revealed.stdout) == (code, not code)
    am(desk, "agent")
    desk.change(roles={"command_line": {"somebody-else": [role]}})
    assert desk.run("show", "1001").exit_code == 1


@pytest.mark.parametrize("name", ["os:", "os:root;id", "os:Anna Miller", "anna"])
def test_a_person_is_named_as_the_system_does(desk: Place, name: str) -> None:
    """Anything else is a mistake of the configuration, with what to write."""
    hidden(desk, agents=[name])
    told = desk.run("config", "check")
    assert told.exit_code == 2
    assert "seen_by" in told.stdout + told.stderr
