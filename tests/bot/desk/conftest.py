"""Fixtures of the desk: one sandbox for the folder, reset before each test, and a desk that talks to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from bot.desk.slack import SlackDesk
from tests import patience
from tests.bot.desk.kit import Slack, Store, config, sandbox_process, until


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """A sandbox process for all tests of this worker."""
    with sandbox_process() as url:
        yield url


@pytest.fixture
async def slack(sandbox_url: str) -> AsyncIterator[Slack]:
    """A fresh workspace."""
    side = Slack(sandbox_url)
    await side.post("reset")
    yield side
    await side.close()


@pytest.fixture
async def desk(slack: Slack) -> AsyncIterator[SlackDesk]:
    """A desk that sends and parses, but does not listen."""
    made = SlackDesk(config(slack.url))
    yield made
    await made.close()


@pytest.fixture
def store() -> Store:
    """An empty inbox."""
    return Store()


@pytest.fixture
async def listening(slack: Slack, store: Store) -> AsyncIterator[SlackDesk]:
    """A desk that listens over two connections and stores into `store`."""
    made = SlackDesk(config(slack.url), rebuild_after=6.0, ping_every=1.0)
    running = asyncio.create_task(made.run(store.accept))
    await until(made.reconnected.is_set)

    async def both() -> bool:
        return len((await slack.get("slack/connections"))["connections"]) == 2

    await patience.eventually(both, what="two connections")
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await made.close()
