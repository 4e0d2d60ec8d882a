"""Why a desk user cannot be asked to act right now, by what Slack knows: do not disturb, away, no longer one of us."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.desk.client import SlackApi
from bot.desk.directory import Directory


async def reason(api: SlackApi, directory: Directory, user: str, now: datetime, *, ask_presence: bool) -> str | None:
    """A stable word (`gone`, `dnd`, `away`), or None when nothing speaks against asking. Raises a DeliveryError."""
    if not await directory.roles_of(user):
        return "gone"
    if is_undisturbed(await api.call("dnd.info", user=user), now):
        return "dnd"
    if not ask_presence:
        return None
    answer = await api.call("users.getPresence", user=user)
    return "away" if answer.get("presence") == "away" else None


def is_undisturbed(answer: Mapping[str, Any], now: datetime) -> bool:
    """Whether dnd.info's answer means that notifications are off at `now`: a snooze, or the daily hours."""
    at = now.timestamp()
    if answer.get("snooze_enabled") is True and at < _seconds(answer, "snooze_endtime"):
        return True
    begins, ends = _seconds(answer, "next_dnd_start_ts"), _seconds(answer, "next_dnd_end_ts")
    return answer.get("dnd_enabled") is True and begins <= at < ends


def _seconds(answer: Mapping[str, Any], name: str) -> float:
    value = answer.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
