"""The fast clock: product time as a straight line through real time.

Both platforms stamp their messages from it. Whoever wants to live in the same time reads `GET /clock` and
computes `anchor_product + (real now - anchor_real) * speed`. Times are epoch seconds (float, UTC).
"""

import math
import time
from collections.abc import Callable

MAX_SPEED = 1_000_000.0
"""Above this a float of epoch seconds no longer resolves a millisecond of real time sensibly."""


class FastClock:
    """Product time with a changeable speed; it never jumps back."""

    def __init__(self, *, speed: float = 1.0, real_now: Callable[[], float] = time.time) -> None:
        self._real_now = real_now
        now = real_now()
        self.anchor_real = now
        self.anchor_product = now
        self.speed = 1.0
        self.set_speed(speed)

    def now(self) -> float:
        """Product time in epoch seconds."""
        return self.anchor_product + max(0.0, self._real_now() - self.anchor_real) * self.speed

    def real(self) -> float:
        """Real time in epoch seconds."""
        return self._real_now()

    def set_speed(self, speed: float) -> None:
        """Go on from now at `speed` product seconds per real second, 0..MAX_SPEED, else ValueError."""
        if not math.isfinite(speed) or not 0 <= speed <= MAX_SPEED:
            raise ValueError(f"speed must be a number from 0 to {MAX_SPEED:g}")
        self._anchor_here()
        self.speed = float(speed)

    def advance(self, seconds: float) -> None:
        """Jump forward by `seconds` of product time. ValueError if that would go back."""
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError("advance_s must be a number of seconds, 0 or more: the clock never goes back")
        self._anchor_here()
        self.anchor_product += seconds

    def view(self) -> dict[str, float]:
        """What `GET /clock` answers."""
        return {
            "anchor_real": self.anchor_real,
            "anchor_product": self.anchor_product,
            "speed": self.speed,
            "now": self.now(),
        }

    def dump(self) -> dict[str, float]:
        """The clock as it is kept in the state file."""
        return {"saved_real": self._real_now(), "saved_product": self.now(), "speed": self.speed}

    def load(self, saved: dict[str, float]) -> None:
        """Go on where a stopped sandbox left off; the time it was down passes at real speed."""
        self.anchor_real = self._real_now()
        down_s = max(0.0, self.anchor_real - saved["saved_real"])
        self.anchor_product = saved["saved_product"] + down_s
        self.speed = saved["speed"]

    def _anchor_here(self) -> None:
        product = self.now()
        self.anchor_real = max(self._real_now(), self.anchor_real)
        self.anchor_product = product
