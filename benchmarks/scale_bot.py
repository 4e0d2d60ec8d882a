"""A process with some roles, for benchmarks: prints a JSON line when it is ready, stops at SIGTERM.

Its arguments are the settings as JSON, the roles, and `read` or `skip`: with `skip` every message gets one and the same
assessment, so that what is measured is everything but the classifier.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence

from domain.assessment import Assessment, Text


class Skipped:
    """An assessor that has made up its mind before."""

    def __init__(self, answer: Assessment) -> None:
        self._answer = answer

    async def assess(self, texts: Sequence[Text]) -> list[Assessment]:
        """The same answer for each."""
        return [self._answer for _ in texts]


async def run() -> int:
    """Run until stopped."""
    from benchmarks.kit import ROOT
    from bot import app, duties, life, logs, settings

    overrides, roles, reading = json.loads(sys.argv[1]), sys.argv[2].split(","), sys.argv[3] == "read"
    logs.configure("warning", json=True)
    found = settings.load(ROOT / "config.yaml", environment={}, overrides=overrides)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)

    def ready(url: str) -> None:
        print(json.dumps({"url": url}), flush=True)

    async with app.build(found, duties.parse(roles)) as house:
        if not reading:
            skip(house)
        return await life.serve(house, stopping, ready=ready)


def skip(house: object) -> None:
    """Let the workers of a house ask nobody."""
    from bot.app import House

    assert isinstance(house, House)
    answer = house.classifier.assess([Text(key="", text="My parcel has not arrived yet", language_hint="en")])[0]
    for worker in house.workers:
        worker._assessor = Skipped(answer)


if __name__ == "__main__":
    sys.exit(asyncio.run(run()))
