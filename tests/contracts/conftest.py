"""What the contract suites share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from storage import engines
from tests import patience
from tests.contracts import storage_kit

Start = Callable[[str], Awaitable[storage_kit.Process]]


@pytest.fixture
async def start(make_database: Callable[[str], str]) -> AsyncIterator[Start]:
    """Starts processes on one storage, by name; each runs until the test ends. Once on each engine."""
    database_url, keys_url = make_database("relaydesk"), make_database("keys")
    async with AsyncExitStack() as stack:

        async def start_process(owner: str) -> storage_kit.Process:
            return await stack.enter_async_context(storage_kit.process(database_url, keys_url, owner))

        yield start_process


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that stop amid a transaction: PostgreSQL lets a transaction of databases opened from now on stand."""
    monkeypatch.setattr(engines, "IDLE_LIMIT_S", int(patience.LONG_S))


@pytest.fixture
async def one(start: Start) -> storage_kit.Process:
    """A single process."""
    return await start("one")
