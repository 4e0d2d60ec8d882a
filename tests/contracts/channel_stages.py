"""Where a channel is put to the test: the platform's side of it, for each implementation."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Protocol

import uvicorn
from starlette.applications import Starlette

from bot.channels.backoff import Backoff
from bot.channels.memory import MemoryChannel, MemoryConfig
from bot.channels.telegram import TelegramChannel, TelegramConfig
from domain.ports import Channel
from tests import patience
from tests.sandbox.telegram_kit import TOKEN, Desk

SECRET = "contract-secret"
QUICK = Backoff(base_s=0.02, cap_s=0.1)


class Stage(Protocol):
    """A channel, two customers of it, and what they do and see."""

    channel: Channel
    ann: str
    bo: str

    async def says(self, who: str, words: str) -> str:
        """A customer writes; the message's id as events name it."""
        ...

    async def edits(self, who: str, message_id: str, words: str) -> None:
        """A customer changes a message."""
        ...

    async def attaches(self, who: str, name: str, content: bytes) -> None:
        """A customer sends a file."""
        ...

    async def blocks(self, who: str) -> None:
        """A customer wants no more messages."""
        ...

    async def sees(self, who: str) -> list[str]:
        """The words of all messages from us that the customer sees now, oldest first."""
        ...


class MemoryStage:
    """The channel in memory."""

    ann, bo = "ann", "bo"

    def __init__(self) -> None:
        self._memory = MemoryChannel(MemoryConfig())
        self.channel: Channel = self._memory

    async def says(self, who: str, words: str) -> str:
        return self._memory.say(who, words)

    async def edits(self, who: str, message_id: str, words: str) -> None:
        self._memory.edit(who, message_id, words)

    async def attaches(self, who: str, name: str, content: bytes) -> None:
        self._memory.say(who, "", file=(name, content))

    async def blocks(self, who: str) -> None:
        self._memory.blocked.add(who)

    async def sees(self, who: str) -> list[str]:
        return [sent.text for sent in self._memory.sent.values() if sent.address == who]


class TelegramStage:
    """A Telegram channel at the sandbox."""

    def __init__(self, desk: Desk, channel: TelegramChannel) -> None:
        self._desk = desk
        self.channel: Channel = channel
        self.ann = str(desk.join(first_name="Ann"))
        self.bo = str(desk.join(first_name="Bo"))

    async def says(self, who: str, words: str) -> str:
        return str((await self._do("send", who, text=words))["message_id"])

    async def edits(self, who: str, message_id: str, words: str) -> None:
        await self._do("edit", who, message_id=int(message_id), text=words)

    async def attaches(self, who: str, name: str, content: bytes) -> None:
        data = base64.b64encode(content).decode()
        await self._do("send", who, document=data, filename=name, mime="application/pdf")

    async def blocks(self, who: str) -> None:
        await self._do("block", who)

    async def sees(self, who: str) -> list[str]:
        chat = await asyncio.to_thread(self._desk.get, f"telegram/chat/{who}")
        messages = chat["chat"]["messages"] if "chat" in chat and "messages" in chat["chat"] else chat["messages"]
        return [m["text"] or m["caption"] or "" for m in messages if m["from"] == "bot" and not m["deleted"]]

    async def _do(self, what: str, who: str, **fields: object) -> dict[str, object]:
        return await asyncio.to_thread(self._desk.post, f"telegram/{what}", chat_id=int(who), **fields)


def account(desk: Desk) -> TelegramConfig:
    """A polling account at the sandbox, with short waits."""
    return TelegramConfig(
        token=TOKEN, base_url=f"{desk.url}/telegram", poll_timeout_s=1, send_timeout_s=patience.LONG_S, backoff=QUICK
    )


@contextlib.asynccontextmanager
async def mounted(channel: TelegramChannel, listener: socket.socket) -> AsyncIterator[None]:
    """The channel's routes in a real web server, for as long as the block lasts."""
    config = uvicorn.Config(Starlette(routes=channel.routes()), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
