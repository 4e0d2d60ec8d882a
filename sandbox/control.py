"""The control interface that belongs to no platform: clock, log, faults, reset, state, events."""

import asyncio
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.state import DESK, Sandbox

KEEP_ALIVE_S = 15.0
"""How often a silent event stream shows that it lives."""

LONGEST_WAIT_S = 60
"""How long a request for the log may wait for a record."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ControlError(Exception):
    """A control request that cannot be done: the message says what is wrong with it."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def ok(**fields: object) -> web.Response:
    """The shape of every successful control answer."""
    return web.json_response({"ok": True, **fields})


async def body(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body, `{}` for an empty body. ControlError otherwise."""
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise ControlError(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ControlError("the body must be a JSON object")
    return value


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One shape for every refused control request: `{"ok": false, "error": "..."}`.

    A web page from another origin is refused: it could otherwise act as every customer and agent. So is one whose
    own name was made to lead here (DNS rebinding).
    """
    if not request.path.startswith(("/control/", "/events")):
        return await handler(request)
    origin = request.headers.get("Origin")
    if not _is_near(request.host) or (origin is not None and urlsplit(origin).netloc != request.host):
        return web.json_response({"ok": False, "error": "the page comes from elsewhere"}, status=403)
    try:
        return await handler(request)
    except ControlError as error:
        return web.json_response({"ok": False, "error": str(error)}, status=error.status)
    except ValueError as error:
        return web.json_response({"ok": False, "error": str(error)}, status=400)
    except web.HTTPException as error:
        return web.json_response({"ok": False, "error": error.reason}, status=error.status)


def _is_near(host: str) -> bool:
    """Whether a Host header is an address or a name without a dot, which nobody outside can make lead here."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ipaddress.ip_address(name)
    except ValueError:
        return "." not in host
    return True


def add_routes(app: web.Application) -> None:
    """Mount `/clock`, `/events` and the common part of `/control/`."""
    app.router.add_get("/clock", _clock)
    app.router.add_get("/events", _events)
    app.router.add_post("/control/clock", _set_clock)
    app.router.add_get("/control/log", _log)
    app.router.add_get("/control/log/counts", _counts)
    app.router.add_get("/control/faults", _faults)
    app.router.add_post("/control/faults", _add_fault)
    app.router.add_delete("/control/faults", _clear_faults)
    app.router.add_delete("/control/faults/{id}", _remove_fault)
    app.router.add_get("/control/state", _state)
    app.router.add_post("/control/limits", _limits)
    app.router.add_post("/control/reset", _reset)


async def _clock(request: web.Request) -> web.Response:
    return web.json_response(request.app[DESK].clock.view())


async def _set_clock(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    wish = await body(request)
    if not wish or set(wish) - {"speed", "advance_s"}:
        raise ControlError("give speed, advance_s or both")
    for name in wish:
        if isinstance(wish[name], bool) or not isinstance(wish[name], int | float):
            raise ControlError(f"{name} must be a number")
    if "advance_s" in wish:
        desk.clock.advance(wish["advance_s"])
    if "speed" in wish:
        desk.clock.set_speed(wish["speed"])
    desk.publish({"type": "clock", **desk.clock.view()})
    return ok(**desk.clock.view())


async def _log(request: web.Request) -> web.Response:
    query = request.query
    desk = request.app[DESK]
    after = _whole(query.get("after"), "after") or 0
    limit = _whole(query.get("limit"), "limit")
    until = time.monotonic() + min(_whole(query.get("wait_s"), "wait_s") or 0, LONGEST_WAIT_S)
    while True:
        records = desk.log.select(
            after=after, platform=query.get("platform"), kind=query.get("kind"), key=query.get("key"), limit=limit
        )
        left_s = until - time.monotonic()
        if records or left_s <= 0 or desk.closing.is_set() or not await desk.log.grow(left_s):
            return ok(records=records, last_seq=desk.log.last_seq)


async def _counts(request: web.Request) -> web.Response:
    return ok(**request.app[DESK].log.counts())


async def _faults(request: web.Request) -> web.Response:
    return ok(faults=request.app[DESK].faults.view())


async def _add_fault(request: web.Request) -> web.Response:
    rule = request.app[DESK].faults.add(await body(request))
    return ok(id=rule.id)


async def _clear_faults(request: web.Request) -> web.Response:
    request.app[DESK].faults.clear()
    return ok()


async def _remove_fault(request: web.Request) -> web.Response:
    rule_id = _whole(request.match_info["id"], "id")
    if rule_id is None or not request.app[DESK].faults.remove(rule_id):
        raise ControlError("there is no fault with this id (it may be used up)", status=404)
    return ok()


async def _state(request: web.Request) -> web.Response:
    desk = request.app[DESK]
    return ok(
        clock=desk.clock.view(),
        limits=desk.limits,
        faults=desk.faults.view(),
        log_seq=desk.log.last_seq,
        **{name: side.view() for name, side in desk.sides.items()},
    )


async def _limits(request: web.Request) -> web.Response:
    wish = await body(request)
    if not isinstance(wish.get("on"), bool):
        raise ControlError("on must be true or false")
    request.app[DESK].limits = wish["on"]
    return ok(on=wish["on"])


async def _reset(request: web.Request) -> web.Response:
    request.app[DESK].reset()
    return ok()


async def _events(request: web.Request) -> web.StreamResponse:
    desk = request.app[DESK]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    queue, end = desk.listen()
    try:
        await response.write(b": hello\n\n")
        while not desk.closing.is_set():
            line = await _next_line(desk, queue)
            if line is None:
                break
            await response.write(line)
    except (ConnectionResetError, asyncio.CancelledError):
        return response
    finally:
        end()
    return response


async def _next_line(desk: Sandbox, queue: "asyncio.Queue[bytes | None]") -> bytes | None:
    """The next event, a sign of life after a silence, or None at the end."""
    getting = asyncio.ensure_future(queue.get())
    closing = asyncio.ensure_future(desk.closing.wait())
    try:
        done, _ = await asyncio.wait({getting, closing}, timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
    finally:  # also when the listener hangs up while we wait
        closing.cancel()
        if not getting.done():
            getting.cancel()
    if getting in done:
        return getting.result()
    return None if desk.closing.is_set() else b": still here\n\n"


def _whole(value: str | None, name: str) -> int | None:
    if value is None:
        return None
    try:
        return int(value)
    except ValueError:
        raise ControlError(f"{name} must be a whole number") from None
