"""Keeps the search index in shape: packs what was written, joins small segments, reads in what is from before.

Runs in one process at a time, by a lease. Nothing waits for it: what is not packed yet is searched as it is.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import CannotDecrypt
from storage.reindex import Reindex
from storage.segments import Segments

log = structlog.get_logger()

EVERY_S: Final = 5.0
BREATH_S: Final = 0.25
"""Between two pieces of work: messages come first."""
AFTER_TROUBLE_S: Final = 60.0


class Indexer:
    """The loop over the index."""

    def __init__(self, segments: Segments, reindex: Reindex) -> None:
        self._segments = segments
        self._reindex = reindex

    async def run(self) -> None:
        """Tidy up until cancelled."""
        is_clear = False
        while True:
            try:
                if not is_clear:
                    await self._segments.clear_up()
                    is_clear = True
                is_busy = await self._reindex.catch_up() > 0 or await self._segments.tidy()
                pause = BREATH_S if is_busy else EVERY_S
            except CannotDecrypt:
                log.error("search.damaged")
                pause = AFTER_TROUBLE_S
            except (SQLAlchemyError, OSError) as error:
                log.warning("search.postponed", error=type(error).__name__)
                pause = AFTER_TROUBLE_S
            await asyncio.sleep(pause)
