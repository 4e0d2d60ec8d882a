"""What tests of the running program share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.contracts import storage_kit
from tests.contracts.storage_kit import Process


@pytest.fixture
async def process(make_database: Callable[[str], str]) -> AsyncIterator[Process]:
    """One process's stores, once on each engine."""
    async with storage_kit.process(make_database("relaydesk"), make_database("keys")) as made:
        yield made
