"""`relaydesk run`: the process that a supervisor keeps alive."""

from __future__ import annotations

import typer

from bot.cli.terminal import DEFAULT_CONFIG, ConfigFile, guarded


@guarded
def run(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the bot until SIGINT or SIGTERM.

    Exit code 0 after a stop, 1 on a failure, 2 on a configuration mistake, 70 when a platform was not heard from for
    too long.
    """
    import asyncio

    from bot import logs, settings
    from bot.cli import stores
    from domain.errors import AccessRevoked, ConfigError, RefusedToStart

    read = settings.load(path)
    if lines := read.blockers():
        raise ConfigError(*lines)
    logs.configure(read.log.level, json=None if read.log.format == "auto" else read.log.format == "json")
    from bot import life

    with stores.explained():
        try:
            code = asyncio.run(life.run(read))
        except AccessRevoked as error:
            raise RefusedToStart(
                f"Slack does not let us in ({error.code}): `relaydesk doctor` says what to do"
            ) from None
    raise typer.Exit(code)
