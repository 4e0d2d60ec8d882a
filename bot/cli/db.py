"""`relaydesk db`: the schema of the record."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    advise,
    complain,
    guarded,
    progress,
    say,
    show_json,
    table,
)

if TYPE_CHECKING:
    from storage.engines import Connection
    from storage.rebuild import Report

LISTED = 50
"""Differences that a person is shown; --json gives all of them."""

app = typer.Typer(help="Upgrade the database, tell its version, make its index again, check it.", no_args_is_help=True)


@app.command()
@guarded
def upgrade(
    finish: Annotated[
        bool, typer.Option("--finish", help="Also what must wait until no process of an older release runs.")
    ] = False,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Bring record and key store to this release's schema. `run` does it too; here it can be done beforehand.

    On PostgreSQL older processes go on meanwhile; what they still need is left in place until --finish.
    """
    from bot import crashpoints, opening, settings
    from bot.cli import stores
    from storage import migrate

    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    read = settings.load(path)

    async def work() -> str | None:
        with stores.explained():
            async with opening.open_stores(read, finish=finish) as opened:
                now = await migrate.found(opened.database)
                await stores.audited(opened, "db.upgrade", "record", f"schema {now}{', finished' if finish else ''}")
                return now

    now = asyncio.run(work())
    say(f"The database is at schema {now}.")
    if migrate.left(now):
        advise("The rest is done by: relaydesk db upgrade --finish (once no process of an older release runs).")


@app.command()
@guarded
def version(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Tell the schema's version; exit 1 when it is not this release's. Changes nothing."""
    from bot import settings
    from bot.cli import stores
    from storage import migrate

    read = settings.load(path)
    found, fitting = asyncio.run(stores.schema(read))
    wanted = migrate.wanted()
    if found == wanted:
        say(f"Schema {found}, as this release wants it.")
        return
    if found == fitting:
        say(f"Schema {found}, which this release ({wanted}) works with while another release runs beside it.")
        return
    advise(f"Schema {found or 'none'}; this release wants {wanted}. Run: relaydesk db upgrade")
    raise typer.Exit(FAILED)


@app.command()
@guarded
def reindex(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Make the search index again from the record. Beside a running bot this only starts it: the bot does the work."""
    from ulid import ULID

    from bot import leader, settings, times
    from bot.cli import stores
    from storage import lanes, segments

    owner = f"cli:{ULID()}"

    async def work() -> None:
        async with stores.existing(settings.load(path)) as opened:

            async def lead(conn: Connection) -> bool:
                return await lanes.lead(conn, segments.LEASE, owner, times.real(), leader.TERM)

            await stores.audited(opened, "search.reindex", "record")
            whole = await opened.reindex.start_over()
            if not await opened.database.write(lead):
                say("The running bot reads the messages in; until then older ones are not found.")
                return
            with progress("Reading messages in") as advance:
                while (left := await opened.reindex.catch_up(segments.PACKED_AT_ONCE)) and await opened.database.write(
                    lead
                ):
                    advance(1 - left / whole)
                while await opened.segments.tidy() and await opened.database.write(lead):
                    advance(1.0)
                advance(1.0)
            await opened.database.write(lambda conn: lanes.step_down(conn, owner))
            standing = await opened.segments.standing()
            say(f"{standing.documents + standing.fresh} messages can be found.")

    asyncio.run(work())


@app.command(short_help="Compare what is stored with the timeline (--check).")
@guarded
def rebuild(
    check: Annotated[bool, typer.Option("--check", help="Compare only; nothing is written. Needed.")] = False,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Compute state and deadlines again from the timeline and compare; exit 1 where what is stored differs."""
    from bot import settings
    from bot.cli import rules, stores
    from storage.rebuild import Rebuild

    if not check:
        raise typer.BadParameter("give --check: this compares, and writes nothing")
    read = settings.load(path)

    async def work() -> Report:
        async with stores.existing(read) as opened:
            await stores.audited(opened, "db.rebuild.check", "record")
            context = await rules.context(read, opened)
            with progress("Reading timelines") as advance:
                compared = Rebuild(opened.database, opened.keys)
                return await compared.check(context.rules, context.now, advance=advance)

    report = asyncio.run(work())
    if as_json:
        from domain.rebuild import NO_SOURCE

        show_json(asdict(report) | {"not_compared": NO_SOURCE})
    else:
        _tell(report)
    if report.differences:
        raise typer.Exit(FAILED)


def _tell(report: Report) -> None:
    from domain.rebuild import NO_SOURCE

    say(
        f"Compared: {report.conversations} conversations, {report.clocks} clocks, {report.answers} answers that "
        f"arrived, {report.customers} customers' consents, {report.profiles} profiles."
    )
    left = (
        (report.erased, "erased customers (nothing is left to compare)"),
        (report.without_policy, "conversations' clocks (their policy is configured no more)"),
        (report.emptied, "profiles (retention has emptied their history)"),
    )
    for count, what in left:
        if count:
            say(f"Left out: {count} {what}.")
    say("Not compared, since no timeline holds it:")
    for what, why in NO_SOURCE.items():
        say(f"  {what}: {why}")
    if not report.differences:
        say("What is stored is what the timeline says.")
        return
    rows = [(one.of, one.field, one.stored, one.rebuilt) for one in report.differences[:LISTED]]
    table("of", "field", "stored", "timeline", rows=rows)
    more = len(report.differences) - len(rows)
    complain(f"relaydesk: {len(report.differences)} differences" + (f", {more} not listed" if more > 0 else ""))
