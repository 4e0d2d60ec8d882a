"""`POST /api/facts`: what happened elsewhere, told by a program of the company.

`Relaydesk-Signature: t=<seconds>,v1=<hex>` is HMAC-SHA256 over `<seconds>.<key>.<body>` under the shared secret, no
older than five minutes; the key is that of `Idempotency-Key`, which makes a call that is repeated one fact. Bad
requests get 400, 401 or 413, never 500.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot import hooks, metrics
from bot.facts import NAMED, Facts, KeyReused, NotOne, named
from bot.web import errors
from domain import facts
from domain.errors import RelaydeskError, UnknownPerson
from domain.model import Actor, ActorKind

log = structlog.get_logger(__name__)

PATH: Final = "/api/facts"
BODY_LIMIT: Final = 64 * 1024
BODY_WITHIN_S: Final = 10.0
FRESH_S: Final = 300
SOURCE: Final = "facts"
API: Final = Actor(kind=ActorKind.MACHINE, id="api")
_SIGNED: Final = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")


class Endpoint:
    """Takes facts over HTTP. `real` is the clock that signatures are held against."""

    def __init__(self, taking: Facts, secret: str, *, region: str | None = None, real: Callable[[], datetime]) -> None:
        self._facts = taking
        self._secret = secret
        self._region = region
        self._real = real

    def routes(self) -> list[Route]:
        """POST /api/facts, to be mounted in the web server."""
        return [Route(PATH, self.receive, methods=["POST"])]

    async def receive(self, request: Request) -> Response:
        """One fact: 201 noted, 200 noted before under this key, else the reason."""
        try:
            async with asyncio.timeout(BODY_WITHIN_S):
                body = await _body(request)
        except (ClientDisconnect, TimeoutError):
            return _refused(400, "cut_off", "The body did not come whole.")
        if body is None:
            return _refused(413, "too_large", f"At most {BODY_LIMIT} bytes.")
        key = request.headers.get("idempotency-key", "")
        if not _KEY.fullmatch(key):
            return _refused(400, "idempotency_key", "Give Idempotency-Key: 1 to 128 visible ASCII characters.")
        if not self._is_signed(key, body, request.headers.get("relaydesk-signature", "")):
            metrics.forged_requests.labels(source=SOURCE).inc()
            metrics.facts.labels(way="api", outcome="refused").inc()
            log.warning("facts.request_forged")
            return errors.error(401, "signature", "The signature is missing, wrong, or older than five minutes.")
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            return _refused(400, "not_json", "The body is not JSON.")
        if not isinstance(given, dict):
            return _refused(400, "not_json", "The body is not a JSON object.")
        return await self._take(given, key, body)

    async def _take(self, given: Mapping[str, Any], key: str, body: bytes) -> Response:
        try:
            whom = named(given, self._region)
            fact = facts.read({name: value for name, value in given.items() if name not in NAMED}, self._facts.now())
        except ValueError as error:
            return _refused(400, "invalid", str(error))
        try:
            noted = await self._facts.note(whom, fact, API, way="api", key=key, said=body)
        except UnknownPerson as error:
            return _refused(400, "unknown_customer", str(error))
        except NotOne as error:
            return _refused(400, "ambiguous_customer", str(error))
        except KeyReused as error:
            return _refused(400, "key_reused", str(error))
        except (RelaydeskError, SQLAlchemyError, OSError) as error:
            log.error("facts.not_stored", error=type(error).__name__)
            return errors.error(503, "not_stored", "It could not be stored now; send it again with the same key.")
        answer = {"id": noted.entry_id, "customer": noted.customer_id, "new": noted.is_new}
        return JSONResponse(answer, status_code=201 if noted.is_new else 200)

    def _is_signed(self, key: str, body: bytes, header: str) -> bool:
        found = _SIGNED.fullmatch(header) if header.isascii() else None
        if found is None or abs(self._real().timestamp() - int(found[1])) > FRESH_S:
            return False
        return hmac.compare_digest(header, signature(self._secret, int(found[1]), key, body))


def signature(secret: str, at: int, key: str, body: bytes) -> str:
    """The value of `Relaydesk-Signature` for a call under this key sent at `at` (seconds since 1970)."""
    return hooks.signature(secret, at, key.encode() + b"." + body)


async def _body(request: Request) -> bytes | None:
    """The raw body, or None as soon as it is over the limit."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _refused(status: int, code: str, message: str) -> Response:
    metrics.refused_requests.labels(source=SOURCE, reason=code).inc()
    metrics.facts.labels(way="api", outcome="refused").inc()
    return errors.error(status, code, message)
