"""The life of a running process: start everything, notice when a platform goes deaf, stop in order."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import math
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping

import structlog
from starlette.routing import Route

from bot import app, backups, duties, keeper, leader, metrics, roster, times
from bot.app import House
from bot.duties import Duty
from bot.facts import Facts
from bot.settings import Settings
from bot.stepping import Stepping
from bot.web import app as web_app
from bot.web import health, server
from bot.web.facts import Endpoint
from domain.errors import DeliveryError, RefusedToStart
from domain.ports import Accept, Channel
from storage import audit, lanes, migrate, segments

log = structlog.get_logger()

DESK, SWEEP = "slack", "sweep"
EXIT_DEAF = 70
WATCH_EVERY_S = 2.0
STOP_STEP_S = 2.0  # each stage of a stop; a supervisor expects the whole within five seconds
SWITCH_INTERVAL_S = 0.001
YOUNG_OBJECTS = 10_000
FALLBACK_EVERY_S = 3600.0
FALLBACK_RETRY_S = 30.0
COUNT_FILES_EVERY_S = 60.0  # all rows are looked at for it
SWEEP_LIMIT_S = 15.0  # three times the longest pause between two sweeps


async def run(
    settings: Settings,
    *,
    does: frozenset[Duty] = duties.ALL,
    ready: Callable[[str], None] | None = None,
) -> int:
    """Run until SIGINT or SIGTERM; returns the exit code (0, or 70 when a platform went deaf).

    `does` is this process's share of the work; `ready` is told the web address once everything has been started.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with app.build(settings, does) as house:
        settle_down()
        return await serve(house, stopping, ready=ready)


async def serve(house: House, stopping: asyncio.Event, *, ready: Callable[[str], None] | None = None) -> int:
    """Run a house that was built until `stopping` is set; returns the exit code."""
    led: dict[str, float] = {}  # the work of this process, and since when it does it
    incoming = [*_taking_in(house, led), *(_keeping(house, led) if Duty.CLOCK in house.duties else ())]
    deciding = []
    if Duty.WORKER in house.duties:
        incoming += [_task("expectations", house.expectations.keep()), _task("load", house.load.run())]
        incoming += [_led(house, _school(house), house.learner.lead, led)]
        deciding += [_task("worker", worker.run()) for worker in house.workers]
    if house.duties & {Duty.WORKER, Duty.DISPATCHER}:
        incoming += [_task("learner", house.learner.run())]
    outgoing = [
        _task("web", _serve(house, stopping, ready, led)),
        _task("stepping", Stepping(house.stores.database).run()),
    ]
    if Duty.DISPATCHER in house.duties:
        outgoing.append(_task("dispatcher", house.dispatcher.run()))
        outgoing.append(_task("homes", house.homes.run()))
    if house.settings.clock.source is not None:
        outgoing.append(_task("clock", house.clock.follow()))
    watch, stop = _task("watch", _deafness(house, led)), _task("stop", _waited(stopping))
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


def _taking_in(house: House, led: dict[str, float]) -> list[asyncio.Task[None]]:
    """What hears of customers and agents. Any process takes what is posted to it; one polls, or watches the webhook."""
    tasks = []
    if _hears_chats(house):
        for name, channel in house.channels.items():
            getattr(channel, "open", _nothing)(house.accept)
            tasks.append(_led(house, name, _intake(house, channel), led))
    if _hears_desk(house):
        led[DESK] = time.monotonic()
        tasks.append(_task("desk", house.desk.run(house.accept)))
    return tasks


def _nothing(_accept: Accept) -> None:
    """For a channel that nobody posts to."""


def _hears_chats(house: House) -> bool:
    return duties.listens(house.duties, posted=house.settings.telegram.mode == "webhook")


def _hears_desk(house: House) -> bool:
    return duties.listens(house.duties, posted=house.settings.slack.mode == "http")


def _keeping(house: House, led: dict[str, float]) -> list[asyncio.Task[None]]:
    """What looks after the clocks and the house: each in one process at a time."""
    return [
        _led(house, SWEEP, house.sweep.run, led),
        _led(house, "reconciler", house.reconciler.run, led),
        _led(house, segments.LEASE, house.indexer.run, led),
        _led(house, audit.LEASE, house.sealer.run, led),
        _led(house, backups.LEASE, house.backups.run, led),
        _led(house, keeper.LEASE, house.keeper.run, led),
        _task("fallback", _look_after_fallback(house)),
        _task("roster", roster.keep(house.roster, house.desk.team, house.desk.team_changed)),
    ]


def _school(house: House) -> str:
    """The lease of the one that trains: one for each model folder of each host, since a version is a folder there."""
    folder = f"{socket.gethostname()}:{house.settings.classifier.model_dir}"
    return f"learner:{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


async def _serve(
    house: House, stopping: asyncio.Event, ready: Callable[[str], None] | None, led: Mapping[str, float]
) -> None:
    parts = (house.desk, *house.channels.values()) if house.duties & {Duty.INTAKE, Duty.WEB} else ()
    routes = [route for part in parts for route in getattr(part, "routes", list)()]
    routes += _facts(house)
    site = web_app.build(_vitals(house, stopping, led), routes)

    def listening(url: str) -> None:
        log.info("web.listening", address=url)
        if _hears_desk(house):
            house.desk.listening()
        if ready is not None:
            ready(url)

    await server.serve(site, house.settings.web.host, house.settings.web.port, ready=listening)


def _facts(house: House) -> list[Route]:
    """Where programs of the company tell what happened elsewhere; only with a secret to sign it with."""
    secret, stores = house.settings.secrets.facts_secret, house.stores
    if secret is None:
        return []
    taking = Facts(
        database=stores.database,
        record=stores.record,
        contacts=stores.contacts,
        links=stores.links,
        keys=stores.fact_keys,
        rules=house.rules,
        now=house.clock.now,
    )
    region = house.settings.contacts.region
    return Endpoint(taking, secret.get_secret_value(), region=region, real=times.real).routes()


def settle_down() -> None:
    """Tell Python what kind of process this is: what was loaded stays, and an event loop shares with busy threads.

    Without it a full collection walks through every library for a tenth of a second now and then, and the loop waits up
    to five milliseconds each time another thread computes. Young garbage is looked for every ten thousand objects, not
    every seven hundred: a message makes some thousands, nearly all of which go by themselves (measured: 0.3 ms of a
    processor for every message).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    sys.setswitchinterval(SWITCH_INTERVAL_S)


async def _waited(event: asyncio.Event) -> None:
    await event.wait()


def _task(name: str, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work, name=name)


def _led(house: House, name: str, work: Callable[[], Awaitable[None]], led: dict[str, float]) -> asyncio.Task[None]:
    return asyncio.create_task(leader.lead(house.stores.clocks, name, house.owner, work, led), name=name)


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


def _heard(house: House, led: Mapping[str, float], *, patient: bool) -> dict[str, health.Listening]:
    """Whom this process must have heard from lately. What another process does is not its to hear.

    `patient` counts silence from when this process began to listen; otherwise not having heard at all is silence for
    ever.
    """

    def silent(name: str, age: Callable[[], float]) -> Callable[[], float]:
        def seconds() -> float:
            since = led.get(name)
            if since is None:
                return 0.0
            return min(age(), time.monotonic() - since) if patient else age()

        return seconds

    telegram, slack = house.settings.telegram.deaf_after, house.settings.slack.deaf_after
    heard = {
        name: health.Listening(age_s=silent(name, channel.last_success_age), limit_s=telegram.total_seconds())
        for name, channel in house.channels.items()
        if _hears_chats(house)
    }
    if _hears_desk(house):
        heard[DESK] = health.Listening(age_s=silent(DESK, house.desk.last_success_age), limit_s=slack.total_seconds())
    if Duty.CLOCK in house.duties:
        heard[SWEEP] = health.Listening(age_s=silent(SWEEP, house.sweep.last_success_age), limit_s=SWEEP_LIMIT_S)
    return heard


async def _look_after_fallback(house: House) -> None:
    """Refuse to run without a channel that hears of deadlines when nobody else is there; then look now and then."""
    channel = house.rules.alerts.fallback
    was_there = False
    while channel is not None:
        pause = FALLBACK_EVERY_S
        try:
            found = await house.desk.check_channel(channel)
        except DeliveryError as error:
            log.warning("alerts.fallback_not_checked", code=error.code)
            pause = FALLBACK_RETRY_S
        else:
            if not found.ok and not was_there:
                msg = f"alerts.fallback: {found.found}; {found.fix}"
                raise RefusedToStart(msg)
            if not found.ok:
                log.error("alerts.fallback_gone", channel=channel)
            was_there = True
        await asyncio.sleep(pause)
    await asyncio.Event().wait()


async def _deafness(house: House, led: Mapping[str, float]) -> None:
    """Return when a platform has not been heard from for too long: a supervisor then starts us afresh."""
    heard = {name: listening for name, listening in _heard(house, led, patient=True).items() if name != SWEEP}
    while True:
        await asyncio.sleep(WATCH_EVERY_S)
        deaf = [name for name, listening in heard.items() if listening.age_s() > listening.limit_s]
        if deaf:
            log.error("process.deaf", platforms=deaf, exit_code=EXIT_DEAF)
            return


def _vitals(house: House, stopping: asyncio.Event, led: Mapping[str, float]) -> health.Vitals:
    stores = house.stores

    async def reach() -> object:
        async with stores.database.read() as conn:
            return await conn.exec_driver_sql("SELECT 1")

    async def versions() -> tuple[str | None, str]:
        return await migrate.standing(stores.database)

    counted_at = -math.inf

    async def measure() -> None:
        nonlocal counted_at
        for side, waiting in (await stores.database.query(lanes.waiting)).items():
            metrics.lanes_waiting.labels(side=side).set(waiting)
            metrics.behind.labels(side=side).set(await house.load.behind_s(side))
        metrics.read_simply.set(house.triage.counters.overflowed)
        out = await stores.outbox.counts()
        for state in ("todo", "sending", "unclear"):
            metrics.outbox_waiting.labels(state=state).set(out.get(state, 0))
        metrics.dead_letters_waiting.labels(box="out").set(out.get("dead", 0))
        metrics.dead_letters_waiting.labels(box="in").set(await stores.inbox.count_dead())
        metrics.tasks.set(len(asyncio.all_tasks()))
        metrics.database_log.set(stores.database.log_bytes())
        metrics.backup_age.set(await house.backups.age_s())
        if time.monotonic() - counted_at >= COUNT_FILES_EVERY_S:
            counted_at = time.monotonic()
            kept = await stores.attachments.used()
            metrics.kept_files.set(kept.files)
            metrics.kept_bytes.set(kept.bytes)

    async def beat() -> float:
        last = await stores.clocks.last_beat(SWEEP)
        return math.inf if last is None else max(0.0, (times.real() - last).total_seconds())

    return health.Vitals(
        database=reach,
        migrations=versions,
        model=lambda: house.triage.classifier.version,
        heard=_heard(house, led, patient=False),
        beat=beat,
        beat_limit_s=SWEEP_LIMIT_S,
        draining=stopping.is_set,
        measure=measure,
    )
