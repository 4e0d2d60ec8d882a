"""Who may look at a customer, who may see the clear words, and what stands in the audit trail about it."""

from __future__ import annotations

import pytest

from domain import events
from domain.changes import Changes, DeliveryKind, Situation
from domain.model import Agent
from handlers import actions
from handlers.persons import REASONS
from tests.handlers.kit import JONAS, MAYA, NINE, STRANGER, Desk

ROLES = {"agent": ("agent",), "lead": ("lead",), "officer": ("privacy_officer",), "nobody": ()}


def looking(action: str, user: str, value: str | None = None, **fields: object) -> tuple[Desk, Changes]:
    """Somebody presses the button, or picks a reason under it."""
    desk = Desk()
    desk.writes()
    return desk, desk.presses(action, value, user, **fields)


def typed(words: str, who: str = "agent") -> Changes:
    """Somebody types the command."""
    event = events.DeskCommand(agent_id=MAYA, at=NINE, channel="C0SUPPORT", text=words, key="k1")
    return actions.command(event, Situation(agent=Agent(id=MAYA, roles=ROLES[who])), Desk().context)


def test_the_button_shows_the_masked_card_to_one_person() -> None:
    """The row names the customer by our id, the look is audited, and nothing about the conversation changes."""
    desk, decided = looking("customer", MAYA)
    (item,) = decided.outbox
    customer = desk.conversation.customer_id
    assert (item.kind, item.data["user"], item.data["customer"]) == (DeliveryKind.DESK_PERSON, MAYA, customer)
    assert "reveal" not in item.data
    assert decided.audit == (("customer.open", f"customer:{customer}", "card"),)
    assert (decided.conversation, decided.entries) == (None, ())


@pytest.mark.parametrize("reason", REASONS)
def test_a_lead_reveals_with_a_reason(reason: str) -> None:
    """What was picked stands in the audit trail."""
    desk, decided = looking("reveal", JONAS, reason)
    assert decided.outbox[0].data["reveal"] == "yes"
    assert decided.outbox[0].data["reason"] == reason, "whom else it reveals is audited when it is shown"
    assert decided.audit == (("customer.reveal", f"customer:{desk.conversation.customer_id}", reason),)


def test_the_card_that_was_shown_is_revealed() -> None:
    """Where several customers are one person, the newest conversation may be another one's."""
    whose = "01M81BVCA00SN037T5A2NPNCAA"
    _, decided = looking("reveal", JONAS, f"law:{whose}")
    assert decided.outbox[0].data["customer"] == whose
    assert decided.audit == (("customer.reveal", f"customer:{whose}", "law"),)


def test_an_agent_may_look_and_not_reveal() -> None:
    """The refusal is told and audited; no card goes out."""
    _, decided = looking("reveal", MAYA, "to_answer")
    assert [item.kind for item in decided.outbox] == [DeliveryKind.DESK_WHISPER]
    assert decided.audit[0][0] == "refused"


@pytest.mark.parametrize("action", ["customer", "reveal"])
def test_a_stranger_sees_nothing(action: str) -> None:
    """Neither masked nor in the clear."""
    _, decided = looking(action, STRANGER, "to_answer")
    assert [item.kind for item in decided.outbox] == [DeliveryKind.DESK_WHISPER]


@pytest.mark.parametrize("reason", ["", "curious", "curious:01M81BVCA00SN037T5A2NPNCAA", "law:Anna", None])
def test_without_a_reason_nothing_is_revealed(reason: str | None) -> None:
    """A value that is no reason of ours changes nothing."""
    _, decided = looking("reveal", JONAS, reason)
    assert decided == Changes(reason="unknown_action")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("customer #1042", {"number": "1042"}),
        ("customer 1042", {"number": "1042"}),
        ("客户 1042", {"number": "1042"}),
        ("Customer 01m81bvca00sn037t5a2npncaa", {"customer": "01M81BVCA00SN037T5A2NPNCAA"}),
    ],
)
def test_the_command_takes_a_number_or_our_id(words: str, named: dict[str, str]) -> None:
    """The same card, in the channel, to nobody else."""
    decided = typed(words)
    (item,) = decided.outbox
    assert item.kind is DeliveryKind.DESK_PERSON
    assert named.items() <= item.data.items()
    assert decided.audit[0][0] == "customer.open"


@pytest.mark.parametrize("words", ["customer", "customer Anna Beispiel", "customer +7 912 345-67-89"])
def test_a_name_is_never_taken_into_the_outbox(words: str) -> None:
    """Rows name people by our ids only: a name is looked for where nobody logs it."""
    decided = typed(words)
    assert [item.data["text"] for item in decided.outbox] == ["customer_how"]
    assert "Anna" not in repr(decided)
    assert "anna" not in repr(decided)


def test_the_command_needs_a_role() -> None:
    """Whoever may not see is told so."""
    assert [item.kind for item in typed("customer 1042", "nobody").outbox] == [DeliveryKind.DESK_WHISPER]
