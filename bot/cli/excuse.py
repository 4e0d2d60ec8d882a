"""`relaydesk sla excuse 1042`: say that a missed deadline was nobody's fault here, with reason and approver."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, ConfigFile, complain, guarded, numbered, say

if TYPE_CHECKING:
    from bot.opening import Stores
    from bot.settings import Settings
    from domain.changes import Changes, Situation
    from storage import flush
    from storage.engines import Connection

METRICS = (
    "first_response",
    "next_response",
    "periodic_update",
    "resolution",
    "total_resolution",
    "requester_wait",
    "agent_work",
    "promise",
)
LONGEST = 500
TRIES = 5

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="With or without #.")]
Metric = Annotated[str, typer.Option("--metric", help=f"Which deadline: {', '.join(METRICS)}.")]
Instance = Annotated[int | None, typer.Option("--instance", min=1, help="Which of several; without it the newest.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, in your words; kept encrypted.")]


@guarded
def excuse(
    number: Number,
    reason: Reason,
    metric: Metric = METRICS[0],
    instance: Instance = None,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Excuse a missed deadline in your name. It stays missed; reports show both."""
    from bot import settings
    from bot.cli import stores

    wanted, words = numbered(number), reason.strip()
    if metric not in METRICS:
        raise typer.BadParameter(f"{metric!r} is no deadline; there are {', '.join(METRICS)}")
    if not 0 < len(words) <= LONGEST:
        raise typer.BadParameter(f"a reason has 1 to {LONGEST} characters")
    read = settings.load(path)

    async def work() -> str | None:
        async with stores.existing(read) as opened:
            return await _excuse(read, opened, wanted, metric, instance, words)

    problem = asyncio.run(work())
    if problem is not None:
        complain(f"relaydesk: {problem}")
        raise typer.Exit(FAILED)
    say(f"The missed {metric.replace('_', ' ')} of #{wanted} is excused. It stays a breach; reports show both.")


async def _excuse(
    settings: Settings, stores: Stores, number: int, metric: str, instance: int | None, words: str
) -> str | None:
    """Write it beside a running bot, again if the conversation changed meanwhile. Returns what was in the way."""
    from bot import times
    from bot.cli import people, rules
    from bot.cli.stores import os_user
    from domain import sla
    from domain.errors import Conflict
    from domain.model import Actor, ActorKind
    from domain.roles import Act
    from handlers import alerts
    from storage import flush
    from storage.wishes import Wanted

    found = await stores.record.by_number(number)
    if found is None:
        return f"there is no conversation #{number}"
    await people.allowed_in(settings, stores, Act.EXCUSE, found)
    context = await rules.context(settings, stores)
    actor = Actor(kind=ActorKind.OPERATOR, id=os_user()[:40])

    def decide(situation: Situation) -> Changes | None:
        if situation.conversation is None:
            return None
        return alerts.excused(
            situation.conversation,
            situation,
            context,
            metric=sla.Metric(metric),
            instance=instance,
            actor=actor,
            why="other",
            words=words,
        )

    for _ in range(TRIES):
        situation = (await stores.record.load([Wanted(key="it", conversation_id=found.id)]))["it"]
        changes = decide(situation)
        if changes is None:
            return (
                f"#{number} has no missed {metric.replace('_', ' ')} that is not excused; see: relaydesk show {number}"
            )
        now = times.real()
        decision = flush.Decision(id=context.new_id(), changes=changes, actor=f"os:{os_user()}")
        prepared = await stores.record.prepare([decision], now)
        try:
            await stores.database.write(partial(_write, prepared, stores.record.audit_key))
        except Conflict:
            continue
        return None
    return f"#{number} is being changed all the time; try again in a moment"


async def _write(prepared: flush.Prepared, audit_key: bytes, conn: Connection) -> None:
    from storage import flush

    await flush.write(conn, prepared, audit_key)
