"""When a campaign is over: everything that was written is done, and nothing more comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests import world as worlds
from tests.faults.books import Books
from tests.faults.traffic import Traffic

STILL_S = 1.5  # so long nothing more may be stored: a late second copy would show
LOOK_EVERY_S = 0.25


async def quiet(
    world: worlds.World,
    traffic: Traffic,
    books: Books,
    acting: asyncio.Task[None],
    patience: float,
    alive: Callable[[], Awaitable[bool]],
) -> None:
    """Let the product finish; returns when all is done, or when nothing has moved for so long (seconds).

    `alive` is asked at every look, and may start again whoever has ended; False ends the wait.
    """
    limit = time.monotonic() + patience
    still_since, last = time.monotonic(), -1
    while time.monotonic() < limit:
        await asyncio.sleep(LOOK_EVERY_S)
        if acting.done():
            acting.result()
        if not await alive():
            return
        seq = (await world.look("log", limit=1))["last_seq"]
        pending = (await world.look("telegram/updates"))["updates"]
        busy = traffic.is_writing or traffic.unsettled or pending or any(await books.waiting())
        moved = seq != last and await _moved(world, last)
        if moved:
            limit = time.monotonic() + patience
        if busy or moved:
            still_since = time.monotonic()
        last = seq
        if time.monotonic() - still_since > STILL_S and await _all_there(world, traffic):
            return


async def _moved(world: worlds.World, after: int) -> bool:
    records = await world.log(after=max(after, 0))
    return any(r["kind"] in ("post", "bot_message", "ephemeral") for r in records)


async def _all_there(world: worlds.World, traffic: Traffic) -> bool:
    """True when as much arrived in the chats as was written: what Slack repeats late is waited for."""
    records = await world.log(platform="telegram", kind="bot_message")
    return len(records) >= sum(len(customer.answers) for customer in traffic.customers)
