"""Slack misbehaves: every post is there once, every agent's line is taken once, in order."""

from __future__ import annotations

import asyncio

import pytest

from bot import dispatcher
from tests.faults.story import answers, arrive, begun, fault, no_more_faults, requests, stand, tried_again, waiting
from tests.world import MAYA, World, eventually

BOT_TOKEN = "xoxb-sandbox"


async def test_a_post_of_unknown_fate_is_looked_up_and_stands_there_once(world: World) -> None:
    """Card and thread posts carry a delivery id: what Slack has stored is found, what it has not is posted."""
    kinds = ("drop_after", "500_after", "html_after", "truncated", "drop_before", "500", "html")
    for kind in kinds:
        await fault(world, "slack", "chat.postMessage", kind, count=2)
        phone, card = await begun(world, f"Ann {kind}")
        await phone.says("second")
        await stand(card, "Where is my parcel?", "second")
        await answers(card, "an answer")
        await arrive(phone, "an answer")
    assert len(await world.cards()) == len(kinds)
    posted = [r["data"] for r in await world.log(platform="slack", kind="post") if r["data"]["user"] == "U0SANDBOT"]
    ids = [data["metadata"]["event_payload"]["id"] for data in posted]
    assert len(ids) == len(set(ids)) == 3 * len(kinds)


async def test_a_storm_of_rate_limits_delays_and_nothing_more(world: World) -> None:
    """Refusals in a row: all that was written appears once, in order."""
    await fault(world, "slack", "chat.postMessage", "429", seconds=0.3, count=4)
    phone = await world.customer("Ann")
    texts = [f"message {number}" for number in range(6)]
    for text in texts:
        await phone.says(text)
    card = await world.card()
    await stand(card, *texts)
    assert len(await world.cards()) == 1


async def test_a_revoked_token_parks_the_lanes_and_everything_goes_on_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is given up while Slack lets us in no more; with the access back all of it appears, once, in order."""
    monkeypatch.setattr(dispatcher, "PARKED_RETRY_S", 0.3)
    await world.stop()
    await world.start()
    phone, card = await begun(world)
    await world.control("slack/settings", revoke=BOT_TOKEN)
    await phone.says("one")
    bob = await world.customer("Bob")
    await bob.says("Bob writes too")
    await phone.says("two")
    await tried_again(world, "slack", "chat.postMessage")
    assert [p["text"] for p in await card.posts() if p.get("bot_id")] == ["Where is my parcel?"]
    assert await world.house.stores.outbox.dead() == []
    await world.control("slack/settings", restore=BOT_TOKEN)
    await stand(card, "Where is my parcel?", "one", "two")
    await eventually(lambda: world.card(1), what="Bob's card")

    async def quiet() -> bool:
        return await waiting(world) == 0

    await eventually(quiet, what="nothing left to send")


async def test_what_may_have_been_posted_is_looked_up_after_a_revoked_access_came_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A post of unknown fate whose look-up is refused is not posted blindly once we are let in again."""
    monkeypatch.setattr(dispatcher, "PARKED_RETRY_S", 0.3)
    await world.stop()
    await world.start()
    phone, card = await begun(world)
    await fault(world, "slack", "conversations.replies", "error", error="token_revoked", count=2)
    await fault(world, "slack", "chat.postMessage", "drop_after")
    await phone.says("one")
    await phone.says("two")
    await stand(card, "Where is my parcel?", "one", "two")
    assert await requests(world, "slack", "chat.postMessage") == 4, "card, first words, one, two"


async def test_a_line_that_slack_lost_leaves_before_the_next_one(world: World) -> None:
    """The first line heard after a connection came up waits until its thread has been read."""
    phone, card = await begun(world)
    await fault(world, "slack", "events_api", "lose")
    await answers(card, "one")
    await world.control("slack/disconnect", reason="cut")
    await answers(card, "two")
    await arrive(phone, "one", "two")


async def test_lines_that_went_into_a_dead_connection_leave_before_later_ones(world: World) -> None:
    """Slack takes a connection for alive that is not: what it sends there is looked for before what comes otherwise."""
    phone, card = await begun(world)
    await answers(card, "zero")
    await arrive(phone, "zero")
    await fault(world, "slack", "events_api", "half_open")
    texts = [f"line {number}" for number in range(4)]
    await answers(card, *texts)
    await arrive(phone, "zero", *texts)


async def test_an_archived_channel_is_told_to_the_operator_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its conversations wait; the operator reads where and what to do; after the fix everything appears."""
    monkeypatch.setattr(dispatcher, "PARKED_RETRY_S", 0.3)
    await world.stop()
    await world.start()
    phone, card = await begun(world)
    await world.control("slack/archive", channel=card.channel)
    await phone.says("one")
    await phone.says("two")

    async def told() -> list[str]:
        page = await world.look("slack/channel/C0LEADS")
        return [m["text"] for m in page["messages"] if "was archived" in m["text"]]

    await eventually(told, what="the operator is told")
    await tried_again(world, "slack", "chat.postMessage")
    assert len(await told()) == 1
    await world.control("slack/unarchive", channel=card.channel)
    await stand(card, "Where is my parcel?", "one", "two")


async def test_troubled_sockets_lose_and_double_nothing(world: World) -> None:
    """Answers reach the customer once and in order when deliveries come twice, reversed, unheard or cut off."""
    kinds = ("no_ack", "duplicate", "reorder", "disconnect", "cut")
    for kind in kinds:
        phone, card = await begun(world, f"Ann {kind}")
        more = {"error": "refresh_requested"} if kind == "disconnect" else {}
        await fault(world, "slack", "events_api", kind, count=6, **more)
        texts = [f"line {number}" for number in range(4)]
        await answers(card, *texts)
        await arrive(phone, *texts)
        await no_more_faults(world)
    await asyncio.sleep(0.5)
    assert await requests(world, "telegram", "sendMessage") == 4 * len(kinds)


async def test_refused_tickets_are_waited_out(world: World) -> None:
    """Both connections are gone and Slack gives no new ones for a while: what was said meanwhile is not lost."""
    phone, card = await begun(world)
    await fault(world, "slack", "ticket", "refuse_ticket", count=2)
    await world.control("slack/disconnect", reason="cut")
    await answers(card, "one", "two")
    await arrive(phone, "one", "two")
    await no_more_faults(world)


async def test_an_agent_is_not_refused_because_slack_cannot_say_who_it_is(world: World) -> None:
    """While the user group cannot be read the answer waits; it is neither refused nor set aside."""
    phone, card = await begun(world)
    await fault(world, "slack", "usergroups.users.list", "500", count=1)
    await card.says(MAYA, "It comes tomorrow")
    await arrive(phone, "It comes tomorrow")
    assert await world.house.stores.inbox.dead() == []
