"""A process that sweeps until nothing is due, to be killed: `python -m tests.faults.sweeper DATABASE_URL KEYS_URL`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

from bot import crashpoints, times
from bot.clock import Sweep
from domain.alerts import Level, Plan
from domain.calendar import Duration
from tests import patience
from tests.contracts import storage_kit
from tests.handlers.kit import rulebook

PLAN = Plan(levels=(Level(after=Duration(minutes=15), to="queue"),), fallback="C0LEADS")


async def main() -> None:
    """Sweep as long as any alert is due, without asking who else does."""
    database, keys = sys.argv[1:]
    async with storage_kit.process(database, keys) as process:
        crashpoints.arm(os.environ.get("RELAYDESK_CRASH_AT"))
        sweep = Sweep(
            database=process.db,
            clocks=process.clocks,
            record=process.record,
            rules=rulebook(alerts=PLAN),
            clock=times.Timekeeper(),
        )
        sweeping = asyncio.create_task(sweep.run())

        async def nothing_due() -> bool:
            return not any(one.alert_at <= times.real() for one in await process.clocks.coming(1))

        await patience.eventually(nothing_due, what="every alert is given")
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping


if __name__ == "__main__":
    asyncio.run(main())
