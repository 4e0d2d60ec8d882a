"""What the worker reads before it decides: stored payloads as events, and what is known of those they concern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from bot import metrics, times
from bot.carried import Item, second, wanted
from domain import albums, events
from domain.errors import MalformedEvent, NotYet
from domain.model import Agent
from domain.ports import Channel, Desk
from domain.roles import Role
from domain.rulebook import Rulebook
from storage import flush
from storage.inbox import Claim, Stored
from storage.record import Record

log = structlog.get_logger()

CALLS_BACK = frozenset({"undo", "keep_note"})
"""Buttons about a line that has not left yet."""


@dataclass(kw_only=True, slots=True)
class Batch:
    """What one transaction is to write."""

    decisions: list[flush.Decision] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    failed: list[tuple[Stored, str, bool]] = field(default_factory=list)  # (row, reason, dead)
    later: dict[str, datetime] = field(default_factory=dict)


class Reader:
    """Reads claimed rows. It writes nothing: what becomes of a row that cannot be read stands in the batch."""

    def __init__(
        self,
        *,
        record: Record,
        channels: Mapping[str, Channel],
        desk: Desk,
        rules: Rulebook,
        desk_source: str,
    ) -> None:
        self._record = record
        self._channels = channels
        self._desk = desk
        self._desk_source = desk_source
        self._region = rules.contacts.region
        self._needs_team = any(q.assign != "none" for q in rules.queues.values()) or any(
            rule.assign not in (None, "none") for rule in rules.rules
        )

    async def parse(self, claim: Claim, batch: Batch) -> list[Item]:
        """The events of a claim, an album as one. Rows that need no decision, or get none, are noted in `batch`."""
        items: list[Item] = []
        for row in claim.rows:
            try:
                event = await self._event_of(row)
            except MalformedEvent as error:
                batch.failed.append((row, f"malformed: {error}", True))
                continue
            except NotYet as error:  # asked again until the platform answers: whose message it is must be known
                batch.later[claim.lane] = times.real() + error.after
                break
            except Exception as error:  # noqa: BLE001  # a poisoned entry must not stop its lane or the process
                log.error("worker.parse_failed", source=row.source, kind=row.kind, error=type(error).__name__)
                batch.failed.append((row, f"parse failed: {type(error).__name__}", True))
                continue
            if isinstance(event, events.Ignored):
                batch.done.append(row.id)
                metrics.decisions.labels(reason=f"ignored_{event.reason}"[:40]).inc()
                continue
            if isinstance(event, events.CustomerMessage) and (album := _album(event, items)):
                album.add(row, event)
            else:
                asked = wanted(row, event, with_team=self._needs_team, region=self._region)
                items.append(Item(row=row, event=event, wanted=asked, other=second(row, event)))
        self._hold_back(claim.lane, items, batch)
        return items

    def _hold_back(self, lane: str, items: list[Item], batch: Batch) -> None:
        """The album that a customer sent last waits in the inbox until no further part of it is to be expected, and so
        does what others did meanwhile: an answer, an emoji, a change. Only a new message of a customer ends an album.
        What calls an answer back races with its sending, and waits for nothing but the line that it is about.
        """
        said = (place for place, item in enumerate(items) if isinstance(item.event, events.CustomerMessage))
        newest = max(said, default=None)
        if newest is not None and albums.may_grow(items[newest].event):
            settled = items[newest].rows[-1].received_at + albums.SETTLE
            if timedelta(0) < settled - times.real() <= 2 * albums.SETTLE:  # farther: the clock was set back since
                waiting = {_leaving(item.event) for item in items[newest:]}
                items[newest:] = [item for item in items[newest:] if _called_back(item.event) not in {None, *waiting}]
                batch.later[lane] = min(settled, batch.later.get(lane, settled))

    async def _event_of(self, row: Stored) -> events.Event | events.Ignored:
        if row.payload is None:
            msg = "its intake key was destroyed before it was read"
            raise MalformedEvent(msg)
        if row.source == self._desk_source:
            return await self._desk.parse(row.payload)
        channel = self._channels.get(row.source)
        if channel is None:
            msg = f"no channel named {row.source} is configured"
            raise MalformedEvent(msg)
        return channel.parse(row.payload)

    async def load(self, items: Sequence[Item]) -> None:
        """Give each its situation, with the roles that the desk says people have now."""
        wishes = [wish for item in items for wish in (item.wanted, item.other) if wish is not None]
        situations = await self._record.load(wishes) if wishes else {}
        for item in items:
            found = situations[item.wanted.key]
            if item.other is not None:
                found = replace(found, other=situations[item.other.key])
            try:
                if found.agent is not None:
                    found = replace(found, agent=replace(found.agent, roles=await self._roles(found.agent.id)))
                if found.team:
                    found = replace(found, team=await self._on_the_team(found.team))
            except NotYet as error:
                item.waits_for = error
            item.situation = replace(found, lane=item.row.lane)

    async def _roles(self, agent_id: str) -> tuple[str, ...]:
        return tuple(sorted(await self._desk.roles_of(agent_id)))

    async def _on_the_team(self, known: Sequence[Agent]) -> tuple[Agent, ...]:
        """Those who are agents now: whoever has left the group, or only leads, is given nothing."""
        return tuple([agent for agent in known if Role.AGENT.value in await self._roles(agent.id)])


def _leaving(event: events.Event) -> str | None:
    """The line of a thread that somebody wrote, or sends after all: it is called back only after that."""
    if isinstance(event, events.AgentAction) and event.action == "send_reply":
        return event.value
    return event.ts if isinstance(event, events.AgentMessage) else None


def _called_back(event: events.Event) -> str | None:
    """The line that somebody calls back or keeps inside, by an emoji on it or by a button about it."""
    if not isinstance(event, events.AgentAction):
        return None
    if event.action == "take_back":
        return event.thread_ts
    return event.value if event.action in CALLS_BACK else None


def _album(event: events.CustomerMessage, items: Sequence[Item]) -> Item | None:
    """The item of which a message is a further part; others may have done something between two parts."""
    if event.group is None:
        return None
    return next((item for item in reversed(items) if albums.belongs(event, item.event)), None)
