"""Telegram misbehaves: what may have arrived is shown and settled, everything else arrives once, in order."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import func, select, update

from bot import dispatcher
from bot.channels import telegram_wire
from storage import outbox, tables
from storage.engines import Connection
from tests.faults.story import UNCLEAR, answers, arrive, begun, fault, no_more_faults, requests, tried_again
from tests.world import MAYA, Json, World, eventually

LONG_S = 600.0
SENSIBLE_S = telegram_wire.UNNAMED_WAIT.total_seconds()


async def test_an_answer_that_may_have_arrived_stops_its_lane_until_an_agent_settles_it(world: World) -> None:
    """Stored, but no answer: later answers wait; [It arrived] lets them go on, in order, and nothing is sent twice."""
    phone, card = await begun(world)
    await fault(world, "telegram", "sendMessage", "drop_after")
    await answers(card, "first", "second", "third")
    asked = await card.says_ours(UNCLEAR, "Send again", "It arrived", f"<@{MAYA}>")
    await card.shows("certain that the last answer arrived")
    await asyncio.sleep(0.5)
    assert await phone.answers() == ["first"], "nothing goes out before it is settled"
    await card.presses(MAYA, "mark_arrived", ts=asked["ts"])
    await arrive(phone, "first", "second", "third")
    assert await requests(world, "telegram", "sendMessage") == 3


async def test_send_again_sends_once_more_and_the_rest_follows(world: World) -> None:
    """The agent decided that a second copy is better than none: one more, then what waited behind it."""
    phone, card = await begun(world)
    await fault(world, "telegram", "sendMessage", "drop_after")
    await answers(card, "first", "second")
    asked = await card.says_ours(UNCLEAR)
    await asyncio.gather(*(card.presses(MAYA, "retry", ts=asked["ts"]) for _ in range(2)))
    await arrive(phone, "first", "first", "second")
    await card.whispered(MAYA, "settled already")
    await asyncio.sleep(0.3)
    assert await phone.answers() == ["first", "first", "second"], "a second press sends nothing"


async def test_no_usable_answer_is_never_repeated_blindly(world: World) -> None:
    """Whether it was stored cannot be known from here, so the agent is asked, who can look."""
    for kind in ("drop_before", "500", "html", "500_after", "html_after"):
        phone, card = await begun(world, f"Ann {kind}")
        await fault(world, "telegram", "sendMessage", kind)
        await answers(card, "first", "second")
        asked = await card.says_ours(UNCLEAR)
        arrived = await phone.answers() == ["first"]
        assert arrived == kind.endswith("_after")
        await card.presses(MAYA, "mark_arrived" if arrived else "retry", ts=asked["ts"])
        await arrive(phone, "first", "second")


async def test_half_an_answer_that_began_as_a_success_is_one(world: World) -> None:
    """Nobody needs to be asked where Telegram had said that it took the message."""
    phone, card = await begun(world)
    await fault(world, "telegram", "sendMessage", "truncated")
    await answers(card, "first", "second")
    await arrive(phone, "first", "second")
    assert not any(UNCLEAR in post["text"] for post in await card.posts())


async def test_a_rate_limit_is_obeyed_and_keeps_the_order(world: World) -> None:
    """The chat waits as long as Telegram says, or a sensible while; other chats go on; nothing overtakes."""
    phone, card = await begun(world)
    other, other_card = await begun(world, "Bob")
    await fault(world, "telegram", "sendMessage", "429", seconds=LONG_S)
    await answers(card, "first")
    (refusal,) = await eventually(lambda: _refusals(world), what="the refusal")
    await answers(card, "second", "third")
    await answers(other_card, "to Bob")
    await arrive(other, "to Bob")
    assert await phone.answers() == [], "he did not wait for the other chat"
    held_until = await eventually(lambda: _held_until(world), what="the limit is kept")
    assert held_until >= refusal["at_real"] + LONG_S
    await _let_the_limits_end(world)
    await arrive(phone, "first", "second", "third")
    assert await requests(world, "telegram", "sendMessage") == 5, "one refusal, four sends"
    await fault(world, "telegram", "sendMessage", "429_no_header")
    await answers(card, "fourth", "fifth")
    await arrive(phone, "first", "second", "third", "fourth", "fifth")
    refusal = (await _refusals(world))[-1]
    (sent,) = [one for one in await world.log(platform="telegram", kind="bot_message") if "fourth" in str(one["data"])]
    assert sent["at_real"] >= refusal["at_real"] + SENSIBLE_S
    assert await requests(world, "telegram", "sendMessage") == 8


async def _refusals(world: World) -> list[Json]:
    return await world.log(platform="telegram", kind="fault")


async def _held_until(world: World) -> float | None:
    """Until when (seconds) the longest rate limit holds; None while there is none."""
    async with world.house.stores.database.read() as conn:
        found: float | None = (await conn.execute(select(func.max(tables.limits.c.not_before)))).scalar_one()
    return found


async def _let_the_limits_end(world: World) -> None:
    """Whatever waits for a time waits no longer."""
    waits = (tables.limits.c.not_before, tables.outbox.c.not_before, tables.lanes.c.ready_at)
    now = time.time()

    async def end(conn: Connection) -> None:
        for column in waits:
            await conn.execute(update(column.table).where(column > now).values({column.name: now}))

    await world.house.stores.database.write(end, wake=(outbox.SIGNAL,))


async def test_a_customer_who_blocked_the_bot_ends_the_clock_as_undeliverable(world: World) -> None:
    """The agent reads the reason and sees a cross; the first response counts as undeliverable, not as missed."""
    phone, card = await begun(world)
    await phone.does("block")
    ts = await card.says(MAYA, "It comes tomorrow")
    await card.says_ours("not delivered", "the customer has blocked the bot")

    async def crossed() -> bool:
        return await card.reactions(ts) == ["x"]

    await eventually(crossed, what="the cross")

    async def undeliverable() -> bool:
        query = select(tables.clocks.c.state).where(tables.clocks.c.metric == "first_response")
        async with world.house.stores.database.read() as conn:
            return list((await conn.execute(query)).scalars()) == ["undeliverable"]

    await eventually(undeliverable, what="the clock of the first response")


async def test_a_refused_token_parks_everything_and_tells_the_operator_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers wait while Telegram refuses the token, and leave in order when it is good again."""
    monkeypatch.setattr(dispatcher, "PARKED_RETRY_S", 0.3)
    await world.stop()
    await world.start()
    ann, ann_card = await begun(world, "Ann")
    bob, bob_card = await begun(world, "Bob", "I cannot log in")
    await fault(world, "telegram", "sendMessage", "401", count=None)
    await answers(ann_card, "Ann 1", "Ann 2")
    await answers(bob_card, "Bob 1", "Bob 2")
    await eventually(lambda: _told(world), what="the operator is told")
    await tried_again(world, "telegram", "sendMessage")
    assert await _told(world) == 1
    assert await ann.answers() == await bob.answers() == []
    await no_more_faults(world)
    await arrive(ann, "Ann 1", "Ann 2")
    await arrive(bob, "Bob 1", "Bob 2")


async def _told(world: World) -> int:
    page = await world.look("slack/channel/C0LEADS")
    return sum("does not let us in" in message["text"] for message in page["messages"])


async def test_a_second_poller_and_a_token_glitch_lose_nothing(world: World) -> None:
    """One 409 and one 401 on the way in are waited out; what was written meanwhile appears once."""
    phone, card = await begun(world)
    await fault(world, "telegram", "getUpdates", "409")
    await phone.says("during the conflict")
    await fault(world, "telegram", "getUpdates", "401")
    await phone.says("during the glitch")
    token = "8400000001:AAsandboxsandboxsandboxsandboxsandb"
    await world.client.post(f"/telegram/bot{token}/getUpdates", json={"timeout": 0, "offset": 0})
    await phone.says("after another program has asked")
    wanted = ("during the conflict", "during the glitch", "after another program has asked")

    async def shown() -> bool:
        posts = [post["text"] for post in await card.posts() if post.get("bot_id")]
        return [text for text in posts if text in wanted] == list(wanted)

    await eventually(shown, what="all three, each once, in order")
