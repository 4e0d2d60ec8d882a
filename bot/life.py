"""The life of a running process: start everything, notice when a platform goes deaf, stop in order."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine

import structlog

from bot import app, leader, roster
from bot.app import House
from bot.settings import Settings
from bot.web import app as web_app
from bot.web import health, server
from domain.errors import RefusedToStart
from domain.ports import Channel
from storage import migrate

log = structlog.get_logger()

EXIT_DEAF = 70
WATCH_EVERY_S = 2.0
STOP_STEP_S = 2.0  # each stage of a stop; a supervisor expects the whole within five seconds
SWEEP_LIMIT_S = 15.0  # three times the longest pause between two sweeps


async def run(settings: Settings, *, ready: Callable[[str], None] | None = None) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code (0, or 70 when a platform went deaf).

    `ready` is told the web address once everything has been started.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with app.build(settings) as house:
        return await serve(house, stopping, ready=ready)


async def serve(house: House, stopping: asyncio.Event, *, ready: Callable[[str], None] | None = None) -> int:
    """Run a house that was built until `stopping` is set; returns the exit code."""
    started = time.monotonic()
    channels = house.channels.items()
    incoming = [
        _task("desk", house.desk.run(house.accept)),
        *(_led(house, f"channel:{name}", _intake(house, channel)) for name, channel in channels),
        _led(house, "sweep", house.sweep.run),
        _led(house, "reconciler", house.reconciler.run),
        _task("roster", roster.keep(house.roster, house.desk.team, house.desk.team_changed)),
    ]
    deciding = [_task("worker", house.worker.run())]
    outgoing = [_task("dispatcher", house.dispatcher.run()), _task("web", _serve(house, stopping, ready))]
    if house.settings.clock.source is not None:
        outgoing.append(_task("clock", house.clock.follow()))
    watch, stop = _task("watch", _deafness(house, started)), _task("stop", _waited(stopping))
    try:
        done, _ = await asyncio.wait(
            {*incoming, *deciding, *outgoing, watch, stop}, return_when=asyncio.FIRST_COMPLETED
        )
        for task in done - {watch, stop}:
            task.result()  # raises what ended it
            msg = f"{task.get_name()} ended by itself"
            raise RefusedToStart(msg)
        return EXIT_DEAF if stop not in done else 0
    finally:
        stopping.set()
        log.info("process.stopping")
        await _cancel(*incoming, watch, stop)
        await _cancel(*deciding)
        await _within(house.dispatcher.drain(), STOP_STEP_S)
        await _cancel(*outgoing)
        log.info("process.stopped")


async def _serve(house: House, stopping: asyncio.Event, ready: Callable[[str], None] | None) -> None:
    parts = (house.desk, *house.channels.values())
    routes = [route for part in parts for route in getattr(part, "routes", list)()]
    site = web_app.build(_vitals(house, stopping), routes)

    def listening(url: str) -> None:
        log.info("web.listening", address=url)
        if ready is not None:
            ready(url)

    await server.serve(site, house.settings.web.host, house.settings.web.port, ready=listening)


async def _waited(event: asyncio.Event) -> None:
    await event.wait()


def _task(name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


def _led(house: House, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    return asyncio.create_task(leader.lead(house.stores.clocks, name, house.owner, work), name=name)


def _intake(house: House, channel: Channel) -> Callable[[], Awaitable[None]]:
    async def take() -> None:
        await channel.run(house.accept)

    return take


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _within(waiting: Awaitable[None], seconds: float) -> None:
    try:
        await asyncio.wait_for(waiting, timeout=seconds)
    except TimeoutError:
        log.warning("process.left_sending")


async def _deafness(house: House, started: float) -> None:
    """Return when a platform has not been heard from for too long: a supervisor then starts us afresh."""
    telegram, slack = house.settings.telegram.deaf_after, house.settings.slack.deaf_after
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        age = time.monotonic() - started
        heard = [(name, channel.last_success_age(), telegram) for name, channel in house.channels.items()]
        heard.append(("slack", house.desk.last_success_age(), slack))
        deaf = [name for name, silent, limit in heard if min(silent, age) > limit.total_seconds()]
        if deaf:
            log.error("process.deaf", platforms=deaf, exit_code=EXIT_DEAF)
            return


def _vitals(house: House, stopping: asyncio.Event) -> health.Vitals:
    database = house.stores.database

    async def reach() -> object:
        async with database.read() as conn:
            return await conn.exec_driver_sql("SELECT 1")

    async def versions() -> tuple[str | None, str]:
        return await migrate.found(database), migrate.wanted()

    heard = {
        name: health.Listening(
            age_s=channel.last_success_age, limit_s=house.settings.telegram.deaf_after.total_seconds()
        )
        for name, channel in house.channels.items()
    }
    heard["slack"] = health.Listening(
        age_s=house.desk.last_success_age, limit_s=house.settings.slack.deaf_after.total_seconds()
    )
    heard["sweep"] = health.Listening(age_s=house.sweep.last_success_age, limit_s=SWEEP_LIMIT_S)
    return health.Vitals(
        database=reach,
        migrations=versions,
        model=lambda: house.classifier.version,
        heard=heard,
        draining=stopping.is_set,
    )
