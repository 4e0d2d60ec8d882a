"""Alerts are given once: when the sweep is killed in the middle, and when two processes sweep at the same time."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bot import times
from domain.sla import EventKind
from storage import tables
from tests import nursery
from tests.bot.test_sweep import due
from tests.contracts import storage_kit
from tests.contracts.storage_kit import Process, story

AGO = timedelta(hours=4, minutes=2)
"""The first answer was due two minutes ago: the breach is said, and the next level is not."""


async def overdue(process: Process, count: int, begin: int = 0) -> set[str]:
    """So many customers, numbered from `begin`, whose first answer is overdue; their conversations."""
    then = times.real() - AGO
    made = [
        story(address=str(place), policy="standard", queue="support", opened_at=then, unanswered_since=then)
        for place in range(begin, begin + count)
    ]
    for one in made:
        said = replace(one.said("hello", data={"sla": EventKind.CUSTOMER_MESSAGE.value}), at=then)
        clock = replace(due(one.conversation.id), started_at=then, next_alert_at=then + timedelta(hours=3))
        await process.decide(replace(one.opening(), entries=(said,), clocks=(clock,)), now=then)
    return {one.conversation.id for one in made}


async def sweeper(database: str, keys: str, crash_at: str = "") -> int:
    """Run a sweeping process; its exit code."""
    words = ("tests.faults.sweeper", database, keys)
    process = await asyncio.to_thread(nursery.module, *words, env={**os.environ, "RELAYDESK_CRASH_AT": crash_at})
    with process:
        return await asyncio.to_thread(process.wait)


async def given(process: Process) -> tuple[Counter[str], Counter[str]]:
    """How often each conversation's breach was noted, and how many messages say it."""
    lines = [line for line in await process.rows(tables.timeline) if line["kind"] == "clock"]
    sent = [row for row in await process.rows(tables.outbox) if row["kind"] == "desk.alert"]
    return Counter(line["conversation_id"] for line in lines), Counter(row["conversation_id"] for row in sent)


async def test_a_kill_in_the_sweep_loses_and_doubles_no_alert(make_database: Callable[[str], str]) -> None:
    """What was decided and not written is decided again by whoever comes next; what was written is not."""
    database, keys = make_database("relaydesk"), make_database("keys")
    async with storage_kit.process(database, keys) as process:
        ids = await overdue(process, 60)
        assert await sweeper(database, keys, "in_sweep:2") == -9
        noted, _ = await given(process)
        assert 0 < len(noted) < 60, "killed in the middle"
        assert await sweeper(database, keys, "in_sweep:2") == -9
        assert await sweeper(database, keys) == 0
        noted, sent = await given(process)
        assert noted == sent == Counter(ids)


@pytest.mark.postgres
async def test_two_sweeps_at_once_give_each_alert_once(postgres_database: Callable[[], str]) -> None:
    """Even where the lease that keeps them apart fails: whoever comes second finds it done."""
    database, keys = postgres_database(), postgres_database()
    async with storage_kit.process(database, keys) as process:
        ids = await overdue(process, 120)
        assert await asyncio.gather(*(sweeper(database, keys) for _ in range(2))) == [0, 0]
        noted, sent = await given(process)
        assert noted == sent == Counter(ids)
