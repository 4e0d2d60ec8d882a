"""Facts noted by hand at the desk: about a customer, or with somebody new; what is wrong is told and not kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain import events
from domain.changes import Changes, Situation
from domain.contacts import ContactKind, ContactRules
from domain.model import Agent, EntryKind
from handlers import facts
from tests.handlers.kit import MAYA, NINE, Desk, rulebook, whispers

CALL = {"kind": "call", "what": "asked for an invoice", "source": "phone"}


def notes(
    fact: dict[str, str],
    roles: tuple[str, ...] = ("agent",),
    reached: tuple[str, ...] = (),
    unheard: tuple[tuple[ContactKind, str], ...] = (),
    **fields: Any,
) -> Changes:
    """Somebody sends the window."""
    given: dict[str, Any] = {"customer_id": "C1", "person": {}, "channel": "C0SUPPORT", "key": "V1"}
    event = events.FactEntered(agent_id=MAYA, at=NINE, fact=fact, **(given | fields))
    context = Desk(rules=rulebook(contacts=ContactRules(region="DE"))).context
    situation = Situation(agent=Agent(id=MAYA, roles=roles), reached=reached, unheard=unheard)
    return facts.by_hand(event, situation, context)


def test_a_fact_about_a_customer() -> None:
    """One entry of their own timeline with its source, audited; the words are in its sealed part alone."""
    decided = notes(CALL)
    (entry,) = decided.entries
    assert (entry.kind, entry.conversation_id, entry.customer_id) == (EntryKind.FACT, "C1", "C1")
    assert entry.data == {"fact": "call", "source": "phone"}
    assert decided.audit == (("customer.fact", "customer:C1", "call from phone"),)
    assert whispers(decided) == ["fact_noted"]
    assert "invoice" not in repr((decided.outbox, decided.audit, entry.data))


def test_somebody_new_comes_with_it() -> None:
    """A customer that can be found by name and number, and cannot be written to."""
    decided = notes(CALL, customer_id=None, person={"name": "Bo Miller", "phone": "0170 1234567"})
    assert decided.customer is not None
    assert decided.identity is not None
    assert (decided.customer.name, decided.identity.reachable) == ("Bo Miller", False)
    assert [(one.value, one.verified_at) for one in decided.contacts] == [("+491701234567", None)]
    assert {entry.customer_id for entry in decided.entries} == {decided.customer.id}
    assert [action for action, _, _ in decided.audit] == ["customer.enter", "customer.fact"]


BO = {"name": "Bo Miller", "phone": "0170 1234567", "email": "bo@example.com"}


def test_who_is_known_by_a_number_is_not_entered_again() -> None:
    """It is noted about the one person who has it, and whoever noted it is told that nobody new was entered."""
    decided = notes(CALL, customer_id=None, person=BO, reached=("C7",))
    assert (decided.customer, decided.contacts, decided.entries[0].customer_id) == (None, (), "C7")
    assert whispers(decided) == ["fact_noted_known"]


def test_what_nobody_knew_of_somebody_known_is_added_to_them() -> None:
    """The address that was typed beside a known number is theirs, not verified, with its line: it is not lost."""
    new = ((ContactKind.EMAIL, "bo@example.com"),)
    decided = notes(CALL, customer_id=None, person=BO, reached=("C7",), unheard=new)
    (point,) = decided.contacts
    assert (point.customer_id, point.value, point.verified_at) == ("C7", "bo@example.com", None)
    assert [(entry.kind, entry.body) for entry in decided.entries[1:]] == [(EntryKind.CONTACT, "bo@example.com")]
    assert decided.audit[-1] == ("customer.contact", "customer:C7", "email added")


def test_where_several_people_have_a_number_nobody_guesses() -> None:
    """Nothing is kept, and the customers to choose from are named."""
    decided = notes(CALL, customer_id=None, person=BO, reached=("C7", "C8"))
    assert (whispers(decided), decided.entries, decided.customer) == (["fact_several"], (), None)
    assert decided.outbox[0].data["customers"] == "C7, C8"


def test_by_what_somebody_may_be_known() -> None:
    """Their number with its country and their e-mail; nothing where they are named by our id or it cannot be read."""
    event = events.FactEntered(agent_id=MAYA, at=NINE, fact=CALL, customer_id=None, person=BO, channel="C1")
    kinds = [(ContactKind.PHONE, "+491701234567"), (ContactKind.EMAIL, "bo@example.com")]
    assert list(facts.reaching(event, "DE")) == kinds
    assert facts.reaching(replace(event, customer_id="C1"), "DE") == ()
    assert facts.reaching(replace(event, person=BO | {"phone": "12"}), "DE") == ()


@pytest.mark.parametrize(
    ("fact", "fields"),
    [
        (CALL | {"kind": "divorce"}, {}),
        (CALL | {"amount": "12"}, {}),
        (CALL | {"at": "neverT12:00:00+00:00"}, {}),
        (CALL, {"customer_id": None}),
        (CALL, {"customer_id": None, "person": {"name": "Bo", "phone": "12"}}),
    ],
)
def test_what_is_wrong_is_told_and_not_kept(fact: dict[str, str], fields: dict[str, Any]) -> None:
    """The whisper says what would do."""
    decided = notes(fact, **fields)
    assert whispers(decided) == ["fact_refused"]
    assert (decided.entries, decided.customer, decided.contacts) == ((), None, ())


@pytest.mark.parametrize("fields", [{"roles": ()}, {"roles": ("auditor",)}, {"is_stranger": True}])
def test_only_colleagues_note_facts(fields: dict[str, Any]) -> None:
    """A refusal is told and audited."""
    decided = notes(CALL, **fields)
    assert (whispers(decided), decided.entries) == (["refused_action"], ())
    assert decided.audit[0][0] == "refused"
