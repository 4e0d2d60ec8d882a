"""`relaydesk model list`, `promote`, `rollback`, `shadow`: which of the trained versions answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, advise, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from pathlib import Path

    from classifiers.versions import Version

Chosen = Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="As `model list` shows it; 0: as prepared.")]
FIGURES = ("accuracy", "queue_accuracy")
MEASURED = "new/golden/"


def _folder(path: Path) -> Path:
    from bot import settings

    return settings.load(path).classifier.home


@guarded
def list_(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every version there is: which answers, what it was trained on, how it did on the golden set."""
    from classifiers import versions

    folder = _folder(path)
    now, found = versions.pointer(folder), versions.listed(folder)
    rows = [_row(version, now) for version in found]
    if as_json:
        show_json(rows)
        return
    if not rows:
        advise("There is no model yet: relaydesk model prepare")
        return
    table(
        "number",
        "state",
        "how",
        "made (UTC)",
        "labels",
        "golden set",
        rows=[
            [str(r["number"]), r["state"], r["kind"], when(r["made_at"]), str(r["labels"] or ""), _golden(r["scores"])]
            for r in rows
        ],
        right=(0, 4),
    )
    for row in rows:
        for note in row["notes"]:
            say(f"{row['number']}: {note}")


def _row(version: Version, now: Any) -> dict[str, Any]:  # noqa: ANN401 -- a Pointer, named late for a quick --help
    state = "answers" if version.number == now.live else "reads along" if version.number == now.shadow else ""
    return {
        "number": version.number,
        "state": state or ("" if version.passed else "refused"),
        "kind": version.kind,
        "version": version.heads,
        "made_at": version.made_at,
        "labels": version.labels,
        "scores": {name: dict(values) for name, values in version.scores.items()},
        "notes": list(version.notes),
    }


def _golden(scores: dict[str, dict[str, float]]) -> str:
    """Intent and queue accuracy per language, as it was measured before it could go live."""
    measured = {name.removeprefix(MEASURED): values for name, values in scores.items() if name.startswith(MEASURED)}
    return ", ".join(
        f"{language} {' / '.join(f'{values[figure]:.1%}' for figure in FIGURES if figure in values)}"
        for language, values in sorted(measured.items())
    )


@guarded
def promote(number: Chosen, path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let a version answer; a running bot follows within seconds."""
    from classifiers import versions

    version = versions.promote(_folder(path), number)
    _note(path, "model.promote", version.number, f"version {version.number} answers from now on")
    advise(f"Version {version.number} answers from now on. Back again: relaydesk model rollback")
    if not version.passed:
        advise("It had not passed the gate: relaydesk model list says why.")


@guarded
def rollback(path: ConfigFile = DEFAULT_CONFIG) -> None:
    """Let the version answer that did before."""
    from classifiers import versions

    version = versions.rollback(_folder(path))
    _note(path, "model.rollback", version.number, f"version {version.number} answers again")
    say(f"Version {version.number} answers again.")


@guarded
def shadow(
    number: Annotated[int | None, typer.Argument(metavar="NUMBER", min=0, help="Without one it ends.")] = None,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Let a version read along without answering; /metrics counts how often it agrees."""
    from classifiers import versions

    versions.shadow(_folder(path), number)
    done = "no version reads along any more" if number is None else f"version {number} reads along from now on"
    _note(path, "model.shadow", number, done)
    say(f"{done[0].upper()}{done[1:]}.")


def _note(path: Path, action: str, number: int | None, done: str) -> None:
    """Which version answers, or reads along, is an administrative act. Raises NotRecorded with what is `done`."""
    from bot import settings
    from bot.cli import stores

    thing = "model:none" if number is None else f"model:{number}"
    with stores.recording(done):
        asyncio.run(stores.audited_where_there(settings.load(path), action, thing))
