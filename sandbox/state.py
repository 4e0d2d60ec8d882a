"""The sandbox as one object: clock, log, faults, both platforms, and the stream of events for the page."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from sandbox.clock import FastClock
from sandbox.faults import Faults
from sandbox.log import Log

EVENTS_KEPT_PER_LISTENER = 2_000
"""A page that reads slower than this is cut off and reloads everything."""


class Side(Protocol):
    """One platform, as the core sees it."""

    async def start(self) -> None:
        """Begin background work; called once, after `load`."""
        ...

    async def stop(self) -> None:
        """End background work and wake every waiting request, within half a second."""
        ...

    def reset(self) -> None:
        """Back to an empty platform."""
        ...

    def dump(self) -> dict[str, Any]:
        """Everything worth keeping, as JSON."""
        ...

    def load(self, saved: dict[str, Any]) -> None:
        """Take up what `dump` gave."""
        ...

    def view(self) -> dict[str, Any]:
        """A short summary for `GET /control/state`."""
        ...


class Sandbox:
    """What every handler gets. `limits` says whether the platforms enforce their rate limits."""

    def __init__(self, *, clock: FastClock, limits: bool = False) -> None:
        self.clock = clock
        self.limits = limits
        self.log = Log(clock)
        self.faults = Faults(self.log)
        self.url = ""
        """The address of the sandbox, without a slash at the end; known once it listens."""
        self.closing = asyncio.Event()
        """Set when the sandbox stops: everything that waits must also wait for this."""
        self.sides: dict[str, Side] = {}
        self.dirty = False
        """Something worth keeping has changed since the state file was written."""
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._event_seq = 0

    def attach(self, name: str, side: Side) -> None:
        """Make a platform part of the sandbox: started, stopped, reset, saved and shown with it."""
        self.sides[name] = side

    def publish(self, event: dict[str, Any]) -> None:
        """Tell every listener of `/events`. An event has a `type` such as `telegram.message`."""
        self.dirty = True
        if not self._listeners:
            return
        self._event_seq += 1
        line = f"id: {self._event_seq}\ndata: {json.dumps(event)}\n\n".encode()
        for queue in list(self._listeners):
            if queue.full():
                self._listeners.discard(queue)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(line)

    def listen(self) -> tuple["asyncio.Queue[bytes | None]", Callable[[], None]]:
        """A queue of server-sent events (None: cut off, reload) and the function that ends it."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(EVENTS_KEPT_PER_LISTENER)
        self._listeners.add(queue)
        return queue, lambda: self._listeners.discard(queue)

    def reset(self) -> None:
        """Empty both platforms, the log and the faults. The clock goes on: it never jumps back."""
        for side in self.sides.values():
            side.reset()
        self.log.clear()
        self.faults.forget()
        self.publish({"type": "reset"})


DESK: web.AppKey[Sandbox] = web.AppKey("desk", Sandbox)
"""Where the sandbox sits in its web application."""
