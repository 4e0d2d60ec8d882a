"""The stored state against what the timeline alone says, after a whole story, on both engines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from bot import times
from bot.cli import rules
from domain.model import Actor, ActorKind
from domain.profile import Source, Value
from storage.engines import Connection
from storage.rebuild import Rebuild, Report
from storage.tables import conversations
from tests.journeys.conftest import cells, in_cell
from tests.world import JONAS, LINA, MAYA, World, eventually

BOTH = [("polling", "socket", "sqlite"), ("polling", "socket", "postgres")]


@pytest.fixture(params=cells(BOTH))
async def engines(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A running world on each engine."""
    async for made in in_cell(request, tmp_path, request.param):
        yield made


async def _checked(world: World) -> Report:
    stores = world.house.stores
    context = await rules.context(world.settings(), stores)
    return await Rebuild(stores.database, stores.keys).check(context.rules, context.now)


async def _noted(world: World) -> str:
    """Something is known of the first customer, and corrected; their id."""
    stores, now = world.house.stores, await world.now()
    [(customer, _, _)] = await stores.record.find_people("Ann Lee")
    for number, city in enumerate(("Ulm", "Bonn")):
        said = Value(value=city, source=Source.AGENT, actor="test", at=now)
        await stores.profiles.change(
            customer.id,
            lambda found, said=said: found.said("city", said, "asked"),  # type: ignore[misc]
            entry_id=f"01J0000000000000000000000{number}",
            actor=Actor(kind=ActorKind.OPERATOR, id="test"),
            reason="asked",
            now=now,
        )
    return customer.id


async def test_what_is_stored_is_what_the_timeline_says(engines: World) -> None:
    """After a story with answers, corrections, a reopening and a profile nothing differs; a planted change is named.

    The customer who was erased is left out and counted.
    """
    ann, li = await engines.customer("Ann", last_name="Lee"), await engines.customer("李雷", "zh")
    await ann.says("My parcel has not arrived, order 123. Where is it?")
    card = await engines.card()  # those of one moment may be posted in any order
    await li.says("我的快递三天没动静了，能查一下吗")
    other = await engines.card(1)
    await card.says(MAYA, "We are looking.")
    await eventually(ann.answers, what="the answer")
    await card.shows("Waiting for customer")
    await ann.says("It is urgent!")
    await card.says_ours("It is urgent!")  # what comes after an answer was written is not answered by it
    await card.says(LINA, "\N{LOCK} asked the carrier")
    await card.says(MAYA, "It comes tomorrow.")
    await eventually(lambda: _count(ann.answers, 2), what="the second answer")
    await card.shows("Waiting for customer")
    await card.chooses(JONAS, "change", "Urgent")
    await card.chooses(MAYA, "change", "Delivery problem")
    await card.shows("Urgent", "Delivery problem")
    await card.presses(MAYA, "resolve")
    await card.shows("Done")
    await engines.control("faults", platform="telegram", method="sendMessage", fault="delay", seconds=1.5, count=1)
    await other.says(LINA, "在查。")
    await li.says("还有一件事：发票呢？")  # while that is on its way
    await ann.says("It has not come after all, where is my parcel?")
    await eventually(li.answers, what="the Chinese answer")
    await _noted(engines)

    async def quiet() -> Report | None:
        report = await _checked(engines)
        return report if not report.differences else None

    report = await eventually(quiet, what="nothing differs")
    assert (report.conversations, report.customers, report.profiles) == (2, 2, 1)
    assert report.clocks >= 4
    assert report.answers == 3

    async def planted(conn: Connection) -> None:
        await conn.execute(update(conversations).where(conversations.c.number == 1001).values(priority="low"))

    await engines.house.stores.database.write(planted)
    report = await _checked(engines)
    assert [(one.of, one.field, one.stored) for one in report.differences] == [
        ("conversation #1001", "priority", "low")
    ]

    stores, [(gone, _, _)] = engines.house.stores, await engines.house.stores.record.find_people("Ann Lee")
    begun = await stores.erasures.begin(gone.id, actor="os:test", reason="asked", now=times.real())
    await stores.erasures.go_on(begun, times.real())
    report = await _checked(engines)
    assert (report.erased, report.conversations, report.differences) == (1, 1, [])


async def _count(look: object, count: int) -> bool:
    return len(await look()) == count  # type: ignore[operator]
