"""How long a platform is waited for while a file goes up to it: what the file's own source takes does not count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Waiting:
    """So many seconds in which a platform may be waited for.

    The source of what goes up (our storage, a disk, another platform) has its own: as many for each piece. A source
    that gives nothing for so long ends the wait, too: nothing is held up for ever.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._timer: asyncio.Timeout | None = None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """What is done inside may take that long, but for what sources take. Raises TimeoutError where it is over."""
        try:
            async with asyncio.timeout(self._limit_s) as self._timer:
                yield
        finally:
            self._timer = None

    async def source(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces as they come; the time in which one is waited for does not count."""
        loop = asyncio.get_running_loop()
        while True:
            end = self._timer.when() if self._timer is not None else None
            left_s = self._limit_s if end is None else end - loop.time()
            self._end_at(loop.time() + self._limit_s)
            piece = await anext(pieces, None)
            self._end_at(loop.time() + left_s)
            if piece is None:
                return
            yield piece

    def _end_at(self, when: float) -> None:
        # A client may ask for one more piece, in a task of its own, when the wait is over.
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(when)
