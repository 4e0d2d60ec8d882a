"""`relaydesk privacy`: what the law gives customers, and what it asks of the company."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bot.cli import access
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
from domain.errors import RefusedToStart, RelaydeskError

if TYPE_CHECKING:
    from bot.export import Package
    from bot.opening import Stores
    from bot.settings import Settings
    from domain.cases import Case
    from domain.erasure import Receipt
    from domain.retention import Taken
    from storage.holds import Hold

app = typer.Typer(
    help="Export or erase a customer, show receipts, place and release legal holds.", no_args_is_help=True
)

T = TypeVar("T")

LONGEST_REASON = 200
LOOK_EVERY_S = 1.0

Who = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Our id, a whole name, @user name or chat id.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the clear, so name no person.")]


app.command("incident", short_help="Whose data a leak touches, for the notification.")(access.incident)


@app.callback()
def privacy() -> None:
    """Export or erase a customer, show receipts, place and release legal holds."""


@app.command(short_help="Erase a customer for good; cannot be undone.")
@guarded
def erase(
    customer: Who,
    reason: Reason,
    path: ConfigFile = DEFAULT_CONFIG,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")] = False,
    wait: Annotated[int, typer.Option("--wait", min=0, help="Seconds to wait for Slack and the receipt.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Erase a customer for good: the key, the hashes, the search index, our posts in Slack. Cannot be undone."""
    from bot import settings

    read, why = settings.load(path), _reason(reason)
    receipt = asyncio.run(_erase(read, customer, why, yes=yes, wait=wait))
    if as_json:
        show_json(_as_dict(receipt))
        return
    _tell(receipt)
    if receipt.finished_at is None:
        advise("The running bot finishes it. See later: relaydesk privacy receipts " + receipt.id)


async def _erase(read: Settings, customer: str, why: str, *, yes: bool, wait: int) -> Receipt:
    import os

    from bot import crashpoints, times
    from bot.cli import people, stores
    from domain.roles import Act

    crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
    async with stores.existing(read) as opened:
        who = await people.one_person(opened, customer)
        actor = await people.allowed(read, opened, Act.ERASE, f"customer:{who}")
        if not yes:
            say(f"Customer {who} will be erased for good. This cannot be undone.")
            if _typed("Type the id to go on") != who:
                raise RefusedToStart("this id was not typed: nothing was erased (a script gives --yes)")
        also = (await opened.links.members(who))[1:]
        if also:
            say(f"They are one person with {', '.join(also)}: that is erased with them.")
        erasure = await opened.erasures.begin(who, actor=actor, reason=why, now=times.real())
        limit = time.monotonic() + wait
        for one in await opened.erasures.unfinished() if also else ():
            if (await opened.erasures.receipt(one)).customer_id in also:
                await opened.erasures.go_on(one, times.real())
        receipt = await opened.erasures.go_on(erasure, times.real())
        while receipt.finished_at is None and time.monotonic() < limit:
            await asyncio.sleep(LOOK_EVERY_S)
            receipt = await opened.erasures.go_on(erasure, times.real())
        return receipt


def _typed(prompt: str) -> str:
    """What is typed; nothing where nobody is there to type, or who is there goes away."""
    try:
        return str(typer.prompt(prompt)).strip()
    except typer.Abort:
        say()
        return ""


@app.command(short_help="Write all that is kept about a customer into a zip.")
@guarded
def export(
    customer: Who,
    reason: Reason,
    to: Annotated[Path | None, typer.Option("--to", help="The zip to write; relaydesk-<id>.zip without it.")] = None,
    path: ConfigFile = DEFAULT_CONFIG,
    files: Annotated[
        bool, typer.Option("--files/--no-files", help="Fetch files that are not kept from the platforms.")
    ] = True,
) -> None:
    """Write everything that is kept about a customer into a zip: JSON, a page to read, files. Personal; audited."""
    from bot import settings

    read, why = settings.load(path), _reason(reason)
    target, package = asyncio.run(_export(read, customer, why, to, files=files))
    say(f"{target}: {len(package.content):,} bytes, {package.files} files" + _lacking(package.missing))
    say("It holds personal data in the clear: hand it over safely, then delete it.")


def _lacking(missing: int) -> str:
    return f"; {missing} files could not be had, the reasons stand in it" if missing else ""


async def _export(read: Settings, customer: str, why: str, to: Path | None, *, files: bool) -> tuple[Path, Package]:
    from bot import export as exports
    from bot import exporting, times
    from bot.cli import people, stores
    from domain.roles import Act

    async with stores.existing(read) as opened:
        who = await people.one_person(opened, customer)
        await people.allowed(read, opened, Act.EXPORT, f"customer:{who}")
        target = to or Path(f"relaydesk-{who}.zip")
        if target.exists():
            raise ExistsAlready(f"{target} is there already: remove it, or choose another name with --to")
        members = await opened.links.members(who)
        await stores.audited_all(opened, "privacy.export", [f"customer:{one}" for one in members], why)
        async with exporting.files_of(read, opened.attachments, wanted=files) as open_file:
            whole = await opened.dossiers.person(who)
            package = await exports.build(whole[0], times.real(), open_file, linked=whole[1:])
        await asyncio.to_thread(_write, target, package.content)
        return target, package


class ExistsAlready(RelaydeskError):
    """A file that would be overwritten."""


def _write(target: Path, content: bytes) -> None:
    """For its owner's eyes only, from the first byte on."""
    import os

    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


@app.command(short_help="All erasures and how far they are, or one receipt.")
@guarded
def receipts(
    erasure: Annotated[str | None, typer.Argument(metavar="ID", help="One erasure, in full.")] = None,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """All erasures and how far they are; with an id the whole receipt, checked against its proof."""

    async def ask(opened: Stores) -> list[tuple[Receipt, bool]]:
        """Each with whether it is genuine: asked of the one alone that is shown in full, once it is finished."""
        if erasure is None:
            return [(one, True) for one in await opened.erasures.receipts()]
        one = await opened.erasures.receipt(erasure)
        return [(one, one.finished_at is None or opened.erasures.is_genuine(one))]

    asked = _shown(path, "receipts", ask, lambda one: [one[0].customer_id])
    found = [one for one, _genuine in asked]
    if as_json:
        show_json([_as_dict(one) for one in found])
    elif erasure is not None:
        _tell(found[0])
    elif not found:
        say("Nobody was erased.")
    else:
        rows = [[one.id, when(one.requested_at), one.customer_id, one.actor, _state(one)] for one in found]
        table("id", "asked", "customer", "by", "state", rows=rows)
    if not all(genuine for _one, genuine in asked):
        complain("relaydesk: this receipt was changed after it was issued")
        raise typer.Exit(FAILED)


@app.command("cases", short_help="What customers ask about their data, and until when.")
@guarded
def cases_(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """What customers ask about their data: copies, erasures, corrections, complaints, and when each is due."""
    from dataclasses import asdict

    async def ask(opened: Stores) -> list[Case]:
        return await opened.cases.all()

    found = _shown(path, "cases", ask, lambda one: [one.customer_id])
    if as_json:
        show_json([asdict(one) for one in found])
    elif not found:
        say("Nobody has asked anything about their data.")
    else:
        rows = [
            [
                one.id,
                one.kind.value,
                one.state.value,
                when(one.due_at),
                one.customer_id,
                one.owner or "",
                one.decided_by or "",
            ]
            for one in found
        ]
        table("id", "asks for", "state", "due", "customer", "owner", "decided by", rows=rows)


@app.command(short_help="Say that you see to a request.")
@guarded
def take(
    case: Annotated[str, typer.Argument(metavar="CASE", help="As `privacy cases` shows it.")],
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Say that you see to a request: it stands beside it until it is decided."""
    from bot import settings

    if asyncio.run(_decide(settings.load(path), case, grant=None)) is None:
        complain(f"relaydesk: {case} waits for no decision; see: relaydesk privacy cases")
        raise typer.Exit(FAILED)
    say(f"Case {case} is yours.")


@app.command(short_help="Grant or refuse a request.")
@guarded
def decide(
    case: Annotated[str, typer.Argument(metavar="CASE", help="As `privacy cases` shows it.")],
    grant: Annotated[bool, typer.Option("--grant/--refuse", help="What you decide.")],
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Grant or refuse a request; the running bot does the rest and tells the customer."""
    from bot import settings

    state = asyncio.run(_decide(settings.load(path), case, grant=grant))
    if state is None:
        complain(f"relaydesk: {case} waits for no decision; see: relaydesk privacy cases")
        raise typer.Exit(FAILED)
    say(f"Case {case}: {'granted' if grant else 'not granted'}. The running bot does the rest.")


async def _decide(read: Settings, case_id: str, *, grant: bool | None) -> str | None:
    from bot import times
    from bot.cli import people, stores
    from bot.ids import new_id
    from domain.cases import Ruling
    from domain.changes import Changes
    from domain.roles import Act
    from handlers import cases
    from handlers.cases import NEEDS
    from storage import flush, outbox

    async with stores.existing(read) as opened:
        found = (await opened.cases.by_id([case_id])).get(case_id)
        if found is None or not found.state.is_waiting:
            return None
        actor = await people.allowed(read, opened, NEEDS.get(found.kind, Act.CORRECT), f"case:{case_id}")
        now = times.real()
        ruling = Ruling(case_id=case_id, granted=grant, by=actor, at=now)
        audit = ((ruling.word, f"case:{case_id}", found.kind.value),)
        place = read.privacy.channel or read.slack.ops_channel
        shown = (cases.posted(case_id, place, new_id()),) if place else ()
        changes = Changes(reason="ruled", rulings=(ruling,), outbox=shown, audit=audit)
        prepared = await opened.record.prepare([flush.Decision(id=new_id(), changes=changes, actor=actor)], now)
        await opened.database.write(
            lambda conn: flush.write(conn, prepared, opened.record.audit_key), wake=(outbox.SIGNAL,)
        )
        return "ruled"


@app.command(short_help="Take away what was kept long enough (--dry-run).")
@guarded
def retain(
    path: ConfigFile = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what and how many.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take away what was kept long enough, by the rules of the configuration; --dry-run says what it would be."""
    from bot import settings

    read = settings.load(path)
    taken, stages = asyncio.run(_retain(read, dry_run=dry_run))
    rows: list[dict[str, Any]] = [
        {
            "what": one.rule.what.value,
            "older_than_days": one.rule.age.days,
            "segments": sorted(one.rule.segments),
            "count": one.count,
            "oldest": one.oldest,
        }
        for one in taken
    ]
    if as_json:
        show_json({"dry_run": dry_run, "rules": rows, "customers": stages})
        return
    if not rows:
        say("retention.rules is empty and files.days is 0: everything stays.")
    else:
        cells = [
            [
                row["what"],
                str(row["older_than_days"]),
                ", ".join(row["segments"]),
                str(row["count"]),
                when(row["oldest"]) if row["oldest"] else "",
            ]
            for row in rows
        ]
        table("what", "older than days", "segments", "due" if dry_run else "taken", "oldest", rows=cells, right=(1, 3))
    say("Customers: " + (", ".join(f"{count} {stage}" for stage, count in stages.items()) or "none"))


async def _retain(read: Settings, *, dry_run: bool) -> tuple[list[Taken], dict[str, int]]:
    from bot import times
    from bot.cli import people, stores
    from domain.roles import Act

    rules = read.files.rules(read.retention)
    async with stores.existing(read) as opened:
        await people.allowed(read, opened, Act.ERASE, "retention")
        clock = times.Timekeeper(read.clock.source)
        await clock.start()
        now = clock.now()
        if dry_run:
            taken = await opened.retention.preview(rules, now)
        else:
            words = ", ".join(f"{one.what.value}>{one.age.days}d" for one in rules)
            await stores.audited(opened, "privacy.retain", "retention", words)
            taken = await opened.retention.apply(rules, now)
        stages = await opened.retention.stages(now)
        return taken, {stage.value: count for stage, count in stages.items()}


@app.command(short_help="Forbid that a customer is erased (a lawsuit, an authority).")
@guarded
def hold(
    customer: Who,
    reason: Reason,
    release: Annotated[bool, typer.Option("--release", help="Release the holds on this customer instead.")] = False,
    path: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Forbid that a customer is erased or touched by retention (a lawsuit, an authority); --release ends it."""
    from bot import settings, times
    from bot.cli import people, stores
    from bot.ids import new_id
    from domain.roles import Act

    read, why = settings.load(path), _reason(reason)

    async def work() -> tuple[str, int]:
        async with stores.existing(read) as opened:
            who = await people.one_person(opened, customer)
            actor = await people.allowed(read, opened, Act.HOLD, f"customer:{who}")
            if release:  # whichever of the records that are this person it was placed on
                gone, now = 0, times.real()
                for one in await opened.links.members(who):
                    gone += await opened.holds.release(one, actor=actor, reason=why, now=now)
                return who, gone
            await opened.holds.place(who, hold_id=new_id(), actor=actor, reason=why, now=times.real())
            return who, 1

    who, count = asyncio.run(work())
    if not release:
        say(f"Held: nothing of customer {who} is erased until the hold is released.")
    elif count:
        say(f"Released: {count} hold{'s' if count > 1 else ''} on customer {who}.")
    else:
        complain(f"relaydesk: nothing holds customer {who}")
        raise typer.Exit(FAILED)


@app.command("holds", short_help="Every legal hold that stands: on whom, by whom, why.")
@guarded
def holds_(path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Every legal hold that stands: on whom, since when, by whom, why, and who is covered as the same person."""
    from dataclasses import asdict

    async def ask(opened: Stores) -> list[Hold]:
        return await opened.holds.standing()

    found = _shown(path, "holds", ask, lambda one: [one.customer_id, *one.also])
    if as_json:
        show_json([asdict(one) for one in found])
    elif not found:
        say("Nobody is held.")
    else:
        rows = [[one.customer_id, when(one.placed_at), one.actor, one.reason, " ".join(one.also)] for one in found]
        table("customer", "since", "by", "why", "covers also", rows=rows)


def _shown(
    path: Path,
    what: str,
    ask: Callable[[Stores], Awaitable[list[T]]],
    customers: Callable[[T], Sequence[str]],
) -> list[T]:
    """What somebody who may review asked to see. Whose matters it is stands in the audit trail first."""
    from bot import settings
    from bot.cli import people, stores
    from domain.roles import Act

    async def work() -> list[T]:
        read = settings.load(path)
        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.REVIEW, what)
            found = await ask(opened)
            of = sorted({f"customer:{customer}" for one in found for customer in customers(one)})
            await stores.audited_all(opened, f"privacy.{what}", of)
            return found

    return asyncio.run(work())


def _reason(given: str) -> str:
    words = " ".join(given.split())
    if not 0 < len(words) <= LONGEST_REASON:
        raise typer.BadParameter(f"a reason has 1 to {LONGEST_REASON} characters")
    return words


def _state(receipt: Receipt) -> str:
    if receipt.finished_at is not None:
        return f"done {when(receipt.finished_at)}"
    return f"waits for Slack ({receipt.waiting} posts)" if receipt.waiting else "being done"


def _tell(receipt: Receipt) -> None:
    say(f"Erasure {receipt.id} of customer {receipt.customer_id}")
    say(f"  asked   {when(receipt.requested_at)} by {receipt.actor}: {receipt.reason}")
    say(f"  state   {_state(receipt)}")
    for name, count in receipt.counts.items():
        say(f"  {name:<15}{count:>7}")
    say(f"  {'Slack, deleted':<15}{receipt.deleted:>7}")
    for post in (*receipt.refused, *receipt.theirs):
        say(f"  Slack keeps {post.place} {post.ts}: {post.why}")
    if receipt.mac is not None:
        say(f"  proof   {receipt.mac}")


def _as_dict(receipt: Receipt) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(receipt)
