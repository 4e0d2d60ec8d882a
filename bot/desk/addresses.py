"""The addresses of posts, which Slack tells one by one: asked for once each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final, TypeVar

import structlog

from bot.desk.client import SlackApi
from bot.desk.payloads import string
from domain.errors import DeliveryError, RetryLater

log = structlog.get_logger()

T = TypeVar("T")

KEPT: Final = 1_000
AT_ONCE: Final = 4
"""Asked for side by side: a page names up to forty threads, and people wait for it."""
PATIENCE_S: Final = 3.0
"""So long a page waits for its links; one without some of them is better than one that is late."""
PAUSE_S: Final = 30.0
"""How long nothing is asked after "too often" where Slack does not say for how long."""
GONE: Final = frozenset({"channel_not_found", "message_not_found"})
"""There is no such post, or none for us now: asking again soon would cost and say the same."""
GONE_S: Final = 600.0
"""After so long such a post is asked for again: we may have been let into its channel meanwhile."""
Place = tuple[str, str]
"""A post: its channel and its time."""


class Addresses:
    """Looks addresses up, and remembers the newest thousand; what is gone for a while. `now` in monotonic seconds."""

    def __init__(
        self, api: SlackApi, *, now: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S
    ) -> None:
        self._api = api
        self._now = now
        self._patience_s = patience_s
        self._known: dict[Place, str] = {}
        self._gone: dict[Place, float] = {}  # until when
        self._paused_until = float("-inf")

    async def of(self, channel: str, ts: str) -> str | None:
        """The address of a post; None if Slack does not say."""
        if (known := self._known.get((channel, ts))) is not None:
            return known
        if self._now() < max(self._paused_until, self._gone.get((channel, ts), float("-inf"))):
            return None
        try:
            answer = await self._api.call("chat.getPermalink", channel=channel, message_ts=ts)
        except DeliveryError as error:
            log.info("desk.no_link", code=error.code)
            if isinstance(error, RetryLater) and error.code == "rate_limited":
                pause = PAUSE_S if error.after is None else error.after.total_seconds()
                self._paused_until = max(self._paused_until, self._now() + pause)
            elif error.code in GONE:
                _keep(self._gone, (channel, ts), self._now() + GONE_S)
            return None
        link = string(dict(answer), "permalink")
        if not link.startswith(("https://", "http://")):
            return None
        _keep(self._known, (channel, ts), link)
        return link

    async def all(self, places: Collection[Place]) -> dict[Place, str]:
        """The addresses of several posts; those that Slack does not tell, or not soon enough, are left out."""
        free = asyncio.Semaphore(AT_ONCE)
        found: dict[Place, str] = {}

        async def one(place: Place) -> None:
            async with free:
                link = await self.of(*place)
            if link is not None:
                found[place] = link

        try:
            async with asyncio.timeout(self._patience_s):
                await asyncio.gather(*(one(place) for place in dict.fromkeys(places)))
        except TimeoutError:
            log.info("desk.no_link", code="timeout")
        return found


def _keep(kept: dict[Place, T], place: Place, value: T) -> None:
    kept.pop(place, None)
    kept[place] = value
    if len(kept) > KEPT:
        kept.pop(next(iter(kept)))
