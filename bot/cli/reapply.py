"""`relaydesk sla reapply`: give running conversations the newest version of their policy, after a preview."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, ConfigFile, complain, guarded, say, table, when

if TYPE_CHECKING:
    from datetime import datetime

    from bot.opening import Stores
    from bot.settings import Settings
    from domain.changes import Changes, Situation
    from domain.model import Actor
    from handlers.frame import Context
    from storage.engines import Connection

LISTED = 20
PAGE = 200
TRIES = 5

Policy = Annotated[str | None, typer.Option("--policy", help="Only conversations with this policy.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this only the effect is shown.")]


class Effect(NamedTuple):
    """What it does to one conversation: its next deadline before and after."""

    id: str
    number: int
    was: str
    to: str
    due_before: datetime | None
    due_after: datetime | None


@guarded
def reapply(policy: Policy = None, yes: Yes = False, path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Show which running conversations have an older version of their policy; with --yes give them the newest."""
    from bot import settings
    from bot.cli import stores

    read = settings.load(path)
    if policy is not None and policy not in read.sla.policies:
        raise typer.BadParameter(f"{policy!r} is no policy; there are {', '.join(sorted(read.sla.policies))}")

    async def work() -> tuple[list[Effect], int, datetime]:
        from bot.cli import people, rules
        from domain.errors import RefusedToStart
        from domain.roles import Act

        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.CONFIGURE if yes else Act.SEE, "conversations")
            if await _is_unknown(read, opened):
                raise RefusedToStart(
                    "config.yaml has terms that the running bot does not know yet: restart it, then reapply"
                )
            context = await rules.context(read, opened)
            hidden = frozenset() if yes else people.hidden(read)
            effects = await _effects(opened, context, policy, hidden)
            failed = 0
            if yes and effects:
                await stores.audited(opened, "sla.reapply", "conversations", f"{len(effects)} of {policy or 'all'}")
                failed = await _do(opened, context, effects)
            elif not yes:
                await stores.audited(
                    opened, "sla.reapply.look", "conversations", f"{len(effects)} of {policy or 'all'}"
                )
            return effects, failed, context.now

    effects, failed, now = asyncio.run(work())
    if not effects:
        say("Every running conversation has the newest version of its policy.")
        return
    _tell(effects, now)
    if not yes:
        say("Nothing was changed; --yes does it.")
    elif failed:
        complain(f"relaydesk: {failed} conversations were being changed all the time; run it again")
        raise typer.Exit(FAILED)
    else:
        say(f"Done: {len(effects)} conversations. Their threads say so.")


def _tell(effects: list[Effect], now: datetime) -> None:
    moved = [(one.due_before, one.due_after) for one in effects if one.due_before and one.due_after]
    earlier = sum(after < before for before, after in moved)
    later = sum(after > before for before, after in moved)
    overdue = sum(after <= now < before for before, after in moved)
    say(f"{len(effects)} conversations: {earlier} are due earlier, {later} later, {overdue} are overdue at once.")
    rows = [(f"#{one.number}", one.was, one.to, when(one.due_before), when(one.due_after)) for one in effects[:LISTED]]
    table("conversation", "from", "to", "due before", "due after", rows=rows)
    if len(effects) > LISTED:
        say(f"and {len(effects) - LISTED} more")


async def _is_unknown(settings: Settings, stores: Stores) -> bool:
    from bot import terms as promised
    from bot import times
    from storage import terms

    async with stores.database.read() as conn:
        known = await terms.load(conn)
    return bool(promised.new(known, settings.sla, times.real()))


def _actor() -> Actor:
    from bot.cli.stores import os_user
    from domain.model import Actor, ActorKind

    return Actor(kind=ActorKind.OPERATOR, id=os_user()[:40])


async def _effects(stores: Stores, context: Context, policy: str | None, hidden: frozenset[str]) -> list[Effect]:
    from bot.shown import nearest
    from handlers import reapply as handler
    from storage import replay
    from storage.wishes import Wanted

    actor, found = _actor(), []
    ids = await replay.open_ones(stores.database, policy)
    for first in range(0, len(ids), PAGE):
        wanted = [Wanted(key=one, conversation_id=one) for one in ids[first : first + PAGE]]
        for situation in (await stores.record.load(wanted)).values():
            changes = handler.decide(situation, context, actor)
            if changes is None or changes.conversation is None or changes.conversation.queue in hidden:
                continue
            data = changes.entries[0].data
            before, after = nearest(situation.clocks), nearest(changes.clocks or ())
            effect = Effect(
                id=changes.conversation.id,
                number=changes.conversation.number,
                was=str(data["from"]),
                to=str(data["to"]),
                due_before=before.due_at if before else None,
                due_after=after.due_at if after else None,
            )
            found.append(effect)
    return found


async def _do(stores: Stores, context: Context, effects: list[Effect]) -> int:
    """Write each in a transaction of its own, beside a running bot. Returns how many stayed as they were."""
    return sum([not await _one(stores, context, effect.id) for effect in effects])


async def _one(stores: Stores, context: Context, conversation: str) -> bool:
    from bot import times
    from domain.errors import Conflict
    from handlers import reapply as handler
    from storage import flush, outbox
    from storage.wishes import Wanted

    def decide(situation: Situation) -> Changes | None:
        return handler.decide(situation, context, _actor())

    for _ in range(TRIES):
        changes = decide((await stores.record.load([Wanted(key="it", conversation_id=conversation)]))["it"])
        if changes is None:
            return True
        now = times.real()
        prepared = await stores.record.prepare([flush.Decision(id=context.new_id(), changes=changes)], now)

        async def work(conn: Connection, prepared: flush.Prepared = prepared) -> None:
            await flush.write(conn, prepared, stores.record.audit_key)

        try:
            await stores.database.write(work, wake=(outbox.SIGNAL,))
        except Conflict:
            continue
        return True
    return False
