"""Facts that several processes take in at once, about people whom none of them knows yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot import times
from bot.facts import Facts, Noted, Whom
from domain import facts as words
from domain.changes import Situation
from domain.contacts import ContactKind
from domain.events import Event, FactEntered, Ignored
from domain.model import Actor, ActorKind
from storage import tables
from storage.contacts import Contacts
from storage.facts import FactKeys
from storage.links import Links
from storage.record import Record
from storage.wishes import Wanted
from tests import patience
from tests.bot.bench import Bench
from tests.contracts.conftest import Start
from tests.contracts.storage_kit import NOW, Process
from tests.handlers.kit import MAYA

PHONE, EMAIL = (ContactKind.PHONE, "+491701234567"), (ContactKind.EMAIL, "bo@example.com")
PROGRAM = Actor(kind=ActorKind.OPERATOR, id="shop")


class Together(Contacts):
    """Looks up as ever, and the first time goes on only when everybody else has looked too."""

    def __init__(self, process: Process, meeting: asyncio.Barrier) -> None:
        super().__init__(process.db, process.keys)
        self._meeting: asyncio.Barrier | None = meeting

    async def owners(self, kind: ContactKind, value: str) -> list[str]:
        """Whoever has it, as it was when all had looked."""
        found = await super().owners(kind, value)
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            await asyncio.wait_for(meeting.wait(), patience.LONG_S)
        return found


async def note(process: Process, meeting: asyncio.Barrier, key: str, *points: tuple[ContactKind, str]) -> Noted:
    taking = Facts(
        database=process.db,
        record=process.record,
        contacts=Together(process, meeting),
        links=Links(process.db, process.keys),
        keys=FactKeys(process.db, process.keys),
        rules=None,
        now=lambda: NOW,
    )
    said: dict[str, Any] = {"kind": "call", "what": key, "source": "phone"}
    whom = Whom(points=points, name="Bo Miller")
    return await taking.note(whom, words.read(said, NOW), PROGRAM, way="api", key=key, said=key.encode())


async def test_who_is_told_of_by_two_processes_at_once_is_one_person(start: Start) -> None:
    """Both found nobody with this number: whoever commits second notes it about whom the first has entered."""
    one, two = await start("one"), await start("two")
    meeting = asyncio.Barrier(4)
    noted = await asyncio.gather(
        note(one, meeting, "k1", PHONE, EMAIL),
        note(two, meeting, "k2", PHONE),
        note(one, meeting, "k3", PHONE),
        note(two, meeting, "k4", PHONE, EMAIL),
    )
    people = {row["id"] for row in await one.rows(tables.customers)}
    points = await one.rows(tables.contact_points)
    told = [row for row in await one.rows(tables.timeline) if row["kind"] == "fact"]
    assert len({row["id"] for row in told}) == len(noted) == 4
    assert {row["customer_id"] for row in told} == {fact.customer_id for fact in noted} == people
    assert len(people) == 1
    assert len(points) == len({row["value_mac"] for row in points}), "a number stands once"


class Met(Record):
    """Loads as ever, and the first time goes on only when everybody else has looked too."""

    def __init__(self, process: Process, meeting: asyncio.Barrier) -> None:
        super().__init__(process.db, process.keys)
        self._meeting: asyncio.Barrier | None = meeting

    async def load(self, wanted: Sequence[Wanted]) -> dict[str, Situation]:
        """What was known when all had looked."""
        found = await super().load(wanted)
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            await asyncio.wait_for(meeting.wait(), patience.LONG_S)
        return found


def desk(process: Process, meeting: asyncio.Barrier) -> Bench:
    """A worker at a desk where colleagues send windows about somebody new."""
    bench = Bench(replace(process, record=Met(process, meeting)))

    async def entered(payload: str) -> Event | Ignored:
        call = {"kind": "call", "what": "called", "source": "phone"}
        said = {"customer_id": None, "fact": call, **json.loads(payload)}
        return FactEntered(agent_id=MAYA, at=NOW, channel="C1", **said)

    bench.team.parse = entered  # type: ignore[method-assign]
    return bench


async def test_who_is_noted_by_hand_while_a_program_tells_of_them_is_one_person(start: Start) -> None:
    """Two windows of one batch and one of another process, and a program: all found nobody, and one is entered."""
    one, two, shop = await start("one"), await start("two"), await start("shop")
    meeting = asyncio.Barrier(3)
    benches = [desk(process, meeting) for process in (one, two)]
    bo = {"name": "Bo Miller", "phone": PHONE[1]}
    for place, person in enumerate((bo, bo | {"email": EMAIL[1]}, bo)):
        payload = json.dumps({"person": person, "key": f"V{place}"})
        await benches[0].arrives(payload, source="slack", lane=f"user:{place}")
    claims = [
        await bench.process.inbox.claim(bench.process.owner, times.real(), limit=limit)
        for bench, limit in zip(benches, (2, 1), strict=True)
    ]
    assert [len(claimed) for claimed in claims] == [2, 1]
    works = (bench.worker.work(claimed) for bench, claimed in zip(benches, claims, strict=True))
    await asyncio.gather(*works, note(shop, meeting, "k1", PHONE, EMAIL))
    people = {row["id"] for row in await one.rows(tables.customers)}
    points = await one.rows(tables.contact_points)
    told = [row for row in await one.rows(tables.timeline) if row["kind"] == "fact"]
    assert (len(people), len(told)) == (1, 4)
    assert {row["customer_id"] for row in told} == people
    assert len(points) == len({row["value_mac"] for row in points}), "a number stands once"
