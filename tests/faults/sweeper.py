"""A process that only sweeps, to be killed: `python -m tests.faults.sweeper DATABASE_URL KEYS_URL SECONDS`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from bot import crashpoints, times
from bot.clock import Sweep
from domain.alerts import Level, Plan
from domain.calendar import Duration
from tests.contracts import storage_kit
from tests.handlers.kit import rulebook

PLAN = Plan(levels=(Level(after=Duration(minutes=15), to="queue"),), fallback="C0LEADS")


async def main() -> None:
    """Sweep for so many seconds, without asking who else does."""
    database, keys, seconds = sys.argv[1:]
    async with storage_kit.process(database, keys) as process:
        crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
        sweep = Sweep(
            database=process.db,
            clocks=process.clocks,
            record=process.record,
            rules=rulebook(alerts=PLAN),
            clock=times.Timekeeper(),
        )
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(seconds)):
                await sweep.run()


if __name__ == "__main__":
    asyncio.run(main())
