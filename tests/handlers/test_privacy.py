"""The customer's rights in the chat: notice, choices, and what they leave in the record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain import consent, events
from domain.changes import Changes, DeliveryKind
from domain.model import EntryKind
from handlers import privacy
from tests.handlers.kit import ANN, Desk, rulebook


def informed(**fields: str | None) -> Desk:
    """A desk that sends a notice."""
    return Desk(rules=rulebook(**({"notice": "1"} | fields)))


def texts_of(changes: Changes) -> list[str]:
    """The fixed texts that leave."""
    return [item.data["text"] for item in changes.outbox if item.kind is DeliveryKind.CHAT_AUTOMATIC]


def tap(choice: str, query: str = "q1") -> events.CustomerChoice:
    """Ann taps a button."""
    return events.CustomerChoice(customer=ANN, query_id=query, message_id="9", choice=choice)


def command(desk: Desk, word: str, number: str = "3") -> Changes:
    """Ann uses a command."""
    return desk.customer(events.CustomerCommand(customer=ANN, at=desk.now, message_id=number, command=word))


def test_the_notice_is_sent_once_at_first_contact_and_its_version_recorded() -> None:
    """The first message brings it, the second does not; who was sent which version stands in the record."""
    desk = informed()
    first, second = desk.writes(), desk.writes()
    assert texts_of(first) == ["notice"]
    assert first.customer is not None
    assert first.customer.notice == "1"
    told = next(entry for entry in first.entries if entry.kind is EntryKind.AUTOMATIC)
    assert told.data == {"text": "notice", "version": "1"}
    assert texts_of(second) == []
    assert second.customer is None, "nothing about the customer is written again"


def test_a_new_version_is_sent_to_those_who_know_the_old_one() -> None:
    """Whoever writes after the words changed is told anew."""
    desk = informed()
    desk.writes()
    desk.rules = replace(desk.rules, notice="2")
    changed = desk.writes()
    assert texts_of(changed) == ["notice"]
    assert changed.customer is not None
    assert changed.customer.notice == "2"


def test_without_a_notice_nobody_is_told() -> None:
    """A company that informs elsewhere leaves it out."""
    assert texts_of(informed(notice=None).writes()) == []


def test_start_brings_the_notice_and_privacy_holds_it() -> None:
    """A command is a first contact as well; `/privacy` shows the notice itself, so that it is not sent twice."""
    assert texts_of(command(informed(), "start")) == ["start", "notice"]
    desk = informed()
    shown = command(desk, "privacy")
    assert texts_of(shown) == ["privacy"]
    assert shown.customer is not None
    assert shown.customer.notice == "1"
    assert texts_of(desk.writes()) == []


@pytest.mark.parametrize("purpose", list(consent.Purpose))
def test_a_choice_is_data_with_history(purpose: consent.Purpose) -> None:
    """Each change of mind is a timeline line of its own; what was said last is what holds."""
    desk = informed()
    desk.writes()
    yes = desk.customer(tap(privacy.choice(purpose, agreed=True), "q1"))
    no = desk.customer(tap(privacy.choice(purpose, agreed=False), "q2"))
    for decided, agreed in ((yes, True), (no, False)):
        assert [e.data for e in decided.entries] == [
            {"purpose": purpose.value, "to": agreed, "how": "chat", "notice": "1"}
        ]
        assert decided.entries[0].kind is EntryKind.CONSENT
        assert decided.customer is not None
        assert consent.allowed(decided.customer.consents, purpose) is agreed
        assert [item.kind for item in decided.outbox] == [DeliveryKind.CHAT_ANSWER, DeliveryKind.CHAT_AUTOMATIC]
        assert decided.outbox[1].data["message_id"] == "9", "the buttons change where they stand"


def test_the_same_choice_twice_is_one_choice() -> None:
    """A double tap is answered and leaves no second line."""
    desk = informed()
    desk.writes()
    desk.customer(tap("consent:training:1", "q1"))
    again = desk.customer(tap("consent:training:1", "q2"))
    assert (again.customer, again.entries) == (None, ())
    assert [item.data["text"] for item in again.outbox] == ["agreed_training"]


@pytest.mark.parametrize("choice", ["consent:everything:1", "consent:training:2", "consent:training", "refund:now"])
def test_a_button_nobody_knows_is_answered(choice: str) -> None:
    """A button of another release stops turning, and changes nothing."""
    desk = informed()
    desk.writes()
    decided = desk.customer(tap(choice))
    assert [item.data["text"] for item in decided.outbox] == ["choice_unknown"]
    assert decided.entries == ()


def test_a_tap_of_somebody_unknown_changes_nothing() -> None:
    """Whoever was erased and taps an old button is not recorded for it."""
    assert informed().customer(tap("consent:training:1")) == Changes(reason="choice_of_unknown")


def test_what_needs_a_yes_is_refused_without_one() -> None:
    """Training and outreach need agreement; support and statistics hold until somebody objects."""
    nothing_said: dict[str, bool] = {}
    allowed = [purpose.value for purpose in consent.Purpose if consent.allowed(nothing_said, purpose)]
    assert allowed == ["support", "analytics"]
    assert not consent.allowed({"analytics": False}, consent.Purpose.ANALYTICS)
