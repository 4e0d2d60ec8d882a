"""Everybody's own page: drawn again for who looks at it, when something changed, and never too often."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import pytest

from bot import homes
from bot.homes import Homes
from domain.changes import DeliveryKind, Outgoing
from domain.errors import NotYet
from domain.ports import Desk

HOME, CARD = DeliveryKind.DESK_HOME, DeliveryKind.DESK_UPDATE


class Bench:
    """The desk as far as roles go, an outbox that sends at once, and a clock that is set."""

    def __init__(self) -> None:
        self.roles = {"U1": frozenset({"agent"}), "U2": frozenset({"agent", "lead"})}
        self.knows = True
        self.now = 0.0
        self.asked: list[Outgoing] = []
        self.homes = Homes(cast("Desk", self), self.add, lambda: self.now)

    async def roles_of(self, agent_id: str) -> frozenset[str]:
        """Their roles; NotYet while nobody can say."""
        if not self.knows:
            raise NotYet("Slack is away", timedelta(seconds=5))
        return self.roles.get(agent_id, frozenset())

    async def add(self, items: Sequence[Outgoing]) -> None:
        """Send what is asked for."""
        for item in items:
            self.asked.append(item)
            self.homes.sent(item.kind, item.data)

    def opens(self, *users: str) -> None:
        """Somebody looks at their page."""
        for user in users:
            self.homes.sent(HOME, {"place": user, "roles": ["agent"]})

    async def drawn(self, later: float = 0.0, *, change: bool = True) -> list[str]:
        """Whose pages are drawn so much later, after a card has changed or not."""
        self.now += later
        if change:
            self.homes.sent(CARD, {})
        self.asked.clear()
        await self.homes.draw()
        return sorted(str(item.data["place"]) for item in self.asked)


async def test_a_page_that_was_opened_follows_what_changes() -> None:
    """Only those who looked lately; a lead's page says so; nothing is drawn where nothing changed."""
    bench = Bench()
    assert await bench.drawn(later=100) == [], "nobody looks"
    bench.opens("U1", "U2")
    assert await bench.drawn(later=homes.EACH_S) == ["U1", "U2"]
    assert [item.data["leads"] for item in sorted(bench.asked, key=lambda one: str(one.data["place"]))] == [False, True]
    assert all(item.collapse and item.data["pushed"] for item in bench.asked)
    assert await bench.drawn(later=homes.EACH_S, change=False) == []
    bench.opens("U2")
    assert await bench.drawn(later=homes.LATELY_S - 2 * homes.EACH_S - 1) == ["U1", "U2"]
    assert await bench.drawn(later=homes.EACH_S) == ["U2"], "U1 has not looked for half an hour"


async def test_a_page_is_drawn_no_oftener_than_it_can_be_read() -> None:
    """Many changes are one drawing; what came too soon is not forgotten; time alone draws it once a minute."""
    bench = Bench()
    bench.opens("U1")
    assert await bench.drawn(later=1) == [], "just drawn"
    assert await bench.drawn(later=homes.EACH_S, change=False) == ["U1"], "it changed meanwhile"
    assert await bench.drawn(later=homes.EACH_S, change=False) == []
    assert await bench.drawn(later=homes.TURN_S, change=False) == ["U1"], "something may be overdue now"


async def test_a_round_is_bounded_and_the_rest_comes_in_the_next() -> None:
    """However many look, Slack is asked for no more at once than it takes."""
    bench = Bench()
    many = [f"U{number}" for number in range(100, 100 + homes.MOST + 5)]
    bench.roles = dict.fromkeys(many, frozenset({"agent"}))
    bench.opens(*many)
    first = await bench.drawn(later=homes.EACH_S)
    second = await bench.drawn(later=1, change=False)
    assert (len(first), len(second)) == (homes.MOST, 5)
    assert sorted(first + second) == sorted(many)


async def test_one_change_is_drawn_once_for_each() -> None:
    """However far apart people opened their pages, and however many they are: then it is quiet."""
    bench = Bench()
    bench.opens("U1")
    bench.now += 7
    bench.opens("U2")
    drawn = [await bench.drawn(later=1)]
    drawn += [await bench.drawn(later=homes.WAIT_S, change=False) for _ in range(10)]
    assert [users for users in drawn if users] == [["U1"], ["U2"]]


async def test_nobody_starves_among_many() -> None:
    """Something changes all the time: all are drawn in turn, those first who have waited longest."""
    bench = Bench()
    many = [f"U{number}" for number in range(100, 100 + 3 * homes.MOST)]
    bench.roles = dict.fromkeys(many, frozenset({"agent"}))
    bench.opens(*many)
    rounds = [await bench.drawn(later=homes.EACH_S) for _ in range(3)]
    assert sorted(user for users in rounds for user in users) == many


async def test_what_could_not_be_asked_for_is_asked_for_again() -> None:
    """The database is away for a moment: the change is not forgotten."""
    bench = Bench()
    bench.opens("U1")

    async def away(_items: Sequence[Outgoing]) -> None:
        raise OSError("away")

    bench.homes._add = away
    with pytest.raises(OSError, match="away"):
        await bench.drawn(later=homes.EACH_S)
    bench.homes._add = bench.add
    assert await bench.drawn(later=1, change=False) == ["U1"]


async def test_who_lost_the_role_gets_no_page_any_more() -> None:
    """Roles are asked for each time; while Slack cannot say, nothing is drawn."""
    bench = Bench()
    bench.opens("U1", "U2")
    bench.knows = False
    assert await bench.drawn(later=homes.EACH_S) == []
    bench.knows = True
    del bench.roles["U2"]
    assert await bench.drawn(later=homes.EACH_S) == ["U1"]
    bench.roles["U2"] = frozenset({"lead"})
    assert await bench.drawn(later=homes.EACH_S) == ["U1"], "until the page is opened anew"
