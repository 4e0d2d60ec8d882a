"""What the desk is told of deadlines when it asks: looked up at the moment of telling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bot import explain
from domain.rulebook import Rulebook
from storage import board
from storage.database import Database
from storage.loading import Wanted
from storage.record import Record

SOON = timedelta(hours=4)
"""What counts as due soon."""
LISTED = 10
"""Deadlines in each list: enough to work on, short enough to read."""


class Deadlines:
    """Answers "Why then?" for a conversation, and who is waiting for what for a person."""

    def __init__(self, *, database: Database, record: Record, rules: Rulebook, now: Callable[[], datetime]) -> None:
        self._db = database
        self._record = record
        self._rules = rules
        self._now = now

    async def answer(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What a delivery needs beside its row: `accounts` of its conversation, or the `board` of its user."""
        conversation = asked.get("conversation")
        if conversation is None:
            now = self._now()
            user, held = str(asked.get("user")), [str(role) for role in asked.get("roles") or ()]
            hidden = [name for name in self._rules.queues if not self._rules.sees(user, held, name)]
            found = await board.load(self._db, user, now, now + SOON, limit=LISTED, hidden=hidden)
            return {"board": found}
        situations = await self._record.load([Wanted(key="asked", conversation_id=str(conversation))])
        return {"accounts": explain.accounts(self._rules, situations["asked"], self._now())}
