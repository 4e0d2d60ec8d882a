"""What only shows when settings are looked at together, or beside the environment they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from rapidfuzz import fuzz, process
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bot import settings_alerts, settings_secrets
from bot.settings_problems import Problem
from bot.settings_root import Settings
from bot.settings_secrets import PREFIX
from domain import sla
from storage import tls

CONFIG_VARIABLE: Final = "RELAYDESK_CONFIG"
_TYPO: Final = 88
"""From here on (of 100) an unknown variable is taken for a misspelt one of ours."""


def together(settings: Settings) -> list[Problem]:
    """What is wrong with settings that are right one by one."""
    found = []
    if settings.clock.source and not settings.sandbox:
        found.append(
            Problem(
                at=("clock", "source"),
                says="is set while telegram.base_url or slack.base_url is not on this machine; "
                "the fast clock is for the sandbox: remove clock.source",
            )
        )
    names = [rule.name for rule in settings.routing]
    found += [
        Problem(at=("routing", place, "name"), says=f'"{name}" is the name of an earlier rule too; rename one')
        for place, name in enumerate(names)
        if name and name in names[:place]
    ]
    if not (settings.web.is_loopback or settings.web.behind_tls):
        says = (
            "lets others reach the web server, which speaks plain http: keep 127.0.0.1 behind a proxy on this machine, "
            "or set web.behind_tls: true where a proxy in front ends TLS and nobody else reaches web.port"
        )
        found.append(Problem(at=("web", "host"), says=says))
    found += settings_alerts.problems(settings.alerts, settings.slack.ops_channel, settings.sla.calendars)
    found += _policies(settings)
    if settings.telegram.enabled and settings.telegram.deaf_after <= settings.telegram.poll_timeout:
        says = "must be longer than telegram.poll_timeout: a quiet poll is not deaf"
        found.append(Problem(at=("telegram", "deaf_after"), says=says))
    if settings.telegram.enabled and settings.telegram.mode == "webhook":
        url = settings.telegram.webhook_url
        if url is None:
            found.append(
                Problem(
                    at=("telegram", "webhook_url"),
                    says="is missing; mode webhook needs the public https address",
                )
            )
        elif url.startswith("http:") and not settings.sandbox:
            found.append(Problem(at=("telegram", "webhook_url"), says="is plain http; Telegram calls https only"))
    return found


def _policies(settings: Settings) -> list[Problem]:
    """Policies that count in no calendar, or promise what one of theirs cannot reach."""
    found: list[Problem] = []
    calendars = {name: calendar.build(name) for name, calendar in settings.sla.calendars.items()}
    of_queues = [queue.calendar or settings.sla.calendar for queue in settings.queues.values()]
    for name, policy in settings.sla.policies.items():
        at = ("sla", "policies", name)
        used = [policy.calendar] if policy.calendar else of_queues
        if None in used:
            says = "has no calendar, and not every queue has one; name one here or under sla.calendar"
            found.append(Problem(at=(*at, "calendar"), says=says))
        known = [calendars[word] for word in dict.fromkeys(used) if word in calendars]
        lines = dict.fromkeys(line for calendar in known for line in sla.problems(policy.build(name), calendar))
        found += [Problem(at=at, says=line.partition(": ")[2]) for line in lines]
    return found


def stores(settings: Settings) -> list[Problem]:
    """What is wrong with where record, keys and master key are to live; paths are absolute by now."""
    found = []
    for name, url in (("database", settings.database_url), ("keystore", settings.keystore_url)):
        if not url.startswith(("postgresql+asyncpg://", "sqlite:///")):
            found.append(Problem(at=(name, "url"), says="must begin with postgresql+asyncpg:// or sqlite:///"))
        elif url.startswith("postgresql") and (wrong := _unsafe(url, getattr(settings, name).tls)):
            found.append(Problem(at=(name, "url"), says=wrong))
    if not found and settings.database_url == settings.keystore_url:
        found.append(
            Problem(
                at=("keystore", "url"),
                says="is the database itself; keys need a store of their own: another file or database",
            )
        )
    elif (
        not found
        and settings.database_url.startswith("postgresql")
        and not (settings.keystore.url or settings.secrets.keystore_url)
    ):
        found.append(
            Problem(
                at=("keystore", "url"),
                says="is missing; with PostgreSQL name a second database for the keys in RELAYDESK_KEYSTORE_URL",
            )
        )
    if settings.keys.master_file.is_relative_to(settings.data_dir):
        found.append(
            Problem(
                at=("keys", "master_file"),
                says="lies inside data_dir, so that a copy of the data would carry its key; choose a folder outside",
            )
        )
    return found


def _unsafe(url: str, tls_by: str) -> str | None:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "is no address of a database; write postgresql+asyncpg://user@host/name"
    return tls.problem(parsed, elsewhere=tls_by == "elsewhere")


def misspelt(variables: Mapping[str, str], sections: Iterable[str]) -> list[str]:
    """Variables of ours that nobody reads, where it is clear which one was meant."""
    known = [settings_secrets.variable(name) + suffix for name in settings_secrets.NAMES for suffix in ("", "_FILE")]
    known += [CONFIG_VARIABLE, *(PREFIX + name.upper() for name in sections)]
    lines = []
    for name in sorted(variables):
        if name.startswith(PREFIX) and "__" not in name and name not in known:
            best = process.extractOne(name, known, scorer=fuzz.ratio, score_cutoff=_TYPO)
            if best:
                lines.append(f"environment: {name}: nothing is called so; did you mean {best[0]}?")
    return lines
