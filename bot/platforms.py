"""The chat channels and the desk of a configuration, for the running bot and for commands that ask a platform."""

from __future__ import annotations

from collections.abc import Callable

from bot import settings_rulebook, times
from bot.channels import registry
from bot.channels.telegram import TelegramConfig
from bot.desk.slack import SlackConfig, SlackDesk
from bot.settings import Settings
from domain.ports import Channel
from domain.roles import Role


def build_channels(settings: Settings, clock: times.Timekeeper) -> dict[str, Channel]:
    """The configured chat channels, by name."""
    telegram, secrets = settings.telegram, settings.secrets
    if not telegram.enabled:
        return {}
    secret = secrets.telegram_webhook_secret
    config = TelegramConfig(
        token=secrets.telegram_token.get_secret_value() if secrets.telegram_token else "",
        name=telegram.name,
        base_url=telegram.base_url,
        mode=telegram.mode,
        webhook_url=telegram.webhook_url,
        webhook_secret=secret.get_secret_value() if secret and telegram.mode == "webhook" else None,
        poll_timeout_s=telegram.poll_timeout.total_seconds(),
        send_timeout_s=telegram.send_timeout.total_seconds(),
        transfer_timeout_s=telegram.transfer_timeout.total_seconds(),
        download_limit=telegram.download_limit,
        files_folder=telegram.files_folder,
        upload_limit=telegram.upload_limit,
        typing=telegram.typing,
        groups=telegram.groups,
    )
    return {config.name: registry.build(config, now=clock.now)}


def build_desk(
    settings: Settings,
    clock: times.Timekeeper,
    *,
    connected: Callable[[], None] | None = None,
    doubted: Callable[[], None] | None = None,
) -> SlackDesk:
    """The configured desk. It calls `connected` when a connection came up anew, `doubted` when one may be dead."""
    slack, secrets = settings.slack, settings.secrets
    roles = {
        Role.AGENT: settings.roles.agent,
        Role.LEAD: settings.roles.lead,
        Role.ADMIN: settings.roles.admin,
        Role.PRIVACY: settings.roles.privacy_officer,
        Role.AUDITOR: settings.roles.auditor,
    }
    places = {channel for queue in settings.queues.values() for channel in (queue.channel, *queue.more_channels)}
    places |= {rule.channel for rule in settings.routing if rule.channel}
    places |= {level.to for level in settings.alerts.levels if level.to[0] in "CG"}
    places |= {settings.alerts.fallback} if settings.alerts.fallback else set()
    config = SlackConfig(
        bot_token=secrets.slack_bot_token.get_secret_value() if secrets.slack_bot_token else "",
        app_token=secrets.slack_app_token.get_secret_value() if secrets.slack_app_token else "",
        signing_secret=secrets.slack_signing_secret.get_secret_value() if secrets.slack_signing_secret else "",
        base_url=slack.base_url,
        mode=slack.mode,
        team_id=slack.team_id,
        connections=slack.connections,
        ops_channel=slack.ops_channel,
        channels=tuple(sorted(places)),
        ask_presence=settings.alerts.presence,
        reactions=frozenset(settings.desk.reactions),
        language=settings_rulebook.desk_language(settings),
        roles=roles,
    )
    return SlackDesk(config, now=clock.now, connected=connected, doubted=doubted)
