"""`relaydesk sla`: deadlines on the command line."""

from __future__ import annotations

import typer

from bot.cli import deadlines, excuse, reapply, simulate, sla_report

app = typer.Typer(
    help="Deadlines: why they are when they are, what was missed, what others would change.", no_args_is_help=True
)
app.command("show", short_help="Every clock of a conversation, and which time has counted.")(deadlines.show)
app.command("report", short_help="Which deadlines were met, late or missed, and satisfaction.")(sla_report.report)
app.command("simulate", short_help="Replay recorded conversations under other terms.")(simulate.simulate)
app.command("reapply", short_help="Give running conversations the newest terms (--yes).")(reapply.reapply)
app.command("excuse")(excuse.excuse)
