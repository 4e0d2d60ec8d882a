"""What stands between processes in a company: a balancer that deals connections out in turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK = 65536


@dataclass(kw_only=True)
class Balancer:
    """Gives each connection to the next of its hosts that is there; `dealt` counts them by the host's port."""

    ports: Sequence[int]
    port: int = 0
    dealt: Counter[int] = field(default_factory=Counter)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, passed on in both directions until either side ends it. Ended where no host is there."""
        far = await self._next()
        if far is None:
            writer.close()
            return
        far_reader, far_writer = far
        ends = {writer, far_writer}
        self._open |= ends
        tasks = [asyncio.create_task(_pass(reader, far_writer)), asyncio.create_task(_pass(far_reader, writer))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in ends:
                end.close()
            self._open -= ends

    async def _next(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = self.dealt.total()
        for place in range(len(self.ports)):
            port = self.ports[(first + place) % len(self.ports)]
            with contextlib.suppress(OSError):
                found = await asyncio.open_connection("127.0.0.1", port)
                self.dealt[port] += 1
                return found
        return None

    def cut(self) -> None:
        """End every open connection, so that the next request is dealt out anew."""
        for end in list(self._open):
            end.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()


@asynccontextmanager
async def balancer(ports: Sequence[int]) -> AsyncIterator[Balancer]:
    """A balancer on a free port of this machine."""
    made = Balancer(ports=ports)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.cut()
        await asyncio.sleep(0)
