"""The automatic answer to a customer: once, with a time that holds, and never where it would be out of place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.calendar import Calendar
from domain.changes import Changes, DeliveryKind
from domain.model import EntryKind
from handlers import automatic
from handlers.frame import Context
from tests.handlers.kit import NINE, OFFICE, THANKS, Desk, noted, reading, rulebook

SATURDAY = timedelta(days=1)


class Shop(Desk):
    """A desk with office hours (Monday to Friday, nine to five) that acknowledges."""

    usual: dict[str, timedelta]

    @property
    def context(self) -> Context:
        return replace(super().context, answers=getattr(self, "usual", {}))


def shop(acknowledge: str = "always", calendar: Calendar = OFFICE) -> Shop:
    standard = replace(rulebook().policies["standard"], calendar="office")
    rules = rulebook(policies={"standard": standard}, calendars={"office": calendar}, acknowledge=acknowledge)
    return Shop(rules=replace(rules, policy_rules=rules.policy_rules[1:]))


def told(decided: Changes) -> list[tuple[str, str | None]]:
    """What a customer is told, with the time it names."""
    items = [item for item in decided.outbox if item.kind is DeliveryKind.CHAT_AUTOMATIC]
    assert len(items) == len(noted(decided, EntryKind.AUTOMATIC))
    return [(str(item.data["text"]), item.data["at"]) for item in items]


def at(days: float = 0, **clock: Any) -> str:
    return ((NINE + timedelta(days=days)).replace(**clock)).isoformat()


def test_a_first_message_is_acknowledged_once_with_the_deadline() -> None:
    """Without enough answers to speak of a habit the deadline is what is said, in full quarters; the next is silent."""
    desk = shop()
    desk.later(minutes=7)
    assert told(desk.writes()) == [("acknowledgement_by", at(hour=13, minute=15))]
    assert told(desk.later(minutes=1).writes("And where is the other one?")) == []


def test_the_time_comes_from_what_answers_usually_take() -> None:
    """Four of five first answers came within an hour and a half: that is what a customer may expect."""
    desk = shop()
    desk.usual = {"standard": timedelta(hours=1, minutes=20)}
    assert told(desk.writes()) == [("acknowledgement_by", at(hour=10, minute=30))]


def test_business_hours_carry_the_expectation_over_the_weekend() -> None:
    """Friday at four, two hours to go: Monday at ten."""
    desk = shop()
    desk.usual = {"standard": timedelta(hours=2)}
    assert told(desk.later(hours=7).writes()) == [("acknowledgement_by", at(days=3, hour=10))]


def test_out_of_hours_the_real_next_opening_is_said_once_for_each_closed_period() -> None:
    """On Saturday: Monday at nine. Nothing more that weekend, whatever is asked; the next weekend is another."""
    desk = shop()
    desk.minute = SATURDAY.total_seconds() / 60
    assert told(desk.writes()) == [("acknowledgement_closed", at(days=3))]
    assert told(desk.later(hours=3).writes("Hello?")) == []
    desk.later(hours=1).delivered()
    assert told(desk.later(hours=6).writes("And one more thing")) == [], "told already that nobody is there"
    desk.later(days=2).delivered()
    assert told(desk.later(days=4, hours=20).writes("Again")) == [("acknowledgement_closed", at(days=10))]


def test_a_holiday_moves_the_opening() -> None:
    """Where Monday is a holiday, the opening is on Tuesday."""
    monday = (NINE + timedelta(days=3)).date()
    closed = Calendar.build(name="office", tz="UTC", hours={"mon-fri": ["09:00-17:00"]}, holidays=[monday])
    desk = shop(calendar=closed)
    desk.minute = SATURDAY.total_seconds() / 60
    assert told(desk.writes()) == [("acknowledgement_closed", at(days=4))]


def test_nobody_is_told_that_the_team_is_closed_while_it_answers() -> None:
    """An agent who works late and just wrote is there: a reply to that gets no word of opening hours."""
    desk = shop()
    desk.writes()
    desk.later(hours=10).delivered()
    assert told(desk.later(minutes=5).writes("Thank you, and the other?")) == []
    desk.later(minutes=5).delivered()
    assert told(desk.later(hours=2).writes("Still there?")) == [("acknowledgement_closed", at(days=3))]


@pytest.mark.parametrize(
    "assessed",
    [THANKS, reading("spam"), reading("order", spam=0.9), reading(None, spam=0.6)],
    ids=["closure", "spam", "likely spam", "unsure but likely spam"],
)
def test_neither_thanks_nor_spam_is_acknowledged(assessed: Any) -> None:
    """What asks for nothing is not answered by a machine."""
    assert told(shop().writes("x", assessed)) == []


def test_a_closed_conversation_is_not_acknowledged_for_its_thanks() -> None:
    """A thank-you after done stays without an answer, in hours and out of them."""
    desk = shop()
    desk.writes()
    desk.later(hours=1).delivered()
    desk.presses("resolve")
    assert told(desk.later(hours=30).writes("Thanks!", THANKS)) == []
    assert told(desk.later(hours=1).writes("It is broken again")) == [("acknowledgement_closed", at(days=3))]


def test_what_was_set_aside_as_spam_is_never_answered() -> None:
    """A person said it is spam: nothing is sent to its author."""
    desk = shop("closed")
    desk.writes()
    desk.presses("relabel", "spam")
    assert told(desk.later(days=1).writes("Buy now", reading("order"))) == []


@pytest.mark.parametrize(("mode", "open_", "closed"), [("never", 0, 0), ("closed", 0, 1), ("always", 1, 1)])
def test_the_company_says_when(mode: str, open_: int, closed: int) -> None:
    """Always, only while nobody is there, or never."""
    assert len(told(shop(mode).writes())) == open_
    weekend = shop(mode)
    weekend.minute = SATURDAY.total_seconds() / 60
    assert len(told(weekend.writes())) == closed


def test_a_new_conversation_right_after_is_not_acknowledged_again() -> None:
    """Whoever was told a moment ago is not told again because somebody opened a new number."""
    desk = shop()
    desk.rules = replace(desk.rules, reopen_window=timedelta(minutes=1))
    desk.writes()
    desk.presses("resolve")
    again = desk.later(minutes=10).writes("Something else")
    assert again.reason == "opened"
    assert told(again) == []
    desk.presses("resolve")
    assert told(desk.later(hours=2).writes("And now?")) == [("acknowledgement_by", at(hour=15, minute=15))]


def test_a_time_too_far_away_is_not_said() -> None:
    """Beyond a week a time promises more than anybody knows: only the receipt is acknowledged."""
    desk = shop()
    desk.usual = {"standard": timedelta(hours=100)}
    assert told(desk.writes()) == [("acknowledgement", None)]


def test_the_thread_shows_what_the_customer_was_told() -> None:
    """Agents read under the message what was promised; no post of its own."""
    decided = shop().writes()
    message = noted(decided, EntryKind.INCOMING)[0]
    assert message.data["told"] == {"text": "acknowledgement_by", "at": at(hour=13)}
    assert not [item for item in decided.outbox if item.entry_id == noted(decided, EntryKind.AUTOMATIC)[0].id][1:]


def test_full_quarters() -> None:
    """A time is rounded up, never down, and a full one stays."""
    noon = datetime(2026, 6, 12, 12, tzinfo=UTC)
    assert automatic._quarter(noon) == noon
    assert automatic._quarter(noon + timedelta(microseconds=1)) == noon + timedelta(minutes=15)
    assert automatic._quarter(noon + timedelta(minutes=46)) == noon + timedelta(hours=1)
