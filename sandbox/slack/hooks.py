"""Deliveries over HTTP: signed requests to the app's request URLs, as Slack makes them."""

import asyncio
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from sandbox.slack import workspace
from sandbox.slack.delivery import Delivery
from sandbox.slack.held import Held

USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"


@dataclass(frozen=True, kw_only=True)
class Result:
    """`payload` is None when the request was not acknowledged; `reason` is then what X-Slack-Retry-Reason says."""

    payload: dict[str, Any] | None = None
    reason: str = ""
    no_retry: bool = False


class Hooks:
    """Posts to request URLs. The events URL must answer the url_verification handshake before its first event."""

    def __init__(self, side: Held) -> None:
        self._side = side
        self._session: aiohttp.ClientSession | None = None
        self._verified_url = ""
        self._handshake: asyncio.Lock | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def unverified(self) -> None:
        """Shake hands again before the next event."""
        self._verified_url = ""

    async def verify(self) -> str:
        """Do the url_verification handshake unless it is done; "" or what went wrong."""
        url = self._side.settings.events_url
        if not url or url == self._verified_url:
            return ""
        if self._handshake is None:
            self._handshake = asyncio.Lock()
        async with self._handshake:
            if url == self._verified_url:
                return ""
            challenge = secrets.token_hex(26)
            body = json.dumps(
                {"token": workspace.VERIFICATION_TOKEN, "challenge": challenge, "type": "url_verification"}
            ).encode()
            result = await self._send(url, body, "application/json", {})
            if result.payload is None:
                return result.reason
            said = result.payload.get("challenge", str(result.payload.get("text", "")).strip())
            if said not in (challenge, f"challenge={challenge}"):
                return "challenge_failed"
            self._verified_url = url
            return ""

    async def post(self, delivery: Delivery, url: str, attempt: int) -> Result:
        """One attempt at one delivery."""
        headers: dict[str, str] = {}
        if attempt:
            headers = {"X-Slack-Retry-Num": str(attempt), "X-Slack-Retry-Reason": delivery.retry_reason}
        if delivery.kind == "events_api":
            if reason := await self.verify():
                return Result(reason=reason)
            return await self._send(url, delivery.body.encode(), "application/json", headers)
        form = delivery.fields or {"payload": delivery.body}
        return await self._send(url, urlencode(form).encode(), "application/x-www-form-urlencoded", headers)

    async def _send(self, url: str, body: bytes, content_type: str, headers: dict[str, str]) -> Result:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), headers={"User-Agent": USER_AGENT}
            )
        timestamp = str(int(self._side.desk.clock.real()))
        signed = {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign(self._side.settings.signing_secret, timestamp, body),
            **headers,
        }
        timeout = aiohttp.ClientTimeout(total=self._side.settings.ack_timeout_s)
        try:
            async with self._session.post(url, data=body, headers=signed, timeout=timeout, max_redirects=2) as response:
                answer = await response.read()
                no_retry = response.headers.get("X-Slack-No-Retry") == "1"
                if not 200 <= response.status < 300:
                    return Result(reason="http_error", no_retry=no_retry)
                return Result(payload=read_answer(answer, response.content_type))
        except aiohttp.TooManyRedirects:
            return Result(reason="too_many_redirects")
        except TimeoutError:
            return Result(reason="http_timeout")
        except (aiohttp.ClientError, OSError, ValueError):
            return Result(reason="connection_failed")


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Slack's v0 request signature."""
    digest = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return f"v0={digest}"


def read_answer(answer: bytes, content_type: str) -> dict[str, Any]:
    """The body of an acknowledgement: a JSON object, or plain text as `{"text": …}`, or nothing."""
    if not answer.strip():
        return {}
    if content_type == "application/json":
        try:
            value = json.loads(answer)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}
    return {"text": answer.decode("utf-8", "replace")}
