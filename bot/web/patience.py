"""How long the web server waits, and for how many: whoever connects and says nothing keeps nobody else out."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from bot import metrics

HEAD_WITHIN_S: Final = 10.0
"""A connection that has not told what it wants by then is closed."""
ANSWER_WITHIN_S: Final = 60.0
"""So long a request may take, until whoever sent it has read the answer."""
KEEP_ALIVE_S: Final = 65
"""Above the 60 s that load balancers usually keep an idle connection, so that they close first."""
NEXT_WITHIN_S: Final = KEEP_ALIVE_S + 5.0
"""After an answer, until the next request is there whole: an idle connection is closed before, and politely."""
MOST: Final = 256
"""Connections at a time. Platforms and balancers keep a few; other file descriptors are for database and platforms."""


class PatientProtocol(H11Protocol):
    """uvicorn's protocol with an end to its patience.

    On its own it waits for ever for a first request, and whatever is dribbled after an answer (the rest of a refused
    body, half of a next head) starts its waiting anew.
    """

    _closing: asyncio.TimerHandle | None = None
    _waits_for: RequestResponseCycle | None = None  # the request that is being answered; None: the next one

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take a connection in, unless there are too many: that one is cut at once."""
        if len(self.connections) >= MOST:
            self.transport = transport  # what is told of the end looks for it
            metrics.refused_requests.labels(source="web", reason="too_many").inc()
            transport.abort()
            return
        super().connection_made(transport)
        self._closing = self.loop.call_later(HEAD_WITHIN_S, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Read on. Only a whole head of a request ends the waiting for one."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request, if there is one."""
        super().on_response_complete()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _look(self) -> None:
        busy = None if self.cycle is None or self.cycle.response_complete else self.cycle
        if busy is self._waits_for:
            return  # whatever came, what is waited for did not
        self._stop_waiting()
        self._waits_for = busy
        if not self.transport.is_closing():
            within = NEXT_WITHIN_S if busy is None else ANSWER_WITHIN_S
            self._closing = self.loop.call_later(within, self._give_up)

    def _stop_waiting(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _give_up(self) -> None:
        self._closing = None
        metrics.refused_requests.labels(source="web", reason="too_slow").inc()
        self.transport.abort()
