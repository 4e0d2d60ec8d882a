"""What was promised stays known: versions of policies and calendars over restarts, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from bot import terms
from bot.settings_sla import SlaSettings
from domain.calendar import parse_duration
from domain.errors import RefusedToStart
from domain.model import Priority
from domain.sla import Metric
from storage import migrate, tables
from storage.database import Database
from storage.engines import Connection

MONDAY = datetime(2026, 6, 15, 7, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    async with Database.open(database_url) as database:
        await migrate.upgrade(database)
        yield database


def sla(first: str = "4h", closes: str = "17:00", **more: object) -> SlaSettings:
    given = {
        "calendars": {"office": {"tz": "UTC", "hours": {"mon-fri": [f"09:00-{closes}"]}}},
        "policies": {"standard": {"calendar": "office", "targets": {"low": {"first_response": first}}}},
        "rules": [{"policy": "standard"}],
    }
    return SlaSettings.model_validate(given | more)


async def test_an_unchanged_configuration_is_one_version(db: Database) -> None:
    """However often it starts, also two processes at once: version 1, written once."""
    both = await asyncio.gather(*(terms.remember(db, sla(), MONDAY) for _ in range(2)))
    again = await terms.remember(db, sla(), MONDAY + DAY)
    assert both[0].versions.keys() == both[1].versions.keys() == again.versions.keys() == {"standard@1"}


async def test_an_edited_policy_is_a_new_version_beside_the_old(db: Database) -> None:
    """Conversations that were promised four hours can still be told what four hours were."""
    await terms.remember(db, sla(), MONDAY)
    edited = await terms.remember(db, sla(first="1h"), MONDAY + DAY)
    assert edited.policies["standard"].reference == "standard@2"
    targets = {
        reference: policy.target(Metric.FIRST_RESPONSE, Priority.LOW) for reference, policy in edited.versions.items()
    }
    assert targets == {"standard@1": parse_duration("4h"), "standard@2": parse_duration("1h")}
    back = await terms.remember(db, sla(), MONDAY + DAY * 2)
    assert back.policies["standard"].reference == "standard@3", "back again is a version of its own"


async def test_an_edited_calendar_counts_from_its_edit_on(db: Database) -> None:
    """Monday's hours stay what they were; Wednesday has the new ones."""
    await terms.remember(db, sla(), MONDAY)
    office = (await terms.remember(db, sla(closes="12:00"), MONDAY + DAY)).calendars["office"]
    assert office.measure(MONDAY, MONDAY + DAY / 2) == timedelta(hours=8)
    assert office.measure(MONDAY + DAY * 2, MONDAY + DAY * 2.5) == timedelta(hours=3)


async def test_looking_writes_nothing(db: Database) -> None:
    """The command line sees what would be the next version, and leaves no trace of it."""
    await terms.remember(db, sla(), MONDAY)
    seen = await terms.recall(db, sla(first="1h"), MONDAY + DAY)
    assert seen.policies["standard"].version == 2
    assert (await terms.remember(db, sla(), MONDAY + DAY)).policies["standard"].version == 1


async def test_a_removed_policy_stays_known_and_is_not_configured(db: Database) -> None:
    """Its conversations can be explained; nobody new gets it."""
    await terms.remember(db, sla(), MONDAY)
    other = {"gold": {"calendar": "office", "targets": {"low": {"first_response": "1h"}}}}
    known = await terms.remember(db, sla(policies=other, rules=[{"policy": "gold"}]), MONDAY + DAY)
    assert set(known.policies) == {"gold"}
    assert set(known.versions) == {"standard@1", "gold@1"}


async def test_a_version_that_cannot_be_read_stops_the_start(db: Database) -> None:
    """Rather than promise something else: the line names the version."""
    await terms.remember(db, sla(), MONDAY)

    async def spoil(conn: Connection) -> None:
        await conn.execute(update(tables.terms).where(tables.terms.c.kind == "policy").values(content="{}"))

    await db.write(spoil)
    with pytest.raises(RefusedToStart, match="version 1 of the policy 'standard'"):
        await terms.remember(db, sla(), MONDAY)
