"""What a process is told to do: words become duties, and what cannot work is refused with the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot import app, duties
from bot.duties import ALL, Duty
from domain.errors import RefusedToStart
from storage.database import Database
from tests.world import eventually


def test_without_a_role_a_process_does_everything() -> None:
    """No role, or `all` among others, is everything; roles add up."""
    assert duties.parse([]) == duties.parse(["all"]) == duties.parse(["worker", "all"]) == ALL
    assert duties.parse(["worker", "clock", "worker"]) == {Duty.WORKER, Duty.CLOCK}
    with pytest.raises(RefusedToStart, match=r"wroker.*use one of all, intake"):
        duties.parse(["wroker"])


def test_on_sqlite_one_process_does_everything() -> None:
    """A file has one writer: a process with a share of the work is refused with the way out."""
    duties.check(ALL, sqlite=True, webhook=False, http=False)
    with pytest.raises(RefusedToStart, match=r"worker.*SQLite.*db move"):
        duties.check(frozenset({Duty.WORKER}), sqlite=True, webhook=False, http=False)


def test_a_process_that_nobody_posts_to_is_refused() -> None:
    """`web` alone takes posts; where nothing is posted it would do nothing, and says so."""
    web = frozenset({Duty.WEB})
    duties.check(web, sqlite=False, webhook=True, http=False)
    duties.check(web, sqlite=False, webhook=False, http=True)
    with pytest.raises(RefusedToStart, match="--role intake"):
        duties.check(web, sqlite=False, webhook=False, http=False)


def test_whoever_is_posted_to_takes_it_in() -> None:
    """`intake` listens in every way, `web` to what is posted."""
    assert duties.listens(frozenset({Duty.INTAKE}), posted=False)
    assert duties.listens(frozenset({Duty.WEB}), posted=True)
    assert not duties.listens(frozenset({Duty.WEB}), posted=False)
    assert not duties.listens(frozenset({Duty.WORKER, Duty.CLOCK}), posted=True)


async def test_a_new_connection_is_told_to_every_process(make_database: Callable[[str], str]) -> None:
    """Here at once, elsewhere with a commit: whoever fills gaps hears of it, wherever the connection is."""
    url = make_database("relaydesk")
    telling: set[asyncio.Task[None]] = set()
    async with Database.open(url) as here, Database.open(url) as there:
        if here.is_sqlite:
            app._tell(here, telling, app.CONNECTED)
        else:

            async def told() -> bool:
                app._tell(here, telling, app.CONNECTED)  # again until the other one listens
                return there.signal(app.CONNECTED).is_set()

            await eventually(told, what="the other process is told")
        assert here.signal(app.CONNECTED).is_set()
        await asyncio.gather(*telling)
