"""Keeps the list of agents, read from the desk's user groups: work can be given to people who have not clicked yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from domain.errors import DeliveryError, NotYet
from storage.agents import Roster

log = structlog.get_logger()

REFRESH_S = 300.0  # as long as the desk remembers a group
ASK_AGAIN_S = 10.0

Team = Callable[[], Awaitable[Mapping[str, Sequence[str]]]]


async def keep(roster: Roster, team: Team, changed: asyncio.Event) -> None:
    """Write down who is an agent: now, when a group changes, and every few minutes. Until cancelled."""
    while True:
        changed.clear()
        pause = REFRESH_S
        try:
            await roster.welcome(await team())
        except (NotYet, DeliveryError) as error:
            log.warning("roster.not_read", error=type(error).__name__)
            pause = ASK_AGAIN_S
        except (SQLAlchemyError, OSError) as error:
            log.error("roster.not_written", error=type(error).__name__)
            pause = ASK_AGAIN_S
        await times.until(changed, pause)
