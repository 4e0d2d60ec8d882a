"""Socket Mode: connections that are kept alive and watched, since the SDK alone can stay deaf for ever.

Three ways of being deaf are known and cured here: a used-up ticket that is tried again and again (`wss_uri` is
forgotten while unconnected), a client that does not get connected at all (it is thrown away and made anew), and a
connection through which nothing flows (the age of the last pong is what counts as life).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot.desk.client import QUIET, SlackApi
from bot.desk.ingress import Take

log = structlog.get_logger(__name__)

CLOSE_S = 5.0
WATCH_S = 0.1
TICKET_S = 2.0
"""How long (seconds) one ticket may be tried before a new one is asked for."""


class Sockets:
    """Several connections at once: Slack gives each event to one of them, and one may be exchanged meanwhile.

    `rebuild_after` is how long (seconds) a client may stay unconnected before it is replaced, `ping_every` how often a
    connection is tried for life and, when lost, made again. `connected` is called whenever one has come up anew.
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
    ) -> None:
        self._api = api
        self._app_token = app_token
        self._take = take
        self._count = count
        self._rebuild_after = rebuild_after
        self._ping_every = ping_every
        self._connected = connected
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
        session, since = "", time.monotonic()
        while time.monotonic() - since < self._rebuild_after:
            if not await client.is_connected():
                if time.monotonic() - since > TICKET_S:
                    client.wss_uri = None  # the SDK's own way to say "get a new ticket"
            else:
                self._alive_at = since = time.monotonic()
                current = await client.session_id()
                if current != session:
                    session = current
                    log.info("desk.socket_connected", connection=index)
                    self._connected()
            await asyncio.sleep(WATCH_S)

    async def _on_request(self, client: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        try:
            await self._take(request.type, request.payload)
        except Exception as error:  # noqa: BLE001 - whatever it was: not acknowledged, so Slack sends it again
            log.error("desk.intake_failed", way="socket", error=type(error).__name__)
            return
        try:
            await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        except (OSError, AttributeError, RuntimeError) as error:
            log.info("desk.ack_lost", error=type(error).__name__)  # it comes again and is known then


async def _close(client: SocketModeClient) -> None:
    tasks = [t for t in (client.message_processor, client.current_session_monitor, client.message_receiver) if t]
    try:
        await asyncio.wait_for(client.close(), CLOSE_S)  # type: ignore[no-untyped-call]
    except (TimeoutError, OSError) as error:
        log.info("desk.socket_close_failed", error=type(error).__name__)
    await asyncio.gather(*tasks, return_exceptions=True)
