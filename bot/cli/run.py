"""`relaydesk run`: the process that a supervisor keeps alive."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, ConfigFile, guarded

Roles = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE",
        help="A share of the work, on PostgreSQL: intake, worker, dispatcher, clock, web. Repeatable; all by default.",
    ),
]


@guarded
def run(path: ConfigFile = DEFAULT_CONFIG, role: Roles = None) -> None:
    """Run the bot until SIGINT or SIGTERM.

    Any number of processes over one PostgreSQL share the work, each all of it or the roles it is given.

    Exit code 0 after a stop, 1 on a failure, 2 on a configuration mistake, 70 when a platform was not heard from for
    too long.
    """
    import asyncio

    from bot import duties, logs, settings
    from bot.cli import stores
    from domain.errors import AccessRevoked, ConfigError, RefusedToStart

    does = duties.parse(role or ())
    read = settings.load(path)
    if lines := read.blockers():
        raise ConfigError(*lines)
    logs.configure(read.log.level, json=None if read.log.format == "auto" else read.log.format == "json")
    from bot import life

    with stores.explained():
        try:
            code = asyncio.run(life.run(read, does=does))
        except AccessRevoked as error:
            raise RefusedToStart(
                f"Slack does not let us in ({error.code}): `relaydesk doctor` says what to do"
            ) from None
    raise typer.Exit(code)
