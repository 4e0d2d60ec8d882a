"""What the operator hears of deliveries: once a day of each, again once it has worked, and not for ever of a flapping
channel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.operator_lines import MOST_RETURNS, Reports
from domain.changes import DeliveryKind
from storage.outbox import Claim, Outcome, Waiting

NOW = datetime(2026, 6, 12, 9, 0, tzinfo=UTC)
OPERATORS = "C0LEADS"


def _row(bucket: str, kind: DeliveryKind) -> Waiting:
    return Waiting(
        id="O1",
        seq=1,
        lane="l",
        bucket=bucket,
        kind=kind,
        conversation_id=None,
        identity_id=None,
        entry_id=None,
        part=0,
        urgency=0,
        attempts=0,
        data={},
        created_at=NOW,
        sending_at=None,
        unclear=False,
    )


ENTRY = _row("slack:C0SUPPORT", DeliveryKind.DESK_ENTRY)


def _refused(reason: str, row: Waiting = ENTRY) -> Outcome:
    return Outcome(claim=Claim(lane="l", fence=1, row=row), state="todo", reason=reason, park=f"access:{reason}")


class Told:
    """Reports, and the keys of what they said: what has the same key is said once."""

    def __init__(self, place: str | None = OPERATORS, *, on_call: bool = False) -> None:
        self.now = NOW
        self.reports = Reports(place, on_call=on_call, now=lambda: self.now)
        self.keys: list[str] = []

    def refused(self, reason: str, row: Waiting = ENTRY) -> bool:
        """Whether a refused delivery is news."""
        return self._news([line.idem_key for line in self.reports.of(_refused(reason, row))])

    def back(self, reason: str, row: Waiting = ENTRY) -> bool:
        """Whether it is news that it works again."""
        line = self.reports.restored(row, reason)
        return self._news([] if line is None else [line.idem_key])

    def _news(self, keys: list[str]) -> bool:
        new = [key for key in keys if key not in self.keys]
        self.keys += new
        return bool(new)


@pytest.mark.parametrize("reason", ["is_archived", "not_in_channel", "restricted_action"])
def test_it_is_closed_again_after_it_has_worked(reason: str) -> None:
    """Once a day however many posts are refused; but whoever read that it works is told that it is closed again."""
    told = Told()
    assert told.refused(reason)
    assert not told.refused(reason)
    assert told.back(reason)
    assert told.refused(reason)
    assert not told.refused(reason)


def test_the_last_word_on_what_comes_and_goes_is_that_it_is_closed() -> None:
    """A channel that flaps is told of a few times a day; the next day begins anew."""
    told = Told()
    news = [(told.refused("is_archived"), told.back("is_archived")) for _ in range(MOST_RETURNS + 3)]
    assert news == [(True, True)] * MOST_RETURNS + [(True, False)] + [(False, False)] * 2
    told.now += timedelta(days=1)
    assert told.refused("is_archived")
    assert told.back("is_archived")


def test_each_place_for_itself() -> None:
    """One channel that works again says nothing of another that was closed for the same reason."""
    told, other = Told(), _row("slack:C0BILLING", DeliveryKind.DESK_ENTRY)
    assert told.refused("is_archived")
    assert told.refused("is_archived", other)
    assert told.back("is_archived")
    assert not told.refused("is_archived", other)
    assert told.back("is_archived", other)


def test_where_it_works_again() -> None:
    """A channel, all of Slack, or a customers' platform; of the operator's own channel, and without one, nothing."""
    chat = _row("telegram:42", DeliveryKind.CHAT_TEXT)
    own = _row(f"slack:{OPERATORS}", DeliveryKind.DESK_NOTICE)
    reports = Reports(OPERATORS, on_call=False)
    said = [
        reports.restored(row, reason)
        for row, reason in ((ENTRY, "is_archived"), (ENTRY, "token_revoked"), (chat, "unauthorized"))
    ]
    assert [line and (line.data["text"], line.data["where"], line.data["place"]) for line in said] == [
        ("works_again", where, OPERATORS) for where in ("C0SUPPORT", "slack", "telegram")
    ]
    assert reports.restored(own, "restricted_action") is None
    assert Reports(None, on_call=False).restored(ENTRY, "is_archived") is None


def test_whoever_is_on_call_hears_of_a_closed_desk_once_a_day() -> None:
    """Nobody reads at a desk that is closed as a whole; of one channel they hear nothing."""
    told = Told(on_call=True)
    assert [line.kind for line in told.reports.of(_refused("token_revoked"))] == [DeliveryKind.HOOK_ALERT]
    assert told.refused("token_revoked")
    assert not told.refused("token_revoked")
    assert [line.kind for line in told.reports.of(_refused("is_archived"))] == [DeliveryKind.DESK_NOTICE]
