"""Slack in: each payload is stored, and only then acknowledged, over Socket Mode and over HTTP alike.

Nothing is understood here beyond what storing needs. Our own echoes and other bots' posts are answered, not stored.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import parse_qs

import structlog
from slack_sdk.signature import SignatureVerifier
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bot import metrics
from bot.desk import forms
from bot.desk.payloads import (
    DIRECTORY_EVENTS,
    HTTP_SETTLE_S,
    SETTLE_S,
    SOURCE,
    Own,
    Payload,
    arrival,
    concerns_nobody,
    mapping,
    string,
)
from domain.ports import Accept, Arrival

log = structlog.get_logger(__name__)

BODY_LIMIT = 1024 * 1024
BODY_WITHIN_S = 10.0
"""Whoever dribbles a body holds memory and a connection no longer than this."""
HTTP_PATH = "/slack/events"

Heard = Callable[[], Awaitable[bool]]
"""Whether all that Slack has sent over other connections until now has been heard."""


class NotListening(Exception):
    """Nobody has said yet where arrivals are to be stored."""


def _nowhere(_asked: forms.Asked) -> None:
    """Open no form."""


def _nobody() -> None:
    """Tell nobody."""


async def _in_hand() -> bool:
    """Requests know nothing of each other: what was said before is waited for where it has reached us."""
    return True


class Intake:
    """Where both ways in meet. `hear` gets what is only about colleagues, `show` a form to be opened; `counts` has what
    came, by outcome. `missed` is called once storing works again after it did not: what was refused comes again later
    than what is stored now. `doubt` is called where something said before may have got lost on its way.

    `windows` opens and changes windows, within the three seconds that Slack waits; True means that this was all.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        hear: Callable[[Payload], None],
        show: Callable[[forms.Asked], None] = _nowhere,
        missed: Callable[[], None] = _nobody,
        doubt: Callable[[], None] = _nobody,
    ) -> None:
        self._open = show
        self._missed = missed
        self.doubt = doubt
        self._has_refused = False
        self._now = now
        self._hear = hear
        self._accept: Accept | None = None
        self._coming: dict[str, dict[tuple[float, int], asyncio.Event]] = {}  # by lane: lines that are not stored yet
        self._numbers = itertools.count()
        self.windows: Callable[[str, Payload], bool] = lambda _kind, _payload: False
        self.own = Own()
        self.counts: Counter[str] = Counter()

    def open(self, accept: Accept) -> None:
        """Say where arrivals are stored."""
        self._accept = accept

    async def take(self, kind: str, payload: Payload, heard: Heard = _in_hand, settle_s: float = SETTLE_S) -> None:
        """Store one payload unless it concerns nobody. When this returns it may be acknowledged; if it raises, not.

        `heard` is asked before a line in a thread is stored: one said earlier may have gone over another connection.
        `settle_s` is how long it may still come then.
        """
        if self._accept is None:
            raise NotListening
        event = mapping(payload.get("event"))
        if string(event, "type") in DIRECTORY_EVENTS:
            self._hear(event)
            self.counts["directory"] += 1
            return
        if self.windows(kind, payload):
            self.counts["windows"] += 1
            return
        if reason := concerns_nobody(payload, self.own):
            self.counts[f"ignored_{reason}"] += 1
            return
        if kind == "interactive" and (form := forms.wanted(payload)) is not None:
            self._open(form)
            self.counts["form"] += 1
            return
        arrived = arrival(kind, payload, self._now(), settle_s)
        if arrived.position is None:
            await self._store(arrived, self._accept)
        else:
            await self._store_in_turn(arrived, self._accept, heard)
        self.counts["stored"] += 1
        if self._has_refused:
            self._has_refused = False
            log.info("desk.intake_works_again")
            self._missed()

    async def _store_in_turn(self, arrived: Arrival, accept: Accept, heard: Heard) -> None:
        """Store a line once what is known to have been said before it in its thread is stored.

        Lines of several connections ask at the same time whether the others were heard, and may be answered in any
        order. Each waits only for earlier ones, so that none waits for another that waits for it.
        """
        place = (arrived.position or 0.0, next(self._numbers))
        coming, over = self._coming.setdefault(arrived.lane_key, {}), asyncio.Event()
        coming[place] = over
        try:
            if not await heard():
                self.doubt()
            while earlier := [other for said, other in coming.items() if said < place]:
                await earlier[0].wait()
            await self._store(arrived, accept)
        finally:
            del coming[place]
            over.set()
            if not coming:
                self._coming.pop(arrived.lane_key, None)

    async def _store(self, arrived: Arrival, accept: Accept) -> None:
        try:
            await accept([arrived])
        except Exception:
            self._has_refused = True
            raise


class HttpIngress:
    """One route for events, interactivity and commands. Every bad request gets 400, 401 or 413, never 500."""

    def __init__(self, intake: Intake, signing_secret: str) -> None:
        self._intake = intake
        self._verifier = SignatureVerifier(signing_secret)

    def routes(self) -> list[Route]:
        """POST /slack/events, to be mounted where Slack reaches us."""
        return [Route(HTTP_PATH, self._receive, methods=["POST"])]

    async def _receive(self, request: Request) -> Response:
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                raw = await _body(request)
        except ClientDisconnect:
            return self._refuse(400, "cut_off")
        except TimeoutError:
            return self._refuse(400, "too_slow")
        if raw is None:
            return self._refuse(413, "too_large")
        try:
            body = raw.decode("utf-8")
        except UnicodeDecodeError:
            return self._refuse(400, "not_utf8")
        if not self._is_signed(body, request):
            return self._refuse(401, "signature")
        read = _read(body, request.headers.get("content-type", ""))
        if read is None:
            return self._refuse(400, "unreadable")
        kind, payload = read
        if request.headers.get("x-slack-retry-num"):
            self._intake.doubt()
        if payload.get("type") == "url_verification":
            return JSONResponse({"challenge": str(payload.get("challenge", ""))})
        if payload.get("ssl_check") == "1":
            return PlainTextResponse("")
        try:
            await self._intake.take(kind, payload, settle_s=HTTP_SETTLE_S)
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing is stored and Slack is told so
            log.error("desk.intake_failed", way="http", error=type(error).__name__)
            self._intake.counts["failed"] += 1
            return PlainTextResponse("not stored, send it again", status_code=503)
        return PlainTextResponse("")

    def _is_signed(self, body: str, request: Request) -> bool:
        headers = request.headers
        try:
            return self._verifier.is_valid(
                body, headers.get("x-slack-request-timestamp"), headers.get("x-slack-signature")
            )
        except (ValueError, TypeError, OverflowError):  # a timestamp that is no number, a signature beyond ASCII
            return False

    def _refuse(self, status: int, reason: str) -> Response:
        self._intake.counts[f"refused_{reason}"] += 1
        if status == 401:
            metrics.forged_requests.labels(source=SOURCE).inc()
        else:
            metrics.refused_requests.labels(source=SOURCE, reason=reason).inc()
        log.warning("desk.request_refused", status=status, reason=reason)
        return PlainTextResponse(reason, status_code=status)


async def _body(request: Request) -> bytes | None:
    """The raw body, or None as soon as it is over the limit."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > BODY_LIMIT:
        return None
    parts: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT:
            return None
        parts.append(chunk)
    return b"".join(parts)


def _read(body: str, content_type: str) -> tuple[str, Payload] | None:
    """The kind and the payload of a signed body, or None where there is no JSON object in it."""
    try:
        if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
            form = {key: values[0] for key, values in parse_qs(body, keep_blank_values=True).items()}
            if "payload" not in form:
                return ("slash_commands", dict(form)) if {"command", "ssl_check"} & form.keys() else None
            kind, payload = "interactive", json.loads(form["payload"])
        else:
            kind, payload = "events_api", json.loads(body)
    except (ValueError, RecursionError):
        return None
    return (kind, mapping(payload)) if isinstance(payload, dict) and payload else None
