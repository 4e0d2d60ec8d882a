"""Everybody's own page at the desk, kept up to date for those who looked at it lately.

The page is drawn whenever somebody opens it. For a while after that it is drawn again when something has changed, and
once a minute in any case, since time alone makes things overdue: not at once but after a short wait, in which more may
change, and never more often than Slack takes it. What looks as before is not sent. Who opened what is forgotten with
the process: opening the page draws it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog

from bot.worker import new_id
from domain.changes import DeliveryKind, Outgoing
from domain.errors import RelaydeskError
from domain.ports import Desk
from domain.roles import Act, may

log = structlog.get_logger(__name__)

WAIT_S: Final = 3.0
"""What changes within so long is drawn together."""
EACH_S: Final = 15.0
"""One person's page is drawn anew no oftener."""
TURN_S: Final = 60.0
"""Drawn anew in any case, for what became overdue."""
LATELY_S: Final = 30 * 60.0
"""So long after it was opened."""
MOST: Final = 20
"""People in one round: Slack takes some hundred pages a minute of one app."""
CHANGES: Final = frozenset({DeliveryKind.DESK_CARD, DeliveryKind.DESK_UPDATE, DeliveryKind.DESK_MOVED})
"""What is sent when a conversation has changed."""
Add = Callable[[Sequence[Outgoing]], Awaitable[None]]


@dataclass(slots=True)
class _Reader:
    """Somebody who opened their page: when, when it was drawn last, both in monotonic seconds."""

    opened: float
    drawn: float


class Homes:
    """Remembers who looks at their page, and asks for it to be drawn: `add` puts rows into the outbox.

    `clock` gives monotonic seconds.
    """

    def __init__(self, desk: Desk, add: Add, clock: Callable[[], float] = time.monotonic) -> None:
        self._add = add
        self._desk = desk
        self._clock = clock
        self._readers: dict[str, _Reader] = {}
        self._changed = asyncio.Event()
        self._turned = clock()

    def sent(self, kind: DeliveryKind, data: Mapping[str, Any]) -> None:
        """Hear of everything that is sent: a page somebody opened, or what shows that a conversation has changed."""
        if kind is DeliveryKind.DESK_HOME:
            self._drawn(str(data["place"]), is_opened="pushed" not in data)
        elif kind in CHANGES and self._readers:
            self._changed.set()

    def _drawn(self, user: str, *, is_opened: bool) -> None:
        now = self._clock()
        if is_opened:
            self._readers.pop(user, None)
            self._readers[user] = _Reader(opened=now, drawn=now)
        elif user in self._readers:
            self._readers[user].drawn = now

    async def run(self) -> None:
        """Draw pages until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout=TURN_S)
            await asyncio.sleep(WAIT_S)
            try:
                await self.draw()
            except Exception as error:  # a page is a convenience; whoever opens it has it drawn
                log.exception("homes.not_drawn", error=type(error).__name__)

    async def draw(self) -> int:
        """Ask for every page that is to be drawn now; returns how many."""
        now = self._clock()
        self._readers = {user: one for user, one in self._readers.items() if now - one.opened < LATELY_S}
        is_turn = now - self._turned >= TURN_S
        if not self._changed.is_set() and not is_turn:
            return 0
        waiting = [user for user, one in self._readers.items() if now - one.drawn < EACH_S]
        due = [user for user in self._readers if user not in waiting]
        items = [item for user in due[:MOST] if (item := await self._page(user)) is not None]
        if not waiting and len(due) <= MOST:  # else again, once it may be
            self._changed.clear()
        if is_turn:
            self._turned = now
        if items:
            await self._add(items)
        return len(items)

    async def _page(self, user: str) -> Outgoing | None:
        """The row for a page; None for somebody who may no longer see one, or of whom nobody can say."""
        try:
            roles = await self._desk.roles_of(user)
        except RelaydeskError:
            return None
        if not may(roles, Act.SEE):
            self._readers.pop(user, None)
            return None
        self._readers[user].drawn = self._clock()
        identity = new_id()
        return Outgoing(
            id=identity,
            lane=f"home:{user}",
            bucket=f"slack-user:{user}",
            kind=DeliveryKind.DESK_HOME,
            idem_key=f"home:{identity}",
            collapse=True,
            data={
                "place": user,
                "user": user,
                "text": "deadlines",
                "leads": may(roles, Act.ASSIGN_OTHER),
                "roles": sorted(roles),
                "pushed": True,
            },
        )
