"""The sweep, on a real database: what cannot be looked at keeps nobody else waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot import times
from bot.batcher import Batcher
from bot.clock import JOB, Sweep
from domain.changes import ClockRow
from domain.model import EntryKind, Status
from domain.sla import ClockState, EventKind, Metric
from storage import flush, tables
from storage.engines import Connection
from storage.record import Record
from tests import patience
from tests.contracts import storage_kit
from tests.contracts.storage_kit import Process, Story, new_id, story
from tests.handlers.kit import rulebook

LONG_AGO = times.real() - timedelta(days=2)


class Bench:
    """A sweep over one process's stores."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.sweep = Sweep(
            database=process.db,
            clocks=process.clocks,
            record=process.record,
            rules=rulebook(),
            clock=times.Timekeeper(),
        )

    async def overdue(self, address: str) -> Story:
        """A customer who has waited for two days."""
        made = story(address=address, policy="standard", opened_at=LONG_AGO, unanswered_since=LONG_AGO)
        said = replace(made.said("hello", data={"sla": EventKind.CUSTOMER_MESSAGE.value}), at=LONG_AGO)
        clock = due(made.conversation.id)
        await self.process.decide(replace(made.opening(), entries=(said,), clocks=(clock,)), now=times.real())
        return made

    async def alerts(self) -> set[str]:
        """The conversations of which an alert was given."""
        lines = await self.process.rows(tables.timeline)
        return {line["conversation_id"] for line in lines if line["kind"] == "clock"}

    async def due(self) -> list[str]:
        """The conversations with an alert that is due and was not given."""
        coming = await self.process.clocks.coming(99)
        return [alert.conversation_id for alert in coming if alert.alert_at <= times.real()]

    async def writes(self, statement: Any) -> None:
        """Change something behind everybody's back."""

        async def work(conn: Connection) -> None:
            await conn.execute(statement)

        await self.process.db.write(work)


def due(conversation: str) -> ClockRow:
    return ClockRow(
        id=new_id(),
        conversation_id=conversation,
        metric=Metric.FIRST_RESPONSE,
        instance=1,
        state=ClockState.RUNNING,
        started_at=LONG_AGO,
        due_at=LONG_AGO,
        stopped_at=None,
        next_alert_at=LONG_AGO,
    )


@pytest.fixture
async def bench(make_database: Callable[[str], str]) -> AsyncIterator[Bench]:
    """A sweep, once on each engine."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as process:
        yield Bench(process)


async def test_a_conversation_that_cannot_be_read_silences_no_other(bench: Bench) -> None:
    """An altered cell stops the alerts of its own conversation only, and the sweep comes to an end."""
    altered, other = await bench.overdue("1"), await bench.overdue("2")
    line = tables.timeline.c.conversation_id == altered.conversation.id
    await bench.writes(tables.timeline.update().where(line).values(body_sealed=b"\x01" * 60))
    for _ in range(2):
        await asyncio.wait_for(bench.sweep.sweep(), timeout=patience.LONG_S)
        assert await bench.alerts() == {other.conversation.id}
    assert bench.sweep.last_success_age() < patience.LONG_S


class Meddling(Record):
    """A record that somebody else writes to while the sweep decides: just before the alert would be written."""

    meddle: Callable[[], Awaitable[None]] | None = None

    async def prepare(self, decisions: Sequence[flush.Decision], now: datetime) -> flush.Prepared:
        prepared = await super().prepare(decisions, now)
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            await meddle()
        return prepared


async def test_an_answer_in_the_last_moment_silences_the_alert(bench: Bench) -> None:
    """Whatever changes between deciding and writing is seen in the transaction itself; the others are told at once."""
    answered, other = await bench.overdue("1"), await bench.overdue("2")
    lines = tuple(
        replace(answered.said("", data=data), kind=EntryKind.STATUS, at=times.real())
        for data in ({"sla": EventKind.AGENT_REPLY.value}, {"sla": EventKind.STATUS.value, "to": Status.DONE.value})
    )
    record = Meddling(bench.process.db, bench.process.keys)

    async def answers() -> None:
        changed = answered.changed(0, unanswered_since=None, status=Status.DONE)
        await bench.process.decide(replace(changed, entries=lines), now=times.real())

    record.meddle = answers
    sweep = Sweep(
        database=bench.process.db,
        clocks=bench.process.clocks,
        record=record,
        rules=rulebook(),
        clock=times.Timekeeper(),
    )
    await asyncio.wait_for(sweep.sweep(), timeout=patience.LONG_S)
    assert await bench.alerts() == {other.conversation.id}
    await asyncio.wait_for(sweep.sweep(), timeout=patience.LONG_S)
    assert await bench.alerts() == {other.conversation.id}
    assert await bench.due() == []


async def test_the_clocks_of_an_erased_customer_are_put_away(bench: Bench) -> None:
    """Whose key is destroyed is nobody any more: nothing is said, nothing is asked again, and the others are told."""
    erased, other = await bench.overdue("1"), await bench.overdue("2")
    await bench.process.keys.destroy(erased.customer.id, times.real())
    await asyncio.wait_for(bench.sweep.sweep(), timeout=patience.LONG_S)
    assert await bench.alerts() == {other.conversation.id}
    assert await bench.due() == []


async def test_a_clock_that_nobody_owns_does_not_keep_the_sweep_busy(bench: Bench) -> None:
    """A clock without its conversation is passed over; what is due beside it is given."""
    other = await bench.overdue("1")
    row = tables.clocks.c.conversation_id == other.conversation.id
    await bench.writes(tables.clocks.update().where(row).values(conversation_id=new_id(), metric="next_response"))
    found = await bench.overdue("2")
    await asyncio.wait_for(bench.sweep.sweep(), timeout=patience.LONG_S)
    assert await bench.alerts() == {found.conversation.id}


async def test_a_stop_that_comes_with_a_wake_up_is_heard() -> None:
    """A loop that is cancelled in the moment it is woken ends, instead of going round once more for ever."""
    woken, rounds = asyncio.Event(), 0

    async def loop() -> None:
        nonlocal rounds
        while rounds < 9:
            woken.clear()
            await times.until(woken, 5)
            rounds += 1

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    woken.set()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=patience.LONG_S)
    assert task.cancelled()


async def test_one_value_that_cannot_be_loaded_fails_only_who_asked_for_it() -> None:
    """Loads are made together; when one of them fails, each is made alone."""

    async def load(keys: Any) -> dict[str, str]:
        await asyncio.sleep(0)
        if "bad" in keys:
            raise ValueError(keys)
        return {key: key.upper() for key in keys}

    batcher = Batcher(load)
    found = await asyncio.gather(*(batcher.get(key) for key in ("a", "bad", "b")), return_exceptions=True)
    assert found[::2] == ["A", "B"]
    assert isinstance(found[1], ValueError)


@pytest.mark.parametrize("hours", [None, 19, 21])
async def test_the_operator_hears_that_nothing_ran_for_most_of_a_day(process: Process, hours: int | None) -> None:
    """Once, by whoever sweeps first: what Telegram gave up meanwhile will not come. Not on the very first start."""
    began = times.real()
    if hours is not None:
        await process.clocks.beat(JOB, began - timedelta(hours=hours))
    for _ in range(2):
        sweep = Sweep(
            database=process.db,
            clocks=process.clocks,
            record=process.record,
            rules=rulebook(operator_channel="C0LEADS"),
            clock=times.Timekeeper(),
        )
        await sweep.sweep()
        await sweep.sweep()
    told = [json.loads(row["data"]) for row in await process.rows(tables.outbox) if row["kind"] == "desk.notice"]
    since = str(int((began - timedelta(hours=hours or 0)).timestamp()))
    assert [(one["text"], one["since"]) for one in told] == ([("down_long", since)] if hours == 21 else [])
