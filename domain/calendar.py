"""Business time: when a team is open, when a deadline falls, how much of a span counts.

An instant counts when the local clock of the calendar's time zone stands inside that day's hours. The two
ends of every interval are computed as local times and then converted, so both days on which the clocks change
are right: a local time that a change skips stands for the moment of the change, one that happens twice for
its first pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from functools import cached_property
from zoneinfo import ZoneInfo

import holidays as national_holidays

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
HORIZON = timedelta(days=3660)
"""How far a deadline may lie ahead: ten years. A calendar that needs longer is a mistake."""
_CACHED_DAYS = 4096  # about eleven years; beyond that the cache starts anew
_MICROSECOND = timedelta(microseconds=1)

Span = tuple[datetime, datetime]
"""From (inclusive) and to (exclusive), both aware."""
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


def _parse_weekdays(text: str) -> list[int]:
    first, _, last = text.strip().lower().partition("-")
    try:
        start = WEEKDAYS.index(first[:3])
        end = WEEKDAYS.index(last[:3]) if last else start
    except ValueError:
        raise CalendarError(
            f"'{text}' is not a weekday: use mon, tue, wed, thu, fri, sat, sun or a range 'mon-fri'"
        ) from None
    return [day % 7 for day in range(start, (end if end >= start else end + 7) + 1)]


def _tidy(hours: Iterable[Hours]) -> tuple[Hours, ...]:
    """Sort, and join what overlaps or touches."""
    tidy: list[Hours] = []
    for opening, closing in sorted(hours):
        if tidy and opening <= tidy[-1][1]:
            tidy[-1] = (tidy[-1][0], max(tidy[-1][1], closing))
        else:
            tidy.append((opening, closing))
    return tuple(tidy)


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The hours of one team. Build it from configuration with `Calendar.build`.

    `weekly` has seven entries, Monday first. `exceptions` are days with hours of their own (none: closed);
    they win over holidays and weekly hours. `country` (ISO 3166, with `subdivision`) adds public holidays;
    where a country moves working days to a weekend (China), such a day has the hours of the week's first open
    weekday unless it has hours of its own. Each date stands for itself: of a night shift `22:00-06:00` the
    morning half belongs to the date it falls on.
    """

    name: str
    tz: str
    weekly: tuple[tuple[Hours, ...], ...]
    holidays: frozenset[date] = frozenset()
    country: str | None = None
    subdivision: str | None = None
    exceptions: Mapping[date, tuple[Hours, ...]] = field(default_factory=dict, hash=False)
    _days: dict[int, tuple[Span, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_hours()
        try:
            _ = self._zone
        except (KeyError, ValueError, OSError):
            raise CalendarError(
                f"calendar '{self.name}': unknown time zone '{self.tz}': use a name like 'Europe/Berlin'"
            ) from None
        if self.subdivision and not self.country:
            raise CalendarError(f"calendar '{self.name}': subdivision '{self.subdivision}' needs its country")
        try:
            _ = self._public
        except NotImplementedError:
            place = f"{self.country}/{self.subdivision}" if self.subdivision else self.country
            raise CalendarError(
                f"calendar '{self.name}': no public holidays are known for '{place}': "
                "use ISO codes like 'DE' and 'BY', or list the dates under holidays"
            ) from None

    def _check_hours(self) -> None:
        if len(self.weekly) != len(WEEKDAYS):
            raise CalendarError(f"calendar '{self.name}': weekly hours need seven days, Monday first")
        for hours in (*self.weekly, *self.exceptions.values()):
            if any(not 0 <= opening < closing <= DAY_MINUTES for opening, closing in hours) or hours != _tidy(hours):
                raise CalendarError(f"calendar '{self.name}': hours of a day must be in order and must not overlap")
        if not any(self.weekly):
            raise CalendarError(
                f"calendar '{self.name}' is never open: "
                "give at least one weekday hours, such as mon-fri: ['09:00-17:00']"
            )

    @classmethod
    def build(
        cls,
        *,
        name: str,
        tz: str,
        hours: Mapping[str, Sequence[str]],
        holidays: Iterable[date] = (),
        country: str | None = None,
        subdivision: str | None = None,
        exceptions: Mapping[date, Sequence[str]] | None = None,
    ) -> Calendar:
        """Read a calendar from words: `hours={"mon-thu": ["09:00-12:30", "13:30-18:00"], "fri":
        ["22:00-06:00"]}`.

        Overnight hours are split at midnight. Raises CalendarError with the calendar, the mistake and the
        fix.
        """
        weekly: list[list[Hours]] = [[] for _ in WEEKDAYS]
        own: dict[date, tuple[Hours, ...]] = {}
        try:
            for days, texts in hours.items():
                for day in _parse_weekdays(days):
                    for opening, closing in map(parse_hours, texts):
                        if closing > opening:
                            weekly[day].append((opening, closing))
                            continue
                        weekly[day].append((opening, DAY_MINUTES))
                        if closing:
                            weekly[(day + 1) % 7].append((0, closing))
            for on, texts in (exceptions or {}).items():
                pairs = [parse_hours(text) for text in texts]
                if any(closing < opening for opening, closing in pairs):
                    raise CalendarError(
                        f"the hours of {on} run past midnight: end them at 24:00 and give the next date its own hours"
                    )
                own[on] = _tidy(pairs)
        except CalendarError as error:
            raise CalendarError(f"calendar '{name}': {error}") from None
        return cls(
            name=name,
            tz=tz,
            weekly=tuple(_tidy(day) for day in weekly),
            holidays=frozenset(holidays),
            country=country,
            subdivision=subdivision,
            exceptions=own,
        )

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)

    @cached_property
    def _public(self) -> national_holidays.HolidayBase | None:
        if not self.country:
            return None
        return national_holidays.country_holidays(self.country, subdiv=self.subdivision)

    @cached_property
    def business_day_length(self) -> timedelta:
        """The open time of the longest weekday, to say it in words. Deadlines use each day's own."""
        return timedelta(minutes=max(sum(closing - opening for opening, closing in day) for day in self.weekly))

    def _hours_on(self, day: date) -> tuple[Hours, ...]:
        if day in self.exceptions:
            return self.exceptions[day]
        usual = self.weekly[day.weekday()]
        if day in self.holidays:
            return ()
        if self._public is not None:
            if day in self._public:
                return ()
            if not usual and day in self._public.weekend_workdays:
                return next(hours for hours in self.weekly if hours)
        return usual

    def _instant(self, day: date, minute: int) -> datetime:
        """The UTC moment at which the local clock first shows `minute` of `day`, or at which it skips it."""
        if minute == DAY_MINUTES:
            day, minute = day + timedelta(days=1), 0
        local = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=self._zone)
        instant = local.astimezone(UTC)
        if instant.astimezone(self._zone).replace(tzinfo=None) == local.replace(tzinfo=None):
            return instant
        before, after = local.replace(fold=1).astimezone(UTC), instant  # the change lies between these two
        old = before.astimezone(self._zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
            if middle.astimezone(self._zone).utcoffset() == old:
                before = middle
            else:
                after = middle
        return after

    def _intervals_on(self, ordinal: int) -> tuple[Span, ...]:
        cached = self._days.get(ordinal)
        if cached is not None:
            return cached
        day = date.fromordinal(ordinal)
        ends = [(self._instant(day, opening), self._instant(day, closing)) for opening, closing in self._hours_on(day)]
        intervals = tuple((start, end) for start, end in ends if start < end)
        if len(self._days) >= _CACHED_DAYS:
            self._days.clear()
        self._days[ordinal] = intervals
        return intervals

    def _open_days(self, start: datetime, end: datetime) -> Iterator[tuple[timedelta, list[Span]]]:
        """Per day with open time in these bounds: the day's whole open time, and its spans inside the bounds."""
        first = start.astimezone(self._zone).toordinal() - 1  # a change of clocks at midnight may repeat yesterday
        last = end.astimezone(self._zone).toordinal() + 1
        for ordinal in range(first, last + 1):
            intervals = self._intervals_on(ordinal)
            if not intervals or intervals[-1][1] <= start:
                continue
            if intervals[0][0] >= end:
                return
            clipped = [(max(a, start), min(b, end)) for a, b in intervals if b > start and a < end]
            if clipped:
                yield sum((b - a for a, b in intervals), timedelta()), clipped

    def open_intervals(self, start: datetime, end: datetime, breaks: Sequence[Span] = ()) -> Iterator[Span]:
        """Yield the open spans (UTC) between start and end, without the breaks, day by day, in order."""
        start, end = _aware(start), _aware(end)
        pauses = merge_spans(breaks)
        for _, spans in self._open_days(start, end):
            for span in spans:
                yield from _without(span, pauses)

    def add(self, start: datetime, business: timedelta | Duration, breaks: Sequence[Span] = ()) -> datetime:
        """Return the moment (UTC) at which `business` open time has passed since start, breaks not counted.

        The result lies inside an open interval or exactly at its end; for zero it is the next open moment. A
        business day is spent as a share of each day's own open time, so two half days make one only if each
        is half of itself. Raises CalendarError if that lies more than ten years ahead, ValueError for a naive
        start or a negative time.
        """
        start = _aware(start)
        if isinstance(business, Duration):
            if business.business_days:
                return self._add_days(start, business, merge_spans(breaks))
            business = timedelta(minutes=business.minutes)
        if business < timedelta():
            raise ValueError(f"business time cannot be negative: {business}")
        left = business
        pauses = merge_spans(breaks)
        for _, spans in self._open_days(start, start + HORIZON):
            for span in spans:
                for a, b in _without(span, pauses) if pauses else (span,):
                    if left <= b - a:
                        return a + left
                    left -= b - a
        raise self._too_far(start, str(business))

    def _add_days(self, start: datetime, business: Duration, pauses: Sequence[Span]) -> datetime:
        left = Fraction(business.business_days)
        for length, spans in self._open_days(start, start + HORIZON):
            whole = length // _MICROSECOND
            for span in spans:
                for a, b in _without(span, pauses):
                    share = Fraction((b - a) // _MICROSECOND, whole)
                    if left <= share:
                        return a + timedelta(microseconds=-(-left * whole // 1))
                    left -= share
        raise self._too_far(start, str(business))

    def _too_far(self, start: datetime, business: str) -> CalendarError:
        until = (start + HORIZON).date()
        return CalendarError(
            f"calendar '{self.name}' has no {business} of open time between {start.date()} and {until}: "
            "open it longer or shorten the target"
        )

    def measure(self, start: datetime, end: datetime, breaks: Sequence[Span] = ()) -> timedelta:
        """Return the open time between start and end, breaks not counted; zero if end is not after start."""
        return sum((b - a for a, b in self.open_intervals(start, end, breaks)), timedelta())

    def is_open(self, at: datetime) -> bool:
        """Tell whether the moment lies inside an open interval (its closing moment does not)."""
        return next(self.open_intervals(at, _aware(at) + _MICROSECOND), None) is not None

    def next_open(self, at: datetime) -> datetime:
        """Return the moment itself (UTC) if it is open, else the next opening."""
        return self.add(at, timedelta())


def merge_spans(spans: Sequence[Span]) -> list[Span]:
    """Sort spans and join those that overlap or touch; empty ones fall out."""
    if not spans:
        return []
    merged: list[Span] = []
    for a, b in sorted((_aware(a), _aware(b)) for a, b in spans):
        if b <= a:
            continue
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], b))
        else:
            merged.append((a, b))
    return merged


def _without(span: Span, pauses: Sequence[Span]) -> Iterator[Span]:
    start, end = span
    for a, b in pauses:
        if b <= start:
            continue
        if a >= end:
            break
        if a > start:
            yield start, a
        start = b
        if start >= end:
            return
    if start < end:
        yield start, end


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone was given: use an aware datetime in UTC")
    return at if at.tzinfo is UTC else at.astimezone(UTC)


ALWAYS = Calendar(name="always", tz="UTC", weekly=(((0, DAY_MINUTES),),) * 7)
"""Open day and night: business time is plain time."""
