"""What counts as a promise, and until when: tables in English and Chinese, and what must never be taken for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.calendar import Calendar
from domain.promise_words import FARTHEST, SOONEST, find

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Calendar.build(name="office", tz="Europe/Berlin", hours={"mon-thu": ["09:00-18:00"], "fri": ["09:00-17:00"]})
TUESDAY = datetime(2026, 11, 24, 10, 20, tzinfo=BERLIN)

CLEAR = [
    # English
    ("I'll get back to you by 5 pm.", "24 17:00"),
    ("I’ll get back to you by 5pm today", "24 17:00"),
    ("We will reply by 17:00.", "24 17:00"),
    ("I'm checking with the carrier and will get back to you by 5 pm.", "24 17:00"),
    ("We've passed this on and then will let you know by tomorrow 11:30 am", "25 11:30"),
    ("Thanks for waiting. I'll get back to you by 5 p.m. Have a nice day.", "24 17:00"),
    ("I will let you know before noon.", "24 12:00"),
    ("We'll have an answer for you this afternoon.", "24 18:00"),
    ("I'll update you tomorrow morning", "25 12:00"),
    ("Tomorrow morning I will get back to you.", "25 12:00"),
    ("I'll get back to you tomorrow", "25 18:00"),
    ("We will get back to you by tomorrow 11:30 am", "25 11:30"),
    ("I'll send you an update by Friday", "27 17:00"),
    ("We will contact you on Thursday at 3 pm.", "26 15:00"),
    ("I'll write back by end of day.", "24 18:00"),
    ("I'll get back to you by EOD tomorrow.", "25 18:00"),
    ("You will hear from us by the end of the week.", "27 17:00"),
    ("I'll get back to you within two hours.", "24 12:20"),
    ("We'll get back to you within 24 hours", "25 10:20"),
    ("I'll be in touch in 30 minutes.", "24 10:50"),
    ("A colleague will call you within half an hour.", "24 10:50"),
    ("We will get back to you within the hour", "24 11:20"),
    ("We will reply within 2 business days.", "26 10:20"),
    ("I'll let you know next Monday.", "30 18:00"),
    ("I will follow up by November 30.", "30 18:00"),
    ("I'll get back to you on 30 November at 9:15 am", "30 09:15"),
    ("I'll get back to you by 2026-11-30", "30 18:00"),
    ("I'll tell you the day after tomorrow.", "26 18:00"),
    ("I'm going to get back to you tonight.", "24 21:00"),
    # Chinese
    ("明天上午回复您", "25 12:00"),
    ("我们会在今天下午5点前回复您。", "24 17:00"),
    ("下午五点前给您答复", "24 17:00"),
    ("今天下班前给您回复。", "24 18:00"),
    ("您好，我明天联系您。", "25 18:00"),
    ("后天中午前给您结果", "26 13:00"),
    ("两小时内回复您", "24 12:20"),
    ("半小时内给您回电", "24 10:50"),
    ("24小时内会有同事与您联系。", "25 10:20"),
    ("我们会在2个工作日内答复您。", "26 10:20"),
    ("周五之前给您答复", "27 17:00"),
    ("下周一上午通知您", "30 12:00"),
    ("今天16:30之前告诉您", "24 16:30"),
    ("明天早上9点半联系您", "25 09:30"),
    ("11月30日前给您一个答复", "30 18:00"),
    ("三天内反馈给您", "27 10:20"),
    ("今晚八点前回复您", "24 20:00"),
    ("明天3点回复您", "25 15:00"),
]

UNCLEAR = [
    "We asked the carrier, and they said you and the driver will call you by 5 pm at the earliest, maybe.",
    "I told the shop and you will reply by 5 pm.",
    "I'll get back to you soon.",
    "I'll get back to you as soon as possible.",
    "Please get back to us by 5 pm.",
    "Could you reply by Friday?",
    "Can we call you tomorrow at 3 pm?",
    "If the carrier answers, I'll get back to you by 5 pm.",
    "I'll try to get back to you by 5 pm.",
    "I won't get back to you by 5 pm.",
    "Your parcel will arrive by 5 pm.",
    "I'll get back to you by 5.",
    "I'll get back to you by 9 am.",  # it is past nine: which day is meant?
    "I'll get back to you between 3 pm and 5 pm.",
    "I'll get back to you around 5 pm.",
    "We close at 6 pm today.",
    "I'll get back to you about the parcel you ordered on Monday.",
    "Maybe I'll get back to you tomorrow.",
    "I'll get back to you by 3 March 2031",
    "",
    "尽快回复您",
    "稍后联系您",
    "请您明天上午回复我们",
    "如果明天上午有消息，会通知您",
    "昨天下午已经回复您了",
    "我们今天无法回复您",
    "您的包裹明天上午送达",
    "明天可以联系您吗？",
    "下午五点左右回复您",
    "7点回复您",
    "今天上午或明天下午回复您",
]


@pytest.mark.parametrize(("words", "until"), CLEAR, ids=[words for words, _ in CLEAR])
def test_a_clear_promise_has_its_time(words: str, until: str) -> None:
    """By the company's clock: a day ends with business, a part of a day with that part."""
    found = find(words, TUESDAY, OFFICE)
    assert found is not None
    assert found.astimezone(BERLIN).strftime("%d %H:%M") == until


@pytest.mark.parametrize("words", UNCLEAR)
def test_what_is_not_clear_is_no_promise(words: str) -> None:
    """Vague, conditional, asked of the customer, over, or more than one time: nothing is offered."""
    assert find(words, TUESDAY, OFFICE) is None


def test_two_sentences_with_the_same_time_are_one_promise() -> None:
    """Said twice is promised once; said differently it is not clear."""
    assert find("I'll get back to you by 5 pm. 下午5点前回复您。", TUESDAY, OFFICE) is not None
    assert find("I'll get back to you by 5 pm. 下午4点前回复您。", TUESDAY, OFFICE) is None


def test_a_closed_day_ends_in_the_evening() -> None:
    """Whoever promises Sunday means Sunday."""
    found = find("I'll get back to you on Sunday", TUESDAY, OFFICE)
    assert found is not None
    assert found.astimezone(BERLIN) == datetime(2026, 11, 29, 18, tzinfo=BERLIN)


@given(st.text(max_size=200))
def test_any_text_is_read_without_harm(words: str) -> None:
    """Whatever an agent writes, the answer is a time in the near future or nothing."""
    found = find(words, TUESDAY, OFFICE)
    assert found is None or SOONEST <= found - TUESDAY <= FARTHEST


@given(
    st.lists(
        st.sampled_from(
            [
                "I'll get back to you ",
                "明天",
                "5 pm",
                " by ",
                "12月31日",
                "周日",
                "29 February",
                "25:99",
                "十点",
                "within 999 days",
            ]
        ),
        max_size=8,
    )
)
def test_any_mixture_of_its_own_words_is_read_without_harm(parts: list[str]) -> None:
    """Dates that do not exist, hours beyond the day, two languages at once."""
    found = find("".join(parts) + "回复您", TUESDAY.astimezone(UTC), OFFICE)
    assert found is None or timedelta() < found - TUESDAY <= FARTHEST
