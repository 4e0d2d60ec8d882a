"""The poll loop: an update is confirmed to Telegram only after `accept` has stored it.

The offset starts at 0 and is never kept over a restart: Telegram serves everything unconfirmed again, and the inbox
knows what it has. python-telegram-bot's Updater is not used: it confirms what it holds in memory only, stops for good
on one 401, and spins on an update that it cannot parse.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from telegram.error import Conflict, TelegramError

from bot.channels import telegram_arrivals, telegram_trouble
from bot.channels.backoff import Backoff
from bot.channels.telegram_api import Api
from domain.ports import Accept

ALLOWED_UPDATES = ["message", "edited_message", "callback_query", "my_chat_member", "message_reaction"]
"""Sent explicitly at every start: without it Telegram keeps whatever the last program asked for."""
RENEW_AFTER = 3
"""So many failures in a row and the connections are made anew."""
FORGET_OFFSET_AFTER_S = 3600.0
"""After a quiet week Telegram draws a new, maybe lower update id: an old offset would confirm it unseen."""
PROMPT_S = 0.5
"""An empty answer faster than this did not wait for updates as it was asked to."""

SECOND_POLLER = (
    "Another program is fetching this bot's messages with the same token. Stop it, or give it a bot of its own. "
    "Nothing is lost: messages arrive at whichever asks."
)
STALE_WEBHOOK = (
    "A webhook is set for this bot, so Telegram does not answer polls. It is removed now; waiting messages are kept. "
    "If it comes back, another program sets it with the same token."
)

log = structlog.get_logger(__name__)


class Poller:
    """Fetches updates until cancelled."""

    def __init__(self, api: Api, *, source: str, timeout_s: float, backoff: Backoff) -> None:
        self._api = api
        self._source = source
        self._timeout_s = timeout_s
        self._backoff = backoff
        self._offset = 0
        self._failures = 0
        self._stuck = 0
        self._news_at = time.monotonic()
        self._is_sure = False

    async def run(self, accept: Accept) -> None:
        """Poll until cancelled. No answer of the platform and no error of `accept` ends it.

        The first poll, and the first after trouble, does not wait: it tells at once whether we hear Telegram.
        """
        await self._remove_webhook()
        while True:
            began = time.monotonic()
            wait_s = self._timeout_s if self._is_sure else 0.0
            try:
                result = await self._api.updates(offset=self._offset, timeout_s=wait_s, allowed=ALLOWED_UPDATES)
            except TelegramError as error:
                self._is_sure = False
                await self._trouble(error)
                continue
            self._is_sure = True
            self._failures = 0
            updates = result if isinstance(result, list) else [result]
            if updates:
                await self._take(updates, accept)
            else:
                await self._quiet(time.monotonic() - began, wait_s)

    async def _take(self, updates: list[Any], accept: Accept) -> None:
        updates = sorted(updates, key=_place)  # the order of ids is the order of events, whatever the answer's is
        arrivals = [telegram_arrivals.arrival(self._source, update) for update in updates]
        try:
            fresh = await accept(arrivals)
        except Exception as error:  # noqa: BLE001 - whatever storage runs into, the batch stays with Telegram
            self._stuck += 1
            wait_s = self._backoff.wait_s(self._stuck)
            log.error(
                "telegram_not_stored",
                channel=self._source,
                updates=len(updates),
                error=type(error).__name__,
                wait_s=round(wait_s, 2),
                meaning="Not confirmed to Telegram: it will send these messages again.",
            )
            await asyncio.sleep(wait_s)
            return
        self._news_at = time.monotonic()
        log.debug("telegram_stored", channel=self._source, updates=len(updates), fresh=fresh)
        await self._advance(updates)

    async def _advance(self, updates: list[Any]) -> None:
        numbers = [n for n in map(telegram_arrivals.update_id, updates) if n is not None]
        following = max(numbers) + 1 if numbers else self._offset
        if following != self._offset:
            self._offset = following
            self._stuck = 0
            return
        self._stuck += 1
        wait_s = self._backoff.wait_s(self._stuck)
        log.warning("telegram_no_progress", channel=self._source, updates=len(updates), wait_s=round(wait_s, 2))
        await asyncio.sleep(wait_s)

    async def _quiet(self, took_s: float, asked_s: float) -> None:
        now = time.monotonic()
        if self._offset and now - self._news_at > FORGET_OFFSET_AFTER_S:
            self._offset = 0
            self._news_at = now
        if took_s >= min(PROMPT_S, asked_s / 2):
            self._stuck = 0
            return
        self._stuck += 1
        await asyncio.sleep(self._backoff.wait_s(self._stuck))

    async def _trouble(self, error: TelegramError) -> None:
        self._failures += 1
        if isinstance(error, Conflict):
            wait_s = self._backoff.wait_s(self._failures)
            await self._conflict(error)
        else:
            wait_s = telegram_trouble.told(error, source=self._source, failures=self._failures, backoff=self._backoff)
        if self._failures % RENEW_AFTER == 0:
            await self._api.poll_wire.renew()
        await asyncio.sleep(wait_s)

    async def _conflict(self, error: Conflict) -> None:
        if "webhook" in str(error).casefold():
            log.error("telegram_conflict", channel=self._source, meaning=STALE_WEBHOOK)
            await self._remove_webhook()
        else:
            log.error("telegram_conflict", channel=self._source, meaning=SECOND_POLLER)

    async def _remove_webhook(self) -> None:
        """What waits is kept: no `drop_pending_updates`. A failure shows again as a conflict, and is mended there."""
        try:
            await self._api.call("deleteWebhook")
        except TelegramError as error:
            log.warning("telegram_webhook_not_removed", channel=self._source, error=type(error).__name__)


def _place(update: object) -> float:
    number = telegram_arrivals.update_id(update)
    return float("inf") if number is None else number
