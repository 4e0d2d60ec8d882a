"""What the operator hears of deliveries: once a day of each, again once it has worked, and not for ever of a flapping
channel."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest

from bot.operator_lines import CLOSURES, LOOKED_BACK, MOST_RETURNS, Reports
from domain.changes import DeliveryKind, Outgoing
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

    def __init__(self, place: str | None = OPERATORS, *, on_call: bool = False, keys: set[str] | None = None) -> None:
        self.now = NOW
        self.keys: set[str] = set() if keys is None else keys
        self.reports = Reports(place, told=self.known, on_call=on_call, now=lambda: self.now)

    async def known(self, keys: Collection[str]) -> set[str]:
        """What the outbox has of these keys."""
        return self.keys & set(keys)

    async def refused(self, reason: str, row: Waiting = ENTRY) -> bool:
        """Whether a refused delivery is news."""
        return bool(self.news(await self.reports.of(_refused(reason, row))))

    async def back(self, reason: str, row: Waiting = ENTRY) -> bool:
        """Whether it is news that it works again."""
        return bool(self.news(await self.reports.restored(row, reason)))

    def news(self, lines: list[Outgoing]) -> list[Outgoing]:
        """Those of these lines that are said."""
        new = [line for line in lines if line.idem_key not in self.keys]
        self.keys |= {line.idem_key for line in new}
        return new


@pytest.mark.parametrize("reason", ["is_archived", "not_in_channel", "restricted_action"])
async def test_it_is_closed_again_after_it_has_worked(reason: str) -> None:
    """Once a day however many posts are refused; but whoever read that it works is told that it is closed again."""
    told = Told()
    assert await told.refused(reason)
    assert not await told.refused(reason)
    assert await told.back(reason)
    assert not await told.back(reason)
    assert await told.refused(reason)
    assert not await told.refused(reason)


async def test_what_was_said_is_known_to_every_process() -> None:
    """Another process, or one after a restart, goes on where the last one stopped: the last word is the true one."""
    told = Told()
    assert await told.refused("is_archived")
    again = Told(keys=told.keys)
    assert not await again.refused("is_archived")
    assert await again.back("is_archived")
    assert not await told.back("is_archived")
    assert await told.refused("is_archived"), "closed once more, as another process has said that it works"


async def test_the_last_word_on_what_comes_and_goes_is_that_it_is_closed() -> None:
    """A channel that flaps is told of a few times a day; the next day begins anew."""
    told = Told()
    news = [(await told.refused("is_archived"), await told.back("is_archived")) for _ in range(MOST_RETURNS + 3)]
    assert news == [(True, True)] * MOST_RETURNS + [(True, False)] + [(False, False)] * 2
    told.now += timedelta(days=1)
    assert await told.refused("is_archived")
    assert await told.back("is_archived")


async def test_it_works_again_days_after_it_was_closed() -> None:
    """While something waits it is said every day that it is closed, and once that it works, whenever that is."""
    told = Told()
    for _ in range(2):
        assert await told.refused("is_archived")
        told.now += timedelta(days=1)
    told.now += timedelta(days=LOOKED_BACK - 3)
    assert await told.back("is_archived")
    assert not await told.back("is_archived")
    told.now += timedelta(days=1)
    assert await told.refused("is_archived")


async def test_nobody_is_told_that_works_what_nobody_knows_to_be_closed() -> None:
    """No line tells in Slack that Slack is closed to us, so none tells there that it works."""
    told = Told()
    assert not await told.back("is_archived")
    assert not await told.refused("token_revoked")
    assert not await told.back("token_revoked")


@pytest.mark.parametrize(("reason", "kind"), CLOSURES.items())
async def test_what_slack_tells_by_an_event_is_the_same_news_as_a_refused_post(reason: str, kind: str) -> None:
    """Whichever comes first is told; and closed by an event after it has worked is closed again."""
    told = Told()
    assert told.news(await told.reports.closed(kind, "C0SUPPORT"))
    assert not await told.refused(reason)
    assert await told.back(reason)
    assert told.news(await told.reports.closed(kind, "C0SUPPORT"))
    assert not await told.refused(reason)
    assert not await told.reports.closed(kind, OPERATORS)


async def test_each_place_for_itself() -> None:
    """One channel that works again says nothing of another that was closed for the same reason."""
    told, other = Told(), _row("slack:C0BILLING", DeliveryKind.DESK_ENTRY)
    assert await told.refused("is_archived")
    assert await told.refused("is_archived", other)
    assert await told.back("is_archived")
    assert not await told.refused("is_archived", other)
    assert await told.back("is_archived", other)


async def test_where_it_works_again() -> None:
    """A channel, or a customers' platform; of the operator's own channel, and without one, nothing."""
    chat = _row("telegram:42", DeliveryKind.CHAT_TEXT)
    own = _row(f"slack:{OPERATORS}", DeliveryKind.DESK_NOTICE)
    told, nobody = Told(), Told(place=None)
    for row, reason, where in ((ENTRY, "is_archived", "C0SUPPORT"), (chat, "unauthorized", "telegram")):
        assert await told.refused(reason, row)
        (line,) = await told.reports.restored(row, reason)
        assert (line.data["text"], line.data["where"], line.data["place"]) == ("works_again", where, OPERATORS)
        assert not await nobody.refused(reason, row)
        assert not await nobody.back(reason, row)
    assert not await told.refused("restricted_action", own)
    assert not await told.back("restricted_action", own)


async def test_whoever_is_on_call_hears_of_a_closed_desk_once_a_day_and_that_it_is_open() -> None:
    """Nobody reads at a desk that is closed as a whole; of one channel they hear nothing."""
    told = Told(on_call=True)
    lines = told.news(await told.reports.of(_refused("token_revoked")))
    assert [(line.kind, line.data["event"]) for line in lines] == [(DeliveryKind.HOOK_ALERT, "access_revoked")]
    assert not await told.refused("token_revoked")
    lines = told.news(await told.reports.restored(ENTRY, "token_revoked"))
    assert [(line.kind, line.data["event"]) for line in lines] == [(DeliveryKind.HOOK_ALERT, "access_restored")]
    assert not await told.back("token_revoked")
    assert await told.refused("token_revoked")
    assert [line.kind for line in await told.reports.of(_refused("is_archived"))] == [DeliveryKind.DESK_NOTICE]
