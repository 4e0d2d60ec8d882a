"""What an answer of Slack, or none, means for the one who asked: one typed error that says what must happen next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError

from bot.desk.methods import Method
from domain.errors import AccessRevoked, DeliveryError, NeverPossible, RetryLater, Unclear

REVOKED = frozenset(
    {
        "account_inactive",
        "app_missing_action_url",
        "channel_not_found",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "invalid_auth",
        "is_archived",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "restricted_action",
        "restricted_action_read_only_channel",
        "restricted_action_thread_only_channel",
        "team_access_not_granted",
        "team_not_found",
        "token_expired",
        "token_revoked",
    }
)
"""Our access is gone or was never given: a person has to mend it, then everything that waits can go on."""

UNSURE = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable"})
"""Slack says of these itself that "some aspect of the operation may have succeeded"."""

LATER = frozenset({"accesslimited", "message_limit_exceeded", "ratelimited", "rate_limited", "team_added_to_org"})

_POINTER = re.compile(r"json-pointer:(/[\w/]*)")


def of_exception(name: str, method: Method, error: Exception) -> DeliveryError:
    """Read an exception of the SDK, of aiohttp or of a JSON parser. The message holds no payload and no address."""
    if isinstance(error, SlackApiError):
        return _of_answer(name, method, error)
    if isinstance(error, UnicodeEncodeError):
        return NeverPossible("not_sendable", f"{name}: the text cannot be encoded")
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return RetryLater("unreachable", f"{name}: {type(error).__name__}")
    code = "timeout" if isinstance(error, TimeoutError) else "connection_lost"
    return unsure(method, code, f"{name}: {type(error).__name__}")


def unsure(method: Method, code: str, detail: str) -> DeliveryError:
    """The outcome is unknown: look it up first, unless repeating the call is the same as doing it once."""
    return RetryLater(code, detail) if method.repeatable else Unclear(code, detail)


def retry_after(value: object) -> timedelta | None:
    """A Retry-After header in seconds; None where it is missing or is not a sensible number."""
    try:
        seconds = float(str(value))
    except ValueError:
        return None
    return timedelta(seconds=seconds) if 0 <= seconds <= 3600 else None


def _of_answer(name: str, method: Method, error: SlackApiError) -> DeliveryError:
    answer: Any = error.response
    status = int(getattr(answer, "status_code", None) or getattr(answer, "status", None) or 0)
    headers: Mapping[str, str] = getattr(answer, "headers", None) or {}
    data = getattr(answer, "data", None)
    body: Mapping[str, Any] = data if isinstance(data, dict) else {}
    code = body.get("error")
    if status == 429 or code in LATER:
        after = retry_after(headers.get("Retry-After"))
        return RetryLater("rate_limited", name, after=after, bucket="channel")
    if status >= 500 or not isinstance(code, str) or not code:
        return unsure(method, f"http_{status}" if status != 200 else "odd_answer", name)
    if code in UNSURE:
        return unsure(method, code, name)
    if code in REVOKED:
        return AccessRevoked(code, _needed(name, body))
    return NeverPossible(code, _pointers(name, body))


def _needed(name: str, body: Mapping[str, Any]) -> str:
    needed = body.get("needed")
    return f"{name} needs {needed}" if isinstance(needed, str) else name


def _pointers(name: str, body: Mapping[str, Any]) -> str:
    metadata = body.get("response_metadata")
    messages = metadata.get("messages", ()) if isinstance(metadata, dict) else ()
    found = [place for message in messages for place in _POINTER.findall(str(message))]
    return f"{name} at {', '.join(found)}" if found else name
