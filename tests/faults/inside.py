"""What a process's memory is made of, looked at from inside: Python's own blocks, SQLite's pages, what malloc holds.

`watch(path)` starts a thread that appends a line of JSON every few seconds, with the types of the objects that the
collector knows now and then. Resident memory alone cannot say whether something leaks or a cache still fills.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

EVERY_S = 2.0
TYPES_EVERY = 30  # looks: going through every object stops the process for a tenth of a second
MOST = 400  # types kept of each look
FIELDS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip


class _Mallinfo(ctypes.Structure):
    """glibc's mallinfo2."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in FIELDS)


def parts(libraries: tuple[Any, Any]) -> dict[str, float]:
    """Bytes by who holds them, as far as each can be asked: `python_blocks` is a count."""
    sqlite, libc = libraries
    found = {"python_blocks": float(sys.getallocatedblocks()), "threads": float(threading.active_count())}
    if sqlite is not None:
        found["sqlite_bytes"] = float(sqlite.sqlite3_memory_used())
    if libc is not None:
        heap = libc.mallinfo2()
        found["malloc_used_bytes"] = float(heap.uordblks + heap.hblkhd)
        found["malloc_free_bytes"] = float(heap.fordblks)
    found["resident_bytes"] = _resident()
    return found


def _resident() -> float:
    return float(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _libraries() -> tuple[Any, Any]:
    sqlite = _library("sqlite3", "sqlite3_memory_used", ctypes.c_int64)
    return sqlite, _library("c", "mallinfo2", _Mallinfo)


def _library(name: str, function: str, gives: Any) -> Any:
    """A shared library that is there and has this function, else None."""
    path = ctypes.util.find_library(name)
    library = ctypes.CDLL(path) if path else None
    if library is None or not hasattr(library, function):
        return None
    getattr(library, function).restype = gives
    return library


def kinds() -> dict[str, int]:
    """How many objects of each type the collector knows, the most frequent ones."""
    counts = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())
    return dict(counts.most_common(MOST))


def watch(path: Path, every_s: float = EVERY_S) -> Callable[[], None]:
    """Look every so many seconds for as long as the process lives, or until what is returned is called."""
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(path, every_s, over), name="inside", daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()

    return end


def _watch(path: Path, every_s: float, over: threading.Event) -> None:
    libraries, began, place = _libraries(), time.monotonic(), 0
    with path.open("a", encoding="utf-8", buffering=1) as out:
        while not over.is_set():
            look: dict[str, Any] = {"at": time.monotonic() - began, "values": parts(libraries)}
            if place % TYPES_EVERY == 0:
                gc.collect()
                look["kinds"] = kinds()
            out.write(json.dumps(look) + "\n")
            place += 1
            over.wait(every_s)


def read(path: Path) -> list[dict[str, Any]]:
    """The looks, oldest first; a line that was cut off by the end of the process is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def grown(looks: Sequence[Mapping[str, Any]], most: int = 12) -> dict[str, int]:
    """By how many objects each type grew from the middle of the run to its end, those first that grew most."""
    counted = [look["kinds"] for look in looks if "kinds" in look]
    if len(counted) < 3:
        return {}
    before, after = counted[len(counted) // 2], counted[-1]
    gains = {name: count - before.get(name, 0) for name, count in after.items()}
    return dict(sorted(gains.items(), key=lambda gain: -gain[1])[:most])
