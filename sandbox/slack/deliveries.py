"""From an event to the app: over a websocket if one is open, else to the request URL; again if not acknowledged.

An event is offered up to four times (at once, then `retry_delays_s`). Button presses, commands and submissions are
offered once: a person who sees a warning presses again.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sandbox.slack.delivery import Answer, Delivery
from sandbox.slack.held import Held
from sandbox.slack.hooks import Hooks
from sandbox.slack.sockets import Sockets

REORDER_HOLD_S = 0.3
"""How long deliveries under a `reorder` fault are collected, where it does not say so itself, before they leave in
reverse order; with the last one that it strikes they leave at once.
"""


class Deliveries:
    """Sends, waits for acknowledgements, repeats, gives up; keeps the judge informed."""

    def __init__(self, side: Held, sockets: Sockets) -> None:
        self._side = side
        self._sockets = sockets
        self._hooks = Hooks(side)
        self._open: set[Delivery] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._held: list[Delivery] = []

    def waiting(self) -> int:
        """Deliveries that are neither acknowledged nor given up."""
        return len(self._open)

    def send(self, delivery: Delivery) -> None:
        """Offer it to the app for the first time."""
        side = self._side
        side.desk.log.add("slack", "delivery", delivery.id, {"kind": delivery.kind, "type": delivery.label})
        rule = side.desk.faults.take("slack", delivery.kind, ("lose", "duplicate", "reorder"))
        if rule is not None and rule.fault == "lose":
            self._finish(delivery, None)
            return
        self._open.add(delivery)
        if rule is not None and rule.fault == "reorder":
            if not self._held:
                self._later(REORDER_HOLD_S if rule.seconds is None else rule.seconds, self._release)
            self._held.append(delivery)
            if rule.count == 0:
                self._release()
            return
        self._offer(delivery)
        if rule is not None:
            self._offer(delivery)

    async def ask(self, delivery: Delivery) -> Answer | None:
        """Offer an interaction and wait for its answer; None if none came in time."""
        delivery.answer = asyncio.get_running_loop().create_future()
        self.send(delivery)
        return await delivery.answer

    def acknowledged(self, delivery: Delivery, payload: dict[str, Any]) -> None:
        """The app has it."""
        if not delivery.done:
            self._side.desk.log.add("slack", "ack", delivery.id, {"attempt": delivery.attempt})
            self._finish(delivery, Answer(payload=payload))

    def failed(self, delivery: Delivery, attempt: int, reason: str, *, final: bool = False) -> None:
        """Attempt number `attempt` was not acknowledged; counts once per attempt."""
        if delivery.done or attempt != delivery.attempt:
            return
        delays = self._side.settings.retry_delays_s
        if final or delivery.kind != "events_api" or attempt >= len(delays):
            self._side.desk.log.add("slack", "gave_up", delivery.id, {"reason": reason, "attempts": attempt + 1})
            self._finish(delivery, None)
            return
        delivery.attempt += 1
        delivery.retry_reason = reason
        self._later(delays[attempt], self._offer_again, delivery)

    def forget(self) -> None:
        """Drop everything under way."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        for delivery in list(self._open):
            self._finish(delivery, None)
        self._held.clear()

    async def stop(self) -> None:
        """Drop everything under way and close the connections to request URLs."""
        tasks = list(self._tasks)
        self.forget()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._hooks.close()

    def unverified(self) -> None:
        """The request URL has changed: shake hands before the next event."""
        self._hooks.unverified()

    async def verify(self) -> str:
        """Shake hands with the request URL now; "" or what went wrong."""
        return await self._hooks.verify()

    def _offer(self, delivery: Delivery) -> None:
        settings = self._side.settings
        url = settings.url_for(delivery.url_kind)
        if settings.transport == "socket" or (settings.transport == "auto" and (self._sockets.count() or not url)):
            if not self._sockets.send(delivery, self):
                self._later(0, self.failed, delivery, delivery.attempt, "connection_failed")
            return
        task = asyncio.get_running_loop().create_task(self._post(delivery, url, delivery.attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _offer_again(self, delivery: Delivery) -> None:
        if not delivery.done:
            self._side.desk.log.again("slack", "delivery", delivery.id)
            self._offer(delivery)

    async def _post(self, delivery: Delivery, url: str, attempt: int) -> None:
        result = await self._hooks.post(delivery, url, attempt)
        if result.payload is not None and self._side.desk.faults.take("slack", delivery.kind, ("no_ack",)):
            self.failed(delivery, attempt, "http_timeout")
        elif result.payload is not None:
            self.acknowledged(delivery, result.payload)
        else:
            self.failed(delivery, attempt, result.reason, final=result.no_retry)

    def _release(self) -> None:
        held, self._held = self._held, []
        for delivery in reversed(held):
            self._offer(delivery)

    def _finish(self, delivery: Delivery, answer: Answer | None) -> None:
        delivery.done = True
        self._open.discard(delivery)
        if delivery.answer is not None and not delivery.answer.done():
            delivery.answer.set_result(answer)

    def _later(self, delay_s: float, call: Callable[..., None], *arguments: object) -> None:
        def run() -> None:
            self._timers.discard(timer)
            call(*arguments)

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.add(timer)
