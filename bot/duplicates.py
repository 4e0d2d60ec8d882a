"""Looks for customers who may be one person, whenever something was learnt about somebody. A person decides."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import structlog

from bot import metrics
from bot.ids import new_id
from domain import links
from domain.links import Pair, Suspect
from handlers import likeness as comparing
from storage.likeness import Likeness
from storage.links import Links

log = structlog.get_logger()

BATCHES: Final = 20
"""So many in one turn: whoever looks after erasures waits for it, too. The next turn goes on."""
PAUSE_S: Final = 0.02  # between two batches: messages go first


class Duplicates:
    """Suggests, with the evidence; what was refused once is not suggested again."""

    def __init__(self, likeness: Likeness, links: Links) -> None:
        self._likeness = likeness
        self._links = links

    async def look(self, now: datetime) -> int:
        """Compare whoever something was learnt about; returns how many pairs stand suggested of them. Resumable."""
        count = 0
        for _ in range(BATCHES):
            touched = await self._likeness.touched()
            if touched is None:
                break
            ids, line, more = touched
            count += await self._compare(ids, now)
            await self._likeness.advance(line)
            if not more:
                break
            await asyncio.sleep(PAUSE_S)
        return count

    async def _compare(self, ids: list[str], now: datetime) -> int:
        traits = await self._likeness.traits(ids)
        with_whom, suggested = await self._likeness.candidates(traits)
        missing = {other for others in with_whom.values() for other in others} - traits.keys()
        everybody = traits | await self._likeness.traits(missing)
        found: dict[Pair, Suspect] = {}
        for one, others in with_whom.items():
            for other in others & everybody.keys():
                both = links.pair(one, other)
                signs = comparing.evidence(everybody[both[0]], everybody[both[1]])
                if signs:
                    found[both] = Suspect(one=both[0], other=both[1], evidence=signs, found_at=now)
        gone = sorted(suggested - found.keys())
        await self._links.suggest([(new_id(), one) for _, one in sorted(found.items())], gone)
        fresh = len(found.keys() - suggested)
        if fresh:
            metrics.duplicate_customers.inc(fresh)
            log.info("duplicates.suggested", pairs=fresh)
        return len(found)
