"""`relaydesk import`: contacts, facts from outside, histories from Telegram Desktop, a whole record from an export."""

from __future__ import annotations

import asyncio
import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from bot import crashpoints
from bot.cli import carry, fact_imports
from bot.cli.carry import CannotUse, DryRun, Refused, chosen_columns, content_of, rejected, tell_problems
from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, guarded, progress, say, show_json, table

if TYPE_CHECKING:
    from bot.settings import Settings
    from domain.contact_list import Columns
    from domain.profile import Field
    from storage.imports import Home

app = typer.Typer(
    help="Take in contacts, facts, histories, or a whole record. The same file again changes nothing.",
    no_args_is_help=True,
)
app.command("record")(carry.record)
app.command("facts", short_help="Take in what happened elsewhere: purchases, visits, calls.")(fact_imports.facts)
LISTED: Final = 20
"""Likely duplicates that are shown; --json gives all."""
LARGEST: Final = 1_000_000_000
"""Bytes of a file that is read as a whole."""


@app.callback()
def imports() -> None:
    """Take in contacts, facts, histories, or a whole record. The same file again changes nothing."""
    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))


@dataclass(kw_only=True, slots=True)
class Report:
    """What an import of contacts did, or would do."""

    counts: dict[str, int] = field(default_factory=lambda: {"new": 0, "changed": 0, "same": 0})
    problems: list[tuple[int, str]] = field(default_factory=list)
    alike: list[tuple[int, list[str]]] = field(default_factory=list)


@app.command(short_help="Take in contacts: names, numbers, addresses, profiles.")
@guarded
def contacts(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="CSV in UTF-8, headings in the first line.")],
    columns: Annotated[
        list[str] | None, typer.Option("--map", metavar="HEADING=FIELD", help="What a column is; may be given again.")
    ] = None,
    dry_run: DryRun = False,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take in contacts: names, phone numbers, e-mail addresses, fields of the profile. Likely duplicates are named."""
    from bot import settings
    from domain import contact_list

    read = settings.load(path)
    fields = {name: one.build(name) for name, one in read.profile.items()}
    content = content_of(file, LARGEST)
    try:
        found = contact_list.columns(content.partition("\n")[0], fields, chosen_columns(columns))
    except contact_list.BadList as error:
        raise CannotUse(f"{file}:1: {error}") from None
    report = asyncio.run(_contacts(read, file, content, found, fields, dry_run=dry_run))
    if as_json:
        told = [{"line": number, "problem": words} for number, words in report.problems]
        alike = [{"line": number, "customers": ids} for number, ids in report.alike]
        show_json({**report.counts, "duplicates": alike, "problems": told, "left_out": found.left_out})
    else:
        _tell(file, found, report, dry_run=dry_run)
    if report.problems:
        raise typer.Exit(FAILED)


async def _contacts(
    read: Settings, file: Path, content: str, found: Columns, fields: Mapping[str, Field], *, dry_run: bool
) -> Report:
    from bot import times
    from bot.cli import people, stores
    from bot.ids import new_id
    from domain import contact_list
    from domain.errors import KeyDestroyed
    from domain.model import Actor, ActorKind
    from domain.roles import Act
    from storage.imports import Imports

    report = Report()
    said = contact_list.read(content, found, fields, read.contacts.region)
    lines = content.count("\n") + 1
    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.CORRECT, "contacts")
        await stores.audited(opened, "import.preview" if dry_run else "import.contacts", "contacts")
        work = Imports(
            opened.database, opened.keys, opened.record, opened.inbox, partial(crashpoints.reach, "in_import")
        )
        actor, now = Actor(kind=ActorKind.OPERATOR, id=stores.os_user()[:40]), times.real()
        refused = Refused(rejected(file), dry_run=dry_run, first=_line((*found.headings, "problem"), found))
        with progress("Reading contacts") as advance:
            for one in said:
                advance(min(1.0, one.line / lines))
                if isinstance(one, contact_list.Problem):
                    report.problems.append((one.line, one.words))
                    refused.add([_line((*one.cells, one.words), found)])
                    continue
                if alike := await work.look_alikes(one):
                    report.alike.append((one.line, alike))
                try:
                    if dry_run:
                        outcome = await work.preview(one)
                    else:
                        outcome = await work.contact(one, file=file.name, actor=actor, now=now, new_id=new_id)
                except KeyDestroyed as error:
                    report.problems.append((one.line, str(error)))
                    continue
                report.counts[outcome.value] += 1
        refused.close()
    return report


def _line(cells: tuple[str, ...], found: Columns) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=found.delimiter, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _tell(file: Path, found: Columns, report: Report, *, dry_run: bool) -> None:
    rows = [(found.headings[place], target) for target, places in found.places.items() for place in places] + [
        (heading, "left out; --map makes something of it") for heading in found.left_out
    ]
    table("column", "becomes", rows=rows)
    counts = report.counts
    if dry_run:
        say(f"{counts['new']} would be new, {counts['same']} are here already. Nothing was written.")
    else:
        say(f"{counts['new']} are new, {counts['changed']} were added to, {counts['same']} were so already.")
    if report.alike:
        say("These may be people who are here already. A person decides; nothing was made one:")
        table("line", "like customer", rows=[(str(n), ", ".join(ids[:3])) for n, ids in report.alike[:LISTED]])
        if len(report.alike) > LISTED:
            say(f"and {len(report.alike) - LISTED} more")
    tell_problems(file, report.problems, rejected=None if dry_run else rejected(file))


@app.command(short_help="Take in chats that Telegram Desktop exported.")
@guarded
def telegram(
    file: Annotated[Path, typer.Argument(metavar="result.json", help="What Telegram Desktop exported, as JSON.")],
    dry_run: DryRun = False,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take in chats with persons that Telegram Desktop exported, each as one closed conversation; texts, no files."""
    from bot import settings

    told = asyncio.run(_telegram(settings.load(path), file, dry_run=dry_run))
    if as_json:
        show_json(told)
    else:
        would = "would be " if dry_run else ""
        say(f"{told['chats']} chats, {told['messages']} messages; {would}new: {told['new']}.")
        say(f"Left out: {told['services']} notices of Telegram. Files are named; their contents are not taken over.")
        for problem in told["problems"][:LISTED]:
            where = f"chat {problem['chat']}" + (f", message {problem['message']}" if problem["message"] else "")
            say(f"  {where}: {problem['problem']}")
        if len(told["problems"]) > LISTED:
            say(f"  and {len(told['problems']) - LISTED} more")
        if told["problems"]:
            say("Everything else was taken over; mend these in the file and import it again, the rest stays as it is.")
    if told["problems"]:
        raise typer.Exit(FAILED)


async def _telegram(read: Settings, file: Path, *, dry_run: bool) -> dict[str, Any]:
    from bot import times
    from bot.cli import people, stores
    from domain import telegram_export
    from domain.errors import KeyDestroyed
    from domain.model import Actor, ActorKind
    from domain.roles import Act
    from storage.imports import Imports

    told: dict[str, Any] = {"chats": 0, "messages": 0, "new": 0, "services": 0, "problems": []}
    try:
        found = list(telegram_export.chats(content_of(file, LARGEST)))
    except telegram_export.BadExport as error:
        raise CannotUse(f"{file}: {error}") from None
    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.CORRECT, "history")
        await stores.audited(opened, "import.preview" if dry_run else "import.telegram", "history")
        work = Imports(
            opened.database, opened.keys, opened.record, opened.inbox, partial(crashpoints.reach, "in_import")
        )
        actor, home = Actor(kind=ActorKind.OPERATOR, id=stores.os_user()[:40]), _home(read)
        with progress("Reading chats") as advance:
            for place, chat in enumerate(found):
                advance(place / len(found))
                problems = [chat] if isinstance(chat, telegram_export.Problem) else chat.problems
                told["problems"] += [{"chat": p.chat, "message": p.message, "problem": p.words} for p in problems]
                if isinstance(chat, telegram_export.Problem):
                    continue
                told["chats"] += 1
                told["messages"] += len(chat.messages)
                told["services"] += chat.services
                try:
                    new = await work.chat(chat, home, actor=actor, now=times.real(), dry_run=dry_run)
                    told["new"] += new
                except KeyDestroyed as error:
                    told["problems"].append({"chat": chat.place, "message": None, "problem": str(error)})
    return told


def _home(read: Settings) -> Home:
    from storage.imports import Home

    queue = read.default_queue
    return Home(
        channel=read.telegram.name,
        queue=queue,
        desk_channel=read.queues[queue].channel,
        reopen_window=read.desk.reopen_window,
    )
