"""The addresses of posts, which Slack tells one by one: asked for once each."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from bot.desk.client import SlackApi
from bot.desk.payloads import string
from domain.errors import DeliveryError

log = structlog.get_logger()

KEPT: Final = 1_000
AT_ONCE: Final = 4
"""Asked for side by side: a page names up to forty threads, and people wait for it."""
Place = tuple[str, str]
"""A post: its channel and its time."""


class Addresses:
    """Looks addresses up, and remembers the newest thousand."""

    def __init__(self, api: SlackApi) -> None:
        self._api = api
        self._known: dict[Place, str] = {}

    async def of(self, channel: str, ts: str) -> str | None:
        """The address of a post; None if Slack does not say."""
        if (known := self._known.get((channel, ts))) is not None:
            return known
        try:
            answer = await self._api.call("chat.getPermalink", channel=channel, message_ts=ts)
        except DeliveryError as error:
            log.info("desk.no_link", code=error.code)
            return None
        link = string(dict(answer), "permalink")
        if not link.startswith(("https://", "http://")):
            return None
        self._known[channel, ts] = link
        if len(self._known) > KEPT:
            self._known.pop(next(iter(self._known)))
        return link

    async def all(self, places: Collection[Place]) -> dict[Place, str]:
        """The addresses of several posts; those that Slack does not tell are left out."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(place: Place) -> str | None:
            async with free:
                return await self.of(*place)

        wanted = list(dict.fromkeys(places))
        found = await asyncio.gather(*(one(place) for place in wanted))
        return {place: link for place, link in zip(wanted, found, strict=True) if link is not None}
