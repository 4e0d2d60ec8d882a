"""Slack over HTTP behind a balancer: it does not matter which host is told of what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tests import world as worlds
from tests.faults import relay
from tests.faults.fleet import fleet
from tests.faults.story import arrive, begun, fault
from tests.world import MAYA, eventually

ROLES = [("web",), ("web",), ("intake", "worker", "dispatcher", "clock")]


@pytest.mark.postgres
async def test_whichever_host_is_told_it_happens_once(tmp_path: Path, postgres_database: Callable[[], str]) -> None:
    """Lines and presses go to two hosts in turn; one whose answer is lost is told to the other too. One effect each."""
    world = worlds.world(
        tmp_path, database=postgres_database(), keystore=postgres_database(), start=False, slack="http", web={"port": 0}
    )
    async with world as desk, fleet(desk, ROLES) as members:
        ports = [int(member.web.rpartition(":")[2]) for member in members[:2]]
        async with relay.balancer(ports) as between:
            await desk.control("slack/settings", events_url=f"http://127.0.0.1:{between.port}/slack/events")
            phone, card = await begun(desk)
            wanted = []
            for number in range(4):
                between.cut()
                if number % 2:
                    await fault(desk, "slack", "events_api", "no_ack")
                wanted.append(f"answer {number}, whoever hears it")  # not "line 1", which stands in every traceback
                await card.says(MAYA, wanted[-1])
                await arrive(phone, *wanted)

            async def changed() -> list[str]:
                return [one for one in await card.ours() if "riority" in one]

            for count, priority in enumerate(("Urgent", "Low"), start=1):
                between.cut()
                await card.chooses(MAYA, "change", priority)
                await eventually(partial(_at_least, count, changed), what=f"{priority} in the thread")
            assert set(between.dealt) == set(ports), "both hosts were told of something"
            assert len(await changed()) == 2, "each press once"
            assert await phone.answers() == wanted, "each line once"


async def _at_least(count: int, look: Callable[[], Awaitable[list[str]]]) -> bool:
    return len(await look()) >= count
