"""Fresh ids."""

from __future__ import annotations

from threading import Lock

from ulid import ULID


class Ids:
    """Fresh ULIDs, each larger than the one before it, also where two fall into one millisecond or the clock goes back.

    What was written first has the smaller id: by that it is told whether an answer was written before a question came.
    """

    def __init__(self) -> None:
        self._last = 0
        self._lock = Lock()

    def fresh(self) -> str:
        """26 characters, ordered by time."""
        drawn = int(ULID())
        with self._lock:
            self._last = max(drawn, self._last + 1)
            return str(ULID.from_int(self._last))


new_id = Ids().fresh
"""A fresh ULID, the larger the later within this process."""
