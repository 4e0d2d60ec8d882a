"""Leases of work that takes long: renewed while it lasts. What is given up is left to run out."""

from __future__ import annotations

import asyncio
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


class Keeper:
    """Keeps the lanes that are being worked on leased: a slow upload must not be taken up a second time."""

    def __init__(self, database: Database, side: str, owner: str) -> None:
        self._db = database
        self._side = side
        self._owner = owner
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, names: Collection[str]) -> Iterator[None]:
        """Keep these lanes while the block runs."""
        self._held.update(names)
        try:
            yield
        finally:
            self._held.subtract(names)
            self._held = +self._held

    async def run(self) -> None:
        """Renew until cancelled."""
        while True:
            await asyncio.sleep(RENEW_S)
            held = sorted(self._held)
            if not held:
                continue
            try:
                await self._db.write(
                    lambda conn, held=held: lanes.renew(conn, self._side, self._owner, times.real(), only=held)  # type: ignore[misc]
                )
            except (SQLAlchemyError, OSError) as error:
                log.warning("lease.not_renewed", side=self._side, error=type(error).__name__)
