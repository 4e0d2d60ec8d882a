"""Commands that are killed in the middle and run again, over the data of a campaign and beside its traffic."""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass

from tests.faults import later, lives

ENDS_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Errand:
    """A command, how often it comes to its crash point, and whether SQLite allows it beside a life."""

    words: tuple[str, ...]
    steps: int
    beside: bool = True


ERRANDS = {
    "in_upgrade": Errand(words=(later.UPGRADE,), steps=len(later.STEPS), beside=False),
    "in_rotate": Errand(words=("keys", "rotate", "--yes"), steps=1),
    "in_backup": Errand(words=("backup", "now"), steps=2),
}
FIRST_STEPS = 12
"""Of the first upgrade, which makes the schema: fewer than there are migrations."""


async def killed(nursery: lives.Nursery, point: str, words: tuple[str, ...], count: int) -> str | None:
    """Run a command until it is killed at its point. None, or what went otherwise."""
    helper = await nursery.errand(*words, crash_at=f"{point}:{count}")
    status = await helper.over(ENDS_S)
    return None if status == -signal.SIGKILL else f"{' '.join(words)} was not killed at {point}: {status}"


async def done(nursery: lives.Nursery, *words: str) -> str | None:
    """Run a command to its end. None, or what went wrong."""
    status = await (await nursery.errand(*words)).over(ENDS_S)
    return None if status == 0 else f"{' '.join(words)} ended with {status}"


async def first_upgrade(nursery: lives.Nursery, rng: random.Random) -> str | None:
    """Kill the upgrade that makes the schema; the first life finds whatever that left."""
    return await killed(nursery, "in_upgrade", ("db", "upgrade"), rng.randint(1, FIRST_STEPS))
