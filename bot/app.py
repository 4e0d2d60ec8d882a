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

from bot import crashpoints, duties, metrics, models, platforms, settings_rulebook, terms, times
from bot.backups import Backups
from bot.canned import Canned
from bot.clock import Sweep
from bot.deadlines import Deadlines
from bot.desk.slack import SlackDesk
from bot.dispatcher import Dispatcher
from bot.duplicates import Duplicates
from bot.expectations import Expectations
from bot.homes import Homes
from bot.hooks import Hook
from bot.indexer import Indexer
from bot.keeper import Keeper
from bot.learning import Learner
from bot.learning_why import Likeness, Reasons
from bot.load import Load
from bot.notices import Notices
from bot.opening import Stores, lock, open_stores
from bot.presence import Presence
from bot.reconciler import LEASE as RECONCILER
from bot.reconciler import Reconciler, looks
from bot.rendering import Renderer
from bot.renewal import Renewal
from bot.replying import Replying
from bot.retirement import Retirement
from bot.sealer import Sealer
from bot.searching import Searching, Trail
from bot.settings import Settings
from bot.signing import Signing
from bot.worker import Worker
from classifiers import batching, taxonomy
from classifiers.blend import BlendClassifier
from domain.changes import Outgoing
from domain.errors import RefusedToStart
from domain.ports import Accept, Arrival, Channel
from domain.rulebook import Rulebook
from storage import lanes, outbox, outgoing
from storage.agents import Roster
from storage.answering import Answering
from storage.database import Database
from storage.engines import Connection
from storage.inbox import Inbox
from storage.signing import Signatures

log = structlog.get_logger()

CONNECTED = "connected"  # the signal that a connection to the desk came up anew, in whatever process
DOUBTED = "doubted"  # the signal that something told by the desk may not have reached us, through whatever process
PACE_MARGIN = 1.04  # one that comes a moment too early costs a second and more
CHANGES_APART_S = 60 / 50  # Slack takes some 50 changes of posts a minute from one app, in all channels together
WORKERS = 2  # one decides while the other waits for the classifier or for the disk


@dataclass(kw_only=True, slots=True)
class House:
    """A running process's parts."""

    settings: Settings
    stores: Stores
    classifier: BlendClassifier
    triage: batching.Triage
    learner: Learner
    rules: Rulebook
    clock: times.Timekeeper
    channels: dict[str, Channel]
    desk: SlackDesk
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
        hook = _hook(settings)
        if hook is not None:
            stack.push_async_callback(hook.close)
        owner = f"{socket.gethostname()[:20]}:{str(ULID())[-12:]}"
        stack.push_async_callback(stores.database.write, lambda conn: lanes.step_down(conn, owner))
        deciders = [f"{owner}:{number}" for number in range(WORKERS)]
        for decider in deciders:
            stack.push_async_callback(stores.database.write, partial(_leave, decider))
        accept = _accepting(stores.inbox)
        desk.reply_with(_replying(settings, stores, rules, classifier, triage, desk, clock))
        trail = Trail(database=stores.database, record=stores.record, now=times.real)
        desk.search_with(Searching(finder=stores.search, rules=rules, trail=trail))
        renderer = _renderer(settings, stores, rules, clock, channels, desk, learner)
        homes = Homes(desk, partial(_put_out, stores.database))
        reconciler = _reconciler(settings, stores, desk, accept, clock)
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
            workers=tuple(
                _worker(decider, stores, rules, clock, channels, desk, learner, reconciler, expectations)
                for decider in deciders
            ),
            dispatcher=Dispatcher(
                database=stores.database,
                rules=rules,
                clock=clock,
                box=stores.outbox,
                store=stores.record,
                channels=channels,
                desk=desk,
                renderer=renderer,
                owner=owner,
                pace=_pace(settings),
                hook=hook,
                homes=homes,
            ),
            homes=homes,
            expectations=expectations,
            load=Load(stores.database, triage, settings.classifier.hurry_after),
            sweep=_sweep(stores, rules, clock, desk),
            reconciler=reconciler,
            indexer=Indexer(stores.segments, stores.reindex),
            backups=Backups(settings, stores.database),
            sealer=_sealer(settings, stores),
            keeper=_keeper(settings, stores, rules, clock),
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


def _reconciler(
    settings: Settings, stores: Stores, desk: SlackDesk, accept: Accept, clock: times.Timekeeper
) -> Reconciler:
    """What reads in threads what Slack did not send."""
    return Reconciler(
        desk=desk,
        record=stores.record,
        inbox=stores.inbox,
        outbox=stores.outbox,
        accept=accept,
        every=settings.slack.fill_gaps_every,
        reconnected=stores.database.signal(CONNECTED),
        doubted=stores.database.signal(DOUBTED),
        now=clock.now,
        may_look=looks(stores.database),
    )


def _worker(
    owner: str,
    stores: Stores,
    rules: Rulebook,
    clock: times.Timekeeper,
    channels: dict[str, Channel],
    desk: SlackDesk,
    learner: Learner,
    reconciler: Reconciler,
    expectations: Expectations,
) -> Worker:
    """What decides events, leasing lanes under this name."""
    return Worker(
        database=stores.database,
        rules=rules,
        clock=clock,
        inbox=stores.inbox,
        record=stores.record,
        channels=channels,
        desk=desk,
        assessor=learner.assessor,
        is_whole=reconciler.is_whole,
        owner=owner,
        answers=expectations.usual,
    )


def _sweep(stores: Stores, rules: Rulebook, clock: times.Timekeeper, desk: SlackDesk) -> Sweep:
    """What gives alerts, to people who are at work."""
    return Sweep(
        database=stores.database,
        rules=rules,
        clock=clock,
        clocks=stores.clocks,
        record=stores.record,
        presence=Presence(rules=rules, clocks=stores.clocks, now=clock.now, ask=desk.absence, leads=desk.leads),
    )


def _sealer(settings: Settings, stores: Stores) -> Sealer:
    """What chains the audit trail, and gives its heads away."""
    return Sealer(
        stores.database,
        stores.keys.purpose("audit"),
        channel=settings.audit.head_channel,
        file=settings.audit.head_file,
        operator=settings.slack.ops_channel,
    )


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


def _replying(
    settings: Settings,
    stores: Stores,
    rules: Rulebook,
    classifier: BlendClassifier,
    triage: batching.Triage,
    desk: SlackDesk,
    clock: times.Timekeeper,
) -> Replying:
    """What stands behind the windows in which agents answer."""
    return Replying(
        database=stores.database,
        record=stores.record,
        rules=rules,
        answering=Answering(stores.database),
        replies=Canned(settings.desk.replies),
        aside=triage.aside,
        encoder=lambda: classifier.encoder,
        languages=settings.languages,
        real=times.real,
        standing=stores.views.standing,
        worded=stores.views.worded,
        lately=stores.views.said_lately,
        signing=Signing(
            rules=rules,
            languages=settings.languages,
            name_of=desk.name_of,
            shown=Signatures(stores.database),
            now=clock.now,
        ),
    )


def _renderer(
    settings: Settings,
    stores: Stores,
    rules: Rulebook,
    clock: times.Timekeeper,
    channels: dict[str, Channel],
    desk: SlackDesk,
    learner: Learner,
) -> Renderer:
    """What turns outbox rows into what is shown."""
    return Renderer(
        database=stores.database,
        rules=rules,
        clock=clock,
        record=stores.record,
        views=stores.views,
        channels=channels,
        desk=desk,
        languages=settings.languages,
        deadlines=Deadlines(
            database=stores.database,
            record=stores.record,
            rules=rules,
            now=clock.now,
            practice=settings.desk.practice,
        ),
        why=Reasons(
            views=stores.views,
            record=stores.record,
            labels=stores.labels,
            rules=rules,
            explains=learner.explain,
            examples=settings.classifier.taxonomy or taxonomy.STARTER,
        ).lines,
        like=Likeness(settings.classifier.taxonomy or taxonomy.STARTER).of,
        notices=Notices(
            company=settings.privacy.company,
            contact=settings.privacy.contact,
            own=settings.privacy.notice_text,
            languages=settings.languages,
            days=settings.privacy.answer_days,
        ),
        dossiers=stores.dossiers,
        attachments=stores.attachments,
        cases=stores.cases,
        contacts=stores.contacts,
        links=stores.links,
    )


def _keeper(settings: Settings, stores: Stores, rules: Rulebook, clock: times.Timekeeper) -> Keeper:
    """What is done by the clock for the customers' rights and for order in the record."""
    return Keeper(
        database=stores.database,
        erasures=stores.erasures,
        found=stores.cases,
        box=stores.outbox,
        views=stores.views,
        rules=rules,
        clock=clock,
        segmentation=stores.segmentation,
        reviews=stores.reviews,
        audit_key=stores.record.audit_key,
        chores=(
            Renewal(stores.database, stores.record, stores.contacts, rules).daily,
            Duplicates(stores.likeness, stores.links).look,
            stores.attachments.daily,
        ),
        retirement=Retirement(
            stores.retention,
            stores.clocks,
            rules=settings.files.rules(settings.retention),
            hour=settings.retention.hour,
        ),
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


def _hook(settings: Settings) -> Hook | None:
    """The on-call service, where one is configured; its secret is looked for before the start."""
    secret = settings.secrets.alert_webhook_secret
    if settings.alerts.webhook is None or secret is None:
        return None
    return Hook(settings.alerts.webhook, secret.get_secret_value())


def _pace(settings: Settings) -> dict[str, float]:
    """Seconds between two sends to one rate-limit bucket, by platform; none against a sandbox without limits."""
    limits = settings.limits
    if not limits.enabled:
        return {}
    return {
        "slack": PACE_MARGIN / limits.slack_per_channel_per_second,
        "slack-update": CHANGES_APART_S,
        settings.telegram.name: 1.0 / limits.telegram_per_chat_per_second,
    }


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
