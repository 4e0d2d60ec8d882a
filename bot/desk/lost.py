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


def measured(failure: Entry, answer: Entry | None) -> str:
    """How large a file is that was too large, and what the chat takes, to stand behind that reason; else empty.

    Of several files that went as one the largest is meant.
    """
    limit = failure.data.get("limit")
    if not isinstance(limit, int) or answer is None:
        return ""
    places = failure.data.get("files") or ()
    known = [answer.attachments[place].size for place in places if place < len(answer.attachments)]
    size = max((one for one in known if one is not None), default=0)
    shown, most = words.size(size), words.size(limit)
    if shown == most:  # by a few bytes, which nobody would see
        shown, most = f"{size:,} B", f"{limit:,} B"
    key = "failed.size" if size > limit else "failed.most"
    return words.say("list.brackets", what=words.say(key, size=shown, most=most))
