"""The keeper: finishes what was begun about people's rights, whoever began it and whatever became of them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from domain.errors import RelaydeskError
from storage.erasures import Erasures

log = structlog.get_logger()

LEASE: Final = "privacy"
EVERY: Final = timedelta(seconds=5)


class Keeper:
    """Carries erasures on until their receipts are issued: one process at a time, the next goes on where it stopped."""

    def __init__(self, erasures: Erasures) -> None:
        self._erasures = erasures

    async def run(self) -> None:
        """Look every few seconds until cancelled; a store that is away is waited for."""
        while True:
            try:
                await self.turn()
            except (SQLAlchemyError, OSError) as error:
                log.error("keeper.storage_failed", error=type(error).__name__)
            await asyncio.sleep(EVERY.total_seconds())

    async def turn(self) -> None:
        """Do what can be done now; one erasure that fails does not hold up the others."""
        for erasure in await self._erasures.unfinished():
            try:
                await self._erasures.go_on(erasure, times.real())
            except RelaydeskError as error:
                log.error("keeper.erasure_failed", erasure=erasure, error=type(error).__name__)
