"""The nightly run of the retention rules: once a day, also after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from domain.retention import Rule, Taken
from storage.clocks import Clocks
from storage.retention import Retention

log = structlog.get_logger()

BEAT: Final = "retention"


class Retirement:
    """Knows when the rules are due. Which day they ran last stands in the database."""

    def __init__(self, retention: Retention, clocks: Clocks, *, rules: Sequence[Rule], hour: int) -> None:
        self._retention = retention
        self._clocks = clocks
        self._rules = tuple(rules)
        self._hour = hour

    async def nightly(self, now: datetime) -> list[Taken]:
        """Apply the rules if they are due; returns what was taken (only rules that took something)."""
        if not self._rules or now.hour < self._hour:
            return []
        last = await self._clocks.last_beat(BEAT)
        if last is not None and last.date() >= now.date():
            return []
        taken = await self._retention.apply(self._rules, now)
        await self._clocks.beat(BEAT, now)  # after it: a run that was broken off is done again
        for one in taken:
            log.info("retention.taken", what=one.rule.what.value, days=one.rule.age.days, count=one.count)
        return [one for one in taken if one.count]
