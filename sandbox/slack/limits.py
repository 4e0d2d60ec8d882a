"""Slack's rate limits, enforced when the sandbox runs with `limits` on. Real time, not product time."""

import time

WINDOW_S = 60.0
CALLS_PER_TIER = {1: 1, 2: 20, 3: 50, 4: 100}
"""Calls a minute and method; 0 stands for methods without a documented tier."""
POSTS_PER_CHANNEL_EVERY_S = 1.0


class Limits:
    """Counts calls. One app in one workspace, so the method is the whole key."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}
        self._next_post: dict[str, float] = {}

    def clear(self) -> None:
        """Forget all calls."""
        self._windows.clear()
        self._next_post.clear()

    def call(self, method: str, tier: int) -> int | None:
        """Count a call; the seconds to wait if it is one too many."""
        allowed = CALLS_PER_TIER.get(tier)
        if allowed is None:
            return None
        now = time.monotonic()
        start, count = self._windows.get(method, (now, 0))
        if now - start >= WINDOW_S:
            start, count = now, 0
        if count >= allowed:
            return max(1, round(WINDOW_S - (now - start)))
        self._windows[method] = (start, count + 1)
        return None

    def post(self, channel: str) -> int | None:
        """Count a post into a channel; the seconds to wait if the last one is less than a second ago."""
        now = time.monotonic()
        if now < self._next_post.get(channel, 0.0):
            return 1
        self._next_post[channel] = now + POSTS_PER_CHANNEL_EVERY_S
        return None
