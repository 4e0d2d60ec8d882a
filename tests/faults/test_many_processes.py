"""Processes with roles of their own over one PostgreSQL: each does its share, and another takes over what one led."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests import patience
from tests import world as worlds
from tests.faults.fleet import Member, fleet
from tests.world import MAYA, eventually

TAKEOVER_S = 10.0
PEOPLE = 6
ROLES = [("intake", "clock"), ("intake", "clock"), ("worker",), ("dispatcher",), ("worker", "dispatcher")]


async def _leader(members: list[Member], world: worlds.World, name: str) -> Member | None:
    leading = [one for one in members if await one.leads(world.client, name)]
    return leading[0] if len(leading) == 1 else None


@pytest.mark.postgres
async def test_roles_share_the_work_and_a_killed_leader_is_replaced(
    tmp_path: Path, postgres_database: Callable[[], str]
) -> None:
    """Every message is shown once and in order, every answer arrives once, and every alert is given once, though the
    process that polls and sweeps, a worker and a dispatcher are killed amid it; polling goes on within ten seconds.
    """
    world = worlds.world(
        tmp_path, database=postgres_database(), keystore=postgres_database(), start=False, web={"port": 0}
    )
    async with world as desk, fleet(desk, ROLES) as members:
        phones = [await desk.customer(f"C{place}") for place in range(PEOPLE)]
        said: list[list[str]] = [[] for _ in phones]

        async def everybody(words: str) -> None:
            for place, phone in enumerate(phones):
                text = f"{words} from {place}: where is my parcel?"
                said[place].append(text)
                await phone.says(text)

        async def shown() -> bool:
            posts = [p["data"]["text"] for p in await desk.log(platform="slack", kind="post")]
            return all(any(text in post for post in posts) for texts in said for text in texts)

        await everybody("first word")
        await desk.card(PEOPLE - 1)
        with patience.Own(os.getpid(), *(one.pid for one in members)) as across:
            await phones[0].says("and quickly from 0: are you there?")
            said[0].append("and quickly from 0: are you there?")
            await eventually(shown, what="everything is shown")
        assert across.seconds < 3.0, "what one process stores another is told of, and does not find when it looks next"

        leader = await eventually(lambda: _leader(members, desk, "telegram"), what="somebody polls")
        fallen = (leader, members[2], members[3])
        await desk.control("clock", advance_s=timedelta(days=4).total_seconds())  # every first answer is overdue now
        await asyncio.sleep(1.0)  # whoever sweeps may have begun to tell
        left = [one for one in members if one not in fallen]
        with patience.Own(os.getpid(), *(one.pid for one in left)) as took:
            for one in fallen:
                one.kill()
            await eventually(lambda: _leader(left, desk, "telegram"), what="another one polls")
        assert took.seconds < TAKEOVER_S
        await eventually(lambda: _leader(left, desk, "sweep"), what="another one sweeps")

        async def alerts() -> list[int]:
            return [sum("First answer is overdue" in one for one in await card.ours()) for card in await desk.cards()]

        async def alerted() -> bool:
            return all(await alerts())

        await eventually(alerted, what="every alert is given")
        await everybody("second word")
        await eventually(shown, what="the others go on")
        for card in await desk.cards():
            await card.says(MAYA, f"answer {card.ts}")

        async def answered() -> bool:
            return all([len(await phone.answers()) == 1 for phone in phones])

        await eventually(answered, what="one answer on every phone")
        assert await alerts() == [1] * PEOPLE, "each alert once"
        posts = [p["data"] for p in await desk.log(platform="slack", kind="post") if p["data"].get("thread_ts")]
        seen = Counter(text for texts in said for text in texts for post in posts if text in post["text"])
        assert set(seen.values()) == {1}, "each message once"
        for texts in said:
            order = [text for post in posts for text in texts if text in post["text"]]
            assert order == texts
