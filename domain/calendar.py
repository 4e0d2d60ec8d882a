"""Business time: when a team is open, when a deadline falls, how much of a span counts.

An instant counts when the local clock of the calendar's time zone stands inside that day's hours. The two
ends of every interval are computed as local times and then converted, so both days on which the clocks change
are right: a local time that a change skips stands for the moment of the change, one that happens twice for
its first pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import holidays as national_holidays

from domain.durations import (
    DAY_MINUTES,
    WEEKDAYS,
    CalendarError,
    Duration,
    Hours,
    parse_duration,
    parse_hours,
    parse_weekdays,
    tidy,
)
from domain.openings import DAY_US, EPOCH_ORDINAL, MINUTE_US, Openings, UsSpan, from_us, merged, to_us

__all__ = [
    "ALWAYS",
    "HORIZON",
    "Calendar",
    "CalendarError",
    "Duration",
    "Span",
    "merge_spans",
    "parse_duration",
    "parse_hours",
]

HORIZON = timedelta(days=3660)
"""How far a deadline may lie ahead: ten years. A calendar that needs longer is a mistake."""
_HORIZON_US = HORIZON // timedelta(microseconds=1)
_LONGEST_TABLE = 6000  # days; what lies so far apart is tabled anew, so that one odd date costs no memory for good
_MARGIN = 2  # days around a moment that a time zone may shift it by, a repeated midnight included
_BEFORE, _AFTER = 60, 200  # days that a table covers beyond what was asked for, so that it grows seldom
_MICROSECOND = timedelta(microseconds=1)
_ANNOUNCED_AHEAD = timedelta(days=60)

Span = tuple[datetime, datetime]
"""From (inclusive) and to (exclusive), both aware."""


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The hours of one team. Build it from configuration with `Calendar.build`.

    `weekly` has seven entries, Monday first. `exceptions` are days with hours of their own (none: closed);
    they win over holidays and weekly hours. `workdays` are worked although they are holidays or fall on a
    weekend. `country` (ISO 3166, with `subdivision`) adds public holidays; where a country moves working days to
    a weekend (China), such a day is worked too. A worked weekend has the hours of the week's first open weekday.
    Each date stands for itself: of a night shift `22:00-06:00` the morning half belongs to the date it falls on.
    `before` was in force until `since`: see `following`.
    """

    name: str
    tz: str
    weekly: tuple[tuple[Hours, ...], ...]
    holidays: frozenset[date] = frozenset()
    country: str | None = None
    subdivision: str | None = None
    exceptions: Mapping[date, tuple[Hours, ...]] = field(default_factory=dict, hash=False)
    workdays: frozenset[date] = frozenset()
    before: Calendar | None = None
    since: datetime | None = None
    _tables: list[Openings] = field(default_factory=list, init=False, repr=False, compare=False)  # the newest, alone

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
            if any(not 0 <= opening < closing <= DAY_MINUTES for opening, closing in hours) or hours != tidy(hours):
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
        workdays: Iterable[date] = (),
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
                for day in parse_weekdays(days):
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
                own[on] = tidy(pairs)
        except CalendarError as error:
            raise CalendarError(f"calendar '{name}': {error}") from None
        return cls(
            name=name,
            tz=tz,
            weekly=tuple(tidy(day) for day in weekly),
            holidays=frozenset(holidays),
            country=country,
            subdivision=subdivision,
            exceptions=own,
            workdays=frozenset(workdays),
        )

    def following(self, before: Calendar, since: datetime) -> Calendar:
        """This calendar from `since` on, and what was in force before until then: an edit never rewrites the past."""
        return replace(self, before=before, since=since)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)

    @cached_property
    def _public(self) -> national_holidays.HolidayBase | None:
        if not self.country:
            return None
        return national_holidays.country_holidays(self.country, subdiv=self.subdivision)

    def unannounced(self, day: date) -> int | None:
        """The year of `day`, or the next one within two months, whose moved working days are not known yet.

        None where the country moves none. China announces them, with the days off around them, each autumn for the
        year after; until a list knows them only the statutory days are closed.
        """
        if self._public is None:
            return None
        for year in dict.fromkeys((day.year, (day + _ANNOUNCED_AHEAD).year)):
            moves = [self._moved_in(other) for other in (year - 2, year - 1, year)]
            if all(moves[:-1]) and not moves[-1] and not any(own.year == year for own in self.workdays):
                return year
        return None

    def _moved_in(self, year: int) -> bool:
        """Whether the country is known to work on weekend days of that year."""
        assert self._public is not None  # noqa: S101  # the caller looked
        _ = date(year, 1, 1) in self._public  # which reads that year's list
        return any(moved.year == year for moved in self._public.weekend_workdays)

    def _hours_on(self, day: date) -> tuple[Hours, ...]:
        if day in self.exceptions:
            return self.exceptions[day]
        usual = self.weekly[day.weekday()]
        if day in self.workdays:
            return usual or next(hours for hours in self.weekly if hours)
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

    def _days(self, first: int, last: int) -> list[list[UsSpan]]:
        """The open spans of each day, in order; what was in force before an edit stands for the time before it."""
        planned = [self._open_on(ordinal) for ordinal in range(first, last + 1)]
        if self.before is None or self.since is None:
            return planned
        since = to_us(self.since)
        past = [[(a, min(b, since)) for a, b in spans if a < since] for spans in self.before._days(first, last)]
        ahead = [[(max(a, since), b) for a, b in spans if b > since] for spans in planned]
        if self.before.tz == self.tz and len(past) == len(ahead):
            return [[*early, *late] for early, late in zip(past, ahead, strict=True)]
        return past + ahead  # days of another time zone are other days

    def _open_on(self, ordinal: int) -> list[UsSpan]:
        day = date.fromordinal(ordinal)
        ends = [
            (to_us(self._instant(day, opening)), to_us(self._instant(day, closing)))
            for opening, closing in self._hours_on(day)
        ]
        return [(start, end) for start, end in ends if start < end]

    def _table(self, start: int, end: int) -> Openings:
        """Open intervals that cover both moments: the ones at hand, or more of them."""
        known = self._tables[0] if self._tables else None
        if known is not None and known.since <= start and end <= known.until:
            return known
        first = start // DAY_US + EPOCH_ORDINAL - _MARGIN - _BEFORE
        last = end // DAY_US + EPOCH_ORDINAL + _MARGIN + _AFTER
        if known is not None and max(last, known.last) - min(first, known.first) <= _LONGEST_TABLE:
            first, last = min(first, known.first), max(last, known.last)
        table = Openings(first, last, self._days(max(first, 1), min(last, date.max.toordinal() - 1)))
        self._tables[:] = [table]
        return table

    def due_us(self, start: int, business: Duration | int, pauses: Sequence[UsSpan] = ()) -> int:
        """`add` in microseconds since 1970: `business` is a duration or open microseconds, `pauses` are merged."""
        reach = start
        while True:
            table = self._table(start, reach)
            if isinstance(business, int):
                due = table.add(start, business, pauses)
            elif business.business_days:
                due = table.add_days(start, business.business_days, pauses)
            else:
                due = table.add(start, business.minutes * MINUTE_US, pauses)
            if due is not None and due - start <= _HORIZON_US:
                return due
            if due is not None or reach >= start + _HORIZON_US:
                raise self._too_far(start, business)
            reach = min(max(table.until, start) + 2 * _AFTER * DAY_US, start + _HORIZON_US)

    def open_us(self, start: int, end: int, pauses: Sequence[UsSpan] = ()) -> int:
        """`measure` in microseconds since 1970; `pauses` are merged."""
        return self._table(start, end).measure(start, end, pauses) if end > start else 0

    def spans_us(self, start: int, end: int) -> list[UsSpan]:
        """The open spans between two moments in microseconds since 1970, in order, each day's apart."""
        return self._table(start, end).within(start, end) if end > start else []

    def open_intervals(self, start: datetime, end: datetime, breaks: Sequence[Span] = ()) -> Iterator[Span]:
        """Yield the open spans (UTC) between start and end, without the breaks, day by day, in order."""
        pauses = _pauses(breaks)
        for span in self.spans_us(to_us(start), to_us(end)):
            for a, b in without(span, pauses):
                yield from_us(a), from_us(b)

    def add(self, start: datetime, business: timedelta | Duration, breaks: Sequence[Span] = ()) -> datetime:
        """Return the moment (UTC) at which `business` open time has passed since start, breaks not counted.

        The result lies inside an open interval or exactly at its end; for zero it is the next open moment. A
        business day is spent as a share of each day's own open time, so two half days make one only if each
        is half of itself. Raises CalendarError if that lies more than ten years ahead, ValueError for a naive
        start or a negative time.
        """
        if isinstance(business, timedelta):
            if business < timedelta():
                raise ValueError(f"business time cannot be negative: {business}")
            return from_us(self.due_us(to_us(start), business // _MICROSECOND, _pauses(breaks)))
        return from_us(self.due_us(to_us(start), business, _pauses(breaks)))

    def _too_far(self, start: int, business: Duration | int) -> CalendarError:
        begin = from_us(start)
        amount = str(business) if isinstance(business, Duration) else str(timedelta(microseconds=business))
        return CalendarError(
            f"calendar '{self.name}' has no {amount} of open time between {begin.date()} and "
            f"{(begin + HORIZON).date()}: open it longer or shorten the target"
        )

    def measure(self, start: datetime, end: datetime, breaks: Sequence[Span] = ()) -> timedelta:
        """Return the open time between start and end, breaks not counted; zero if end is not after start."""
        return timedelta(microseconds=self.open_us(to_us(start), to_us(end), _pauses(breaks)))

    def is_open(self, at: datetime) -> bool:
        """Tell whether the moment lies inside an open interval (its closing moment does not)."""
        moment = to_us(at)
        return self._table(moment, moment).is_open(moment)

    def next_open(self, at: datetime) -> datetime:
        """Return the moment itself (UTC) if it is open, else the next opening."""
        return self.add(at, timedelta())


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Sort spans and join those that overlap or touch; empty ones fall out."""
    return [(from_us(a), from_us(b)) for a, b in _pauses(spans)]


def _pauses(breaks: Iterable[Span]) -> list[UsSpan]:
    return merged((to_us(a), to_us(b)) for a, b in breaks) if breaks else []


def without(span: UsSpan, pauses: Sequence[UsSpan]) -> Iterator[UsSpan]:
    """The parts of a span that no pause covers; pauses are merged."""
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


ALWAYS = Calendar(name="always", tz="UTC", weekly=(((0, DAY_MINUTES),),) * 7)
"""Open day and night: business time is plain time."""
