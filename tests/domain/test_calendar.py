"""Calendars: open time agrees with the wall clock, on both days the clocks change too."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.calendar import ALWAYS, Calendar, CalendarError, Duration, parse_duration, parse_hours

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Shanghai"]
# A Friday before each change of clocks in 2026 (spring and autumn of either hemisphere), and a plain week.
STARTS = [
    datetime(2026, month, day, tzinfo=UTC)
    for month, day in [(3, 6), (3, 27), (4, 3), (10, 2), (10, 23), (10, 30), (6, 12)]
]
MIDNIGHT_CHANGES = [
    ("Africa/Cairo", (2026, 4, 23)),
    ("Africa/Cairo", (2026, 10, 28)),
    ("America/St_Johns", (2010, 11, 6)),
    ("Pacific/Apia", (2011, 12, 28)),
    ("Atlantic/Azores", (2026, 10, 24)),
]
SHIFTS = [
    {"mon-fri": ["09:00-17:00"]},
    {"mon-fri": ["09:00-12:30", "13:30-18:00"], "sat": ["10:00-14:00"]},
    {"mon-sun": ["22:00-06:00"]},
    {"mon-sun": ["00:00-24:00"]},
    {"fri-mon": ["01:00-02:15", "02:45-04:00"]},
]


def calendar(hours: int = 0, tz: str = "Europe/Berlin", **more: object) -> Calendar:
    return Calendar.build(name="desk", tz=tz, hours=SHIFTS[hours], **more)  # type: ignore[arg-type]


def wall_clock_open(cal: Calendar, at: datetime) -> bool:
    """The oracle: look at the clock on the wall. It knows nothing of intervals, conversion or transitions.

    Hours open and close at the first pass of a repeated hour, so its second pass goes on as the first one
    ended.
    """
    local = at.astimezone(ZoneInfo(cal.tz))
    while local.fold:
        at -= MINUTE
        local = at.astimezone(ZoneInfo(cal.tz))
    minute = local.hour * 60 + local.minute
    return any(opening <= minute < closing for opening, closing in cal.weekly[local.weekday()])


def minutes(cal: Calendar, start: datetime) -> Iterator[tuple[datetime, bool]]:
    at = start
    while True:
        yield at, wall_clock_open(cal, at)
        at += MINUTE


def slow_add(cal: Calendar, start: datetime, count: int, breaks: list[tuple[datetime, datetime]]) -> datetime:
    left = count
    for at, is_open in minutes(cal, start):
        if is_open and not any(a <= at < b for a, b in breaks):
            left -= 1
            if left == 0:
                return at + MINUTE
    raise AssertionError


cases = st.tuples(
    st.sampled_from(range(len(SHIFTS))),
    st.sampled_from(ZONES),
    st.sampled_from(STARTS),
    st.integers(0, 4 * 1440),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Calendar, datetime, list[tuple[datetime, datetime]]]:
    shifts, tz, day, offset = draw(cases)
    start = day + offset * MINUTE
    spans = draw(st.lists(st.tuples(st.integers(-600, 3000), st.integers(0, 900)), max_size=3))
    return calendar(shifts, tz), start, [(start + a * MINUTE, start + (a + n) * MINUTE) for a, n in spans]


class TestAgainstTheWallClock:
    @settings(max_examples=150, deadline=None)
    @given(situations(), st.integers(1, 1500))
    def test_a_deadline_falls_where_counting_minutes_puts_it(
        self, situation: tuple[Calendar, datetime, list[tuple[datetime, datetime]]], count: int
    ) -> None:
        """Walking interval by interval gives what counting open minutes one by one gives."""
        cal, start, breaks = situation
        assert cal.add(start, count * MINUTE, breaks) == slow_add(cal, start, count, breaks)

    @settings(max_examples=150, deadline=None)
    @given(situations(), st.integers(0, 6000))
    def test_measured_time_is_the_open_minutes_between(
        self, situation: tuple[Calendar, datetime, list[tuple[datetime, datetime]]], length: int
    ) -> None:
        """What is measured is what is open and not a break."""
        cal, start, breaks = situation
        end = start + length * MINUTE
        counted = sum(
            is_open and not any(a <= at < b for a, b in breaks)
            for (at, is_open), _ in zip(minutes(cal, start), range(length), strict=False)
        )
        assert cal.measure(start, end, breaks) == counted * MINUTE

    @pytest.mark.parametrize("tz", ZONES)
    @pytest.mark.parametrize("shifts", range(len(SHIFTS)))
    def test_open_and_closed_agree_all_around_every_change(self, tz: str, shifts: int) -> None:
        """On every day on which clocks change somewhere, open means that the wall clock stands inside the
        hours.
        """
        cal = calendar(shifts, tz)
        for day in STARTS:
            start = day + timedelta(days=1)
            for (at, is_open), _ in zip(minutes(cal, start), range(2 * 1440), strict=False):
                assert cal.is_open(at) is is_open, at


class TestArithmetic:
    @settings(deadline=None)
    @given(situations(), st.integers(0, 100_000), st.integers(0, 100_000))
    def test_it_is_monotone_and_the_two_directions_agree(
        self, situation: tuple[Calendar, datetime, list[tuple[datetime, datetime]]], a: int, b: int
    ) -> None:
        """A longer target is never due earlier, and measuring up to a deadline gives the target back."""
        cal, start, breaks = situation
        first, second = sorted((timedelta(seconds=a), timedelta(seconds=b)))
        due, later = cal.add(start, first, breaks), cal.add(start, second, breaks)
        assert due <= later
        assert cal.measure(start, due, breaks) == first

    @settings(deadline=None)
    @given(situations(), st.integers(1, 4000))
    def test_a_deadline_is_inside_open_time_or_at_its_end(
        self, situation: tuple[Calendar, datetime, list[tuple[datetime, datetime]]], count: int
    ) -> None:
        """Nobody is due while closed: the moment before a deadline is always open."""
        cal, start, breaks = situation
        due = cal.add(start, count * MINUTE, breaks)
        assert cal.is_open(due - timedelta(microseconds=1))
        assert not any(a < due <= b and a < b for a, b in breaks)

    @settings(deadline=None)
    @given(situations(), st.integers(1, 3), st.integers(1, 3))
    def test_business_days_add_up(
        self, situation: tuple[Calendar, datetime, list[tuple[datetime, datetime]]], a: int, b: int
    ) -> None:
        """Two business days and then one are the same as three, to the microsecond that rounding costs."""
        cal, start, _ = situation
        both = cal.add(start, Duration(business_days=a + b))
        in_turn = cal.add(cal.add(start, Duration(business_days=a)), Duration(business_days=b))
        assert abs(cal.measure(start, both) - cal.measure(start, in_turn)) <= timedelta(microseconds=2)

    def test_zero_time_is_the_next_opening(self) -> None:
        """Nothing to do is due at once when open, else at the next opening."""
        cal = calendar()
        assert cal.next_open(datetime(2026, 3, 6, 10, tzinfo=UTC)) == datetime(2026, 3, 6, 10, tzinfo=UTC)
        assert cal.next_open(datetime(2026, 3, 6, 20, tzinfo=UTC)) == datetime(2026, 3, 9, 8, tzinfo=UTC)
        assert cal.next_open(datetime(2026, 3, 6, 16, tzinfo=UTC)) == datetime(2026, 3, 9, 8, tzinfo=UTC)
        assert not cal.is_open(datetime(2026, 3, 6, 16, tzinfo=UTC))

    def test_naive_and_negative_input_is_refused(self) -> None:
        """A time without a zone and a negative duration are programming errors and say so."""
        with pytest.raises(ValueError, match="aware"):
            calendar().add(datetime(2026, 3, 6, tzinfo=UTC).replace(tzinfo=None), MINUTE)
        with pytest.raises(ValueError, match="negative"):
            calendar().add(datetime(2026, 3, 6, tzinfo=UTC), -MINUTE)


class TestDaysThatDiffer:
    def test_a_business_day_is_as_long_as_that_day(self) -> None:
        """From Friday noon, one business day ends at the same share of Saturday's shorter hours."""
        cal = calendar(1)  # Friday 8 h, Saturday 4 h
        start = datetime(2026, 6, 12, 14, 30, tzinfo=ZoneInfo("Europe/Berlin"))  # 4.5 of 8 hours gone
        due = cal.add(start, Duration(business_days=1)).astimezone(ZoneInfo("Europe/Berlin"))
        assert due == datetime(2026, 6, 13, 12, 15, tzinfo=ZoneInfo("Europe/Berlin"))

    def test_holidays_and_exceptions(self) -> None:
        """A holiday is closed, an exception has its own hours and wins over the holiday."""
        cal = calendar(
            country="DE",
            subdivision="BY",
            holidays=[date(2026, 6, 15)],
            exceptions={date(2026, 12, 25): ["10:00-12:00"]},
        )
        assert not cal.is_open(datetime(2026, 6, 15, 10, tzinfo=UTC))
        assert not cal.is_open(datetime(2026, 1, 6, 10, tzinfo=UTC)), "Epiphany, in Bavaria"
        assert calendar(country="DE").is_open(datetime(2026, 1, 6, 10, tzinfo=UTC))
        assert cal.is_open(datetime(2026, 12, 25, 10, tzinfo=UTC))
        assert not cal.is_open(datetime(2026, 12, 25, 14, tzinfo=UTC))

    def test_china_works_on_its_make_up_days(self) -> None:
        """A Sunday that China declares a working day is open, the holiday it pays for is closed."""
        cal = Calendar.build(name="shanghai", tz="Asia/Shanghai", hours={"mon-fri": ["09:00-18:00"]}, country="CN")
        assert cal.is_open(datetime(2025, 1, 26, 2, tzinfo=UTC))
        assert not cal.is_open(datetime(2025, 1, 28, 2, tzinfo=UTC))
        assert not cal.is_open(datetime(2025, 1, 19, 2, tzinfo=UTC)), "an ordinary Sunday"

    def test_a_company_names_make_up_days_of_its_own(self) -> None:
        """A worked Saturday has the hours of the first open weekday; hours of its own win, a holiday does not."""
        saturday, sunday = date(2026, 6, 13), date(2026, 6, 14)
        cal = calendar(workdays=[saturday, sunday], holidays=[saturday], exceptions={sunday: ["10:00-11:00"]})
        spans = list(cal.open_intervals(datetime(2026, 6, 13, tzinfo=UTC), datetime(2026, 6, 15, tzinfo=UTC)))
        assert spans == [
            (datetime(2026, 6, 13, 7, tzinfo=UTC), datetime(2026, 6, 13, 15, tzinfo=UTC)),
            (datetime(2026, 6, 14, 8, tzinfo=UTC), datetime(2026, 6, 14, 9, tzinfo=UTC)),
        ]

    def test_an_edit_never_rewrites_the_past(self) -> None:
        """What was measured before an edit stays; what lies ahead has the new hours, also in another time zone."""
        friday, edited = datetime(2026, 6, 12, 7, tzinfo=UTC), datetime(2026, 6, 12, 10, tzinfo=UTC)
        old = calendar()  # Berlin, 09:00 to 17:00
        closed = calendar(holidays=[date(2026, 6, 12), date(2026, 6, 15)]).following(old, edited)
        assert closed.measure(friday, friday + DAY) == timedelta(hours=3)
        assert not closed.is_open(edited)
        assert closed.add(friday, timedelta(hours=4)) == datetime(2026, 6, 16, 8, tzinfo=UTC)
        assert closed.add(friday, Duration(business_days=2)) == datetime(2026, 6, 16, 15, tzinfo=UTC)
        moved = calendar(tz="Asia/Tokyo").following(closed, edited + DAY * 5)
        spans = list(moved.open_intervals(edited + DAY * 4, edited + DAY * 7))
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        assert (spans[0][0].hour, spans[-1][0].hour) == (10, 0)

    def test_a_night_shift_is_split_at_midnight(self) -> None:
        """Each half belongs to its own date: a holiday closes the morning that falls on it."""
        cal = Calendar.build(
            name="night",
            tz="UTC",
            hours={"thu": ["22:00-06:00"], "fri": ["22:00-06:00"]},
            holidays=[date(2026, 6, 13)],
        )
        assert cal.is_open(datetime(2026, 6, 12, 5, tzinfo=UTC))
        assert cal.is_open(datetime(2026, 6, 12, 23, tzinfo=UTC))
        assert not cal.is_open(datetime(2026, 6, 13, 5, tzinfo=UTC))

    def test_hours_in_the_skipped_and_the_repeated_hour(self) -> None:
        """New York: a shift to 02:30 ends at the skip in spring; over the repeated hour it is an hour
        longer.
        """
        cal = Calendar.build(name="ny", tz="America/New_York", hours={"sun": ["01:00-02:30"]})
        spring = list(cal.open_intervals(datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 3, 9, tzinfo=UTC)))
        autumn = list(cal.open_intervals(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)))
        assert spring == [(datetime(2026, 3, 8, 6, tzinfo=UTC), datetime(2026, 3, 8, 7, tzinfo=UTC))]
        assert autumn == [(datetime(2026, 11, 1, 5, tzinfo=UTC), datetime(2026, 11, 1, 7, 30, tzinfo=UTC))]

    def test_a_change_of_clocks_at_midnight_loses_nothing(self) -> None:
        """Where midnight is skipped or comes twice, an always open calendar has no gap and no overlap."""
        for tz, day in MIDNIGHT_CHANGES:
            start = datetime(*day, tzinfo=UTC)
            spans = list(calendar(3, tz).open_intervals(start, start + timedelta(days=4)))
            assert spans[0][0] == start
            assert all(a[1] == b[0] for a, b in pairwise(spans))
            assert calendar(3, tz).measure(start, start + timedelta(days=4)) == timedelta(days=4)


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ({"hours": {}}, "never open: give at least one weekday"),
            ({"hours": {"mon": []}}, "never open"),
            ({"hours": {"mon": ["9-17"]}}, "write '09:00-17:30'"),
            ({"hours": {"mon": ["09:00-25:00"]}}, "no clock shows"),
            ({"hours": {"mon": ["09:60-10:00"]}}, "no clock shows"),
            ({"hours": {"mon": ["09:00-09:00"]}}, "leave the day out"),
            ({"hours": {"funday": ["09:00-10:00"]}}, "not a weekday"),
            ({"tz": "Europe/Berlinn"}, "unknown time zone"),
            ({"tz": "../etc"}, "unknown time zone"),
            ({"country": "XX"}, "ISO codes"),
            ({"country": "DE", "subdivision": "QQ"}, "ISO codes"),
            ({"subdivision": "BY"}, "needs its country"),
            ({"exceptions": {date(2026, 12, 24): ["22:00-02:00"]}}, "give the next date its own hours"),
        ],
    )
    def test_a_calendar_that_cannot_work_is_refused(self, words: dict[str, object], message: str) -> None:
        """Each mistake is found when the calendar is made; the message names the calendar and the fix."""
        good: dict[str, object] = {"tz": "Europe/Berlin", "hours": {"mon-fri": ["09:00-17:00"]}}
        with pytest.raises(CalendarError, match=message) as caught:
            Calendar.build(name="desk", **{**good, **words})  # type: ignore[arg-type]
        assert "calendar 'desk'" in str(caught.value)

    def test_raw_hours_are_checked_too(self) -> None:
        """Whoever builds the value by hand gets the same care."""
        for weekly in [((),) * 7, (((0, 60),),) * 6, (((60, 0),),) * 7, (((0, 60), (30, 90)),) * 7]:
            with pytest.raises(CalendarError):
                Calendar(name="raw", tz="UTC", weekly=weekly)

    def test_overlapping_hours_are_joined(self) -> None:
        """Hours that overlap or touch count once."""
        cal = Calendar.build(name="x", tz="UTC", hours={"mon": ["09:00-12:00", "11:00-13:00", "13:00-14:00"]})
        assert cal.weekly[0] == ((540, 840),)

    def test_a_deadline_out_of_reach_is_an_error_not_an_endless_walk(self) -> None:
        """The walk is bounded by date: ten years ahead it stops and says why, at once."""
        cal = Calendar.build(name="rare", tz="UTC", hours={"sun": ["00:00-00:01"]})
        assert cal.add(NEW_YEAR, 500 * MINUTE) == datetime(2035, 7, 29, 0, 1, tzinfo=UTC)
        with pytest.raises(CalendarError, match=r"'rare' has no .* open it longer"):
            cal.add(NEW_YEAR, 700 * MINUTE)
        with pytest.raises(CalendarError, match="9bd"):
            cal.add(NEW_YEAR, Duration(business_days=9), [(NEW_YEAR, NEW_YEAR + 4000 * DAY)])


class TestDurations:
    @pytest.mark.parametrize(
        ("written", "duration"),
        [
            ("30m", Duration(minutes=30)),
            ("4h", Duration(minutes=240)),
            ("1h30m", Duration(minutes=90)),
            (" 2BD ", Duration(business_days=2)),
            ("90m", Duration(minutes=90)),
        ],
    )
    def test_durations_are_read(self, written: str, duration: Duration) -> None:
        """Minutes, hours, both, or business days; what is printed reads back the same."""
        assert parse_duration(written) == duration
        assert parse_duration(str(duration)) == duration

    @pytest.mark.parametrize("written", ["1d", "2 days", "1 day", "1w"])
    def test_a_bare_day_is_refused_with_the_reason(self, written: str) -> None:
        """A day may mean 24 hours or a working day: the message offers both ways to say it."""
        with pytest.raises(CalendarError, match=r"ambiguous.*24h.*1bd"):
            parse_duration(written)

    @pytest.mark.parametrize("written", ["", "4", "h", "4x", "-4h", "30m1h", "1bd4h", "4h 30", "0m", "0bd"])
    def test_anything_else_is_refused(self, written: str) -> None:
        """Unreadable and empty durations are errors that show how to write one."""
        with pytest.raises(CalendarError, match=r"4h|30m"):
            parse_duration(written)

    def test_hours_are_read(self) -> None:
        """A closing before the opening is kept as written: the caller splits it."""
        assert parse_hours(" 9:00 - 17:30 ") == (540, 1050)
        assert parse_hours("22:00-06:00") == (1320, 360)


def test_a_short_deadline_is_cheap() -> None:
    """Thousands of short deadlines a second on one core, so that a batch of decisions never waits for the
    calendar.
    """
    cal, start = calendar(1, country="DE"), datetime(2026, 3, 27, 8, tzinfo=UTC)
    cal.add(start, timedelta(hours=4))
    began = time.process_time()
    for offset in range(5000):
        cal.add(start + offset * MINUTE, timedelta(hours=4))
    assert time.process_time() - began < 1.0


def test_always_is_plain_time() -> None:
    """Open day and night: business time is the time that passes."""
    start = datetime(2026, 3, 28, 23, 59, 30, tzinfo=UTC)
    assert ALWAYS.add(start, timedelta(hours=30)) == start + timedelta(hours=30)
    assert ALWAYS.measure(start, start + timedelta(days=9)) == timedelta(days=9)
