"""Who is at work right now: duty, own hours, and what Slack says (away, do not disturb). Remembered for a minute.

An alert never waits for this: whoever cannot be asked about in time counts as there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime

import structlog

from domain.alerts import Person
from domain.errors import DeliveryError, NotYet
from domain.rulebook import Rulebook
from storage.clocks import Clocks

log = structlog.get_logger()

FRESH_S = 60.0
PATIENCE_S = 1.0
"""Slack may take this long to say who is there; an alert that is later helps nobody more."""
MOST = 2_000

Ask = Callable[[str], Awaitable[str | None]]
"""Why somebody cannot be reached at the desk now, as a stable word; None when they can. Raises a DeliveryError."""
Leads = Callable[[], Awaitable[Sequence[str]]]
"""The desk users who lead. Raises NotYet or a DeliveryError while the desk cannot say."""


class Presence:
    """Answers who is at work. Without `ask` and `leads` the desk is not asked."""

    def __init__(
        self,
        *,
        rules: Rulebook,
        clocks: Clocks,
        now: Callable[[], datetime],
        ask: Ask | None = None,
        leads: Leads | None = None,
    ) -> None:
        self._rules = rules
        self._clocks = clocks
        self._now = now
        self._ask = ask
        self._leads = leads
        self._known: dict[str, tuple[float, str | None]] = {}
        self._led: tuple[str, ...] = ()
        self._led_at = float("-inf")

    async def of(self, people: Collection[str]) -> dict[str, Person]:
        """These people, and every lead where a level of the escalation wants them."""
        wanted = set(people)
        if self._wants_leads:
            wanted |= set(await self._who_leads())
        if not wanted:
            return {}
        off_duty = await self._clocks.away(wanted)
        await self._refresh(sorted(wanted - off_duty))
        return {one: Person(id=one, why="off_duty" if one in off_duty else self._why(one)) for one in sorted(wanted)}

    @property
    def leads(self) -> tuple[str, ...]:
        """The leads, as they were when anybody was last asked about."""
        return self._led

    @property
    def _wants_leads(self) -> bool:
        plan = self._rules.alerts
        return any(level.to == "leads" or level.to[:1] in ("U", "W") for level in plan.levels)

    async def _who_leads(self) -> tuple[str, ...]:
        named = [level.to for level in self._rules.alerts.levels if level.to[:1] in ("U", "W")]
        now = time.monotonic()
        if self._leads is not None and now - self._led_at > FRESH_S:
            self._led_at = now  # a desk that is slow is not asked with every alert
            try:
                async with asyncio.timeout(PATIENCE_S):
                    self._led = tuple(await self._leads())
            except (NotYet, DeliveryError, TimeoutError) as error:
                log.warning("presence.leads_unknown", error=type(error).__name__)
        return tuple(dict.fromkeys((*self._led, *named)))

    def _why(self, person: str) -> str | None:
        own = self._rules.alerts.hours.get(person)
        if own is not None and not self._rules.calendars[own].is_open(self._now()):
            return "off_hours"
        return self._known.get(person, (0.0, None))[1]

    async def _refresh(self, people: Sequence[str]) -> None:
        if self._ask is None:
            return
        now = time.monotonic()
        stale = [one for one in people if now - self._known.get(one, (float("-inf"), None))[0] > FRESH_S]
        if not stale:
            return
        tasks = {asyncio.create_task(self._learn(one)): one for one in stale}
        _, late = await asyncio.wait(tasks, timeout=PATIENCE_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.gather(*late, return_exceptions=True)
            log.warning("presence.not_asked", people=len(late))
            for task in late:  # a desk that is slow is not asked with every alert; until then they count as there
                self._keep(tasks[task], (now, None))

    async def _learn(self, person: str) -> None:
        assert self._ask is not None  # noqa: S101  # the caller looked
        try:
            why = await self._ask(person)
        except (NotYet, DeliveryError) as error:
            log.warning("presence.unknown", error=type(error).__name__)
            why = None
        self._keep(person, (time.monotonic(), why))

    def _keep(self, person: str, said: tuple[float, str | None]) -> None:
        if person not in self._known and len(self._known) >= MOST:
            self._known.pop(next(iter(self._known)))
        self._known[person] = said
