"""What of an answer did not arrive: its words, some of its files, or both."""

from __future__ import annotations

from bot.desk import words
from domain import text
from domain.model import Entry


def of(failure: Entry, answer: Entry | None) -> tuple[str, str]:
    """The words that a failure is about, and the names of the files, each empty where there are none.

    The words are left out where they left before the files: they did arrive.
    """
    if answer is None:
        return "", ""
    places = failure.data.get("files") or ()
    names = [answer.attachments[place].name for place in places if place < len(answer.attachments)]
    is_worded = not places or bool(failure.data.get("worded"))
    return answer.body if is_worded else "", words.listed(text.safe_filename(name) for name in names)
