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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

LONG_S = 150.0
LOOK_EVERY_S = 0.02


async def eventually(look: Callable[[], Any], *, within: float = LONG_S, what: str = "") -> Any:
    """Wait until `look` gives something true and return it; an AssertionError with the last answer otherwise."""
    limit = time.monotonic() + within
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > limit:
            raise AssertionError(f"did not happen within {within:g} s: {what or look}; last: {found!r}")
        await asyncio.sleep(0.05)


class Own:
    """Seconds that pass for processes, less those in which their main threads were ready and got no processor.

    Use it as a block around what is measured; `seconds` is there afterwards. Processes that work in turn (a test and
    the process it asks) are named together, and what they start belongs to them. Where the kernel does not count the
    waiting, these are plain seconds.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids or (os.getpid(),)
        self._first: dict[int, float] = {}
        self._last: dict[int, float] = {}
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look_on, daemon=True)
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._look()
        self._first = dict(self._last)
        self._began = time.monotonic()
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        passed = time.monotonic() - self._began
        self._over.set()
        self._watch.join()
        self._look()
        self.seconds = max(0.0, passed - sum(last - self._first.get(pid, 0.0) for pid, last in self._last.items()))

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_EVERY_S):  # a process that ends takes its count along
            self._look()

    def _look(self) -> None:
        pids = list(self._pids)
        for pid in pids:
            with suppress(OSError, IndexError):  # it has ended, or this is not Linux
                self._last[pid] = int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) / 1e9
                for task in Path(f"/proc/{pid}/task").iterdir():
                    pids += map(int, (task / "children").read_text("ascii").split())
