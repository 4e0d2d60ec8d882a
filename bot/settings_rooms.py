"""What each room is given of the settings: its own frozen value, with its secrets and nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from bot.settings import Settings
from domain.roles import Role

if TYPE_CHECKING:
    from bot.channels.telegram import TelegramConfig
    from bot.desk.config import SlackConfig
    from storage.rings import MasterRing


def telegram(settings: Settings) -> TelegramConfig:
    """The Telegram account. Raises ConfigError where `Settings.blockers` was not heeded."""
    from bot.channels.telegram import TelegramConfig

    chosen, secrets = settings.telegram, settings.secrets
    return TelegramConfig(
        token=_text(secrets.telegram_token),
        name=chosen.name,
        base_url=chosen.base_url,
        mode=chosen.mode,
        webhook_url=chosen.webhook_url,
        webhook_secret=_text(secrets.telegram_webhook_secret) or None,
        poll_timeout_s=chosen.poll_timeout.total_seconds(),
        send_timeout_s=chosen.send_timeout.total_seconds(),
        max_body_bytes=settings.limits.request_bytes,
    )


def slack(settings: Settings) -> SlackConfig:
    """The Slack workspace."""
    from bot.desk.config import SlackConfig

    chosen, secrets = settings.slack, settings.secrets
    return SlackConfig(
        bot_token=_text(secrets.slack_bot_token),
        app_token=_text(secrets.slack_app_token),
        signing_secret=_text(secrets.slack_signing_secret),
        base_url=chosen.base_url,
        mode=chosen.mode,
        connections=chosen.connections,
        team_id=chosen.team_id,
        ops_channel=chosen.ops_channel,
        channels=tuple(dict.fromkeys(channels(settings))),
        roles={role: tuple(getattr(settings.roles, role.value)) for role in Role},
    )


def channels(settings: Settings) -> list[str]:
    """Every Slack channel that a conversation may appear in."""
    return [
        *(queue.channel for queue in settings.queues.values()),
        *(rule.channel for rule in settings.routing if rule.channel),
    ]


def master_ring(settings: Settings) -> MasterRing:
    """The master keys, from the environment or from `keys.master_file`. Raises RefusedToStart with the fix."""
    from storage.rings import MasterRing

    key = settings.secrets.master_key
    if key is not None:
        return MasterRing.parse(key.get_secret_value(), "RELAYDESK_MASTER_KEY")
    return MasterRing.read(settings.keys.master_file)


def _text(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
