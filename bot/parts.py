"""What each working part of a house is made of, out of the ground that all of them stand on. bot/app.py opens it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from bot import times
from bot.canned import Canned
from bot.clock import Sweep
from bot.deadlines import Deadlines
from bot.desk.payloads import HTTP_SETTLE_S, SETTLE_S
from bot.desk.slack import SlackDesk
from bot.dispatcher import Dispatcher
from bot.duplicates import Duplicates
from bot.expectations import Expectations
from bot.homes import Homes
from bot.hooks import Hook
from bot.keeper import Keeper
from bot.learning import Learner
from bot.learning_why import Likeness, Reasons
from bot.notices import Notices
from bot.opening import Stores
from bot.operator_lines import operator_notice
from bot.presence import Presence
from bot.reconciler import Reconciler, looks
from bot.rendering import Renderer
from bot.renewal import Renewal
from bot.replying import Replying
from bot.retirement import Retirement
from bot.sealer import Sealer
from bot.settings import Settings
from bot.signing import Signing
from bot.worker import Worker
from classifiers import batching, taxonomy
from classifiers.blend import BlendClassifier
from domain.ports import Accept, Channel
from domain.rulebook import Rulebook
from storage import outbox, outgoing
from storage.answering import Answering
from storage.signing import Signatures

PACE_MARGIN = 1.04  # one that comes a moment too early costs a second and more
CHANGES_APART_S = 60 / 50  # Slack takes some 50 changes of posts a minute from one app, in all channels together


@dataclass(kw_only=True, slots=True)
class Ground:
    """What the parts of a house stand on, before any of them works."""

    settings: Settings
    stores: Stores
    classifier: BlendClassifier
    triage: batching.Triage
    learner: Learner
    rules: Rulebook
    clock: times.Timekeeper
    channels: dict[str, Channel]
    desk: SlackDesk


def worker(ground: Ground, owner: str, whole: Reconciler, expectations: Expectations) -> Worker:
    """What decides events, leasing lanes under this name, once threads are known to be whole."""
    return Worker(
        database=ground.stores.database,
        rules=ground.rules,
        clock=ground.clock,
        inbox=ground.stores.inbox,
        record=ground.stores.record,
        channels=ground.channels,
        desk=ground.desk,
        assessor=ground.learner.assessor,
        is_whole=whole.is_whole,
        owner=owner,
        answers=expectations.usual,
        settles=timedelta(seconds=HTTP_SETTLE_S if ground.settings.slack.mode == "http" else SETTLE_S),
    )


def dispatcher(ground: Ground, owner: str, homes: Homes, hook: Hook | None) -> Dispatcher:
    """What sends, at the pace that the platforms allow."""
    return Dispatcher(
        database=ground.stores.database,
        rules=ground.rules,
        clock=ground.clock,
        box=ground.stores.outbox,
        store=ground.stores.record,
        channels=ground.channels,
        desk=ground.desk,
        renderer=_renderer(ground),
        owner=owner,
        pace=_pace(ground.settings),
        hook=hook,
        homes=homes,
    )


def reconciler(ground: Ground, accept: Accept, *, connected: asyncio.Event, doubted: asyncio.Event) -> Reconciler:
    """What reads in threads what Slack did not send."""
    place, database = ground.settings.slack.ops_channel, ground.stores.database

    async def tell(what: str) -> None:
        if place is not None:
            key = f"{what}:{times.real():%Y-%m-%dT%H}"  # several processes look
            item = operator_notice(place, key, {"text": what})
            await database.write(lambda conn: outgoing.add(conn, [item], times.real()), wake=(outbox.SIGNAL,))

    return Reconciler(
        desk=ground.desk,
        record=ground.stores.record,
        inbox=ground.stores.inbox,
        outbox=ground.stores.outbox,
        accept=accept,
        every=ground.settings.slack.fill_gaps_every,
        reconnected=connected,
        doubted=doubted,
        now=ground.clock.now,
        may_look=looks(database),
        tell=tell,
    )


def sweep(ground: Ground) -> Sweep:
    """What gives alerts, to people who are at work."""
    rules, clocks, desk = ground.rules, ground.stores.clocks, ground.desk
    return Sweep(
        database=ground.stores.database,
        rules=rules,
        clock=ground.clock,
        clocks=clocks,
        record=ground.stores.record,
        presence=Presence(rules=rules, clocks=clocks, now=ground.clock.now, ask=desk.absence, leads=desk.leads),
    )


def sealer(ground: Ground) -> Sealer:
    """What chains the audit trail, and gives its heads away."""
    return Sealer(
        ground.stores.database,
        ground.stores.keys.purpose("audit"),
        channel=ground.settings.audit.head_channel,
        file=ground.settings.audit.head_file,
        operator=ground.settings.slack.ops_channel,
    )


def keeper(ground: Ground) -> Keeper:
    """What is done by the clock for the customers' rights and for order in the record."""
    settings, stores, rules = ground.settings, ground.stores, ground.rules
    return Keeper(
        database=stores.database,
        erasures=stores.erasures,
        found=stores.cases,
        box=stores.outbox,
        views=stores.views,
        rules=rules,
        clock=ground.clock,
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


def replying(ground: Ground) -> Replying:
    """What stands behind the windows in which agents answer."""
    settings, stores, classifier = ground.settings, ground.stores, ground.classifier
    return Replying(
        database=stores.database,
        record=stores.record,
        rules=ground.rules,
        answering=Answering(stores.database),
        replies=Canned(settings.desk.replies),
        aside=ground.triage.aside,
        encoder=lambda: classifier.encoder,
        languages=settings.languages,
        real=times.real,
        standing=stores.views.standing,
        worded=stores.views.worded,
        lately=stores.views.said_lately,
        signing=Signing(
            rules=ground.rules,
            languages=settings.languages,
            name_of=ground.desk.name_of,
            shown=Signatures(stores.database),
            now=ground.clock.now,
        ),
    )


def hook(settings: Settings) -> Hook | None:
    """The on-call service, where one is configured; its secret is looked for before the start."""
    secret = settings.secrets.alert_webhook_secret
    if settings.alerts.webhook is None or secret is None:
        return None
    return Hook(settings.alerts.webhook, secret.get_secret_value())


def _renderer(ground: Ground) -> Renderer:
    """What turns outbox rows into what is shown."""
    settings, stores, rules = ground.settings, ground.stores, ground.rules
    examples = settings.classifier.taxonomy or taxonomy.STARTER
    return Renderer(
        database=stores.database,
        rules=rules,
        clock=ground.clock,
        record=stores.record,
        views=stores.views,
        channels=ground.channels,
        desk=ground.desk,
        languages=settings.languages,
        deadlines=Deadlines(
            database=stores.database,
            record=stores.record,
            rules=rules,
            now=ground.clock.now,
            practice=settings.desk.practice,
        ),
        why=Reasons(
            views=stores.views,
            record=stores.record,
            labels=stores.labels,
            rules=rules,
            explains=ground.learner.explain,
            examples=examples,
        ).lines,
        like=Likeness(examples).of,
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
