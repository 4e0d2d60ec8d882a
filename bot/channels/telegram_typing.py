"""Shows the customer that an answer is on its way: now and then, never instead of it and never before its turn."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog
from telegram.error import TelegramError

from bot.channels import telegram_wire
from domain.errors import DeliveryError

log = structlog.get_logger(__name__)

SHOWN_S = 4.5
"""Telegram shows it for five seconds."""
PER_SECOND = 5
"""Of the thirty calls a second that Telegram allows a bot, as many are spent on this at most."""
SLOW_S = 0.5
"""An upload that is over before this needs no word about it."""
TYPING = "typing"
UPLOADS = {"photo": "upload_photo", "video": "upload_video", "voice": "upload_voice"}
MOST_CHATS = 1000

Call = Callable[[str, Mapping[str, object]], Awaitable[object]]


class Typing:
    """Calls sendChatAction beside what is sent. A refusal is nobody's concern; after a 429 it is quiet as long."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._shown: dict[str, float] = {}
        self._recent: deque[float] = deque(maxlen=PER_SECOND)
        self._quiet_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def show(self, address: str, where: Mapping[str, object], action: str = TYPING) -> None:
        """Show it in the chat of this address from now on for some seconds, if the limits allow. Never waits."""
        now = time.monotonic()
        crowded = len(self._recent) == PER_SECOND and now - self._recent[0] < 1.0
        if crowded or now < self._quiet_until or now - self._shown.get(address, -math.inf) < SHOWN_S:
            return
        if len(self._shown) >= MOST_CHATS:
            self._shown = {chat: at for chat, at in self._shown.items() if now - at < SHOWN_S}
        self._shown[address] = now
        self._recent.append(now)
        task = asyncio.create_task(self._say({**where, "action": action}), name="typing")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def quiet(self, seconds: float) -> None:
        """Say nothing for so long: the platform asked for less."""
        self._quiet_until = max(self._quiet_until, time.monotonic() + seconds)

    @contextlib.asynccontextmanager
    async def during(self, address: str, where: Mapping[str, object], kind: str) -> AsyncIterator[None]:
        """Show that a file of this kind is on its way, for as long as it takes."""
        task = asyncio.create_task(self._keep(address, where, UPLOADS.get(kind, "upload_document")), name="uploading")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, address: str, where: Mapping[str, object], action: str) -> None:
        await asyncio.sleep(SLOW_S)
        while True:
            self.show(address, where, action)
            await asyncio.sleep(SHOWN_S)

    async def _say(self, about: Mapping[str, object]) -> None:
        try:
            await self._call("sendChatAction", about)
        except telegram_wire.TooMany as error:
            self.quiet(error.after.total_seconds())
        except (TelegramError, DeliveryError) as error:
            log.debug("telegram_typing_not_shown", error=type(error).__name__)
