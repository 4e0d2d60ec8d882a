"""A running world for tests that make the platforms misbehave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot import verdicts
from tests import world as worlds


@pytest.fixture(autouse=True)
def prompt_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is stored after its answer failed to come, so nobody needs to wait for that."""
    monkeypatch.setattr(verdicts, "STILL_GOING", timedelta(0))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[worlds.World]:
    """A running world with the defaults: polling, Socket Mode, SQLite."""
    async with worlds.world(tmp_path) as made:
        yield made
