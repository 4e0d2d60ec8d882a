"""`relaydesk import facts`: purchases, orders, visits, calls and shop contacts from a spreadsheet or lines of JSON."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from bot import crashpoints
from bot.cli.carry import CannotUse, DryRun, Refused, chosen_columns, content_of, rejected, tell_problems
from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, guarded, progress, say, show_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.facts import Facts, Whom
    from bot.opening import Stores
    from bot.settings import Settings
    from domain.fact_list import Line, Listed
    from domain.facts import Fact

LARGEST: Final = 200_000_000
"""Bytes of a file that is read as a whole."""
ALIKE: Final = "looks like one that was noted already: give it a key if it is another one"


@dataclass(kw_only=True, slots=True)
class Report:
    """What an import did, or would do. `entered`: people who were not known; `alike`: what looks like noted already."""

    counts: dict[str, int] = field(default_factory=lambda: {"new": 0, "same": 0, "entered": 0})
    problems: list[tuple[int, str]] = field(default_factory=list)
    alike: list[tuple[int, str]] = field(default_factory=list)


@guarded
def facts(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with headings, or JSON lines; in UTF-8.")],
    kind: Annotated[str, typer.Option("--kind", help="Of lines that name none: purchase, order, visit, ...")] = "",
    source: Annotated[str, typer.Option("--source", help="Of lines that name none, as a word: shop, crm.")] = "import",
    columns: Annotated[
        list[str] | None, typer.Option("--map", metavar="HEADING=FIELD", help="What a column is; may be given again.")
    ] = None,
    zone: Annotated[str, typer.Option("--tz", help="Of times without an offset, such as Europe/Berlin.")] = "UTC",
    dry_run: DryRun = False,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take in what happened elsewhere: purchases, orders, visits, calls. Likely duplicates are named and left out."""
    from bot import settings
    from domain import fact_list

    read, content = settings.load(path), content_of(file, LARGEST)
    try:
        listed = fact_list.headings(content, chosen_columns(columns))
    except fact_list.BadList as error:
        raise CannotUse(f"{file}:1: {error}") from None
    try:
        of = _Reading(always={"source": source} | ({"kind": kind} if kind else {}), zone=ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"{zone!r} is no time zone, such as Europe/Berlin") from None
    report = asyncio.run(_take(read, file, content, listed, of, dry_run=dry_run))
    if as_json:
        alike = [{"line": number, "customer": customer} for number, customer in report.alike]
        told = [{"line": number, "problem": words} for number, words in report.problems]
        show_json({**report.counts, "duplicates": alike, "problems": told, "left_out": listed.left_out})
    else:
        _tell(file, listed, report, dry_run=dry_run)
    if report.problems:
        raise typer.Exit(FAILED)


async def _take(read: Settings, file: Path, content: str, listed: Listed, of: _Reading, *, dry_run: bool) -> Report:
    from bot.cli import people, stores
    from domain import fact_list
    from domain.errors import RelaydeskError
    from domain.roles import Act

    report, lines = Report(), content.count("\n") + 1
    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.NOTE, "customer:facts")
        await stores.audited(opened, "import.preview" if dry_run else "import.facts", "facts")
        taking = _facts(opened)
        refused = Refused(rejected(file), dry_run=dry_run, first=f"{listed.heading}\n" if listed.heading else "")
        with progress("Reading facts") as advance:
            for one in fact_list.read(content, listed):
                advance(min(1.0, one.number / lines))
                try:
                    if isinstance(one, fact_list.Problem):
                        raise ValueError(one.words)
                    told = _told(one, of, read.contacts.region)
                    if (customer := await _note(taking, told, report, dry_run=dry_run)) is not None:
                        report.alike.append((one.number, customer))
                        report.problems.append((one.number, ALIKE))
                        refused.add([one.raw])
                except (ValueError, RelaydeskError) as error:
                    report.problems.append((one.number, str(error)))
                    refused.add([one.raw])
        refused.close()
    return report


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """What lines need not say themselves: kind and source, and in which zone their clocks go."""

    always: Mapping[str, str]
    zone: ZoneInfo

    def moment(self, given: object) -> object:
        """A time with its offset; what is none is left for the reader to refuse."""
        if not isinstance(given, str):
            return given
        try:
            at = datetime.fromisoformat(given)
        except ValueError:
            return given
        return at.isoformat() if at.tzinfo is not None else at.replace(tzinfo=self.zone).isoformat()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """One line as it is noted: under which key, and whether that is its own."""

    whom: Whom
    fact: Fact
    key: str
    said: bytes
    has_key: bool


def _told(line: Line, of: _Reading, region: str | None) -> _Told:
    """What a line says. Raises ValueError that says what would do."""
    from bot import times
    from bot.facts import NAMED, named
    from domain import facts as reading

    given: dict[str, Any] = {**of.always, **line.given}
    key = given.pop("key", None)
    if key is not None and (not isinstance(key, str) or not key.strip() or len(key) > reading.LONGEST_REFERENCE):
        raise ValueError(f"key: give a text of 1 to {reading.LONGEST_REFERENCE} characters")
    if not given.get("at"):
        raise ValueError("at: say when it was, such as 2026-11-22 or 2026-11-22T09:30:00+01:00")
    given["at"] = of.moment(given["at"])
    if isinstance(given.get("kind"), str):
        given["kind"] = given["kind"].casefold()
    whom = named({name: value for name, value in given.items() if name in NAMED}, region)
    fact = reading.read({name: value for name, value in given.items() if name not in NAMED}, times.real())
    said = json.dumps(given, sort_keys=True, ensure_ascii=False).encode()
    name = f"import:{fact.source}:{key}" if key else f"import:{hashlib.sha256(said).hexdigest()}"
    return _Told(whom=whom, fact=fact, key=name, said=said, has_key=bool(key))


async def _note(taking: Facts, told: _Told, report: Report, *, dry_run: bool) -> str | None:
    """Note one fact, or only look; gives the customer with whom one like it stands already. Raises RelaydeskError."""
    from bot.cli.stores import os_user
    from domain.model import Actor, ActorKind

    customer, is_known = await taking.preview(told.whom, told.key, told.said)
    if is_known:
        report.counts["same"] += 1
        return None
    if customer is not None and not told.has_key and await taking.alike(customer, told.fact):
        return customer
    if not dry_run:
        actor = Actor(kind=ActorKind.OPERATOR, id=os_user()[:40])
        await taking.note(told.whom, told.fact, actor, way="import", key=told.key, said=told.said)
        crashpoints.reach("in_import")
    report.counts["new"] += 1
    report.counts["entered"] += customer is None
    return None


def _facts(opened: Stores) -> Facts:
    from bot import times
    from bot.facts import Facts

    return Facts(
        database=opened.database,
        record=opened.record,
        contacts=opened.contacts,
        links=opened.links,
        keys=opened.fact_keys,
        rules=None,
        now=times.real,
    )


def _tell(file: Path, listed: Listed, report: Report, *, dry_run: bool) -> None:
    if listed.heading:
        rows = [(target, f"column {place + 1}") for place, target in sorted(listed.fields.items())]
        table("field", "from", rows=rows + [("left out; --map makes something of it", one) for one in listed.left_out])
    counts = report.counts
    people = f"; {counts['entered']} people enter with them" if counts["entered"] else ""
    if dry_run:
        say(f"{counts['new']} would be new, {counts['same']} are here already{people}. Nothing was written.")
    else:
        say(f"{counts['new']} are new, {counts['same']} were here already{people}.")
    tell_problems(file, report.problems, rejected=None if dry_run else rejected(file))
