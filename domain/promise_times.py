"""Times as people write them in a promise, in English and Chinese, read against the agent's present."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from domain.calendar import Calendar, Duration

NOON, AFTERNOON, EVENING, END_OF_DAY = time(12), time(18), time(21), time(18)


@dataclass(frozen=True, slots=True)
class Reader:
    """The agent's present, on the company's clock, and when the company closes."""

    now: datetime
    calendar: Calendar

    @property
    def today(self) -> date:
        """The day it is there."""
        return self.now.date()

    def at(self, day: date, hour: time) -> datetime:
        """A moment of that clock, in UTC."""
        return datetime.combine(day, hour, tzinfo=self.now.tzinfo).astimezone(UTC)

    def end_of(self, day: date) -> datetime:
        """The end of business that day; six in the evening where it is closed or never closes."""
        spans = list(self.calendar.open_intervals(self.at(day, time()), self.at(day + timedelta(days=1), time())))
        if not spans or spans[-1][1] == self.at(day + timedelta(days=1), time()):
            return self.at(day, END_OF_DAY)
        return spans[-1][1]

    def weekday(self, number: int, *, weeks: int = 0) -> date:
        """The next such day after today, or that of a later week (counted from Monday)."""
        if weeks:
            return self.today - timedelta(days=self.today.weekday()) + timedelta(days=number, weeks=weeks)
        return self.today + timedelta(days=(number - self.today.weekday() - 1) % 7 + 1)

    def dated(self, month: int, day: int) -> date | None:
        """The next such date; None for one that does not exist."""
        for year in (self.today.year, self.today.year + 1):
            try:
                found = date(year, month, day)
            except ValueError:
                continue
            if found >= self.today:
                return found
        return None

    def put_together(self, days: set[date], hours: set[time], *, ends: bool) -> Iterator[datetime | None]:
        """What a sentence's days and hours say together; None where they are more than one, or over."""
        if not days and not hours and not ends:
            return
        if len(days) > 1 or len(hours) > 1:
            yield None
            return
        day = next(iter(days), self.today)
        moment = self.at(day, next(iter(hours))) if hours else self.end_of(day)
        yield moment if moment > self.now else None


_NUMBER = {
    "a": 1.0, "an": 1.0, "one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0, "six": 6.0, "seven": 7.0,
    "eight": 8.0, "nine": 9.0, "ten": 10.0, "twelve": 12.0, "half an": 0.5, "the": 1.0, "the next": 1.0,
}  # fmt: skip
_WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11,
    "dec": 12,
}  # fmt: skip
_MONTH = (
    r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_RELATIVE = re.compile(
    r"\b(?:within|in) (half an|the next|the|\d{1,3}|a|an|one|two|three|four|five|six|seven|eight|nine|ten|twelve)"
    r"(?: next)?(?: (\d{1,3}))? ?(minutes?|mins?|hours?|hrs?|days?|business days?|working days?|weeks?)\b"
)
_CLOCK = re.compile(
    r"\b(?:by|before|until|till|at|than)? ?(\d{1,2})(?::(\d{2}))? ?(am|pm)\b|\b([01]?\d|2[0-3]):([0-5]\d)\b"
)
_PART = re.compile(
    r"\b(?:this|(?:tomorrow|today|day)|in the) ?(?:the )?(morning|afternoon|evening)\b|\b(noon|midday|tonight)\b"
)
_DAY = re.compile(
    r"\b(?:(the day after tomorrow)|(today|tonight|this (?:morning|afternoon|evening))|(tomorrow)|"
    r"(?<!from )(?<!since )(?<!last )(?<!of )(?:(next|this) )?"
    r"(monday|tuesday|wednesday|thursday|friday|saturday|sunday|mon|tue|wed|thu|fri|sat|sun)"
    r"(?: (morning|afternoon|evening))?)\b"
)
_DATE = re.compile(
    rf"\b{_MONTH} (\d{{1,2}})(?:st|nd|rd|th)?\b|\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}\b|"
    r"\b(\d{4})-(\d{2})-(\d{2})\b"
)
_END = re.compile(r"\b(?:end of (?:the )?(?:business )?day|end of business|close of business|eod|cob)\b")
_WEEK = re.compile(r"\b(?:end of (?:the|this) week|this week|eow)\b")
_PARTS = {"morning": NOON, "noon": NOON, "midday": NOON, "afternoon": AFTERNOON, "evening": EVENING, "tonight": EVENING}


def english(sentence: str, reader: Reader) -> Iterator[datetime | None]:
    """The times in a lower-case English sentence; None for what names more than one, or one that is over."""
    relative = {moment for match in _RELATIVE.finditer(sentence) for moment in _english_span(match, reader)}
    days, hours = set(_english_days(sentence, reader)), set(_english_hours(sentence))
    ends = bool(_END.search(sentence))
    if relative:
        yield next(iter(relative)) if len(relative) == 1 and not hours and not ends else None
        return
    yield from reader.put_together(days, hours, ends=ends)


def _english_span(match: re.Match[str], reader: Reader) -> Iterator[datetime]:
    words, inner, unit = match[1], match[2], match[3]
    count = float(inner or words) if (inner or words).isdecimal() else _NUMBER[words]
    if unit.startswith(("business", "working")):
        yield reader.calendar.add(reader.now, Duration(business_days=max(1, int(count))))
    else:
        size = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}[unit[0]]
        yield reader.now.astimezone(UTC) + timedelta(**{size: count})


def _english_days(sentence: str, reader: Reader) -> Iterator[date]:
    for match in _DAY.finditer(sentence):
        after, today, tomorrow, which, weekday, _ = match.groups()
        if after:
            yield reader.today + timedelta(days=2)
        elif today:
            yield reader.today
        elif tomorrow:
            yield reader.today + timedelta(days=1)
        else:
            yield reader.weekday(_WEEKDAYS[weekday[:3]], weeks=1 if which == "next" else 0)
    for match in _DATE.finditer(sentence):
        name = match[1] or match[4]
        if name:
            found = reader.dated(_MONTHS[name[:3]], int(match[2] or match[3]))
        else:
            found = _exact(int(match[5]), int(match[6]), int(match[7]))
        if found is not None:
            yield found
    if _WEEK.search(sentence):
        yield reader.today + timedelta(days=max(0, 4 - reader.today.weekday()))


def _english_hours(sentence: str) -> Iterator[time]:
    for match in _CLOCK.finditer(sentence):
        hour, minute, half, hour24, minute24 = match.groups()
        if half and 1 <= int(hour) <= 12 and int(minute or 0) < 60:
            yield time(int(hour) % 12 + (12 if half == "pm" else 0), int(minute or 0))
        elif hour24:
            yield time(int(hour24), int(minute24))
    if _CLOCK.search(sentence):
        return
    for match in _PART.finditer(sentence):
        yield _PARTS[match[1] or match[2]]
    for match in _DAY.finditer(sentence):
        if match[6]:
            yield _PARTS[match[6]]


def _exact(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


_ZH = {"零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_N = r"(\d{1,3}|[零一二两三四五六七八九十]{1,3})"
_ZH_SPAN = re.compile(rf"(?:(半)个?小时|{_N} ?个?(分钟|小时|钟头|工作日|天|日|周|星期))(?:之内|以内|内|之后|以后|后)")
_ZH_DAY = re.compile(
    r"(大后天)|(后天)|(明天|明日|明早|明晚|次日)|(今天|今日|今晚|当天|本日)|(下)?(?:个)?(?:周|星期|礼拜)([一二三四五六日天])|"
    r"(?:(\d{1,2})月)?(\d{1,2})[日号](?![内后])"
)
_ZH_CLOCK = re.compile(
    r"(凌晨|早上|早晨|上午|中午|下午|傍晚|晚上|晚|早)? ?"
    rf"(?:{_N}[点时](?!间|候)(半|一刻|三刻|{_N}分?)?|([01]?\d|2[0-3])[:：]([0-5]\d))"
)
_ZH_PART = re.compile(r"早上|早晨|明早|上午|中午|下午|傍晚|晚上|今晚|明晚")
_ZH_PARTS = {
    "早上": NOON, "早晨": NOON, "明早": NOON, "上午": NOON, "中午": time(13), "下午": AFTERNOON, "傍晚": time(19),
    "晚上": EVENING, "今晚": EVENING, "明晚": EVENING,
}  # fmt: skip
_ZH_END = re.compile(r"下班(?:之|以)?前")
_ZH_WEEK = re.compile(r"(?:本周|这周|这个星期)(?:之|以)?内")


def chinese(sentence: str, reader: Reader) -> Iterator[datetime | None]:
    """The times in a Chinese sentence; None for what names more than one, or one that is over."""
    spans = {_chinese_span(match, reader) for match in _ZH_SPAN.finditer(sentence)}
    rest = _ZH_SPAN.sub("", sentence)
    days, ends = set(_chinese_days(rest, reader)), bool(_ZH_END.search(rest))
    hours = _chinese_hours(rest)
    if spans:
        yield next(iter(spans)) if len(spans) == 1 and not hours and not ends else None
        return
    if hours is None:
        yield None
        return
    yield from reader.put_together(days, hours, ends=ends)


def _chinese_span(match: re.Match[str], reader: Reader) -> datetime:
    half, words, unit = match.groups()
    now = reader.now.astimezone(UTC)
    if half:
        return now + timedelta(minutes=30)
    count = _chinese_number(words)
    if unit == "工作日":
        return reader.calendar.add(reader.now, Duration(business_days=max(1, count)))
    size = {"分": "minutes", "小": "hours", "钟": "hours", "天": "days", "日": "days", "周": "weeks", "星": "weeks"}
    return now + timedelta(**{size[unit[0]]: count})


def _chinese_days(sentence: str, reader: Reader) -> Iterator[date]:
    for match in _ZH_DAY.finditer(sentence):
        three, two, one, none, following, weekday, month, day = match.groups()
        ahead = 3 if three else 2 if two else 1 if one else 0 if none else None
        if ahead is not None:
            yield reader.today + timedelta(days=ahead)
        elif weekday:
            number = "一二三四五六日天".index(weekday) % 7 if weekday != "天" else 6
            yield reader.weekday(number, weeks=1 if following else 0)
        else:
            found = reader.dated(int(month), int(day)) if month else _this_month(int(day), reader)
            if found is not None:
                yield found
    if _ZH_WEEK.search(sentence):
        yield reader.today + timedelta(days=max(0, 4 - reader.today.weekday()))


def _this_month(day: int, reader: Reader) -> date | None:
    found = _exact(reader.today.year, reader.today.month, day)
    return found if found is not None and found >= reader.today else None


def _chinese_hours(sentence: str) -> set[time] | None:
    """The hours named; None for one of which nobody knows whether it is before or after noon."""
    hours: set[time] = set()
    for match in _ZH_CLOCK.finditer(sentence):
        part, words, fraction, minutes, hour24, minute24 = match.groups()
        if hour24:
            hours.add(time(int(hour24), int(minute24)))
            continue
        hour = _chinese_number(words)
        minute = {"半": 30, "一刻": 15, "三刻": 45}.get(fraction or "", _chinese_number(minutes) if minutes else 0)
        # Nobody is promised an answer at four in the morning.
        is_later = part in ("下午", "傍晚", "晚上", "晚") and hour < 12
        if is_later or (part in (None, "中午") and 1 <= hour <= 6):
            hour += 12
        elif part is None and hour == 7:
            return None
        if hour > 23 or minute > 59:
            return None
        hours.add(time(hour, minute))
    if not hours:
        hours = {_ZH_PARTS[word] for word in _ZH_PART.findall(sentence)}
    return hours


def _chinese_number(words: str) -> int:
    if words.isdecimal():
        return int(words)
    tens, ten, ones = words.partition("十")
    if not ten:
        return sum(_ZH[char] * 10**place for place, char in enumerate(reversed(words)))
    return (_ZH[tens] if tens else 1) * 10 + (_ZH[ones] if ones else 0)
