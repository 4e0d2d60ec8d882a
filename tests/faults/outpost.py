"""A process on a host of its own that sweeps while it leads: `python -m tests.faults.outpost NETNS DATABASE KEYS`.

It tells on its standard output, a line of JSON each time, whether it leads.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import structlog

from bot import leader, times
from bot.clock import Sweep
from tests.contracts import storage_kit
from tests.faults import hosts
from tests.faults.sweeper import PLAN
from tests.handlers.kit import rulebook


def tell(**what: object) -> None:
    """A line for whoever started us."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Led(dict[str, float]):
    """What this process leads; tells of every change of it."""

    def __setitem__(self, name: str, since: float) -> None:
        super().__setitem__(name, since)
        tell(leads=True)

    def pop(self, name: str, *default: Any) -> Any:
        """It is led no more."""
        tell(leads=False)
        return super().pop(name, *default)


async def main() -> None:
    """Lead the sweep, or wait to, until killed."""
    name, database, keys = sys.argv[1:]
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    hosts.enter(name)
    async with storage_kit.process(database, keys, name) as process:
        sweep = Sweep(
            database=process.db,
            clocks=process.clocks,
            record=process.record,
            rules=rulebook(alerts=PLAN),
            clock=times.Timekeeper(),
        )
        tell(ready=True)
        await leader.lead(process.clocks, "sweep", name, sweep.run, Led())


if __name__ == "__main__":
    asyncio.run(main())
