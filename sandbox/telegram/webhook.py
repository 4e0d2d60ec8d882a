"""The webhook: every update is posted to the bot until it answers 2xx, in order within a chat."""

import asyncio
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sandbox.state import Sandbox
from sandbox.telegram.errors import bad_request
from sandbox.telegram.params import Params
from sandbox.telegram.updates import Pending, Updates, read_kinds

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
ANSWER_WITHIN_S = 60.0
DEFAULT_CONNECTIONS = 40
MAX_CONNECTIONS = 100
MAX_SECRET = 256
SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Webhook:
    """Where the updates are posted to, if anywhere. One lane per chat, at most `max_connections` posts at a
    time.
    """

    def __init__(self, desk: Sandbox, updates: Updates) -> None:
        self._desk = desk
        self._updates = updates
        self.url = ""
        self._secret = ""
        self._max_connections = DEFAULT_CONNECTIONS
        self._last_error: tuple[int, str] | None = None
        self._lanes: dict[str, deque[Pending]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(DEFAULT_CONNECTIONS)
        self._session: aiohttp.ClientSession | None = None

    def set(self, params: Params) -> tuple[bool, str]:
        """The method setWebhook: the result and Telegram's remark about it."""
        url = params.text("url")
        if not url:
            return self.delete(drop=params.flag("drop_pending_updates"))
        _check_url(url)
        secret = params.text("secret_token")
        if len(secret) > MAX_SECRET:
            raise bad_request("secret token is too long")
        if not all(char.isascii() and (char.isalnum() or char in "_-") for char in secret):
            raise bad_request("secret token contains unallowed characters")
        allowed = read_kinds(params.parsed("allowed_updates", "can't parse allowed_updates JSON object"))
        if allowed is not None:
            self._updates.allowed = allowed
        if params.flag("drop_pending_updates"):
            self._updates.drop()
        connections = params.integer("max_connections", DEFAULT_CONNECTIONS)
        connections = min(max(1, connections), MAX_CONNECTIONS)
        same = (url, secret, connections) == (self.url, self._secret, self._max_connections)
        self._updates.end_poll("terminated by setWebhook request")
        self._stop()
        self.url, self._secret, self._max_connections = url, secret, connections
        self._last_error = None
        self.begin()
        self._desk.log.add("telegram", "webhook_set", url, {"max_connections": connections, "secret": bool(secret)})
        return True, "Webhook is already set" if same else "Webhook was set"

    def delete(self, *, drop: bool) -> tuple[bool, str]:
        """The method deleteWebhook."""
        if drop:
            self._updates.drop()
        if not self.url:
            return True, "Webhook is already deleted"
        self._stop()
        self.url = ""
        self._updates.on_new = None
        self._desk.log.add("telegram", "webhook_deleted", "", {})
        return True, "Webhook was deleted"

    def info(self) -> dict[str, Any]:
        """The method getWebhookInfo."""
        info: dict[str, Any] = {
            "url": self.url,
            "has_custom_certificate": False,
            "pending_update_count": len(self._updates.waiting()),
        }
        if self.url:
            info["max_connections"] = self._max_connections
            info["ip_address"] = "127.0.0.1"
            if self._last_error:
                info["last_error_date"], info["last_error_message"] = self._last_error
        if self._updates.allowed:
            info["allowed_updates"] = self._updates.allowed
        return info

    def begin(self) -> None:
        """Start posting what waits; nothing without an address."""
        if not self.url:
            return
        self._slots = asyncio.Semaphore(self._max_connections)
        self._updates.on_new = self._enqueue
        for pending in self._updates.waiting():
            self._enqueue(pending)

    async def close(self) -> None:
        """Stop posting; what was not answered stays in the queue."""
        tasks = list(self._tasks.values())
        self._stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def clear(self) -> None:
        """No webhook, nothing remembered."""
        self._stop()
        self.url = self._secret = ""
        self._last_error = None
        self._updates.on_new = None

    def dump(self) -> dict[str, Any]:
        """For the state file."""
        return {"url": self.url, "secret": self._secret, "max_connections": self._max_connections}

    def load(self, saved: dict[str, Any]) -> None:
        """From the state file; `begin` starts the posting."""
        self.url = saved["url"]
        self._secret = saved["secret"]
        self._max_connections = saved["max_connections"]

    def _stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self._lanes.clear()

    def _enqueue(self, pending: Pending) -> None:
        self._lanes.setdefault(pending.lane, deque()).append(pending)
        if pending.lane not in self._tasks:
            self._tasks[pending.lane] = asyncio.create_task(self._drain(pending.lane))

    async def _drain(self, lane: str) -> None:
        queue = self._lanes[lane]
        failures = 0
        while queue:
            self._updates.expire()
            if queue[0].gone:
                queue.popleft()
                continue
            async with self._slots:
                if len(queue) > 1 and self._desk.faults.take("telegram", "webhook", ("reorder",)):
                    queue.rotate(-1)
                pending = queue[0]
                retry_s = await self._post(pending)
            if retry_s is None:
                queue.popleft()
                failures = 0
                self._updates.done(pending.id)
                continue
            backed_off = min(FIRST_RETRY_S * 2**failures, LONGEST_RETRY_S)
            failures += 1
            await asyncio.sleep(max(retry_s, backed_off))
        del self._lanes[lane], self._tasks[lane]

    async def _post(self, pending: Pending) -> float | None:
        """Post once (twice under a `duplicate` fault). None when it was taken and we heard so, else the seconds the
        bot asked to wait.
        """
        taken = await self._post_once(pending)
        if taken is None and self._desk.faults.take("telegram", "webhook", ("duplicate",)):
            await self._post_once(pending)
        if taken is None and self._desk.faults.take("telegram", "webhook", ("no_ack",)):
            return 0.0
        return taken

    async def _post_once(self, pending: Pending) -> float | None:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
            self._session = aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False)
        pending.served += 1
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers[SECRET_HEADER] = self._secret
        wait_s = 0.0
        status = 0
        try:
            async with self._session.post(
                self.url, data=pending.body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.read()
                status = answer.status
                error = f"Wrong response from the webhook: {status} {answer.reason}"
                wait_s = _retry_after(answer.headers.get("Retry-After"))
        except asyncio.CancelledError:  # the address was set anew; the bot may have taken it all the same
            self._desk.log.add("telegram", "webhook_post", str(pending.id), {"status": 0, "served": pending.served})
            raise
        except TimeoutError:
            error = "Read timeout expired"
        except aiohttp.ClientConnectorError:
            error = "Connection refused"
        except (aiohttp.ClientError, OSError):
            error = "Connection closed"
        self._desk.log.add("telegram", "webhook_post", str(pending.id), {"status": status, "served": pending.served})
        if 200 <= status < 300:
            return None
        self._last_error = (int(self._desk.clock.now()), error)
        return wait_s


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    if parts.scheme != "https" and not local:
        raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
    if not parts.hostname:
        raise bad_request("invalid webhook URL specified")


def _retry_after(value: str | None) -> float:
    return float(value) if value and value.isdecimal() else 0.0
