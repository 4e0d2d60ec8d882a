"""A network that is cut between a process and PostgreSQL without a word: another one leads, and nothing hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from bot import leader, times
from storage import engines, lanes
from storage.engines import Connection
from tests.contracts import storage_kit
from tests.faults.proxy import Proxy, proxy
from tests.world import eventually

pytestmark = pytest.mark.postgres

TAKEOVER_S = 10.0
HEARD_WITHIN_S = 30.0
NAME = "sweep"


@dataclass(kw_only=True)
class Work:
    """Something that only one process may do at a time: when it did (monotonic, up to None: still)."""

    spans: list[list[float | None]] = field(default_factory=list)

    async def __call__(self) -> None:
        """Do it until stopped."""
        span: list[float | None] = [time.monotonic(), None]
        self.spans.append(span)
        try:
            await asyncio.Event().wait()
        finally:
            span[1] = time.monotonic()

    @property
    def is_done(self) -> bool:
        """Whether it is being done now."""
        return bool(self.spans) and self.spans[-1][1] is None


async def cut_off_amid_a_transaction(process: storage_kit.Process, between: Proxy) -> None:
    """The leader has locked its lease when the network is cut; raises what the leader's process hears of it."""

    async def work(conn: Connection) -> None:
        await lanes.lead(conn, NAME, process.owner, times.real(), leader.TERM)
        between.silent = True

    await process.db.write(work)


async def test_a_leader_that_is_cut_off_steps_down_and_is_replaced(
    postgres_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds a lock, too, and no connection breaks. Within ten seconds another leads, never both; whoever waited for
    the database hears that it is out of reach; and when it is back the first works and listens again.
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

            def leads(one: storage_kit.Process) -> asyncio.Task[None]:
                return group.create_task(leader.lead(one.clocks, NAME, one.owner, works[one.owner]))

            leading = [leads(far)]
            await eventually(lambda: works["far"].is_done, what="the first one leads")
            leading.append(leads(near))
            waiting = asyncio.create_task(cut_off_amid_a_transaction(far, between))
            await eventually(lambda: between.silent, what="the network is cut")
            cut = time.monotonic()
            await eventually(lambda: works["near"].is_done, within=TAKEOVER_S, what="the other one leads")
            [[_, far_ended]], [[near_began, _]] = works["far"].spans, works["near"].spans
            assert far_ended is not None, "the first one has stepped down by itself"
            assert near_began is not None
            assert far_ended < near_began < cut + TAKEOVER_S
            with pytest.raises((SQLAlchemyError, OSError)):
                await asyncio.wait_for(waiting, HEARD_WITHIN_S)
            with pytest.raises((SQLAlchemyError, OSError)):
                await asyncio.wait_for(far.db.query(lanes.waiting), HEARD_WITHIN_S)

            between.silent = False
            await _works_again(far)
            await _hears(far, near)
            assert not works["far"].is_done
            assert works["near"].is_done
            for one in leading:
                one.cancel()


async def _works_again(process: storage_kit.Process) -> None:
    async def written() -> bool:
        try:
            await process.db.write(lambda conn: lanes.unpark_all(conn, "in", "none", times.real()))
        except (SQLAlchemyError, OSError):
            return False
        return True

    await eventually(written, within=HEARD_WITHIN_S, what="the first one writes again")


async def _hears(process: storage_kit.Process, other: storage_kit.Process) -> None:
    async def told() -> bool:
        await other.db.write(_nothing, wake=("told",))
        return process.db.signal("told").is_set()

    await eventually(told, within=HEARD_WITHIN_S, what="the first one hears of commits again")


async def _nothing(_conn: Connection) -> None:
    pass
