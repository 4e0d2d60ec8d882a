"""Product time and real time.

Product time decides SLA, snooze, retention and reopening; real time decides leases, back-off, limits and signatures.
They differ only against the sandbox, whose fast clock this follows when `clock.source` is set.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import structlog

from bot import authorities

log = structlog.get_logger()

REFRESH_S = 1.0
TIMEOUT_S = 2.0
NOTICED_S = 2.0  # less is what clocks are corrected by all the time
IDLE_S = 5.0  # a wake-up that got lost costs at most this long


def wall() -> datetime:
    """What the machine's clock says, in UTC; somebody may set it."""
    return datetime.now(UTC)


def apart() -> float:
    """By how many seconds the machine's clock is ahead of the one that is never set."""
    return wall().timestamp() - time.monotonic()


class _Held:
    """How far the two clocks were apart when the process last went along; None: it goes along always."""

    apart: float | None = None


def hold(seconds: float | None) -> None:
    """Go by a machine's clock that is so far ahead of the monotonic one, until told otherwise; None: by any."""
    _Held.apart = seconds


def step(apart_now: float) -> float:
    """By how much the machine's clock was set since it was last gone along with; 0.0 for what is only drift."""
    by = 0.0 if _Held.apart is None else apart_now - _Held.apart
    return by if abs(by) >= NOTICED_S else 0.0


def real() -> datetime:
    """Now, in UTC. A step of the machine's clock shows here once what waits in the database was moved along."""
    now = wall()
    by = step(now.timestamp() - time.monotonic())
    return now if by == 0.0 else now - timedelta(seconds=by)


def steady() -> timedelta:
    """Time that goes on evenly, whatever the machine's clock is set to; only differences of it mean something."""
    return timedelta(seconds=time.monotonic())


def ahead(moment: datetime, at_most: timedelta) -> timedelta:
    """How long until `moment`, which was `at_most` ahead when it was stamped; at least zero.

    Farther ahead is only what was stamped by a clock that has been set back since: that is waited for once more in
    full, and not for as long as the clock was set back.
    """
    return min(max(moment - real(), timedelta(0)), at_most)


def idle(due: float | None) -> float:
    """Seconds (real) until `due`, or until a wake-up may have got lost."""
    return IDLE_S if due is None else min(IDLE_S, max(0.01, due - time.time()))


async def until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but no longer than `seconds` of real time.

    `asyncio.wait_for` forgets a cancellation that comes together with the event: a loop that waits with it may never
    stop.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@dataclass(frozen=True, slots=True)
class Anchor:
    """Product time = `product` + (real now - `real`) x `speed`; all in seconds."""

    real: float
    product: float
    speed: float


class Timekeeper:
    """Tells product time. Without a source it is real time."""

    def __init__(self, source: str | None = None) -> None:
        self._source = source
        self._anchor: Anchor | None = None
        self.changed = asyncio.Event()

    @property
    def speed(self) -> float:
        """How many product seconds pass in a real one."""
        return 1.0 if self._anchor is None else self._anchor.speed

    def now(self) -> datetime:
        """Product time, in UTC."""
        if self._anchor is None:
            return real()
        return datetime.fromtimestamp(
            self._anchor.product + (time.time() - self._anchor.real) * self._anchor.speed, UTC
        )

    def real_delay(self, due: datetime) -> timedelta:
        """How long in real time until product time reaches `due`; at least zero, a day when time stands still."""
        ahead = due - self.now()
        if ahead <= timedelta(0):
            return timedelta(0)
        return timedelta(days=1) if self.speed <= 0 else ahead / self.speed

    async def follow(self) -> None:
        """Keep up with the source's clock until cancelled; does nothing without one."""
        if self._source is None:
            return
        async with httpx.AsyncClient(timeout=TIMEOUT_S, verify=authorities.known()) as client:
            while True:
                await self._read(client)
                await asyncio.sleep(REFRESH_S)

    async def start(self) -> None:
        """Read the source once, so that nothing is stamped with the wrong time."""
        if self._source is not None:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, verify=authorities.known()) as client:
                await self._read(client)

    async def _read(self, client: httpx.AsyncClient) -> None:
        try:
            found = (await client.get(str(self._source))).raise_for_status().json()
            anchor = Anchor(float(found["anchor_real"]), float(found["anchor_product"]), float(found["speed"]))
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("clock.source_unreadable", error=type(error).__name__)
            return
        if anchor != self._anchor:
            self._anchor = anchor
            self.changed.set()
