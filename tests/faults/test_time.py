"""Clocks that step, and nights in which nobody runs: no alert is lost or given twice, and nothing waits for hours."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import select

from bot import clock, stepping, times
from storage import lanes, paces, tables
from storage import stepping as stored
from storage.database import Database
from storage.engines import Connection
from tests import world as worlds
from tests.contracts import storage_kit
from tests.faults import hours, lives
from tests.faults.books import Books
from tests.faults.story import answers, arrive, begun, stand
from tests.faults.traffic import Traffic
from tests.world import Card, eventually

HOUR = timedelta(hours=1)
TARGETS = {"first_response": "1h", "next_response": "1h", "resolution": "100h"}
SLA = {
    "policies": {
        "standard": {"calendar": "always", "targets": dict.fromkeys(("low", "normal", "high", "urgent"), TARGETS)}
    },
    "rules": [{"policy": "standard"}],
}


class Machine:
    """The machine's clock, which somebody may set; what is monotonic goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off = timedelta()
        monkeypatch.setattr(times, "wall", lambda: datetime.now(UTC) + self.off)

    def step(self, by: timedelta) -> None:
        self.off += by


async def test_a_clock_that_is_set_back_leaves_nothing_waiting_for_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases, back-off and rate limits come nearer by as much as the clock went back; what is past stays."""
    machine = Machine(monkeypatch)
    async with storage_kit.process(f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'k.db'}") as process:
        database: Database = process.db
        follows = stepping.Stepping(database)
        now = times.real()

        async def waits(conn: object) -> None:
            await lanes.make_ready(conn, "in", {"a": (now.timestamp() + 20, 0), "b": (now.timestamp() - 5, 0)})  # type: ignore[arg-type]
            await paces.close(conn, "slack:C1", now + timedelta(seconds=7))  # type: ignore[arg-type]
            await paces.close(conn, "slack:C2", now - timedelta(seconds=10))  # type: ignore[arg-type]
            await lanes.lead(conn, "sweep", "one", now, timedelta(seconds=6))  # type: ignore[arg-type]

        await database.write(waits)
        times.hold(times.apart())
        machine.step(2 * HOUR)
        assert times.real() - now < timedelta(minutes=1), "the old clock, until everything was moved"
        assert await follows.look() == pytest.approx(7200, abs=1)
        assert times.real() - now > HOUR
        machine.step(-HOUR)
        assert await follows.look() == pytest.approx(-3600, abs=1)
        assert await follows.look() == 0.0
        async with database.read() as conn:
            ready: dict[str, float] = dict(
                list((await conn.execute(select(tables.lanes.c.lane, tables.lanes.c.ready_at))).all())
            )
            closed: dict[str, float] = dict(
                list((await conn.execute(select(tables.limits.c.bucket, tables.limits.c.not_before))).all())
            )
            until = (await conn.execute(select(tables.leases.c.until))).scalar_one()
        here = times.real().timestamp()
        times.hold(None)
        assert ready["a"] - here == pytest.approx(20, abs=2)
        assert ready["b"] <= here
        assert closed["slack:C1"] - here == pytest.approx(7, abs=2)
        assert closed["slack:C2"] <= here, "used a moment before the step, and open"
        assert until - here == pytest.approx(6, abs=2)


async def test_what_was_stamped_by_the_old_clock_comes_nearer_too(tmp_path: Path) -> None:
    """Written after the rest was moved, an hour ahead: it goes along; what waits for seconds waits for them."""
    async with storage_kit.process(f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'k.db'}") as process:
        now = times.real()

        async def late(conn: Connection) -> int:
            await paces.close(conn, "slack:C1", now + HOUR + timedelta(seconds=1))
            await paces.close(conn, "slack:C2", now + timedelta(seconds=20))
            await lanes.make_ready(conn, "out", {"a": ((now + HOUR).timestamp(), 0)})
            return await stored.bring_nearer(conn, -HOUR, now)

        assert await process.db.write(late) == 2
        async with process.db.read() as conn:
            assert await lanes.next_ready(conn, "out") == pytest.approx(now.timestamp())
            closed = await paces.closed(conn, now)
        left = {bucket: until - now.timestamp() for bucket, until in closed.items()}
        assert left == {"slack:C1": pytest.approx(1, abs=0.1), "slack:C2": pytest.approx(20, abs=0.1)}


async def test_a_step_that_could_not_be_followed_is_followed_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails, while moving or while bringing nearer: the clock and what waits for it go over together."""
    machine = Machine(monkeypatch)
    monkeypatch.setattr(stepping, "LATE_S", 0.0)
    async with storage_kit.process(f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'k.db'}") as process:
        follows, now = stepping.Stepping(process.db), times.real()
        await process.db.write(lambda conn: paces.close(conn, "slack:C1", now + timedelta(seconds=7)))
        times.hold(times.apart())
        machine.step(-HOUR)

        def fails(name: str) -> pytest.MonkeyPatch:
            """The work is done, and then does not get into the database."""
            real = getattr(stored, name)

            async def done_and_lost(*given: Any) -> None:
                await real(*given)
                raise OSError("disk full")

            patch = pytest.MonkeyPatch()
            patch.setattr(stored, name, done_and_lost)
            return patch

        for name, ahead in (("move", 0.0), ("bring_nearer", -3600.0)):
            patch = fails(name)
            with pytest.raises(OSError, match="disk full"):
                await follows.look()
            patch.undo()
            assert (times.real() - now).total_seconds() == pytest.approx(ahead, abs=5), name
        await process.db.write(lambda conn: paces.close(conn, "slack:C2", now + timedelta(seconds=7)))
        assert await follows.look() == 0.0
        async with process.db.read() as conn:
            closed = await paces.closed(conn, times.real())
        here = times.real().timestamp()
        times.hold(None)
        assert {name: until - here for name, until in closed.items()} == dict.fromkeys(
            ("slack:C1", "slack:C2"), pytest.approx(7, abs=5)
        )


async def test_the_desk_goes_on_when_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour back, two forward, one back, with messages both ways before and after each: all there once, in order."""
    machine = Machine(monkeypatch)
    monkeypatch.setattr(stepping, "EVERY_S", 0.1)
    async with worlds.world(tmp_path) as world:
        phone, card = await begun(world, "Ann", "said 0")
        said, told = ["said 0"], []
        for place, hours in enumerate((-1, 2, -1), 1):
            told.append(f"told {place}")
            await answers(card, told[-1])
            await arrive(phone, *told)
            machine.step(hours * HOUR)
            said.append(f"said {place}")
            await phone.says(said[-1])
            await stand(card, *said)
        assert not any("not certain" in post["text"] for post in await card.posts())
        assert await world.house.stores.inbox.dead() == []


async def test_a_wake_up_of_the_sweep_that_never_comes_costs_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler waits by the machine's clock: set back, it would sleep on, and the sweep looks all the same."""
    monkeypatch.setattr(clock, "CAP", timedelta(seconds=0.2))
    async with worlds.world(tmp_path) as world:
        world.house.sweep._scheduler.pause()
        began = time.monotonic()

        def swept() -> bool:
            return world.house.sweep.last_success_age() < time.monotonic() - began - 1.0

        await eventually(swept, what="a sweep that nothing woke")


@pytest.mark.timeout(900)
async def test_a_night_in_suspension_and_the_nights_in_which_the_hour_changes(tmp_path: Path) -> None:
    """Each overdue answer is said once and not early; what was written while the machine slept is there once."""
    async with worlds.world(tmp_path, start=False, sla=SLA) as world, lives.nursery(world) as nursery:
        life = await nursery.start()
        assert await life.ready(world.client)
        for name, changes in (("Tonight", False), ("Change-1", True), ("Change-2", True)):
            if changes:
                night = hours.before_change(await world.now()) + timedelta(minutes=10)
                await world.control("clock", advance_s=(night - await world.now()).total_seconds())
            phone, card = await begun(world, name, f"{name} begins")
            assert await _alerts(card) == Counter()
            await world.control("clock", advance_s=timedelta(minutes=50).total_seconds())
            await eventually(partial(_says, card, " is due "), what="the warning")
            assert not await _says(card, "is overdue"), "ten minutes are left, the changing hour behind it or not"
            life.kill(signal.SIGSTOP)
            await phone.says(f"{name} goes on")
            await world.control("clock", advance_s=timedelta(hours=10).total_seconds())
            await asyncio.sleep(1.0)
            life.kill(signal.SIGCONT)
            await stand(card, f"{name} begins", f"{name} goes on")
            await eventually(partial(_says, card, "is overdue"), what="the alert")
        await asyncio.sleep(2.0)
        for card in await world.cards():
            assert all(times_said == 1 for times_said in (await _alerts(card)).values())
        assert not life.is_over


async def _says(card: Card, words: str) -> bool:
    """Whether these words were said about a deadline in a thread."""
    return any(words in text for text in await _alerts(card))


async def _alerts(card: Card) -> Counter[str]:
    """What was said about deadlines in a thread."""
    return Counter(p["text"] for p in await card.posts() if " is due " in p["text"] or "is overdue" in p["text"])


async def test_no_night_begins_while_telegram_still_holds_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lets go of updates after a day: whoever moves the clock on by months first has everything fetched."""
    people = Traffic(world=cast("worlds.World", None), books=cast("Books", None), rng=random.Random(1), customers=[])
    held = [[1, 2], [2], []]

    class Sandbox:
        async def look(self, _what: str) -> dict[str, Any]:
            return {"updates": held.pop(0)}

    monkeypatch.setattr(hours, "LOOK_EVERY_S", 0.0)
    people.allowed, people.is_idle = hours.EVERYTHING, True
    await hours._all_taken(cast("worlds.World", Sandbox()), people)
    assert (held, people.allowed) == ([], 0)
