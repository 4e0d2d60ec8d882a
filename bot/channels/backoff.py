"""Waiting between tries."""

from __future__ import annotations

import random
from dataclasses import dataclass

MAX_DOUBLINGS = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Exponential waits with full jitter, so that many processes do not come back in step. Seconds."""

    base_s: float = 1.0
    cap_s: float = 30.0

    def wait_s(self, failures: int) -> float:
        """The wait after so many failures in a row (1 or more): random, never under a tenth of the base."""
        top = min(self.cap_s, self.base_s * 2 ** min(max(failures, 1) - 1, MAX_DOUBLINGS))
        return random.uniform(min(self.base_s / 10, top), top)
