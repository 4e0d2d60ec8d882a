"""The one way to Slack's Web API: one shared session, no retries of the SDK's own, typed errors for every outcome.

The SDK's built-in retries post twice when a connection ends after Slack has stored the message, so they are off: what
is repeated, and after which look-up, is the dispatcher's decision.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot import crashpoints, waiting
from bot.desk.config import SLACK_URL
from bot.desk.methods import METHODS, Method
from bot.desk.outcomes import of_exception, unsure
from domain.errors import AccessRevoked, NeverPossible, RetryLater

CALL_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
FILE_TIMEOUT_S = 300.0
STALLED_S = 20.0
"""A file that does not move for so long has stopped; one that moves until its time is over is too slow."""
KEEP_ALIVE_S = 20.0
"""Shorter than any balancer's idle limit, so that a call seldom meets a connection that is just being closed."""
CHUNK_BYTES = 64 * 1024

QUIET = logging.getLogger("relaydesk.slack_sdk")
"""Given to the SDKs: they write whole payloads and tickets into their logs, so they get no voice."""
QUIET.setLevel(logging.CRITICAL + 1)


class SlackApi:
    """Calls of Slack's Web API. `scopes` are the bot token's, known after the first answer."""

    def __init__(self, *, base_url: str = SLACK_URL, bot_token: str, app_token: str = "") -> None:
        self._base_url = base_url if base_url.endswith("/") else base_url + "/"
        self._bot_token = bot_token
        self._app_token = app_token
        self._web: AsyncWebClient | None = None
        self._session: aiohttp.ClientSession | None = None
        self._answered_at: float | None = None
        self.scopes: frozenset[str] = frozenset()

    @property
    def web(self) -> AsyncWebClient:
        """The SDK's client on the shared session; must first be asked for inside the running loop."""
        if self._web is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
                connector=aiohttp.TCPConnector(keepalive_timeout=KEEP_ALIVE_S),
            )
            self._web = AsyncWebClient(
                token=self._bot_token,
                base_url=self._base_url,
                session=self._session,
                retry_handlers=[],
                logger=QUIET,
            )
        return self._web

    def last_success_age(self) -> float:
        """Seconds (monotonic) since Slack last gave a readable answer; infinity before the first."""
        return float("inf") if self._answered_at is None else time.monotonic() - self._answered_at

    async def call(self, name: str, /, **arguments: object) -> Mapping[str, Any]:
        """Call a method of `METHODS`; arguments that are None are left out.

        Raises RetryLater, Unclear, NeverPossible or AccessRevoked. A method that may be repeated never ends Unclear.
        """
        method = METHODS[name]
        values = {key: value for key, value in arguments.items() if value is not None}
        sent: dict[str, Any] = {"json": values} if method.json else {"data": _fields(values)}
        if method.app:
            sent["headers"] = {"Authorization": f"Bearer {self._app_token}"}
        try:
            answer = await self.web.api_call(name, **sent)
        except SlackApiError as error:
            raise of_exception(name, method, error) from None
        except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError, ValueError) as error:
            raise of_exception(name, method, error) from None
        except (AttributeError, TypeError):  # the SDK trips over JSON that is no object; it had been answered by then
            raise unsure(method, "odd_answer", name) from None
        data = answer.data
        if not isinstance(data, dict):
            raise unsure(method, "odd_answer", name)
        self._answered_at = time.monotonic()
        granted = answer.headers.get("x-oauth-scopes", "")
        if granted and not method.app:
            self.scopes = frozenset(scope.strip() for scope in granted.split(",") if scope.strip())
        return data

    async def upload(self, url: str, content: AsyncIterator[bytes], size: int) -> None:
        """Stream exactly `size` bytes to an upload address. A broken upload shows nothing, so it may be repeated.

        Raises RetryLater, or NeverPossible where the content is not as long as was announced, or moved all the time
        and did not get there: the next try would take as long, and its thread would wait for it. Only time in which
        Slack is waited for counts. An error of the content itself (a DeliveryError of its platform) is passed on.
        """
        wait = waiting.Waiting(FILE_TIMEOUT_S)
        counted = _Counted(wait.source(content), size)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        web = self.web
        assert self._session is not None  # noqa: S101 - `web` has just made it
        try:
            async with (
                wait.held(),
                self._session.post(
                    url, data=counted.stream(), headers=headers, timeout=timeout, proxy=web.proxy, allow_redirects=False
                ) as answer,
            ):
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if counted.failure is not None:
                raise counted.failure from None
            if counted.is_moving and isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise _too_slow() from None
            raise RetryLater("upload_broken", type(error).__name__) from None
        if counted.failure is not None:
            raise counted.failure
        if status != 200:
            raise RetryLater("upload_refused", f"HTTP {status}")

    async def download(self, url: str, limit: int | None = None) -> AsyncIterator[bytes]:
        """Stream a private file. The token goes to Slack's own hosts (or the configured one) and follows no redirect.

        Raises NeverPossible (`too_slow` too, as `upload` does), AccessRevoked or RetryLater. `limit` in bytes. Only
        time in which Slack is waited for counts: whoever takes the pieces may be as slow as a disk or a platform is.
        """
        if not self._may_see_token(url):
            raise NeverPossible("foreign_file_host", "the file is not kept by Slack")
        web = self.web
        assert self._session is not None  # noqa: S101 - `web` has just made it
        stalled = min(STALLED_S, FILE_TIMEOUT_S)
        timeout = aiohttp.ClientTimeout(total=None, connect=stalled, sock_connect=CONNECT_TIMEOUT_S, sock_read=stalled)
        headers = {"Authorization": f"Bearer {self._bot_token}"}
        done, left_s = 0, FILE_TIMEOUT_S
        try:
            async with asyncio.timeout(left_s):
                opened = await self._session.get(
                    url, headers=headers, timeout=timeout, proxy=web.proxy, allow_redirects=False
                )
            async with opened as answer:
                _check_file(answer)
                pieces = aiter(answer.content.iter_chunked(CHUNK_BYTES))
                while True:
                    began = time.monotonic()
                    async with asyncio.timeout(left_s):
                        chunk = await anext(pieces, b"")
                    left_s -= time.monotonic() - began
                    if not chunk:
                        break
                    done += len(chunk)
                    if limit is not None and done > limit:
                        raise NeverPossible("file_too_large", f"more than {limit} bytes")
                    yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if done and isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise _too_slow() from None
            raise RetryLater("download_broken", type(error).__name__) from None

    async def close(self) -> None:
        """Close the session. Idempotent."""
        if self._session is not None:
            await self._session.close()
        self._web = None
        self._session = None

    def _may_see_token(self, url: str) -> bool:
        wanted, own = urlsplit(url), urlsplit(self._base_url)
        if (wanted.scheme, wanted.netloc) == (own.scheme, own.netloc):
            return True
        host = wanted.hostname or ""
        own_is_slack = self._base_url == SLACK_URL
        return own_is_slack and wanted.scheme == "https" and (host == "slack.com" or host.endswith(".slack.com"))


class _Counted:
    """A stream that must have an exact length; remembers why it ended badly, which aiohttp does not tell.

    It `is_moving` while pieces of it are taken, until the last one.
    """

    def __init__(self, content: AsyncIterator[bytes], size: int) -> None:
        self._content = content
        self._size = size
        self.failure: Exception | None = None
        self._moved_at: float | None = None

    @property
    def is_moving(self) -> bool:
        return self._moved_at is not None and time.monotonic() - self._moved_at < STALLED_S

    async def stream(self) -> AsyncIterator[bytes]:
        done = 0
        try:
            async for chunk in self._content:
                done += len(chunk)
                if done > self._size:
                    break
                self._moved_at = time.monotonic()
                yield chunk
                crashpoints.reach("in_upload")
            self._moved_at = None
            if done != self._size:
                raise NeverPossible("file_changed", f"announced {self._size} bytes, got {done}")
        except Exception as error:
            self.failure = error
            raise


def _too_slow() -> NeverPossible:
    return NeverPossible("too_slow", f"not there after {FILE_TIMEOUT_S:.0f} s")


def _check_file(answer: aiohttp.ClientResponse) -> None:
    if answer.status in (401, 403):
        raise AccessRevoked("no_file_access", f"HTTP {answer.status}; the scope files:read")
    if answer.status in (404, 410):
        raise NeverPossible("file_gone", f"HTTP {answer.status}")
    if answer.status >= 500 or answer.status == 429:
        raise RetryLater("download_refused", f"HTTP {answer.status}")
    if answer.status != 200:
        raise AccessRevoked("no_file_access", f"HTTP {answer.status}; the scope files:read")
    if answer.content_type == "text/html" and "attachment" not in answer.headers.get("Content-Disposition", ""):
        raise AccessRevoked("no_file_access", "a sign-in page came instead of the file; the scope files:read")


def _fields(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: _field(value) for key, value in values.items()}


def _field(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


__all__ = ["QUIET", "Method", "SlackApi"]
