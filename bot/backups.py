"""Makes backups in time. Each is made and proved by a process of its own, which gives way to everything else."""

from __future__ import annotations

import asyncio
import math
import sys
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot import times
from bot.operator_lines import operator_notice
from bot.settings import Settings
from domain.changes import Outgoing
from storage import backup, outbox, outgoing
from storage.database import Database
from storage.engines import Connection

log = structlog.get_logger()

LEASE: Final = "backup"
LOOK_EVERY_S: Final = 60.0
AFTER_FAILURE: Final = timedelta(minutes=30)


def places(settings: Settings) -> backup.Places:
    """Where backups go by the configuration."""
    given = settings.backup
    return backup.Places(
        record=given.record_to, keys=given.keys_to, keep_record=given.keep_record, keep_keys=given.keep_keys
    )


def is_due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    """Whether the last proved backup is too old, or none was proved.

    One that lies as far ahead was stamped by a clock that was wrong then: nobody waits until it lies behind.
    """
    return last is None or abs(now - last) >= every


class Backups:
    """The loop over the schedule. Runs in one process at a time, by a lease."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._db = database

    async def run(self) -> None:
        """Make a backup whenever the last proved one is old enough, until cancelled."""
        if not self._settings.backup.record_to:
            log.warning("backup.none_configured")
            await asyncio.Event().wait()
        not_before = times.steady()
        while True:
            try:
                last = await backup.last_verified(self._db)
                due = is_due(last, times.real(), self._settings.backup.every)
                if times.steady() >= not_before and due and not await self.once():
                    not_before = times.steady() + AFTER_FAILURE
                    await self._tell()
            except (SQLAlchemyError, OSError) as error:
                log.warning("backup.postponed", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY_S)

    async def once(self) -> bool:
        """Make and prove one backup in a process of its own; False when that failed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot.cli.main", "backup", "now", "--gently"),
            *("--config", str(self._settings.path)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await process.communicate()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise
        if process.returncode:
            log.error(
                "backup.failed", exit_code=process.returncode, reason=said.decode(errors="replace")[-500:].strip()
            )
            return False
        log.info("backup.made")
        return True

    async def age_s(self) -> float:
        """Seconds since a backup was last proved; NaN when none ever was, which no alarm takes for young."""
        last = await backup.last_verified(self._db)
        return math.nan if last is None else (times.real() - last).total_seconds()

    async def _tell(self) -> None:
        place, now = self._settings.slack.ops_channel, times.real()
        if place is None:
            return
        told: list[Outgoing] = [operator_notice(place, f"backup:{now:%Y-%m-%d}", {"text": "backup_failed"})]

        async def work(conn: Connection) -> None:
            await outgoing.add(conn, told, now)

        await self._db.write(work, wake=(outbox.SIGNAL,))
