"""`relaydesk sla report --since 30d`: what was promised and how it came out, breaches and excuses side by side."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import simulate
from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, guarded, progress, say, show_json, table, when

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime, timedelta

    from domain.sla_report import Breach, Judged, Line, Report
    from handlers.frame import Context
    from storage.outcomes import Outcomes
    from storage.replay import Recorded

LISTED = 20
"""Breaches that the table names one by one."""


class Group(StrEnum):
    """What the report is laid out by."""

    POLICY = "policy"
    QUEUE = "queue"
    PRIORITY = "priority"
    CHANNEL = "channel"
    ASSIGNEE = "assignee"


By = Annotated[Group, typer.Option("--by", help="What the lines are for.")]


@guarded
def report(
    since: simulate.Since = "30d", by: By = Group.POLICY, path: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False
) -> None:
    """Say which deadlines were met, late or missed, how conversations ended and how customers found it. Audited."""
    from bot import settings
    from bot.cli import stores

    span = simulate.span_of(since)
    read = settings.load(path)

    async def work() -> tuple[Report, Outcomes, datetime]:
        from bot.cli import people, rules
        from domain import sla_report
        from domain.roles import Act
        from storage import outcomes
        from storage import replay as recorded

        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.SEE, "conversations")
            hidden = people.hidden(read)
            context = await rules.context(read, opened)
            begin = context.now - span
            await stores.audited(opened, "sla.report", "conversations", f"since {begin.date()}")
            total = max(1, await recorded.count(opened.database, begin))
            with progress("Reading") as shown:
                pages = recorded.pages(opened.database, begin)
                found = [one async for one in _judged(pages, context, shown, total) if one.queue not in hidden]
            ended = await outcomes.since(opened.database, begin, hidden)
            return sla_report.report(found, begin, by.value), ended, begin

    made, ended, begin = asyncio.run(work())
    if as_json:
        show_json(_plain(made, by) | {"outcomes": ended.ends, "satisfaction": ended.ratings})
    else:
        _tell(made, by, begin)
        _tell_ended(ended)


async def _judged(
    pages: AsyncIterator[list[Recorded]], context: Context, shown: Callable[[float], None], total: int
) -> AsyncIterator[Judged]:
    from domain import promises, sla_report

    seen = 0
    async for page in pages:
        for one in page:
            terms = simulate.terms_of(one, context.rules)
            if terms is not None:
                conversation = one.conversation
                yield sla_report.Judged(
                    number=conversation.number,
                    clocks=promises.all_clocks(one.history, terms.policy, terms.calendar, context.now, terms.known),
                    calendar=terms.calendar,
                    excuses=one.excuses,
                    queue=conversation.queue,
                    channel=conversation.channel,
                    assignee=conversation.assignee or "",
                )
        seen += len(page)
        shown(seen / total)


def _tell(made: Report, by: Group, begin: datetime) -> None:
    say(f"{made.conversations} conversations since {when(begin)} UTC.")
    if made.lines:
        _tell_lines(made, by)
    else:
        say("No deadline of that time has come out yet.")
    if made.promises:
        say("What agents promised by themselves, apart from the policies:")
        table(
            *(by.value, "kept", "late", "broken", "excused", "kept %", "excused aside"),
            rows=[(group, *_counts(line)) for group, line in sorted(made.promises.items())],
            right=range(1, 7),
        )
    if made.undeliverable:
        say(f"{made.undeliverable} more ended undeliverable: an answer was written and could not reach the customer.")
    if made.breaches:
        say("Breaches, newest first:" if len(made.breaches) <= LISTED else f"The newest {LISTED} breaches:")
        rows = [_row(one) for one in made.breaches[:LISTED]]
        table("conversation", "clock", "due", "ended", "excused by", "because", rows=rows)


def _counts(line: Line) -> tuple[str, ...]:
    counts = (line.met, line.late, line.missed, line.excused)
    return (*map(str, counts), simulate.percent(line.share), simulate.percent(line.share_unexcused))


def _tell_lines(made: Report, by: Group) -> None:
    headings = (by.value, "clock", "met", "late", "missed", "excused", "met %", "excused aside")
    table(
        *headings,
        rows=[
            (group, metric.value.replace("_", " "), *_counts(line))
            for (group, metric), line in sorted(made.lines.items())
        ],
        right=range(2, 8),
    )
    say("How long it took, half of them and nine of ten, in open time and on the wall:")
    table(
        by.value,
        "clock",
        "open: half",
        "9 of 10",
        "wall: half",
        "9 of 10",
        rows=[
            (group, metric.value.replace("_", " "), *(_length(one) for one in _lengths(line)))
            for (group, metric), line in sorted(made.lines.items())
            if line.open_time
        ],
        right=range(2, 6),
    )


def _tell_ended(ended: Outcomes) -> None:
    """How conversations ended, and what customers said of it."""
    for said, counts in (("How they ended:", ended.ends), ("How customers found it:", ended.ratings)):
        if counts:
            say(said)
            rows = [(name.replace("_", " "), str(count)) for name, count in sorted(counts.items())]
            table("", "conversations", rows=rows, right=(1,))


def _row(one: Breach) -> tuple[str, ...]:
    return (
        f"#{one.number}",
        one.metric.value.replace("_", " "),
        when(one.due_at),
        "-" if one.stopped_at is None else when(one.stopped_at),
        one.excuse.by if one.excuse else "-",
        one.excuse.reason.replace("_", " ") if one.excuse else "-",
    )


def _lengths(line: Line) -> tuple[timedelta | None, ...]:
    from domain import sla_report

    return tuple(
        sla_report.percentile(lengths, share) for lengths in (line.open_time, line.wall_time) for share in (0.5, 0.9)
    )


def _length(spent: timedelta | None) -> str:
    from bot import explain

    return "-" if spent is None else explain.length(spent)


def _plain(made: Report, by: Group) -> dict[str, Any]:
    names = ("open_p50_s", "open_p90_s", "wall_p50_s", "wall_p90_s")
    return {
        "conversations": made.conversations,
        "by": by.value,
        "lines": [
            {
                "group": group,
                "metric": metric.value,
                "met": line.met,
                "late": line.late,
                "missed": line.missed,
                "excused": line.excused,
                "share_met": line.share,
                "share_met_excused_aside": line.share_unexcused,
                **{
                    name: None if spent is None else spent.total_seconds()
                    for name, spent in zip(names, _lengths(line), strict=True)
                },
            }
            for (group, metric), line in sorted(made.lines.items())
        ],
        "promises": [
            {
                "group": group,
                "kept": line.met,
                "late": line.late,
                "broken": line.missed,
                "excused": line.excused,
                "share_kept": line.share,
                "share_kept_excused_aside": line.share_unexcused,
            }
            for group, line in sorted(made.promises.items())
        ],
        "undeliverable": made.undeliverable,
        "breaches": [
            {
                "number": one.number,
                "metric": one.metric.value,
                "instance": one.instance,
                "due": one.due_at,
                "ended": one.stopped_at,
                "excused_by": one.excuse.by if one.excuse else None,
                "excused_at": one.excuse.at if one.excuse else None,
                "reason": one.excuse.reason if one.excuse else None,
            }
            for one in made.breaches
        ],
    }
