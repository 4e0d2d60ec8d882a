"""The HTTP transport under python-telegram-bot: says exactly what became of a request, streams files, tells no secret.

python-telegram-bot's own transport reads whole files into memory, logs answers it cannot parse (they hold personal
text) and folds "never left this machine" and "left, no answer" into one error type. A delivery needs to tell the two
apart.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from telegram.error import BadRequest, NetworkError, TelegramError
from telegram.request import BaseRequest, RequestData

from bot import authorities, waiting
from bot.channels import telegram_form
from domain import errors

CONNECT_TIMEOUT_S = 5.0
POOL_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 20.0
SLACK_S = 15.0
"""Over a request's read timeout, how long all of it may take: a server that drips bytes must not hold a lane."""
KEEP_ALIVE_S = 15.0
"""Below what proxies in front of the Bot API use, so that a connection is rarely closed just as it is used."""
MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""A hundred updates stay far below; more is not the Bot API."""
UNNAMED_WAIT = timedelta(seconds=5)
"""The wait after a 429 that names none."""
SPOKEN = frozenset({400, 401, 403, 404, 409})
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class NotSent(NetworkError):
    """The request certainly did not reach the platform: no connection, or not all of it was handed over."""


class MaybeSent(NetworkError):
    """The request left and no usable answer came: the platform may have acted on it."""


class TooMany(NetworkError):
    """429: refused for now; `after` is the platform's wish, or ours where it named none."""

    def __init__(self, after: timedelta) -> None:
        super().__init__("too many requests")
        self.after = after


class Refused(NetworkError):
    """A 4xx that the Bot API does not use for its own refusals: certainly not carried out."""

    def __init__(self, status: int) -> None:
        super().__init__(f"http {status}")
        self.status = status


class OddAnswer(TelegramError):
    """An answer that is not the Bot API's JSON. `began_ok`: it began as a success and was cut short or misshapen."""

    def __init__(self, *, began_ok: bool) -> None:
        super().__init__("the answer is not the Bot API's")
        self.began_ok = began_ok


class Wire(BaseRequest):
    """A connection pool that python-telegram-bot can use. `read_timeout_s` holds unless a call names its own."""

    def __init__(self, *, base_url: str, read_timeout_s: float, pool: int, transfer_timeout_s: float = 300.0) -> None:
        quiet()
        hasten()
        self._direct = urlsplit(base_url).hostname in LOOPBACK
        self._read_timeout_s = read_timeout_s
        self._transfer_timeout_s = transfer_timeout_s
        self._pool = pool
        self._client = self._build()
        self._date: tuple[str, float] | None = None

    def _build(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=httpx.Timeout(
                self._read_timeout_s, connect=CONNECT_TIMEOUT_S, write=WRITE_TIMEOUT_S, pool=POOL_TIMEOUT_S
            ),
            limits=httpx.Limits(
                max_connections=self._pool,
                max_keepalive_connections=self._pool,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
            headers={"User-Agent": self.USER_AGENT},
            follow_redirects=False,
            trust_env=not self._direct,
            verify=authorities.known(),
        )

    @property
    def read_timeout(self) -> float | None:
        """Seconds between two pieces of an answer."""
        return self._read_timeout_s

    @property
    def skew_s(self) -> float | None:
        """By how many seconds the platform's clock was ahead of ours at its last answer, None before the first."""
        if self._date is None:
            return None
        header, seen_at = self._date
        try:
            return parsedate_to_datetime(header).timestamp() - seen_at
        except (ValueError, OverflowError):
            return None

    async def initialize(self) -> None:
        """Open the pool again after `shutdown`."""
        if self._client.is_closed:
            self._client = self._build()

    async def shutdown(self) -> None:
        """Close all connections. Idempotent."""
        await self._client.aclose()

    async def renew(self) -> None:
        """Throw all connections away and begin afresh: for pools that a network change has poisoned."""
        old, self._client = self._client, self._build()
        await old.aclose()

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """The answer's JSON object. Raises OddAnswer for anything else, and writes nothing of it to any log."""
        try:
            answer = json.loads(payload.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            raise OddAnswer(began_ok=_began_ok(payload)) from None
        if not isinstance(answer, dict):
            raise OddAnswer(began_ok=False)
        return answer

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: object = BaseRequest.DEFAULT_NONE,
        write_timeout: object = BaseRequest.DEFAULT_NONE,
        connect_timeout: object = BaseRequest.DEFAULT_NONE,
        pool_timeout: object = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        """One request; returns (status, body). Raises NotSent, MaybeSent, TooMany, Refused.

        Each file that goes up has the time of one transfer; what its own source takes does not count. Where that is
        over NeverPossible (`too_slow`) is raised: the next try would take as long, and what comes after it in its chat
        would wait for it.
        """
        form = telegram_form.Form.of(request_data)
        read_s = _seconds(read_timeout, self._read_timeout_s)
        limit_s = read_s + SLACK_S
        if form is not None:
            limit_s = self._transfer_timeout_s * max(1, form.count)
            read_s = self._transfer_timeout_s  # before it answers, the server carries the files on
        timeout = httpx.Timeout(
            connect=_seconds(connect_timeout, CONNECT_TIMEOUT_S),
            read=read_s,
            write=_seconds(write_timeout, WRITE_TIMEOUT_S),
            pool=_seconds(pool_timeout, POOL_TIMEOUT_S),
        )
        try:
            wait = waiting.Waiting(limit_s)
            async with wait.held():
                status, body = await self._exchange(method, url, request_data, form, wait, timeout)
        except asyncio.CancelledError:
            if form is not None and not form.handed_over:
                raise errors.StoppedUnsent from None
            raise
        except (
            httpx.ConnectError,
            httpx.ConnectTimeout,
            httpx.PoolTimeout,
            httpx.ProxyError,
            httpx.UnsupportedProtocol,
        ):
            raise NotSent("no connection") from None
        except (httpx.HTTPError, TimeoutError) as error:
            if form is not None and not form.handed_over and not isinstance(error, httpx.HTTPError):
                raise _too_slow() from None  # it moved all the time, or httpx had given up
            if form is not None and not form.handed_over:
                raise NotSent("cut while sending") from None
            raise MaybeSent(type(error).__name__) from None
        return _judged(status, body)

    async def _exchange(
        self,
        method: str,
        url: str,
        data: RequestData | None,
        form: telegram_form.Form | None,
        wait: waiting.Waiting,
        timeout: httpx.Timeout,
    ) -> tuple[int, bytes]:
        request = self._client.build_request(
            method,
            url,
            timeout=timeout,
            data=data.json_parameters if data is not None and form is None else None,
            content=form.stream(wait) if form is not None else None,
            headers=form.headers if form is not None else None,
        )
        response = await self._client.send(request, stream=True)
        body = bytearray()
        try:
            if date := response.headers.get("date"):
                self._date = (date, time.time())
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    break
        except httpx.HTTPError:
            if not body:
                raise
        finally:
            await response.aclose()
        return response.status_code, bytes(body)

    async def fetch(self, url: str, *, limit: int, limit_s: float) -> AsyncIterator[bytes]:
        """Stream a file of at most `limit` bytes, within `limit_s` seconds of waiting for Telegram: whoever takes the
        pieces may be as slow as a disk or another platform is.

        Raises NeverPossible when it is larger, gone, or takes longer: what comes after it in its thread must not wait
        for it again and again. RetryLater for anything that another try may mend.
        """
        waited = _Waited(left_s=limit_s)
        try:
            request = self._client.build_request("GET", url, headers={"Accept-Encoding": "identity"})
            async with waited.timeout():
                response = await self._client.send(request, stream=True)
        except TimeoutError:
            raise _too_slow() from None
        except httpx.HTTPError:
            raise errors.RetryLater("file_unreachable") from None
        try:
            _check_file(response, limit)
            pieces, seen = response.aiter_raw(), 0
            while (piece := await _next(pieces, waited)) is not None:
                seen += len(piece)
                if seen > limit:
                    raise errors.NeverPossible("too_large", f"over {limit} bytes")
                yield piece
        finally:
            await response.aclose()


def hasten() -> None:
    """Tell imports once that there is no `sniffio`, where there is none.

    httpcore asks for it four times a request, and looks through every folder each time: a quarter of what a call costs.
    """
    if "sniffio" not in sys.modules and importlib.util.find_spec("sniffio") is None:
        sys.modules["sniffio"] = None  # type: ignore[assignment]  # as the import system writes "not there"


def quiet() -> None:
    """Keep libraries from writing the token (it is part of every URL) and texts of people into the logs."""
    for name in ("httpx", "httpcore", "telegram"):
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def _judged(status: int, body: bytes) -> tuple[int, bytes]:
    """Let through what python-telegram-bot reads: successes, and the statuses that the Bot API refuses with."""
    if 200 <= status < 300 or status in SPOKEN:
        return status, body
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise TooMany(_named_wait(body))
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        raise BadRequest("Request Entity Too Large")
    if 400 <= status < 500:
        raise Refused(status)
    raise MaybeSent(f"http {status}")


def _named_wait(body: bytes) -> timedelta:
    try:
        seconds = float(json.loads(body)["parameters"]["retry_after"])
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        return UNNAMED_WAIT
    if not math.isfinite(seconds) or seconds <= 0:
        return UNNAMED_WAIT
    return timedelta(seconds=min(seconds, 86_400))


def _began_ok(payload: bytes) -> bool:
    return b"".join(payload[:64].split()).startswith(b'{"ok":true')


def _seconds(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _check_file(response: httpx.Response, limit: int) -> None:
    if response.status_code == httpx.codes.NOT_FOUND:
        raise errors.NeverPossible("gone", "the platform no longer has the file")
    if response.status_code != httpx.codes.OK:
        raise errors.RetryLater("file_unreachable", f"http {response.status_code}")
    announced = response.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise errors.NeverPossible("too_large", f"over {limit} bytes")


@dataclass(kw_only=True, slots=True)
class _Waited:
    """The time for which somebody may still be waited for."""

    left_s: float

    @asynccontextmanager
    async def timeout(self) -> AsyncIterator[None]:
        """What is done inside uses it up. Raises TimeoutError where it is over."""
        began = time.monotonic()
        async with asyncio.timeout(self.left_s):
            yield
        self.left_s -= time.monotonic() - began


async def _next(pieces: AsyncIterator[bytes], waited: _Waited) -> bytes | None:
    try:
        async with waited.timeout():
            return await anext(pieces, None)
    except TimeoutError:
        raise _too_slow() from None
    except httpx.HTTPError:
        raise errors.RetryLater("file_cut") from None


def _too_slow() -> errors.NeverPossible:
    return errors.NeverPossible("too_slow", "its time was over")
