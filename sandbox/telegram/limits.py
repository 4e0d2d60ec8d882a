"""Telegram's flood limits, in real time, when they are switched on."""

from collections import deque

from sandbox.telegram.errors import too_many_requests

PER_CHAT_INTERVAL_S = 1.0
OVERALL_PER_S = 30
GROUP_PER_MINUTE = 20
WINDOW_S = 1.0
GROUP_WINDOW_S = 60.0


class FloodLimits:
    """Counts what was let through; what is refused does not count."""

    def __init__(self) -> None:
        self._overall: deque[float] = deque()
        self._last: dict[int, float] = {}
        self._groups: dict[int, deque[float]] = {}

    def admit(self, chat_id: int, *, is_group: bool, now: float) -> None:
        """Let a message through at `now` (epoch seconds, real time), or raise Telegram's 429."""
        _forget(self._overall, now - WINDOW_S)
        if len(self._overall) >= OVERALL_PER_S:
            raise too_many_requests(_wait(self._overall[0] + WINDOW_S - now))
        last = self._last.get(chat_id)
        if last is not None and now - last < PER_CHAT_INTERVAL_S:
            raise too_many_requests(_wait(last + PER_CHAT_INTERVAL_S - now))
        if is_group:
            sent = self._groups.setdefault(chat_id, deque())
            _forget(sent, now - GROUP_WINDOW_S)
            if len(sent) >= GROUP_PER_MINUTE:
                raise too_many_requests(_wait(sent[0] + GROUP_WINDOW_S - now))
            sent.append(now)
        self._overall.append(now)
        self._last[chat_id] = now

    def clear(self) -> None:
        """Forget what was sent."""
        self._overall.clear()
        self._last.clear()
        self._groups.clear()


def _forget(times: deque[float], before: float) -> None:
    while times and times[0] <= before:
        times.popleft()


def _wait(seconds: float) -> int:
    return max(1, int(seconds + 0.999))
