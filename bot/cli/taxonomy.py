"""`relaydesk taxonomy`: look a taxonomy over before it is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.terminal import CONFIG_MISTAKE, DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, guarded, say, show_json, table

app = typer.Typer(help="The taxonomy: intents, queues and their examples.", no_args_is_help=True)


@app.callback()
def taxonomy() -> None:
    """The taxonomy: intents, queues and their examples."""


@app.command(short_help="Find intents that overlap or lack examples, queue or words.")
@guarded
def check(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="A taxonomy folder; else that of the configuration.")
    ] = None,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Find intents that overlap, have too few examples, no queue of yours, or no words in a language."""
    from bot import settings
    from classifiers import review
    from classifiers import taxonomy as taxonomies
    from classifiers.errors import TaxonomyError

    chosen = settings.load(path)
    place = folder or chosen.classifier.taxonomy or taxonomies.STARTER
    try:
        content = taxonomies.read(place)
    except TaxonomyError as error:
        if as_json:
            show_json({"folder": str(place), "mistakes": list(error.problems), "findings": []})
        else:
            for line in error.problems:
                say(line)
        raise typer.Exit(CONFIG_MISTAKE) from None
    found = review.review(content, queues=list(chosen.queues))
    if as_json:
        rows = [{"kind": one.kind, "severity": one.severity, "told": one.told} for one in found]
        show_json({"folder": str(place), "mistakes": [], "findings": rows})
    else:
        examples = len(content.examples)
        say(f"{place}: {len(content.labels)} intents, {examples} examples, {', '.join(content.languages)}")
        if found:
            table("", "what", rows=[(one.severity, one.told) for one in found])
        else:
            say("Nothing to mend.")
    if any(one.severity == review.MISTAKE for one in found):
        raise typer.Exit(FAILED)
