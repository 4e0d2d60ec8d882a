"""`relaydesk labels`: what people taught the classifier, out to a file, in from a file, and what looks wrong in it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.show import Reveal
from bot.cli.terminal import (
    DEFAULT_CONFIG,
    FAILED,
    AsJson,
    ConfigFile,
    advise,
    complain,
    guarded,
    say,
    show_json,
    table,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bot.cli.labels_file import Line
    from bot.opening import Stores
    from bot.settings import Settings
    from domain.labels import Labelled
    from storage.labels import Count

app = typer.Typer(help="Labels: count, export, import, and look for wrong ones.", no_args_is_help=True)
MOST = 1_000_000
IMPORT_VERSION = "file"
NINE_IN_TEN = 1.28
"""z of a one-sided bound that holds nine times in ten."""


@app.command("count", short_help="How many labels people gave, by language and kind.")
@guarded
def count(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """How many labels people gave, by language and kind; those whose words may not be kept are counted as well."""
    from bot import settings
    from bot.cli import stores
    from domain.labels import LabelKind

    chosen = settings.load(path)
    queue_of = _queues(chosen)

    async def work() -> tuple[list[dict[str, Any]], int, list[dict[str, Any]]]:
        async with stores.existing(chosen) as opened:
            kept = await opened.labels.count_since(None)
            kept += await opened.labels.count_since(None, LabelKind.PRIORITY)
            totals: dict[tuple[str, str, str], int] = {}
            counted = await opened.labels.counts()
            for one in counted:
                place = (one.kind.value, one.language, one.source.value)
                totals[place] = totals.get(place, 0) + one.count
            rows = [
                {"kind": kind, "language": language, "source": source, "labels": number}
                for (kind, language, source), number in sorted(totals.items())
            ]
            return rows, kept, _checked(counted, queue_of)

    rows, kept, checked = asyncio.run(work())
    if as_json:
        show_json({"labels": rows, "kept": kept, "checked": checked})
        return
    if not rows:
        say("Nobody has corrected or confirmed anything yet.")
        return
    cells = [[row["kind"], row["language"], row["source"], str(row["labels"])] for row in rows]
    table("what", "language", "how", "labels", rows=cells, right=(3,))
    say()
    say(f"{kept} of them are kept with their masked text; see learning.keep_text in the configuration.")
    for row in checked:
        share, least = f"{row['share']:.1%}", f"{row['at_least']:.1%}"
        say(
            f"Spot checks, {row['language']}: {row['right']} of {row['checked']} that it routed by itself "
            f"were in the right queue ({share}; at least {least}, nine times in ten)."
        )


def _queues(chosen: Settings) -> dict[str, str]:
    """The queue of each topic, as routing sees it."""
    from classifiers import taxonomy

    content = taxonomy.read(chosen.classifier.taxonomy or taxonomy.STARTER)
    return {label.id: label.queue for label in content.labels}


def _checked(counted: Sequence[Count], queue_of: Mapping[str, str]) -> list[dict[str, Any]]:
    """How often the machine was right where it routed, by language: the audit sample alone, kept or not."""
    from classifiers import evaluation

    sums: dict[str, list[int]] = {}
    for one in counted:
        if one.kind.value == "intent" and one.sampled and not one.abstained:
            found = sums.setdefault(one.language, [0, 0])
            found[0] += one.count
            found[1] += one.count if queue_of.get(one.label, "") == queue_of.get(one.guess, one.guess) else 0
    return [
        {
            "language": language,
            "checked": checked,
            "right": right,
            "share": right / checked,
            "at_least": evaluation.wilson_lower(right, checked, NINE_IN_TEN),
        }
        for language, (checked, right) in sorted(sums.items())
    ]


@app.command("export")
@guarded
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .csv or .jsonl.")],
    path: ConfigFile = DEFAULT_CONFIG,
    reveal: Reveal = False,
) -> None:
    """Write the kept labels into a file for its owner alone. Audited; the masked texts need --reveal."""
    from bot import settings
    from bot.cli import labels_file, people, stores
    from bot.whole_files import write_whole
    from domain.labels import LabelKind
    from domain.roles import Act

    kind, read = labels_file.kind_of(file), settings.load(path)

    async def work() -> list[Labelled]:
        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.REVEAL if reveal else Act.SEE, "labels")
            await stores.audited(opened, "labels.export.reveal" if reveal else "labels.export", "labels")
            found = [one for sort in LabelKind for one, _ in await opened.labels.newest(MOST, kind=sort)]
            return sorted(found, key=lambda label: (label.at, label.id))

    found = asyncio.run(work())
    try:
        write_whole(file, labels_file.written(found, kind, reveal=reveal), 0o600)
    except OSError as error:
        raise labels_file.BadFile(f"{file}: cannot be written ({error.strerror})") from None
    say(f"{len(found)} labels were written to {file}.")
    if not reveal and found:
        say("Their texts are left out; --reveal writes them, and that is written into the audit trail.")


@app.command("import", short_help="Take labelled texts over from a file, masked.")
@guarded
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=".csv or .jsonl with text, intent and language.")],
    path: ConfigFile = DEFAULT_CONFIG,
    check: Annotated[bool, typer.Option("--check", help="Only say whether it could be taken over.")] = False,
) -> None:
    """Take labelled texts over from a file, masked: all lines or none. The same text again replaces its label."""
    from bot import settings
    from bot.cli import labels_file, stores
    from classifiers import language, normalise, taxonomy

    chosen = settings.load(path)
    content = taxonomy.read(chosen.classifier.taxonomy or taxonomy.STARTER)
    lines = labels_file.read(
        file,
        [label.id for label in content.labels],
        content.languages,
        lambda words: language.detect(normalise.normalise(words)).code,
    )
    if check:
        say(f"{len(lines)} labels could be taken over.")
        return

    async def work() -> None:
        async with stores.existing(chosen) as opened:
            await stores.audited(opened, "labels.import", "labels", f"{len(lines)} lines")
            await _add(opened, lines)

    asyncio.run(work())
    advise(f"{len(lines)} labels were taken over. They count at the next training: relaydesk train")


async def _add(opened: Stores, lines: list[Line]) -> None:
    from bot import times
    from classifiers import normalise
    from domain import privacy
    from domain.labels import LabelKind, Labelled, LabelSource
    from storage import crypto

    now, key = times.real(), opened.keys.purpose("index")
    given = {}
    for line in lines:
        masked = privacy.mask(line.text)
        # The id is a keyed hash of the wording, so that the same line twice is one label.
        name = crypto.mac(key, "label", line.language, normalise.normalise(masked))[:26]
        given[name] = Labelled(
            id=name,
            conversation_id=None,
            customer_id=None,
            kind=LabelKind.INTENT,
            source=LabelSource.IMPORT,
            label=line.intent,
            guess=None,
            right=False,
            language=line.language,
            confidence=0.0,
            abstained=False,
            weight=0.0,
            version=IMPORT_VERSION,
            at=now,
            text=masked,
        )
    await opened.labels.add(list(given.values()), now)


@app.command("suspicious", short_help="Labels that are probably slips, worst first.")
@guarded
def suspicious(path: ConfigFile = DEFAULT_CONFIG, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """Labels that are probably slips, worst first: heads that had not learned from them contradict them."""
    from bot import settings
    from bot.cli import people, stores
    from classifiers import refit, versions
    from domain.roles import Act

    chosen = settings.load(path)
    trained = [version for version in versions.listed(chosen.classifier.home) if version.number]
    if not trained:
        complain("relaydesk: nothing was trained on labels yet, so none was looked at: relaydesk train")
        raise typer.Exit(FAILED)
    newest = trained[-1]
    doubts: list[dict[str, Any]] = versions.beside(newest, refit.SUSPICIOUS) or []

    async def work() -> list[dict[str, Any]]:
        async with stores.existing(chosen) as opened:
            await people.allowed(chosen, opened, Act.REVEAL if reveal else Act.SEE, "labels")
            await stores.audited(opened, "labels.suspicious.reveal" if reveal else "labels.suspicious", "labels")
            found = await opened.labels.by_id([str(doubt["id"]) for doubt in doubts])
            views = await opened.views.load([one.conversation_id for one in found.values() if one.conversation_id])
            numbers = {name: view.conversation.number for name, view in views.items()}
            return [
                _doubt(doubt, label, numbers.get(label.conversation_id or ""), reveal=reveal)
                for doubt in doubts
                if (label := found.get(str(doubt["id"]))) is not None and label.label == doubt["label"]
            ]

    rows = asyncio.run(work())
    if as_json:
        show_json(rows)
    elif not rows:
        say(f"No label looks wrong, by version {newest.number}.")
    else:
        _show(rows, newest.number, newest.made_at, reveal=reveal)


def _doubt(doubt: dict[str, Any], label: Labelled, number: int | None, *, reveal: bool) -> dict[str, Any]:
    return {
        "conversation": None if number is None else f"#{number}",
        "label": label.label,
        "likely": doubt["likely"],
        "label_probability": doubt["label_probability"],
        "likely_probability": doubt["likely_probability"],
        "at": label.at,
        "id": label.id,
        "text": label.text if reveal else None,
    }


def _show(rows: list[dict[str, Any]], number: int, made_at: datetime | None, *, reveal: bool) -> None:
    headings = ["conversation", "labelled", "looks like", "sure", "at (UTC)", *(["text"] if reveal else [])]
    cells = [
        [
            row["conversation"] or "(file)",
            row["label"],
            row["likely"],
            f"{row['likely_probability']:.0%}",
            when(row["at"]),
            *([row["text"]] if reveal else []),
        ]
        for row in rows
    ]
    table(*headings, rows=cells, right=(3,))
    say()
    say(f"Judged by version {number} of {when(made_at)}. Choose the right topic on the card, or import the file anew.")
