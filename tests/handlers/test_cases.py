"""Requests about data: one open case of a kind, decided once, by whoever may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain import events
from domain.cases import CaseKind
from domain.changes import Changes, DeliveryKind, Situation
from domain.model import Agent, EntryKind
from handlers import cases
from tests.handlers.kit import ANN, MAYA, NINE, Desk, rulebook

ROLES = {"officer": ("privacy_officer",), "agent": ("agent",), "admin": ("admin",), "nobody": ()}


def asked(kind: str, desk: Desk | None = None) -> Changes:
    """Ann asks for something."""
    desk = desk or Desk(rules=rulebook(privacy_channel="C0PRIVACY"))
    desk.writes()
    return desk.customer(events.CustomerChoice(customer=ANN, query_id="q1", message_id="9", choice=f"ask:{kind}"))


def pressed(action: str, who: str = "officer", value: str = "export:01CASE", **fields: object) -> Changes:
    """Somebody presses a button of the case's post."""
    desk = Desk(rules=rulebook(privacy_channel="C0PRIVACY"))
    event = events.AgentAction(
        agent_id=MAYA,
        at=NINE,
        channel="C0PRIVACY",
        thread_ts="1.0",
        conversation_id=None,
        action=action,
        value=value,
        key="k1",
    )
    situation = Situation(agent=Agent(id=MAYA, roles=ROLES[who]))
    return cases.decide(replace(event, **fields), situation, desk.context)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", list(CaseKind))
def test_a_tap_opens_a_case_with_a_deadline(kind: CaseKind) -> None:
    """The case is due after the days the law gives, the customer is answered, and the officer sees a post."""
    decided = asked(kind.value)
    (case,) = decided.cases
    assert (case.kind, case.due_at - case.opened_at) == (kind, timedelta(days=30))
    assert [item.kind for item in decided.outbox] == [DeliveryKind.CHAT_ANSWER, DeliveryKind.DESK_CASE]
    assert decided.outbox[0].data["text"] == f"asked_{kind.value}"
    assert (decided.outbox[1].data["place"], decided.outbox[1].entry_id) == ("C0PRIVACY", case.id)
    assert [(e.kind, e.data["about"]) for e in decided.entries] == [(EntryKind.CASE, kind.value)]


def test_an_unknown_wish_opens_nothing() -> None:
    """A button of another release is answered and opens no case."""
    decided = asked("everything")
    assert (decided.cases, decided.entries) == ((), ())
    assert decided.outbox[0].data["text"] == "choice_unknown"


@pytest.mark.parametrize(("action", "granted"), [("case_approve", True), ("case_refuse", False), ("case_take", None)])
def test_the_officer_decides(action: str, granted: bool | None) -> None:
    """The ruling names who decided, or took it on; the post shows it, and the audit trail has it."""
    decided = pressed(action)
    assert [(one.case_id, one.granted, one.by) for one in decided.rulings] == [("01CASE", granted, f"agent:{MAYA}")]
    assert [item.kind for item in decided.outbox] == [DeliveryKind.DESK_CASE]
    assert decided.audit[0][1] == "case:01CASE"


@pytest.mark.parametrize("who", ["agent", "admin", "nobody"])
@pytest.mark.parametrize("kind", ["export", "erase", "correct"])
def test_others_are_refused_and_that_is_audited(who: str, kind: str) -> None:
    """Nobody without the role moves a case; they are told."""
    decided = pressed("case_approve", who, f"{kind}:01CASE")
    assert decided.rulings == ()
    assert [item.kind for item in decided.outbox] == [DeliveryKind.DESK_WHISPER]
    assert decided.audit[0][0] == "refused"


def test_a_stranger_is_refused() -> None:
    """A guest with the role's name decides nothing."""
    assert pressed("case_approve", is_stranger=True).rulings == ()


@pytest.mark.parametrize("value", ["", "export", "export:", "everything:01CASE"])
def test_an_odd_button_changes_nothing(value: str) -> None:
    """A value that names no case, or no kind of it."""
    assert pressed("case_approve", value=value) == Changes(reason="unknown_action")
