"""What is told, and how long is waited, where Telegram does not answer as it should: the same however updates come."""

from __future__ import annotations

from typing import Final

import structlog
from telegram.error import InvalidToken, TelegramError

from bot import metrics
from bot.channels import telegram_wire
from bot.channels.backoff import Backoff

TOKEN_WAIT_FACTOR: Final = 2.0
ACCESS_REFUSED: Final = (
    "Telegram does not accept the bot token. Check it with @BotFather and set it again; nothing waiting there is lost "
    "for 24 hours. Trying on, slowly."
)
NOT_TELEGRAM: Final = (
    "What answers at telegram.base_url is not the Bot API: a wrong address, a proxy or a sign-in page. Trying on."
)

log = structlog.get_logger(__name__)


def told(error: TelegramError, *, source: str, failures: int, backoff: Backoff) -> float:
    """Tell the operator what went wrong, for the so-manieth time in a row; returns how long to wait (seconds)."""
    wait_s = backoff.wait_s(failures)
    if isinstance(error, telegram_wire.TooMany):
        wait_s = error.after.total_seconds() + backoff.wait_s(1)
        metrics.rate_limited.labels(platform=source).inc()
        log.warning("telegram_rate_limited", channel=source, wait_s=round(wait_s, 2))
    elif isinstance(error, InvalidToken) and error.__cause__ is None:
        wait_s = min(wait_s, backoff.cap_s) * TOKEN_WAIT_FACTOR
        log.error("telegram_token_refused", channel=source, wait_s=round(wait_s, 2), meaning=ACCESS_REFUSED)
    elif isinstance(error, telegram_wire.OddAnswer) or isinstance(error.__cause__, telegram_wire.OddAnswer):
        log.warning("telegram_odd_answer", channel=source, wait_s=round(wait_s, 2), meaning=NOT_TELEGRAM)
    else:
        log.warning(
            "telegram_unreachable",
            channel=source,
            error=type(error).__name__,
            failures=failures,
            wait_s=round(wait_s, 2),
        )
    return wait_s
