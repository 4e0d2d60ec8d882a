"""The web server's application: health, metrics, and whatever routes channels and the desk bring."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Generic, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bot import metrics
from bot.web import errors, health
from bot.web.headers import SecurityHeaders

T = TypeVar("T")


class _Together(Generic[T]):
    """Looks once for all who ask meanwhile: a crowd at an address without a password asks the database one question."""

    def __init__(self, look: Callable[[], Coroutine[None, None, T]]) -> None:
        self._look = look
        self._under_way: asyncio.Task[T] | None = None

    async def __call__(self) -> T:
        """What the look under way finds, else a new one."""
        if self._under_way is None or self._under_way.done():
            self._under_way = asyncio.create_task(self._look())
        return await asyncio.shield(self._under_way)  # one who hangs up does not end it for the others


def build(vitals: health.Vitals, routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The application. `routes` are the webhooks of channels and desk, as they want to be mounted.

    GET /livez answers 200 while the event loop turns. GET /readyz answers 200 or 503 with each check:
    `{"ready": bool, "checks": [{"name", "ok", "found", "fix"}]}`. GET /metrics is Prometheus' text format.
    """
    started = time.monotonic()
    look, measure = _Together(lambda: health.readiness(vitals)), _Together(lambda: health.measured(vitals))

    async def livez(_request: Request) -> Response:
        before = time.perf_counter()
        await asyncio.sleep(0)
        lag_ms = (time.perf_counter() - before) * 1000
        return JSONResponse({"alive": True, "uptime_s": round(time.monotonic() - started), "lag_ms": round(lag_ms, 3)})

    async def readyz(_request: Request) -> Response:
        checks = await look()
        ready = all(check.ok for check in checks)
        body = [{"name": c.name, "ok": c.ok, "found": c.found, "fix": c.fix} for c in checks]
        return JSONResponse({"ready": ready, "checks": body}, status_code=200 if ready else 503)

    async def serve_metrics(_request: Request) -> Response:
        await measure()
        return Response(metrics.page(), media_type=metrics.CONTENT_TYPE)

    own = [
        Route("/livez", livez, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", serve_metrics, methods=["GET"]),
    ]
    site = Starlette(
        routes=[*own, *routes],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: errors.refused, Exception: errors.failed},
    )
    site.router.redirect_slashes = False  # a redirect would lead to whatever host the request named
    return site
