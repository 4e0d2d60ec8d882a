"""Asking the platforms about what an operator has just typed: is this token good, what is that channel's id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import httpx

from domain.errors import RelaydeskError

PATIENCE_S: Final = 15.0
_PAGES: Final = 50
"""Lists come in pages; a workspace with more than 50 pages of channels is asked for ids instead."""


class NotAccepted(RelaydeskError):
    """A platform did not take what was typed; the message says why and where to find the right one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workspace:
    """Whom a Slack bot token belongs to. `scopes` is empty where Slack did not say."""

    team: str
    team_id: str
    bot: str
    scopes: frozenset[str]


def telegram_bot(base_url: str, token: str) -> str:
    """The bot's user name. Raises NotAccepted."""
    answer, _ = _call(f"{base_url.rstrip('/')}/bot{token}/getMe", "Telegram")
    result = answer.get("result")
    if not answer.get("ok") or not isinstance(result, dict):
        raise NotAccepted("Telegram does not know this token: copy it once more from @BotFather (/mybots > API Token)")
    return str(result.get("username", "unnamed"))


def slack_workspace(base_url: str, token: str) -> Workspace:
    """The workspace of a bot token. Raises NotAccepted."""
    answer, headers = _call(f"{base_url}auth.test", "Slack", token)
    if not answer.get("ok"):
        reason = answer.get("error", "no reason given")
        raise NotAccepted(f"Slack says {reason}: copy the Bot User OAuth Token from OAuth & Permissions")
    scopes = {scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",")} - {""}
    return Workspace(
        team=str(answer.get("team", "")),
        team_id=str(answer.get("team_id", "")),
        bot=str(answer.get("user", "relaydesk")),
        scopes=frozenset(scopes),
    )


def slack_socket(base_url: str, token: str) -> None:
    """Can Socket Mode connect with this app-level token. Raises NotAccepted."""
    answer, _ = _call(f"{base_url}apps.connections.open", "Slack", token)
    if not answer.get("ok"):
        reason = answer.get("error", "no reason given")
        raise NotAccepted(
            f"Slack says {reason}: under Basic Information > App-Level Tokens make one with connections:write"
        )


def slack_channels(base_url: str, token: str) -> dict[str, str]:
    """Ids of the channels that the bot may see, by name."""
    return _names(base_url, token, "conversations.list", "channels", types="public_channel,private_channel")


def slack_groups(base_url: str, token: str) -> dict[str, str]:
    """Ids of the user groups, by handle."""
    return _names(base_url, token, "usergroups.list", "usergroups")


def resolve(word: str, known: dict[str, str], shape: re.Pattern[str]) -> str | None:
    """The id that was meant: an id as it is, or a name with or without # and @."""
    word = word.strip()
    return word if shape.fullmatch(word) else known.get(word.lstrip("#@").lower())


def _names(base_url: str, token: str, method: str, key: str, **fields: str) -> dict[str, str]:
    found: dict[str, str] = {}
    cursor = ""
    for _ in range(_PAGES):
        page = {**fields, "limit": "200", **({"cursor": cursor} if cursor else {})}
        answer, _ = _call(f"{base_url}{method}", "Slack", token, page)
        if not answer.get("ok"):
            return found
        for item in answer.get(key) or []:
            name = item.get("handle") or item.get("name")
            if name and not item.get("is_archived"):
                found[str(name).lower()] = str(item["id"])
        cursor = str((answer.get("response_metadata") or {}).get("next_cursor") or "")
        if not cursor:
            break
    return found


def _call(
    url: str, platform: str, token: str | None = None, fields: dict[str, str] | None = None
) -> tuple[dict[str, Any], httpx.Headers]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.post(url, headers=headers, data=fields, timeout=PATIENCE_S)
        body = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotAccepted(
            f"{platform} cannot be reached ({type(error).__name__}): check the network and the proxy"
        ) from None
    except ValueError:
        raise NotAccepted(
            f"{platform} answered something else than JSON: is a proxy or a login page between?"
        ) from None
    if not isinstance(body, dict):
        raise NotAccepted(f"{platform} answered in an unknown shape: check the base_url in config.yaml")
    return body, answer.headers
