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
from dataclasses import dataclass
from typing import Any, Final

import structlog

from bot import times
from bot.ids import new_id
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
"""A page that is so old is drawn anew in any case, for what became overdue."""
LATELY_S: Final = 30 * 60.0
"""So long after it was opened."""
MOST: Final = 20
"""People in one round: Slack takes some hundred pages a minute of one app."""
CHANGES: Final = frozenset({DeliveryKind.DESK_CARD, DeliveryKind.DESK_UPDATE, DeliveryKind.DESK_MOVED})
"""What is sent when a conversation has changed."""
Add = Callable[[Sequence[Outgoing]], Awaitable[None]]


@dataclass(slots=True)
class _Reader:
    """Somebody who opened their page. All in monotonic seconds: when, when it was last sent or looked after, and up to
    when it shows what changed.
    """

    opened: float
    drawn: float
    shows: float


class Homes:
    """Remembers who looks at their page, and asks for it to be drawn: `add` puts rows into the outbox.

    `clock` gives monotonic seconds.
    """

    def __init__(self, desk: Desk, add: Add, clock: Callable[[], float] = time.monotonic) -> None:
        self._add = add
        self._desk = desk
        self._clock = clock
        self._readers: dict[str, _Reader] = {}
        self._changed = float("-inf")
        self._soon = asyncio.Event()

    def sent(self, kind: DeliveryKind, data: Mapping[str, Any]) -> None:
        """Hear of everything that is sent: a page somebody opened, or what shows that a conversation has changed."""
        if kind is DeliveryKind.DESK_HOME:
            self._drawn(str(data["place"]), is_opened="pushed" not in data)
        elif kind in CHANGES and self._readers:
            self._changed = self._clock()
            self._soon.set()

    def _drawn(self, user: str, *, is_opened: bool) -> None:
        now = self._clock()
        if is_opened:
            self._readers.pop(user, None)
            self._readers[user] = _Reader(opened=now, drawn=now, shows=now)
        elif user in self._readers:
            self._readers[user].drawn = now

    async def run(self) -> None:
        """Draw pages until cancelled."""
        while True:
            await times.until(self._soon, EACH_S)
            await asyncio.sleep(WAIT_S)
            try:
                await self.draw()
            except Exception as error:  # a page is a convenience; whoever opens it has it drawn
                log.exception("homes.not_drawn", error=type(error).__name__)

    async def draw(self) -> int:
        """Ask for every page that is to be drawn now; returns how many."""
        now = self._clock()
        self._soon.clear()
        self._readers = {user: one for user, one in self._readers.items() if now - one.opened < LATELY_S}
        old = {
            user: one.drawn for user, one in self._readers.items() if self._is_behind(one) or now - one.shows >= TURN_S
        }
        due = sorted((user for user, drawn in old.items() if now - drawn >= EACH_S), key=lambda user: old[user])
        items = []
        for user in due[:MOST]:
            if (item := await self._page(user)) is not None:
                items.append(item)
            elif user in self._readers:  # asked for again as late as a page, and behind the others
                self._readers[user].drawn = now
        if items:
            await self._add(items)
        for user in (str(item.data["place"]) for item in items):
            if (reader := self._readers.get(user)) is not None:  # it may have been opened anew meanwhile
                reader.drawn, reader.shows = max(reader.drawn, now), max(reader.shows, now)
        if len(due) > MOST or any(self._is_behind(one) for one in self._readers.values()):
            self._soon.set()
        return len(items)

    def _is_behind(self, reader: _Reader) -> bool:
        """Whether something has changed that their page may not show."""
        return reader.shows < self._changed

    async def _page(self, user: str) -> Outgoing | None:
        """The row for a page; None for somebody who may no longer see one, or of whom nobody can say."""
        try:
            roles = await self._desk.roles_of(user)
        except RelaydeskError:
            return None
        if not may(roles, Act.SEE):
            self._readers.pop(user, None)
            return None
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
