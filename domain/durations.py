"""How durations, hours and weekdays are written in config.yaml, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60

Hours = tuple[int, int]
"""Opening and closing in minutes after local midnight, 0 <= opening < closing <= 1440."""


class CalendarError(ValueError):
    """A calendar or a duration that cannot be used; the message names the fix."""


@dataclass(frozen=True, kw_only=True)
class Duration:
    """Business time to spend: minutes, or business days of whatever length each has; one of the two, above zero."""

    minutes: int = 0
    business_days: int = 0

    def __post_init__(self) -> None:
        if min(self.minutes, self.business_days) < 0 or (self.minutes > 0) == (self.business_days > 0):
            raise CalendarError(
                "a duration is above zero and either in hours and minutes or in business days ('4h', '2bd')"
            )

    def __str__(self) -> str:
        if self.business_days:
            return f"{self.business_days}bd"
        hours, minutes = divmod(self.minutes, 60)
        return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")


_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?")
_BUSINESS_DAYS = re.compile(r"(\d{1,3})bd")
_CALENDAR_DAYS = re.compile(r"\d+\s*(d|day|days|w|week|weeks)")


def parse_duration(text: str) -> Duration:
    """Read `30m`, `4h`, `1h30m` or `2bd` (business days).

    Raises CalendarError for anything else; a bare day is refused because it may mean 24 hours or one working
    day.
    """
    compact = text.strip().lower()
    if match := _BUSINESS_DAYS.fullmatch(compact):
        return Duration(business_days=int(match[1]))
    if (match := _DURATION.fullmatch(compact)) and compact:
        return Duration(minutes=int(match[1] or 0) * 60 + int(match[2] or 0))
    if _CALENDAR_DAYS.fullmatch(compact):
        raise CalendarError(
            f"'{text}' is ambiguous: a day may mean 24 hours or one working day. "
            "Write '24h' for open hours or '1bd' for a business day"
        )
    raise CalendarError(f"'{text}' is not a duration: write minutes, hours or business days ('30m', '1h30m', '2bd')")


_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*[-–]\s*(\d{1,2}):(\d{2})")


def parse_hours(text: str) -> Hours:
    """Read `09:00-17:30`. A closing before the opening (`22:00-06:00`) means the next morning."""
    match = _HOURS.fullmatch(text.strip())
    if match is None:
        raise CalendarError(f"'{text}' is not a pair of hours: write '09:00-17:30'")
    opening, closing = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if int(match[2]) > 59 or int(match[4]) > 59 or opening >= DAY_MINUTES or closing > DAY_MINUTES:
        raise CalendarError(f"'{text}' has a time that no clock shows: use 00:00 to 24:00")
    if opening == closing:
        raise CalendarError(f"'{text}' is empty: write '00:00-24:00' for the whole day, or leave the day out")
    return opening, closing


def parse_weekdays(text: str) -> list[int]:
    """Read `mon` or `fri-mon` as weekdays from 0 (Monday)."""
    first, _, last = text.strip().lower().partition("-")
    try:
        start = WEEKDAYS.index(first[:3])
        end = WEEKDAYS.index(last[:3]) if last else start
    except ValueError:
        raise CalendarError(
            f"'{text}' is not a weekday: use mon, tue, wed, thu, fri, sat, sun or a range 'mon-fri'"
        ) from None
    return [day % 7 for day in range(start, (end if end >= start else end + 7) + 1)]


def tidy(hours: Iterable[Hours]) -> tuple[Hours, ...]:
    """Sort, and join what overlaps or touches."""
    joined: list[Hours] = []
    for opening, closing in sorted(hours):
        if joined and opening <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], closing))
        else:
            joined.append((opening, closing))
    return tuple(joined)
