"""A PostgreSQL behind a proxy that can cut, refuse, lead elsewhere, fall silent, and lose what is said at a commit."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

COMMIT = b"COMMIT;\x00"
CHUNK = 65536


@dataclass(kw_only=True)
class Proxy:
    """Leads connections to a server's socket. `refusing`: takes none. `losing`: what happens to the next commits.

    `before`: the commit never reaches the server. `after`: it does, and the answer is lost. Either way the connection
    breaks, and whoever waits cannot know which it was. `silent`: nothing passes in either direction and nobody is told,
    as behind a firewall that forgot us; a connection of that time stays as it is, half open, when others pass again.
    """

    upstream: Path
    port: int = 0
    refusing: bool = False
    silent: bool = False
    losing: str | None = None
    lost: Counter[str] = field(default_factory=Counter)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> int:
        """Break every connection; how many there were."""
        broken = len(self._open) // 2
        for writer in list(self._open):
            writer.transport.abort()
        return broken

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        if self.refusing:
            writer.transport.abort()
            return
        await self._heard()  # whoever calls meanwhile is connected, and hears nothing
        try:
            theirs, ours = await asyncio.open_unix_connection(str(self.upstream))
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, ours}
        lost = asyncio.Event()  # set once something was swallowed: what follows would be without a beginning
        try:
            ways = [
                asyncio.ensure_future(self._ask(reader, ours, lost)),
                asyncio.ensure_future(self._answer(theirs, writer, lost)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            await self._heard()  # that one side has gone does not come to the other either
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._open -= {writer, ours}
            writer.transport.abort()
            ours.transport.abort()

    async def _heard(self) -> None:
        while self.silent:  # noqa: ASYNC110  # set by whoever plays the network
            await asyncio.sleep(0.05)

    def _swallows(self, lost: asyncio.Event) -> bool:
        if self.silent:
            lost.set()
        return lost.is_set()

    async def _ask(self, reader: asyncio.StreamReader, ours: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._swallows(lost):
                    continue
                if self.losing is not None and COMMIT in data:
                    self.lost[self.losing] += 1
                    if self.losing == "after":
                        ours.write(data)
                        await ours.drain()
                        await asyncio.sleep(0.05)  # the server has it, and its answer must not pass
                    return
                ours.write(data)
                await ours.drain()

    async def _answer(self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await theirs.read(CHUNK):
                if self._swallows(lost):
                    continue
                if self.losing == "after" and b"COMMIT\x00" in data:
                    await asyncio.sleep(1.0)  # by then the asking side has broken the connection
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def proxy(upstream: Path, listening: socket.socket | None = None) -> AsyncIterator[Proxy]:
    """A proxy in front of a server's socket: on a free port of this machine, or where somebody listens already."""
    made = Proxy(upstream=upstream)
    server = await asyncio.start_server(made.serve, sock=listening or socket.create_server(("127.0.0.1", 0)))
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        made.silent = False
        made.cut()
        await server.wait_closed()
