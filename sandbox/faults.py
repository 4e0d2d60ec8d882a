"""Faults on request: rules that make a platform misbehave in one exact way, a given number of times.

A rule is looked for at two kinds of places. API requests go through `around`, which knows the faults of an
HTTP exchange. Deliveries (updates, envelopes, tickets) ask `take` for the faults they can act out.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sandbox.log import Log, Platform

REQUEST_FAULTS = {
    "delay": "wait `seconds` before the request is handled",
    "delay_after": "handle the request, then wait `seconds` before the answer",
    "drop_before": "close the connection, nothing is stored",
    "drop_after": "store, then close the connection without an answer",
    "429": "refuse with the platform's rate limit answer, naming `seconds` (default 1)",
    "429_no_header": "refuse with 429 without saying for how long",
    "500": "answer with an internal error, nothing is stored",
    "500_after": "store, then answer with an internal error",
    "html": "answer 200 with a web page (a captive portal), nothing is stored",
    "html_after": "store, then answer with a web page",
    "truncated": "store, then send only half of the JSON answer",
    "401": "refuse the token once",
    "403": "refuse as forbidden (Telegram: the customer has blocked the bot)",
    "404": "answer as if the method or token did not exist",
    "409": "Telegram: another poller is running",
    "error": "answer with the platform's error named in `error`, nothing is stored",
}
DELIVERY_FAULTS = {
    "duplicate": "deliver once more what was delivered",
    "reorder": "deliver the waiting ones in reverse order",
    "disconnect": "Slack: close the websocket after a disconnect frame",
    "cut": "Slack: cut the websocket without a word",
    "refuse_ticket": "Slack: refuse a websocket ticket with 503",
    "half_open": "Slack: the websocket stays open, and nothing goes through it any more",
    "no_ack": "treat an acknowledgement (Telegram: the webhook's answer) as lost",
    "lose": "do not deliver it at all (it stays in the platform's own history)",
}
AFTER = frozenset({"delay_after", "drop_after", "500_after", "html_after", "truncated"})
PORTAL_PAGE = "<!doctype html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"


@dataclass(slots=True, kw_only=True)
class Rule:
    """One fault: where, what, and how often still."""

    id: int
    platform: Platform
    method: str
    fault: str
    count: int | None
    seconds: float | None
    probability: float
    error: str | None
    hits: int = 0
    chance: random.Random = field(default_factory=random.Random)

    def view(self) -> dict[str, Any]:
        """The rule as the control interface shows it; `count` is what is left, null means always."""
        return {
            "id": self.id,
            "platform": self.platform,
            "method": self.method,
            "fault": self.fault,
            "count": self.count,
            "seconds": self.seconds,
            "probability": self.probability,
            "error": self.error,
            "hits": self.hits,
        }


Refusal = Callable[[Rule], web.Response]
"""Renders `429`, `429_no_header`, `500`, `401`, `403`, `404`, `409` and `error` the way one platform does."""


class Faults:
    """The rules in force, asked in the order in which they were added."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._rules: dict[int, Rule] = {}
        self._next_id = 1
        self._late: set[asyncio.Task[web.StreamResponse]] = set()
        self._cleared = asyncio.Event()

    def add(self, wish: dict[str, Any]) -> Rule:
        """Add a rule from its JSON (see README.md). ValueError says what is wrong with it."""
        known = {"platform", "method", "fault", "count", "seconds", "probability", "seed", "error"}
        if unknown := sorted(set(wish) - known):
            raise ValueError(f"unknown field {unknown[0]!r}; known: {', '.join(sorted(known))}")
        platform = wish.get("platform")
        if platform not in ("telegram", "slack"):
            raise ValueError("platform must be 'telegram' or 'slack'")
        fault = str(wish.get("fault"))
        if fault not in REQUEST_FAULTS and fault not in DELIVERY_FAULTS:
            raise ValueError(f"unknown fault {fault!r}; known: {', '.join([*REQUEST_FAULTS, *DELIVERY_FAULTS])}")
        count = wish.get("count", 1)
        if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
            raise ValueError("count must be a whole number from 1, or null for always")
        seconds = _number(wish, "seconds", None)
        probability = _number(wish, "probability", 1.0)
        if probability is None or not 0 <= probability <= 1:
            raise ValueError("probability must be from 0 to 1")
        rule = Rule(
            id=self._next_id,
            platform="telegram" if platform == "telegram" else "slack",
            method=str(wish.get("method", "*")),
            fault=fault,
            count=count,
            seconds=seconds,
            probability=probability,
            error=wish.get("error"),
            chance=random.Random(wish.get("seed", self._next_id)),
        )
        self._next_id += 1
        self._rules[rule.id] = rule
        return rule

    def remove(self, rule_id: int) -> bool:
        """Take a rule away; False if there is none with this id."""
        return self._rules.pop(rule_id, None) is not None

    def clear(self) -> None:
        """Take all rules away; what a delay still keeps waiting is handled now."""
        self._rules.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def forget(self) -> None:
        """Take all rules away, and break off what a delay still keeps waiting: it belongs to what is over."""
        for task in self._late:
            task.cancel()
        self.clear()

    def view(self) -> list[dict[str, Any]]:
        """All rules in force."""
        return [rule.view() for rule in self._rules.values()]

    def take(self, platform: Platform, method: str, kinds: Iterable[str]) -> Rule | None:
        """The first rule for this place with one of these faults, used up once and logged, or None."""
        if not self._rules:
            return None
        wanted = frozenset(kinds)
        for rule in list(self._rules.values()):
            if rule.platform != platform or rule.fault not in wanted:
                continue
            if rule.method not in ("*", method) or (rule.probability < 1 and rule.chance.random() >= rule.probability):
                continue
            rule.hits += 1
            if rule.count is not None:
                rule.count -= 1
                if rule.count == 0:
                    del self._rules[rule.id]
            self._log.add(platform, "fault", str(rule.id), {"method": method, "fault": rule.fault})
            return rule
        return None

    async def around(
        self,
        platform: Platform,
        method: str,
        request: web.Request,
        handle: Callable[[], Awaitable[web.StreamResponse]],
        refusal: Refusal,
    ) -> web.StreamResponse:
        """Handle one API request, with the fault a rule asks for. A delay may come with one other fault.

        A delayed request is handled even when the client has given up meanwhile: it had reached the platform.
        """
        if not self._rules:
            return await handle()
        delay = self.take(platform, method, ("delay",))
        if delay is None:
            return await self._spoiled(platform, method, request, handle, refusal)
        if request.body_exists and request.content_type != "multipart/form-data":
            await request.read()

        cleared = self._cleared

        async def late() -> web.StreamResponse:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(cleared.wait(), delay.seconds or 1.0)
            return await self._spoiled(platform, method, request, handle, refusal)

        task = asyncio.create_task(late())
        self._late.add(task)
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

    def _forget(self, task: "asyncio.Task[web.StreamResponse]") -> None:
        """Nobody may be left to hear how a delayed request ended."""
        self._late.discard(task)
        if not task.cancelled():
            task.exception()

    async def _spoiled(
        self,
        platform: Platform,
        method: str,
        request: web.Request,
        handle: Callable[[], Awaitable[web.StreamResponse]],
        refusal: Refusal,
    ) -> web.StreamResponse:
        rule = self.take(platform, method, REQUEST_FAULTS.keys() - {"delay"})
        if rule is None:
            return await handle()
        if rule.fault in AFTER:
            return await _spoil(rule, request, await handle(), refusal)
        if rule.fault == "drop_before":
            return _hang_up(request)
        if rule.fault == "html":
            return web.Response(text=PORTAL_PAGE, content_type="text/html")
        return refusal(rule)


async def _spoil(rule: Rule, request: web.Request, answer: web.StreamResponse, refusal: Refusal) -> web.StreamResponse:
    """What becomes of an answer whose effect has already been stored."""
    if rule.fault == "delay_after":
        await asyncio.sleep(rule.seconds or 1.0)
        return answer
    if rule.fault == "html_after":
        return web.Response(text=PORTAL_PAGE, content_type="text/html")
    if rule.fault == "500_after":
        return refusal(rule)
    if rule.fault == "truncated" and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
        return web.Response(body=answer.body[: len(answer.body) // 2], content_type="application/json")
    return _hang_up(request)


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response(status=503)


def _number(wish: dict[str, Any], name: str, default: float | None) -> float | None:
    value = wish.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name} must be a number, 0 or more")
    return float(value)
