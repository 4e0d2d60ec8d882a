"""`relaydesk sla show 1042`: the clocks of a conversation, and slice by slice how each deadline came about."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    complain,
    guarded,
    numbered,
    say,
    show_json,
    table,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from bot.explain import Account
    from domain.sla import Metric

Number = Annotated[str, typer.Argument(metavar="NUMBER", help="With or without #.")]


@guarded
def show(number: Number, path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show every clock of a conversation, its terms, and which time has counted. The read is audited."""
    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    wanted = numbered(number)
    read = settings.load(path)

    async def work() -> tuple[tuple[Account, ...], Mapping[Metric, timedelta]] | None:
        from bot import explain
        from bot.cli import rules
        from domain import deadlines, sla
        from storage.wishes import Wanted

        async with stores.existing(read) as opened:
            found = await opened.record.by_number(wanted)
            if found is None:
                return None
            await people.allowed_in(read, opened, Act.SEE, found)
            await stores.audited(opened, "sla.show", f"conversation:{found.id}")
            context = await rules.context(read, opened)
            situation = (await opened.record.load([Wanted(key="it", conversation_id=found.id)]))["it"]
            standing = deadlines.standing(context.rules, found.policy, situation.history, context.now)
            sums = sla.measure(situation.history, standing.policy, standing.calendar, context.now) if standing else {}
            return explain.accounts(context.rules, situation, context.now), sums

    loaded = asyncio.run(work())
    if loaded is None:
        complain(f"relaydesk: there is no conversation #{wanted}")
        raise typer.Exit(FAILED)
    accounts, sums = loaded
    if as_json:
        show_json({"number": wanted, "clocks": [_plain(account) for account in accounts], "sums": _sums(sums)})
        return
    if not accounts:
        say(f"#{wanted} has no clock: no policy counts for it, or nothing has started one.")
        return
    for account in accounts:
        _tell(account)
    for name, spent in _sums(sums).items():
        say(f"{name.replace('_', ' ')} so far: {spent}")


def _tell(account: Account) -> None:
    clock = account.clock
    name = clock.metric.value.replace("_", " ") + (f" {clock.instance}" if clock.instance > 1 else "")
    ends = (
        f"ended {when(clock.stopped_at)}" if clock.stopped_at else f"due {when(clock.due_at)}" if clock.due_at else ""
    )
    say(f"{name}: {clock.state.value.replace('_', ' ')}" + (f", {ends} UTC" if ends else ""))
    promised = f"policy {clock.policy} version {clock.version}" if clock.policy else "promised by an agent"
    since = account.since.value.replace("_", " ") if account.since else "start"
    say(f"  {clock.target} of open time, {promised}, calendar {account.calendar} ({account.zone})")
    say(f"  counted from the {since} of {when(clock.started_at)}, message {clock.basis}")
    if clock.breached_at:
        say(f"  missed at {when(clock.breached_at)}")
    rows = []
    for step in account.steps:
        if step.skipped:
            rows.append((f"({step.skipped} more)", "", "", ""))
        rows.append((step.when, step.kind, step.length, step.used))
    if rows:
        table("when", "what", "how long", "in all", rows=rows, right=(2, 3))


def _plain(account: Account) -> dict[str, Any]:
    clock = account.clock
    return {
        "metric": clock.metric.value,
        "instance": clock.instance,
        "state": clock.state.value,
        "target": str(clock.target),
        "policy": clock.policy,
        "version": clock.version,
        "calendar": account.calendar,
        "zone": account.zone,
        "priority": clock.priority.value,
        "counts_from": clock.basis,
        "started": clock.started_at,
        "due": clock.due_at,
        "stopped": clock.stopped_at,
        "missed": clock.breached_at,
        "remaining_s": None if clock.remaining is None else clock.remaining.total_seconds(),
        "slices": [{"when": s.when, "kind": s.kind, "length": s.length, "used": s.used} for s in account.steps],
    }


def _sums(sums: Mapping[Metric, timedelta]) -> dict[str, str]:
    from bot import explain

    return {metric.value: explain.length(spent) for metric, spent in sums.items()}
