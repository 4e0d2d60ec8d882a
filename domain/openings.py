"""Open intervals as whole numbers with running totals: deadlines are looked up, not walked to.

Moments are microseconds since 1970 (UTC). A table knows every open interval of a run of days and how much
open time lies before each, so that both questions of a calendar - how much is open between two moments, and
when has so much been open - are a bisection, however far apart the moments are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from math import lcm

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
DAY_US = 24 * 60 * MINUTE_US
EPOCH_ORDINAL = EPOCH.toordinal()

UsSpan = tuple[int, int]
"""From (inclusive) and to (exclusive), in microseconds since 1970."""


def to_us(at: datetime) -> int:
    """The moment in microseconds since 1970. Raises ValueError for a time without a zone."""
    try:
        since = at - EPOCH
    except TypeError:
        raise ValueError("a moment without a time zone was given: use an aware datetime in UTC") from None
    return since.days * DAY_US + since.seconds * SECOND_US + since.microseconds


def from_us(moment: int) -> datetime:
    """The moment as an aware datetime in UTC."""
    seconds, micros = divmod(moment, SECOND_US)
    return EPOCH + timedelta(0, seconds, micros)


def merged(spans: Iterable[UsSpan]) -> list[UsSpan]:
    """Sort spans and join those that overlap or touch; empty ones fall out."""
    joined: list[UsSpan] = []
    for a, b in sorted(spans):
        if b <= a:
            continue
        if joined and a <= joined[-1][1]:
            if b > joined[-1][1]:
                joined[-1] = (joined[-1][0], b)
        else:
            joined.append((a, b))
    return joined


class Openings:
    """All open intervals of the days from `first` to `last` (ordinals, both included), in order.

    Sure of every moment from `since` to `until`: a day's margin on either side covers what time zones shift.
    Never changed once made. Pauses are merged spans.
    """

    __slots__ = ("_days", "_ends", "_starts", "_through", "first", "last", "since", "total", "until")

    def __init__(self, first: int, last: int, days: Iterable[Sequence[UsSpan]]) -> None:
        self.first, self.last = first, last
        self.since = (first + 2 - EPOCH_ORDINAL) * DAY_US
        self.until = (last - 1 - EPOCH_ORDINAL) * DAY_US
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._through: list[int] = []  # open time up to the end of each interval
        self._days: list[int] = []  # open time up to the end of each day that has any
        total = 0
        for spans in days:
            for start, end in spans:
                total += end - start
                self._starts.append(start)
                self._ends.append(end)
                self._through.append(total)
            if spans:
                self._days.append(total)
        self.total = total

    def spent(self, at: int) -> int:
        """Open time from the table's beginning to `at`."""
        place = bisect_right(self._ends, at)
        if place == len(self._ends):
            return self.total
        start = self._starts[place]
        return self._through[place] - self._ends[place] + max(at, start)

    def is_open(self, at: int) -> bool:
        """Tell whether the moment lies inside an open interval."""
        place = bisect_right(self._ends, at)
        return place < len(self._ends) and self._starts[place] <= at

    def within(self, start: int, end: int) -> list[UsSpan]:
        """The open spans between two moments, in order, each day's apart."""
        inside = range(bisect_right(self._ends, start), bisect_left(self._starts, end))
        return [(max(self._starts[place], start), min(self._ends[place], end)) for place in inside]

    def measure(self, start: int, end: int, pauses: Sequence[UsSpan]) -> int:
        """Open time between two moments, pauses not counted; zero if `end` is not after `start`."""
        if end <= start:
            return 0
        counted = self.spent(end) - self.spent(start)
        for a, b in pauses:
            if b <= start:
                continue
            if a >= end:
                break
            counted -= self.spent(min(b, end)) - self.spent(max(a, start))
        return counted

    def add(self, start: int, left: int, pauses: Sequence[UsSpan]) -> int | None:
        """When `left` open time has passed since `start`, pauses not counted; None if this table ends before."""
        at = start
        for a, b in pauses:
            if b <= at:
                continue
            if a > at:
                before = self.spent(at)
                available = self.spent(a) - before
                if available and left <= available:
                    return self._moment(at, before, left)
                left -= available
            at = b
            if at >= self.until:
                return None
        return self._moment(at, self.spent(at), left)

    def add_days(self, start: int, count: int, pauses: Sequence[UsSpan]) -> int | None:
        """When `count` business days have passed since `start`, each spent as a share of that day's open time.

        The goal is a day and a fraction of it; every pause on the way moves it on by the share of days it takes.
        """
        day, part, whole = self._share(start)
        day += count
        for a, b in pauses:
            if b <= start:
                continue
            before = self.spent(max(a, start))
            first = bisect_right(self._days, before)
            if a > start and first >= day:
                _, used, length = self._place(first, before)
                if first > day or part * length <= used * whole:
                    break
            if b >= self.until:
                return None
            after = self.spent(b)
            if after == before:
                continue  # a pause while closed takes nothing
            last = bisect_right(self._days, after)
            if last == first:
                part, whole = _sum(part, whole, after - before, self._place(first, before)[2])
            else:
                _, used, length = self._place(last, after)
                part, whole = _sum(part, whole, used, length)
                _, used, length = self._place(first, before)
                part, whole = _sum(part, whole, -used, length)
            more, part = divmod(part, whole)
            day += last - first + more
        return self._in_day(day, part, whole) if part else self._in_day(day - 1, 1, 1)

    def _moment(self, at: int, before: int, left: int) -> int | None:
        if left <= 0:
            place = bisect_right(self._ends, at)
            return max(at, self._starts[place]) if place < len(self._ends) else None
        value = before + left
        if value > self.total:
            return None
        place = bisect_left(self._through, value)
        return self._ends[place] - self._through[place] + value

    def _share(self, at: int) -> tuple[int, int, int]:
        """The open day that `at` is in or before, the open time of it that is over, and its whole open time."""
        spent = self.spent(at)
        return self._place(bisect_right(self._days, spent), spent)

    def _place(self, day: int, spent: int) -> tuple[int, int, int]:
        begin = self._days[day - 1] if day else 0
        return day, spent - begin, (self._days[day] - begin if day < len(self._days) else 1)

    def _in_day(self, day: int, part: int, whole: int) -> int | None:
        """The first moment at which `part` of `whole` of that open day's time has passed."""
        if day >= len(self._days):
            return None
        begin = self._days[day - 1] if day else 0
        value = begin - (-(self._days[day] - begin) * part // whole)
        place = bisect_left(self._through, value)
        return self._ends[place] - self._through[place] + value


def _sum(part: int, whole: int, more: int, of: int) -> UsSpan:
    """The sum of two fractions, which mostly share their denominator: days are of few lengths."""
    if whole == of:
        return part + more, whole
    shared = lcm(whole, of)
    return part * (shared // whole) + more * (shared // of), shared
