"""Two processes over one PostgreSQL database share the work, and either can do all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import world as worlds
from tests.world import MAYA, eventually


@pytest.mark.postgres
async def test_two_processes_share_one_database(tmp_path: Path, postgres_database: Callable[[], str]) -> None:
    """Each message is handled once, one process polls Telegram, and when that one stops the other goes on."""
    database, keystore = postgres_database(), postgres_database()
    async with worlds.world(tmp_path, database=database, keystore=keystore) as first:
        second = worlds.World(
            url=first.url,
            folder=first.folder,
            overrides=worlds.merged(first.overrides, {"web": {"port": 0}}),
            client=first.client,
        )
        await second.start(listening=False)
        try:
            phones = [await first.customer(f"C{place}") for place in range(8)]
            for number in range(3):
                words = [{"chat_id": phone.chat_id, "text": f"message {number}: where is it?"} for phone in phones]
                await first.control("telegram/send_many", messages=words)
            await first.card(7)
            for card in await first.cards():
                await card.says(MAYA, f"answer {card.ts}")

            async def answered() -> bool:
                return all([len(await phone.answers()) == 1 for phone in phones])

            await eventually(answered, what="one answer on every phone")

            async def shown() -> bool:
                counts = [sum("message" in post["text"] for post in await c.posts()) for c in await first.cards()]
                return counts == [3] * 8

            await eventually(shown, what="three messages in each thread")
            assert len(await first.cards()) == 8
            posts = await first.log(platform="slack", kind="post")
            seen = Counter((p["data"].get("thread_ts"), p["data"]["text"]) for p in posts)
            assert set(seen.values()) == {1}
            assert await first.log(platform="telegram", kind="poll_terminated") == [], "only one of them polls"

            assert await first.stop() == 0
            await phones[0].says("and now?")

            async def still() -> bool:
                posts = [post for card in await second.cards() for post in await card.posts()]
                return any("and now?" in post["text"] for post in posts)

            await eventually(still, what="the other process goes on")
        finally:
            if second.task is not None:
                await second.stop()
