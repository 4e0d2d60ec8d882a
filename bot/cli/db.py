"""`relaydesk db`: the schema of the record."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, ConfigFile, guarded, progress, say

if TYPE_CHECKING:
    from storage.engines import Connection

app = typer.Typer(help="Upgrade the database, tell its version, make its index again.", no_args_is_help=True)


@app.command()
@guarded
def upgrade(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Bring record and key store to this release's schema. `run` does it too; here it can be done beforehand."""
    from bot import app as house
    from bot import settings
    from bot.cli import stores
    from storage import migrate

    read = settings.load(path)

    async def work() -> str | None:
        with stores.explained():
            async with house.open_stores(read) as opened:
                return await migrate.found(opened.database)

    say(f"The database is at schema {asyncio.run(work())}.")


@app.command()
@guarded
def version(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Tell the schema's version; exit 1 when it is not this release's. Changes nothing."""
    from bot import settings
    from bot.cli import stores
    from storage import migrate

    read = settings.load(path)
    found = asyncio.run(stores.schema_version(read))
    wanted = migrate.wanted()
    if found == wanted:
        say(f"Schema {found}, as this release wants it.")
        return
    say(f"Schema {found or 'none'}; this release wants {wanted}. Run: relaydesk db upgrade")
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
