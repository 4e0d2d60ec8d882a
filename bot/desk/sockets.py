"""Socket Mode: connections that are kept alive and watched, since the SDK alone can stay deaf for ever.

Three ways of being deaf are known and cured here: a used-up ticket that is tried again and again (`wss_uri` is
forgotten while unconnected), a client that does not get connected at all (it is thrown away and made anew), and a
connection through which nothing flows (the age of the last pong is what counts as life).

Slack gives each event to one connection and may take a dead one for a living one: what it sends there is lost until it
is repeated, while what was said later comes over another. Three signs of that are told as a doubt: another connection
does not answer at once when a line comes in, Slack counts more connections than we have, or one has ended without a
word.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog
from aiohttp import ClientWebSocketResponse, WSMessage
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.desk.client import QUIET, SlackApi
from bot.desk.ingress import Heard
from bot.desk.payloads import Payload

log = structlog.get_logger(__name__)

CLOSE_S = 1.0
"""A connection that is alive answers a goodbye at once; a stop must not wait long for one that is dead."""
WATCH_S = 0.1
TICKET_S = 2.0
"""How long (seconds) one ticket may be tried before a new one is asked for."""
ANSWERS_S = 1.0
"""A connection that is alive answers a ping within this time; Slack waits three times as long for us."""
LOOK_S = 0.005
HELLO_S = 2.0
"""A connection over which Slack does not say hello by then is taken for one as it is."""
HELLO_CHARS = 2_000
"""A frame that is longer is none of those in which Slack speaks of the connection."""
WITHOUT_A_WORD = (None, 1006)
"""How a connection is said to have been closed that nobody has closed (RFC 6455, 7.4.1)."""

Take = Callable[[str, Payload, Heard], Awaitable[None]]
"""Stores one payload durably; raises when it could not."""


@dataclass(slots=True)
class _Line:
    """A connection over which Slack has said hello. `deaf_since`: a ping of that time (Unix) is not answered yet."""

    client: SocketModeClient
    session: ClientWebSocketResponse
    deaf_since: float | None = None

    @property
    def is_open(self) -> bool:
        """False once either side has noticed its end."""
        return not self.session.closed and self.client.current_session is self.session

    def has_answered(self, asked: float) -> bool:
        """Whether a ping that was sent then (Unix) was answered."""
        last = self.client.last_ping_pong_time
        return last is not None and last >= asked

    async def is_alive(self) -> bool:
        """Whether all that Slack has put on it until now has come: it keeps the order, so an answer comes behind."""
        if not self.is_open:
            return False
        if self.deaf_since is not None and not self.has_answered(self.deaf_since):
            return False
        asked = time.time()
        try:
            await self.session.ping(f"sdk-ping-pong:{asked}".encode())  # the SDK notes when such a one is answered
        except OSError:
            return False
        limit = time.monotonic() + ANSWERS_S
        while not self.has_answered(asked):
            if time.monotonic() > limit or not self.is_open:
                self.deaf_since = asked
                return False
            await asyncio.sleep(LOOK_S)
        self.deaf_since = None
        while not self.client.message_queue.empty() and self.is_open:  # it is the SDK's, which begins each
            if time.monotonic() > limit:
                return False
            await asyncio.sleep(0)  # in a task of its own,
        await asyncio.sleep(0)  # in which the last of them begins
        return True


class Sockets:
    """Several connections at once: Slack gives each event to one of them, and one may be exchanged meanwhile.

    `rebuild_after` is how long (seconds) a client may stay unconnected before it is replaced, `ping_every` how often a
    connection is tried for life and, when lost, made again. `connected` is called whenever one has come up anew, and
    `doubted` where Slack may have sent something into nothing.
    """

    def __init__(
        self,
        api: SlackApi,
        app_token: str,
        take: Take,
        *,
        count: int = 2,
        rebuild_after: float = 60.0,
        ping_every: float = 5.0,
        connected: Callable[[], None] = lambda: None,
        doubted: Callable[[], None] = lambda: None,
    ) -> None:
        self._api = api
        self._app_token = app_token
        self._take = take
        self._count = count
        self._rebuild_after = rebuild_after
        self._ping_every = ping_every
        self._connected = connected
        self._doubted = doubted
        self._lines: dict[int, _Line] = {}
        self._ticket: str | None = None
        self._alive_at: float | None = None

    def last_life_age(self) -> float:
        """Seconds since any connection was seen alive; infinity before the first."""
        return float("inf") if self._alive_at is None else time.monotonic() - self._alive_at

    async def run(self, ticket: str | None = None) -> None:
        """Keep all connections up until cancelled. `ticket` is an address that was asked for already, for one use."""
        self._ticket = ticket
        async with asyncio.TaskGroup() as group:
            for index in range(self._count):
                group.create_task(self._keep(index))

    async def _keep(self, index: int) -> None:
        while True:
            client = SocketModeClient(
                app_token=self._app_token, web_client=self._api.web, logger=QUIET, ping_interval=self._ping_every
            )
            client.socket_mode_request_listeners.append(self._on_request)
            client.on_message_listeners.append(partial(self._on_frame, index, client))
            client.wss_uri, self._ticket = self._ticket, None
            connecting = asyncio.create_task(client.connect())  # type: ignore[no-untyped-call]
            try:
                await self._watch(index, client)
            finally:
                connecting.cancel()
                await asyncio.gather(connecting, return_exceptions=True)
                await _close(client)
            log.warning("desk.socket_rebuilt", connection=index, after_s=self._rebuild_after)

    async def _watch(self, index: int, client: SocketModeClient) -> None:
        """Return when the client has been unconnected for too long."""
        session, since, greeted_by = "", time.monotonic(), float("inf")
        while time.monotonic() - since < self._rebuild_after:
            if not await client.is_connected():
                if time.monotonic() - since > TICKET_S:
                    client.wss_uri = None  # the SDK's own way to say "get a new ticket"
            else:
                self._alive_at = since = time.monotonic()
                current = await client.session_id()
                if current != session:
                    session = current
                    greeted_by = since + HELLO_S
                    log.info("desk.socket_connected", connection=index)
                if since > greeted_by:
                    greeted_by = float("inf")
                    if not self._has_said_hello(index, client):
                        self._connected()
            await asyncio.sleep(WATCH_S)

    async def _on_request(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        if request.retry_attempt:
            self._doubted()
        try:
            await self._take(request.type, request.payload, partial(self._others_heard, client))
        except Exception as error:  # noqa: BLE001 - whatever it was: not acknowledged, so Slack sends it again
            log.error("desk.intake_failed", way="socket", error=type(error).__name__)
            return
        try:
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        except (OSError, AttributeError, RuntimeError) as error:
            log.info("desk.ack_lost", error=type(error).__name__)  # it comes again and is known then

    async def _on_frame(self, index: int, client: SocketModeClient, message: WSMessage) -> None:
        """Slack's first frame says that the connection stands, and how many it counts; events come behind it."""
        data = message.data
        if len(data) > HELLO_CHARS or '"hello"' not in data:
            return
        try:
            said = json.loads(data)
        except ValueError:
            return
        session = client.current_session
        if session is None or not isinstance(said, dict) or said.get("type") != "hello":
            return
        self._alive_at = time.monotonic()
        before = self._lines.get(index)
        self._lines[index] = _Line(client, session)
        counted, ours = said.get("num_connections"), sum(line.is_open for line in self._lines.values())
        is_counted_twice = isinstance(counted, int) and counted > ours
        if is_counted_twice or (before is not None and before.session.close_code in WITHOUT_A_WORD):
            log.info("desk.socket_doubted", connection=index, counted=counted, ours=ours)
            self._doubted()
        self._connected()

    def _has_said_hello(self, index: int, client: SocketModeClient) -> bool:
        line = self._lines.get(index)
        return line is not None and line.session is client.current_session

    async def _others_heard(self, client: AsyncBaseSocketModeClient) -> bool:
        """Whether all that Slack has put on the other connections until now has come."""
        others = [line for line in self._lines.values() if line.client is not client]
        return all(await asyncio.gather(*(line.is_alive() for line in others)))


async def _close(client: SocketModeClient) -> None:
    """Close a client, also one whose connection says nothing any more, for which the SDK waits without an end."""
    try:
        await asyncio.wait_for(client.close(), CLOSE_S)  # type: ignore[no-untyped-call]
    except (TimeoutError, OSError) as error:
        log.info("desk.socket_close_failed", error=type(error).__name__)
        await client.aiohttp_client_session.close()
    tasks = [t for t in (client.message_processor, client.current_session_monitor, client.message_receiver) if t]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
