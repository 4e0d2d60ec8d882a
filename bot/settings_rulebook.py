"""Builds the rulebook that every decision is given from the settings and the classifier's labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bot import settings_alerts, texts
from bot.channels import telegram_limits
from bot.settings_parts import QueueSettings, RuleSettings, TelegramSettings, Title, When
from bot.settings_problems import unknown
from bot.settings_root import Settings
from bot.settings_sla import PolicyWhen
from bot.terms import Terms, read
from classifiers.base import Label
from domain import routing, rulebook
from domain.deeplinks import DeepLink
from domain.errors import ConfigError
from domain.files import Terms as FileTerms
from domain.guard import Guard
from domain.model import Priority
from domain.openings import EPOCH


def build(settings: Settings, intents: Iterable[Label], terms: Terms | None = None) -> rulebook.Rulebook:
    """The company's rules as one value; without `terms` policies and calendars have no past.

    An intent whose queue this company does not have goes to the default queue. Raises ConfigError, one line
    per intent that a rule asks for and the classifier does not know.
    """
    labels = {label.id: label for label in intents}
    problems = [unknown(at, "intent", word, labels) for at, word in _intents(settings) if word not in labels]
    if problems:
        raise ConfigError(*(problem.line(str(settings.path)) for problem in problems))
    desk, window = settings.desk, settings.classifier.window
    if terms is None:
        terms = read((), settings.sla, EPOCH)
    channel = settings.telegram.name
    return rulebook.Rulebook(
        queues={name: _queue(name, queue) for name, queue in settings.queues.items()},
        default_queue=settings.default_queue,
        triage_queue=settings.triage_queue,
        rules=tuple(_rule(place, rule) for place, rule in enumerate(settings.routing)),
        policies=terms.policies,
        policy_versions=terms.versions,
        policy_rules=tuple(
            rulebook.PolicyRule(when=condition(rule.when), policy=rule.policy) for rule in settings.sla.rules
        ),
        calendars=terms.calendars,
        default_calendar=settings.sla.calendar,
        intents={
            label.id: rulebook.Intent(
                id=label.id,
                names=dict(label.names),
                queue=label.queue if label.queue in settings.queues else settings.default_queue,
                priority=label.priority,
            )
            for label in labels.values()
        },
        channel_limits={channel: telegram_limits.TEXT_UNITS},
        channel_files={channel: _files(settings.telegram)},
        note_prefix=desk.note_prefix,
        desk_language=desk_language(settings),
        reactions=desk.reactions,
        answers_quote=frozenset({channel} if settings.telegram.groups == "customer" else ()),
        profile={name: one.build(name) for name, one in settings.profile.items()},
        deep_links=tuple(
            DeepLink(field=settings.profile[name].build(name), prefix=link.prefix, pattern=re.compile(link.pattern))
            for name, link in settings.telegram.links.items()
        ),
        undo=desk.undo,
        asks_unread=desk.ask_unread,
        asks_late=desk.ask_late,
        signature=desk.signature,
        agent_names=desk.names,
        guard=Guard(enabled=desk.guard.enabled, internal=desk.guard.internal, ours=desk.guard.ours),
        reopen_window=desk.reopen_window,
        closure_threshold=settings.classifier.closure_threshold,
        tiers=settings.classifier.tiers,
        repeated_contacts=settings.classifier.repeated_contacts,
        window_gap=window.gap,
        window_messages=window.messages,
        window_characters=window.characters,
        lead_mention=desk.lead_mention,
        operator_channel=settings.slack.ops_channel,
        contacts=settings.contacts.build({channel: settings.telegram.region}),
        segments=tuple(segment.build(name) for name, segment in settings.segments.items()),
        privacy_channel=settings.privacy.channel or settings.slack.ops_channel,
        answer_days=settings.privacy.answer_days,
        notice=settings.privacy.notice_version if settings.privacy.notice else None,
        channel_titles={channel: settings.telegram.title},
        alerts=settings_alerts.plan(settings.alerts, settings.slack.ops_channel),
        acknowledge=settings.automatic.acknowledge,
        ask_satisfaction=settings.automatic.ask_satisfaction,
        keep_text=settings.learning.keep_text,
        audit_share=settings.learning.audit_share,
    )


def title_of(title: Title | None, name: str) -> str:
    """What agents read for a queue."""
    return title.en if title else name.replace("_", " ").replace("-", " ").capitalize()


def condition(when: When | None) -> routing.Condition:
    """A rule's condition; without one it always holds."""
    if when is None:
        return routing.Condition()
    return routing.Condition(
        intents=frozenset(when.intent),
        labels=frozenset(when.label),
        priorities=frozenset(Priority(word) for word in when.priority),
        languages=frozenset(when.language),
        channels=frozenset(when.channel),
        segments=frozenset(when.segment),
        queues=frozenset(when.queue) if isinstance(when, PolicyWhen) else frozenset(),
        business_hours=when.business_hours,
    )


def _queue(name: str, queue: QueueSettings) -> routing.Queue:
    return routing.Queue(
        name=name,
        title=title_of(queue.title, name),
        titles=queue.title.model_dump(exclude_none=True) if queue.title else {},
        slack_channel=queue.channel,
        more_channels=queue.more_channels,
        mention=queue.mention,
        assign=queue.assign,
        calendar=queue.calendar,
        leaves=queue.leaves,
        mask=queue.mask,
        seen_by=queue.seen_by.build(),
        desk_language=queue.language,
        signature=queue.signature,
        signed_as=queue.signed_as,
    )


def _files(telegram: TelegramSettings) -> FileTerms:
    return FileTerms(
        caption_limit=telegram_limits.CAPTION_UNITS,
        most_together=telegram_limits.ALBUM_FILES,
        upload_limit=telegram.upload_limit,
        photo_limit=telegram_limits.PHOTO_LIMIT_BYTES,
    )


def _rule(place: int, rule: RuleSettings) -> routing.Rule:
    return routing.Rule(
        name=rule.name or f"{rule.queue} ({place + 1})",
        when=condition(rule.when),
        queue=rule.queue,
        priority=rule.priority,
        mention=rule.mention,
        assign=rule.assign,
        slack_channel=rule.channel,
    )


def desk_language(settings: Settings) -> str:
    """What everybody in a desk channel reads: as set, else the first of the company's languages."""
    return settings.desk.language or texts.DESK.pick(None, settings.languages)


def _intents(settings: Settings) -> Iterator[tuple[tuple[str | int, ...], str]]:
    routing_rules = [(("routing", place), rule.when) for place, rule in enumerate(settings.routing)]
    policy_rules = [(("sla", "rules", place), rule.when) for place, rule in enumerate(settings.sla.rules)]
    for at, when in (*routing_rules, *policy_rules):
        for word in when.intent if when else ():
            yield (*at, "when", "intent"), word
    for name, segment in settings.segments.items():
        for word in segment.intent:
            yield ("segments", name, "intent"), word
