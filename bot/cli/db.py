"""`relaydesk db`: the schema of the record."""

from __future__ import annotations

import asyncio

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, ConfigFile, guarded, say

app = typer.Typer(help="Upgrade the database, or tell its version.", no_args_is_help=True)


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
