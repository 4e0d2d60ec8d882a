"""Whether an answer may go: what was said before it in its thread is stored, or it is looked for."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from bot import reconciler
from bot.reconciler import Reconciler
from domain.errors import AccessRevoked, NotYet, RetryLater
from domain.ports import Accept, Arrival, Desk, ThreadCursor
from storage.inbox import Inbox
from storage.outbox import Outbox
from storage.record import Record

BEGAN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
OLD, YOUNG = f"{BEGAN.timestamp() - 60:.6f}", f"{BEGAN.timestamp() + 60:.6f}"
PLACE = "C0SUPPORT"


@dataclass
class Platform:
    """A desk that remembers how often it was asked, and a record that knows of no line yet."""

    lost: list[str] = field(default_factory=list)
    trouble: Exception | None = None
    is_slow: bool = False
    asked: int = 0

    async def missed(self, threads: Sequence[ThreadCursor], accept: Accept) -> int:
        """Tell what was lost."""
        self.asked += 1
        if self.is_slow:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        assert len(threads) == 1
        told, self.lost = self.lost, []
        return await accept([Arrival(source="slack", event_key=ts, lane_key="1", payload=ts, kind="x") for ts in told])

    async def open_threads(self, _most: int) -> list[tuple[str, str, datetime]]:
        """One, in which something was said before."""
        return [(PLACE, OLD, BEGAN)]

    async def newest_said(self, _conversation_id: str) -> datetime | None:
        """Nothing."""
        return None


class Bench:
    """A reconciler in a process that does not fill gaps by itself."""

    def __init__(self, *, looks: int = 1000) -> None:
        self.looks = looks
        self.platform = Platform()
        self.stored: list[str] = []
        self.reconnected, self.doubted = asyncio.Event(), asyncio.Event()
        self.times = itertools.count(1)
        self.reconciler = Reconciler(
            desk=cast("Desk", self.platform),
            record=cast("Record", self.platform),
            inbox=cast("Inbox", None),
            outbox=cast("Outbox", None),
            accept=self._accept,
            every=timedelta(minutes=5),
            reconnected=self.reconnected,
            doubted=self.doubted,
            now=lambda: BEGAN,
            may_look=self._may_look,
            tell=self._tell,
        )
        self.told: list[str] = []

    async def _accept(self, arrivals: Sequence[Arrival]) -> int:
        self.stored += [arrival.payload for arrival in arrivals]
        return len(arrivals)

    async def _may_look(self) -> bool:
        self.looks -= 1
        return self.looks >= 0

    async def _tell(self, what: str) -> None:
        self.told.append(what)

    async def whole(self, said_at: float, thread: str = OLD, newest: float = 0.0) -> bool:
        """Ask as a worker does that has claimed its lane just now."""
        when = {"said_at": said_at, "newest": max(said_at, newest), "by": time.monotonic()}
        return await self.reconciler.is_whole(PLACE, thread, "conversation", **when)


async def test_a_thread_is_read_once_while_nothing_is_wrong() -> None:
    """One that was there before we listened is read before its first answer, a younger one never."""
    bench = Bench()
    assert not await bench.whole(1.0)
    for said_at in (1.0, 2.0, 3.0):
        assert await bench.whole(said_at)
        assert await bench.whole(said_at, YOUNG)
    assert bench.platform.asked == 1


async def test_in_doubt_each_answer_is_looked_behind_once_it_is_stored() -> None:
    """What was said before it is found each time; lines that were stored together are looked behind together."""
    bench = Bench()
    assert not await bench.whole(1.0)
    bench.doubted.set()
    for said_at in (10.0, 20.0):
        bench.platform.lost = [f"before {said_at}"]
        assert not await bench.whole(said_at, YOUNG)
        assert bench.stored[-1] == f"before {said_at}"
        assert await bench.whole(said_at - 1, YOUNG)
        assert await bench.whole(said_at, YOUNG)
    asked = bench.platform.asked
    assert not await bench.whole(30.0, YOUNG, newest=32.0)
    assert [await bench.whole(said_at, YOUNG) for said_at in (30.0, 31.0, 32.0)] == [True] * 3
    assert bench.platform.asked == asked + 1


async def test_what_was_missing_is_a_doubt_of_its_own() -> None:
    """Where a line was found that should have been told, the next answer is looked behind too."""
    bench = Bench()
    bench.platform.lost = ["lost"]
    assert not await bench.whole(1.0)
    assert not await bench.whole(2.0)
    assert await bench.whole(2.0)


async def test_a_claim_from_before_the_look_is_made_again() -> None:
    """What was found is not among the rows that were claimed while it was looked for."""
    bench = Bench()
    claimed_before = time.monotonic()
    bench.doubted.set()
    assert not await bench.whole(5.0)
    when = {"said_at": 5.0, "newest": 5.0, "by": claimed_before}
    assert not await bench.reconciler.is_whole(PLACE, OLD, "conversation", **when)
    assert await bench.whole(5.0)


async def test_a_busy_desk_in_doubt_asks_no_more_than_slack_allows() -> None:
    """Beyond that answers go as they do without a doubt: nobody waits for a look that is probably in vain."""
    bench = Bench(looks=3)
    bench.doubted.set()
    looked = [not await bench.whole(float(said_at), YOUNG) for said_at in range(1, 7)]
    assert looked == [True, True, True, False, False, False]
    assert bench.platform.asked == 3


async def test_a_desk_that_cannot_be_asked_holds_an_answer_back_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is tried again, and after half a minute the answer goes as it is: out of order beats not at all."""
    bench = Bench()
    bench.platform.trouble = RetryLater("server_error", "conversations.replies")
    with pytest.raises(RetryLater):
        await bench.whole(1.0)
    monkeypatch.setattr(reconciler, "PATIENCE_S", 0.0)
    assert not await bench.whole(1.0)
    assert await bench.whole(1.0)


async def test_a_desk_that_answers_slowly_does_not_hold_up_other_conversations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look that takes too long is given up for now, and the next threads do not try meanwhile."""
    monkeypatch.setattr(reconciler, "LOOK_WITHIN_S", 0.01)
    bench = Bench()
    bench.platform.is_slow = True
    for _ in range(3):
        with pytest.raises(NotYet):
            await bench.whole(1.0)
    assert bench.platform.asked == 1


async def test_looks_that_were_not_made_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A desk that hangs uses up no budget while it is left alone, and no answer goes unproved for that: it is held."""
    monkeypatch.setattr(reconciler, "LOOK_WITHIN_S", 0.01)
    bench = Bench(looks=2)
    bench.platform.is_slow = True
    bench.doubted.set()
    for said_at in range(1, 7):
        with pytest.raises(NotYet):
            await bench.whole(float(said_at), YOUNG)
    assert bench.platform.asked == 1
    bench.platform.is_slow = False
    bench.reconciler._rests_until = 0.0
    assert not await bench.whole(7.0, YOUNG)
    assert bench.platform.asked == 2
    assert await bench.whole(7.0, YOUNG)


async def test_an_answer_whose_look_is_to_be_repeated_is_held_also_without_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was refused, others have used up the rest of the minute: it waits for its half minute, then it goes."""
    bench = Bench(looks=1)
    bench.platform.trouble = RetryLater("ratelimited", "conversations.replies")
    bench.doubted.set()
    with pytest.raises(RetryLater):
        await bench.whole(1.0, YOUNG)
    with pytest.raises(NotYet):
        await bench.whole(1.0, YOUNG)
    monkeypatch.setattr(reconciler, "PATIENCE_S", 0.0)
    assert await bench.whole(1.0, YOUNG)
    assert bench.platform.asked == 1


async def test_a_desk_that_hangs_for_others_holds_an_answer_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its half minute runs also while nobody is asked: other threads, which always ask first, do not keep it."""
    monkeypatch.setattr(reconciler, "LOOK_WITHIN_S", 0.01)
    bench = Bench()
    bench.platform.is_slow = True
    other = f"{BEGAN.timestamp() - 30:.6f}"
    for thread in (OLD, other):
        with pytest.raises(NotYet):
            await bench.whole(1.0, thread)
    monkeypatch.setattr(reconciler, "PATIENCE_S", 0.0)
    assert not await bench.whole(1.0, other)
    assert await bench.whole(1.0, other)
    assert bench.platform.asked == 1


async def test_what_was_said_in_many_threads_is_remembered_of_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may live for ever: a thread that was forgotten is read once more, and nothing piles up."""
    monkeypatch.setattr(reconciler, "THREADS_REMEMBERED", 2)
    bench = Bench()
    threads = [f"{BEGAN.timestamp() - number:.6f}" for number in range(60, 63)]
    for thread in threads:
        assert not await bench.whole(1.0, thread)
    assert [await bench.whole(1.0, thread) for thread in threads[1:]] == [True, True]
    assert not await bench.whole(1.0, threads[0])
    assert len(bench.reconciler._whole) == len(bench.reconciler._proved) == 2


async def test_the_operator_hears_once_that_what_was_missed_cannot_be_read_back() -> None:
    """A permission is lacking, which only a person can give; and once it is there."""
    bench = Bench()
    assert await bench.reconciler.fill() == 0
    assert bench.told == []
    bench.platform.trouble = AccessRevoked("missing_scope", "conversations.replies needs channels:history")
    for _ in range(3):
        assert await bench.reconciler.fill() == 0
    assert bench.told == ["gap_unread"]
    bench.platform.trouble, bench.platform.lost = None, ["written meanwhile"]
    assert await bench.reconciler.fill() == 1
    assert (bench.told, bench.stored) == (["gap_unread", "gap_read"], ["written meanwhile"])


async def test_what_slack_refuses_for_now_alarms_nobody_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again; after an hour of that somebody should look."""
    bench = Bench()
    bench.platform.trouble = RetryLater("rate_limited", "conversations.replies")
    await bench.reconciler.fill()
    await bench.reconciler.fill()
    assert bench.told == []
    monkeypatch.setattr(reconciler, "UNREAD_FOR_S", 0.0)
    await bench.reconciler.fill()
    assert bench.told == ["gap_unread"]
