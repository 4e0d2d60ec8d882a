"""What was written in open threads while we were not listening, told as the events that should have brought it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from bot.desk.client import SlackApi
from bot.desk.payloads import Own, Payload, arrival, concerns_nobody, history_edit, history_event, mapping, string
from domain.errors import AccessRevoked, NeverPossible, RetryLater
from domain.ports import Accept, Arrival, ThreadCursor

log = structlog.get_logger(__name__)

AT_ONCE = 4
"""Threads asked about at a time: Slack allows some fifty such calls a minute."""
PAGE = 200
MAX_WAIT_S = 60.0
WAITS = 5


class Gaps:
    """Reads threads. `own` is asked for at each run, since it is only known once Slack has answered."""

    def __init__(self, api: SlackApi, own: Callable[[], Own], now: Callable[[], datetime]) -> None:
        self._api = api
        self._own = own
        self._now = now
        self._free_at = 0.0  # monotonic

    async def fill(self, threads: Sequence[ThreadCursor], accept: Accept) -> int:
        """Store what is new in these threads and return how much that was.

        A thread that is gone is left out. Where access is missing the others are read first, then AccessRevoked is
        raised; RetryLater when Slack cannot be asked at all.
        """
        left, counts, failures = iter(threads), [0], list[Exception]()

        async def read() -> None:
            for thread in left:  # one after the other: hundreds of threads are no hundreds of tasks
                try:
                    counts.append(await self._thread(thread, accept))
                except Exception as error:  # noqa: BLE001  # raised once the others are read
                    failures.append(error)

        await asyncio.gather(*(read() for _ in range(AT_ONCE)))
        stored = sum(counts)
        if failures:
            log.warning("desk.gap_not_read", threads=len(failures), stored=stored, error=type(failures[0]).__name__)
            raise failures[0]
        return stored

    async def _thread(self, thread: ThreadCursor, accept: Accept) -> int:
        stored = 0
        cursor: str | None = None
        while True:
            try:
                answer = await self._ask(thread, cursor)
            except NeverPossible as error:
                log.info("desk.thread_gone", code=error.code)
                return stored
            messages = answer.get("messages")
            found: list[Arrival] = []
            for message in messages if isinstance(messages, list) else ():
                found += self._arrivals(mapping(message), thread)
            if found:
                stored += await accept(found)
            cursor = string(mapping(answer.get("response_metadata")), "next_cursor") or None
            if cursor is None:
                return stored

    def _arrivals(self, message: Payload, thread: ThreadCursor) -> list[Arrival]:
        own, ts = self._own(), string(message, "ts")
        if not ts or ts == thread.thread_ts or ts < thread.newest_ts:
            return []
        said = {"channel": thread.place, "team_id": own.team_id}
        message = {"thread_ts": thread.thread_ts, **message}
        payloads = [history_event(message, **said), history_edit(message, **said)]
        told = [payload for payload in payloads if payload and not concerns_nobody(payload, own)]
        return [arrival("events_api", payload, self._now()) for payload in told]

    async def _ask(self, thread: ThreadCursor, cursor: str | None) -> Payload:
        for _ in range(WAITS):
            await self._until_free()
            try:
                return dict(
                    await self._api.call(
                        "conversations.replies",
                        channel=thread.place,
                        ts=thread.thread_ts,
                        oldest=thread.newest_ts or None,
                        inclusive=True,
                        limit=PAGE,
                        cursor=cursor,
                    )
                )
            except RetryLater as error:
                if error.bucket is None:
                    raise
                wait = error.after.total_seconds() if error.after else 1.0
                self._free_at = max(self._free_at, time.monotonic() + min(wait, MAX_WAIT_S))
        raise RetryLater("rate_limited", "conversations.replies", bucket="channel")

    async def _until_free(self) -> None:
        """Hold every thread back once one was refused, also when whoever asked for that one waits no more."""
        while True:
            left = self._free_at - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)


__all__ = ["AccessRevoked", "Gaps"]
