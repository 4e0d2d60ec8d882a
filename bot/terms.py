"""What was promised under which rules: versions of policies, and calendars whose edits count from then on.

The newest version is what config.yaml says. A start that finds a policy or calendar changed keeps the new version
beside the old ones. Conversations name the version of their policy; a calendar is one, with its past.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from bot.settings_sla import CalendarSettings, PolicySettings, SlaSettings
from domain.calendar import Calendar
from domain.errors import RefusedToStart
from domain.sla import Policy
from storage import terms
from storage.database import Database
from storage.terms import Term

if TYPE_CHECKING:
    from storage.engines import Connection


_Section = TypeVar("_Section", PolicySettings, CalendarSettings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """Policies as configured, with their versions; every version ever, by reference; calendars with their past."""

    policies: Mapping[str, Policy]
    versions: Mapping[str, Policy]
    calendars: Mapping[str, Calendar]


async def remember(database: Database, settings: SlaSettings, now: datetime) -> Terms:
    """Keep what config.yaml says if it is new, from `now` on, and return everything that is known."""
    for _ in range(3):  # another process may add its version at the same moment
        known = await _known(database)
        added = new(known, settings, now)
        if not added:
            break

        async def work(conn: Connection, rows: Sequence[Term] = added) -> None:
            await terms.add(conn, rows)

        await database.write(work)
    return read(known, settings, now)


async def recall(database: Database, settings: SlaSettings, now: datetime) -> Terms:
    """What is known, without writing: what config.yaml says beyond it counts as the next version."""
    return read(await _known(database), settings, now)


async def _known(database: Database) -> list[Term]:
    async with database.read() as conn:
        return await terms.load(conn)


def new(known: Sequence[Term], settings: SlaSettings, now: datetime) -> list[Term]:
    """The versions that config.yaml adds to what is known."""
    newest = {(term.kind, term.name): term for term in known}
    added = []
    for kind, name, content in _written(settings):
        before = newest.get((kind, name))
        digest = sha256(content.encode()).hexdigest()
        if before is None or before.digest != digest:
            version = before.version + 1 if before else 1
            added.append(Term(kind=kind, name=name, version=version, digest=digest, content=content, since=now))
    return added


def read(known: Sequence[Term], settings: SlaSettings, now: datetime) -> Terms:
    """Policies and calendars from their versions, those that config.yaml adds included."""
    versions: dict[str, Policy] = {}
    policies: dict[str, Policy] = {}
    calendars: dict[str, Calendar] = {}
    for term in [*known, *new(known, settings, now)]:
        if term.kind == terms.POLICY:
            policy = _read(PolicySettings, term).build(term.name, term.version)
            versions[policy.reference] = policy
            if term.name in settings.policies:
                policies[term.name] = policy
        else:
            calendar = _read(CalendarSettings, term).build(term.name)
            before = calendars.get(term.name)
            calendars[term.name] = calendar if before is None else calendar.following(before, term.since)
    return Terms(policies=policies, versions=versions, calendars=calendars)


def _read(section: type[_Section], term: Term) -> _Section:
    try:
        return section.model_validate_json(term.content)
    except ValueError as error:
        raise RefusedToStart(
            f"version {term.version} of the {term.kind} '{term.name}', which conversations were promised, "
            f"cannot be read by this release ({type(error).__name__}): start the release that wrote it"
        ) from None


def _written(settings: SlaSettings) -> list[tuple[str, str, str]]:
    policies = [(terms.POLICY, name, _json(policy)) for name, policy in settings.policies.items()]
    return policies + [(terms.CALENDAR, name, _json(one)) for name, one in settings.calendars.items()]


def _json(section: BaseModel) -> str:
    return json.dumps(section.model_dump(mode="json"), sort_keys=True)
