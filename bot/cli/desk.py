"""`relaydesk desk`: bring the desk up to what the record holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, guarded, say, show_json, table

if TYPE_CHECKING:
    from bot.settings import Settings
    from storage.backfill import Unshown

app = typer.Typer(help="Show open conversations in a channel that was connected, or connected again.")


@app.callback()
def desk() -> None:
    """Bring the desk up to what the record holds."""


@app.command("backfill", short_help="Post open conversations without a thread, as history.")
@guarded
def backfill(
    open_: Annotated[bool, typer.Option("--open", help="All open conversations that stand nowhere now.")],
    path: ConfigFile = DEFAULT_CONFIG,
    messages: Annotated[int, typer.Option(min=0, max=50, help="How much of each is shown again, newest.")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Post open conversations that have no thread, or one in a channel that is no queue's any more, as history.

    The running bot posts them, a second apart in each channel, and names nobody.
    """
    from bot import settings

    found = asyncio.run(fill(settings.load(path), last=messages, dry_run=dry_run or not open_))
    if as_json:
        show_json([{"number": one.number, "was": one.was, "channel": one.channel} for one in found])
        return
    if not found:
        say("Every open conversation stands in a channel of its queue.")
        return
    table("conversation", "was in", "goes to", rows=[[f"#{one.number}", one.was, one.channel] for one in found])
    say()
    say(f"{len(found)} to be shown." if dry_run or not open_ else f"{len(found)} will be posted by the running bot.")


async def fill(settings: Settings, *, last: int, dry_run: bool) -> list[Unshown]:
    """Find what stands nowhere, and have it posted unless it is a dry run; returns it."""
    from bot import times
    from bot.cli import stores
    from bot.ids import new_id
    from storage import backfill as storage
    from storage import outbox
    from storage.engines import Connection

    places = {channel for queue in settings.queues.values() for channel in (queue.channel, *queue.more_channels)}
    places |= {rule.channel for rule in settings.routing if rule.channel}
    channel_of = {name: queue.channel for name, queue in settings.queues.items()}
    async with stores.existing(settings) as opened:

        async def work(conn: Connection) -> list[Unshown]:
            found = await storage.find(conn, places, channel_of)
            if not dry_run:
                await storage.show(conn, found, last, new_id, times.real())
            return found

        found = await opened.database.write(work, wake=(outbox.SIGNAL,))
        if found and not dry_run:
            things = [f"conversation:{one.conversation_id}" for one in found]
            await stores.audited_all(opened, "desk.backfill", things)
        return found
