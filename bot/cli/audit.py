"""`relaydesk audit verify`: does the trail of who looked at what still hold."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.terminal import DEFAULT_CONFIG, FAILED, AsJson, ConfigFile, complain, guarded, say, show_json, table, when

if TYPE_CHECKING:
    from storage.audit import Head, Report

app = typer.Typer(help="Check the audit trail.", no_args_is_help=True)

_HEAD = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


@app.callback()
def audit() -> None:
    """Check the audit trail."""


@app.command()
@guarded
def verify(
    path: ConfigFile = DEFAULT_CONFIG,
    head: Annotated[
        list[str] | None, typer.Option("--head", metavar="PLACE:HASH", help="A head that was kept; may be repeated.")
    ] = None,
    heads: Annotated[Path | None, typer.Option("--heads", metavar="FILE", help="A file of heads, one a line.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check every entry and link, and that kept heads are in the chain. Exit 1 when something is not as it was written.

    Heads in `audit.head_file` are checked, too.
    """
    from bot import sealer, settings
    from bot.cli import stores
    from storage import audit as trail

    read = settings.load(path)
    known = [_parsed(one) for one in head or ()]
    for file in dict.fromkeys((heads, read.audit.head_file)):
        if file is not None:
            if file == heads and not file.is_file():
                raise typer.BadParameter(f"there is no file {file}")
            try:
                known += [one for _, one in sealer.heads_in(file)]
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None

    async def work() -> Report:
        async with stores.existing(read) as opened:
            key = opened.record.audit_key
            report = await opened.database.query(lambda conn: trail.verify(conn, key, known))
            found = f"{len(report.problems)} problems" if report.problems else "holds"
            await stores.audited(opened, "audit.verify", "audit", found)
            return report

    report = asyncio.run(work())
    if as_json:
        show_json(_as_json(report, len(known)))
    else:
        _show(report, len(known))
    if report.problems:
        complain("relaydesk: the audit trail does not hold")
        raise typer.Exit(FAILED)


def _parsed(given: str) -> Head:
    from storage.audit import Head

    match = _HEAD.fullmatch(given)
    if match is None:
        raise typer.BadParameter(f"{given!r} is not a head; it looks like 1204:5f3c... with 64 hex digits")
    return Head(place=int(match[1]), chain=match[2])


def _as_json(report: Report, heads: int) -> dict[str, object]:
    return {
        "holds": not report.problems,
        "chained": report.head.place if report.head else 0,
        "head": report.head.chain if report.head else None,
        "heads_checked": heads,
        "unsealed": report.unsealed,
        "oldest_unsealed": report.oldest_unsealed,
        "problems": [{"place": one.place, "entry": one.seq, "what": one.what} for one in report.problems],
    }


def _show(report: Report, heads: int) -> None:
    if report.problems:
        rows = [[str(one.place or "not chained"), str(one.seq or ""), one.what] for one in report.problems]
        table("place", "entry", "what is wrong", rows=rows, right=(0, 1))
        say()
    if report.head is not None:
        say(f"{report.head.place} entries are chained; {heads} kept heads were checked.")
        say(f"Head: {report.head.place}:{report.head.chain}")
    if report.oldest_unsealed is not None:
        say(f"{report.unsealed} entries are not chained yet, the oldest of {when(report.oldest_unsealed)}.")
        say("The running bot chains them within seconds.")
    if not report.problems:
        say("The audit trail holds.")
