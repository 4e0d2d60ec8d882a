"""`relaydesk`: the command line. Each command has a file of its own and imports what is heavy when it is called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bot.cli import (
    access,
    audit,
    backup,
    carry,
    config,
    customer,
    db,
    dead,
    demo,
    desk,
    doctor,
    evaluate,
    explain,
    imports,
    init,
    keys,
    labels,
    model,
    move,
    privacy,
    run,
    search,
    show,
    sla,
    taxonomy,
    terminal,
    train,
    versions,
)

app = typer.Typer(
    name="relaydesk",
    help="Chat messages in, triaged Slack threads out, and the answers back.",
    epilog="Every command takes --config FILE (or RELAYDESK_CONFIG); without it config.yaml here.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        terminal.say(f"relaydesk {version('relaydesk')}")
        raise typer.Exit


@app.callback()
def relaydesk(
    _version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell it.")] = False,
) -> None:
    """Chat messages in, triaged Slack threads out, and the answers back."""


# To begin, to look, to answer for, to teach, to keep.
app.command("demo")(demo.demo)
app.command("init", short_help="Ask for tokens, test each, make the keys and write .env.")(init.init)
app.command("run")(run.run)
app.command("doctor")(doctor.doctor)
app.add_typer(config.app, name="config")
app.command("show")(show.show)
app.command("search")(search.search)
app.command("explain")(explain.explain)
app.add_typer(customer.app, name="customer")
app.add_typer(sla.app, name="sla", short_help="Deadlines: explain, try other terms, apply, excuse.")
app.add_typer(privacy.app, name="privacy", short_help="A customer's rights: export, erase, hold, requests.")
app.add_typer(access.app, name="access")
app.add_typer(audit.app, name="audit")
app.command("evaluate", short_help="Measure the classifier on labelled sentences.")(evaluate.evaluate)
app.add_typer(labels.app, name="labels")
app.add_typer(taxonomy.app, name="taxonomy")
app.command("train")(train.train)
app.add_typer(model.app, name="model")
model.app.command("list", short_help="Every version: which answers, trained on what, how good.")(versions.list_)
model.app.command("promote")(versions.promote)
model.app.command("rollback")(versions.rollback)
model.app.command("shadow", short_help="Let a version read along without answering.")(versions.shadow)
app.add_typer(dead.app, name="dead")
app.add_typer(desk.app, name="desk", short_help="Post open conversations anew at the desk.")
db.app.command("move", short_help="Move record and key store from SQLite to PostgreSQL.")(move.move)
app.add_typer(db.app, name="db", short_help="The database: upgrade, version, index, move, check.")
app.add_typer(keys.app, name="keys")
app.add_typer(backup.app, name="backup")
app.command("export", short_help="Write the whole record as lines of JSON.")(carry.export)
app.add_typer(imports.app, name="import")
terminal.belongs_to(app)


def main() -> None:
    """The script's entry. An error nobody expected ends with a redacted traceback and exit code 1."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 -- the last resort of the process
        terminal.defect(error)
        sys.exit(terminal.FAILED)


if __name__ == "__main__":
    main()
