"""Signs that Slack has sent something into nothing: each is told before what came after it is stored."""

from __future__ import annotations

import asyncio

from bot.desk.slack import SlackDesk
from tests.bot.desk.kit import MAYA, Slack, Store, config, until
from tests.bot.desk.test_sockets import acknowledged, root_of
from tests.world import eventually


async def listened(desk: SlackDesk, slack: Slack, store: Store, connections: int) -> asyncio.Task[None]:
    """Let a desk listen, until Slack counts so many connections."""
    running = asyncio.create_task(desk.run(store.accept))

    async def look() -> bool:
        return len((await slack.get("slack/connections"))["connections"]) == connections

    await eventually(look, what=f"{connections} connections")
    await until(desk.reconnected.is_set)
    return running


async def test_a_line_makes_sure_that_the_other_connection_lives(slack: Slack, store: Store) -> None:
    """Where an earlier line may have gone into a dead connection, that is told before the next one is stored."""
    told: list[int] = []
    desk = SlackDesk(config(slack.url), ping_every=2.0, doubted=lambda: told.append(len(store.all)))
    running = await listened(desk, slack, store, 2)
    root = await root_of(desk)
    await acknowledged(slack)
    await slack.write(MAYA, "all is well", root)
    await until(lambda: len(store.all) == 1)
    assert told == []
    await acknowledged(slack)
    await slack.fault("events_api", "half_open")
    await slack.write(MAYA, "goes into nothing", root)
    await slack.write(MAYA, "comes over the other one", root)
    await until(lambda: len(store.all) >= 2)
    assert told[0] == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.close()
    await slack.post("slack/disconnect", reason="cut")  # Slack would go on taking the dead one for alive


async def test_a_connection_too_many_is_a_doubt(slack: Slack, store: Store) -> None:
    """Slack counts a connection that is not ours, so it may send there what concerns us; one's own are none."""
    told: list[str] = []
    first = SlackDesk(config(slack.url), doubted=lambda: told.append("first"))
    second = SlackDesk(config(slack.url), doubted=lambda: told.append("second"))
    ends = [await listened(first, slack, store, 2)]
    assert told == []
    ends.append(await listened(second, slack, store, 4))
    assert set(told) == {"second"}
    for running in ends:
        running.cancel()
    await asyncio.gather(*ends, return_exceptions=True)
    await first.close()
    await second.close()


async def test_a_connection_that_ended_without_a_word_is_a_doubt(slack: Slack, store: Store) -> None:
    """What was on its way over it comes again later; a connection that Slack exchanges is none."""
    told: list[str] = []
    desk = SlackDesk(config(slack.url, connections=1), ping_every=0.5, doubted=lambda: told.append("doubt"))
    running = await listened(desk, slack, store, 1)
    for reason, doubts in (("refresh_requested", 0), ("cut", 1)):
        desk.reconnected.clear()
        await slack.post("slack/disconnect", reason=reason)
        await until(desk.reconnected.is_set)
        assert len(told) == doubts, reason
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.close()
