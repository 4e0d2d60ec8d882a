"""Socket Mode: tickets that work once, envelopes that must be acknowledged, frames that announce the end."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from sandbox.slack import workspace
from sandbox.slack.delivery import Delivery, Judge
from sandbox.slack.held import Held

MAX_CONNECTIONS = 10
PING_EVERY_S = 30.0
CLOSE_TIMEOUT_S = 0.2
AFTER_THE_FRAME_S = 0.05
"""How long a `cut` fault waits, so that the envelope it strikes has left."""
REASONS = ("warning", "refresh_requested", "link_disabled", "too_many_websockets")
AT_ONCE = frozenset({"link_disabled", "too_many_websockets"})
"""Reasons after which the connection is closed without a period of grace."""


@dataclass(slots=True, eq=False)
class Pending:
    """An envelope on its way."""

    delivery: Delivery
    judge: Judge
    attempt: int
    timer: asyncio.TimerHandle


@dataclass(slots=True, eq=False)
class Connection:
    """One websocket of the app. `leaving` ones get no more envelopes while another is open."""

    number: int
    ws: web.WebSocketResponse
    request: web.Request
    frames: "asyncio.Queue[str | None]" = field(default_factory=asyncio.Queue)
    pending: dict[str, Pending] = field(default_factory=dict)
    leaving: bool = False
    half_open: bool = False
    sent: int = 0


class Sockets:
    """All websockets of the app, served in turn."""

    def __init__(self, side: Held) -> None:
        self._side = side
        self._tickets: dict[str, float] = {}
        self._connections: list[Connection] = []
        self._turn = 0
        self._numbers = 0
        self._random = random.Random()
        self._timers: set[asyncio.TimerHandle] = set()

    def count(self) -> int:
        """Open websockets."""
        return len(self._connections)

    def view(self) -> list[dict[str, Any]]:
        """The open websockets, for the control interface."""
        return [
            {
                "connection": c.number,
                "sent": c.sent,
                "pending": len(c.pending),
                "leaving": c.leaving,
                "half_open": c.half_open,
            }
            for c in self._connections
        ]

    def ticket(self) -> str:
        """A websocket address that works once, for a minute."""
        ticket = f"{self._random.getrandbits(128):032x}"
        self._tickets[ticket] = time.monotonic()
        return f"ws{self._side.desk.url.removeprefix('http')}/slack/link?ticket={ticket}&app_id={workspace.APP_ID}"

    def send(self, delivery: Delivery, judge: Judge) -> bool:
        """Put an envelope on the next websocket, and tell the judge how it went; False if none is open."""
        connection = self._next()
        if connection is None:
            return False
        envelope_id = f"{self._random.getrandbits(128):032x}"
        envelope_id = (
            f"{envelope_id[:8]}-{envelope_id[8:12]}-{envelope_id[12:16]}-{envelope_id[16:20]}-{envelope_id[20:]}"
        )
        answers = "false" if delivery.kind == "events_api" else "true"
        retry = ""
        if delivery.kind == "events_api":
            retry = f',"retry_attempt":{delivery.attempt},"retry_reason":"{delivery.retry_reason}"'
        connection.frames.put_nowait(
            f'{{"envelope_id":"{envelope_id}","payload":{delivery.body},"type":"{delivery.kind}"'
            f',"accepts_response_payload":{answers}{retry}}}'
        )
        connection.sent += 1
        timer = asyncio.get_running_loop().call_later(
            self._side.settings.ack_timeout_s, self._timed_out, connection, envelope_id
        )
        connection.pending[envelope_id] = Pending(delivery, judge, delivery.attempt, timer)
        self._misbehave(connection, delivery.kind)
        return True

    def send_raw(self, text: str) -> bool:
        """Put a frame on the next websocket as it is, for which nobody waits; False if none is open."""
        connection = self._next()
        if connection is None:
            return False
        connection.frames.put_nowait(text)
        connection.sent += 1
        return True

    def disconnect(self, reason: str, *, number: int | None = None) -> int:
        """Send a disconnect frame on one websocket or all and close after the grace; how many there were."""
        chosen = [c for c in self._connections if number is None or c.number == number]
        for connection in chosen:
            self._disconnect(connection, reason)
        return len(chosen)

    def cut(self, *, number: int | None = None) -> int:
        """Cut one websocket or all without a word; how many there were."""
        chosen = [c for c in self._connections if number is None or c.number == number]
        for connection in chosen:
            self._cut(connection)
        return len(chosen)

    async def stop(self) -> None:
        """Close all."""
        for timer in self._timers:
            timer.cancel()
        for connection in list(self._connections):
            await connection.ws.close(code=1001, message=b"sandbox stops")

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /slack/link?ticket=…`."""
        born = self._tickets.pop(request.query.get("ticket", ""), None)
        log = self._side.desk.log
        if self._side.desk.faults.take("slack", "ticket", ("refuse_ticket",)):
            log.add("slack", "ticket_refused", "fault", {})
            return web.Response(status=503, text="Service Unavailable")
        if born is None or time.monotonic() - born > self._side.settings.ticket_lifetime_s:
            log.add("slack", "ticket_refused", "unknown_or_used", {})
            return web.Response(status=403, text="Forbidden: unknown, used or expired ticket")
        ws = web.WebSocketResponse(timeout=CLOSE_TIMEOUT_S, heartbeat=PING_EVERY_S, max_msg_size=1_048_576)
        await ws.prepare(request)
        self._numbers += 1
        connection = Connection(self._numbers, ws, request)
        if len(self._connections) >= MAX_CONNECTIONS:
            await ws.send_str(_disconnect_frame("too_many_websockets"))
            await ws.close()
            return ws
        self._connections.append(connection)
        log.add("slack", "socket_open", str(connection.number), {})
        self._side.publish("connections", count=self.count())
        connection.frames.put_nowait(self._hello())
        writer = asyncio.create_task(_write(connection))
        try:
            with contextlib.suppress(ConnectionResetError):  # it was killed before it heard that we are there
                async for message in ws:
                    if message.type is WSMsgType.TEXT:
                        self._received(connection, message.data)
        finally:
            self._gone(connection)
            writer.cancel()
        return ws

    def _hello(self) -> str:
        return json.dumps(
            {
                "type": "hello",
                "num_connections": self.count(),
                "debug_info": {"host": "applink-sandbox", "build_number": 1, "approximate_connection_time": 18060},
                "connection_info": {"app_id": workspace.APP_ID},
            }
        )

    def _next(self) -> Connection | None:
        if not self._connections:
            return None
        staying = [c for c in self._connections if not c.leaving] or self._connections
        self._turn += 1
        return staying[self._turn % len(staying)]

    def _received(self, connection: Connection, text: str) -> None:
        try:
            said = json.loads(text)
        except ValueError:
            said = None
        if not isinstance(said, dict) or not isinstance(said.get("envelope_id"), str):
            self._side.desk.log.add("slack", "bad_frame", str(connection.number), {"chars": len(text)})
            return
        pending = connection.pending.get(said["envelope_id"])
        if pending is None:
            self._side.desk.log.add("slack", "late_ack", said["envelope_id"], {})
            return
        if self._side.desk.faults.take("slack", pending.delivery.kind, ("no_ack",)):
            return
        del connection.pending[said["envelope_id"]]
        pending.timer.cancel()
        payload = said.get("payload")
        pending.judge.acknowledged(pending.delivery, payload if isinstance(payload, dict) else {})

    def _timed_out(self, connection: Connection, envelope_id: str) -> None:
        pending = connection.pending.pop(envelope_id, None)
        if pending is not None:
            pending.judge.failed(pending.delivery, pending.attempt, "timeout")

    def _gone(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        self._side.desk.log.add("slack", "socket_closed", str(connection.number), {})
        self._side.publish("connections", count=self.count())
        for pending in connection.pending.values():
            pending.timer.cancel()
            pending.judge.failed(pending.delivery, pending.attempt, "timeout")
        connection.pending.clear()

    def _misbehave(self, connection: Connection, kind: str) -> None:
        rule = self._side.desk.faults.take("slack", kind, ("disconnect", "cut", "half_open"))
        if rule is None:
            return
        if rule.fault == "cut":
            self._later(AFTER_THE_FRAME_S, self._cut, connection)
        elif rule.fault == "half_open":
            _open_by_half(connection)
        else:
            self._disconnect(connection, rule.error if rule.error in REASONS else "refresh_requested")

    def _disconnect(self, connection: Connection, reason: str) -> None:
        connection.leaving = True
        connection.frames.put_nowait(_disconnect_frame(reason))
        grace_s = 0.0 if reason in AT_ONCE else self._side.settings.disconnect_grace_s
        if grace_s == 0:
            connection.frames.put_nowait(None)
            return

        self._later(grace_s, connection.frames.put_nowait, None)

    def _cut(self, connection: Connection) -> None:
        if connection.request.transport is not None:
            connection.request.transport.abort()

    def _later(self, delay_s: float, call: Callable[..., None], *arguments: object) -> None:
        def run() -> None:
            self._timers.discard(timer)
            call(*arguments)

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.add(timer)


def _open_by_half(connection: Connection) -> None:
    """As when a router forgets a connection: neither side is told, no frame arrives, no ping is answered."""
    connection.half_open = True
    if connection.request.transport is not None:
        connection.request.transport.pause_reading()


async def _write(connection: Connection) -> None:
    """Send what is queued, in order; None closes."""
    try:
        while (frame := await connection.frames.get()) is not None:
            if not connection.half_open:
                await connection.ws.send_str(frame)
        await connection.ws.close()
    except ConnectionError:
        return


def _disconnect_frame(reason: str) -> str:
    return json.dumps({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-sandbox"}})
