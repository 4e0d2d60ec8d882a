"""`relaydesk sla simulate --policy new.yaml --since 30d`: recorded history under another policy or calendar."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli.terminal import DEFAULT_CONFIG, AsJson, ConfigFile, guarded, progress, say, show_json, table, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot.settings import Settings
    from bot.settings_sla import SlaSettings
    from domain.replay import Case, Report, Terms
    from domain.rulebook import Rulebook
    from handlers.frame import Context
    from storage.replay import Recorded

LISTED = 10
"""Changes that the table names one by one."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SINCE = re.compile(r"(\d{1,4})\s*([dwh])")

PolicyFile = Annotated[
    Path,
    typer.Option("--policy", metavar="FILE", help="YAML as under `sla:`; what it names replaces what is in force."),
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="How far back: 30d, 4w, 12h.")]
Page = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the comparison as one page.")]


@guarded
def simulate(
    policy: PolicyFile,
    since: Since = "30d",
    page: Page = None,
    path: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Replay recorded conversations under other terms: what would have been met and missed. Changes nothing."""
    from bot import settings
    from bot.cli import stores

    span = span_of(since)
    read = settings.load(path)
    tried = _tried(read, policy)

    async def work() -> tuple[Report, Context]:
        from bot.cli import people, rules
        from domain.roles import Act
        from storage import replay as recorded

        async with stores.existing(read) as opened:
            await people.allowed(read, opened, Act.SEE, "conversations")
            hidden = people.hidden(read)
            context = await rules.context(read, opened)
            begin = context.now - span
            await stores.audited(opened, "sla.simulate", "conversations", f"since {begin.date()}")
            after = _rules(context.rules, read, tried)
            total = max(1, await recorded.count(opened.database, begin))
            found: list[Recorded] = []
            async for some in recorded.pages(opened.database, begin):
                found += [one for one in some if one.conversation.queue not in hidden]
        with progress("Replaying") as shown:
            report = _compare(found, context, after, span, lambda done: shown(done / total))
        return report, context

    report, context = asyncio.run(work())
    if page is not None:
        from bot import replay_page

        page.write_text(replay_page.render(report, policy.name, context.now - span, context.now), encoding="utf-8")
    if as_json:
        show_json(_plain(report))
    else:
        _tell(report, context.now - span)
        if page is not None:
            say(f"The page is {page}.")


def span_of(text: str) -> timedelta:
    """`30d`, `4w` or `12h` as a length. Raises BadParameter."""
    match = _SINCE.fullmatch(text.strip().lower())
    if match is None or not int(match[1]):
        raise typer.BadParameter(f"{text!r} is not a time: write 30d, 4w or 12h")
    return int(match[1]) * {"d": timedelta(days=1), "w": timedelta(weeks=1), "h": timedelta(hours=1)}[match[2]]


def _tried(settings: Settings, file: Path) -> SlaSettings:
    """The `sla:` part with the file's words in it. Raises ConfigError, a line per mistake."""
    from pydantic import ValidationError

    from bot import settings_file, settings_problems, settings_references
    from bot.settings_sla import SlaSettings
    from domain.errors import ConfigError

    given = settings_file.read(file)
    given = given.get("sla", given)
    if not isinstance(given, dict):
        raise ConfigError(f"{file}: holds no policies; write what stands under `sla:` in config.yaml")
    now = settings.sla.model_dump(mode="json", exclude_none=True)
    merged: dict[str, Any] = {**now, **given}
    for name in ("calendars", "policies"):
        own = given.get(name) or {}
        merged[name] = {**now[name], **own} if isinstance(own, dict) else own
    try:
        tried = SlaSettings.model_validate(merged)
    except ValidationError as error:
        lines = [
            f"{file}: {'.'.join(str(step) for step in one['loc'])}: {str(one['msg']).removeprefix('Value error, ')}"
            for one in error.errors()
        ]
        raise ConfigError(*lines) from None
    queues = {name: queue.model_dump(mode="json", exclude_none=True) for name, queue in settings.queues.items()}
    data = {
        "sla": tried.model_dump(mode="json", exclude_none=True),
        "queues": queues,
        "default_queue": settings.default_queue,
        "triage_queue": settings.triage_queue,
        "routing": [{"queue": settings.default_queue}],
        "telegram": {"name": settings.telegram.name},
    }
    problems: list[settings_problems.Problem] = settings_references.check(data)
    if problems:
        raise ConfigError(*(problem.line(str(file)) for problem in problems))
    return tried


def _rules(rules: Rulebook, settings: Settings, tried: SlaSettings) -> Rulebook:
    """The company's rules with the other terms in them."""
    from dataclasses import replace

    from bot import settings_rulebook
    from domain.rulebook import PolicyRule

    return replace(
        rules,
        policies={name: policy.build(name) for name, policy in tried.policies.items()},
        policy_versions={},
        policy_rules=tuple(
            PolicyRule(when=settings_rulebook.condition(rule.when), policy=rule.policy) for rule in tried.rules
        ),
        calendars={name: calendar.build(name) for name, calendar in tried.calendars.items()},
        default_calendar=tried.calendar or settings.sla.calendar,
    )


def _compare(
    found: list[Recorded], context: Context, after: Rulebook, span: timedelta, seen: Callable[[int], None]
) -> Report:
    from domain import replay

    def cases() -> Iterator[Case]:
        for one in found:
            before = terms_of(one, context.rules)
            if before is not None:
                yield replay.Case(
                    number=one.conversation.number,
                    history=one.history,
                    before=before,
                    after=_terms_after(one, context, after),
                )

    return replay.compare(cases(), context.now - span, context.now, seen)


def terms_of(one: Recorded, rules: Rulebook) -> Terms | None:
    """What a conversation was promised; None where no policy counts for it."""
    from domain import replay, sla

    known = rules.terms(sla.policy_named(one.history) or one.conversation.policy or "")
    if known is None:
        return None
    return replay.Terms(policy=known[0], calendar=known[1], known=rules.terms)


def _terms_after(one: Recorded, context: Context, rules: Rulebook) -> Terms:
    """The policy that the other rules give this conversation, as it stands now; earlier policies by their names."""
    from dataclasses import replace as changed

    from domain import replay
    from domain.calendar import Calendar
    from domain.sla import Policy
    from handlers import frame

    conversation = one.conversation
    then = changed(context, rules=rules, now=conversation.opened_at)
    policy = rules.policies[frame.policy_for(then, conversation, one.segments)]

    def known(reference: str) -> tuple[Policy, Calendar] | None:
        earlier = rules.policies.get(reference.partition("@")[0])
        return None if earlier is None else (earlier, rules.calendar_of(earlier, conversation.queue))

    return replay.Terms(policy=policy, calendar=rules.calendar_of(policy, conversation.queue), known=known)


def percent(share: float | None) -> str:
    """A share as people read it, a dash where there is none."""
    return "-" if share is None else f"{share:.1%}"


def _tell(report: Report, begin: Any) -> None:  # noqa: ANN401 -- a moment, imported late
    say(f"{report.conversations} conversations since {when(begin)} UTC. Nothing was changed.")
    rows = [
        (
            policy,
            metric.value.replace("_", " "),
            percent(tally.share_before),
            percent(tally.share_after),
            str(tally.added),
            str(tally.removed),
        )
        for (policy, metric), tally in sorted(report.tallies.items())
    ]
    total = report.total
    rows.append(
        ("all", "", percent(total.share_before), percent(total.share_after), str(total.added), str(total.removed))
    )
    headings = ("policy", "clock", "met now", "met then", "breaches added", "removed")
    table(*headings, rows=rows, right=(2, 3, 4, 5))
    hours = _hours(report)
    if hours:
        say("Missed clocks by the hour they began in:")
        table("hour", "now", "then", rows=hours, right=(1, 2))
    if report.changes:
        say("Which ones change:")
        table(
            "conversation",
            "clock",
            "breach",
            "due now",
            "due then",
            rows=[
                (
                    f"#{one.number}",
                    one.metric.value.replace("_", " "),
                    "added" if one.added else "removed",
                    when(one.due_before),
                    when(one.due_after),
                )
                for one in report.changes[:LISTED]
            ],
        )


def _hours(report: Report) -> list[tuple[str, str, str]]:
    """The hours of the week in which something is missed, the worst first."""
    found = [
        (max(before, after), day, hour, before, after)
        for day in range(7)
        for hour in range(24)
        if (before := report.missed_before[day][hour]) + (after := report.missed_after[day][hour])
    ]
    worst = sorted(found, key=lambda one: (-one[0], one[1], one[2]))[:LISTED]
    return [(f"{DAYS[day]} {hour:02}:00", str(before), str(after)) for _, day, hour, before, after in worst]


def _plain(report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    total = report.total
    return {
        "conversations": report.conversations,
        "met_before": total.share_before,
        "met_after": total.share_after,
        "breaches_added": total.added,
        "breaches_removed": total.removed,
        "by_policy": [
            {"policy": policy, "metric": metric.value, **asdict(tally)}
            for (policy, metric), tally in sorted(report.tallies.items())
        ],
        "missed_before_by_hour": report.missed_before,
        "missed_after_by_hour": report.missed_after,
        "changes": [asdict(change) for change in report.changes],
    }
