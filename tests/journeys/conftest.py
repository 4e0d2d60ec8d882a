"""The matrix: how messages come in, how Slack is heard, where the record lives."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import dispatcher, keeper, verdicts
from storage import erasures
from tests import world as worlds

FULL = list(itertools.product(("polling", "webhook"), ("socket", "http"), ("sqlite", "postgres")))
# Every pair of values of two axes stands in one of these four.
PAIRWISE = [
    ("polling", "socket", "sqlite"),
    ("polling", "http", "postgres"),
    ("webhook", "socket", "postgres"),
    ("webhook", "http", "sqlite"),
]
BOTH = [("polling", "socket", "sqlite"), ("webhook", "http", "postgres")]
"""Each engine once: for stories in which the engine can matter."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One cell of the matrix."""

    telegram: str
    slack: str
    engine: str


def cells(names: list[tuple[str, str, str]]) -> list[object]:
    """Cells as pytest parameters, PostgreSQL's marked as such."""
    return [
        pytest.param(
            Setting(telegram=t, slack=s, engine=e),
            id=f"{t}-{s}-{e}",
            marks=[pytest.mark.postgres] if e == "postgres" else [],
        )
        for t, s, e in names
    ]


async def in_cell(
    request: pytest.FixtureRequest, tmp_path: Path, setting: Setting, **overrides: Any
) -> AsyncIterator[worlds.World]:
    """A running world in one cell of the matrix."""
    database = keystore = None
    if setting.engine == "postgres":
        make: Callable[[], str] = request.getfixturevalue("postgres_database")
        database, keystore = make(), make()
    async with worlds.world(
        tmp_path,
        telegram=setting.telegram,
        slack=setting.slack,
        database=database,
        keystore=keystore,
        **overrides,
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def prompt_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is stored after its answer failed to come, so nobody needs to wait for that."""
    monkeypatch.setattr(verdicts, "STILL_GOING", timedelta(0))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks often at what usually can wait. Ask for it before the world: it holds from the first look on."""
    monkeypatch.setattr(keeper, "EVERY", timedelta(seconds=0.2))
    monkeypatch.setattr(dispatcher, "PARKED_RETRY_S", 0.5)
    monkeypatch.setattr(erasures, "LINGER", timedelta(seconds=1))


@pytest.fixture(params=cells(FULL))
async def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[worlds.World]:
    """A running world, once in every cell of the matrix."""
    async for made in in_cell(request, tmp_path, request.param):
        yield made


@pytest.fixture(params=cells(PAIRWISE))
async def pairwise(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[worlds.World]:
    """A running world, once in each of the four cells that cover every pair."""
    async for made in in_cell(request, tmp_path, request.param):
        yield made


@pytest.fixture(params=cells(BOTH))
async def both(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[worlds.World]:
    """A running world, once on each engine."""
    async for made in in_cell(request, tmp_path, request.param):
        yield made


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[worlds.World]:
    """A running world with the defaults: polling, Socket Mode, SQLite."""
    async with worlds.world(tmp_path) as made:
        yield made
