"""Runs the web application inside the process's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Final

import structlog
import uvicorn
from starlette.types import ASGIApp

from bot.web.patience import KEEP_ALIVE_S, PatientProtocol
from domain.errors import RefusedToStart

log = structlog.get_logger(__name__)

GRACE_S: Final = 2
"""How long requests under way may take to end when we stop."""


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process decides when it ends."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say so."""
        await super().startup(sockets=sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; `port` 0 takes a free one. Raises RefusedToStart with the fix when the address is taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise RefusedToStart(f"web.host {host!r} is no address of this machine ({error.strerror})") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(1024)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise RefusedToStart(
            f"cannot listen on {host} port {port} ({error.strerror}): stop what uses it, or choose another web.port"
        ) from None
    return bound


async def serve(app: ASGIApp, host: str, port: int, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until cancelled; then let requests under way end (2 s at most). `ready` is told the address once."""
    bound = listen(host, port)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            loop="none",
            server_header=False,
            proxy_headers=False,
            http=PatientProtocol,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        ),
        lambda: ready(_address(bound)) if ready else None,
    )
    running = asyncio.create_task(server.serve(sockets=[bound]), name="web")
    try:
        await asyncio.shield(running)
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await running
        bound.close()


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
