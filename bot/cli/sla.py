"""`relaydesk sla`: deadlines on the command line."""

from __future__ import annotations

import typer

from bot.cli import deadlines, excuse, reapply, simulate, sla_report

app = typer.Typer(
    help="Deadlines: why they are when they are, what was missed, what others would change.", no_args_is_help=True
)
app.command("show")(deadlines.show)
app.command("report")(sla_report.report)
app.command("simulate")(simulate.simulate)
app.command("reapply")(reapply.reapply)
app.command("excuse")(excuse.excuse)
