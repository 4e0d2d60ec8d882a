"""`relaydesk evaluate`: how good the classifier is on labelled sentences, as figures and as one page."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, guarded, progress, say, show_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from classifiers.evaluation import Scores
    from classifiers.taxonomy import Example

STARTER = "starter set, ours"


@guarded
def evaluate(
    path: ConfigFile = DEFAULT_CONFIG,
    source: Annotated[
        Path | None,
        typer.Option("--on", metavar="FILE", help="JSON lines with text, label, language; else golden.yaml."),
    ] = None,
    report: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the page here.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the classifier what it would make of labelled sentences: per language, per intent, how sure, how right."""
    from bot import models, report_page, settings
    from classifiers import evaluation, taxonomy
    from classifiers.errors import ModelError
    from classifiers.training import PRECISION
    from domain.errors import RelaydeskError

    whole = settings.load(path)
    chosen = whole.classifier
    folder = chosen.taxonomy or taxonomy.STARTER
    try:
        examples = _read(source) if source else list(taxonomy.golden(folder))
        classifier = models.choose(whole).classifier
    except ModelError as error:
        raise RelaydeskError(str(error)) from None
    if not examples:
        raise RelaydeskError(f"there is nothing to evaluate on: no golden.yaml in {folder}; name a file with --on")
    _known(examples, [label.id for label in classifier.labels])
    with progress("asking the classifier") as tell:
        done = 0

        def step(count: int) -> None:
            nonlocal done
            done += count
            tell(done / len(examples))

        scores = {
            language: evaluation.score(classifier, [one for one in examples if one.language == language], step)
            for language in sorted({one.language for one in examples})
        }
    about = str(source) if source else STARTER if folder == taxonomy.STARTER else f"golden set of {folder}"
    if report is not None:
        names = {label.id: label.names for label in classifier.labels}
        written = report_page.page(scores, about=about, made_at=datetime.now(UTC), names=names, goal=PRECISION)
        _write(report, written)
    if as_json:
        show_json({"about": about, "languages": {language: _figures(found) for language, found in scores.items()}})
        return
    say(f"{about}; classifier {classifier.version}")
    table(
        "language", "sentences", "intent", "macro F1", "queue", "routed", "of these right", "calibration error",
        rows=[
            (
                language, str(found.texts), f"{found.accuracy:.1%}", f"{found.macro_f1:.1%}",
                f"{found.queue_accuracy:.1%}", f"{found.routed:.1%}", f"{found.routed_precision:.1%}",
                f"{found.ece:.1%}",
            )
            for language, found in scores.items()
        ],
        right=range(1, 8),
    )  # fmt: skip
    if report is not None:
        say(f"The page is {report}.")


def _figures(found: Scores) -> dict[str, Any]:
    """Shares from 0 to 1."""
    from classifiers import evaluation

    return {
        "version": found.version,
        "sentences": found.texts,
        "accuracy": found.accuracy,
        "macro_f1": found.macro_f1,
        "ece": found.ece,
        "queue_accuracy": found.queue_accuracy,
        "routed": found.routed,
        "routed_precision": found.routed_precision,
        "classes": {
            one.intent: {"sentences": one.texts, "precision": one.precision, "recall": one.recall, "f1": one.f1}
            for one in found.classes
        },
        "curve": [[point.coverage, point.precision, point.threshold] for point in evaluation.thinned(found.curve)],
        "calibration": [[one.confidence, one.accuracy, one.texts] for one in found.calibration],
        "confusion": [[truth, given, count] for (truth, given), count in sorted(found.confusion.items())],
    }


def _read(source: Path) -> list[Example]:
    """One JSON object a line: text, label and, where it is not English, language."""
    from classifiers.taxonomy import Example
    from domain.errors import RelaydeskError

    found = []
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RelaydeskError(f"{source} cannot be read as text: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            text, label, language = row["text"], row["label"], row.get("language", "en")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RelaydeskError(f"{source}, line {number}: is not a JSON object with text and label") from None
        if not all(isinstance(value, str) and value for value in (text, label, language)):
            raise RelaydeskError(f"{source}, line {number}: text, label and language must be words")
        found.append(Example(id=f"line/{number}", intent=label, language=language, text=text))
    return found


def _known(examples: Sequence[Example], intents: Sequence[str]) -> None:
    from domain.errors import RelaydeskError

    unknown = sorted({one.intent for one in examples} - set(intents))
    if unknown:
        raise RelaydeskError(
            f"the classifier has no intent {', '.join(unknown)}; name those of the taxonomy, or train on it first"
        )


def _write(report: Path, page: str) -> None:
    from domain.errors import RelaydeskError

    try:
        report.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RelaydeskError(f"{report} cannot be written: {error.strerror}") from None
