"""How long tests wait, and how they measure, on a machine that does other things besides.

What must happen is waited for with `LONG_S`: that costs nothing where it happens, and a test that gives up earlier
tells of the machine and not of the product. A limit that is itself a promise ("ends within five seconds") is held
against `Own`, which leaves out what a process waited for a processor that somebody else had.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self

LONG_S = 150.0
LOOK_EVERY_S = 0.02


async def eventually(look: Callable[[], Any], *, within: float = LONG_S, every: float = 0.05, what: str = "") -> Any:
    """Wait until `look` gives something true and return it; an AssertionError with the last answer otherwise.

    It is asked `every` so many seconds: often where that costs nothing.
    """
    limit = time.monotonic() + within
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > limit:
            raise AssertionError(f"did not happen within {within:g} s: {what or look}; last: {found!r}")
        await asyncio.sleep(every)


class Waits:
    """When at least one of some threads was ready and had no processor; `seconds` of that, all on one clock.

    What waits at the same time is counted once: the seconds are never more than those that passed.
    """

    def __init__(self, began: float, counts: Mapping[int, float]) -> None:
        """`counts`: the seconds that each thread has waited in its life, which count from here on."""
        self._began = began
        self._last = dict(counts)
        self._spans: list[tuple[float, float]] = []

    def told(self, at: float, counts: Mapping[int, float]) -> None:
        """Take the counts of a later moment. A thread is counted when it gets its processor: a wait ends about now."""
        longest = max((count - self._last.get(thread, 0.0) for thread, count in counts.items()), default=0.0)
        self._last.update(counts)
        if longest > 0:
            self._spans.append((max(self._began, at - longest), at))

    def seconds(self, until: float) -> float:
        """How long, up to this moment."""
        total, edge = 0.0, until
        for begin, end in reversed(self._spans):
            total += max(0.0, min(end, edge) - begin)
            edge = min(edge, begin)
        return total


class Own:
    """Seconds that pass for processes, less those in which one of their threads was ready and got no processor.

    Use it as a block around what is measured; `seconds` is there afterwards, and in `waited` what was left out.
    Processes that work in turn (a test and the process it asks) are named together, and what they start belongs to
    them, as do the database servers in `servers`. Where the kernel does not count the waiting, these are plain seconds.
    """

    servers: ClassVar[set[int]] = set()
    """What everybody asks and nobody here has as a child, by its number."""

    def __init__(self, *pids: int) -> None:
        self._pids = (*(pids or (os.getpid(),)), *self.servers)
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on, daemon=True)
        self.seconds = self.waited = 0.0

    def __enter__(self) -> Self:
        counts = self._counts()
        self._began = time.monotonic()
        self._waits = Waits(self._began, counts)
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        ended = time.monotonic()
        self._over.set()
        self._watch.join()
        self._waits.told(time.monotonic(), self._counts())
        self.waited = self._waits.seconds(ended)
        self.seconds = ended - self._began - self.waited

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):  # a thread that ends takes its count along
            self._waits.told(time.monotonic(), self._counts())

    def _counts(self) -> dict[int, float]:
        """How long each thread has waited, by its number; not the one that looks on, whom nobody waits for."""
        counts: dict[int, float] = {}
        pids = list(self._pids)
        for pid in pids:
            with suppress(OSError):  # it has ended, or this is not Linux
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with suppress(OSError, IndexError):
                        if int(task.name) != self._watch.native_id:
                            counts[int(task.name)] = int((task / "schedstat").read_text("ascii").split()[1]) / 1e9
                        pids += map(int, (task / "children").read_text("ascii").split())
        return counts
