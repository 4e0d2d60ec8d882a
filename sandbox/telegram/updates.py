"""The queue of updates that the bot has not confirmed, and the long poll that serves it."""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.state import Sandbox
from sandbox.telegram.errors import ApiError, conflict

KEPT_S = 24 * 3600
"""Telegram keeps an unconfirmed update for 24 hours (product time)."""
FIRST_ID = 700_000_001
FUTURE_TOLERANCE = 10
"""An offset further than this beyond the end of the queue is not believed: the poll starts from the
beginning.
"""
MAX_LIMIT = 100
MAX_TIMEOUT_S = 50
DEFAULT_KINDS = frozenset(
    {
        "message",
        "edited_message",
        "channel_post",
        "edited_channel_post",
        "business_connection",
        "business_message",
        "edited_business_message",
        "deleted_business_messages",
        "inline_query",
        "chosen_inline_result",
        "callback_query",
        "shipping_query",
        "pre_checkout_query",
        "purchased_paid_media",
        "poll",
        "poll_answer",
        "my_chat_member",
        "chat_join_request",
        "chat_boost",
        "removed_chat_boost",
    }
)
"""What a bot gets that never named its kinds."""
OTHER_POLLER = "terminated by other getUpdates request; make sure that only one bot instance is running"
OPT_IN_KINDS = frozenset({"chat_member", "message_reaction", "message_reaction_count"})


@dataclass(slots=True, kw_only=True)
class Pending:
    """An update that waits. `body` is its JSON (or whatever was injected); `times` is how often it may
    still be served.
    """

    id: int
    kind: str
    lane: str
    body: bytes
    at: float
    served: int = 0
    times: int | None = None
    gone: bool = False
    """Confirmed, dropped or expired: not to be delivered any more."""


class Updates:
    """Telegram's side of getUpdates; the webhook takes from the same queue."""

    def __init__(self, desk: Sandbox) -> None:
        self._desk = desk
        self._queue: deque[Pending] = deque()
        self._next_id = FIRST_ID
        self._in_order = True
        self._waiter: asyncio.Future[None] | None = None
        self.allowed: list[str] | None = None
        """What the bot asked for last; None means it never said."""
        self.on_new: Callable[[Pending], None] | None = None
        """The webhook, when one is set."""

    def __len__(self) -> int:
        return len(self._queue)

    def wants(self, kind: str) -> bool:
        """Whether the bot gets updates of this kind."""
        return kind in self.allowed if self.allowed else kind in DEFAULT_KINDS

    def add(self, kind: str, payload: dict[str, Any], lane: str) -> int | None:
        """Queue an update and return its id, or None if the bot does not get this kind."""
        if not self.wants(kind):
            self._desk.log.add("telegram", "update_unwanted", kind, {"kind": kind})
            return None
        update_id = self._take_id()
        body = json.dumps({"update_id": update_id, kind: payload}, separators=(",", ":")).encode()
        self._append(Pending(id=update_id, kind=kind, lane=lane, body=body, at=self._desk.clock.now()))
        return update_id

    def inject(self, body: bytes, *, update_id: int | None, times: int | None, lane: str) -> int:
        """Queue bytes as they are. `update_id` is the id inside, if there is one: it may be lower than the
        last.
        """
        if update_id is not None:
            self.jump(update_id)
        taken = self._take_id()
        now = self._desk.clock.now()
        self._append(Pending(id=taken, kind="injected", lane=lane, body=body, at=now, times=times))
        return taken

    def jump(self, next_id: int) -> None:
        """Let the next update have this id, also a lower one, as Telegram does after a silent week."""
        if next_id < self._next_id and self._queue:
            self._in_order = False
        self._next_id = next_id

    async def poll(self, *, offset: int, limit: int, timeout_s: int, allowed: list[str] | None) -> list[bytes]:
        """The bodies that one getUpdates call gets. ApiError 409 when another call takes over meanwhile."""
        self.end_poll(OTHER_POLLER)
        if allowed is not None:
            self.allowed = allowed
        self._confirm(offset)
        count = limit if 1 <= limit <= MAX_LIMIT else MAX_LIMIT
        self.expire()
        if not self._queue and timeout_s > 0 and not self._desk.closing.is_set():
            await self._wait(min(timeout_s, MAX_TIMEOUT_S))
        return self._serve(count)

    def end_poll(self, reason: str | None) -> None:
        """End the waiting call: with a 409 that names `reason`, or with an empty answer for None."""
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if reason is None:
            waiter.set_result(None)
        else:
            self._desk.log.add("telegram", "poll_terminated", "getUpdates", {"reason": reason})
            waiter.set_exception(conflict(reason))

    def done(self, update_id: int) -> None:
        """The webhook has delivered it."""
        for pending in self._queue:
            if pending.id == update_id:
                pending.gone = True
                self._queue.remove(pending)
                break
        self._note("update_confirmed", [update_id])

    def drop(self) -> None:
        """Throw everything away, as drop_pending_updates does."""
        self._remove(len(self._queue), "update_dropped")
        self._in_order = True

    def waiting(self) -> list[Pending]:
        """What is not confirmed, oldest first, without what has expired."""
        self.expire()
        return list(self._queue)

    def clear(self) -> None:
        """Forget everything, also what the bot asked for."""
        self._queue.clear()
        self._next_id = FIRST_ID
        self._in_order = True
        self.allowed = None
        self.end_poll(None)

    def dump(self) -> dict[str, Any]:
        """For the state file."""
        return {
            "next_id": self._next_id,
            "allowed": self.allowed,
            "queue": [
                [
                    pending.id,
                    pending.kind,
                    pending.lane,
                    pending.body.decode("latin-1"),
                    pending.at,
                    pending.served,
                ]
                for pending in self._queue
                if pending.times is None
            ],
        }

    def load(self, saved: dict[str, Any]) -> None:
        """From the state file."""
        self._next_id = saved["next_id"]
        self.allowed = saved["allowed"]
        for update_id, kind, lane, body, at, served in saved["queue"]:
            self._queue.append(
                Pending(id=update_id, kind=kind, lane=lane, body=body.encode("latin-1"), at=at, served=served)
            )
        ids = [pending.id for pending in self._queue]
        self._in_order = ids == sorted(ids)

    def _take_id(self) -> int:
        taken = self._next_id
        self._next_id += 1
        return taken

    def _append(self, pending: Pending) -> None:
        self._queue.append(pending)
        self._desk.dirty = True
        if self.on_new is not None:
            self.on_new(pending)
        elif self._waiter is not None:
            self.end_poll(None)

    async def _wait(self, timeout_s: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiter = waiter
        try:
            await asyncio.wait_for(waiter, timeout_s)
        except TimeoutError:
            return
        finally:
            if self._waiter is waiter:
                self._waiter = None

    def _confirm(self, offset: int) -> None:
        if offset < 0:
            self._remove(max(0, len(self._queue) + offset), "update_dropped")
            return
        if offset == 0 or offset > self._next_id + FUTURE_TOLERANCE:
            return
        if not self._in_order:
            self._queue = deque(sorted(self._queue, key=lambda pending: pending.id >= offset))
        confirmed = 0
        for pending in self._queue:
            if pending.id >= offset:
                break
            confirmed += 1
        self._remove(confirmed, "update_confirmed")
        if not self._queue:
            self._in_order = True

    def expire(self) -> None:
        """Let go of what has waited for more than 24 hours of product time."""
        oldest = self._desk.clock.now() - KEPT_S
        expired = 0
        for pending in self._queue:
            if pending.at >= oldest:
                break
            expired += 1
        self._remove(expired, "update_expired")

    def _remove(self, count: int, kind: str) -> None:
        """Take `count` updates from the front and log what became of them."""
        if not count:
            return
        ids = []
        for _ in range(count):
            pending = self._queue.popleft()
            pending.gone = True
            ids.append(pending.id)
        self._desk.dirty = True
        self._note(kind, ids)

    def _serve(self, count: int) -> list[bytes]:
        batch = [pending for _, pending in zip(range(count), self._queue, strict=False)]
        if not batch:
            return []
        for pending in batch:
            pending.served += 1
            if pending.times is not None and pending.served >= pending.times:
                self._queue.remove(pending)
        if fault := self._desk.faults.take("telegram", "getUpdates", ("duplicate", "reorder", "lose")):
            batch = {"duplicate": batch + batch, "reorder": batch[::-1], "lose": []}[fault.fault]
        self._note("update_served", [pending.id for pending in batch])
        return [pending.body for pending in batch]

    def _note(self, kind: str, ids: list[int]) -> None:
        if ids:
            key = str(ids[0]) if len(ids) == 1 else f"{ids[0]}..{ids[-1]}"
            self._desk.log.add("telegram", kind, key, {"update_ids": ids})


def read_kinds(value: object) -> list[str] | None:
    """The parameter allowed_updates: None when it was not sent, else the kinds (an empty list: the default
    set).
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise ApiError(400, "Bad Request: can't parse allowed_updates JSON object")
    known = DEFAULT_KINDS | OPT_IN_KINDS
    return [kind for kind in value if isinstance(kind, str) and kind in known]
