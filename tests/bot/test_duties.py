"""What a process is told to do: words become duties, and what cannot work is refused with the reason."""

from __future__ import annotations

import pytest

from bot import duties
from bot.duties import ALL, Duty
from domain.errors import RefusedToStart


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
