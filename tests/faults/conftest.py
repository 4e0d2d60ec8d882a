"""A running world for tests that make the platforms misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import world as worlds


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[worlds.World]:
    """A running world with the defaults: polling, Socket Mode, SQLite."""
    async with worlds.world(tmp_path) as made:
        yield made
