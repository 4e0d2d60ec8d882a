"""How an answer was: asked once where somebody answered, said with one tap, never about what nobody answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.changes import Changes, DeliveryKind
from domain.model import EntryKind
from handlers import satisfaction
from tests.handlers.kit import Desk, noted, rulebook, to_customer
from tests.handlers.test_contacts import tap


def answered(*, asks: bool = True, arrives: bool = True) -> Desk:
    """A customer wrote and was answered; not so that it arrived where not `arrives`."""
    desk = Desk(rules=rulebook(ask_satisfaction=asks))
    desk.writes("Where is my parcel?")
    desk.settles(desk.answers().entries[0], *(("sent",) if arrives else ("dead", "too_long")))
    return desk


def asked(decided: Changes) -> list[str]:
    """What the customer is asked, by the key under which it happens once."""
    return [
        item.idem_key
        for item in to_customer(decided)
        if item.kind is DeliveryKind.CHAT_AUTOMATIC and item.data["text"] == satisfaction.ASK
    ]


def test_it_is_asked_once_when_a_conversation_is_resolved() -> None:
    """With its line; opened and resolved again, nothing is asked, and no line says so."""
    desk = answered()
    decided = desk.presses("resolve", "solved")
    assert asked(decided) == [f"satisfaction_ask:{desk.conversation.id}"]
    assert [line.data["text"] for line in noted(decided, EntryKind.AUTOMATIC)] == [satisfaction.ASK]
    desk.presses("reopen")
    again = desk.presses("resolve", "solved")
    assert (again.reason, asked(again), noted(again, EntryKind.AUTOMATIC)) == ("resolved", [], [])


@pytest.mark.parametrize("why", ["off", "withdrawn", "unreachable", "nobody answered"])
def test_it_is_not_asked_where_there_is_nothing_to_say(why: str) -> None:
    """Not unless the company asks, not of who took it back, whom nothing reaches, or whom nobody answered."""
    desk = answered(asks=why != "off", arrives=why != "nobody answered")
    identity = desk.situation.identity
    assert identity is not None
    if why == "unreachable":
        desk.situation = replace(desk.situation, identity=replace(identity, reachable=False))
    decided = desk.presses("resolve", "withdrawn" if why == "withdrawn" else None)
    assert decided.reason == "resolved"
    assert asked(decided) == []


def test_one_tap_says_it() -> None:
    """A line of the customer's own timeline, which names the conversation, and a word where the finger is."""
    desk = answered()
    choice = satisfaction.choice("partly", desk.conversation.id)
    assert len(choice.encode()) <= 64, "what a button may carry"
    decided = desk.customer(tap(choice))
    (line,) = noted(decided, EntryKind.RATED)
    assert (line.conversation_id, line.data) == (line.customer_id, {"of": desk.conversation.id, "to": "partly"})
    assert [item.data["text"] for item in to_customer(decided)] == ["satisfaction_thanks"]
    for odd in (
        "rate:great:" + "0" * 26,
        "rate:good:short",
        "rate:good:" + "%" * 26,
        "rate:good:" + "É" * 26,
        "rate:good:" + "U" * 26,
        "rate:",
    ):
        assert desk.customer(tap(odd)).reason == "unknown_choice"
