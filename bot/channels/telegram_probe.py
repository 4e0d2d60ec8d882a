"""What `doctor` asks Telegram: is the token good, does the mode fit, what waits, do the clocks agree."""

from __future__ import annotations

from typing import Any

from telegram.error import InvalidToken, TelegramError

from bot.channels.telegram_api import Api
from domain.ports import Probe

SKEW_LIMIT_S = 30.0
BACKLOG_NOTE = 100
KEPT = "Telegram keeps waiting messages for 24 hours"


async def probe(api: Api, *, source: str, webhook_url: str | None, in_groups: bool = False) -> list[Probe]:
    """The checks, the first that makes the others pointless last. `webhook_url` is None when polling.

    `in_groups` asks too whether the bot hears what is said in groups.
    """
    token, is_well = await _token(api, f"{source}.token")
    if not is_well:
        return [token]
    if in_groups:
        return [*await _rest(api, token, source, webhook_url), await _hearing(api, f"{source}.groups")]
    return await _rest(api, token, source, webhook_url)


async def _hearing(api: Api, name: str) -> Probe:
    """Telegram's privacy mode keeps from a bot what is said in groups, but for commands and answers to it."""
    try:
        me = await api.call("getMe")
    except TelegramError as error:
        return Probe(name=name, ok=False, found=_reason(error), fix="Run doctor again in a minute.")
    if isinstance(me, dict) and me.get("can_read_all_group_messages") is True:
        return Probe(name=name, ok=True, found="hears what is said in groups")
    fix = "Ask @BotFather: /setprivacy, Disable; then remove the bot from each group and add it again."
    return Probe(name=name, ok=False, found="privacy mode is on: in groups only commands and answers reach us", fix=fix)


async def _rest(api: Api, token: Probe, source: str, webhook_url: str | None) -> list[Probe]:
    try:
        info = await api.call("getWebhookInfo")
        found = "Telegram's answer is odd"
    except TelegramError as error:
        info, found = None, _reason(error)
    if not isinstance(info, dict):
        fix = "Run doctor again in a minute."
        return [token, Probe(name=f"{source}.webhook", ok=False, found=found, fix=fix)]
    webhook = _webhook(f"{source}.webhook", info, webhook_url)
    return [token, webhook, _backlog(f"{source}.backlog", info), _clock(api, source)]


async def _token(api: Api, name: str) -> tuple[Probe, bool]:
    try:
        me = await api.call("getMe")
    except TelegramError as error:
        if isinstance(error, InvalidToken) and error.__cause__ is None:
            fix = "Ask @BotFather for the token (/token) and set RELAYDESK_TELEGRAM_TOKEN."
            return Probe(name=name, ok=False, found="Telegram does not accept the bot token", fix=fix), False
        fix = "Check the network, the proxy and telegram.base_url."
        return Probe(name=name, ok=False, found=_reason(error), fix=fix), False
    username = me.get("username") if isinstance(me, dict) else None
    return Probe(name=name, ok=True, found=f"@{username}" if isinstance(username, str) else "accepted"), True


def _webhook(name: str, info: dict[str, Any], wanted: str | None) -> Probe:
    registered = str(info.get("url") or "")
    if wanted is None:
        if not registered:
            return Probe(name=name, ok=True, found="none set, as polling needs it")
        fix = (
            "Start relaydesk: it removes the webhook, not what waits. If it comes back, another program has the token."
        )
        return Probe(name=name, ok=False, found="a webhook is set, but the mode is polling", fix=fix)
    if registered != wanted:
        found = "another webhook is set" if registered else "no webhook is set"
        fix = "Start relaydesk: it sets its own. If it is replaced again, another program has the token."
        return Probe(name=name, ok=False, found=found, fix=fix)
    if info.get("last_error_message"):
        fix = (
            "Telegram could not reach telegram.webhook_url: check the address, its certificate and the proxy in front."
        )
        return Probe(name=name, ok=False, found=str(info["last_error_message"])[:200], fix=fix)
    return Probe(name=name, ok=True, found="set to telegram.webhook_url")


def _backlog(name: str, info: dict[str, Any]) -> Probe:
    count = info.get("pending_update_count")
    waiting = count if isinstance(count, int) else 0
    if waiting < BACKLOG_NOTE:
        return Probe(name=name, ok=True, found=f"{waiting} waiting")
    fix = "Start relaydesk soon, or see why it takes nothing in: what is older than 24 hours is lost."
    return Probe(name=name, ok=False, found=f"{waiting} waiting; {KEPT}", fix=fix)


def _clock(api: Api, source: str) -> Probe:
    skew = api.wire.skew_s
    name = f"{source}.clock"
    if skew is None:
        return Probe(name=name, ok=True, found="Telegram does not say its time")
    found = f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} Telegram's clock"
    if abs(skew) <= SKEW_LIMIT_S:
        return Probe(name=name, ok=True, found=found)
    return Probe(name=name, ok=False, found=found, fix="Set this machine's clock (systemd-timesyncd or chrony).")


def _reason(error: TelegramError) -> str:
    return f"Telegram cannot be asked ({type(error).__name__})"
