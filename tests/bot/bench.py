"""A worker over one process's stores, with a desk that reads its own payloads and a clock that is moved by hand."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from bot import times
from bot.channels.memory import MemoryChannel, MemoryConfig
from bot.worker import Worker
from domain import routing
from domain.assessment import Assessment, Text
from domain.errors import NotYet
from domain.events import AgentAction, AgentMessage, AgentReaction, Event, Ignored
from domain.ports import Arrival, Desk
from storage import tables
from storage.engines import Connection
from tests.contracts.storage_kit import Process
from tests.handlers.kit import LINA, MAYA, reading, rulebook

CHAT, THREAD = "memory", ("C0SUPPORT", "1700000000.000001")


class Hours:
    """Time as the worker sees it, which passes by hand; the machine's clock may be set beside it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._passed = self._set = timedelta()
        real, steady = times.real, times.steady
        monkeypatch.setattr(times, "real", lambda: real() + self._passed + self._set)
        monkeypatch.setattr(times, "steady", lambda: steady() + self._passed)

    def pass_by(self, **span: float) -> None:
        """Let so much time pass, given as to a timedelta."""
        self._passed += timedelta(**span)

    def set_clock(self, **by: float) -> None:
        """Set the machine's clock by so much, given as to a timedelta."""
        self._set += timedelta(**by)


class Team:
    """The desk as the worker needs it: reads its own payloads, and says who is an agent once it can."""

    def __init__(self) -> None:
        self.agents = {MAYA: frozenset({"agent"}), LINA: frozenset({"agent"})}
        self.knows_people = True
        self.reads = True
        self.cannot_read: str | None = None

    async def parse(self, payload: str) -> Event | Ignored:
        """A post in a thread, or a press of a button, from its JSON."""
        if not self.reads or (self.cannot_read and self.cannot_read in payload):
            raise NotYet("the desk cannot say who wrote", timedelta(0))
        said = json.loads(payload)
        if "is_on" in said:
            return AgentReaction(at=times.real(), **said)
        if "action" in said:
            return AgentAction(**{**said, "at": datetime.fromisoformat(said["at"]) if "at" in said else times.real()})
        return AgentMessage(at=times.real(), **said)

    async def roles_of(self, agent_id: str) -> frozenset[str]:
        """Nobody's, while the desk cannot say."""
        if not self.knows_people:
            raise NotYet("the desk cannot say who may do this", timedelta(0))
        return self.agents.get(agent_id, frozenset())


class Reader:
    """Reads everything as a question about an order."""

    async def assess(self, texts: Sequence[Text]) -> list[Assessment]:
        """The same for all."""
        return [reading("order") for _ in texts]


async def whole(*_thread: str, said_at: float, newest: float, by: float) -> bool:
    """Nothing was ever missed."""
    return said_at <= newest and by >= 0


class Bench:
    """A worker over one process's stores."""

    def __init__(self, process: Process, assign: routing.Assign = "none", settles: timedelta = timedelta(0)) -> None:
        # Nothing is posted here: after a moment each answer would be asked about, as given without having seen it.
        rules = rulebook(
            operator_channel="C0LEADS", channel_limits={CHAT: 4096}, asks_unread=False, reactions={"+1": "\U0001f44d"}
        )
        queues = {name: replace(queue, assign=assign) for name, queue in rules.queues.items()}
        self.process = process
        self.team = Team()
        self._numbers = itertools.count(1)
        self.worker = Worker(
            database=process.db,
            inbox=process.inbox,
            record=process.record,
            channels={CHAT: MemoryChannel(MemoryConfig(name=CHAT))},
            desk=cast("Desk", self.team),
            assessor=Reader(),
            rules=replace(rules, queues=queues),
            clock=times.Timekeeper(),
            is_whole=whole,
            owner=process.owner,
            settles=settles,
        )

    async def arrives(self, *payloads: str, source: str = CHAT, lane: str = "1", **fields: Any) -> None:
        """Store payloads, one arrival each."""
        arrivals = [
            Arrival(
                source=source, event_key=str(next(self._numbers)), lane_key=lane, payload=payload, kind="x", **fields
            )
            for payload in payloads
        ]
        await self.process.inbox.put(arrivals, times.real())

    async def works(self) -> int:
        """Claim what is ready and work on it; how many lanes that were."""
        claims = await self.process.inbox.claim(self.process.owner, times.real(), limit=64)
        await self.worker.work(claims)
        return len(claims)

    async def opened(self) -> None:
        """A customer has written, and the card stands in the thread."""
        await self.arrives(written("Where is my order?"))
        await self.works()
        await self.opened_thread()

    async def opened_thread(self) -> None:
        """The card of the only conversation stands in its thread."""
        (row,) = await self.process.rows(tables.conversations)
        shown = {"conversation_id": row["id"], "place": THREAD[0], "thread": THREAD[1], "version": 0}
        await self.process.db.write(lambda conn: place_card(conn, shown))

    async def all_sent(self) -> None:
        """Everything that waited to be shown stands there."""

        async def work(conn: Connection) -> None:
            await conn.execute(tables.outbox.update().values(state="sent"))

        await self.process.db.write(work)

    async def states(self) -> list[tuple[str, str | None]]:
        """Every inbox row's state and reason, oldest first."""
        rows = sorted(await self.process.rows(tables.inbox), key=lambda row: int(row["id"]))
        return [(row["state"], row["reason"]) for row in rows]

    async def lines(self, kind: str) -> list[dict[str, Any]]:
        """Timeline lines of a kind."""
        rows = sorted(await self.process.rows(tables.timeline), key=lambda row: int(row["seq"]))
        return [row for row in rows if row["kind"] == kind]


async def place_card(conn: Connection, shown: dict[str, Any]) -> None:
    """Write where the card stands."""
    statement = tables.conversations.update().where(tables.conversations.c.id == shown["conversation_id"])
    await conn.execute(statement.values(desk_channel=shown["place"], desk_thread=shown["thread"]))


def written(text: str, address: str = "1", number: int = 1) -> str:
    """A customer's message as the memory channel stores it."""
    said = {"id": str(number), "at": times.real().isoformat(), "address": address, "text": text, "file": None}
    return json.dumps(said)


def posted(text: str, ts: str = "1700000001.000001", user: str = MAYA) -> str:
    """An agent's message as this desk stores it."""
    return json.dumps({"agent_id": user, "channel": THREAD[0], "thread_ts": THREAD[1], "ts": ts, "text": text})
