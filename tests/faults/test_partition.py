"""A network that is cut between a process and PostgreSQL without a word: another one leads, and nothing hangs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from bot import leader, times
from bot.clock import Sweep
from bot.presence import Presence
from domain.alerts import Person
from domain.rulebook import Rulebook
from storage import engines, lanes, pulse
from storage.clocks import Clocks
from storage.engines import Connection
from tests import nursery, patience
from tests.contracts import storage_kit
from tests.faults import hosts
from tests.faults.hosts import Host
from tests.faults.proxy import Proxy, proxy
from tests.faults.sweeper import PLAN
from tests.faults.test_sweep import given, overdue
from tests.handlers.kit import rulebook
from tests.world import eventually

pytestmark = pytest.mark.postgres

TAKEOVER_S = 10.0
RULES = rulebook(alerts=PLAN)
NAME = "sweep"


@dataclass(kw_only=True)
class Work:
    """Something that only one process may do at a time, and whether this one does it now."""

    is_done: bool = False

    async def __call__(self) -> None:
        """Do it until stopped."""
        self.is_done = True
        try:
            await asyncio.Event().wait()
        finally:
            self.is_done = False


class Slow(Presence):
    """Hears who is at work only once it is let go: whoever asks it decides on what was so before."""

    asked = False

    def __init__(self, process: storage_kit.Process, rules: Rulebook) -> None:
        super().__init__(rules=rules, clocks=process.clocks, now=times.real)
        self.go = asyncio.Event()

    async def of(self, people: Collection[str]) -> dict[str, Person]:
        """As it is asked, late."""
        self.asked = True
        await self.go.wait()
        return await super().of(people)


class Counted(Clocks):
    """Counts how often somebody asked to lead."""

    asked = 0

    async def lead(self, name: str, owner: str, now: datetime, term: timedelta) -> bool:
        """As it is asked."""
        self.asked += 1
        return await super().lead(name, owner, now, term)


def sweep_of(process: storage_kit.Process, presence: Presence | None = None) -> Sweep:
    """A sweep of this process, that nothing keeps from sweeping beside another one's."""
    return Sweep(
        database=process.db,
        clocks=process.clocks,
        record=process.record,
        rules=RULES,
        clock=times.Timekeeper(),
        presence=presence,
    )


async def cut_off_amid_a_transaction(process: storage_kit.Process, between: Proxy) -> None:
    """The leader has locked its lease when the network is cut; raises what the leader's process hears of it."""

    async def work(conn: Connection) -> None:
        await lanes.lead(conn, NAME, process.owner, times.real(), leader.TERM)
        between.silent = True

    await process.db.write(work)


async def test_a_leader_that_is_cut_off_steps_down_and_is_replaced(
    postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds a lock, too, and no connection breaks. Within ten seconds another leads; whoever waited for the database
    hears that it is out of reach; and when it is back the first works and listens again. What it had begun as leader,
    and writes only now, is refused: the other one has done it.
    """
    monkeypatch.setattr(engines, "CONNECT_S", 2.0)
    record, keys = postgres_database(), postgres_database()
    url = make_url(record)
    async with proxy(Path(str(url.query["host"])) / ".s.PGSQL.5432") as between:
        there = f"postgresql+asyncpg://postgres@127.0.0.1:{between.port}/{url.database}"
        async with (
            storage_kit.process(record, keys, "near") as near,
            storage_kit.process(there, keys, "far") as far,
            asyncio.TaskGroup() as group,
        ):
            works = {"far": Work(), "near": Work()}
            slow = Slow(far, RULES)

            def leads(one: storage_kit.Process) -> asyncio.Task[None]:
                return group.create_task(leader.lead(one.clocks, NAME, one.owner, works[one.owner]))

            leading = [leads(far)]
            await eventually(lambda: works["far"].is_done, what="the first one leads")
            leading.append(leads(near))
            ids = await overdue(near, 10)
            late = group.create_task(sweep_of(far, slow).sweep())
            await eventually(lambda: slow.asked, what="the first one has begun to give alerts")
            waiting = asyncio.create_task(cut_off_amid_a_transaction(far, between))
            await eventually(lambda: between.silent, what="the network is cut")
            with patience.Own() as took:
                await eventually(lambda: works["near"].is_done, what="the other one leads")
            assert took.seconds < TAKEOVER_S
            await eventually(lambda: not works["far"].is_done, what="the first one has stepped down by itself")
            await sweep_of(near).sweep()
            await _hears_that_it_is_out_of_reach(waiting)
            await _hears_that_it_is_out_of_reach(asyncio.ensure_future(far.db.query(lanes.waiting)))

            between.silent = False
            await _works_again(far)
            await _hears(far, near)
            slow.go.set()
            assert await late == len(ids), "the first one goes on with what it had begun"
            noted, sent = await given(near)
            assert noted == sent == Counter(ids), "and writes nothing of it"
            assert not works["far"].is_done
            assert works["near"].is_done
            for one in leading:
                one.cancel()


async def test_work_that_hangs_when_it_is_stopped_leads_nobody_and_is_waited_for(
    postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver breaks off a query by asking the server, for minutes where the network is gone. The lease is let go of
    at once, another leads, and whoever led does not ask to lead again before its old work has ended.
    """
    monkeypatch.setattr(engines, "CONNECT_S", 4.0)  # it is opened on a busy machine, too
    monkeypatch.setattr(leader, "TERM", timedelta(seconds=1.5))
    monkeypatch.setattr(leader, "RENEW_S", 0.2)
    monkeypatch.setattr(leader, "STOP_S", 0.3)
    record, keys = postgres_database(), postgres_database()
    url = make_url(record)
    led: dict[str, float] = {}
    ended = asyncio.Event()

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await ended.wait()

    async with proxy(Path(str(url.query["host"])) / ".s.PGSQL.5432") as between:
        there = f"postgresql+asyncpg://postgres@127.0.0.1:{between.port}/{url.database}"
        async with (
            storage_kit.process(record, keys, "near") as near,
            storage_kit.process(there, keys, "far") as far,
            AsyncExitStack() as ending,
        ):
            clocks = Counted(far.db)
            leading = asyncio.create_task(leader.lead(clocks, NAME, far.owner, hangs, led))
            ending.callback(leading.cancel)  # whatever happens, as a database waits for what it was asked
            ending.callback(ended.set)
            ending.callback(setattr, between, "silent", False)
            await eventually(lambda: NAME in led, what="the first one leads")
            monkeypatch.setattr(pulse, "EVERY_S", 0.2)
            monkeypatch.setattr(pulse, "SECOND_LOOK_S", 0.2)
            between.silent = True
            await eventually(lambda: not led, what="it has let go")
            asked = clocks.asked
            await _hears_that_it_is_out_of_reach(asyncio.ensure_future(far.db.query(lanes.waiting)))
            between.silent = False
            await _works_again(far)
            work = Work()
            other = asyncio.create_task(leader.lead(near.clocks, NAME, near.owner, work))
            await eventually(lambda: work.is_done, what="the other one leads")
            assert clocks.asked == asked, "the first one could ask again all the while, and does not"
            other.cancel()
            ended.set()
            await eventually(lambda: NAME in led, what="the first one leads again")


async def _hears_that_it_is_out_of_reach(asked: asyncio.Future[Any]) -> None:
    await asyncio.wait({asked}, timeout=patience.LONG_S)
    assert asked.done(), "it hangs"
    assert isinstance(asked.exception(), SQLAlchemyError | OSError)


async def _works_again(process: storage_kit.Process) -> None:
    async def written() -> bool:
        try:
            await process.db.write(lambda conn: lanes.unpark_all(conn, "in", "none", times.real()))
        except (SQLAlchemyError, OSError):
            return False
        return True

    await eventually(written, what="the first one writes again")


async def _hears(process: storage_kit.Process, other: storage_kit.Process) -> None:
    async def told() -> bool:
        await other.db.write(_nothing, wake=("told",))
        return process.db.signal("told").is_set()

    await eventually(told, what="the first one hears of commits again")


async def _nothing(_conn: Connection) -> None:
    pass


async def test_a_stop_ends_while_the_network_is_cut(postgres_database: Callable[[], str]) -> None:
    """Also where somebody who has gone had asked something: nothing waits for a server that does not answer."""
    record, keys = postgres_database(), postgres_database()
    url = make_url(record)
    async with (
        asyncio.timeout(patience.LONG_S),
        proxy(Path(str(url.query["host"])) / ".s.PGSQL.5432") as between,
        storage_kit.process(record, keys, "near") as near,
    ):
        there = f"postgresql+asyncpg://postgres@127.0.0.1:{between.port}/{url.database}"
        async with storage_kit.process(there, keys, "far") as far:
            await _hears(far, near)

            async def asks(conn: Connection) -> dict[str, int]:
                between.silent = True
                return await lanes.waiting(conn)

            asking = asyncio.create_task(far.db.query(asks))
            await eventually(lambda: between.silent, what="the network is cut")
            asking.cancel()


# Hosts of their own


@dataclass(kw_only=True)
class Outpost:
    """A sweeping process on a host of its own, and what it told."""

    host: Host
    process: nursery.Process
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def leads(self) -> bool:
        """Whether it leads now, as far as it has told."""
        return any(one["leads"] for one in self.told[-1:] if "leads" in one)

    def listen(self) -> None:
        """Hear what it tells until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told.append(json.loads(line))


@asynccontextmanager
async def outpost(host: Host, upstream: Path, names: Sequence[str]) -> AsyncIterator[Outpost]:
    """A process on this host that reaches PostgreSQL over its cable alone."""
    async with proxy(upstream, host.listening()) as between:
        urls = [f"postgresql+asyncpg://postgres@{host.gateway}:{between.port}/{name}?sslmode=disable" for name in names]
        words = ("tests.faults.outpost", host.name, *urls)
        process = await asyncio.to_thread(nursery.module, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        made = Outpost(host=host, process=process)
        listening = asyncio.create_task(asyncio.to_thread(made.listen))
        try:
            yield made
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)
            await listening
            process.close()


def test_hosts_are_made_one_after_the_other() -> None:
    """The next ones are there at once, though the kernel frees the devices of the last ones later."""
    why_not = hosts.out_of_reach()
    if why_not:
        pytest.skip(why_not)
    assert [hosts.out_of_reach() for _ in range(10)] == [""] * 10


async def test_a_host_whose_cable_is_pulled_is_replaced_and_nothing_is_done_twice(
    postgres_database: Callable[[], str],
) -> None:
    """Two hosts with addresses of their own: the one that leads loses the network to PostgreSQL, steps down by itself,
    and the other leads within ten seconds. Every alert is given once, whoever gave it, also after the cable is back.
    """
    why_not = hosts.out_of_reach()
    if why_not:
        pytest.skip(why_not)
    record, keys = postgres_database(), postgres_database()
    upstream = Path(str(make_url(record).query["host"])) / ".s.PGSQL.5432"
    names = [str(make_url(url).database) for url in (record, keys)]
    async with storage_kit.process(record, keys) as process, AsyncExitStack() as stack:
        machines = stack.enter_context(hosts.hosts(2))
        outposts = [await stack.enter_async_context(outpost(one, upstream, names)) for one in machines]
        await eventually(lambda: all(one.told for one in outposts), what="both are there")
        first = await eventually(lambda: next((one for one in outposts if one.leads), None), what="one leads")
        other = next(one for one in outposts if one is not first)
        ids = await overdue(process, 40)

        async def begun() -> bool:
            return bool((await given(process))[0])

        async def all_given() -> bool:
            return set((await given(process))[0]) == ids

        await eventually(begun, what="the first alerts")
        first.host.pull()
        with patience.Own(os.getpid(), *(one.process.pid for one in outposts)) as took:
            ids |= await overdue(process, 10, begin=40)
            await eventually(lambda: other.leads, what="the other one leads")
        assert took.seconds < TAKEOVER_S
        await eventually(all_given, what="every alert is given")
        await eventually(lambda: not first.leads, what="the first one has stepped down, whatever its driver waits for")
        first.host.plug()
        ids |= await overdue(process, 10, begin=50)
        await eventually(all_given, what="the later ones")
        noted, sent = await given(process)
        assert noted == sent == Counter(ids), "each once"
        assert other.leads
