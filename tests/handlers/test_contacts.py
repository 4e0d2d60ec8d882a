"""Contact points in decisions: shared, noted by an agent, made sure of with one tap; and names that change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import events
from domain.changes import Changes
from domain.contacts import ContactRules, How
from domain.model import EntryKind
from handlers import contacts
from tests.handlers.kit import ANN, MAYA, STRANGER, Desk, noted, rulebook, to_customer, whispers

OWN = {"contact_phone": "491701234567", "contact_own": "yes"}
FOREIGN = {"contact_phone": "+49 30 123456"}


def shares(details: dict[str, str]) -> tuple[Desk, Changes]:
    """A customer sends a contact."""
    desk = Desk(rules=rulebook(contacts=ContactRules(region="DE")))
    return desk, desk.writes("Ann +49", kind="contact", details=details, message_id="77")


def test_their_own_contact_is_verified() -> None:
    """It becomes a contact point with its line in the thread; nobody has to press anything."""
    desk, decided = shares(OWN)
    (point,) = decided.contacts
    assert (point.value, point.type, point.verified_how) == ("+491701234567", "mobile", How.SHARED)
    assert point.verified_at == desk.now
    (line,) = noted(decided, EntryKind.CONTACT)
    assert (line.body, line.data["to"]) == (point.value, "shared")
    assert "491701234567" not in repr(line.data)
    assert [item.entry_id for item in decided.outbox if item.entry_id == line.id]


@pytest.mark.parametrize("details", [FOREIGN, {"contact_phone": "12", "contact_own": "yes"}, {}])
def test_nothing_else_becomes_a_contact_point_by_itself(details: dict[str, str]) -> None:
    """Not somebody else's contact, and not what is no number."""
    assert shares(details)[1].contacts == ()


def test_an_agent_notes_a_foreign_contact() -> None:
    """It is theirs as an agent says, and nobody made sure of it."""
    desk, _ = shares(FOREIGN)
    decided = desk.presses(contacts.NOTE, "77")
    (point,) = decided.contacts
    assert (point.value, point.type, point.verified_at) == ("+4930123456", "landline", None)
    assert decided.audit == (("customer.contact", f"customer:{desk.conversation.customer_id}", "phone added"),)
    assert whispers(desk.presses(contacts.NOTE, "78")) == ["contact_unreadable"]
    assert desk.presses(contacts.NOTE, "77", STRANGER).contacts == ()


def tap(choice: str, key: str = "q1") -> events.CustomerChoice:
    """A press under one of our messages."""
    return events.CustomerChoice(customer=ANN, query_id=key, message_id="9", choice=choice)


def test_one_tap_says_whether_it_still_holds() -> None:
    """A yes makes sure of it; after a no they are asked for another one."""
    desk = Desk()
    desk.writes()
    yes = desk.customer(tap(contacts.choice("P1", right=True)))
    assert [(one.contact_id, one.right, one.customer_id) for one in yes.checked] == [
        ("P1", True, desk.conversation.customer_id)
    ]
    assert [item.data["text"] for item in yes.outbox] == ["contact_thanks"]
    no = desk.customer(tap(contacts.choice("P1", right=False), "q2"))
    assert [one.right for one in no.checked] == [False]
    assert [item.data["text"] for item in no.outbox] == ["contact_gone", contacts.SHARE]
    assert [item.data["text"] for item in desk.customer(tap("contact:maybe:P1")).outbox] == ["choice_unknown"]


def test_an_agent_has_the_customer_asked() -> None:
    """The question goes to the chat once a day, and names the contact point by our id alone."""
    desk = Desk()
    desk.writes()
    decided = desk.presses(contacts.ASK, "P1")
    (item,) = to_customer(decided)
    assert (item.data["text"], item.data["contact"]) == (contacts.CHECK, "P1")
    assert [one.right for one in decided.checked] == [None]
    assert to_customer(desk.presses(contacts.ASK, "P1", MAYA))[0].idem_key == item.idem_key
    assert desk.situation.identity is not None
    desk.situation = replace(desk.situation, identity=replace(desk.situation.identity, reachable=False))
    assert whispers(desk.presses(contacts.ASK, "P1")) == ["contact_not_asked"]


def test_a_chat_keeps_its_earlier_names() -> None:
    """A new name or user name leaves the old one as a line of the customer's own; the same again leaves none."""
    desk = Desk()
    desk.writes()
    decided = desk.writes("hello", customer=replace(ANN, name="Ann Married", username="annm"))
    (line,) = noted(decided, EntryKind.RENAMED)
    assert line.conversation_id == desk.conversation.customer_id
    assert line.body.startswith(ANN.name)
    assert noted(desk.writes("again", customer=replace(ANN, name="Ann Married", username="annm")), line.kind) == []
