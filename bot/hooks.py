"""Signed calls to a service of the company: an on-call system that wakes somebody.

`Relaydesk-Signature: t=<seconds>,v1=<hex>` is HMAC-SHA256 over `<seconds>.<body>` under the shared secret. A call may
come more than once; `Relaydesk-Delivery` stays the same then.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime

import httpx

from domain.errors import NeverPossible, RetryLater
from domain.ports import HookDelivery, Receipt

TIMEOUT_S = 10.0
LATER = frozenset({408, 425, 429})


def _now() -> datetime:
    return datetime.now(UTC)


def signature(secret: str, at: int, body: bytes) -> str:
    """The value of `Relaydesk-Signature` for a body sent at `at` (seconds since 1970)."""
    mac = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


class Hook:
    """Calls one address."""

    def __init__(self, url: str, secret: str, now: Callable[[], datetime] = _now) -> None:
        self._url = url
        self._secret = secret
        self._now = now
        self._client = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)

    async def send(self, delivery: HookDelivery) -> Receipt:
        """Call. Raises RetryLater when the service is away or busy, NeverPossible when it refuses the call."""
        body = json.dumps(delivery.body, ensure_ascii=False, sort_keys=True).encode()
        at = self._now()
        headers = {
            "Content-Type": "application/json",
            "Relaydesk-Delivery": delivery.id,
            "Relaydesk-Signature": signature(self._secret, int(at.timestamp()), body),
        }
        try:
            answer = await self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise RetryLater("hook_unreachable", type(error).__name__) from None
        if answer.is_success:
            return Receipt(platform_id=delivery.id, at=at)
        if answer.status_code >= 500 or answer.status_code in LATER:
            raise RetryLater("hook_busy", f"status {answer.status_code}")
        raise NeverPossible("hook_refused", f"status {answer.status_code}")

    async def close(self) -> None:
        """Release sockets."""
        await self._client.aclose()
