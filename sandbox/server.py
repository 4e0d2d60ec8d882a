"""One web server on one port for both platforms, the control interface and the page."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from sandbox import control, pages, story
from sandbox.clock import FastClock
from sandbox.slack import routes as slack_routes
from sandbox.slack.settings import Settings
from sandbox.slack.workspace import SIGNING_SECRET
from sandbox.state import DESK, Sandbox
from sandbox.store import Store
from sandbox.telegram import routes as telegram_routes

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Above every platform's own upload limit, so that the platform's refusal is seen and not the server's."""
GRACE_S = 0.3
"""How long open requests get to end by themselves when the sandbox stops."""
Ready = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says. `port` 0 takes a free one; `ready` is called once with the address."""

    host: str = "127.0.0.1"
    port: int = 8400
    state: Path | None = None
    speed: float = 1.0
    seed_story: bool = False
    telegram_token: str = telegram_routes.DEFAULT_TOKEN
    slack_events_url: str = ""
    slack_signing_secret: str = SIGNING_SECRET
    limits: bool = False
    product_url: str = pages.DEFAULT_PRODUCT_URL
    ready: Ready | None = None
    until_input_ends: bool = False


def build_app(options: Options) -> web.Application:
    """The application with both platforms attached. Needs a running event loop."""
    desk = Sandbox(clock=FastClock(speed=options.speed), limits=options.limits)
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[control.errors])
    app[DESK] = desk
    control.add_routes(app)
    telegram_routes.add_routes(app, desk, token=options.telegram_token)
    settings = Settings(events_url=options.slack_events_url, signing_secret=options.slack_signing_secret)
    slack_routes.add_routes(app, desk, settings=settings)
    pages.add_routes(app, product_url=options.product_url)
    return app


async def serve(options: Options, stop: asyncio.Event) -> None:
    """Run until `stop` is set, then end within a second, also with open long polls and websockets."""
    app = build_app(options)
    desk = app[DESK]
    store = Store(desk, options.state) if options.state else None
    if store:
        store.load()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_S, handler_cancellation=True)
    await runner.setup()
    keeper: asyncio.Task[None] | None = None
    teller: asyncio.Task[None] | None = None
    try:
        site = web.TCPSite(runner, options.host, options.port, backlog=1024)
        await site.start()
        desk.url = _address(runner, options.host)
        for side in desk.sides.values():
            await side.start()
        if store:
            keeper = asyncio.create_task(store.keep())
        if options.seed_story:
            teller = asyncio.create_task(story.tell(app[telegram_routes.SIDE]))
        if options.ready:
            options.ready(desk.url)
        await stop.wait()
    finally:
        desk.closing.set()
        desk.log.wake()
        if teller:
            teller.cancel()
            await asyncio.wait({teller})
        for side in desk.sides.values():
            await side.stop()
        await runner.cleanup()
        if store and keeper:
            await keeper
            await store.save()


def run(options: Options) -> None:
    """`serve` until SIGINT or SIGTERM, or until standard input ends where that is wanted."""
    asyncio.run(_until_signalled(options))


async def _until_signalled(options: Options) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if options.until_input_ends:
        loop.add_reader(0, _read_input, loop, stop)
    await serve(options, stop)


def _read_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(0, 4096):
        loop.remove_reader(0)
        stop.set()


def print_ready(url: str) -> None:
    """One line of JSON on standard output, for whoever started the sandbox."""
    sys.stdout.buffer.write(ready_line(url))
    sys.stdout.flush()


def ready_line(url: str) -> bytes:
    """What the ready line says: `{"ready": true, "url": "http://..."}`."""
    return json.dumps({"ready": True, "url": url}).encode() + b"\n"


def _address(runner: web.AppRunner, host: str) -> str:
    port = runner.addresses[0][1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "") else host
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
