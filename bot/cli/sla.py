"""`relaydesk sla`: deadlines on the command line."""

from __future__ import annotations

import typer

from bot.cli import excuse

app = typer.Typer(help="Deadlines: what was missed, and what is excused.", no_args_is_help=True)
app.command("excuse")(excuse.excuse)
