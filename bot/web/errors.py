"""One shape for every error a client sees: `{"error": {"code": ..., "message": ...}}`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.web.headers import DEFAULTS

log = structlog.get_logger(__name__)

_SAYS: Mapping[int, str] = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    500: "Something went wrong here. It was logged; nothing you sent is shown to anybody.",
}


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An error answer. `code` is a stable word, `message` a sentence for a person."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status, headers=headers)


async def refused(_request: Request, exception: Exception) -> Response:
    """What starlette itself refuses (404, 405) and what a route raises as HTTPException."""
    if not isinstance(exception, HTTPException):
        return error(500, "internal_server_error", _SAYS[500])
    status = HTTPStatus(exception.status_code)
    if status < HTTPStatus.BAD_REQUEST:
        return Response(status_code=status, headers=exception.headers)
    message = exception.detail if exception.detail != status.phrase else _SAYS.get(status, f"{status.phrase}.")
    return error(status, status.name.lower(), message, exception.headers)


async def failed(request: Request, exception: Exception) -> Response:
    """A defect of ours: logged with its traceback (redacted), told without any of it."""
    log.error("web.failed", method=request.method, route=_route(request), exc_info=exception)
    return error(500, "internal_server_error", _SAYS[500], DEFAULTS)  # starlette answers outside our middleware


def _route(request: Request) -> str:
    """The route's pattern; the path itself could carry what somebody typed into it."""
    return str(getattr(request.scope.get("route"), "path", "unknown"))
