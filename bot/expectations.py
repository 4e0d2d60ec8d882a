"""How long customers wait for a first answer here, lately: what they may be told to expect."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from domain.rulebook import Rulebook
from storage.clocks import Clocks

log = structlog.get_logger()

REFRESH_S = 600.0
ENOUGH = 20
"""Answers that it takes to speak of a habit; below, the deadline is what customers are told."""
SHARE = 0.8


class Expectations:
    """Per policy, the business time within which four of five customers had their first answer."""

    def __init__(self, *, clocks: Clocks, rules: Rulebook) -> None:
        self._clocks = clocks
        self._rules = rules
        self._usual: Mapping[str, timedelta] = {}

    def usual(self) -> Mapping[str, timedelta]:
        """By policy; a policy with too few answers is not in it."""
        return self._usual

    async def keep(self) -> None:
        """Look every few minutes, until cancelled."""
        while True:
            try:
                await self.look()
            except (SQLAlchemyError, OSError) as error:
                log.warning("expectations.not_read", error=type(error).__name__)
            await asyncio.sleep(REFRESH_S)

    async def look(self) -> None:
        """Measure the newest first answers."""
        found: dict[str, list[tuple[datetime, datetime]]] = {}
        for policy, asked, answered in await self._clocks.first_answers():
            found.setdefault(policy, []).append((asked, answered))
        self._usual = {name: usual for name, waits in found.items() if (usual := self._measure(name, waits))}

    def _measure(self, name: str, waits: Sequence[tuple[datetime, datetime]]) -> timedelta | None:
        policy = self._rules.policies.get(name)
        if policy is None or len(waits) < ENOUGH:
            return None
        calendar = self._rules.calendar_of(policy)
        spans = sorted(calendar.measure(asked, answered) for asked, answered in waits)
        return spans[min(len(spans) - 1, int(SHARE * len(spans)))]
