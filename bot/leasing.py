"""Leases of work that takes long: renewed while it lasts. What is given up is left to run out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from storage import lanes
from storage.database import Database

log = structlog.get_logger()

RENEW_S = lanes.LEASE.total_seconds() / 3
RETRY_S = 1.0
SURE_S = lanes.LEASE.total_seconds() * 2 / 3
"""So long after it was taken or renewed a lease is certainly ours: the rest is for a commit that was heard of late."""
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine is suspended


def _now() -> float:
    return time.clock_gettime(_CLOCK)


class Keeper:
    """Keeps the lanes that are being worked on leased: a slow upload must not be taken up a second time."""

    def __init__(self, database: Database, side: str, owner: str) -> None:
        self._db = database
        self._side = side
        self._owner = owner
        self._held: Counter[str] = Counter()
        self._sure: dict[str, float] = {}  # until when each of them is certainly ours

    @contextmanager
    def hold(self, names: Collection[str]) -> Iterator[None]:
        """Keep these lanes while the block runs."""
        self._held.update(names)
        self._sure.update(dict.fromkeys(names, _now() + SURE_S))
        try:
            yield
        finally:
            self._held.subtract(names)
            self._held = +self._held
            for name in names:
                if name not in self._held:
                    self._sure.pop(name, None)

    def is_sure(self, name: str) -> bool:
        """Whether a lane that is held here is certainly still leased: renewing has not failed for long."""
        return _now() < self._sure.get(name, 0.0)

    async def run(self) -> None:
        """Renew until cancelled."""
        pause = RENEW_S
        while True:
            await asyncio.sleep(pause)
            pause, asked, held = RENEW_S, _now(), sorted(self._held)
            if not held:
                continue
            try:
                renewed = await self._db.write(
                    lambda conn, held=held: lanes.renew(conn, self._side, self._owner, times.real(), only=held)  # type: ignore[misc]
                )
            except (SQLAlchemyError, OSError) as error:
                log.warning("lease.not_renewed", side=self._side, error=type(error).__name__)
                pause = RETRY_S
                continue
            self._sure.update({name: asked + SURE_S if name in renewed else 0.0 for name in held if name in self._held})
