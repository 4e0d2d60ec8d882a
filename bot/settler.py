"""Receipts, written together: what many lanes have sent at about the same time goes into one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bot import times
from bot.rendering import Shown
from storage import outbox, record
from storage.database import Database
from storage.engines import Connection
from storage.outbox import Claim, Outcome

LIMIT = 64  # outcomes per transaction


@dataclass(slots=True)
class _Waiting:
    outcome: Outcome
    card: record.CardShown | None
    done: asyncio.Future[Claim | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Settler:
    """Writes outcomes that no decision follows from. A lone one does not wait for company."""

    def __init__(self, database: Database, owner: str, pace: outbox.Pace) -> None:
        self._db = database
        self._owner = owner
        self._pace = pace
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self.take_next = True  # False while the process stops: lanes are then given back

    async def settle(self, outcome: Outcome, shown: Shown | None) -> Claim | None:
        """Write what became of a row and take the next of its lane. Raises LeaseLost when the lane was lost."""
        waiting = _Waiting(outcome, _card(outcome, shown))
        self._waiting.append(waiting)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="settler")
        return await asyncio.shield(waiting.done)

    async def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:LIMIT], self._waiting[LIMIT:]
                try:
                    await self._write(group)
                except Exception as error:  # noqa: BLE001  # handed to whoever waits for it
                    await self._one_by_one(group, error)
        finally:
            self._task = None

    async def _one_by_one(self, group: Sequence[_Waiting], error: Exception) -> None:
        for waiting in group:
            if len(group) == 1:
                _fail(waiting, error)
                return
            try:
                await self._write([waiting])
            except Exception as own:  # noqa: BLE001  # handed to whoever waits for it
                _fail(waiting, own)

    async def _write(self, group: Sequence[_Waiting]) -> None:
        outcomes = [waiting.outcome for waiting in group]
        cards = [waiting.card for waiting in group if waiting.card is not None]

        async def work(conn: Connection) -> list[Claim]:
            await record.cards_shown(conn, cards)
            return await outbox.settle(
                conn, self._owner, outcomes, times.real(), take_next=self.take_next, pace=self._pace
            )

        following = {claim.lane: claim for claim in await self._db.write(work)}
        for waiting in group:
            if not waiting.done.done():
                waiting.done.set_result(following.get(waiting.outcome.claim.lane))


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.done.done():
        waiting.done.set_exception(error)


def _card(outcome: Outcome, shown: Shown | None) -> record.CardShown | None:
    row = outcome.claim.row
    if shown is None or row.conversation_id is None or outcome.state != "sent":
        return None
    return record.CardShown(
        conversation_id=row.conversation_id,
        place=outcome.place or shown.place,
        thread=shown.thread_ts or outcome.platform_id,
        version=shown.version,
        posted=shown.thread_ts is None,
    )
