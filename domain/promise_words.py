"""Reads a promise in an agent's words: "I'll get back to you by 5 pm", “明天上午回复您”. Only what is clear.

A sentence is a promise when it says that we will come back to the customer, and by when. What is asked of the customer
("please answer by Friday"), what is over, what depends ("if", "如果") and what is vague ("soon") is none; nor are two
different times. A day without an hour means its end of business, a part of a day means the end of that part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from domain import promise_times
from domain.calendar import Calendar
from domain.promise_times import Reader

SOONEST, FARTHEST = timedelta(minutes=5), timedelta(days=60)
LONGEST = 4_000
"""Characters that are read; nobody promises after that."""

_SENTENCE = re.compile(r"[^.!?。！？;；\n]*(?:[.;](?!\s|$)[^.!?。！？;；\n]*)*[.!?。！？;；\n]?")
_MERIDIEM = re.compile(r"\b([ap])\.\s?m\.?(?=\W|$)", re.IGNORECASE)

_WILL = (
    r"\b(?:i|we|he|she|they|somebody|someone|(?:a|my|our) (?:colleague|team|manager)|the team)"
    r"(?:'ll| will| shall|'m going to| am going to|'re going to| are going to)\b"
)
_COME_BACK = (
    r"\b(?:(?:get|be|come|write|report|circle) back|reply|answer you|respond|let you know|update you|get in touch|"
    r"be in touch|send you|give you|have (?:an answer|an update|news|a reply|a result)|keep you posted|follow up|"
    r"contact you|call you|write to you|message you|tell you)\b"
)
_ENGLISH = (
    re.compile(rf"{_WILL}.{{0,50}}?{_COME_BACK}"),
    re.compile(
        r"\byou(?:'ll| will) (?:hear from (?:us|me)|have (?:an answer|a reply|an update|news)|get (?:an|a) \w+)\b"
    ),
    re.compile(r"^\W*(?:will|gonna) (?:get back|reply|let you know|update you)\b"),
    # "I'm checking with the carrier and will get back to you": the one who will is named before another verb
    re.compile(rf"\b(?:i|we)\b[^,]{{0,80}}?\b(?:and|then) (?:then )?(?:i |we )?(?:will|shall|'ll) {_COME_BACK[2:]}"),
)
_NOT_ENGLISH = re.compile(
    r"\b(?:cannot|can't|won't|will not|unable|not able|don't|if|unless|once|when|whether|maybe|perhaps|probably|"
    r"might|may be|may not|hopefully|hope|try|trying|around|about \d|approximately|or so|roughly|yesterday|ago|"
    r"sent|ordered|placed|wrote|arrived|delivered|received|shipped)\b"
)

_CHINESE = re.compile(
    r"(?:回复|答复|回覆|反馈|回电|回信|联系|通知|告知|告诉|致电)(?:给)?(?:您|你)|"
    r"(?:给|向)(?:您|你).{0,6}?(?:回复|答复|反馈|消息|结果|回电|回音|答案|说法|处理|通知|更新)|"
    r"(?:与|和|跟|同)(?:您|你).{0,2}?联系"
)
_NOT_CHINESE = re.compile(
    r"无法|不能|没法|不会|如果|假如|若|要是|可能|也许|大概|左右|争取|尽量|尽可能|应该|请您|请你|麻烦|烦请|是否|吗|"
    r"没有|之前没|已经|已于|昨天|昨晚|刚才|刚刚|回复过|联系过|的话"
)


def find(text: str, now: datetime, calendar: Calendar) -> datetime | None:
    """Until when these words promise the customer an answer, in UTC; None where they promise nothing clear.

    `now` is when they were written. Hours are those of the calendar's time zone.
    """
    reader = Reader(now=now.astimezone(ZoneInfo(calendar.tz)), calendar=calendar)
    found = {moment for sentence in _sentences(text[:LONGEST]) for moment in _promised(sentence, reader)}
    if len(found) != 1:
        return None
    (moment,) = found
    if moment is None or not SOONEST <= moment - now <= FARTHEST:
        return None
    return moment


def _sentences(text: str) -> Iterator[str]:
    plain = _MERIDIEM.sub(r"\1m", text.replace("\u2019", "'").replace("\u00a0", " ")).lower()
    for match in _SENTENCE.finditer(plain):
        if match.group().strip():
            yield match.group()


def _promised(sentence: str, reader: Reader) -> Iterator[datetime | None]:
    """The time of a sentence that promises something with a time in it; None for a time that is not clear."""
    if sentence.rstrip().endswith(("?", "？")):
        return
    if _CHINESE.search(sentence) and not _NOT_CHINESE.search(sentence):
        yield from promise_times.chinese(sentence, reader)
    elif any(pattern.search(sentence) for pattern in _ENGLISH) and not _NOT_ENGLISH.search(sentence):
        yield from promise_times.english(sentence, reader)
