"""What the desk is told of deadlines when it asks: looked up at the moment of telling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot import explain
from bot.desk import words
from bot.desk.home import MOST_DUE
from domain.calendar import ALWAYS
from domain.rulebook import Rulebook
from storage import board, home
from storage.database import Database
from storage.record import Record
from storage.wishes import Wanted

SOON = timedelta(hours=4)
"""What counts as due soon."""
LISTED = 10
"""Deadlines in each list: enough to work on, short enough to read."""
ON_PAGE = LISTED + MOST_DUE
"""Beside somebody's own on their page: of these their own are not listed again."""


class Deadlines:
    """Answers "Why then?" for a conversation, and who is waiting for what for a person."""

    def __init__(
        self,
        *,
        database: Database,
        record: Record,
        rules: Rulebook,
        now: Callable[[], datetime],
        practice: str | None = None,
    ) -> None:
        self._db = database
        self._record = record
        self._rules = rules
        self._now = now
        self._practice = practice

    async def _page(self, agent: str, now: datetime, *, leads: bool, hidden: Sequence[str]) -> dict[str, Any]:
        """What the page of an agent shows: their work, and when each queue with a calendar opens (None: it is open)."""
        hours: dict[str, datetime | None] = {}
        for name in (one for one in self._rules.queues if one not in hidden):
            calendar = self._rules.hours_of(name)
            if calendar is not ALWAYS:  # nobody said when this team is there
                opens = calendar.next_open(now)
                hours[name] = None if opens <= now else opens
        return {
            "board": await board.load(self._db, agent, now, now + SOON, limit=ON_PAGE, hidden=hidden),
            "page": await home.load(self._db, agent, now, limit=LISTED, leads=leads, hidden=hidden),
            "titles": {name: queue.called(words.language_now()) for name, queue in self._rules.queues.items()},
            "hours": hours,
            "practice": self._practice,
        }

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What a delivery needs beside its row: `accounts` of its conversation, or the `board` of its user."""
        conversation = asked.get("conversation")
        if conversation is None:
            now = self._now()
            user, held = str(asked.get("user")), [str(role) for role in asked.get("roles") or ()]
            hidden = [name for name in self._rules.queues if not self._rules.sees(user, held, name)]
            if asked.get("place") == user:  # somebody's own page
                return await self._page(user, now, leads=bool(asked.get("leads")), hidden=hidden)
            found = await board.load(self._db, user, now, now + SOON, limit=LISTED, hidden=hidden)
            return {"board": found}
        situations = await self._record.load([Wanted(key="asked", conversation_id=str(conversation))])
        return {"accounts": explain.accounts(self._rules, situations["asked"], self._now())}
