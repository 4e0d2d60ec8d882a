"""The webhook: a route that answers 200 only after `accept` has stored the update, and a watch over its address."""

from __future__ import annotations

import asyncio
import hmac
import json
from typing import Any

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from telegram.error import TelegramError

from bot import metrics
from bot.channels import telegram_arrivals, telegram_trouble, telegram_wire
from bot.channels.backoff import Backoff
from bot.channels.telegram_api import Api
from bot.channels.telegram_poll import ALLOWED_UPDATES
from domain.ports import Accept

SECRET_HEADER = "x-telegram-bot-api-secret-token"  # noqa: S105 - the name of a header
MAX_BODY_BYTES = 2 * 1024 * 1024
"""An update is a few kilobytes; Telegram's own largest ones stay far below."""
BODY_WITHIN_S = 10.0
"""Whoever dribbles a body holds memory and a connection no longer than this."""
ONE_AT_A_TIME = 1
"""max_connections: Telegram posts in parallel and promises no order above one, and order is what a lane is for."""

log = structlog.get_logger(__name__)


class Hook:
    """Takes updates in by HTTP, once it was opened; until then posts are answered 503: Telegram keeps them.

    Any process takes posts in; only one of them needs to `run`, which opens it for that long and watches the address.
    """

    def __init__(
        self,
        api: Api,
        *,
        source: str,
        url: str,
        secret: str,
        watch_every_s: float,
        backoff: Backoff,
        max_body_bytes: int,
    ) -> None:
        self._api = api
        self._source = source
        self._url = url
        self._secret = secret
        self._watch_every_s = watch_every_s
        self._backoff = backoff
        self._max_body_bytes = max_body_bytes
        self._accept: Accept | None = None
        self._failures = 0
        self._last_complaint: Any = None

    def routes(self) -> list[Route]:
        """To be mounted in the web server: POST /telegram/<name>."""
        return [Route(f"/telegram/{self._source}", self.receive, methods=["POST"], name=f"telegram:{self._source}")]

    async def receive(self, request: Request) -> Response:
        """One update. 200 stored; 401 wrong secret; 413 too large; 400 not an update; 503 not stored, send it again."""
        if not self._is_telegram(request):
            metrics.forged_requests.labels(source=self._source).inc()
            log.warning("telegram_webhook_forged", channel=self._source)
            return Response(status_code=401)
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                body = await self._body(request)
        except ClientDisconnect:
            return Response(status_code=400)
        except TimeoutError:
            self._note_refusal("too_slow")
            return Response(status_code=400)
        if body is None:
            self._note_refusal("too_large")
            return Response(status_code=413)
        update = _update(body)
        if update is None:
            self._note_refusal("unreadable")
            return Response(status_code=400)
        return await self._store(update)

    def open(self, accept: Accept) -> None:
        """Take posts in from now on, whoever watches the address."""
        self._accept = accept

    async def run(self, accept: Accept) -> None:
        """Register the webhook and watch it until cancelled. It stays registered, so that Telegram keeps what comes."""
        before, self._accept = self._accept, accept
        try:
            registered = False
            while True:
                try:
                    registered = await self._look() if registered else await self._register()
                    self._failures = 0
                    self._api.heard()
                    wait_s = self._watch_every_s if registered else self._backoff.wait_s(1)
                except TelegramError as error:
                    self._failures += 1
                    wait_s = telegram_trouble.told(
                        error, source=self._source, failures=self._failures, backoff=self._backoff
                    )
                await asyncio.sleep(wait_s)
        finally:
            self._accept = before

    def _is_telegram(self, request: Request) -> bool:
        given = request.headers.get(SECRET_HEADER, "")
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._secret.encode())

    async def _body(self, request: Request) -> bytes | None:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > self._max_body_bytes:
                return None
        return bytes(body)

    async def _store(self, update: dict[str, Any]) -> Response:
        if self._accept is None:
            return Response(status_code=503)
        try:
            await self._accept([telegram_arrivals.arrival(self._source, update)])
        except Exception as error:  # noqa: BLE001 - whatever storage runs into, the update stays with Telegram
            log.error(
                "telegram_not_stored",
                channel=self._source,
                updates=1,
                error=type(error).__name__,
                meaning="Answered 503: Telegram will send this message again.",
            )
            return Response(status_code=503)
        self._api.heard()
        return Response(status_code=200)

    def _note_refusal(self, reason: str) -> None:
        metrics.refused_requests.labels(source=self._source, reason=reason).inc()
        log.warning("telegram_webhook_refused", channel=self._source, reason=reason)

    async def _register(self) -> bool:
        await self._api.call(
            "setWebhook",
            {
                "url": self._url,
                "secret_token": self._secret,
                "allowed_updates": ALLOWED_UPDATES,
                "max_connections": ONE_AT_A_TIME,
            },
        )
        log.info("telegram_webhook_set", channel=self._source)
        return True

    async def _look(self) -> bool:
        """Whether our webhook still stands; what Telegram complains about goes into the log once."""
        info = await self._api.call("getWebhookInfo")
        if not isinstance(info, dict):
            raise telegram_wire.OddAnswer(began_ok=False)
        if info.get("url") != self._url:
            log.error(
                "telegram_webhook_replaced",
                channel=self._source,
                meaning="Another program changed this bot's webhook with the same token. It is set again now.",
            )
            return False
        complaint = info.get("last_error_date")
        if complaint and complaint != self._last_complaint:
            log.warning(
                "telegram_webhook_failing",
                channel=self._source,
                pending=info.get("pending_update_count"),
                telegram_says=str(info.get("last_error_message", ""))[:200],
            )
        self._last_complaint = complaint
        return True


def _update(body: bytes) -> dict[str, Any] | None:
    """The JSON object in a body, None for anything else: bad UTF-8, bad JSON, a list, nesting beyond reason."""
    try:
        update = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return update if isinstance(update, dict) else None
