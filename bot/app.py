"""The composition root: opens the stores and puts the parts together. bot/life.py runs them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from bot import crashpoints, duties, metrics, models, parts, platforms, settings_rulebook, terms, times
from bot.backups import Backups
from bot.clock import Sweep
from bot.dispatcher import Dispatcher
from bot.expectations import Expectations
from bot.homes import Homes
from bot.indexer import Indexer
from bot.keeper import Keeper
from bot.learning import Learner
from bot.load import Load
from bot.opening import Stores, lock, open_stores
from bot.parts import Ground
from bot.reconciler import LEASE as RECONCILER
from bot.reconciler import Reconciler
from bot.sealer import Sealer
from bot.searching import Searching, Trail
from bot.settings import Settings
from bot.worker import Worker
from classifiers import batching
from domain.changes import Outgoing
from domain.errors import RefusedToStart
from domain.ports import Accept, Arrival
from storage import lanes, outbox, outgoing
from storage.agents import Roster
from storage.database import Database
from storage.engines import Connection
from storage.inbox import Inbox

log = structlog.get_logger()

CONNECTED = "connected"  # the signal that a connection to the desk came up anew, in whatever process
DOUBTED = "doubted"  # the signal that something told by the desk may not have reached us, through whatever process
WORKERS = 2  # one decides while the other waits for the classifier or for the disk


@dataclass(kw_only=True, slots=True)
class House(Ground):
    """A running process: the ground, and the parts that work on it."""

    workers: tuple[Worker, ...]
    dispatcher: Dispatcher
    homes: Homes
    sweep: Sweep
    expectations: Expectations
    load: Load
    reconciler: Reconciler
    indexer: Indexer
    sealer: Sealer
    backups: Backups
    keeper: Keeper
    roster: Roster
    accept: Accept
    owner: str
    duties: frozenset[duties.Duty]


@asynccontextmanager
async def build(settings: Settings, does: frozenset[duties.Duty] = duties.ALL) -> AsyncIterator[House]:
    """Everything but the running of it. Whatever was opened is closed again, whatever happens.

    `does` is this process's share of the work; what only others need is not loaded.
    """
    _refuse(settings, does)
    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    async with AsyncExitStack() as stack:
        if settings.database_url.startswith("sqlite"):
            await stack.enter_async_context(lock(settings.data_dir))
        reads = bool(does & {duties.Duty.WORKER, duties.Duty.DISPATCHER})  # who sends also says why a label was given
        loading = asyncio.create_task(asyncio.to_thread(models.load_classifier, settings, light=not reads))
        stores = await stack.enter_async_context(open_stores(settings))
        await _take_over(stores.database)
        clock = times.Timekeeper(settings.clock.source)
        await clock.start()
        loaded = await loading
        classifier = loaded.classifier
        triage = batching.Triage(classifier, classifier.without_encoder())
        await triage.start()
        stack.push_async_callback(triage.close)
        promised = await terms.remember(stores.database, settings.sla, clock.now())
        rules = settings_rulebook.build(settings, classifier.labels, promised)
        learner = _learner(settings, stores, triage, loaded, clock)
        channels = platforms.build_channels(settings, clock)
        telling: set[asyncio.Task[None]] = set()
        tell = partial(_tell, stores.database, telling)
        desk = platforms.build_desk(settings, clock, connected=partial(tell, CONNECTED), doubted=partial(tell, DOUBTED))
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        stack.push_async_callback(desk.close)
        ground = Ground(
            settings=settings,
            stores=stores,
            classifier=classifier,
            triage=triage,
            learner=learner,
            rules=rules,
            clock=clock,
            channels=channels,
            desk=desk,
        )
        hook = parts.hook(settings)
        if hook is not None:
            stack.push_async_callback(hook.close)
        owner = f"{socket.gethostname()[:20]}:{str(ULID())[-12:]}"
        stack.push_async_callback(stores.database.write, lambda conn: lanes.step_down(conn, owner))
        deciders = [f"{owner}:{number}" for number in range(WORKERS)]
        for decider in deciders:
            stack.push_async_callback(stores.database.write, partial(_leave, decider))
        accept = _accepting(stores.inbox)
        desk.reply_with(parts.replying(ground))
        trail = Trail(database=stores.database, record=stores.record, now=times.real)
        desk.search_with(Searching(finder=stores.search, rules=rules, trail=trail))
        homes = Homes(desk, partial(_put_out, stores.database))
        connected, doubted = stores.database.signal(CONNECTED), stores.database.signal(DOUBTED)
        reconciler = parts.reconciler(ground, accept, connected=connected, doubted=doubted)
        expectations = Expectations(clocks=stores.clocks, rules=rules)
        yield House(
            settings=settings,
            stores=stores,
            classifier=classifier,
            triage=triage,
            learner=learner,
            rules=rules,
            clock=clock,
            channels=channels,
            desk=desk,
            workers=tuple(parts.worker(ground, decider, reconciler, expectations) for decider in deciders),
            dispatcher=parts.dispatcher(ground, owner, homes, hook),
            homes=homes,
            expectations=expectations,
            load=Load(stores.database, triage, settings.classifier.hurry_after),
            sweep=parts.sweep(ground),
            reconciler=reconciler,
            indexer=Indexer(stores.segments, stores.reindex),
            backups=Backups(settings, stores.database),
            sealer=parts.sealer(ground),
            keeper=parts.keeper(ground),
            roster=Roster(stores.database),
            accept=accept,
            owner=owner,
            duties=does,
        )


def _refuse(settings: Settings, does: frozenset[duties.Duty]) -> None:
    """Raise RefusedToStart where the configuration, or this share of the work, does not allow a start."""
    blockers = settings.blockers()
    if blockers:
        raise RefusedToStart("\n".join(blockers))
    duties.check(
        does,
        sqlite=settings.database_url.startswith("sqlite"),
        webhook=settings.telegram.enabled and settings.telegram.mode == "webhook",
        http=settings.slack.mode == "http",
    )


async def _take_over(database: Database) -> None:
    """Begin where whoever was killed has left off."""
    if await database.query(lambda conn: lanes.is_held(conn, RECONCILER)):
        database.wake(DOUBTED)  # whose process was killed leaves connections that look alive for a while
    if database.is_sqlite:
        await database.write(lambda conn: lanes.release_everything(conn, times.real()))


def _learner(
    settings: Settings,
    stores: Stores,
    triage: batching.Triage,
    loaded: models.Loaded,
    clock: times.Timekeeper,
) -> Learner:
    """What learns from people while this process runs."""
    return Learner(
        database=stores.database,
        labels=stores.labels,
        triage=triage,
        classifier=loaded.classifier,
        settings=settings.learning if loaded.learns else settings.learning.without_training(),
        model_dir=loaded.folder,
        taxonomy=settings.classifier.taxonomy,
        now=clock.now,
        encoder_key=settings.secrets.encoder_key.get_secret_value() if settings.secrets.encoder_key else None,
        leads=False,
    )


async def _put_out(database: Database, items: Sequence[Outgoing]) -> None:
    await database.write(lambda conn: outgoing.add(conn, items, times.real()), wake=(outbox.SIGNAL,))


def _tell(database: Database, telling: set[asyncio.Task[None]], signal: str) -> None:
    """Tell whoever fills gaps, here at once and elsewhere by a commit that comes before what the connection brings."""
    database.wake(signal)
    if database.is_sqlite:
        return
    task = asyncio.ensure_future(_tell_others(database, signal))
    telling.add(task)
    task.add_done_callback(telling.discard)


async def _tell_others(database: Database, signal: str) -> None:
    try:
        await database.write(_nothing, wake=(signal,))
    except (SQLAlchemyError, OSError) as error:  # they look again every few minutes in any case
        log.warning("desk.connection_not_told", error=type(error).__name__)


async def _nothing(_conn: Connection) -> None:
    pass


async def _leave(owner: str, conn: Connection) -> None:
    await lanes.leave(conn, owner, times.real())


def _accepting(inbox: Inbox) -> Accept:
    async def accept(arrivals: Sequence[Arrival]) -> int:
        crashpoints.reach("after_receive")
        new = await inbox.put(arrivals, times.real())
        crashpoints.reach("after_insert")
        for arrival in arrivals[:1]:
            metrics.messages_in.labels(source=arrival.source).inc(new)
            metrics.duplicates.labels(source=arrival.source).inc(len(arrivals) - new)
        return new

    return accept
