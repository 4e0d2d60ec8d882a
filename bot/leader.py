"""Singletons: run something in exactly one process at a time, by a lease in the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import metrics, times
from storage.clocks import Clocks

log = structlog.get_logger()

TERM = timedelta(seconds=6)  # a process that died is replaced within this time and one look more
RENEW_S = 2.0
STOP_S = 1.0  # so long before its end a lease that could not be renewed is given up
LET_GO_S = 5.0  # who is stopped waits so long for work to end that it broke off


async def lead(
    clocks: Clocks, name: str, owner: str, work: Callable[[], Awaitable[None]], since: dict[str, float] | None = None
) -> None:
    """Run `work` while this process holds the lease `name`; wait while another does. Until cancelled.

    `since` is told from when on (monotonic) this process does the work. When the lease cannot be renewed, the work is
    stopped before anybody else may take it. Work that does not end then, since it breaks off what it was at over a
    network that is gone (the driver gives up after minutes), leads nobody any more, and not again before it has ended.
    """
    task: asyncio.Task[None] | None = None
    leaving: asyncio.Task[None] | None = None
    held_until = 0.0
    told = {} if since is None else since
    loop = asyncio.get_running_loop()
    try:
        while True:
            if leaving is not None and not await _has_ended(leaving, RENEW_S):
                continue
            leaving = None
            is_leader = False
            try:
                asked = loop.time()
                # A network that is cut does not answer. Who leads nothing, or is alone, has nothing to lose by waiting.
                limit = None if task is None or clocks.is_alone else max(held_until - STOP_S, asked + STOP_S)
                async with asyncio.timeout_at(limit):
                    is_leader = await clocks.lead(name, owner, times.real(), TERM)
                held_until = asked + TERM.total_seconds() if is_leader else 0.0
            except (SQLAlchemyError, OSError) as error:
                log.warning("leader.not_renewed", name=name, error=type(error).__name__)
                is_leader = task is not None and loop.time() + RENEW_S < held_until
            if is_leader and task is None:
                task = asyncio.create_task(_as_task(work), name=f"lead-{name}")
                told[name] = time.monotonic()
                metrics.leads.labels(name=name.partition(":")[0]).set(1)
            elif not is_leader and task is not None:
                log.warning("leader.stepped_down", name=name)
                told.pop(name, None)
                metrics.leads.labels(name=name.partition(":")[0]).set(0)
                task.cancel()
                leaving, task = task, None
                continue
            if task is None:
                await asyncio.sleep(RENEW_S)
                continue
            done, _ = await asyncio.wait({task}, timeout=RENEW_S)
            if done:
                task.result()
                return
    finally:
        for one in (task, leaving):
            if one is not None:
                one.cancel()
                if not await _has_ended(one, LET_GO_S):
                    log.warning("leader.work_hangs", name=name)


async def _as_task(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _has_ended(task: asyncio.Task[None], within_s: float) -> bool:
    """Wait for work that was stopped; how it ended is nobody's concern any more."""
    await asyncio.wait({task}, timeout=within_s)
    if task.done() and not task.cancelled():
        task.exception()
    return task.done()
