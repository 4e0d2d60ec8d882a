"""`relaydesk train`: train on the labels now, instead of at the usual hour."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, advise, complain, guarded, say, show_json

if TYPE_CHECKING:
    from datetime import datetime

    from classifiers.lessons import Outcome
    from domain.labels import Labelled


@guarded
def train(
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
    go_live: Annotated[
        str | None, typer.Option("--go-live", metavar="auto|shadow|never", help="Instead of learning.go_live.")
    ] = None,
) -> None:
    """Train on the labels now.

    A running bot goes on meanwhile; what passes the gate answers there within seconds.
    """
    from bot import learning, settings, times
    from bot.cli import stores
    from bot.settings_learning import LearningSettings
    from classifiers import refit

    chosen = settings.load(path)
    wish = chosen.learning
    if go_live is not None:
        if go_live not in ("auto", "shadow", "never"):
            raise typer.BadParameter(f"{go_live!r} is none of auto, shadow, never")
        wish = LearningSettings(**{**wish.model_dump(), "go_live": go_live})

    async def labels() -> list[tuple[Labelled, datetime]]:
        async with stores.existing(chosen) as opened:
            await stores.audited(opened, "model.train", "labels")
            return await opened.labels.newest(learning.MOST)

    request = learning.request_of(
        asyncio.run(labels()),
        model_dir=chosen.classifier.home,
        taxonomy=chosen.classifier.taxonomy,
        settings=wish,
        now=times.real(),
        key=chosen.secrets.encoder_key.get_secret_value() if chosen.secrets.encoder_key else None,
    )
    outcome = _watched(request) if not as_json else refit.run(request)
    if as_json:
        show_json(asdict(outcome))
    else:
        _tell(outcome)
    if not outcome.passed and outcome.number is not None:
        raise typer.Exit(FAILED)


def _watched(request: object) -> Outcome:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from classifiers import lessons, refit

    assert isinstance(request, lessons.Request)  # noqa: S101  # named late, to keep `--help` quick
    columns = (TextColumn("{task.description:<40}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("beginning", total=1.0)
        return refit.run(request, lambda step, share: bar.update(task, description=step, completed=share))


def _tell(outcome: Outcome) -> None:
    if outcome.number is None:
        advise("There is nothing to learn from: no label with text. See: relaydesk labels count")
        return
    say(f"Version {outcome.number} learned from {outcome.learnt} labels ({outcome.left_out} left out).")
    for name, figures in sorted(outcome.scores.items()):
        said = ", ".join(f"{figure.replace('_', ' ')} {value:.1%}" for figure, value in figures.items() if value <= 1)
        say(f"  {name:<16} {said}")
    for note in outcome.notes:
        say(f"  {note}")
    if outcome.suspicious:
        advise(f"  {outcome.suspicious} labels look wrong: relaydesk labels suspicious")
    if outcome.live:
        advise("It answers from now on. Back again: relaydesk model rollback")
    elif outcome.passed:
        advise(f"It may go live: relaydesk model promote {outcome.number}")
    else:
        complain("It is worse than the one that answers, which goes on. Its figures are above.")
