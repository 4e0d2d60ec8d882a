"""`relaydesk dead`: what was set aside with a reason, and what to do with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    advise,
    complain,
    guarded,
    say,
    show_json,
    table,
    when,
)

if TYPE_CHECKING:
    from bot.opening import Stores

app = typer.Typer(help="List, show, retry or drop what was set aside.", no_args_is_help=True)

MOST = 1000
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="As `dead list` shows them.")]


@app.command("list", short_help="Everything that was set aside, oldest first.")
@guarded
def list_(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Everything set aside, oldest first: events that could not be handled, deliveries that could not be sent."""
    rows = asyncio.run(_rows(path))
    if as_json:
        show_json(rows)
    elif not rows:
        say("Nothing was set aside.")
    else:
        table(
            "id",
            "since",
            "what",
            "tries",
            "reason",
            rows=[[r["id"], when(r["since"]), r["what"], str(r["tries"]), r["reason"]] for r in rows],
            right=(3,),
        )
        say()
        advise("relaydesk dead show ID · retry ID · drop ID")


@app.command("show")
@guarded
def show(
    entry: Annotated[str, typer.Argument(metavar="ID")],
    path: ConfigFile = DEFAULT_CONFIG,
    reveal: Annotated[bool, typer.Option("--reveal", help="Print the payload too (personal text; audited).")] = False,
) -> None:
    """One entry with its reason; with --reveal also what arrived."""
    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    read = settings.load(path)

    async def work() -> tuple[dict[str, Any] | None, str | None]:
        async with stores.existing(read) as opened:
            row = next((row for row in await _of(opened) if row["id"] == entry), None)
            if row is None or not (reveal and entry.isdecimal()):
                return row, None
            await people.allowed(read, opened, Act.REVEAL, f"inbox:{entry}")
            await stores.audited(opened, "dead.reveal", f"inbox:{entry}")
            return row, await opened.inbox.payload(int(entry))

    row, payload = asyncio.run(work())
    if row is None:
        complain(f"relaydesk: nothing of that id is set aside: {entry}. See: relaydesk dead list")
        raise typer.Exit(FAILED)
    for name, value in row.items():
        say(f"{name:<14} {when(value) if name == 'since' else value}")
    if reveal:
        say()
        say(payload if payload is not None else "There is no payload: a delivery names what to send, it holds no text.")


@app.command("retry")
@guarded
def retry(
    ids: Ids,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Put entries back to where they came from; `all` takes every one."""
    asyncio.run(_each(path, ids, "dead.retry", "back in its lane"))


@app.command("drop", short_help="Give entries up for good.")
@guarded
def drop(
    ids: Ids,
    path: ConfigFile = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Give entries up for good: what arrived is destroyed, what was to be sent never will be."""
    if not yes:
        typer.confirm(f"Give up {', '.join(ids)} for good?", abort=True)
    asyncio.run(_each(path, ids, "dead.drop", "given up"))


async def _rows(path: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- typer's Path, as given
    from bot import settings
    from bot.cli import stores

    async with stores.existing(settings.load(path)) as opened:
        return await _of(opened)


async def _of(opened: Stores) -> list[dict[str, Any]]:
    events = [
        {
            "id": str(letter.id),
            "since": letter.received_at,
            "what": f"{letter.source} {letter.kind}".strip(),
            "tries": letter.attempts,
            "reason": letter.reason,
        }
        for letter in await opened.inbox.dead(MOST)
    ]
    deliveries = [
        {
            "id": letter.id,
            "since": letter.created_at,
            "what": letter.kind,
            "tries": letter.attempts,
            "reason": letter.reason,
            "conversation": letter.conversation_id,
        }
        for letter in await opened.outbox.dead(MOST)
    ]
    return [*events, *deliveries]


async def _each(path: Any, ids: list[str], action: str, done: str) -> None:  # noqa: ANN401 -- typer's Path, as given
    from bot import settings, times
    from bot.cli import stores

    missing = 0
    async with stores.existing(settings.load(path)) as opened:
        chosen = [row["id"] for row in await _of(opened)] if ids == ["all"] else ids
        verb = action.removeprefix("dead.")
        events: Callable[..., Awaitable[bool]] = getattr(opened.inbox, verb)
        deliveries: Callable[..., Awaitable[bool]] = getattr(opened.outbox, verb)
        for entry in chosen:
            await stores.audited(opened, action, f"{'inbox' if entry.isdecimal() else 'outbox'}:{entry}")
            now = times.real()
            found = await (events(int(entry), now) if entry.isdecimal() else deliveries(entry, now))
            missing += not found
            say(f"{entry}: {done}" if found else f"{entry}: nothing of that id is set aside")
    if missing:
        raise typer.Exit(FAILED)
