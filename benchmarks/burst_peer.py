"""First come, first served, to compare with: each message is a post of its own, in the order in which they came.

A customer's first message makes a card, as at the desk; every message is a reply to it. Each channel is sent to once a
second, which is Slack's limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import zlib
from collections.abc import Sequence
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from benchmarks.bare_bot import SANDBOX_TOKEN

APART_S = 1.0


async def run(url: str, channels: Sequence[str]) -> None:
    """Forward until SIGTERM."""
    async with aiohttp.ClientSession() as session:
        slack = AsyncWebClient("xoxb-sandbox", base_url=f"{url}/slack/api/", session=session)
        waiting: dict[str, asyncio.Queue[tuple[int, str, str]]] = {channel: asyncio.Queue() for channel in channels}
        tasks = [asyncio.create_task(_post(slack, channel, queue)) for channel, queue in waiting.items()]
        tasks.append(asyncio.create_task(_poll(session, url, list(waiting.values()))))
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        print(json.dumps({"ready": True}), flush=True)
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _poll(
    session: aiohttp.ClientSession, url: str, waiting: Sequence[asyncio.Queue[tuple[int, str, str]]]
) -> None:
    offset = 0
    while True:
        wanted = {"offset": offset, "timeout": 10}
        async with session.post(f"{url}/telegram/bot{SANDBOX_TOKEN}/getUpdates", json=wanted) as answer:
            updates: list[dict[str, Any]] = (await answer.json())["result"]
        for update in updates:
            offset = int(update["update_id"]) + 1
            message = update.get("message")
            if message is not None:
                chat = int(message["chat"]["id"])
                place = zlib.crc32(str(chat).encode()) % len(waiting)
                waiting[place].put_nowait((chat, str(message["from"]["first_name"]), str(message.get("text", ""))))


async def _post(slack: AsyncWebClient, channel: str, waiting: asyncio.Queue[tuple[int, str, str]]) -> None:
    threads: dict[int, str] = {}
    while True:
        chat, name, said = await waiting.get()
        if chat not in threads:
            threads[chat] = await _send(slack, channel, f"{name} has written", None)
        await _send(slack, channel, said, threads[chat])


async def _send(slack: AsyncWebClient, channel: str, said: str, thread: str | None) -> str:
    while True:
        try:
            done = await slack.chat_postMessage(channel=channel, text=said, thread_ts=thread)
        except SlackApiError as error:
            await asyncio.sleep(float(error.response.headers.get("Retry-After", 1)))
        else:
            await asyncio.sleep(APART_S)
            return str(done["ts"])


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run(sys.argv[1], sys.argv[2:]))
