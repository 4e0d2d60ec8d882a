"""Chains the audit trail, and once a day checks it and gives its head to places where nobody here can change it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from bot.operator_lines import operator_notice
from domain.changes import Outgoing
from storage import audit, outbox, outgoing
from storage.database import Database
from storage.engines import Connection

log = structlog.get_logger()

EVERY_S: Final = 5.0
AFTER_TROUBLE_S: Final = 60.0
_HASH_DIGITS: Final = 64


class Sealer:
    """The loop over the audit trail. Runs in one process at a time, by a lease."""

    def __init__(
        self, database: Database, key: bytes, *, channel: str | None, file: Path | None, operator: str | None
    ) -> None:
        self._db = database
        self._key = key
        self._channel = channel
        self._file = file
        self._operator = operator
        self._day = ""

    async def run(self) -> None:
        """Chain until cancelled; check and post when a new day (UTC) has begun, and at the start."""
        while True:
            pause = EVERY_S
            try:
                if await self._db.write(lambda conn: audit.seal(conn, self._key)) == audit.SEALED_AT_ONCE:
                    continue
                now = times.real()
                if f"{now:%Y-%m-%d}" != self._day:
                    await self.daily(now)
                    self._day = f"{now:%Y-%m-%d}"
            except (SQLAlchemyError, OSError) as error:
                log.warning("audit.not_sealed", error=type(error).__name__)
                pause = AFTER_TROUBLE_S
            await asyncio.sleep(pause)

    async def daily(self, now: datetime) -> None:
        """Check the trail against the heads in our file, and give today's head away, once a day whatever restarts."""
        kept: list[tuple[str, audit.Head]] = []
        try:
            kept = await asyncio.to_thread(heads_in, self._file) if self._file else []
        except ValueError as error:
            log.error("audit.head_not_kept", error=str(error))
        report = await self._db.query(lambda conn: audit.verify(conn, self._key, [head for _, head in kept]))
        day = f"{now:%Y-%m-%d}"
        notices = []
        if report.problems:
            log.error("audit.broken", count=len(report.problems), first=report.problems[0].what)
            if self._operator:
                told: dict[str, str | None] = {"text": "audit_broken", "count": str(len(report.problems))}
                notices.append(operator_notice(self._operator, f"audit-broken:{day}", told))
        elif report.head is not None:
            if self._channel:
                count, chain = str(report.head.place), report.head.chain
                data: dict[str, str | None] = {"text": "audit_head", "day": day, "count": count, "chain": chain}
                notices.append(operator_notice(self._channel, f"audit-head:{day}", data))
            if self._file and day not in {written for written, _ in kept}:
                await asyncio.to_thread(_keep, self._file, day, report.head)
        if notices:
            await self._db.write(_posting(notices, now), wake=(outbox.SIGNAL,))


def heads_in(file: Path) -> list[tuple[str, audit.Head]]:
    """The heads that a file holds, with their days. A missing file holds none; raises ValueError for a bad line."""
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for number, line in enumerate(lines, 1):
        day, _, rest = line.partition(" ")
        place, _, chain = rest.partition(":")
        if not place.isdecimal() or len(chain) != _HASH_DIGITS:
            raise ValueError(f"{file}, line {number}: not of the form DAY PLACE:HASH")
        found.append((day, audit.Head(place=int(place), chain=chain)))
    return found


def _keep(file: Path, day: str, head: audit.Head) -> None:
    """Append a line and make it durable; a place that cannot be written is told and tried again tomorrow."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(f"{day} {head.place}:{head.chain}\n")
            opened.flush()
            os.fsync(descriptor)
    except OSError as error:
        log.error("audit.head_not_kept", error=type(error).__name__)


def _posting(notices: list[Outgoing], now: datetime) -> Callable[[Connection], Awaitable[None]]:
    async def work(conn: Connection) -> None:
        await outgoing.add(conn, notices, now)

    return work
