"""A scripted Bot API and a channel that talks to it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from bot.channels.backoff import Backoff
from bot.channels.telegram import TelegramChannel, TelegramConfig
from domain.ports import Accept, Arrival
from tests import patience
from tests.bot.channels import scripted_api
from tests.bot.channels.scripted_api import TOKEN, ScriptedApi

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
QUICK = Backoff(base_s=0.02, cap_s=0.05)


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    """A Bot API on a real socket that answers as told."""
    async with scripted_api.serving() as serving:
        yield serving


@pytest.fixture
async def channel(api: ScriptedApi) -> AsyncIterator[TelegramChannel]:
    """A polling channel at the scripted Bot API, with short waits."""
    async with opened(config_at(api.url)) as made:
        yield made


@pytest.fixture
async def hasty(api: ScriptedApi) -> AsyncIterator[TelegramChannel]:
    """One that waits no longer than a second for an answer."""
    async with opened(dataclasses.replace(config_at(api.url), send_timeout_s=1.0)) as made:
        yield made


def config_at(url: str) -> TelegramConfig:
    """A polling account at `url`, which polls for a second and tries again soon."""
    return TelegramConfig(token=TOKEN, base_url=url, poll_timeout_s=1, send_timeout_s=patience.LONG_S, backoff=QUICK)


@contextlib.asynccontextmanager
async def opened(config: TelegramConfig) -> AsyncIterator[TelegramChannel]:
    """The channel of a configuration, at product time NOW."""
    channel = TelegramChannel(config, now=lambda: NOW)
    try:
        yield channel
    finally:
        await channel.close()


class Inbox:
    """Stores arrivals once per key, as the real one does; `fail` makes the next calls raise first."""

    def __init__(self) -> None:
        self.rows: dict[str, Arrival] = {}
        self.batches: list[list[str]] = []
        self.fail = 0

    async def accept(self, arrivals: Sequence[Arrival]) -> int:
        """An `Accept`."""
        self.batches.append([arrival.event_key for arrival in arrivals])
        if self.fail:
            self.fail -= 1
            raise RuntimeError("database is locked")
        new = [arrival for arrival in arrivals if arrival.event_key not in self.rows]
        self.rows.update({arrival.event_key: arrival for arrival in new})
        return len(new)


@pytest.fixture
def inbox() -> Inbox:
    """An inbox in memory."""
    return Inbox()


@contextlib.asynccontextmanager
async def running(channel: TelegramChannel, accept: Accept) -> AsyncIterator[asyncio.Task[None]]:
    """The channel's `run`, ended by cancellation."""
    task = asyncio.create_task(channel.run(accept))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


until = partial(patience.eventually, every=0.01)
"""Waits until something holds; what is waited for happens behind a socket of this process."""


def message(update_id: int, text: str = "Where is my parcel?", *, chat_id: int = 42, **more: object) -> dict[str, Any]:
    """An update with a text message; `more` are further fields of the message."""
    content: dict[str, Any] = {"text": text} if text else {}
    return {
        "update_id": update_id,
        "message": {
            "message_id": update_id * 10,
            "date": 1_760_000_000,
            "chat": {"id": chat_id, "type": "private", "first_name": "Ann"},
            "from": {"id": chat_id, "is_bot": False, "first_name": "Ann", "last_name": "Lee", "language_code": "en-GB"},
            **content,
            **more,
        },
    }


def writable(event: object) -> None:
    """UnicodeEncodeError when a text in the event cannot be written anywhere (half a character)."""
    json.dumps(dataclasses.asdict(event), default=str, ensure_ascii=False).encode()  # type: ignore[call-overload]
